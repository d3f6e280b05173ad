"""Files in a folder of this machine or in an S3 bucket, under the same few verbs.

Belongs here: whole files, written at once and atomically, and errors that name the address.
Does not belong here: what a file holds (`resources.store`).

In a folder a file is written to `.tmp/`, flushed to disk and renamed; on S3 it is one put. A process that dies leaves
at most a file in `.tmp/`, or in this machine's folder for temporary files what it had of S3; the next one removes it.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Protocol

from resources.errors import ResourceError

_COPY_BYTES = 1 << 20
_TEMPORARY = ".tmp"
# S3's names for the ends of a put that must not replace anything, and what servers say that give only the number.
_STANDS, _CONFLICTS = ("PreconditionFailed", "412"), ("ConditionalRequestConflict", "409")
_UMASK = os.umask(0o022)
os.umask(_UMASK)  # it can only be read by setting it


class StoreError(ResourceError):
    """The store refused an operation; the message names its address and the fault."""


class FileMissing(StoreError):
    """There is no such file."""


class FileStands(StoreError):
    """There is such a file already, and it was not to be replaced."""


class Files(Protocol):
    """What the store needs of a place for files. Paths are relative to it; each verb raises StoreError if refused."""

    url: str

    def write(self, path: str, data: bytes) -> None:
        """Write a file at once and atomically, replacing what was there."""

    def writing(self, path: str, *, new: bool = False) -> AbstractContextManager[BinaryIO]:
        """A file to write in pieces; it appears at once, and only if the context ends without an error.

        If it has to be new, it takes no other's place: of several writers one succeeds, the others get FileStands.
        """

    def put(self, source: Path, path: str) -> None:
        """Copy a local file there, in pieces, atomically."""

    def read(self, path: str) -> bytes:
        """Content of a file; FileMissing if there is none."""

    def delete(self, path: str) -> None:
        """Remove a file; one that is already gone is no error."""

    def exists(self, path: str) -> bool:
        """Whether a file is there."""

    def list(self, folder: str) -> list[tuple[str, int, str]]:
        """Files below a folder (all if empty): path, size in bytes, and a tag that changes when the file does."""

    @contextmanager
    def local_copy(self, path: str) -> Iterator[Path]:
        """A file as a local path, for as long as the context lasts."""


@contextmanager
def _named(verb: str, address: str, *faults: type[Exception]) -> Iterator[None]:
    """Turns a refusal of the place into a StoreError that names what was tried, and where."""
    refusals: tuple[type[Exception], ...] = (OSError, *faults)
    try:
        yield
    except FileNotFoundError as error:
        raise FileMissing(f"{address} does not exist") from error
    except FileExistsError as error:
        raise FileStands(f"{address} exists already") from error
    except refusals as error:
        raise StoreError(f"cannot {verb} {address}: {error}") from error


class _NamedWrites:
    """A file whose own refusals are named, and not those of whatever makes what is written to it."""

    def __init__(self, file: BinaryIO, named: Callable[[], AbstractContextManager[None]]) -> None:
        self._file, self._named = file, named

    def write(self, data: bytes) -> int:
        with self._named():
            return self._file.write(data)

    def flush(self) -> None:
        with self._named():
            self._file.flush()


class Folder:
    """Files in a folder of this machine."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._root = Path(url)
        _sweep(self._root / _TEMPORARY)

    def write(self, path: str, data: bytes) -> None:
        """Write to `.tmp/`, flush, rename."""
        with self.writing(path) as file:
            file.write(data)

    @contextmanager
    def writing(self, path: str, *, new: bool = False) -> Iterator[BinaryIO]:
        """A file in `.tmp/`, flushed and renamed at the end; a new one is linked, which fails if there is another."""
        target, folder = self._root / path, self._root / _TEMPORARY
        named = partial(_named, "write", str(target))
        with ExitStack() as stack:
            with named():
                folder.mkdir(parents=True, exist_ok=True)
                target.parent.mkdir(parents=True, exist_ok=True)
                file = stack.enter_context(_locked_file(folder))
            stack.callback(Path(file.name).unlink, missing_ok=True)
            yield _NamedWrites(file, named)  # type: ignore[misc]
            with named():
                file.flush()
                os.fsync(file.fileno())
                if new:
                    target.hardlink_to(file.name)
                else:
                    Path(file.name).replace(target)

    def put(self, source: Path, path: str) -> None:
        """Copy to `.tmp/`, flush, rename."""
        with _named("read", str(source)), source.open("rb") as original, self.writing(path) as file:
            shutil.copyfileobj(original, file, _COPY_BYTES)

    def read(self, path: str) -> bytes:
        """Content of a file; FileMissing if there is none."""
        with _named("read", self._address(path)):
            return (self._root / path).read_bytes()

    def delete(self, path: str) -> None:
        """Remove a file; one that is already gone is no error."""
        with _named("delete", self._address(path)):
            (self._root / path).unlink(missing_ok=True)

    def exists(self, path: str) -> bool:
        """Whether a file is there."""
        return (self._root / path).is_file()

    def list(self, folder: str) -> list[tuple[str, int, str]]:
        """Files with their modification time as tag; what is being written is left out."""
        with _named("list", self._address(folder)):
            return [
                (path.relative_to(self._root).as_posix(), path.stat().st_size, str(path.stat().st_mtime_ns))
                for path in (self._root / folder).rglob("*")
                if path.is_file() and path.parent != self._root / _TEMPORARY
            ]

    @contextmanager
    def local_copy(self, path: str) -> Iterator[Path]:
        """The file itself."""
        with _named("read", self._address(path)):
            (self._root / path).stat()
        yield self._root / path

    def _address(self, path: str) -> str:
        return f"{self.url}/{path}"


class Bucket:
    """Files below a prefix of an S3 bucket.

    Its server has to know conditional writes (`If-None-Match: *`, as S3 does): from one that ignores this header, two
    writers of a new file both hear that they succeeded, and the later one's stands.

    Args:
        url: `s3://bucket/prefix`.
        options: passed to s3fs (`endpoint_url`, `client_kwargs`, …); credentials come from the environment.
    """

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        self.url = url
        self._options = options
        _sweep(_scratch())

    @cached_property
    def _s3(self) -> Any:
        import s3fs

        # Other processes write too: a cached listing would hide what they wrote.
        return s3fs.S3FileSystem(**self._options, use_listings_cache=False, skip_instance_cache=True)

    def write(self, path: str, data: bytes) -> None:
        """One put."""
        with self._named("write", path) as address:
            self._s3.pipe_file(address, data)

    @contextmanager
    def writing(self, path: str, *, new: bool = False) -> Iterator[BinaryIO]:
        """A local file, put at the end; a new one by a conditional put."""
        named = partial(_named, "write", f"{self.url}/{path}")
        with ExitStack() as stack:
            with named():
                folder = stack.enter_context(_locked_folder())
                file = stack.enter_context(_closed_quietly(stack.enter_context(Path(folder, "file").open("wb"))))
            yield _NamedWrites(file, named)  # type: ignore[misc]
            with named():
                file.flush()
            self._put(Path(file.name), path, "create" if new else "overwrite")

    def put(self, source: Path, path: str) -> None:
        """One put, or one multipart upload, which appears only when it is complete."""
        self._put(source, path, "overwrite")

    def _put(self, source: Path, path: str, mode: str) -> None:
        with self._named("write", path) as address:
            try:
                try:
                    self._s3.put_file(str(source), address, mode=mode)
                except OSError as error:
                    if _code(error) not in _CONFLICTS:
                        raise
                    self._s3.put_file(str(source), address, mode=mode)  # now whoever was at it is done, or gives up
            except OSError as error:
                if _code(error) in _STANDS or (_code(error) in _CONFLICTS and self._s3.isfile(address)):
                    raise FileExistsError from error
                raise

    def read(self, path: str) -> bytes:
        """Content of a file; FileMissing if there is none."""
        with self._named("read", path) as address:
            return bytes(self._s3.cat_file(address))

    def delete(self, path: str) -> None:
        """Remove a file; one that is already gone is no error."""
        with self._named("delete", path) as address:
            if self._s3.isfile(address):
                self._s3.rm_file(address)

    def exists(self, path: str) -> bool:
        """Whether a file is there."""
        with self._named("look at", path) as address:
            return bool(self._s3.isfile(address))

    def list(self, folder: str) -> list[tuple[str, int, str]]:
        """Files with their ETag as tag."""
        with self._named("list", folder) as address:
            root, below = self.url.removeprefix("s3://"), address.removeprefix("s3://").rstrip("/")
            return [
                (name.removeprefix(f"{root}/"), int(info["size"]), str(info.get("ETag", "")).strip('"'))
                for name, info in self._s3.find(address, detail=True).items()
                if name.startswith(f"{below}/")  # some servers list the empty folder itself
            ]

    @contextmanager
    def local_copy(self, path: str) -> Iterator[Path]:
        """A download, removed afterwards."""
        with _locked_folder() as folder:
            local = folder / PurePosixPath(path).name
            with self._named("read", path) as address:
                self._s3.get_file(address, str(local))
            yield local

    @contextmanager
    def _named(self, verb: str, path: str) -> Iterator[str]:
        from botocore.exceptions import BotoCoreError, ClientError

        address = f"{self.url}/{path}"
        with _named(verb, address, BotoCoreError, ClientError):
            yield address


def _code(error: OSError) -> str:
    """The server's own name of a fault, which s3fs turns into an error of the system that says less."""
    told = getattr(error.__cause__, "response", {})
    return str(told.get("Error", {}).get("Code", ""))


@contextmanager
def _locked_file(folder: Path) -> Iterator[BinaryIO]:
    """A new file that is locked for as long as its writer lives."""
    while True:
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not Path(file.name).exists():
                continue  # another process swept it between its creation and its lock
            Path(file.name).chmod(0o666 & ~_UMASK)  # temporary files are for their owner only; tables are not
            with _closed_quietly(file):  # type: ignore[arg-type]
                yield file  # type: ignore[misc]
            return


@contextmanager
def _closed_quietly(file: BinaryIO) -> Iterator[BinaryIO]:
    """A file that, after an error, is closed without another one."""
    try:
        yield file
    except BaseException:
        with suppress(OSError):
            file.close()  # flushes what is left, and on a full disk fails once more
        raise


def _scratch() -> Path:
    """Where what comes from S3 or goes there lies meanwhile."""
    folder = Path(tempfile.gettempdir(), f"gridmotion-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


@contextmanager
def _locked_folder() -> Iterator[Path]:
    """A new folder that is locked for as long as its owner lives, and gone afterwards."""
    while True:
        folder = Path(tempfile.mkdtemp(dir=_scratch()))
        try:
            lock = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:
            continue  # another process swept it
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():
                yield folder
                return
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _sweep(folder: Path) -> None:
    """Removes what processes that are gone left behind in a folder: their locks went with them."""
    for leftover in folder.glob("*"):
        with suppress(OSError):  # it is gone, in use or another user's: nothing that opening a store is to fail for
            lock = os.open(leftover, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if leftover.is_dir():
                    shutil.rmtree(leftover)
                else:
                    leftover.unlink()
            finally:
                os.close(lock)
