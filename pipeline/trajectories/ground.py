"""The ground ahead: where anybody has gone before.

Belongs here: what a match has shown of its map up to an instant, as somebody sees it who goes on. Does not belong here:
anything that was learned of the map elsewhere, or that came later.
"""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from configs.trajectories import GroundConfig
from pipeline.scenes.paths import direction_of


class Trodden:
    """A map's cells, and since when each is trodden how much.

    Args:
        tracks: positions of all players of a match; `t_ms`, `x_mm`, `z_mm`.
        config: cells.
    """

    def __init__(self, tracks: pl.DataFrame, config: GroundConfig) -> None:
        self.config = config
        points = tracks.select("x_mm", "z_mm").to_numpy() / 1000.0
        times = tracks["t_ms"].to_numpy()
        cells = np.floor(points / config.cell_m).astype(np.int64)
        self._low = cells.min(axis=0) if len(cells) else np.zeros(2, np.int64)
        self._size = cells.max(axis=0) - self._low + 1 if len(cells) else np.ones(2, np.int64)
        flat = (cells - self._low) @ np.array([self._size[1], 1])
        order = np.lexsort((times, flat))
        flat, times = flat[order], times[order]
        begins = np.flatnonzero(np.diff(flat, prepend=-1))
        counts = np.diff(np.append(begins, len(flat)))
        self._since = np.full((len(config.visits), int(self._size.prod())), np.iinfo(np.int64).max)
        for level, visits in enumerate(config.visits):
            enough = counts >= visits
            self._since[level, flat[begins[enough]]] = times[begins[enough] + visits - 1]

    def around(self, points: NDArray[Any], headings: NDArray[Any], times: NDArray[Any]) -> NDArray[np.uint8]:
        """How much the ground around points was trodden before instants.

        Args:
            points: `(m, 2)` metres.
            headings: `(m,)` radians, in which the ground is looked at.
            times: `(m,)` ms; what comes later is not known.

        Returns:
            `(m, cells)` levels from 0 (nobody has been there) to the number of `visits`, along by across.
        """
        along, across = offsets(self.config)
        ahead = direction_of(np.asarray(headings, float))[:, None]
        aside = np.stack([ahead[..., 1], -ahead[..., 0]], axis=-1)
        places = np.asarray(points, float)[:, None] + along[None, :, None] * ahead + across[None, :, None] * aside
        cells = np.floor(places / self.config.cell_m).astype(np.int64) - self._low
        inside = ((cells >= 0) & (cells < self._size)).all(axis=-1)
        flat = np.where(inside, cells @ np.array([self._size[1], 1]), 0)
        before = self._since[:, flat] < np.asarray(times)[None, :, None]
        return np.where(inside, before.sum(axis=0), 0).astype(np.uint8)


def offsets(config: GroundConfig) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Metres `(cells,)` ahead and to the left of each cell."""
    rows, columns = config.shape
    along = np.arange(rows) * config.cell_m - config.behind_m
    across = config.aside_m - np.arange(columns) * config.cell_m
    return np.repeat(along, columns), np.tile(across, rows)


def mirrored(ground: NDArray[Any], config: GroundConfig) -> NDArray[Any]:
    """Ground `(m, cells)` as seen in a mirror: left and right exchanged."""
    out: NDArray[Any] = ground.reshape(len(ground), *config.shape)[:, :, ::-1].reshape(len(ground), -1)
    return out
