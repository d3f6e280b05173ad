"""Recorded paths as they are, cut where a forecast may begin: nothing before that instant knows what comes after it.

Belongs here: windows of tracks. Does not belong here: samples with poses (`pipeline.scenes.matches`), whose paths are
smoothed over time and so know a little of what is to come.
"""

import hashlib
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from configs.scenes import ScenesConfig, load_scenes
from configs.trajectories import TrajectoriesConfig, load_trajectories
from pipeline.events.model import is_attacker
from pipeline.intents.kinship import series_of_match
from pipeline.scenes.captions import SUBJECTS
from pipeline.trajectories.framing import frame_angle
from pipeline.trajectories.recall import Memory, Recalled, nothing, places

Array = NDArray[np.float32]
_MS = 1000.0


@dataclass(frozen=True)
class Recorded:
    """`m` windows of a match.

    Attributes:
        match_id: which.
        ids: of the windows, as `<match>/<player>/<t_ms>`.
        position: `(m, n, 2)` metres from where each window begins.
        captions: who it is; not what it means, which a model would have to be asked that may have seen the match.
        known: frames before the forecast; the last of them is a recorded position, not one between two.
        fps: frames a second.
        look: `(m, n)` radians in which somebody looks; NaN where that was not recorded.
        recalled: what came of it before, in the frame of the last known position.
    """

    match_id: str
    ids: tuple[str, ...]
    position: Array
    captions: tuple[str, ...]
    known: int
    fps: int
    look: Array
    recalled: Recalled


def recorded_windows(
    match_id: str,
    tracks: pl.DataFrame,
    config: TrajectoriesConfig | None = None,
    scenes: ScenesConfig | None = None,
) -> Recorded:
    """Windows of all players of a match, whether they go anywhere or not.

    Between recorded positions a path is straight. A window begins so that the last known frame is a recorded position.

    Args:
        match_id: the match.
        tracks: its positions.
        config: defaults to `configs/trajectories.yaml`.
        scenes: defaults to `configs/scenes.yaml`.
    """
    config, scenes = config or load_trajectories(), scenes or load_scenes()
    n, known = scenes.window, round(config.known.seconds * scenes.fps)
    offsets = (np.arange(n) - (known - 1)) * _MS / scenes.fps
    ways: list[NDArray[np.float64]] = []
    spots: list[NDArray[np.float64]] = []
    before: list[NDArray[np.float64]] = []
    looks: list[NDArray[np.float64]] = []
    moments: list[int] = []
    ids: list[str] = []
    said: list[str] = []
    columns = ("player", "round", "side", "t_ms", "x_mm", "y_mm", "z_mm", "yaw_mdeg")
    found = tracks.select(columns).sort("player", "round", "t_ms")
    for (player, _), track in found.group_by("player", "round", maintain_order=True):
        times = track["t_ms"].to_numpy()
        points, view = places(track)
        subject = SUBJECTS[is_attacker(track["side"][0]) if track["side"][0] else None]
        for anchor in _anchors(times, offsets, config, scenes):
            at = anchor + offsets
            way = np.stack([np.interp(at, times, points[:, axis]) for axis in (0, 1)], axis=1)
            if np.hypot(*np.diff(way, axis=0).T).max() * scenes.fps > scenes.limits.teleport_mps:
                continue
            ways.append(way - way[0])
            spots.append(points[np.searchsorted(times, anchor)])
            earlier = anchor - config.recall.velocity_s * _MS
            before.append(np.array([np.interp(earlier, times, points[:, axis]) for axis in (0, 1)]))
            looks.append(view[np.maximum(np.searchsorted(times, at, side="right") - 1, 0)])
            moments.append(anchor)
            ids.append(f"{match_id}/{player}/{anchor}")
            said.append(f"{'An' if subject[0] == 'a' else 'A'} {subject}")
    if not ways:
        return Recorded(
            match_id, (), np.zeros((0, n, 2), np.float32), (), known, scenes.fps, np.zeros((0, n), np.float32),
            nothing(0, config.recall),
        )  # fmt: skip
    position, look = np.stack(ways).astype(np.float32), np.stack(looks).astype(np.float32)
    angle = frame_angle(
        position, look, np.full(len(ways), known), fps=scenes.fps, velocity_s=config.known.velocity_s,
        going_mps=config.known.going_mps,
    )  # fmt: skip
    here = np.stack(spots)
    velocity = (here[:, :2] - np.stack(before)) / config.recall.velocity_s
    memory = Memory(tracks, config.recall, scenes.dataset.max_gap_ms)
    recalled = memory.of(
        here, velocity, look[:, known - 1].astype(float), np.array(moments, float), angle.astype(float)
    )
    return Recorded(match_id, tuple(ids), position, tuple(said), known, scenes.fps, look, recalled)


def _anchors(
    times: NDArray[np.int64], offsets: NDArray[np.float64], config: TrajectoriesConfig, scenes: ScenesConfig
) -> list[int]:
    """Recorded instants around which a window lies in one stretch without a gap, evenly in time."""
    gaps = np.flatnonzero(np.diff(times) > scenes.dataset.max_gap_ms) + 1
    out: list[int] = []
    for begin, end in pairwise([0, *gaps.tolist(), len(times)]):
        first, last = times[begin] - offsets[0], times[end - 1] - offsets[-1]
        wanted = np.arange(first, last + 1e-6, _MS * config.known.stride_s)
        at = begin + np.searchsorted(times[begin:end], wanted)
        out += [int(t) for t in dict.fromkeys(times[at[at < end]].tolist()) if first <= t <= last]
    return out


def match_splits(match_ids: list[str], config: TrajectoriesConfig | None = None) -> dict[str, str]:
    """Which whole matches teach, which validate, which test; drawn by hash of what their ids have in common.

    Games of a GRID series share teams and day, and their ids its number: they stay together. An id that names no
    series is drawn alone.

    Args:
        match_ids: all of them.
        config: defaults to `configs/trajectories.yaml`.
    """
    split = (config or load_trajectories()).split
    series = {name: series_of_match(name, "") for name in sorted(set(match_ids))}
    drawn = sorted(set(series.values()), key=lambda name: hashlib.sha256(f"forecast/{name}".encode()).digest())
    count = len(drawn)
    test = max(round(split.match_test_share * count), 1) if count >= 2 and split.match_test_share else 0
    validation = max(round(split.match_validation_share * count), 1) if count >= 3 else 0
    parts = ["test"] * test + ["validation"] * validation
    part = {name: parts[k] if k < len(parts) else "train" for k, name in enumerate(drawn)}
    return {name: part[own] for name, own in series.items()}
