"""A log as a bounded stream of lines, whatever it is packed in.

Belongs here: opening `.jsonl`, gzip and zip by their content, cutting lines, limits on memory.
Does not belong here: what a line says (`pipeline.events.sources`).
"""

import gzip
import hashlib
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol, cast

import polars as pl

from configs.events import LinesConfig
from pipeline.errors import PipelineError

GZIP_MAGIC = b"\x1f\x8b"  # RFC 1952, 2.3.1
ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")  # APPNOTE.TXT 4.3.7, 4.3.16 (an empty archive)
UTF8_BOM = b"\xef\xbb\xbf"
ENDINGS = (".jsonl", ".ndjson", ".json")
_BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, RuntimeError, NotImplementedError)


class UnusableLog(PipelineError):
    """A log of which nothing can be used; the message names the log and the first reason.

    Attributes:
        quarantine: table `quarantine` of the lines that were read before that was known; None if none was.
    """

    quarantine: pl.DataFrame | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One line that is not blank.

    Attributes:
        number: from 1, blank lines counted, running on over the members of an archive; 0 for the file itself.
        data: its bytes without the line ending; of a refused line only the start.
        refused: why it can't be read at all, else None.
    """

    number: int
    data: bytes
    refused: str | None = None


def digest(path: Path) -> tuple[str, int]:
    """SHA-256 of a file as hex, and its size in bytes.

    Raises:
        UnusableLog: if the file can't be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size
    except OSError as error:
        raise UnusableLog(f"{path.name}: {error.strerror or error}") from error


def read_lines(path: Path, config: LinesConfig) -> Iterator[Line]:
    """The lines of a log, never more than one line and one chunk in memory.

    A line longer than the limit, and the rest of an archive that breaks off, come as refused lines: no limit and
    no damage loses what can still be read.

    Args:
        path: plain text, gzip or a zip of line files, told apart by their first bytes.
        config: limits.

    Raises:
        UnusableLog: if the file can't be opened, or a zip holds no line file, too many, or a name that leaves
            its folder or is itself an archive.
    """
    number = 0
    unpacked = 0
    for member, packed in _members(path, config):
        cutter = _Cutter(number, config)
        while True:
            refused = None
            try:
                chunk = member.read1(config.chunk_bytes)  # unlike read, keeps what came before damage
            except _BROKEN as error:
                chunk, refused = b"", Line(0, b"", f"the file breaks off after line {cutter.number}: {error}")
            unpacked += len(chunk)
            if packed and unpacked > config.max_unpacked_bytes:
                chunk, refused = b"", Line(0, b"", f"unpacks to more than {config.max_unpacked_bytes} bytes")
            yield from cutter.feed(chunk) if chunk else cutter.finish()
            if refused is not None:
                yield refused
            if not chunk:
                break
        number = cutter.number
        if packed and unpacked > config.max_unpacked_bytes:
            return


class _Readable(Protocol):
    def read1(self, size: int, /) -> bytes: ...


def _members(path: Path, config: LinesConfig) -> Iterator[tuple[_Readable, bool]]:
    with ExitStack() as stack:
        try:
            file = stack.enter_context(path.open("rb"))
            magic = file.read(4)
            file.seek(0)
        except OSError as error:
            raise UnusableLog(f"{path.name}: {error.strerror or error}") from error
        if magic.startswith(GZIP_MAGIC):
            yield gzip.GzipFile(fileobj=file), True
        elif magic in ZIP_MAGIC:
            try:
                archive = stack.enter_context(zipfile.ZipFile(file))
                entries = _line_files(path, archive, config)
            except _BROKEN as error:
                raise UnusableLog(f"{path.name}: not a readable zip: {error}") from error
            for entry in entries:
                yield _Member(archive, entry), True
        else:
            yield file, False


class _Member:
    """A member of a zip, opened at its first read so that a damaged one refuses a line and not the file."""

    def __init__(self, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
        self._archive, self._entry = archive, entry
        self._file: zipfile.ZipExtFile | None = None

    def read1(self, size: int, /) -> bytes:
        if self._file is None:
            self._file = cast(zipfile.ZipExtFile, self._archive.open(self._entry))
        return self._file.read1(size)


def _line_files(path: Path, archive: zipfile.ZipFile, config: LinesConfig) -> list[zipfile.ZipInfo]:
    """Entries and not names, as a zip may hold two members of one name."""
    entries = []
    for entry in archive.infolist():
        if entry.is_dir():
            continue
        name = PurePosixPath(entry.filename.replace("\\", "/"))
        if name.is_absolute() or ".." in name.parts or ":" in name.parts[0]:
            raise UnusableLog(f"{path.name}: member {entry.filename!r} points outside the archive")
        if name.suffix.lower() in (".zip", ".gz", ".tgz", ".tar", ".7z", ".xz", ".bz2", ".zst"):
            raise UnusableLog(f"{path.name}: member {entry.filename!r} is an archive inside the archive")
        if name.suffix.lower() in ENDINGS and not name.name.startswith("._") and name.parts[0] != "__MACOSX":
            entries.append(entry)
    if not entries:
        raise UnusableLog(f"{path.name}: the zip holds no {', '.join(ENDINGS)} file")
    if len(entries) > config.max_members:
        raise UnusableLog(f"{path.name}: {len(entries)} line files in the zip, at most {config.max_members} are read")
    return sorted(entries, key=lambda entry: entry.filename)


class _Cutter:
    """Cuts chunks into lines; of an open line that is already too long it holds only the start and the length."""

    def __init__(self, number: int, config: LinesConfig) -> None:
        self.number = number
        self._first = number + 1
        self._config = config
        self._held = b""
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[Line]:
        pieces = chunk.split(b"\n")
        for piece in pieces[:-1]:
            self._extend(piece)
            yield from self._end()
        self._extend(pieces[-1])

    def finish(self) -> Iterator[Line]:
        if self._size:
            yield from self._end()

    def _end(self) -> Iterator[Line]:
        held, size = self._held, self._size
        self._held, self._size = b"", 0
        self.number += 1
        if size > self._config.max_line_bytes:
            reason = f"{size} bytes in a line, at most {self._config.max_line_bytes} are read"
            yield Line(self.number, held, reason)
            return
        if self.number == self._first:
            held = held.removeprefix(UTF8_BOM)
        if held.strip():
            yield Line(self.number, held)

    def _extend(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._config.max_line_bytes:
            self._held = (self._held + piece[: 4 * self._config.raw_chars])[: 4 * self._config.raw_chars]
        else:
            self._held = self._held + piece if self._held else piece
