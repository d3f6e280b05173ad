"""Frames that are read again and again but never stand in memory together.

Belongs here: keeping frames in order, the latest in memory and all before them on disk.
Does not belong here: what is in them, or another order than that of their adding (`pipeline.events.order`).

What is on disk has no name there: the operating system frees it with the process, however that ends.
"""

import tempfile
from collections.abc import Iterator

import polars as pl


class Spool:
    """Rows of one schema in the order of their adding, as a sequence of frames.

    Args:
        held_rows: how many rows may stand in memory; also about how many a frame of the sequence has.
    """

    def __init__(self, held_rows: int) -> None:
        self._held_rows = held_rows
        self._held: list[pl.DataFrame] = []
        self._held_count = 0
        self._away = _Away()
        self._places: list[tuple[int, int]] = []

    @property
    def heights(self) -> list[int]:
        """How many rows each frame has."""
        return [rows for _, rows in self._places] + ([self._held_count] if self._held else [])

    def add(self, frame: pl.DataFrame) -> None:
        """Adds rows behind all others."""
        if frame.is_empty():
            return
        self._held.append(frame)
        self._held_count += frame.height
        if self._held_count > self._held_rows:
            self._places.append((self._away.put(pl.concat(self._held)), self._held_count))
            self._held.clear()
            self._held_count = 0

    def __len__(self) -> int:
        return len(self._places) + bool(self._held)

    def __getitem__(self, place: int) -> pl.DataFrame:
        if place < len(self._places):
            return self._away.get(self._places[place][0])
        if place >= len(self):
            raise IndexError(place)
        self._held = [pl.concat(self._held)]
        return self._held[0]


class Pigeonholes:
    """Rows of one schema by hole, each hole in the order of its adding, all on disk."""

    def __init__(self, holes: int) -> None:
        self._away = _Away()
        self._places: list[list[int]] = [[] for _ in range(holes)]

    def add(self, hole: int, frame: pl.DataFrame) -> None:
        """Adds rows behind all others of the hole."""
        self._places[hole].append(self._away.put(frame))

    def pieces(self, hole: int) -> Iterator[pl.DataFrame]:
        """The frames of a hole as they were added."""
        for place in self._places[hole]:
            yield self._away.get(place)

    def __iter__(self) -> Iterator[pl.DataFrame]:
        """The rows of one hole after the other; holes without rows are left out."""
        for hole, places in enumerate(self._places):
            if places:
                yield pl.concat(self.pieces(hole))


class _Away:
    """Frames on disk, in a file without a name."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="gridmotion-", buffering=0)  # noqa: SIM115  # lives as long as this

    def put(self, frame: pl.DataFrame) -> int:
        place = self._file.seek(0, 2)
        frame.write_ipc_stream(self._file, compat_level=pl.CompatLevel.newest())
        return place

    def get(self, place: int) -> pl.DataFrame:
        self._file.seek(place)
        return pl.read_ipc_stream(self._file)
