"""What came of it before: earlier moments of the same match that were like this one, and where they led to.

Belongs here: a match's moments in order of time, which of them are alike, their ways as seen from the present one. Does
not belong here: anything of other matches, or of what comes later than the moment that asks.

Somebody who comes round this corner, as fast and looking there, mostly goes on as those before did: that tells of
walls, stairs and habits without a map.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from configs.trajectories import RecallConfig
from pipeline.scenes.paths import direction_of
from pipeline.trajectories.framing import turned

Floats = NDArray[np.float64]
_MS = 1000.0


@dataclass(frozen=True)
class Recalled:
    """What `m` moments recall, `k` each, the most alike first.

    Attributes:
        ways: `(m, k, h, 2)` metres from the moment that asks, in its frame; zeros where nothing is recalled.
        alike: `(m, k)` from 0 (not at all) to 1 (the same place, velocity and look).
    """

    ways: NDArray[np.float32]
    alike: NDArray[np.float32]


def nothing(m: int, config: RecallConfig) -> Recalled:
    """Where there is no memory."""
    ways = np.zeros((m, config.moments, len(config.instants_s), 2), np.float32)
    return Recalled(ways, np.zeros((m, config.moments), np.float32))


class Memory:
    """The moments of a match.

    Args:
        tracks: positions of all players; `player`, `round`, `t_ms`, `x_mm`, `y_mm`, `z_mm`, `yaw_mdeg`.
        config: how many, how alike.
        max_gap_ms: longer, a path is not known in between.
    """

    def __init__(self, tracks: pl.DataFrame, config: RecallConfig, max_gap_ms: int) -> None:
        self.config = config
        later = np.array(config.instants_s) * _MS
        keys, ways, until = [], [], []
        columns = tracks.select("player", "round", "t_ms", "x_mm", "y_mm", "z_mm", "yaw_mdeg")
        for _, track in columns.sort("player", "round", "t_ms").group_by("player", "round", maintain_order=True):
            times = track["t_ms"].to_numpy().astype(float)
            points, look = places(track)
            gaps = np.flatnonzero(np.diff(times) > max_gap_ms) + 1
            for begin, end in pairwise([0, *gaps.tolist(), len(times)]):
                some, there = times[begin:end], points[begin:end]
                first = some[0] + config.velocity_s * _MS
                at = np.flatnonzero((some >= first) & (some + later[-1] <= some[-1]))[:: config.every]
                if not len(at):
                    continue
                keys.append(self._key(there[at], _velocity(some, there, some[at], config), look[begin:end][at]))
                moments = some[at][:, None] + later[None]
                led = np.stack([np.interp(moments, some, there[:, axis]) for axis in (0, 1)], axis=-1)
                ways.append((led - there[at][:, None, :2]).astype(np.float32))
                until.append(moments[:, -1])
        self._keys = np.concatenate(keys) if keys else np.zeros((0, 7))
        self._ways = np.concatenate(ways) if ways else np.zeros((0, len(later), 2), np.float32)
        self._until = np.concatenate(until) if until else np.zeros(0)
        order = np.argsort(self._until, kind="stable")
        self._keys, self._ways, self._until = self._keys[order], self._ways[order], self._until[order]

    def _key(self, points: Floats, velocity: Floats, look: Floats) -> Floats:
        """Moments as points whose distance says how little they are alike."""
        config = self.config
        view = np.where(np.isfinite(look)[:, None], direction_of(np.nan_to_num(look)), 0.0)
        return np.concatenate(
            [points[:, :2] / config.apart_m, points[:, 2:] / config.apart_up_m, velocity / config.apart_mps, view],
            axis=1,
        )

    def of(self, points: Floats, velocity: Floats, look: Floats, times: Floats, angle: Floats) -> Recalled:
        """What moments recall of those whose ways had ended before them.

        Args:
            points: `(m, 3)` metres: x, z, up.
            velocity: `(m, 2)` m/s.
            look: `(m,)` radians; NaN where that is not known.
            times: `(m,)` ms.
            angle: `(m,)` of the frame in which ways are told.
        """
        from scipy.spatial import cKDTree

        k = self.config.moments
        out = nothing(len(points), self.config)
        asked = self._key(points, velocity, look)
        block = np.floor(np.asarray(times) / (_MS * self.config.block_s)).astype(np.int64)
        for number in np.unique(block):
            past = int(np.searchsorted(self._until, number * _MS * self.config.block_s, side="right"))
            if past < k:
                continue
            these = np.flatnonzero(block == number)
            far, which = cKDTree(self._keys[:past]).query(asked[these], k=k)
            far, which = far.reshape(-1, k), which.reshape(-1, k)
            out.ways[these] = turned(self._ways[which], -angle[these])
            out.alike[these] = np.exp(-(far**2))
        return out


def places(track: pl.DataFrame) -> tuple[Floats, Floats]:
    """Positions `(n, 3)` in metres, x, z and up (0 where that was not recorded), and looks `(n,)` in radians or NaN."""
    points = track.select(
        pl.col("x_mm") / _MS, pl.col("z_mm") / _MS, pl.col("y_mm").cast(pl.Float64).fill_null(0.0) / _MS
    ).to_numpy()
    return points, np.radians(track["yaw_mdeg"].cast(pl.Float64).fill_null(float("nan")).to_numpy() / _MS)


def _velocity(times: Floats, points: NDArray[Any], at: Floats, config: RecallConfig) -> Floats:
    """Velocities `(m, 2)` in m/s at instants of a path, over the time before them."""
    ends = [
        np.stack([np.interp(when, times, points[:, axis]) for axis in (0, 1)], axis=1)
        for when in (at - config.velocity_s * _MS, at)
    ]
    velocity: Floats = (ends[1] - ends[0]) / config.velocity_s
    return velocity


def meant(ways: NDArray[Any], alike: NDArray[Any], after: NDArray[Any], config: RecallConfig) -> NDArray[np.float32]:
    """The mean of what is recalled `(m, n, 2)`, by alikeness, at seconds `after` `(m, n)`; zeros where nothing is.

    Args:
        ways: `(m, k, h, 2)`.
        alike: `(m, k)`.
        after: `(m, n)` seconds since the moment that asks.
        config: at which instants ways are told.
    """
    mean = (ways * alike[..., None, None]).sum(axis=1) / (alike.sum(axis=1) + config.least)[:, None, None]
    knots = np.array([0.0, *config.instants_s])
    mean = np.concatenate([np.zeros_like(mean[:, :1]), mean], axis=1)
    high = np.clip(np.searchsorted(knots, after, side="left"), 1, len(knots) - 1)
    low = high - 1
    share = np.clip((after - knots[low]) / (knots[high] - knots[low]), 0.0, 1.0)[..., None]
    rows = np.arange(len(ways))[:, None]
    out: NDArray[np.float32] = (mean[rows, low] * (1.0 - share) + mean[rows, high] * share).astype(np.float32)
    return out
