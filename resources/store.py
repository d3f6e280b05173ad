"""Every table and file that the pipeline leaves behind, in a folder or an S3 bucket.

Belongs here: where a part lies, atomic writes, what made it (its stamp), reuse when nothing changed.
Does not belong here: the columns of a table (`pipeline.tables`), how they are packed (`resources.parquet`), or what
is computed.

A table's part is `<table>/match_id=<id>/part-0.parquet` (`log_id=` for what belongs to a log).
"""

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import polars as pl

from pipeline.tables import TABLES, StreamCheck, conform
from resources.files import Bucket, FileMissing, Files, Folder, StoreError
from resources.parquet import STAMP_KEY, Stamp, write_parquet

_PARTITION_COLUMN = {
    "logs": "log_id", "quarantine": "log_id", "trajectories": "shard", "embeddings": "made"
}  # fmt: skip
Rows = pl.DataFrame | Iterable[pl.DataFrame]
_PIECE_BYTES = 1 << 20  # pages are small, and each write has its price


class PartMissing(FileMissing):
    """A table has no part for this match or log: its stage has not run."""


class PartDamaged(StoreError):
    """A part exists but cannot be read as Parquet."""


@dataclass(frozen=True)
class Part:
    """A written part: where it lies, how large it is, its content's name, and whether it was already there."""

    uri: str
    rows: int
    size_bytes: int
    digest: str
    stamp: Stamp
    reused: bool


class Store:
    """Tables and files below one address.

    Args:
        url: a folder, or `s3://bucket/prefix`.
        storage_options: passed to s3fs (`endpoint_url`, `client_kwargs`); credentials come from the environment.
    """

    def __init__(self, url: str, storage_options: dict[str, Any] | None = None) -> None:
        self.url = url.rstrip("/")
        self.is_local = "://" not in self.url
        self._files: Files = Folder(self.url) if self.is_local else Bucket(self.url, storage_options or {})

    # -- files -------------------------------------------------------------------------------------------------------

    def uri(self, path: str) -> str:
        """Full address of a path relative to the store."""
        return f"{self.url}/{_relative(path)}"

    def write(self, path: str, data: bytes) -> str:
        """Write a file at once and atomically, replacing what was there; returns its full address.

        Raises:
            StoreError: if the store refuses; nothing is left half written.
        """
        self._files.write(_relative(path), data)
        return self.uri(path)

    def put(self, source: Path, path: str) -> str:
        """Copy a local file into the store, in pieces, atomically; returns its full address.

        Raises:
            StoreError: if the file cannot be read or the store refuses.
        """
        self._files.put(source, _relative(path))
        return self.uri(path)

    def read(self, path: str) -> bytes:
        """Content of a file.

        Raises:
            FileMissing: if there is none.
            StoreError: if the store refuses.
        """
        return self._files.read(_relative(path))

    def delete(self, path: str) -> None:
        """Remove a file; one that is already gone is no error."""
        self._files.delete(_relative(path))

    def exists(self, path: str) -> bool:
        """Whether a file is there."""
        return self._files.exists(_relative(path))

    def files(self, folder: str = "") -> list[tuple[str, int, str]]:
        """Files below a folder of the store, or all of them, sorted by path; what is being written is left out.

        Returns:
            `(path relative to the store, size in bytes, tag)`; the tag changes when the file does.
        """
        return sorted(self._files.list(_relative(folder) if folder else ""))

    def local_copy(self, path: str) -> AbstractContextManager[Path]:
        """A file as a local path: the file itself in a folder, a temporary download on S3."""
        return self._files.local_copy(_relative(path))

    # -- tables ------------------------------------------------------------------------------------------------------

    def part_path(self, table: str, key: str) -> str:
        """Path of a table's part for one match (or log), relative to the store."""
        if table not in TABLES:
            raise StoreError(f"unknown table {table!r}; there are {', '.join(TABLES)}")
        return f"{table}/{_PARTITION_COLUMN.get(table, 'match_id')}={_key(key)}/part-0.parquet"

    def keys(self, table: str) -> list[str]:
        """Matches (or logs) that have a part of this table, sorted."""
        column = _PARTITION_COLUMN.get(table, "match_id")
        return [PurePosixPath(path).parent.name.removeprefix(f"{column}=") for path, _, _ in self.files(table)]

    def part(self, table: str, key: str) -> Part:
        """A part that is there.

        Raises:
            PartMissing: if it is not.
            PartDamaged: if it is not Parquet, or carries no stamp.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        path, data = self._part_bytes(table, key)
        try:
            metadata = pq.read_metadata(io.BytesIO(data))
            stamp = Stamp.from_json(metadata.metadata[STAMP_KEY])
        except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
            raise PartDamaged(f"{self.uri(path)}: {error}") from error
        return Part(self.uri(path), metadata.num_rows, len(data), hashlib.sha256(data).hexdigest(), stamp, reused=True)

    def _part_bytes(self, table: str, key: str) -> tuple[str, bytes]:
        path = self.part_path(table, key)
        try:
            return path, self.read(path)
        except FileMissing as error:
            raise PartMissing(f"{table} has no part for {key}: {error}; has its stage run?") from error

    def read_table(self, table: str, key: str, columns: list[str] | None = None) -> pl.DataFrame:
        """A table's rows for one match (or log); only some columns, if they are named.

        Raises:
            PartMissing: if its stage has not run.
            PartDamaged: if the file is not Parquet.
        """
        path, data = self._part_bytes(table, key)
        try:
            return pl.read_parquet(data, columns=columns)
        except pl.exceptions.PolarsError as error:
            raise PartDamaged(f"{self.uri(path)}: {error}") from error

    def write_table(self, table: str, key: str, rows: Rows, stamp: Stamp, *, new: bool = False) -> Part:
        """Check rows against their declaration and write them as the whole part, atomically.

        Args:
            table: its name.
            key: the match, or the log.
            rows: a frame, or frames one after the other of a table of `pipeline.tables.STREAMED`: of these no more
                than a row group stands in memory. However rows are cut into frames, the bytes are the same.
            stamp: what made them.
            new: whether the part takes no other's place; of several that are written at once, the first one stands.

        Raises:
            SchemaViolation: if the rows are not what the table declares; nothing is written.
            FileStands: if the part has to be new, and there is one.
            StoreError: if the store refuses.
        """
        return self.write_rows(self.part_path(table, key), table, rows, stamp, new=new)

    def write_rows(self, path: str, table: str, rows: Rows, stamp: Stamp, *, new: bool = False) -> Part:
        """What `write_table` does, at a path of the caller's."""
        path = _relative(path)
        with self._files.writing(path, new=new) as file:
            written = _Hashed(file)
            with io.BufferedWriter(written, _PIECE_BYTES) as pieces:
                count = write_parquet(table, _checked(table, rows), stamp, pieces)
        return Part(self.uri(path), count, written.size, written.digest, stamp, reused=False)

    def ensure(self, table: str, key: str, stamp: Stamp, compute: Callable[[], Rows]) -> Part:
        """The part with this stamp: the one that is there, or a new one.

        A part with another stamp, or one that cannot be read, is computed anew and replaced.
        """
        try:
            part = self.part(table, key)
        except (PartMissing, PartDamaged):
            part = None
        return part if part and part.stamp == stamp else self.write_table(table, key, compute(), stamp)


def _key(key: str) -> str:
    if not key or len(key) > 100 or not all(c.isascii() and (c.isalnum() or c in "_-") for c in key):
        raise StoreError(f"{key!r} is not a name of 1 to 100 letters, digits, '_' or '-'")
    return key


def _relative(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts:
        raise StoreError(f"{path!r} is not a path below the store")
    return path


class _Hashed(io.RawIOBase):
    """A file that knows what went through it; it is closed by who opened it."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file, self._hash = file, hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        """It is nothing else."""
        return True

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    def write(self, data: Any) -> int:
        """Takes bytes, all of them."""
        self._hash.update(data)
        self.size += len(data)
        return self._file.write(data)


def _checked(table: str, rows: Rows) -> Iterator[pl.DataFrame]:
    if isinstance(rows, pl.DataFrame):
        yield conform(table, rows)
        return
    check = StreamCheck(table)
    yield from map(check.take, rows)
    check.finish()
