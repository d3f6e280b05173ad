"""One file, whole or not at all: resumed where it broke, its size and its checksums tested, renamed when it is right.

Belongs here: parts and how they are continued. Does not belong here: requests (`transport`), where a file goes
afterwards (`inbox`).

While it comes, a file is `<name>.part`, with `<name>.part.json` beside it: what the server called it. A break is
continued with `Range` and `If-Range`; a server that knows another file by then, or no ranges, sends all of it, and the
part begins anew. Only a file that passed its tests is renamed to its name.
"""

import lzma
import re
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import httpx
import msgspec

from configs.events import LinesConfig
from pipeline.events.archives import Content
from resources.grid_api.errors import BadDownload, GridUnavailable
from resources.grid_api.patience import Pace, Passing
from resources.grid_api.transport import Transport
from resources.grid_api.wire import Fetched, NotYet

_CHUNK = 1 << 18
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_IN_THE_MAKING = frozenset((202, 204))


class Damaged(Exception):
    """A file is not what it should be; says how."""


class _Version(msgspec.Struct):
    """What the server said of the file whose beginning we have."""

    etag: str = ""
    modified: str = ""
    total: int | None = None

    @property
    def validator(self) -> str:
        """What `If-Range` takes: a strong ETag, else the date."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified

    @property
    def can_be_told_from_others(self) -> bool:
        """Whether another file under the same address would be noticed."""
        return bool(self.validator) or self.total is not None


def download(
    transport: Transport,
    url: str,
    target: Path,
    *,
    about: str,
    pace: Pace,
    most_bytes: int,
    told_bytes: int | None,
    test: Callable[[Path], None],
) -> Fetched | NotYet:
    """Fetches a file to `target`, or continues to.

    Args:
        transport: asks for it.
        url: its address.
        target: where it lies in the end; its folder exists, and no other process writes there.
        about: what it is, for messages.
        pace: waited for before each attempt.
        most_bytes: a larger one is refused.
        told_bytes: its size as the listing tells it; None where it doesn't.
        test: raises `Damaged` on a file that is not what it should be.

    Raises:
        BadDownload: if what comes is too large, or damaged at each attempt.
        GridError: the other leaves; what has come so far is kept for the next call.
    """
    part = _Part(_part_of(target))
    patience, deadline = transport.patience(about), monotonic() + transport.config.timeouts.download
    damaged = ""
    while True:
        try:
            if target.exists() or _come(transport, url, part, about, pace, most_bytes, deadline):
                version = part.version
                _rename_if_right(part, target, told_bytes, test)
                content = Content.of(target)
                return Fetched(target, content.size, content.blake3, version.etag, version.modified)
            return NotYet("processing")
        except Damaged as error:
            before, damaged = damaged, Content.of(target if target.exists() else part.path).blake3
            part.discard()
            target.unlink(missing_ok=True)
            if damaged == before:
                raise BadDownload(f"{about}: what came twice {error}: GRID's own file is damaged") from error
            trouble = Passing(f"what came {error}", last=BadDownload)
        except Passing as passing:
            trouble = passing
        patience.after(trouble)


def _rename_if_right(part: "_Part", target: Path, told_bytes: int | None, test: Callable[[Path], None]) -> None:
    """Tests what came, and gives it its name; a file that has its name already is tested again."""
    path = target if target.exists() else part.path
    size = path.stat().st_size
    if told_bytes is not None and size != told_bytes:
        raise Damaged(f"has {size} bytes; the listing says {told_bytes}")
    test(path)
    if path is not target:
        path.replace(target)


def _come(
    transport: Transport, url: str, part: "_Part", about: str, pace: Pace, most_bytes: int, deadline: float
) -> bool:
    """One attempt to have all of it in the part; false if the server is still making it."""
    have = part.have()
    if have and have == part.version.total:
        return True
    headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if part.version.validator:
            headers["If-Range"] = part.version.validator
    pace.wait()
    with transport.opened("GET", url, headers, about=about) as response:
        if response.status_code in _IN_THE_MAKING:
            return False
        if response.status_code == 416:
            part.discard()
            raise Passing("the part we have is none of this file; it is fetched anew", at_once=True)
        if response.status_code == 206:
            part.expect(response, have)
        else:
            part.begin(response)
        total = part.version.total
        if total is not None and total > most_bytes:
            part.discard()
            raise BadDownload(f"{about}: GRID would send {total} bytes, more than grid.yaml's limit of {most_bytes}")
        _write(response, part, about, most_bytes, deadline, transport.config.timeouts.download)
    size = part.path.stat().st_size
    if total is not None and size < total:
        raise Passing(f"{size} of {total} bytes came", at_once=True)
    if total is not None and size > total:
        raise Damaged(f"has {size} bytes instead of {total}")
    return True


def _write(
    response: httpx.Response, part: "_Part", about: str, most_bytes: int, deadline: float, longest_s: float
) -> None:
    plain = response.headers.get("content-encoding", "identity") == "identity"
    with part.path.open("ab") as file:
        # As they come: chunks of a fixed size are held back until they are full, and a break would lose them.
        for chunk in response.iter_raw() if plain else response.iter_bytes():
            file.write(chunk)
            if file.tell() > most_bytes:
                part.discard()
                raise BadDownload(f"{about}: more than grid.yaml's limit of {most_bytes} bytes came")
            if monotonic() > deadline:
                raise GridUnavailable(
                    f"{about}: not whole after {longest_s:.0f} s (timeouts.download); "
                    f"the next try continues after {file.tell()} bytes"
                )


class _Part:
    """The beginning of a file, and what the server called it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._note = path.with_name(f"{path.name}.json")
        self.version = _Version()
        try:
            self.version = msgspec.json.decode(self._note.read_bytes(), type=_Version)
        except (OSError, msgspec.MsgspecError):
            self.path.unlink(missing_ok=True)

    def have(self) -> int:
        """Bytes that can be continued; what could not be told from another file is thrown away."""
        if not self.version.can_be_told_from_others:
            self.path.unlink(missing_ok=True)
        return self.path.stat().st_size if self.path.exists() else 0

    def begin(self, response: httpx.Response) -> None:
        """Takes note of a whole file that begins to come."""
        self.path.unlink(missing_ok=True)
        encoded = response.headers.get("content-encoding", "identity") != "identity"
        length = response.headers.get("content-length", "")
        version = _Version(
            # The ranges of an encoded file count encoded bytes, which we do not keep: it can't be continued.
            etag="" if encoded else response.headers.get("etag", ""),
            modified="" if encoded else response.headers.get("last-modified", ""),
            total=None if encoded or not length.isdigit() else int(length),
        )
        # The note first: bytes without it are no beginning of anything.
        self._take_note(version)

    def _take_note(self, version: _Version) -> None:
        self.version = version
        self._note.write_bytes(msgspec.json.encode(version))

    def expect(self, response: httpx.Response, have: int) -> None:
        """Holds what is to be continued against what we have.

        Raises:
            Passing: if it is another file, or another place in it; the part is gone then.
        """
        found = _RANGE.fullmatch(response.headers.get("content-range", ""))
        etag = response.headers.get("etag", "")
        same = found is not None and 0 < have == int(found[1]) and self.version.total in (None, int(found[3]))
        if not same or (etag and self.version.etag and etag != self.version.etag):
            self.discard()
            raise Passing("the file changed while it came; it is fetched anew", at_once=True)
        if self.version.total is None and found is not None:
            self._take_note(_Version(self.version.etag, self.version.modified, int(found[3])))

    def discard(self) -> None:
        """Forgets it."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)
        self.version = _Version()


def forget(target: Path) -> None:
    """Removes a downloaded file that has been put where it belongs, and the note on it."""
    _Part(_part_of(target)).discard()
    target.unlink(missing_ok=True)


def _part_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def examine_zip(path: Path, limits: LinesConfig) -> None:
    """Reads every member of a zip against its checksum.

    Args:
        path: the zip.
        limits: how many members it may have, and what it may unpack to.

    Raises:
        Damaged: if it is no zip, is cut off, fails a checksum, holds no `.jsonl`, or more than the limits.
    """
    unpacked = 0
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            logs = sum(member.filename.endswith(".jsonl") for member in members)
            if not 0 < logs <= limits.max_members:
                raise Damaged(f"is a zip with {logs} .jsonl files; between 1 and {limits.max_members} are believed")
            for member in members:
                with archive.open(member) as stream:
                    while chunk := stream.read(_CHUNK):
                        unpacked += len(chunk)
                        if unpacked > limits.max_unpacked_bytes:
                            raise Damaged(f"unpacks to more than {limits.max_unpacked_bytes} bytes")
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
        OSError,
    ) as error:
        raise Damaged(f"is no sound zip: {error}") from error


def examine_json(path: Path) -> None:
    """Reads a JSON object.

    Raises:
        Damaged: if it is none.
    """
    try:
        wire = msgspec.json.decode(path.read_bytes())
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Damaged(f"is no JSON: {error}") from error
    if not isinstance(wire, dict):
        raise Damaged("is no JSON object")
