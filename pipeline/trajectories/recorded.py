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
from pipeline.scenes.captions import Phrase, caption
from pipeline.trajectories.framing import frame_angle
from pipeline.trajectories.ground import Trodden

Array = NDArray[np.float32]
_MS = 1000.0
_SUBJECTS = {True: "attacker", False: "defender", None: "player"}


@dataclass(frozen=True)
class Recorded:
    """`m` windows of a match.

    Attributes:
        match_id: which.
        ids: of the windows, as `<match>/<player>/<t_ms>`.
        position: `(m, n, 2)` metres from where each window begins.
        captions: who it is and what it means at the instant at which the forecast begins, as it was known then.
        known: frames before the forecast; the last of them is a recorded position, not one between two.
        fps: frames a second.
        look: `(m, n)` radians in which somebody looks; NaN where that was not recorded.
        ground: `(m, cells)` how much the ground around the last known position was trodden before.
    """

    match_id: str
    ids: tuple[str, ...]
    position: Array
    captions: tuple[str, ...]
    known: int
    fps: int
    look: Array
    ground: NDArray[np.uint8]


def recorded_windows(
    match_id: str,
    tracks: pl.DataFrame,
    intents: pl.DataFrame,
    config: TrajectoriesConfig | None = None,
    scenes: ScenesConfig | None = None,
) -> Recorded:
    """Windows of all players of a match, whether they go anywhere or not.

    Between recorded positions a path is straight. A window begins so that the last known frame is a recorded position.

    Args:
        match_id: the match.
        tracks: its positions.
        intents: what each player meant, told by a model that does not look ahead; `player`, `t_ms`, `intent`.
        config: defaults to `configs/trajectories.yaml`.
        scenes: defaults to `configs/scenes.yaml`.
    """
    config, scenes = config or load_trajectories(), scenes or load_scenes()
    n, known = scenes.window, round(config.known.seconds * scenes.fps)
    offsets = (np.arange(n) - (known - 1)) * _MS / scenes.fps
    meant = {key[0]: frame for key, frame in intents.sort("t_ms").group_by("player", maintain_order=True)}
    ways: list[NDArray[np.float64]] = []
    starts: list[NDArray[np.float64]] = []
    looks: list[NDArray[np.float64]] = []
    moments: list[int] = []
    ids: list[str] = []
    said: list[str] = []
    columns = ("player", "round", "side", "t_ms", "x_mm", "z_mm", "yaw_mdeg")
    found = tracks.select(columns).sort("player", "round", "t_ms")
    for (player, _), track in found.group_by("player", "round", maintain_order=True):
        times = track["t_ms"].to_numpy()
        points = track.select("x_mm", "z_mm").to_numpy() / _MS
        view = np.radians(track["yaw_mdeg"].cast(pl.Float64).fill_null(float("nan")).to_numpy() / _MS)
        subject = _SUBJECTS[is_attacker(track["side"][0]) if track["side"][0] else None]
        for anchor in _anchors(times, offsets, config, scenes):
            at = anchor + offsets
            way = np.stack([np.interp(at, times, points[:, axis]) for axis in (0, 1)], axis=1)
            if np.hypot(*np.diff(way, axis=0).T).max() * scenes.fps > scenes.limits.teleport_mps:
                continue
            ways.append(way - way[0])
            starts.append(way[0])
            looks.append(view[np.maximum(np.searchsorted(times, at, side="right") - 1, 0)])
            moments.append(anchor)
            ids.append(f"{match_id}/{player}/{anchor}")
            said.append(caption(subject, [_meant(meant.get(player), anchor)], 0))
    if not ways:
        ground = np.zeros((0, config.ground.cells), np.uint8)
        return Recorded(
            match_id, (), np.zeros((0, n, 2), np.float32), (), known, scenes.fps, np.zeros((0, n), np.float32), ground
        )
    position, look = np.stack(ways).astype(np.float32), np.stack(looks).astype(np.float32)
    frames = np.full(len(ways), known)
    angle = frame_angle(position, look, frames, fps=scenes.fps, velocity_s=config.known.velocity_s)
    here = np.stack(starts) + position[:, known - 1]
    ground = Trodden(tracks, config.ground).around(here, angle, np.array(moments))
    return Recorded(match_id, tuple(ids), position, tuple(said), known, scenes.fps, look, ground)


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


def _meant(wants: pl.DataFrame | None, at: int) -> Phrase:
    if wants is not None:
        k = int(np.searchsorted(wants["t_ms"].to_numpy(), at, side="right")) - 1
        if k >= 0:
            return Phrase(str(wants["intent"][k]), is_intent=True)
    return Phrase("stand")


def match_splits(match_ids: list[str], config: TrajectoriesConfig | None = None) -> dict[str, str]:
    """Which whole matches teach, which validate, which test; drawn by hash of the id.

    Args:
        match_ids: all of them.
        config: defaults to `configs/trajectories.yaml`.
    """
    split = (config or load_trajectories()).split
    drawn = sorted(set(match_ids), key=lambda name: hashlib.sha256(f"forecast/{name}".encode()).digest())
    count = len(drawn)
    test = max(round(split.match_test_share * count), 1) if count >= 2 and split.match_test_share else 0
    validation = max(round(split.match_validation_share * count), 1) if count >= 3 else 0
    parts = ["test"] * test + ["validation"] * validation
    return {name: parts[k] if k < len(parts) else "train" for k, name in enumerate(drawn)}
