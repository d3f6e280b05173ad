"""What was trained and how well it does, in words and tables for people.

Belongs here: the page. Does not belong here: any figure in it (evaluation, learning).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from configs.scenes import load_scenes
from configs.trajectories import TrajectoriesConfig, load_trajectories
from pipeline.trajectories.baselines import PLAIN
from pipeline.trajectories.corpus import KINDS, SPLITS, Corpus
from pipeline.trajectories.evaluation import MODEL, WHOLE, Judgement
from pipeline.trajectories.model import TrajectoryModel
from pipeline.trajectories.shape import Shape

_METHODS = {
    "stay_put": "stay-put", "constant_velocity": "constant velocity", "damped_velocity": "damped velocity",
    "nearest_prompt": "nearest prompt", "recalled": "what is recalled, alone", MODEL: "**model**",
}  # fmt: skip
_MOTIONS = {
    "true": "true motion", "static": "before: limbs move, positions don't", "nearest_prompt": "nearest prompt",
    MODEL: "after: the model, as found", "finished": "after: the model, as films show it",
}  # fmt: skip
_MEASURES = {
    "ade_m": "ADE, m", "fde_m": "FDE, m", "way_ratio": "way ÷ true way", "joint_error": "joints off, % of height",
    "done": "frames whose action is right, %", "bone_variation": "bones vary, %",
    "foot_slide_mps": "feet slide, m/s", "standing": "frames with a foot down, %",
    "too_fast": "frames too fast, %", "recognised": "seconds recognised, %",
}  # fmt: skip
_FORECAST = "forecasts of matches, {} s: less ADE than the best baseline"
_BONES = {MODEL: "variation of bone lengths, as found", "finished": "variation of bone lengths, as films show it"}
_SPEED = {
    part: f"speed of the action that is the most off, {told}"
    for part, told in (
        ("test", "stories it has not met"),
        ("paraphrase", "a wording it has not met"),
        ("theme", "a theme it has not met"),
    )
}
_SHARES = ("joint_error", "done", "bone_variation", "standing", "too_fast", "recognised")


@dataclass(frozen=True)
class Outcome:
    """A model, what it learned from, how it got there, how it was judged.

    Attributes:
        model: itself.
        corpus: what it learned from and was judged by.
        history: what its training told.
        judgement: the measures.
        series: what is said of the series of matches, by match id.
    """

    model: TrajectoryModel
    corpus: Corpus
    history: Sequence[Mapping[str, Any]]
    judgement: Judgement
    series: Mapping[str, str] = field(default_factory=dict)


def page(outcome: Outcome, config: TrajectoriesConfig | None = None, notes: Sequence[str] = ()) -> str:
    """The page in Markdown.

    Args:
        outcome: what to tell.
        config: defaults to `configs/trajectories.yaml`.
        notes: further sections.
    """
    config = config or load_trajectories()
    sections = [
        "# Movement that is learned\n\nWritten by `gridmotion trajectories evaluate`; do not edit.\n",
        trained(outcome, config),
        forecasts(outcome.judgement, config),
        motions(outcome.judgement, config),
        met(outcome.judgement, config),
        *notes,
    ]
    return "\n".join(section.rstrip() + "\n" for section in sections if section)


def trained(outcome: Outcome, config: TrajectoriesConfig) -> str:
    """What was trained, on what, and where its curve stood; and what else there is to be trained."""
    model, corpus, shape = outcome.model, outcome.corpus, outcome.model.shape
    steps = [each for each in outcome.history if each["kind"] == "train"]
    checks = [each for each in outcome.history if each["kind"] == "validation"]
    lines = [
        "## What was trained",
        "",
        f"Model `{model.version}`: width {shape.width}, {shape.layers} layers, {shape.heads} heads, patches of "
        f"{shape.patch} frames, {shape.parameters:,} parameters; texts by `{shape.encoder}` ({shape.text} dimensions).",
    ]
    if steps:
        gone = int(steps[-1]["step"])
        speed = sorted(each["samples_s"] for each in steps)[len(steps) // 2]
        state = (
            "done"
            if gone >= model.steps
            else f"stopped at {gone / model.steps:.0%}: `gridmotion trajectories train` goes on"
        )
        lines.append(
            f"\n{gone:,} of {model.steps:,} steps ({state}); median {speed:.0f} samples/s; "
            f"the weights are those of step {model.step:,}."
        )
    lines += ["", "| kind | " + " | ".join(SPLITS) + " |", "|---|" + "---:|" * len(SPLITS)]
    for code, kind in enumerate(KINDS):
        counts = [len(corpus.where(split, code)) for split in SPLITS]
        lines.append(f"| {kind} | " + " | ".join(f"{count:,}" for count in counts) + " |")
    lines.append(
        "\n*story*: windows of stories; *match*: windows of matches with poses and captions; *recorded*: paths of "
        "matches as they were recorded, unsmoothed, cut at a recorded position. Splits are by story, wording, theme "
        "and whole match, games of a GRID series together."
    )
    lines += sizes(shape.text, shape.encoder, config)
    lines += kin(corpus.matches("test"), (*corpus.matches("train"), *corpus.matches("validation")), outcome.series)
    if len(checks) > 1:
        names = [name for name in checks[0] if name not in ("kind", "step", "steps", "best")]
        shown = _thinned(checks, 10)
        lines += [
            "\nValidation, mean position error in metres over all frames to be found (averaged weights):",
            "", "| step | " + " | ".join(names) + " |", "|---:|" + "---:|" * len(names),
        ]  # fmt: skip
        lines += [f"| {each['step']:,} | " + " | ".join(_figure(each[name]) for name in names) + " |" for each in shown]
    return "\n".join(lines)


def sizes(text: int, encoder: str, config: TrajectoriesConfig) -> list[str]:
    """A table of the sizes in the configuration, for texts of an encoder.

    Args:
        text: dimension of its vectors.
        encoder: who reads the texts.
        config: the sizes.
    """
    lines = [
        "", "Sizes of `configs/trajectories.yaml`, for these texts; the readers of texts and of what is recalled run "
        "once a sample, all else for each token:", "",
        "| size | width × layers × heads | frames of a token | tokens | parameters | without readers |",
        "|---|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    for name in config.sizes:
        shape = Shape.of(name, config, load_scenes(), text=text, encoder=encoder)
        lines.append(
            f"| {name} | {shape.width} × {shape.layers} × {shape.heads} | {shape.patch} | {shape.tokens} | "
            f"{shape.parameters:,} | {shape.parameters - shape.reading_parameters:,} |"
        )
    return lines


def kin(judged: Sequence[str], known: Sequence[str], series: Mapping[str, str]) -> list[str]:
    """Which matches that are judged have others of their series among those that training has seen.

    Args:
        judged: ids of matches.
        known: likewise, of those that taught or validated.
        series: of each match whose series is known.
    """
    told = [
        f"`{match}` (with {', '.join(f'`{other}`' for other in others)})"
        for match in judged
        if (others := [other for other in known if match in series and series.get(other) == series[match]])
    ]
    if not told:
        return []
    return [
        f"\nAs their ids tell, {len(told)} of the {len(judged)} matches that are judged share a series, and so teams, "
        f"with matches that were learned from or validated by: {', '.join(told)}. Forecasts of strangers may gain less."
    ]


def forecasts(judgement: Judgement, config: TrajectoriesConfig) -> str:
    """ADE and FDE by part, method and horizon, and the gains."""
    rows = judgement.forecasts
    if rows.is_empty():
        return "## Forecasts\n\nNothing was held out that could be forecast."
    lines = [
        "## Forecasts",
        "",
        "Two seconds are known; error in metres, mean over the horizon (ADE) / at its end (FDE). Of matches the model "
        "knows the player's positions and looks until then, its side, and where earlier moments of the same match led "
        "that were alike; no intent. Of stories the pose is not shown. The velocity of model and baselines is that of "
        "the last recorded step, which is the best of those tried for the baselines. In brackets, between which gains "
        f"{config.evaluation.confidence:.0%} of {config.evaluation.draws:,} draws of stretches of matches (of stories: "
        f"of windows) lie, stretches being {config.evaluation.block_s:g} s of all players. Matches are held out from "
        "training, not from design: what is recalled, how it is mixed and which velocity is taken were chosen in "
        "trials on "
        "the same matches (docs/decisions/022), so forecasts of others may gain less. "
        "*What is recalled, alone*: the mean way of the earlier moments that the model is shown, without any learning; "
        "damped velocity where there are none.",
    ]
    for (part,), group in rows.group_by("part", maintain_order=True):
        horizons = list(dict.fromkeys(group["horizon"]))
        lines += [
            "", f"### {str(part).capitalize()} ({group['samples'][0]:,} windows)", "",
            "| | " + " | ".join(h if h == WHOLE else f"{h} s" for h in horizons) + " |",
            "|---|" + "---:|" * len(horizons),
        ]  # fmt: skip
        for (method,), own in group.group_by("method", maintain_order=True):
            cells = [f"{_figure(r['ade_m'])} / {_figure(r['fde_m'])}" for r in own.iter_rows(named=True)]
            lines.append(f"| {_METHODS[str(method)]} | " + " | ".join(cells) + " |")
        gain = judgement.gains.filter(pl.col("part") == part)
        cells = [f"{r['gain']:+.1%} [{r['low']:+.1%}, {r['high']:+.1%}]" for r in gain.iter_rows(named=True)]
        lines.append(
            f"| less ADE than the best of {', '.join(_METHODS[name] for name in PLAIN)} | " + " | ".join(cells) + " |"
        )
    return "\n".join(lines)


def motions(judgement: Judgement, config: TrajectoriesConfig) -> str:
    """Motions from text beside static ones, and speeds by action."""
    rows = judgement.motions
    if rows.is_empty():
        return "## From text alone\n\nNo story was held out."
    lines = [
        "## From text alone",
        "",
        "Ten seconds from a caption that the model has not met. *test*: stories it has not met; *paraphrase*: a way of "
        "wording it has not met; *theme*: a theme it has not met. *As found*: the model finds way, what is done and "
        "pose; its strides are counted by the way that it found. *As films show it*: that pose, on that way smoothed a "
        "little as recordings are, and held where it stays.",
    ]
    for (part,), group in rows.group_by("part", maintain_order=True):
        measures = list(dict.fromkeys(group["measure"]))
        names = [name for name in _MEASURES if name in measures]
        head = "| | " + " | ".join(_MEASURES[name] for name in names) + " |"
        lines += ["", f"### {str(part).capitalize()}", "", head, "|---|" + "---:|" * len(names)]
        for (motion,), own in group.group_by("motion", maintain_order=True):
            value = dict(zip(own["measure"], own["value"], strict=True))
            cells = [_figure(value[n] * 100 if n in _SHARES else value[n]) if n in value else "" for n in names]
            lines.append(f"| {_MOTIONS[str(motion)]} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "Speed of each action, median of steady frames of the films against the table:",
        "",
        "| part | action | frames | m/s | table, m/s | off | met |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    for row in judgement.speeds.iter_rows(named=True):
        good = "yes" if abs(row["off"]) <= config.goals.speed_share else "**no**"
        lines.append(
            f"| {row['part']} | {row['action']} | {row['frames']:,} | {row['mps']:.2f} | {row['table_mps']:.1f} | "
            f"{row['off']:+.1%} | {good} |"
        )
    lines.append("\nThe classifier that recognises actions was trained on true motion of the training split alone; its "
                 "share on true motion is the most that can be reached.")  # fmt: skip
    return "\n".join(lines)


def goals(judgement: Judgement, config: TrajectoriesConfig) -> list[tuple[str, float, float, bool]]:
    """What the model is held to: goal, value found, value wanted, whether it is met; those that could be measured."""
    out = []
    for horizon, wanted in (("1", config.goals.forecast_1s), ("4", config.goals.forecast_4s)):
        row = judgement.gains.filter((pl.col("part") == "matches") & (pl.col("horizon") == horizon))
        if row.height:
            gain = float(row["gain"].item())
            out.append((_FORECAST.format(horizon), gain, wanted, gain >= wanted))
    for part, name in _SPEED.items():
        own = judgement.speeds.filter(pl.col("part") == part)
        if own.height:
            worst = float(own["off"].abs().max())  # type: ignore[arg-type]  # there are some
            out.append((name, worst, config.goals.speed_share, worst <= config.goals.speed_share))
    for motion, name in _BONES.items():
        bones = judgement.motions.filter(
            (pl.col("motion") == motion) & (pl.col("measure") == "bone_variation") & (pl.col("part") == "test")
        )
        if bones.height:
            value = float(bones["value"].item())
            out.append((name, value, config.goals.bone_share, value <= config.goals.bone_share))
    return out


def met(judgement: Judgement, config: TrajectoriesConfig) -> str:
    """The goals, and which of them are met."""
    rows = goals(judgement, config)
    if not rows:
        return ""
    unsure = _unsure(judgement)
    lines = ["## Goals", "", "| goal | found | wanted | met |", "|---|---:|---:|---|"]
    lines += [
        f"| {name} | {value:.1%} | {wanted:.0%} | "
        f"{('yes, within its interval' if name in unsure else 'yes') if good else '**no**'} |"
        for name, value, wanted, good in rows
    ]
    if any(good and name in unsure for name, _, _, good in rows):
        lines.append("\n*Within its interval*: found, but the interval of the gain begins below what is wanted.")
    if any(not good and name in _SPEED.values() for name, _, _, good in rows):
        lines.append(_slow(judgement))
    return "\n".join(lines)


def _slow(judgement: Judgement) -> str:
    """Why speeds are off where they are."""
    right = judgement.motions.filter((pl.col("motion") == MODEL) & (pl.col("measure") == "done"))
    shares = ", ".join(f"{part} {value:.0%}" for part, value in right.select("part", "value").iter_rows())
    return (
        "\nSpeeds are off where it is not sure what is done (frames whose action is right: "
        f"{shares}): what it finds then lies between the speeds of several actions. Which are off, and by how much, "
        "is in the table of speeds above."
    )


def _unsure(judgement: Judgement) -> set[str]:
    """Goals of forecasts whose interval begins below what is wanted."""
    rows = judgement.gains.filter((pl.col("part") == "matches") & (pl.col("low") < pl.col("goal")))
    return {_FORECAST.format(horizon) for horizon in rows["horizon"]}


def _thinned(rows: Sequence[Mapping[str, Any]], most: int) -> list[Mapping[str, Any]]:
    every = max(math.ceil(len(rows) / most), 1)
    kept = list(rows[::every])
    return kept if kept[-1] is rows[-1] else [*kept, rows[-1]]


def _figure(value: float) -> str:
    return f"{value:.2f}" if abs(value) >= 0.1 or value == 0 else f"{value:.3f}"
