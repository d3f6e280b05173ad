"""Canonical lines as columns, at the speed of bytes wherever that is certain.

Belongs here: the arrays and frames around the kernel. Does not belong here: the scanning itself
(`canonical_scan_kernel`), the careful reader of one line (`pipeline.events.sources.canonical`), which alone decides
about every line that is left.
"""

import math
import mmap
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from configs.events import ValidityConfig
from pipeline.events.drafts import SCHEMA, coded, order_of, text_codes
from pipeline.events.lines import Block, Line
from pipeline.events.model import EVENT_TYPES, NEEDS_ACTOR, NEEDS_TARGET
from pipeline.events.sources import canonical_scan_kernel as kernel
from pipeline.events.sources.canonical_scan_order import places
from pipeline.tables import ID_CHARS

_ALIGNED = 64  # bytes, as Arrow recommends
_SHORTEST_EVENT = 64  # bytes with its line feed, rounded down: an id and a match of a letter each, a type, a payload
_BYTES_OF_ID, _BYTES_OF_PAYLOAD = 48, 144  # for which a page has room in each row
_BYTES_PER_TEXT = 64  # and for so many bytes of different texts; a line that finds no more room is left
_MOST_TEXTS = 16_384  # different ones on a page; where half of them are taken the next block begins a new page
_ASKS = {
    "POSITION_UPDATE": kernel.IS_POSITION,
    "PLAYER_DAMAGED": kernel.IS_DAMAGE,
    "PLAYER_BLINDED": kernel.IS_BLINDNESS,
    "ROUND_STARTED": kernel.NEEDS_ROUND,
}
_LINE_FEED = ord("\n")
_LEFT = frozenset(("MATCH_STARTED", "OTHER"))


class Written(NamedTuple):
    """Rows where the kernel wrote them, in the order of their lines, until the next block is read.

    Attributes:
        rows: their columns.
        texts: the texts by number.
        height: how many rows there are.
        words: the texts by number as strings, the first none; grows in place while texts keep their numbers.
        id_bytes: the ids one behind the other.
        payload_bytes: the payloads likewise.
    """

    rows: kernel.Rows
    texts: kernel.Texts
    height: int
    words: list[str]
    id_bytes: bytes
    payload_bytes: bytes


class Scanner:
    """Reads the blocks of one log. Every draft is the one that `read_line` makes of its line.

    Args:
        validity: limits; a line that reaches one is left.
        page_rows: about how many events stand on a page, which becomes a frame.
    """

    def __init__(self, validity: ValidityConfig, page_rows: int) -> None:
        self._limits, self._page_rows = _limits(validity), page_rows + page_rows // 4
        self._data, self._text, self._left = np.empty(0, np.uint8), np.empty(0, np.uint8), np.empty(0, np.int64)
        self._kept = np.empty(kernel.KEPT_ROOM, np.int64)
        self._page: _Page | None = None
        self._full: list[pl.DataFrame] = []

    def read(self, block: Block) -> tuple[list[Line], int]:
        """Takes what is certain of a block.

        Returns:
            The lines that need care, by number; and how many lines are not blank, those taken and those left.
        """
        size = self._copy(block.data)
        data, page, left = self._data[: size + kernel.MARGIN], self._page_for(size), self._left
        scratch = kernel.Scratch(page.spot, self._limits, self._kept, self._text)
        care, lines, block.feeds = kernel.scan_lines(
            data, size, block.first_line, _names(), page.texts, _types(), scratch, page.rows, left
        )
        return [Line(n, block.data[at:end]) for at, end, n in left[: 3 * care].reshape(-1, 3).tolist()], lines

    def lend(self) -> Written:
        """The rows since it was last called, as they lie: for few lines, of which a frame would cost more than they do.

        Whoever calls this does not call `take`.
        """
        page = self._page
        if page is None:
            return self._page_for(0).lend()
        written = page.lend()
        if not page.has_room(0):
            self._page = None
        return written

    @property
    def rows(self) -> int:
        """How many events `take` would give."""
        return sum(frame.height for frame in self._full) + (self._page.count if self._page else 0)

    def take(self) -> pl.DataFrame:
        """The events since it was last called, page by page in total order; columns of `SCHEMA`, `TEXTS` as codes."""
        self._put_aside()
        frames, self._full = self._full, []
        return pl.concat(frames) if frames else coded(pl.DataFrame(schema=SCHEMA))

    def _page_for(self, size: int) -> "_Page":
        """One with room for a block of so many bytes."""
        if self._page is None or not self._page.has_room(size):
            self._put_aside()
            self._page = _Page(self._page_rows, size)
        return self._page

    def _put_aside(self) -> None:
        if self._page is not None and self._page.count:
            self._full.append(self._page.frame())
        self._page = None

    def _copy(self, data: bytes) -> int:
        """Puts a block where its last line is ended, and zeros follow; gives its size."""
        size = len(data)
        if self._data.size <= size + kernel.MARGIN:
            self._data, self._text = (np.empty(size + kernel.MARGIN + 1, np.uint8) for _ in range(2))
            self._left = np.empty(3 * (size // 2 + 1), np.int64)  # a line that is left has a byte at least
        self._data[:size] = np.frombuffer(data, np.uint8)
        if size and self._data[size - 1] != _LINE_FEED:
            self._data[size] = _LINE_FEED
            size += 1
        self._data[size : size + kernel.MARGIN] = 0
        return size


class _Page:
    """What the kernel writes to, block by block, until it is full.

    Args:
        rows: how many it has room for, or more if a block needs more.
        size: bytes of the first block.
    """

    def __init__(self, rows: int, size: int) -> None:
        rows = max(rows, _most_rows(size))
        ids, payloads = (max(rows * usual, size) + kernel.MARGIN for usual in (_BYTES_OF_ID, _BYTES_OF_PAYLOAD))
        widths = (8 * len(kernel.INT64), 4 * len(kernel.INT32), 4 * len(kernel.TEXTS), 4, 16, 16)
        int64s, int32s, codes, present, id_views, payload_views, id_bytes, payload_bytes = _memory(
            *(rows * width for width in widths), ids, payloads
        )
        slots = 1 << (2 * _MOST_TEXTS).bit_length()
        self.spot = kernel.registers()
        self.rows = kernel.Rows(
            int64s=int64s.view(np.int64),
            int32s=int32s.view(np.int32),
            texts=codes.view(np.uint32),
            present=present.view(np.int32),
            ids=id_bytes,
            id_views=id_views.view(np.uint64),
            payloads=payload_bytes,
            payload_views=payload_views.view(np.uint64),
            room=rows,
        )
        self.texts = kernel.Texts(
            slots=np.zeros(slots, np.int32),
            bytes=np.empty(_MOST_TEXTS * _BYTES_PER_TEXT + kernel.MARGIN, np.uint8),
            starts=np.zeros(_MOST_TEXTS, np.int64),
            sizes=np.zeros(_MOST_TEXTS, np.int64),
            traits=np.full(_MOST_TEXTS, -1, np.int32),
            guesses=np.zeros(len(kernel.TEXTS) * _MOST_TEXTS, np.uint32),
            last_slot=slots - 1,
            room=_MOST_TEXTS,
            byte_room=_MOST_TEXTS * _BYTES_PER_TEXT,
        )
        self._words = [""]

    @property
    def count(self) -> int:
        """How many rows are written."""
        return int(self.spot[kernel.ROW_COUNT])

    def has_room(self, size: int) -> bool:
        """Whether a block of so many bytes is sure to find room; should texts run out, lines are left."""
        spot, rows = self.spot, self.rows
        return bool(
            spot[kernel.ROW_COUNT] + _most_rows(size) <= rows.room
            and spot[kernel.IDS_END] + size + kernel.MARGIN <= rows.ids.size
            and spot[kernel.PAYLOADS_END] + size + kernel.MARGIN <= rows.payloads.size
            and 2 * spot[kernel.TEXT_COUNT] < self.texts.room
            and 2 * spot[kernel.TEXTS_END] < self.texts.byte_room
        )

    def lend(self) -> Written:
        """The rows where they lie; what is read next is written over them."""
        spot, words = self.spot, self._words
        ids, payloads = (
            column[: spot[end]].tobytes()
            for column, end in ((self.rows.ids, kernel.IDS_END), (self.rows.payloads, kernel.PAYLOADS_END))
        )
        words += self._texts_from(len(words))
        written = Written(self.rows, self.texts, self.count, words, ids, payloads)
        spot[[kernel.ROW_COUNT, kernel.IDS_END, kernel.PAYLOADS_END]] = 0
        return written

    def frame(self) -> pl.DataFrame:
        """The rows in total order as a frame, which holds on to their memory."""
        rows, count, room = self.rows, self.count, self.rows.room
        known = self._known()
        self._put_in_order(known)
        present = rows.present[:count]
        maps = kernel.bitmaps(present)
        everywhere = int(np.bitwise_and.reduce(present)) if count else 0

        def bits(place: int) -> pa.Buffer | None:
            return None if everywhere >> place & 1 else pa.py_buffer(maps[place])

        def column(kind: pa.DataType, values: NDArray[np.generic], place: int, valid: pa.Buffer | None) -> pa.Array:
            return pa.Array.from_buffers(
                kind, count, [valid, pa.py_buffer(values[place * room : place * room + count])]
            )

        def flag(valid: int, value: int) -> pa.Array:
            return pa.Array.from_buffers(pa.bool_(), count, [bits(valid), pa.py_buffer(maps[value])])

        told = {"t_ms": bits(kernel.HAS_T_MS), "occurred_us": bits(kernel.HAS_OCCURRED)}
        arrays = {
            **{name: column(pa.int64(), rows.int64s, k, told.get(name)) for k, name in enumerate(kernel.INT64)},
            **{name: column(pa.int32(), rows.int32s, k, bits(k)) for k, name in enumerate(kernel.INT32)},
            "event_id": self._views(rows.id_views, rows.ids, kernel.IDS_END),
            "payload": self._views(rows.payload_views, rows.payloads, kernel.PAYLOADS_END),
            "has_bomb": flag(kernel.KNOWS_BOMB, kernel.IS_BOMB),
            "has_kit": flag(kernel.KNOWS_KIT, kernel.IS_KIT),
        }
        columns = {series.name: series for series in pl.DataFrame(pa.table(arrays))}
        told_texts = known[1:]  # without null, so a column of them is too, which all that follow are quicker with
        for place, name in enumerate(kernel.TEXTS):
            numbers = rows.texts[place * room : place * room + count]
            is_told = bool(count and numbers.min())
            columns[name] = (told_texts[numbers - 1] if is_told else known[numbers]).alias(name)
        nothing = known.new_from_index(0, count)
        return pl.DataFrame([columns[name] if name in columns else nothing.alias(name) for name in SCHEMA])

    def _put_in_order(self, known: pl.Series) -> None:
        """Moves the rows that stand out of the total order; in a log they are few."""
        rows, count = self.rows, self.count
        order: NDArray[np.intp] = places(rows, self.texts, count)
        if order.size == 0:
            return
        int64s, int32s, texts = (table.reshape(-1, rows.room) for table in (rows.int64s, rows.int32s, rows.texts))
        if order.size > count:
            scattered = order_of(
                pl.Series(int64s[kernel.T_MS, :count]),
                pl.Series(int64s[kernel.SEQ, :count]),
                known[texts[kernel.TYPE, :count]],
                pl.Series(self._views(rows.id_views, rows.ids, kernel.IDS_END)),
            )
            assert scattered is not None  # noqa: S101  # they are not in order
            order = scattered
        to = np.flatnonzero(order != np.arange(count))
        for table in (int64s, int32s, texts, rows.present[None]):
            table[:, to] = table[:, order[to]]
        for views in (rows.id_views.reshape(-1, 2), rows.payload_views.reshape(-1, 2)):
            views[to] = views[order[to]]

    def _views(self, views: NDArray[np.uint64], values: NDArray[np.uint8], end: int) -> pa.Array:
        buffers = [None, pa.py_buffer(views[: 2 * self.count]), pa.py_buffer(values[: self.spot[end]])]
        return pa.Array.from_buffers(pa.string_view(), self.count, buffers)

    def _known(self) -> pl.Series:
        """The texts by number, as codes; their list lasts as long as this."""
        return pl.Series([None, *self._texts_from(1)], dtype=text_codes())

    def _texts_from(self, first: int) -> list[str]:
        """The texts from that number on."""
        known, texts = self.spot[kernel.TEXT_COUNT] + 1, self.texts
        if first == known:
            return []
        begin = int(texts.starts[first])
        ranges = zip((texts.starts[first:known] - begin).tolist(), texts.sizes[first:known].tolist(), strict=True)
        written = texts.bytes[begin : self.spot[kernel.TEXTS_END]].tobytes()
        return [written[at : at + size].decode() for at, size in ranges]


def _memory(*sizes: int) -> list[NDArray[np.uint8]]:
    """Arrays of zeros of so many bytes, which the system gets back as soon as nothing refers to them any more."""
    starts = list(accumulate((-(-size // _ALIGNED) * _ALIGNED for size in sizes), initial=0))
    pages = mmap.mmap(-1, starts[-1], flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    whole = np.frombuffer(pages, np.uint8)
    return [whole[start : start + size] for start, size in zip(starts, sizes, strict=False)]


def _most_rows(size: int) -> int:
    """How many events there may be in a block of so many bytes."""
    return size // _SHORTEST_EVENT + 1


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
    traits = [
        0
        if name in _LEFT
        else kernel.FAST
        | kernel.NEEDS_ACTOR * (name in NEEDS_ACTOR)
        | kernel.NEEDS_TARGET * (name in NEEDS_TARGET)
        | _ASKS.get(name, 0)
        for name in EVENT_TYPES
    ]
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
        kernel.MATCH_BYTES: min(validity.max_id_chars, ID_CHARS),
    }
    return np.array([limits[place] for place in range(len(limits))], np.int64)
