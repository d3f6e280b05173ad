"""What is kept of running matches in the store, each step such that doing it again changes nothing.

Belongs here: paths, parts, how they become one. Does not belong here: where signals come from (`following`), batch
tables, which are never made from these.

Below `live/` of the store:

- `recorded.json`: up to which signal all are kept, and which matches ended of late;
- `segments/match_id=<id>/part-<signal>.parquet`: segments that ended behind that signal, while the match runs;
- `segments/match_id=<id>/part-0.parquet`: all of them, once it is over;
- `clips/match_id=<id>/part-<hash of its segments>.parquet`: clips that were made while it ran;
- `ended/match_id=<id>.json`: its last signal;
- `unproven/match_id=<id>.json`: there as long as its end could not be held against batch.

Parts first, then `recorded.json`: whoever dies in between leaves parts that the next one replaces by what they hold and
more, as a part is named after the signal that it begins behind.
"""

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import polars as pl

from pipeline.live.closing import segments_of
from pipeline.live.signals import Ended, Signal, from_json
from pipeline.tables import empty
from pipeline.versions import code_version, input_hash
from resources.files import FileMissing
from resources.parquet import Stamp
from resources.store import PartDamaged, Store
from resources.stream import START, Told

FOLDER = "live"
_CURSOR = f"{FOLDER}/recorded.json"
_WHOLE = "part-0.parquet"
_REMEMBERED = 2000  # matches that ended of late; more than end between two ticks


class RecordedUpTo(msgspec.Struct):
    """Up to where signals are kept.

    Attributes:
        entry: id of the last one.
        rank: how many the stream had had up to it.
        lost: how many were trimmed before they were kept.
        ended: entry and match of the newest signals that a match is over.
    """

    entry: str = START
    rank: int = 0
    lost: int = 0
    ended: list[tuple[str, str]] = []


class EndStamps(msgspec.Struct):
    """Where a match lies in its stream.

    Attributes:
        first: its first entry.
        last: its last entry.
        trimmed: entries of its shard that were trimmed unread while it ran.
        shard: which.
    """

    first: str
    last: str
    trimmed: int
    shard: int


class End(msgspec.Struct):
    """The last signal of a match and its stamps."""

    signal: Ended
    stamps: EndStamps


@dataclass
class News:
    """What is new of a match.

    Attributes:
        ended: segments that ended, by intent.
        opened: how many opened.
        clips: segments whose motion can be seen.
        at_ms: match time of the newest signal.
        latency_ms: the longest time from reading to sending.
        is_over: whether the match is over.
    """

    ended: Counter[str] = field(default_factory=Counter)
    opened: int = 0
    clips: int = 0
    at_ms: int = 0
    latency_ms: int = 0
    is_over: bool = False

    def add(self, other: "News") -> None:
        """Takes in what came later."""
        self.ended += other.ended
        self.opened += other.opened
        self.clips += other.clips
        self.at_ms, self.latency_ms = max(self.at_ms, other.at_ms), max(self.latency_ms, other.latency_ms)
        self.is_over = self.is_over or other.is_over


@dataclass(frozen=True)
class Kept:
    """What a call of `keep` did.

    Attributes:
        news: by match.
        upto: where it came to.
        lost: signals that were trimmed before they were kept.
    """

    news: Mapping[str, News]
    upto: RecordedUpTo
    lost: int


class LiveParts:
    """The folder `live` of a store.

    Args:
        store: the store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def keep(self, told: Told) -> Kept:
        """Keeps signals that follow what is recorded: segments that ended become parts of their matches' tables.

        Args:
            told: the signals behind `recorded`.
        """
        upto = self.recorded()
        if not told.entries:
            return Kept({}, upto, 0)
        news: dict[str, News] = {}
        finals: dict[str, list[Signal]] = {}
        ends: list[tuple[str, str]] = []
        for entry, data, stamps in told.entries:
            signal, way = from_json(data), msgspec.json.decode(stamps)
            about = news.setdefault(signal.match_id, News())
            about.at_ms = max(about.at_ms, signal.at_ms)
            if signal.kind == "clip":
                about.clips += 1
                continue
            about.latency_ms = max(about.latency_ms, way["sent_ms"] - way["read_ms"])
            if isinstance(signal, Ended):
                about.is_over = True
                ends.append((entry, signal.match_id))
                self._store.write(_end_path(signal.match_id), b'{"signal":%b,"stamps":%b}' % (data, stamps))
            elif signal.kind == "final":
                about.ended[signal.intent] += 1
                finals.setdefault(signal.match_id, []).append(signal)
            else:
                about.opened += 1
        for match_id, signals in finals.items():
            path = f"{_folder(match_id)}/part-{upto.entry}.parquet"
            self._write(path, segments_of(signals), signals[-1].model_version, upto.entry, told.last.entry)
        ended = [*upto.ended, *ends][-_REMEMBERED:]
        after = RecordedUpTo(told.last.entry, told.last.rank, upto.lost + told.lost, ended)
        self._store.write(_CURSOR, msgspec.json.encode(after))
        return Kept(news, after, told.lost)

    def recorded(self) -> RecordedUpTo:
        """Up to where signals are kept."""
        try:
            return msgspec.json.decode(self._store.read(_CURSOR), type=RecordedUpTo)
        except FileMissing:
            return RecordedUpTo()

    def end(self, match_id: str) -> End:
        """The last signal of a match.

        Raises:
            FileMissing: if it is not over, or its end was not kept.
        """
        return msgspec.json.decode(self._store.read(_end_path(match_id)), type=End)

    def told(self, match_id: str) -> pl.DataFrame:
        """The segments of a match that are kept, each once, in the order of batch.

        Raises:
            PartDamaged: if a part is not Parquet.
        """
        parts = []
        for path, _, _ in self._store.files(_folder(match_id)):
            try:
                parts.append(pl.read_parquet(io.BytesIO(self._store.read(path))))
            except pl.exceptions.PolarsError as error:
                raise PartDamaged(f"{self._store.uri(path)}: {error}") from error
        frame = pl.concat(parts) if parts else empty("segments")
        return frame.unique("segment_id", keep="last", maintain_order=True).sort("player", "from_ms")

    def compact(self, match_id: str, segments: pl.DataFrame, model_version: str, *inputs: str) -> str:
        """Leaves one part of a match in place of all; gives its address."""
        whole = f"{_folder(match_id)}/{_WHOLE}"
        uri = self._write(whole, segments, model_version, *inputs)
        for path, _, _ in self._store.files(_folder(match_id)):
            if path != whole:
                self._store.delete(path)
        return uri

    def is_unproven(self, match_id: str) -> bool:
        """Whether the end of a match could not be held against batch, and nothing healed it since."""
        return self._store.exists(_unproven_path(match_id))

    def remember(self, match_id: str, *, is_unproven: bool) -> None:
        """Keeps in mind whether it could."""
        if is_unproven:
            self._store.write(_unproven_path(match_id), b"{}")
        else:
            self._store.delete(_unproven_path(match_id))

    def _write(self, path: str, segments: pl.DataFrame, model_version: str, *inputs: str) -> str:
        stamp = Stamp(code_version("live"), "", input_hash(*inputs), model_version)
        return self._store.write_rows(path, "segments", segments, stamp).uri


def clips_path(match_id: str, entries: Sequence[str]) -> str:
    """Where the clips of some segments of a running match are listed, by the entries of their signals."""
    return f"{FOLDER}/clips/match_id={match_id}/part-{input_hash(*entries)[:16]}.parquet"


def _folder(match_id: str) -> str:
    return f"{FOLDER}/segments/match_id={match_id}"


def _end_path(match_id: str) -> str:
    return f"{FOLDER}/ended/match_id={match_id}.json"


def _unproven_path(match_id: str) -> str:
    return f"{FOLDER}/unproven/match_id={match_id}.json"
