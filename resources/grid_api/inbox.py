"""One series at a time: from GRID into the store, each file once, with a record of what came.

Belongs here: the spool, the records, the order of steps that makes a crash harmless. Does not belong here: which
series (`assets/grid.py`), requests (`client`).

The end state comes first, so that it is there when the events are analysed. A file is downloaded to the spool, put
into the store, recorded, and then removed from the spool: whatever step a process dies at, the next one continues
there. Events that were put but not yet recorded are recognised by their bytes, waiting in the landing folder or
scanned already, so nothing lands twice.
"""

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from resources.files import FileMissing
from resources.grid_api.client import GridApi, checked_id
from resources.grid_api.download import forget
from resources.grid_api.errors import (
    BadDownload,
    GridBusy,
    GridError,
    GridUnavailable,
    NotEntitled,
    NotFound,
    UnexpectedAnswer,
)
from resources.grid_api.wire import END_STATE_FILE, EVENTS_FILE, Fetched, Listed, NotYet
from resources.store import Store

RECORDS = "grid_series"
END_STATES = "end_states"
KNOWN = "known"
FETCHED = "fetched"
NEVER = "not available"
FAILED = "failed"
_DAY_S = 86_400


class FileRecord(msgspec.Struct, frozen=True):
    """A file that is in the store: how large, which bytes, and what GRID called that version of it."""

    bytes: int
    blake3: str
    etag: str
    modified: str


class Record(msgspec.Struct, frozen=True):
    """What came of a series; a file that has not come yet is null."""

    series: str
    events: FileRecord | None = None
    end_state: FileRecord | None = None


@dataclass(frozen=True)
class SeriesReport:
    """What became of a series this time.

    Attributes:
        events: `fetched`, `known` from before, `failed`, `not available` for ever, or GRID's word for why it is not
            ready.
        end_state: the same.
        bytes: how many were fetched.
        error: why something failed.
    """

    series: str
    events: str
    end_state: str
    bytes: int
    error: GridError | None = None

    @property
    def waits(self) -> bool:
        """Whether the next tick should ask again."""
        return not {self.events, self.end_state} <= {KNOWN, FETCHED, FAILED, NEVER}


class Inbox:
    """Brings series into the store.

    Args:
        api: gives them.
        store: takes them.
        spool: folder of this machine for what is still coming.
        landing: the store's folder that the landing sensor watches.
        scanned: whether a log with this hash has been scanned.
    """

    def __init__(
        self, api: GridApi, store: Store, spool: Path, *, landing: str, scanned: Callable[[str], bool]
    ) -> None:
        self._api = api
        self._store = store
        self._spool = spool
        self._landing = landing
        self._scanned = scanned

    @contextmanager
    def opened(self) -> Iterator["Inbox"]:
        """Itself, for as long as no other process fetches; leftovers that nobody came back for are removed.

        Raises:
            GridBusy: if another one does.
        """
        self._spool.mkdir(parents=True, exist_ok=True)
        with (self._spool / "lock").open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise GridBusy("another process fetches from GRID just now; it does what there is to do") from error
            oldest = time.time() - self._api.config.spool.keep_days * _DAY_S
            for leftover in self._spool.glob("*.*"):
                if leftover.stat().st_mtime < oldest:
                    leftover.unlink()
            with self._api.connected():
                yield self

    def record(self, series: str) -> Record:
        """What came of a series before; a damaged record counts as none."""
        try:
            return msgspec.json.decode(self._store.read(_record_path(series)), type=Record)
        except (FileMissing, msgspec.MsgspecError, ValueError):
            return Record(series)

    def fetch(self, series: str) -> SeriesReport:
        """Brings what is ready and not known yet; trouble with one file doesn't keep the other back.

        Raises:
            GridError: what concerns more than a file: the listing, the key, the limits of GRID.
            StoreError: if the store refuses.
        """
        record = self.record(checked_id(series))
        for known, target in ((record.events, self._events(series)), (record.end_state, self._end_state(series))):
            if known:
                forget(target)  # a process may have died between the record and this
        if record.events and record.end_state:
            return SeriesReport(series, KNOWN, KNOWN, 0)
        listed = self._api.listed(series)
        state, state_error = self._tried(self._bring_end_state, record.end_state, series, listed[END_STATE_FILE])
        events, events_error = self._tried(self._bring_events, record.events, series, listed[EVENTS_FILE])
        fetched = sum(file.bytes for file in (state, events) if isinstance(file, Fetched))
        return SeriesReport(
            series, _word(events, events_error), _word(state, state_error), fetched, events_error or state_error
        )

    @staticmethod
    def _tried(
        bring: Callable[[str, Listed], Fetched | NotYet], known: FileRecord | None, series: str, listed: Listed
    ) -> tuple[Fetched | NotYet | None, GridError | None]:
        if known is not None:
            return None, None
        if listed.readiness != "ready":
            return NotYet(NEVER if listed.readiness == "never" else listed.status), None
        try:
            return bring(series, listed), None
        except (BadDownload, GridUnavailable, NotEntitled, NotFound, UnexpectedAnswer) as error:
            return None, error

    def _events(self, series: str) -> Path:
        return self._spool / f"events_{series}_grid.jsonl.zip"

    def _end_state(self, series: str) -> Path:
        return self._spool / f"end_state_{series}_grid.json"

    def _bring_end_state(self, series: str, listed: Listed) -> Fetched | NotYet:
        target = self._end_state(series)
        fetched = self._api.end_state(series, target, listed.size)
        if isinstance(fetched, Fetched):
            self._store.put(target, end_state_path(series))
            self._note(series, end_state=fetched)
            forget(target)
        return fetched

    def _bring_events(self, series: str, listed: Listed) -> Fetched | NotYet:
        target = self._events(series)
        fetched = self._api.events(series, target, listed.size)
        if isinstance(fetched, Fetched):
            landed = f"{self._landing}/{target.name}"
            waiting = any(
                path == landed and size == fetched.bytes for path, size, _ in self._store.files(self._landing)
            )
            if not waiting and not self._scanned(fetched.blake3):
                self._store.put(target, landed)
            self._note(series, events=fetched)
            forget(target)
        return fetched

    def _note(self, series: str, **came: Fetched) -> None:
        files = {name: FileRecord(file.bytes, file.blake3, file.etag, file.modified) for name, file in came.items()}
        record = msgspec.structs.replace(self.record(series), **files)
        self._store.write(_record_path(series), msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")


def end_state_path(series: str) -> str:
    """Where the end state of a series lies in the store."""
    return f"{END_STATES}/series={series}.json"


def _record_path(series: str) -> str:
    return f"{RECORDS}/series={series}.json"


def _word(came: Fetched | NotYet | None, error: GridError | None) -> str:
    if error is not None:
        return FAILED
    if isinstance(came, NotYet):
        return came.status
    return KNOWN if came is None else FETCHED
