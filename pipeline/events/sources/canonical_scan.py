"""Canonical lines as columns, at the speed of bytes wherever that is certain.

Belongs here: the arrays and frames around the scanner. Does not belong here: the scanner itself
(`canonical_scan_kernel`), the careful reader of one line (`pipeline.events.sources.canonical`), which alone decides
about every line that is left.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from configs.events import ValidityConfig
from pipeline.events.drafts import SCHEMA, text_codes
from pipeline.events.lines import Block, Line
from pipeline.events.model import EVENT_TYPES
from pipeline.events.sources import canonical_scan_kernel as kernel

_SHORTEST_EVENT = 64  # bytes with its line feed, rounded down: an id and a match of a letter each, a type, a payload
_BYTES_PER_TEXT = 256  # a block of more different texts than one in so many bytes leaves the rest of its lines
_MATCH_ID_CHARS = 100  # of pipeline.tables.ID_PATTERN
_ASKS = {
    "POSITION_UPDATE": kernel.NEEDS_ACTOR | kernel.IS_POSITION,
    "WEAPON_FIRED": kernel.NEEDS_ACTOR,
    "PLAYER_DAMAGED": kernel.NEEDS_TARGET | kernel.IS_DAMAGE,
    "PLAYER_KILLED": kernel.NEEDS_TARGET,
    "ROUND_STARTED": kernel.NEEDS_ROUND,
    "PLAYER_BLINDED": kernel.NEEDS_TARGET | kernel.IS_BLINDNESS,
}
_LEFT = frozenset(("MATCH_STARTED", "OTHER"))


@dataclass(frozen=True, slots=True)
class Scanned:
    """What a block of lines holds.

    Attributes:
        drafts: the events of all lines that were taken, by line; columns of `pipeline.events.drafts.SCHEMA`, its
            `TEXTS` as codes.
        left: the lines that need care, by number.
        lines: how many lines are not blank, those taken and those left.
    """

    drafts: pl.DataFrame
    left: list[Line]
    lines: int


def scan(block: Block, validity: ValidityConfig) -> Scanned:
    """Takes what is certain of a block; every draft is the one that `read_line` makes of that line.

    Args:
        block: whole lines.
        validity: limits; a line that reaches one is left.
    """
    ended = block.data if block.data.endswith(b"\n") or not block.data else block.data + b"\n"
    data, size = np.frombuffer(ended + bytes(kernel.MARGIN), np.uint8), len(ended)
    feeds = int(np.count_nonzero(data == ord("\n")))
    rows = _rows(size, min(feeds, size // _SHORTEST_EVENT + 1))
    texts = _texts(size // _BYTES_PER_TEXT + 64)
    spot, left = np.zeros(kernel.SPOT, np.int64), np.empty(3 * feeds, np.int64)
    kept, text = np.empty(3 * kernel.KEPT, np.int64), np.empty(size + kernel.MARGIN, np.uint8)
    scratch = kernel.Scratch(spot, _limits(validity), kept, text)
    taken, care, lines = kernel.scan_lines(data, size, block.first_line, _names(), texts, _types(), scratch, rows, left)
    return Scanned(
        drafts=_frame(rows, _known(block.data, texts, spot), spot, taken),
        left=[Line(number, block.data[at:end]) for at, end, number in left[: 3 * care].reshape(-1, 3).tolist()],
        lines=lines,
    )


def _rows(size: int, room: int) -> kernel.Rows:
    return kernel.Rows(
        int64s=np.zeros(len(kernel.INT64) * room, np.int64),
        int32s=np.zeros(len(kernel.INT32) * room, np.int32),
        texts=np.zeros(len(kernel.TEXTS) * room, np.uint32),
        present=np.zeros(room, np.int32),
        ids=np.empty(size + kernel.MARGIN, np.uint8),
        id_views=np.empty(2 * room, np.uint64),
        payloads=np.empty(size + kernel.MARGIN, np.uint8),
        payload_views=np.empty(2 * room, np.uint64),
        room=room,
    )


def _texts(room: int) -> kernel.Texts:
    slots = 1 << (2 * room).bit_length()
    return kernel.Texts(
        slots=np.zeros(slots, np.int32),
        starts=np.zeros(room, np.int64),
        sizes=np.zeros(room, np.int64),
        traits=np.full(room, -1, np.int32),
        guesses=np.zeros(len(kernel.TEXTS) * room, np.uint32),
        last_slot=slots - 1,
        room=room,
    )


def _names() -> kernel.Names:
    words, sizes = _keys()
    return kernel.Names(words, sizes, *(np.zeros(2 * kernel.LEVEL, np.int64) for _ in range(3)))


@lru_cache(maxsize=1)
def _keys() -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    words, sizes = np.zeros((2 * kernel.LEVEL, 2), np.uint64), np.full(2 * kernel.LEVEL, -1, np.int64)
    for first, keys in ((0, kernel.ENVELOPE), (kernel.LEVEL, kernel.PAYLOAD)):
        for place, key in enumerate(keys[1:], first + 1):
            words[place] = np.frombuffer(key.encode().ljust(16, b"\0"), np.uint64)
            sizes[place] = len(key)
    return words.ravel(), sizes


@lru_cache(maxsize=1)
def _types() -> kernel.Types:
    width = max(map(len, EVENT_TYPES))
    traits = [0 if name in _LEFT else kernel.FAST | _ASKS.get(name, 0) for name in EVENT_TYPES]
    return kernel.Types(
        names=np.frombuffer("".join(name.ljust(width) for name in EVENT_TYPES).encode(), np.uint8),
        sizes=np.array([len(name) for name in EVENT_TYPES], np.int64),
        traits=np.array(traits, np.int32),
        size=len(EVENT_TYPES),
        width=width,
    )


@lru_cache(maxsize=8)
def _limits(validity: ValidityConfig) -> NDArray[np.int64]:
    limits = {
        kernel.POSITION_MM: math.floor(validity.max_position_m * 1000),
        kernel.ANGLE_MDEG: math.floor(validity.max_angle_deg * 1000),
        kernel.MOST_AMOUNT: validity.max_amount,
        kernel.DURATION_MS: math.floor(validity.max_duration_s * 1000),
        kernel.EARLIEST_MS: validity.earliest_ms,
        kernel.LATEST_MS: validity.latest_ms,
        kernel.ID_BYTES: validity.max_id_chars,
        kernel.MATCH_BYTES: min(validity.max_id_chars, _MATCH_ID_CHARS),
    }
    return np.array([limits[place] for place in range(len(limits))], np.int64)


def _known(data: bytes, texts: kernel.Texts, spot: NDArray[np.int64]) -> pl.Series:
    """The texts of the block by number, as codes; their list lasts as long as this."""
    known = spot[kernel.TEXT_COUNT] + 1
    ranges = zip(texts.starts[1:known].tolist(), texts.sizes[1:known].tolist(), strict=True)
    return pl.Series([None, *(data[at : at + size].decode() for at, size in ranges)], dtype=text_codes())


def _frame(rows: kernel.Rows, known: pl.Series, spot: NDArray[np.int64], count: int) -> pl.DataFrame:
    present, room = rows.present[:count], rows.room
    maps = kernel.bitmaps(present)
    everywhere = int(np.bitwise_and.reduce(present)) if count else 0

    def bits(place: int) -> pa.Buffer | None:
        return None if everywhere >> place & 1 else pa.py_buffer(maps[place])

    def column(kind: pa.DataType, values: NDArray[np.generic], place: int, valid: pa.Buffer | None) -> pa.Array:
        return pa.Array.from_buffers(kind, count, [valid, pa.py_buffer(values[place * room : place * room + count])])

    def text(views: NDArray[np.uint64], values: NDArray[np.uint8], end: int) -> pa.Array:
        exact = values[:end].copy()  # lest a frame hold on to as much memory as its block
        buffers = [None, pa.py_buffer(views[: 2 * count]), pa.py_buffer(exact)]
        return pa.Array.from_buffers(pa.string_view(), count, buffers)

    def flag(valid: int, value: int) -> pa.Array:
        return pa.Array.from_buffers(pa.bool_(), count, [bits(valid), pa.py_buffer(maps[value])])

    told = {"t_ms": bits(kernel.HAS_T_MS), "occurred_us": bits(kernel.HAS_OCCURRED)}
    arrays = {
        **{name: column(pa.int64(), rows.int64s, k, told.get(name)) for k, name in enumerate(kernel.INT64)},
        **{name: column(pa.int32(), rows.int32s, k, bits(k)) for k, name in enumerate(kernel.INT32)},
        "event_id": text(rows.id_views, rows.ids, spot[kernel.IDS_END]),
        "payload": text(rows.payload_views, rows.payloads, spot[kernel.PAYLOADS_END]),
        "has_bomb": flag(kernel.KNOWS_BOMB, kernel.IS_BOMB),
        "has_kit": flag(kernel.KNOWS_KIT, kernel.IS_KIT),
    }
    columns = {series.name: series for series in pl.DataFrame(pa.table(arrays))}
    for place, name in enumerate(kernel.TEXTS):
        columns[name] = known[rows.texts[place * room : place * room + count]].alias(name)
    nothing = known[np.zeros(count, np.uint32)]
    return pl.DataFrame([columns[name] if name in columns else nothing.alias(name) for name in SCHEMA])
