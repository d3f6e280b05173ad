"""Frames that are read again and again but never stand in memory together.

Belongs here: keeping rows in bounded memory and the rest on disk. Does not belong here: what is in them, or another
order than that of their adding (`pipeline.events.order`).

What is on disk has no name there: the operating system frees it with the process, however that ends.
"""

import tempfile
from collections.abc import Iterator

import polars as pl

from configs.events import PiecesConfig


class Shelf:
    """Frames by place; all of them stand in memory, or as soon as there is no room for one more, on disk.

    Args:
        held_rows: how many rows may stand in memory.
        pieces: in which the rows go to disk.
    """

    def __init__(self, held_rows: int, pieces: PiecesConfig) -> None:
        self._room = held_rows
        self._held: list[pl.DataFrame] = []
        self._disk = _Disk(pieces)
        self._ends = [0]  # of the frames on disk, in pieces there

    def __len__(self) -> int:
        return len(self._held) + len(self._ends) - 1

    def put(self, frame: pl.DataFrame) -> int:
        """Keeps a frame; gives its place, counted from 0."""
        self._room -= frame.height
        self._held.append(frame)
        if self._room < 0:
            del frame
            while self._held:
                self._disk.add(self._held.pop(0))
                self._ends.append(len(self._disk.heights))
        return len(self) - 1

    def get(self, place: int) -> pl.DataFrame:
        """The frame at that place."""
        if self._held:
            return self._held[place]
        return pl.concat(map(self._disk.get, range(*self._ends[place : place + 2])), rechunk=True)


class Spool:
    """Rows of one schema in the order of their adding, as a sequence of frames, of which the last stands in memory.

    Frames on disk are smaller than those that fit into memory: where rows wait for room, as few as possible of them
    are worked on at once.

    Args:
        frame_rows: a frame in memory ends as soon as it has more rows than this.
        pieces: in which the rows go to disk.
        held_rows: how many rows of other frames may stand in memory.
    """

    def __init__(self, frame_rows: int, pieces: PiecesConfig, held_rows: int = 0) -> None:
        self._frame_rows = frame_rows
        self._room = held_rows
        self._held: list[pl.DataFrame] = []
        self._disk = _Disk(pieces)
        self._last: list[pl.DataFrame] = []
        self._last_rows = 0

    @property
    def heights(self) -> list[int]:
        """How many rows each frame has; to be asked for when all are added."""
        return [
            *self._disk.heights,
            *(frame.height for frame in self._held),
            *([self._last_rows] if self._last else []),
        ]

    def add(self, frame: pl.DataFrame) -> None:
        """Adds rows behind all others."""
        if frame.is_empty():
            return
        self._last.append(frame)
        self._last_rows += frame.height
        if self._last_rows > self._frame_rows:
            del frame
            self._end_frame()
            if self._room < 0:
                self._write()

    def put_away(self) -> None:
        """Lets all rows so far wait on disk."""
        if self._last:
            self._end_frame()
        self._room = -1  # frames on disk come before those in memory
        self._write()

    def _end_frame(self) -> None:
        self._room -= self._last_rows
        self._held.append(pl.concat(self._last, rechunk=True))
        self._last, self._last_rows = [], 0  # lest they stand in memory beside the whole while that is put away

    def _write(self) -> None:
        while self._held:
            self._disk.add(self._held.pop(0))

    def __len__(self) -> int:
        return len(self.heights)

    def __getitem__(self, place: int) -> pl.DataFrame:
        written = len(self._disk.heights)
        if place < written:
            return self._disk.get(place)
        if place < written + len(self._held):
            return self._held[place - written]
        if place >= len(self):
            raise IndexError(place)
        self._last = [pl.concat(self._last, rechunk=True)]
        return self._last[0]


class _Disk:
    """Rows in a file without a name, in pieces."""

    def __init__(self, pieces: PiecesConfig) -> None:
        self._pieces = pieces
        self.heights: list[int] = []
        self._ends = [0]
        # polars writes and reads through the file's descriptor: a buffer of Python's would stand somewhere else.
        self._file = tempfile.TemporaryFile(prefix="gridmotion-", buffering=0)  # noqa: SIM115  # lives as long as this

    def add(self, frame: pl.DataFrame) -> None:
        """Writes rows behind all others, in as many pieces as need be."""
        self._file.seek(self._ends[-1])
        pieces = -(-frame.height // self._pieces.rows)
        for piece in frame.iter_slices(-(-frame.height // max(1, pieces))):
            for first in range(0, piece.width, self._pieces.columns):
                columns = piece[:, first : first + self._pieces.columns]
                columns.write_ipc_stream(self._file, compat_level=pl.CompatLevel.newest())
            self.heights.append(piece.height)
            self._ends.append(self._file.tell())

    def get(self, place: int) -> pl.DataFrame:
        """A piece."""
        self._file.seek(self._ends[place])
        columns = []
        while self._file.tell() < self._ends[place + 1]:
            columns.append(pl.read_ipc_stream(self._file))
        return pl.concat(columns, how="horizontal")


class Pigeonholes:
    """Rows of one schema by hole, each hole in the order of its adding.

    Args:
        holes: how many there are.
        held_rows: how many rows may stand in memory.
        pieces: in which the rows go to disk.
    """

    def __init__(self, holes: int, held_rows: int, pieces: PiecesConfig) -> None:
        self._shelf = Shelf(held_rows, pieces)
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
