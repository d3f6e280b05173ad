"""Whether clips are good enough: their measures against the goals.

Belongs here: how figures of many clips become one, and whether it is within its goal. Does not belong here: the goals
(configs/motion_goals.yaml), the measures (measures).
"""

import json
from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from configs.motion_goals import Goal, MotionGoals, load_motion_goals

FEASIBLE = "clips that could be made"
VERDICT = {
    "figure": pl.String,
    "unit": pl.String,
    "clips": pl.UInt32,
    "judged": pl.String,
    "value": pl.Float64,
    "goal": pl.String,
    "is_met": pl.Boolean,
    "worst": pl.String,
}


def judge(clips: pl.DataFrame, config: MotionGoals | None = None) -> pl.DataFrame:
    """The clips of a match against the goals.

    Args:
        clips: table `clips`.
        config: defaults to `configs/motion_goals.yaml`.

    Returns:
        A row for each figure that some clip has, in the order of the configuration, and last the share of the clips
        that could be made: `figure`, `unit`, `clips` that have it, what is `judged` over them, its `value`, the
        `goal`, whether it `is_met`, and the segment that is `worst`. No rows where there are no clips.
    """
    config = config or load_motion_goals()
    if clips.is_empty():
        return pl.DataFrame(schema=VERDICT)
    made = clips.filter(pl.col("feasible"))
    names = made["segment_id"].to_list()
    measures = [against_people(json.loads(text), config) for text in made["measures"]]
    rows = []
    for goal in config.figures:
        having = [k for k, each in enumerate(measures) if goal.key in each]
        if not having:
            continue
        values = goal.scale * np.array([measures[k][goal.key] for k in having])
        value = judged(goal, values)
        off = np.maximum(values - goal.at_most, (-np.inf if goal.at_least is None else goal.at_least) - values)
        worst = names[having[int(np.argmax(off))]]
        rows.append((goal.name, goal.unit, len(having), goal.over, value, bounds(goal), met(goal, values), worst))
    share = made.height / clips.height
    enough = f"≥ {100 * config.feasible_share:g}"
    failed = clips.filter(~pl.col("feasible"))["segment_id"].head(1).to_list()
    last = (
        FEASIBLE,
        "%",
        clips.height,
        "share",
        100 * share,
        enough,
        share >= config.feasible_share,
        *(failed or [""]),
    )
    return pl.DataFrame([*rows, last], schema=VERDICT, orient="row")


def against_people(measures: dict[str, float], config: MotionGoals) -> dict[str, float]:
    """The measures of a clip, and for whom goes somewhere `jitter_ratio` and `acceleration_ratio`.

    Args:
        measures: of one clip, with `speed_mean_mps`.
        config: what people do.
    """
    speed, people = measures.get("speed_mean_mps", 0.0), config.people
    if speed < people.from_mps:
        return measures
    laws = {
        "jitter": ("jitter_mps3", people.jitter_mps3),
        "acceleration": ("acceleration_mps2", people.acceleration_mps2),
    }
    ratios = {
        f"{name}_ratio": measures[key] / (factor * speed**exponent)
        for name, (key, (factor, exponent)) in laws.items()
        if key in measures
    }
    return measures | ratios


def judged(goal: Goal, values: NDArray[np.float64]) -> float:
    """What is held against the goal: of `all`, the value that is furthest off its middle."""
    if goal.over == "all":
        low = goal.at_most if goal.at_least is None else goal.at_least
        return float(values[int(np.argmax(np.abs(values - 0.5 * (low + goal.at_most))))])
    return float({"mean": values.mean(), "max": values.max(), "p95": np.percentile(values, 95)}[goal.over])


def met(goal: Goal, values: NDArray[np.float64] | Sequence[float]) -> bool:
    """Whether what is judged lies within the goal, to the last bit of a sum."""
    value = judged(goal, np.asarray(values, dtype=np.float64))
    return (goal.at_least is None or value >= goal.at_least) and value <= goal.at_most + 1e-9


def bounds(goal: Goal) -> str:
    """The goal in words."""
    return f"≤ {goal.at_most:g}" if goal.at_least is None else f"{goal.at_least:g} to {goal.at_most:g}"
