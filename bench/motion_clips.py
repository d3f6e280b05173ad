"""The clips that are measured: moments of recorded matches, and test paths.

Belongs here: which requests. Does not belong here: what is measured on them (`bench.motion_measures`).
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench.workload import frames
from configs.features import load_features
from configs.motion import load_motion
from pipeline.features.match import match_features
from pipeline.intents.labels import label
from pipeline.intents.segments import segment_id
from pipeline.intents.vocabulary import INTENTS
from pipeline.motion.clip import NULL, ClipRequest
from pipeline.motion.moments import clip_request

SPEEDS = tuple(float(v) for v in np.arange(0.0, 6.01, 0.5))
SAMPLE_MS = 125
TEST_MS = 5000


@dataclass(frozen=True)
class Asked:
    """A request and where it comes from: a match's name, or the kind of test path."""

    source: str
    request: ClipRequest


def eligible(log: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Stretches of one label of a log's match that are long enough to show something, and its tracks.

    Labels are used, not a model's answers: they know all nine intents, and don't change with the champion.
    """
    tables = frames(log)
    features = match_features(tables["match"], tables["events"], tables["tracks"])
    labels = label(tables["events"], tables["tracks"], features).with_columns(pl.col("intent").cast(pl.String))
    step = load_features().grid_ms
    runs = (
        labels.sort("player", "round", "t_ms")
        .with_columns(run=pl.struct("round", "intent").rle_id().over("player"))
        .drop_nulls("intent")
        .group_by("match_id", "player", "round", "intent", "run", maintain_order=True)
        .agg(from_ms=pl.col("t_ms").min(), to_ms=pl.col("t_ms").max() + step)
        .filter(pl.col("to_ms") - pl.col("from_ms") >= load_motion().moments.min_ms)
        .join(features.select("player", "t_ms", "side"), left_on=["player", "from_ms"], right_on=["player", "t_ms"])
        .sort("player", "from_ms")
    )
    ids = [
        segment_id(row["match_id"], row["player"], row["from_ms"], row["intent"]) for row in runs.iter_rows(named=True)
    ]
    return runs.with_columns(segment_id=pl.Series(ids)), tables["tracks"]


def sampled(segments: pl.DataFrame, tracks: pl.DataFrame, each: int) -> Iterator[ClipRequest]:
    """Requests of up to `each` segments of every intent, drawn by the hash of their ids, in that order."""
    own = {player: rows for (player,), rows in tracks.group_by("player", maintain_order=True)}
    for intent in INTENTS:
        rows = segments.filter(pl.col("intent") == intent).to_dicts()
        rows.sort(key=lambda row: hashlib.sha256(row["segment_id"].encode()).digest())
        for row in rows[:each]:
            yield clip_request(row, own[row["player"]])


def sparse(log: Path, each: int = 4) -> Iterator[ClipRequest]:
    """Moments of a series in GRID's format, planar and seldom sampled, `each` of every intent."""
    segments, tracks = eligible(log)
    return sampled(segments, tracks, each)


def test_paths() -> Iterator[Asked]:
    """Straight, curved and stop-and-go ways of 5 s at 0 to 6 m/s, sampled eight times a second."""
    margin = load_motion().clips.margin_ms
    t = np.arange(-margin, TEST_MS + margin + 1, SAMPLE_MS)
    s = t / 1000.0
    turn = 0
    for speed in SPEEDS:
        ways: dict[str, tuple[NDArray[np.float64], NDArray[np.float64], float | NDArray[np.float64] | None]] = {}
        line = np.stack([speed * s, 0.0 * s], axis=-1)
        ways["straight"] = line, 0.0 * s, None
        ways["straight, seen from the side"] = line, 0.0 * s, -90.0
        ways["straight, seen from behind"] = line, 0.0 * s, 180.0
        radius = max(1.5, speed**2 / 5.0)
        angle = speed * s / radius
        ways["curved"] = radius * np.stack([np.sin(angle), 1.0 - np.cos(angle)], axis=-1), 0.0 * s, None
        way = speed * s
        weave = np.stack([way, (0.04 * min(speed, 4.0)) * radius * np.sin(way / radius)], axis=-1)
        ways["slalom"] = weave, 0.0 * s, None
        pace = np.where((s % 2.5) < 1.4, speed, 0.0)
        gone = np.concatenate([[0.0], np.cumsum(pace[:-1])]) * SAMPLE_MS / 1000.0
        ways["stop and go"] = np.stack([gone, 0.0 * s], axis=-1), 0.0 * s, None
        for kind, (ground, height, yaw) in ways.items():
            heading = np.gradient(ground, axis=0)
            ahead = np.degrees(np.unwrap(np.arctan2(-heading[:, 1], heading[:, 0])))
            view = ahead if yaw is None else np.broadcast_to(yaw, s.shape)
            yield Asked(kind, _request(INTENTS[turn % len(INTENTS)], t, ground, height, view))
            turn += 1


def _request(
    intent: str,
    t: NDArray[np.int64],
    ground: NDArray[np.float64],
    height: NDArray[np.float64],
    yaw: NDArray[np.float64],
) -> ClipRequest:
    n = t.size
    return ClipRequest(
        match_id="test",
        segment_id="0" * 16,
        player="player:test",
        attacker=True,
        intent=intent,  # type: ignore[arg-type]
        from_ms=0,
        to_ms=TEST_MS,
        t_ms=t,
        x_mm=np.rint(1000 * ground[:, 0]).astype(np.int32),
        y_mm=np.rint(1000 * height).astype(np.int32),
        z_mm=np.rint(1000 * ground[:, 1]).astype(np.int32),
        yaw_mdeg=np.rint(1000 * yaw).astype(np.int32),
        pitch_mdeg=np.full(n, 0 if n else NULL, dtype=np.int32),
        seed=11,
    )
