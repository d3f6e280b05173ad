"""Frames that are read again and again but never stand in memory together.

Belongs here: keeping rows in bounded memory and the rest on disk. Does not belong here: what is in them, or another
order than that of their adding (`pipeline.events.order`).

What is on disk has no name there: the operating system frees it with the process, however that ends.
"""

import tempfile
from collections.abc import Iterator

import polars as pl


class Shelf:
    """Frames by place; the first stand in memory, those for which there is no more room on disk.

    Args:
        held_rows: how many rows may stand in memory.
    """

    def __init__(self, held_rows: int) -> None:
        self._room = held_rows
        self._held: dict[int, pl.DataFrame] = {}
        self._places: list[int] = []
        self._file = tempfile.TemporaryFile(prefix="gridmotion-", buffering=0)  # noqa: SIM115  # lives as long as this

    def __len__(self) -> int:
        return len(self._places)

    def put(self, frame: pl.DataFrame) -> int:
        """Keeps a frame; gives its place, counted from 0."""
        if frame.height <= self._room:
            self._held[len(self)] = frame
            self._room -= frame.height
            self._places.append(-1)
        else:
            self._room = 0
            self._places.append(self._file.seek(0, 2))
            frame.write_ipc_stream(self._file, compat_level=pl.CompatLevel.newest())
        return len(self) - 1

    def get(self, place: int) -> pl.DataFrame:
        """The frame at that place."""
        if place in self._held:
            return self._held[place]
        self._file.seek(self._places[place])
        return pl.read_ipc_stream(self._file)


class Spool:
    """Rows of one schema in the order of their adding, as a sequence of frames, of which the last stands in memory.

    Args:
        frame_rows: a frame ends as soon as it has more rows than this.
    """

    def __init__(self, frame_rows: int) -> None:
        self._frame_rows = frame_rows
        self._shelf = Shelf(held_rows=0)
        self._last: list[pl.DataFrame] = []
        self._last_rows = 0
        self._heights: list[int] = []

    @property
    def heights(self) -> list[int]:
        """How many rows each frame has."""
        return self._heights + ([self._last_rows] if self._last else [])

    def add(self, frame: pl.DataFrame) -> None:
        """Adds rows behind all others."""
        if frame.is_empty():
            return
        self._last.append(frame)
        self._last_rows += frame.height
        if self._last_rows > self._frame_rows:
            self._heights.append(self._last_rows)
            whole = pl.concat(self._last, rechunk=True)
            self._last, self._last_rows = [], 0  # lest they stand in memory beside the whole while that is put away
            self._shelf.put(whole)

    def __len__(self) -> int:
        return len(self.heights)

    def __getitem__(self, place: int) -> pl.DataFrame:
        if place < len(self._shelf):
            return self._shelf.get(place)
        if place >= len(self):
            raise IndexError(place)
        self._last = [pl.concat(self._last, rechunk=True)]
        return self._last[0]


class Pigeonholes:
    """Rows of one schema by hole, each hole in the order of its adding.

    Args:
        holes: how many there are.
        held_rows: how many rows may stand in memory.
    """

    def __init__(self, holes: int, held_rows: int) -> None:
        self._shelf = Shelf(held_rows)
        self._places: list[list[int]] = [[] for _ in range(holes)]

    def add(self, hole: int, frame: pl.DataFrame) -> None:
        """Adds rows behind all others of the hole."""
        self._places[hole].append(self._shelf.put(frame))

    def pieces(self, hole: int) -> Iterator[pl.DataFrame]:
        """The frames of a hole as they were added."""
        for place in self._places[hole]:
            yield self._shelf.get(place)

    def __iter__(self) -> Iterator[pl.DataFrame]:
        """The rows of one hole after the other; holes without rows are left out."""
        for hole, places in enumerate(self._places):
            if places:
                yield pl.concat(self.pieces(hole))
