"""Every table and file that the pipeline leaves behind, in a folder or an S3 bucket.

Belongs here: where a part lies, atomic writes, what made it (its stamp), reuse when nothing changed.
Does not belong here: the columns of a table (`pipeline.tables`), or what is computed.

A table's part is `<table>/match_id=<id>/part-0.parquet` (`log_id=` for what belongs to a log). A write is atomic: in a
folder to `.tmp/` and then renamed, on S3 one put. A process that dies leaves at most a file in `.tmp/`, which the next
process removes.
"""

import fcntl
import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import polars as pl

from pipeline.tables import TABLES, conform
from resources.errors import ResourceError

_PARTITION_COLUMN = {"logs": "log_id", "quarantine": "log_id"}
_STAMP_KEY = b"gridmotion"
# Half the size of plain or dictionary-coded floats and integers on tracks, and as fast to read.
_DELTA_TYPES = frozenset({"int32", "int64"})
_ROW_GROUP = 131_072
_COPY_BYTES = 1 << 20
_TEMPORARY = ".tmp"
_UMASK = os.umask(0o022)
os.umask(_UMASK)  # it can only be read by setting it


class StoreError(ResourceError):
    """The store refused an operation; the message names its address and the fault."""


class PartMissing(StoreError):
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
        self._options = storage_options or {}
        if self.is_local:
            self._sweep()

    @property
    def is_local(self) -> bool:
        """Whether the store is a folder of this machine."""
        return "://" not in self.url

    @cached_property
    def _s3(self) -> Any:
        import s3fs

        return s3fs.S3FileSystem(**self._options, skip_instance_cache=True)

    # -- files -------------------------------------------------------------------------------------------------------

    def uri(self, path: str) -> str:
        """Full address of a path relative to the store."""
        return f"{self.url}/{_relative(path)}"

    def write(self, path: str, data: bytes) -> str:
        """Write a file at once and atomically, replacing what was there.

        Returns:
            The file's full address.

        Raises:
            StoreError: if the store refuses; nothing is left half written.
        """
        target = self.uri(path)
        try:
            if self.is_local:
                with self._replacing(Path(target)) as file:
                    file.write(data)
            else:
                self._s3.pipe_file(target, data)
        except OSError as error:
            raise StoreError(f"cannot write {target}: {error}") from error
        return target

    def put(self, source: Path, path: str) -> str:
        """Copy a local file into the store, in pieces, atomically.

        Returns:
            The file's full address.

        Raises:
            StoreError: if the file cannot be read or the store refuses.
        """
        target = self.uri(path)
        try:
            if self.is_local:
                with source.open("rb") as original, self._replacing(Path(target)) as file:
                    shutil.copyfileobj(original, file, _COPY_BYTES)
            else:
                self._s3.put_file(str(source), target)
        except OSError as error:
            raise StoreError(f"cannot copy {source.name} to {target}: {error}") from error
        return target

    def delete(self, path: str) -> None:
        """Remove a file; one that is already gone is no error."""
        target = self.uri(path)
        try:
            if self.is_local:
                Path(target).unlink(missing_ok=True)
            elif self._s3.isfile(target):
                self._s3.rm_file(target)
        except OSError as error:
            raise StoreError(f"cannot delete {target}: {error}") from error

    def read(self, path: str) -> bytes:
        """Content of a file.

        Raises:
            PartMissing: if there is none.
            StoreError: if the store refuses.
        """
        target = self.uri(path)
        try:
            return Path(target).read_bytes() if self.is_local else bytes(self._s3.cat_file(target))
        except FileNotFoundError as error:
            raise PartMissing(f"{target} does not exist") from error
        except OSError as error:
            raise StoreError(f"cannot read {target}: {error}") from error

    def exists(self, path: str) -> bool:
        """Whether a file is there."""
        target = self.uri(path)
        try:
            return Path(target).is_file() if self.is_local else bool(self._s3.isfile(target))
        except OSError as error:
            raise StoreError(f"cannot look at {target}: {error}") from error

    def files(self, folder: str = "") -> list[tuple[str, int, str]]:
        """Files below a folder of the store, or all of them, sorted by path; what is being written is left out.

        Returns:
            `(path relative to the store, size in bytes, tag)`; the tag changes when the file does.
        """
        target = self.uri(folder) if folder else self.url
        try:
            if self.is_local:
                found = [
                    (p.relative_to(self.url).as_posix(), p.stat().st_size, str(p.stat().st_mtime_ns))
                    for p in Path(target).rglob("*")
                    if p.is_file() and p.parent.name != _TEMPORARY
                ]
            else:
                self._s3.invalidate_cache()
                root, below = self.url.removeprefix("s3://"), target.removeprefix("s3://")
                found = [
                    (name.removeprefix(f"{root}/"), int(info["size"]), str(info.get("ETag", "")).strip('"'))
                    for name, info in self._s3.find(target, detail=True).items()
                    if name.startswith(f"{below}/")  # some servers list the empty folder itself
                ]
        except OSError as error:
            raise StoreError(f"cannot list {target}: {error}") from error
        return sorted(found)

    @contextmanager
    def local_copy(self, path: str) -> Iterator[Path]:
        """A file as a local path: the file itself in a folder, a temporary download on S3."""
        if self.is_local:
            yield Path(self.uri(path))
            return
        folder = Path(tempfile.mkdtemp(prefix="gridmotion-"))
        try:
            local = folder / PurePosixPath(path).name
            try:
                self._s3.get_file(self.uri(path), str(local))
            except OSError as error:
                raise StoreError(f"cannot read {self.uri(path)}: {error}") from error
            yield local
        finally:
            shutil.rmtree(folder)

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

        path = self.part_path(table, key)
        data = self.read(path)
        try:
            metadata = pq.read_metadata(io.BytesIO(data))
            stamp = Stamp(**json.loads(metadata.metadata[_STAMP_KEY]))
        except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
            raise PartDamaged(f"{self.uri(path)}: {error}") from error
        return Part(self.uri(path), metadata.num_rows, len(data), hashlib.sha256(data).hexdigest(), stamp, reused=True)

    def read_table(self, table: str, key: str) -> pl.DataFrame:
        """A table's rows for one match (or log).

        Raises:
            PartMissing: if its stage has not run.
            PartDamaged: if the file is not Parquet.
        """
        path = self.part_path(table, key)
        try:
            return pl.read_parquet(self.read(path))
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

    @contextmanager
    def _replacing(self, target: Path) -> Iterator[BinaryIO]:
        folder = Path(self.url) / _TEMPORARY
        folder.mkdir(parents=True, exist_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked_file(folder) as file:
            try:
                yield file
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).replace(target)
            finally:
                Path(file.name).unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Remove what processes that are gone left behind: their locks went with them."""
        for leftover in (Path(self.url) / _TEMPORARY).glob("*"):
            with suppress(FileNotFoundError, BlockingIOError), leftover.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                leftover.unlink()


@contextmanager
def _locked_file(folder: Path) -> Iterator[BinaryIO]:
    """A new file that is locked for as long as its writer lives."""
    while True:
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not Path(file.name).exists():
                continue  # another process swept it between its creation and its lock
            Path(file.name).chmod(0o666 & ~_UMASK)  # temporary files are for their owner only; tables are not
            yield file  # type: ignore[misc]
            return


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
