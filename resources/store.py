"""Every table and file that the pipeline leaves behind, in a folder or an S3 bucket.

Belongs here: where a part lies, atomic writes, what made it (its stamp), reuse when nothing changed.
Does not belong here: the columns of a table (`pipeline.tables`), or what is computed.

A table's part is `<table>/match_id=<id>/part-0.parquet` (`log_id=` for what belongs to a log).
"""

import hashlib
import io
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import polars as pl

from pipeline.tables import TABLES, conform
from resources.files import Bucket, FileMissing, Files, Folder, StoreError

_PARTITION_COLUMN = {"logs": "log_id", "quarantine": "log_id"}
_STAMP_KEY = b"gridmotion"
# Half the size of plain or dictionary-coded floats and integers on tracks, and as fast to read.
_DELTA_TYPES = frozenset({"int32", "int64"})
_ROW_GROUP = 131_072


class PartMissing(FileMissing):
    """A table has no part for this match or log: its stage has not run."""


class PartDamaged(StoreError):
    """A part exists but cannot be read as Parquet."""


@dataclass(frozen=True)
class Stamp:
    """What made a part. Equal stamps mean equal bytes, so the part is reused.

    Attributes:
        code_version: of the pipeline source that computed it.
        config_hash: of the configuration it used.
        input_hash: of the digests of its inputs.
        model_version: of the model that decided, where one did.
    """

    code_version: str
    config_hash: str
    input_hash: str
    model_version: str = ""


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
            stamp = Stamp(**json.loads(metadata.metadata[_STAMP_KEY]))
        except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
            raise PartDamaged(f"{self.uri(path)}: {error}") from error
        return Part(self.uri(path), metadata.num_rows, len(data), hashlib.sha256(data).hexdigest(), stamp, reused=True)

    def _part_bytes(self, table: str, key: str) -> tuple[str, bytes]:
        path = self.part_path(table, key)
        try:
            return path, self.read(path)
        except FileMissing as error:
            raise PartMissing(f"{table} has no part for {key}: {error}; has its stage run?") from error

    def read_table(self, table: str, key: str) -> pl.DataFrame:
        """A table's rows for one match (or log).

        Raises:
            PartMissing: if its stage has not run.
            PartDamaged: if the file is not Parquet.
        """
        path, data = self._part_bytes(table, key)
        try:
            return pl.read_parquet(data)
        except pl.exceptions.PolarsError as error:
            raise PartDamaged(f"{self.uri(path)}: {error}") from error

    def write_table(self, table: str, key: str, frame: pl.DataFrame, stamp: Stamp) -> Part:
        """Check a frame against its declaration and write it as the whole part, atomically.

        Raises:
            SchemaViolation: if the frame is not what the table declares; nothing is written.
            StoreError: if the store refuses.
        """
        path = self.part_path(table, key)
        frame = conform(table, frame)
        data = _parquet(frame, stamp)
        self.write(path, data)
        digest = hashlib.sha256(data).hexdigest()
        return Part(self.uri(path), frame.height, len(data), digest, stamp, reused=False)

    def ensure(self, table: str, key: str, stamp: Stamp, compute: Callable[[], pl.DataFrame]) -> Part:
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


def _parquet(frame: pl.DataFrame, stamp: Stamp) -> bytes:
    import pyarrow.parquet as pq

    arrow = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    arrow = arrow.replace_schema_metadata({_STAMP_KEY: json.dumps(asdict(stamp), sort_keys=True).encode()})
    delta = {f.name: "DELTA_BINARY_PACKED" for f in arrow.schema if str(f.type) in _DELTA_TYPES}
    buffer = io.BytesIO()
    pq.write_table(
        arrow,
        buffer,
        compression="zstd",
        compression_level=3,
        row_group_size=_ROW_GROUP,
        use_dictionary=[f.name for f in arrow.schema if f.name not in delta],
        column_encoding=delta,
    )
    return buffer.getvalue()
