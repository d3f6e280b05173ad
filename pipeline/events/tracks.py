"""Tracks: the position updates of a match, player by player.

Belongs here: selecting, naming and sorting. Does not belong here: reading positions (`pipeline.events.sources`),
anything computed from them (`pipeline.features`).
"""

from collections.abc import Iterator, Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.events.drafts import text_codes
from pipeline.events.spool import Shelf
from pipeline.tables import TABLES

_COLUMNS = tuple(TABLES["tracks"].column_names())


class Tracks:
    """The table `tracks` of a match, dealt out to its players while its events pass by in total order.

    Each stretch of events is sorted by player and kept in pieces of a few players each. A piece has no more rows than
    a frame, so players come one after the other without any of the rest in memory.

    Args:
        updates: how many updates each player has.
        frame_rows: how many rows of several players may be worked on together.
        held_rows: how many rows wait in memory.
    """

    def __init__(self, updates: Mapping[str, int], frame_rows: int, held_rows: int) -> None:
        self._update = pl.Series(["POSITION_UPDATE"], dtype=text_codes()).to_physical()[0]
        self._players = pl.Series("player", sorted(updates), dtype=text_codes())
        self._groups = _groups([updates[player] for player in sorted(updates)], frame_rows)
        self._shelf = Shelf(held_rows)
        self._pieces: list[list[tuple[int, NDArray[np.int64]]]] = [[] for _ in self._groups]

    def add(self, events: pl.DataFrame) -> None:
        """Takes the updates of the next events, with rounds, teams and sides."""
        rows = np.flatnonzero(events["event_type"].to_physical().to_numpy() == self._update)
        if not rows.size:
            return
        ranks = self._ranks(events["actor"][rows])
        by_player = np.argsort(ranks, kind="stable")
        updates = events.rename({"actor": "player"}).select(_COLUMNS)[rows[by_player]]
        ends = np.cumsum([0, *np.bincount(ranks, minlength=len(self._players))])
        for group, (first, last) in enumerate(self._groups):
            if ends[last] > ends[first]:
                place = self._shelf.put(updates[ends[first] : ends[last]])
                self._pieces[group].append((place, ends[first : last + 1] - ends[first]))

    def __iter__(self) -> Iterator[pl.DataFrame]:
        """The rows sorted by `(player, t_ms, seq, event_id)`."""
        for (first, last), pieces in zip(self._groups, self._pieces, strict=True):
            if last - first == 1:
                yield from (self._shelf.get(place) for place, _ in pieces)
            else:
                frames = [(self._shelf.get(place), ends) for place, ends in pieces]
                for player in range(last - first):
                    yield pl.concat([frame[ends[player] : ends[player + 1]] for frame, ends in frames])

    def _ranks(self, actors: pl.Series) -> NDArray[np.unsignedinteger]:
        """The place of each row's player among the players."""
        codes = self._players.to_physical().to_numpy()
        ranks = np.zeros(int(codes.max()) + 1, np.min_scalar_type(len(codes)))
        ranks[codes] = np.arange(len(codes))
        return ranks.take(actors.to_physical().to_numpy())


def _groups(updates: list[int], frame_rows: int) -> list[tuple[int, int]]:
    """Players that follow each other, first and behind the last, of no more rows than a frame or one alone."""
    starts: list[int] = []
    size = frame_rows
    for player, rows in enumerate(updates):
        if size + rows > frame_rows:
            starts.append(player)
            size = 0
        size += rows
    return list(zip(starts, [*starts[1:], len(updates)][: len(starts)], strict=True))
