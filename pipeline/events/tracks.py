"""Tracks: the position updates of a match, player by player.

Belongs here: selecting, naming and sorting. Does not belong here: reading positions (`pipeline.events.sources`),
anything computed from them (`pipeline.features`).
"""

from collections.abc import Iterator, Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from configs.events import LinesConfig
from pipeline.events.codes import by_code, codes_of, looked_up
from pipeline.events.codes_kernel import deal
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
        config: how many rows of several players may be worked on together, and how many wait in memory.
    """

    def __init__(self, updates: Mapping[str, int], config: LinesConfig) -> None:
        self._update = pl.Series(["POSITION_UPDATE"], dtype=text_codes())
        self._players = pl.Series("player", sorted(updates), dtype=text_codes())
        self._groups = _groups([updates[player] for player in sorted(updates)], config.frame_rows)
        self._shelf = Shelf(config.held_rows, config.pieces)
        self._pieces: list[list[tuple[int, NDArray[np.int64]]]] = [[] for _ in self._groups]

    def add(self, events: pl.DataFrame) -> None:
        """Takes the updates of the next events, with rounds, teams and sides."""
        rows = np.flatnonzero(codes_of(events["event_type"]) == codes_of(self._update)[0])
        if not rows.size:
            return
        places = by_code(codes_of(self._players), np.arange(len(self._players)), -1)
        by_player, ends = deal(rows, looked_up(places, codes_of(events["actor"])), len(self._players))
        columns = [events["actor"].alias(name) if name == "player" else events[name] for name in _COLUMNS]
        at = pl.Series(by_player)
        updates = pl.DataFrame([_at(at, values) for values in columns])
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
                yield pl.concat(
                    [frame[ends[player] : ends[player + 1]] for player in range(last - first) for frame, ends in frames]
                )


def _at(rows: pl.Series, values: pl.Series) -> pl.Series:
    """The values at some rows, of which what is null throughout costs nothing."""
    if values.null_count() == len(values):
        return values.new_from_index(0, len(rows))
    return values[rows]


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
