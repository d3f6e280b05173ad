"""Whether samples are true: speeds as in the table, no teleport, faces ahead, constant bones, feet that don't slide.

Belongs here: measures of samples and the limits they are held to. Does not belong here: how samples are made (dataset),
when they are checked (assets).
"""

import math
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from configs.scenes import ScenesConfig, load_scenes
from pipeline.scenes import speeds
from pipeline.scenes.joints import ELBOWS, FEET, bones, shoulder
from pipeline.scenes.paths import direction_of, heading_of
from pipeline.scenes.scales import height_m
from pipeline.scenes.schema import Scene
from pipeline.trajectories.samples import Samples, of_rows

Array = NDArray[np.float64]

CHECKS = ("speeds", "teleports", "facing", "bone_lengths", "foot_slide")
"""The blocking checks on samples; `object_sizes` is one on scenes."""


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        check: its name.
        passed: whether samples are within the limit.
        value: the worst measure.
        limit: what it is held to.
        unit: of both.
        where: the sample, action or bone of the worst.
    """

    check: str
    passed: bool
    value: float
    limit: float
    unit: str
    where: str


def findings(rows: pl.DataFrame, config: ScenesConfig | None = None) -> list[Finding]:
    """All checks on rows of the table `trajectories`, at least one; of stories or of matches."""
    config = config or load_scenes()
    names = speeds.names(config)
    samples = of_rows(rows, names)
    heights = rows["height_m"].to_numpy() / config.human.height
    told = rows.filter(pl.col("source") == "scene")
    return [
        _speeds(of_rows(told, names) if told.height else None, config),
        _teleports(samples, config),
        _facing(samples, config),
        _bones(samples, heights, config),
        _slide(samples, config),
    ]


def action_speeds(samples: Samples, config: ScenesConfig) -> pl.DataFrame:
    """Median speed of each action that moves, over frames that neither speed up nor slow down nor turn hard.

    Returns:
        One row per action that is seen: `action`, `frames`, `mps`, `table_mps`, `off` (share).
    """
    table = speeds.table(config)
    way = np.hypot(*np.moveaxis(np.diff(samples.position.astype(float), axis=1), -1, 0)) * samples.fps
    code = samples.actions[:, 1:]
    steady = np.abs(np.diff(samples.speed.astype(float), axis=1)) * samples.fps < config.limits.cruise_mps2
    turning = np.abs(np.diff(samples.heading.astype(float), axis=1)) * samples.fps
    steady &= turning * way < config.limits.cruise_lateral * config.movement.lateral_mps2
    rows = []
    for action in np.flatnonzero(table > 0):
        these = steady & (code == action) & (way > config.limits.facing_from_mps)
        if these.sum() >= config.limits.cruise_frames:
            mps = float(np.median(way[these]))
            rows.append((samples.names[action], int(these.sum()), mps, float(table[action]), mps / table[action] - 1.0))
    return pl.DataFrame(rows, ["action", "frames", "mps", "table_mps", "off"], orient="row")


def _speeds(samples: Samples | None, config: ScenesConfig) -> Finding:
    """Moving actions by their median; those that stay by the fastest frame, which has to be none."""
    limit = config.limits.speed_share
    if samples is None:
        return Finding("speeds", True, 0.0, limit, "share", "no story among them")
    found = action_speeds(samples, config)
    worst, where = 0.0, "nothing moves"
    if found.height:
        row = found.sort(pl.col("off").abs(), descending=True).row(0, named=True)
        worst, where = abs(row["off"]), row["action"]
    stays = (speeds.table(config)[samples.actions] == 0) | np.isnan(samples.speed)
    drift = np.where(stays, samples.speed, 0.0)
    if not float(drift.max()) <= config.limits.stays_mps:
        b, n = np.unravel_index(int(np.argmax(drift)), drift.shape)
        name = samples.names[samples.actions[b, n]]
        return Finding(
            "speeds", False, float(drift.max()), config.limits.stays_mps, "m/s", f"{samples.ids[b]}: {name} stays"
        )
    return Finding("speeds", worst <= limit, worst, limit, "share", where)


def _teleports(samples: Samples, config: ScenesConfig) -> Finding:
    way = np.hypot(*np.moveaxis(np.diff(samples.position, axis=1), -1, 0)) * samples.fps
    worst = int(np.argmax(way.max(axis=1)))
    value, limit = float(way.max()), config.limits.teleport_mps
    return Finding("teleports", bool(value <= limit), value, limit, "m/s", samples.ids[worst])


def _facing(samples: Samples, config: ScenesConfig) -> Finding:
    ways = np.diff(samples.position.astype(float), axis=1)
    fast = np.hypot(ways[..., 0], ways[..., 1]) * samples.fps > config.limits.facing_from_mps
    off = np.abs((heading_of(ways) - samples.heading[:, 1:] + np.pi) % (2.0 * np.pi) - np.pi)
    limit = config.limits.facing_deg
    if not fast.any():
        return Finding("facing", True, 0.0, limit, "degrees", "nothing moves")
    value = float(np.degrees(np.percentile(off[fast], config.limits.facing_percentile)))
    worst = int(np.argmax(np.where(fast, off, 0.0).mean(axis=1)))
    return Finding(
        "facing",
        value <= limit,
        value,
        limit,
        f"degrees, {config.limits.facing_percentile:g}th percentile",
        samples.ids[worst],
    )


def _bones(samples: Samples, scale: Array, config: ScenesConfig) -> Finding:
    joints = samples.joints.astype(float)
    human, worst, where = config.human, 0.0, ""
    top = shoulder(joints, human)
    lengths = {
        f"{a}-{b}": (np.linalg.norm(joints[:, :, a] - joints[:, :, b], axis=-1), size)
        for (a, b), size in bones(human).items()
    }
    for elbow in ELBOWS:
        lengths[f"shoulder-{elbow}"] = np.linalg.norm(joints[:, :, elbow] - top, axis=-1), human.upper_arm
    for name, (found, size) in lengths.items():
        off = float(np.abs(found / (size * scale[:, None]) - 1.0).max())
        if not off <= worst:  # no number is no length
            worst, where = (off if off > worst else math.inf), name
    limit = config.limits.bone_share
    return Finding("bone_lengths", worst <= limit, worst, limit, "share", where)


def slide_mps(samples: Samples, config: ScenesConfig) -> Array:
    """Mean speed over the ground of feet that stand in two frames in a row, by sample; 0 if none do."""
    joints, total, count = samples.joints.astype(float), 0.0, 0
    ahead = direction_of(samples.heading.astype(float))
    for foot in FEET:
        low = joints[:, :, foot, 1] < config.limits.contact_m
        stands = low[:, 1:] & low[:, :-1]
        world = samples.position + joints[:, :, foot, :1] * ahead
        speed = np.hypot(*np.moveaxis(np.diff(world, axis=1), -1, 0)) * samples.fps
        total, count = total + np.where(stands, speed, 0.0).sum(axis=1), count + stands.sum(axis=1)
    mean: Array = total / np.maximum(count, 1)
    return mean


def _slide(samples: Samples, config: ScenesConfig) -> Finding:
    value, limit = slide_mps(samples, config), config.limits.slide_mps
    mean = float(value.mean())
    return Finding("foot_slide", mean <= limit, mean, limit, "m/s, mean", samples.ids[int(np.argmax(value))])


def object_sizes(scene: Scene, config: ScenesConfig | None = None) -> Finding:
    """Whether all things of a scene are as large as their kind may be; in metres of the worst."""
    config = config or load_scenes()
    worst, where = 0.0, "nothing is too large or too small"
    for thing in scene.objects:
        least, most = (value * config.unit_m for value in config.objects[thing.kind].range)
        height = height_m(config, thing.kind, thing.scale)
        off = max(least - height, height - most, 0.0)
        if off > worst:
            worst, where = off, f"{thing.id} of {scene.theme}-{scene.seed}"
    return Finding("object_sizes", worst <= 1e-6, worst, 0.0, "m", where)


__all__ = ["CHECKS", "Finding", "action_speeds", "findings", "object_sizes", "slide_mps"]
