"""What a log is packed in: nothing, gzip, or a zip of line files.

Belongs here: telling them apart by content, unpacking in bounded chunks, refusing what is made to harm.
Does not belong here: lines (`pipeline.events.lines`).

Unpacking is bounded twice: by size, and by how many times its own size a file may unpack to. A zip is held to both
before anything of it is unpacked, by the sizes that it declares, and no member may then exceed what it declared.
"""

import stat
import struct
import zipfile
import zlib
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from blake3 import blake3
from isal import isal_zlib

from configs.events import LinesConfig
from pipeline.errors import PipelineError
from pipeline.events.streams import TableStream

GZIP_MAGIC = b"\x1f\x8b"  # RFC 1952, 2.3.1
ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")  # APPNOTE.TXT 4.3.7, 4.3.16 (an empty archive)
OTHER_MAGIC = (b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07")
ENDINGS = (".jsonl", ".ndjson", ".json")
ARCHIVES = (".zip", ".gz", ".tgz", ".tar", ".7z", ".xz", ".bz2", ".zst", ".rar")
_DEFLATE_ERROR: type[Exception] = isal_zlib.error  # type: ignore[assignment]  # its stub tells an instance
BROKEN = (OSError, EOFError, zlib.error, _DEFLATE_ERROR, zipfile.BadZipFile, struct.error)
"""What damage raises while a file is read."""

_PACKED_STEP, _UNPACKED_STEP, _SMALL_STEP = 65_536, 524_288, 256  # bytes
_GZIP_EXTRA, _GZIP_NAME, _GZIP_COMMENT, _GZIP_HEADER_CRC = 4, 8, 16, 2  # RFC 1952, 2.3.1.2
_GZIP_TEXT = 65_536  # bytes; RFC 1952 sets no limit to a name or comment, but gives every other field 16 bits of length
_LOCAL_HEADER = struct.Struct("<4s2xHH16xHH")  # APPNOTE.TXT 4.3.7: signature, flags, method, name and extra length
_DIRECTORY_END = b"PK\x05\x06"  # APPNOTE.TXT 4.3.16; 22 bytes and a comment of at most 65,535
_LOCATOR_64 = struct.Struct("<4s4xQ4x")  # 4.3.15, right before that: signature, place of the following
_DIRECTORY_END_64 = struct.Struct("<4s36xQ8x")  # 4.3.14: signature, size of the directory
_ENCRYPTED = 1
_MOST_OFFSET = 2**63 - 1  # zip64 has 64 bits for it (APPNOTE.TXT 4.5.3), systems 63


class UnusableLog(PipelineError):
    """A log of which nothing can be used; the message names the log and the first reason.

    Attributes:
        quarantine: table `quarantine` of the lines that were read before that was known; None if none was.
    """

    quarantine: TableStream | None = None


class TooLarge(PipelineError):
    """A packed log unpacks to more than the limits allow; what came before stands."""


class Content:
    """What a file is known by: the BLAKE3 hash and the number of its bytes, as they pass by.

    Attributes:
        size: how many bytes were seen.
        is_whole: whether these are all.
    """

    def __init__(self) -> None:
        self._hash = blake3()
        self.size = 0
        self.is_whole = False

    @classmethod
    def of(cls, path: Path) -> "Content":
        """Of a whole file; OSError if it can't be read."""
        content = cls()
        with path.open("rb") as file:
            for _ in content.seen(iter(lambda: file.read(_UNPACKED_STEP), b"")):
                pass
        return content

    @property
    def blake3(self) -> str:
        """Of the bytes so far, as hex."""
        return self._hash.hexdigest()

    def seen(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """The chunks of the file from its start, noted as they pass by."""
        for chunk in chunks:
            self._hash.update(chunk)
            self.size += len(chunk)
            yield chunk
        self.is_whole = True


def members(path: Path, config: LinesConfig, content: Content | None = None) -> Iterator[Iterator[bytes]]:
    """The line files of a log, each as chunks of at most some hundred kilobytes, or `chunk_bytes` of plain text.

    Args:
        path: plain text, gzip or a zip of line files, told apart by their first bytes.
        config: limits.
        content: is shown every byte of the file: those of plain text as they are read, lest they be fetched twice,
            those of an archive before it is unpacked.

    Yields:
        One iterator of chunks per line file, those of a zip by name. It raises one of `BROKEN` where the file is
        damaged, `TooLarge` where a gzip exceeds a limit; all chunks before have been yielded then.

    Raises:
        UnusableLog: if the file can't be opened; if a zip holds no line file, too many, one that unpacks to too
            much, a name that leaves its folder, a link, or an archive, told by name or by content.
    """
    with ExitStack() as stack:
        try:
            file = stack.enter_context(path.open("rb"))
            magic = file.read(4)
            file.seek(0)
            size = path.stat().st_size
            chunks = _by_lines(file, config.chunk_bytes)
            if content is not None:
                chunks = content.seen(chunks)
                if magic.startswith(GZIP_MAGIC) or magic in ZIP_MAGIC:
                    deque(chunks, maxlen=0)
                    file.seek(0)
        except OSError as error:
            raise UnusableLog(f"{path.name}: {error.strerror or error}") from error
        if magic.startswith(GZIP_MAGIC):
            yield _not_an_archive(_limited(_gunzip(file), size, config), f"{path.name}: the gzip")
        elif magic in ZIP_MAGIC:
            try:
                entries = _line_files(path.name, file, size, config)
            except (*BROKEN, RuntimeError, NotImplementedError, UnicodeDecodeError) as error:
                raise UnusableLog(f"{path.name}: not a readable zip: {error}") from error
            for entry in entries:
                yield _unzip(file, entry)
        else:
            yield chunks


def _by_lines(file: BinaryIO, size: int) -> Iterator[bytes]:
    """A file in pieces of at most so many bytes, each up to the end of a line where one is near.

    So the lines of most pieces need not be copied to put those together that are in two.
    """
    near, begin = size // 16, 0
    while True:
        file.seek(begin + size - near)
        to_line_end = file.read(near).rfind(b"\n") + 1
        file.seek(begin)
        piece = file.read(size - near + to_line_end if to_line_end else size)
        if not piece:
            return
        begin += len(piece)
        yield piece


def _limited(pieces: Iterator[bytes], packed_bytes: int, config: LinesConfig) -> Iterator[bytes]:
    left = most = _most_unpacked(packed_bytes, config)
    for piece in pieces:
        yield piece[:left]
        left -= len(piece)
        if left < 0:
            raise TooLarge(f"unpacks to more than {most} bytes")


def _most_unpacked(packed_bytes: int, config: LinesConfig) -> int:
    return min(config.max_unpacked_bytes, max(config.ratio_floor_bytes, config.max_ratio * packed_bytes))


def _is_archive(start: bytes) -> bool:
    return start.startswith((GZIP_MAGIC, *ZIP_MAGIC, *OTHER_MAGIC))


def _not_an_archive(chunks: Iterator[bytes], what: str) -> Iterator[bytes]:
    for place, chunk in enumerate(chunks):
        if place == 0 and _is_archive(chunk):
            raise UnusableLog(f"{what} holds an archive inside the archive")
        yield chunk


def _inflate(file: BinaryIO, packed_bytes: int | None = None) -> Iterator[bytes]:
    """One deflate stream from where the file stands; leaves the file behind its last byte.

    A call that meets damage gives nothing of what it unpacked before. So the stream is then unpacked once more, in
    the same steps up to that call and in small ones from there, for what stands between it and the damage.
    """
    begin, given = file.tell(), 0
    try:
        for piece in _steps(file, packed_bytes):
            yield piece
            given += len(piece)
    except _DEFLATE_ERROR:
        file.seek(begin)
        for piece in _steps(file, packed_bytes, small_from=given):
            if given < len(piece):
                yield piece[given:]
            given = max(0, given - len(piece))


def _steps(file: BinaryIO, packed_bytes: int | None, small_from: int | None = None) -> Iterator[bytes]:
    """A deflate stream, unpacked in large steps, and in small ones once so many bytes were unpacked."""
    stream = isal_zlib.decompressobj(-isal_zlib.MAX_WBITS)
    packed_step, unpacked_step = _PACKED_STEP, _UNPACKED_STEP
    piece, more, passed = b"", False, 0
    while not stream.eof:
        if passed == small_from:
            file.seek(-len(piece), 1)
            packed_bytes = None if packed_bytes is None else packed_bytes + len(piece)
            packed_step = unpacked_step = _SMALL_STEP
            piece, more, small_from = b"", passed > 0, None
        if not more:
            piece = file.read(packed_step if packed_bytes is None else min(packed_step, packed_bytes))
            if not piece:
                raise EOFError("the compressed data ends before its end mark")
            packed_bytes = None if packed_bytes is None else packed_bytes - len(piece)
        unpacked = stream.decompress(piece, unpacked_step)
        if unpacked:
            yield unpacked
            passed += len(unpacked)
        piece = stream.unconsumed_tail
        more = bool(piece) or len(unpacked) == unpacked_step  # more of it may stand in the stream's own buffer
    file.seek(-len(stream.unused_data), 1)


def _gunzip(file: BinaryIO) -> Iterator[bytes]:
    """All members of a gzip file, as RFC 1952 has them, with zeros allowed behind the last."""
    while _gzip_header(file):
        crc = size = 0
        for piece in _inflate(file):
            crc = isal_zlib.crc32(piece, crc)
            size += len(piece)
            yield piece
        if struct.unpack("<II", _exactly(file, 8)) != (crc, size & 0xFFFFFFFF):
            raise zlib.error("the checksum of the gzip does not hold")


def _gzip_header(file: BinaryIO) -> bool:
    first = _after_zeros(file)
    if not first:
        return False
    header = first + _exactly(file, 9)
    if not header.startswith(GZIP_MAGIC + b"\x08"):
        raise zlib.error("what follows is not gzip")
    flags = header[3]
    if flags & _GZIP_EXTRA:
        _exactly(file, int.from_bytes(_exactly(file, 2), "little"))
    for flag in (_GZIP_NAME, _GZIP_COMMENT):
        if flags & flag:
            _skip_text(file)
    if flags & _GZIP_HEADER_CRC:
        _exactly(file, 2)
    return True


def _after_zeros(file: BinaryIO) -> bytes:
    """The first byte that is none; empty at the end."""
    while piece := file.read(_SMALL_STEP):
        if rest := piece.lstrip(b"\0"):
            file.seek(1 - len(rest), 1)
            return rest[:1]
    return b""


def _skip_text(file: BinaryIO) -> None:
    """Leaves the file behind the zero that ends a name or a comment."""
    for _ in range(_GZIP_TEXT // _SMALL_STEP):
        piece = file.read(_SMALL_STEP)
        if (end := piece.find(b"\0")) >= 0:
            file.seek(end + 1 - len(piece), 1)
            return
        if len(piece) < _SMALL_STEP:
            raise EOFError("the file ends too early")
    raise zlib.error(f"a name or comment of the gzip has more than {_GZIP_TEXT} bytes")


def _exactly(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise EOFError("the file ends too early")
    return data


def _unzip(file: BinaryIO, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    """One member of a zip; its checksum and its declared size are held to."""
    crc = size = 0
    for piece in _raw_member(file, entry):
        crc = isal_zlib.crc32(piece, crc)
        size += len(piece)
        if size > entry.file_size:
            raise zipfile.BadZipFile(f"{entry.filename!r} unpacks to more than it declares")
        yield piece
    if (crc, size) != (entry.CRC, entry.file_size):
        raise zipfile.BadZipFile(f"the checksum of {entry.filename!r} does not hold")


def _raw_member(file: BinaryIO, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    if entry.header_offset > _MOST_OFFSET:
        raise zipfile.BadZipFile(f"{entry.filename!r} begins behind the end of any file")
    file.seek(entry.header_offset)
    signature, flags, method, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(_exactly(file, _LOCAL_HEADER.size))
    if signature != ZIP_MAGIC[0] or method != entry.compress_type:
        raise zipfile.BadZipFile(f"{entry.filename!r} does not begin where the directory says")
    if (flags | entry.flag_bits) & _ENCRYPTED:
        raise zipfile.BadZipFile(f"{entry.filename!r} is encrypted")
    file.seek(name_bytes + extra_bytes, 1)
    if method == zipfile.ZIP_DEFLATED:
        yield from _inflate(file, entry.compress_size)
        return
    left = entry.compress_size
    while left:
        piece = _exactly(file, min(left, _UNPACKED_STEP))
        left -= len(piece)
        yield piece


def _line_files(log: str, file: BinaryIO, size: int, config: LinesConfig) -> list[zipfile.ZipInfo]:
    """Entries and not names, as a zip may hold two members of one name."""
    if _directory_bytes(file, size) > config.max_directory_bytes:
        raise UnusableLog(f"{log}: the zip's directory has more than {config.max_directory_bytes} bytes")
    with zipfile.ZipFile(file) as archive:
        members = [entry for entry in archive.infolist() if not entry.filename.endswith("/")]
    entries = sorted((entry for entry in members if _is_line_file(log, entry)), key=lambda entry: entry.filename)
    if not entries:
        raise UnusableLog(f"{log}: the zip holds no {', '.join(ENDINGS)} file")
    if len(entries) > config.max_members:
        raise UnusableLog(f"{log}: {len(entries)} line files in the zip, at most {config.max_members} are read")
    if sum(entry.compress_size for entry in entries) > size:
        raise UnusableLog(f"{log}: the members of the zip overlap")
    unpacked, most = sum(entry.file_size for entry in entries), _most_unpacked(size, config)
    if unpacked > most:
        raise UnusableLog(f"{log}: the zip of {size} bytes unpacks to {unpacked}, at most {most} are read")
    for entry in entries:
        if _is_archive(_start(file, entry)):
            raise UnusableLog(f"{log}: member {entry.filename!r} is an archive inside the archive")
    return entries


def _directory_bytes(file: BinaryIO, size: int) -> int:
    """Declared size of a zip's directory; zipfile would hold all of it in memory, and objects for each entry.

    Wherever there is a zip64 record zipfile believes that and not the plain one.
    """
    begin = max(0, size - 22 - 65_535)
    file.seek(begin)
    tail = file.read()
    place = tail.rfind(_DIRECTORY_END)
    if place < 0 or len(tail) < place + 22:
        raise zipfile.BadZipFile("it has no directory")
    declared = int.from_bytes(tail[place + 12 : place + 16], "little")
    for record in _records_64(file, begin + place):
        file.seek(record)
        signature, wide = _DIRECTORY_END_64.unpack(_exactly(file, _DIRECTORY_END_64.size))
        if signature == b"PK\x06\x06":
            declared = max(declared, wide)
    return declared


def _records_64(file: BinaryIO, directory_end: int) -> list[int]:
    """Where a zip64 record may stand: right before its locator, or where that says; which one depends on the Python."""
    at = directory_end - _LOCATOR_64.size
    before = at - _DIRECTORY_END_64.size
    if before < 0:
        return []
    file.seek(at)
    signature, told = _LOCATOR_64.unpack(_exactly(file, _LOCATOR_64.size))
    return [before, min(told, before)] if signature == b"PK\x06\x07" else []


def _is_line_file(log: str, entry: zipfile.ZipInfo) -> bool:
    name = PurePosixPath(entry.filename.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or not name.parts or ":" in name.parts[0]:
        raise UnusableLog(f"{log}: member {entry.filename!r} points outside the archive")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise UnusableLog(f"{log}: member {entry.filename!r} is a link")
    if name.suffix.lower() in ARCHIVES:
        raise UnusableLog(f"{log}: member {entry.filename!r} is an archive inside the archive")
    if name.suffix.lower() not in ENDINGS or name.name.startswith("._") or name.parts[0] == "__MACOSX":
        return False
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UnusableLog(f"{log}: member {entry.filename!r} is packed neither by deflate nor stored")
    return True


def _start(file: BinaryIO, entry: zipfile.ZipInfo) -> bytes:
    """The first bytes of a member; none of one that can't be read, which is told when it is its turn."""
    try:
        return next(_raw_member(file, entry), b"")
    except BROKEN:
        return b""
