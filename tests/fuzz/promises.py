"""What must be true of any input to the readers, and how each of it is held against what they give.

Belongs here: promises about one input, checked by means of their own where there are any (a few lines that count and
compare in plain Python). Does not belong here: where inputs come from (`mutations`, the corpus), running for long
(`readers`).
"""

import gzip
import io
import json
import random
import time
import traceback
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import dataframely as dy
import polars as pl

from configs.events import EventsConfig, LinesConfig, load_events
from pipeline.events.conservation import Tally
from pipeline.events.drafts import SCHEMA, coded
from pipeline.events.lines import Block, Line, lines_of, read_blocks
from pipeline.events.model import EVENT_TYPES, TYPE_RANK
from pipeline.events.quarantine import QuarantineRows
from pipeline.events.reader import SOURCES, LogReading, UnusableLog, read_log
from pipeline.events.sources import canonical, grid
from pipeline.events.streams import TableStream
from pipeline.tables import TABLES, StreamCheck, empty
from tests.fuzz.memory import guarded

MOST_SECONDS = 5.0  # of CPU for one reading of one small log
BUCKETS = ("converted", "merged", "reverted", "duplicate", "quarantined")
BLANK = b" \t\r\x0b\x0c"
BOM = b"\xef\xbb\xbf"
IN_COLUMNS = frozenset(
    ("ts", "seq", "pos", "round", "weapon", "site", "target", "damage", "duration")
)  # of a payload: what may leave it for a column

_LIMITS = {
    "max_line_bytes": 20_000, "max_members": 4, "max_directory_bytes": 2_000, "max_unpacked_bytes": 1 << 20,
    "max_ratio": 40, "ratio_floor_bytes": 100_000, "max_matches": 20, "raw_chars": 60,
}  # fmt: skip


def _config(**sizes: int) -> EventsConfig:
    config = load_events()
    lines = LinesConfig(**{**config.lines.model_dump(), **_LIMITS, **sizes})
    return config.model_copy(update={"lines": lines})


WHOLE = _config()
"""Limits so low that small inputs reach them; a log in one piece."""
PIECES = _config(chunk_bytes=700, batch_rows=3, frame_rows=4, held_rows=0)
"""The same limits, and everything in many pieces, most of them on disk."""


def other_pieces(data: bytes) -> EventsConfig:
    """The same limits, and pieces of sizes that the input decides."""
    chance = random.Random(zlib.crc32(data))
    return _config(
        chunk_bytes=chance.choice((16, 64, 1000, 5000)),  # with a byte each, 48,000 chunks take seconds
        batch_rows=chance.choice((1, 2, 30)),
        frame_rows=chance.choice((1, 4, 50)),
        held_rows=chance.choice((0, 10, 1000)),
    )


class Broken(AssertionError):
    """An input for which a promise does not hold.

    Attributes:
        promise: its name, the same for all inputs that break it in the same way.
    """

    def __init__(self, promise: str, detail: object = "") -> None:
        super().__init__(f"{promise}: {detail}" if detail else promise)
        self.promise = promise


@dataclass(frozen=True)
class Outcome:
    """What reading gave: every table by name, or why the log was refused (with the table `quarantine`, if any)."""

    refusal: str | None
    tables: dict[str, pl.DataFrame]


def check(data: bytes, folder: Path, *, thorough: bool) -> None:
    """Holds every promise against one input.

    Args:
        data: a log as a file, packed or not.
        folder: where it may be written.
        thorough: read it also in other pieces, again, packed, and with its lines in another order.

    Raises:
        Broken: names the first promise that does not hold.
    """
    path = folder / "log"
    path.write_bytes(data)
    outcome = read(path, WHOLE)
    promise = "the quick way gives what the careful one gives"
    if thorough or outcome.refusal is not None:
        with carefully():
            careful = read(path, WHOLE)
        _same(promise, outcome, careful)
    else:
        quick = _drafts(path, outcome)
        with carefully():
            careful = _drafts(path, outcome)
        _same(promise, quick, careful)
    _complete(data, outcome)
    if outcome.refusal is None:
        _in_order(outcome)
    if thorough:
        _conform(outcome)
        _same("read twice, the same", outcome, read(path, WHOLE, tracks_first=True))
        for pieces in (PIECES, other_pieces(data)):
            _same("in pieces as whole", outcome, read(path, pieces))
        if _is_plain(data):
            _packed(data, outcome, folder)
            _shuffled(data, outcome, folder)


def read(path: Path, config: EventsConfig, *, tracks_first: bool = False) -> Outcome:
    """Reads a log to its last table.

    Raises:
        Broken: if that raises anything but `UnusableLog`, or takes too long.
    """
    with _harmless():
        return _read(path, config, tracks_first)


@contextmanager
def _harmless() -> Iterator[None]:
    begin = time.process_time()
    try:
        with guarded():
            yield
    except Exception as error:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/pipeline/" in frame.filename]
        where = f"{Path(frames[-1].filename).stem}.{frames[-1].name}" if frames else "nowhere"
        raise Broken(f"only UnusableLog is raised, not {type(error).__name__} in {where}", error) from error
    if (took := time.process_time() - begin) > MOST_SECONDS:
        raise Broken("a small log is read at once", f"{took:.1f} s")


def _drafts(path: Path, outcome: Outcome) -> Outcome:
    """What the source alone makes of a usable log: all in which two ways of reading lines can differ, sooner told."""
    _, source = SOURCES[outcome.tables["logs"]["source_kind"][0]]
    quarantine, tally = QuarantineRows("log", WHOLE.lines), Tally()
    with _harmless():
        made = source(partial(read_blocks, path, WHOLE.lines), quarantine, tally, WHOLE)
        drafts = pl.concat([made.drafts[place] for place in range(len(made.drafts))])
        tables = {
            "drafts": drafts.sort("source_line", maintain_order=True),
            "told": pl.DataFrame({"told": [f"{sorted(made.told.items())} {sorted(made.started_us.items())}"]}),
            "tally": pl.DataFrame([asdict(tally)]),
            "quarantine": _rows(quarantine.table()),
        }
    return Outcome(None, tables)


def _read(path: Path, config: EventsConfig, tracks_first: bool) -> Outcome:
    try:
        reading = read_log(path, log_id="log", uri="log", config=config)
    except UnusableLog as error:
        return Outcome(str(error), {} if error.quarantine is None else {"quarantine": _rows(error.quarantine)})
    return Outcome(None, _tables(reading, tracks_first))


def _tables(reading: LogReading, tracks_first: bool) -> dict[str, pl.DataFrame]:
    tables = {"logs": reading.log, "quarantine": _rows(reading.quarantine)}
    for match_id, match in reading.matches.items():
        streams = {"events": match.events, "tracks": match.tracks}
        order = sorted(streams, reverse=tracks_first)
        tables |= {f"{name}/{match_id}": _rows(streams[name]) for name in order}
        tables |= {f"matches/{match_id}": match.match, f"rounds/{match_id}": match.rounds}
    return tables


def _rows(stream: TableStream) -> pl.DataFrame:
    """All rows, held to the table's declaration as they are when they are stored."""
    check = StreamCheck(stream.table)
    frames = [check.take(frame) for frame in stream]
    check.finish()
    schema = empty(stream.table).schema
    return pl.concat([frame.cast(dict(schema)) for frame in frames]) if frames else empty(stream.table)


class _CarefulCanonical(canonical.Scanner):
    """Leaves every line to the careful reader."""

    def read(self, block: Block) -> tuple[list[Line], int]:
        lines = list(lines_of(block))
        return lines, len(lines)

    def take(self) -> pl.DataFrame:
        return coded(pl.DataFrame(schema=SCHEMA))


class _CarefulGrid(grid.Scanner):
    """Leaves every line to the careful reader."""

    def read(self, block: Block) -> None:
        for line in lines_of(block):
            self._careful(line)


@contextmanager
def carefully() -> Iterator[None]:
    """In it no line is read the quick way."""
    with mock.patch.object(canonical, "Scanner", _CarefulCanonical), mock.patch.object(grid, "Scanner", _CarefulGrid):
        yield


def _same(promise: str, one: Outcome, other: Outcome, *, but: tuple[str, ...] = ()) -> None:
    if one.refusal != other.refusal:
        raise Broken(promise, f"refused: {one.refusal!r} / {other.refusal!r}")
    if one.tables.keys() != other.tables.keys():
        raise Broken(promise, f"tables: {sorted(one.tables)} / {sorted(other.tables)}")
    for name, table in one.tables.items():
        left = table.drop(but, strict=False)
        right = other.tables[name].drop(but, strict=False)
        if left.schema != right.schema or not left.equals(right):
            raise Broken(f"{promise}, table {name.partition('/')[0]}", difference(left, right))


def difference(one: pl.DataFrame, other: pl.DataFrame) -> str:
    """The first row and column in which two tables differ."""
    for at, (a, b) in enumerate(zip(one.rows(named=True), other.rows(named=True), strict=False)):
        if a != b:
            return f"row {at}: " + ", ".join(f"{n} {a[n]!r} / {b.get(n)!r}" for n in a if a[n] != b.get(n))
    return f"{one.height} / {other.height} rows"


def _conform(outcome: Outcome) -> None:
    for place, table in outcome.tables.items():
        name = place.partition("/")[0]
        try:
            TABLES[name].validate(table)
        except (dy.exc.ValidationError, dy.exc.SchemaError) as error:
            raise Broken(f"table {name} conforms", error) from error


def _in_order(outcome: Outcome) -> None:
    for name, table in outcome.tables.items():
        if name.startswith("events/"):
            keys = [
                (t_ms, seq, TYPE_RANK[event_type], event_id)
                for t_ms, seq, event_type, event_id in table.select("t_ms", "seq", "event_type", "event_id").rows()
            ]
            _hold("events lie in total order, each once", keys == sorted(set(keys)))
        elif name.startswith("tracks/"):
            keys = table.select("player", "t_ms").rows()
            _hold("tracks lie by player and time", keys == sorted(keys))
        elif name == "quarantine":
            keys = table["source_line"].to_list()
            _hold("quarantine lies by line", keys == sorted(keys))


def _hold(promise: str, holds: bool, detail: object = "") -> None:
    if not holds:
        raise Broken(promise, detail)


def _complete(data: bytes, outcome: Outcome) -> None:
    """Nothing is lost between the lines of the input and the tables."""
    lines = numbered(data)
    if outcome.refusal is not None:
        _hold("a refusal says why", len(outcome.refusal) > 5)
        return
    log = outcome.tables["logs"].row(0, named=True)
    total = sum(log[bucket] for bucket in BUCKETS)
    _hold("every source event is in one bucket", log["source_events"] == total, log)
    quarantine = outcome.tables["quarantine"]
    _hold("quarantine has a row for each event it counts", quarantine.height >= log["quarantined"], log)
    events = pl.concat([table for name, table in outcome.tables.items() if name.startswith("events/")])
    tracks = sum(table.height for name, table in outcome.tables.items() if name.startswith("tracks/"))
    _hold("each event that was converted is a row", events.height == log["converted"] + log["derived_positions"], log)
    _hold("each position update is a track", tracks == (events["event_type"] == "POSITION_UPDATE").sum())
    if lines is None or 0 in quarantine["source_line"]:
        return  # damage that is told of, though others may read on: zipfile does not look at all that is told twice
    _hold("a quarantine row names a line", lines.keys() >= set(quarantine["source_line"]))
    _hold("an event names its line", lines.keys() >= set(events["source_line"]))
    if log["source_kind"] == "canonical":
        _canonical_complete(lines, log, events, set(quarantine["source_line"]))
    else:
        counts = [_grid_events(line) for line in lines.values()]
        low, high = sum(low for low, _ in counts), sum(high for _, high in counts)
        _hold("GRID events are counted", low <= log["source_events"] <= high, (low, log["source_events"], high))
        most = _grid_repeats(lines)
        _hold("a GRID duplicate repeats another", most is None or log["duplicate"] <= most, (log["duplicate"], most))


def numbered(data: bytes) -> dict[int, bytes] | None:
    """The lines that are not blank, by number; None for packed data that is damaged or beyond the limits."""
    members = _members(data)
    if members is None:
        return None
    lines, number = {}, 0
    for text in members:
        pieces = text.removeprefix(BOM).split(b"\n")
        for at, line in enumerate(pieces, number + 1):
            if line.strip(BLANK) or len(line) > WHOLE.lines.max_line_bytes:
                lines[at] = line
        number += text.count(b"\n") + (not text.endswith(b"\n") and bool(text))
    return lines


def _is_plain(data: bytes) -> bool:
    return not data.startswith((b"\x1f\x8b", b"PK\x03\x04", b"PK\x05\x06"))


def _members(data: bytes) -> list[bytes] | None:
    if _is_plain(data):
        return [data]
    try:
        if data.startswith(b"\x1f\x8b"):
            members = [gzip.decompress(data)]
        else:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                entries = sorted(archive.infolist(), key=lambda entry: entry.filename)
                files = [e for e in entries if e.filename.lower().endswith((".jsonl", ".ndjson", ".json"))]
                members = [archive.read(entry) for entry in files]
                if any("/." in f"/{e.filename}" or "__MACOSX" in e.filename for e in entries):
                    return None
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError, ValueError, OverflowError):
        return None
    limits = WHOLE.lines
    most = min(limits.max_unpacked_bytes, max(limits.ratio_floor_bytes, limits.max_ratio * len(data)))
    return members if sum(map(len, members)) <= most else None


def decoded(line: bytes) -> Any:
    """A line as JSON; None where it is not, in the strictest reading: no NaN, no half of a surrogate pair."""

    def refuse(_: str) -> None:
        raise ValueError

    try:
        wire = json.loads(line.decode(), parse_constant=refuse)
        if b"\\u" in line:
            json.dumps(wire, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return wire


def nests(line: bytes) -> int:
    """How deep its objects and lists nest, told by their marks outside of strings; 64 if no deeper than that."""
    if line.count(b"{") + line.count(b"[") <= 64:
        return 64
    depth = most = 0
    is_inside = is_escaped = False
    for mark in line:
        if is_escaped or mark == ord("\\"):
            is_escaped = not is_escaped
        elif mark == ord('"'):
            is_inside = not is_inside
        elif not is_inside and mark in b"{[":
            depth += 1
            most = max(most, depth)
        elif not is_inside and mark in b"}]":
            depth -= 1
    return most


def _canonical_complete(
    lines: dict[int, bytes], log: dict[str, Any], events: pl.DataFrame, quarantined: set[int]
) -> None:
    _hold("every line that is not blank counts", log["source_events"] == len(lines), (log, len(lines)))
    rows = {row["source_line"]: row for row in events.iter_rows(named=True)}
    _hold("a line becomes one event", len(rows) == events.height)
    _hold("no line is both taken and quarantined", not rows.keys() & quarantined)
    firsts: dict[tuple[str, str], int] = {}
    for number, row in sorted(rows.items()):
        firsts[row["match_id"], row["event_id"]] = number
        _says_what_it_said(decoded(lines[number]), row)
    missing = sorted(lines.keys() - rows.keys() - quarantined)
    _hold("each missing line is a duplicate", len(missing) == log["duplicate"], missing)
    for number in missing:
        wire = decoded(lines[number])
        _hold("a duplicate is an event", isinstance(wire, dict), number)
        first = firsts.get((wire.get("match_id"), wire.get("event_id")))
        _hold("a duplicate comes after what it repeats", first is not None and first < number, (number, first))


def _says_what_it_said(wire: Any, row: dict[str, Any]) -> None:
    _hold("an event is made of an object", isinstance(wire, dict), row)
    payload = dict(wire.get("payload") or {})
    told, kept = wire["event_type"], json.loads(row["payload"])
    known = told in EVENT_TYPES
    seconds = payload.get("ts")
    pos = payload.get("pos") if known and told != "OTHER" else None
    says = {
        "match_id": wire["match_id"],
        "event_id": wire["event_id"],
        "event_type": told if known else "OTHER",
        "actor": wire.get("actor") or None,
        "t_ms": 0 if seconds is None else round(seconds * 1000),
        "seq": next((seq for seq in (wire.get("seq"), payload.get("seq")) if seq is not None), 0),
        "x_mm": None if pos is None else round(pos[0] * 1000),
        "z_mm": None if pos is None else round(pos[2] * 1000),
    }
    odd = {name: (value, row[name]) for name, value in says.items() if row[name] != value}
    _hold("an event says what its line says", not odd, odd)
    known_fields = {"event_id", "match_id", "event_type", "actor", "timestamp", "payload", "seq"}
    rest = {name: value for name, value in payload.items() if name not in IN_COLUMNS}
    lost = {name: value for name, value in rest.items() if not _equal(kept.get(name), value)}
    _hold("a payload keeps what no column holds", not lost, (lost, row["payload"]))
    for name in wire.keys() - known_fields:
        held = [value for kept_name, value in kept.items() if kept_name.lstrip("_") == name.lstrip("_")]
        _hold("a field of nobody is kept", any(_equal(wire[name], value) for value in held), (name, row["payload"]))


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    return bool(one == other) and (isinstance(one, bool) == isinstance(other, bool))


def _grid_events(line: bytes) -> tuple[int, int]:
    """How many events a line of a GRID log has: at least, at most."""
    wire = decoded(line)
    if nests(line) > WHOLE.validity.max_depth:
        return 1, 1
    if isinstance(wire, dict) and isinstance(wire.get("events"), list):
        count = len(wire["events"])
        names = [wire.get(name) for name in ("id", "seriesId", "sequenceNumber")]
        plain = all(value is None or type(value) is str or _is_int64(value) for value in names)
        if plain and isinstance(wire.get("occurredAt"), str | None) and len(line) <= WHOLE.lines.max_line_bytes:
            return count, count
        return min(count, 1), max(count, 1)
    if wire is None and b'"events"' in line:
        return 0, max(1, line.count(b"{"))  # a decoder may pass over what is wrong in fields that it does not read
    return 1, 1


def _grid_repeats(lines: dict[int, bytes]) -> int | None:
    """At most how many events have a transaction or an id that came before; None where any has an unusual one."""
    seen: set[tuple[str, object]] = set()
    count = 0
    for _, line in sorted(lines.items()):
        wire = decoded(line)
        if nests(line) > WHOLE.validity.max_depth:
            continue
        if not isinstance(wire, dict) or type(wire.get("sequenceNumber")) is not int:
            return None
        series, events = str(wire.get("seriesId")), wire.get("events")
        if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
            return None
        is_again = (series, wire["sequenceNumber"]) in seen
        seen.add((series, wire["sequenceNumber"]))
        for index, event in enumerate(events):
            name = event.get("id") or f"{series}:{wire['sequenceNumber']}:{index}"
            count += is_again or (series, str(name)) in seen
            seen.add((series, str(name)))
    return count


def _is_int64(value: object) -> bool:
    return type(value) is int and -(2**63) <= value < 2**63


_OF_FILE = ("blake3", "bytes", "log_blake3")


def _packed(data: bytes, outcome: Outcome, folder: Path) -> None:
    half = data.rfind(b"\n", 0, len(data) // 2) + 1
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("log.jsonl", data)
    for packed in (gzip.compress(data[:half]) + gzip.compress(data[half:]), buffer.getvalue()):
        if _members(packed) is None or _is_archive(data):
            continue
        path = folder / "log"
        path.write_bytes(packed)
        _same("packed as plain", outcome, read(path, WHOLE), but=_OF_FILE)


def _is_archive(data: bytes) -> bool:
    return data.startswith((b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf", b"Rar!"))


def _shuffled(data: bytes, outcome: Outcome, folder: Path) -> None:
    """Where no event is told in two ways, what is taken does not depend on where its line stands.

    Of those with one id the first stands, so which it is depends on order by its nature. And so does what a byte order
    mark is: at the start of a file nothing, anywhere else a part of its line.
    """
    if outcome.refusal is not None or BOM in data or not _are_copies(data, outcome):
        return
    lines = data.split(b"\n")
    random.Random(zlib.crc32(data)).shuffle(lines)
    path = folder / "log"
    shuffled = b"\n".join(lines)
    if not _is_plain(shuffled):
        return
    path.write_bytes(shuffled)
    again = read(path, WHOLE)
    if again.refusal is None and again.tables["logs"]["source_kind"][0] != outcome.tables["logs"]["source_kind"][0]:
        return  # a log of two formats is read as that of its first line
    tables = {name: table for name, table in outcome.tables.items() if name != "quarantine"}
    again = Outcome(again.refusal, {name: table for name, table in again.tables.items() if name != "quarantine"})
    _same("in another order the same", Outcome(None, tables), again, but=(*_OF_FILE, "source_line"))


def _are_copies(data: bytes, outcome: Outcome) -> bool:
    """Whether every duplicate is the same text as what stands; of GRID, whose events share lines, if there is none."""
    log = outcome.tables["logs"].row(0, named=True)
    lines = numbered(data)
    if not log["duplicate"] or log["source_kind"] != "canonical" or lines is None:
        return not log["duplicate"]
    taken = {number for name, table in outcome.tables.items() if "events/" in name for number in table["source_line"]}
    standing = {lines[number] for number in taken}
    duplicates = lines.keys() - taken - set(outcome.tables["quarantine"]["source_line"])
    return all(lines[number] in standing for number in duplicates)


def smaller(data: bytes, breaks: Callable[[bytes], bool], seconds: float) -> bytes:
    """The input without what it does not need to break its promise: lines, then stretches of bytes."""
    end = time.monotonic() + seconds
    for unit in (b"\n", b",", b""):
        parts = data.split(unit) if unit else [data[at : at + 1] for at in range(len(data))]
        size = len(parts) // 2
        while size and time.monotonic() < end:
            at = 0
            while at < len(parts) and time.monotonic() < end:
                rest = parts[:at] + parts[at + size :]
                if breaks(unit.join(rest)):
                    parts = rest
                else:
                    at += size
            size //= 2
        data = unit.join(parts)
    return data
