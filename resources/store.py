"""Every table and file that the pipeline leaves behind, in a folder or an S3 bucket.

Belongs here: where a part lies, atomic writes, what made it (its stamp), reuse when nothing changed.
Does not belong here: the columns of a table (`pipeline.tables`), or what is computed.

A table's part is `<table>/match_id=<id>/part-0.parquet` (`log_id=` for what belongs to a log).
"""

import base64
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import polars as pl

from pipeline.tables import TABLES, StreamCheck, conform, empty
from resources.files import Bucket, FileMissing, Files, Folder, StoreError

_PARTITION_COLUMN = {"logs": "log_id", "quarantine": "log_id"}
_STAMP_KEY = b"gridmotion"
_ARROW_KEY = b"ARROW:schema"  # tells readers of Arrow the types that Parquet does not have
_COMPAT = pl.CompatLevel.oldest()
Rows = pl.DataFrame | Iterable[pl.DataFrame]
# How each kind of column packs best, measured on real matches. Of what follows its neighbour closely the difference
# is kept, of what repeats a few values their places in a list, of small numbers each byte apart; zstd does the rest.
_BY_TYPE = {"int32": "DELTA_BINARY_PACKED", "int64": "DELTA_BINARY_PACKED"}
_BY_NAME = {
    "event_id": "DELTA_BYTE_ARRAY",
    "occurred_at": "DELTA_BINARY_PACKED",
    **dict.fromkeys(("payload", "raw"), "PLAIN"),
    **dict.fromkeys(("y_mm", "round", "hp", "armor", "amount"), "BYTE_STREAM_SPLIT"),
    **dict.fromkeys(("yaw_mdeg", "pitch_mdeg"), "DICTIONARY"),
}
_BY_TABLE = {"events": dict.fromkeys(("x_mm", "z_mm"), "DICTIONARY")}  # players in turn: no value follows its neighbour
_DICTIONARY_BYTES = 131_072  # a longer list of values costs more than it saves
_ROW_GROUP = 131_072  # rows; smaller ones write lists of values too often
_ROW_GROUP_OF = {"events": 65_536, "quarantine": 16_384}  # they hold long texts
_WITH_STATISTICS = ("t_ms",)


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

    def write_table(self, table: str, key: str, rows: Rows, stamp: Stamp) -> Part:
        """Check rows against their declaration and write them as the whole part, atomically.

        Args:
            table: its name.
            key: the match, or the log.
            rows: a frame, or frames one after the other of a table of `pipeline.tables.STREAMED`: of these no more
                than a row group stands in memory. However rows are cut into frames, the bytes are the same.
            stamp: what made them.

        Raises:
            SchemaViolation: if the rows are not what the table declares; nothing is written.
            StoreError: if the store refuses.
        """
        path = self.part_path(table, key)
        with self._files.writing(path) as file:
            written = _Hashed(file)
            count = write_parquet(table, _checked(table, rows), stamp, written)
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


class _Hashed:
    """A file that knows what went through it."""

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._hash = file, hashlib.sha256()
        self.size = 0

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        self.size += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        """The file is flushed by who opened it."""


def _checked(table: str, rows: Rows) -> Iterator[pl.DataFrame]:
    if isinstance(rows, pl.DataFrame):
        yield conform(table, rows)
        return
    check = StreamCheck(table)
    yield from map(check.take, rows)
    check.finish()


def write_parquet(table: str, frames: Iterable[pl.DataFrame], stamp: Stamp, file: Any) -> int:
    """Writes rows of a table as Parquet; the same rows and stamp give the same bytes, however they are cut.

    Args:
        table: its name.
        frames: its columns in its order; texts may be categorical.
        stamp: what made them, kept in the metadata.
        file: takes bytes by `write`.

    Returns:
        How many rows there were.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    declared = empty(table).to_arrow(compat_level=_COMPAT).schema
    encodings = {field.name: _encoding(table, field) for field in declared}
    metadata = {
        _STAMP_KEY: json.dumps(asdict(stamp), sort_keys=True).encode(),
        _ARROW_KEY: base64.b64encode(declared.serialize().to_pybytes()),
    }
    count, most = 0, _ROW_GROUP_OF.get(table, _ROW_GROUP)
    writer: Any = None
    for group in _row_groups(frames, most, empty(table)):
        columns = [_arrow(group[name], encoding) for name, encoding in encodings.items()]
        rows = pa.table(columns, names=declared.names)
        writer = writer or pq.ParquetWriter(
            file,
            rows.schema,
            compression="zstd",
            compression_level=3,
            use_dictionary=[name for name, encoding in encodings.items() if encoding == "DICTIONARY"],
            column_encoding={name: encoding for name, encoding in encodings.items() if encoding != "DICTIONARY"},
            dictionary_pagesize_limit=_DICTIONARY_BYTES,
            write_statistics=[name for name in _WITH_STATISTICS if name in encodings],
            store_schema=False,
        )
        writer.write_table(rows, row_group_size=most)
        count += rows.num_rows
        del group, columns, rows  # before the next ones are made
    writer.add_key_value_metadata(metadata)
    writer.close()
    return count


def _encoding(table: str, field: Any) -> str:
    by_name = {**_BY_NAME, **_BY_TABLE.get(table, {})}
    return by_name.get(field.name, _BY_TYPE.get(str(field.type), "DICTIONARY"))


def _row_groups(frames: Iterable[pl.DataFrame], most: int, none: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The rows cut anew, each group full but the last; a table without rows is one group without rows."""
    held: list[pl.DataFrame] = []
    count = groups = 0
    for frame in frames:
        held.append(frame)
        count += frame.height
        while count >= most:
            rows = pl.concat(held)
            held, count = [rows[most:]], count - most
            groups += 1
            rows = rows[:most]
            yield rows
            del rows
    if count or not groups:
        yield pl.concat(held) if count else none


def _arrow(values: pl.Series, encoding: str) -> Any:
    """A column as Arrow has it; texts become a list of values by first use and places in it.

    So the bytes depend on nothing but the rows, where codes depend on what else this process has read.
    """
    import pyarrow as pa

    if not isinstance(values.dtype, pl.Categorical):
        if values.dtype == pl.String and encoding == "DICTIONARY":
            return values.to_arrow(compat_level=_COMPAT).dictionary_encode()
        return values.to_arrow(compat_level=pl.CompatLevel.newest() if values.dtype == pl.String else _COMPAT)
    if encoding != "DICTIONARY":
        return values.cast(pl.String).to_arrow(compat_level=_COMPAT)
    codes = values.to_physical().to_arrow().dictionary_encode()
    known = pl.Series(codes.dictionary).to_frame().select(pl.first().cat.to(values.dtype).cast(pl.String)).to_series()
    return pa.DictionaryArray.from_arrays(codes.indices, known.to_arrow(compat_level=_COMPAT), safe=False)
