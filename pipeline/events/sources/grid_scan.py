"""The quick reading of GRID lines: a block at a time, states by what has changed since the one before.

The kernel takes the states out of the lines and reads their players into columns; a state in which anything but those
columns has changed is decoded as ever. It also takes out what differs between any two lines, ids and clocks. What is
left of a line is its *form*: it recurs, above all that of the samples that most of a feed consists of, and is decoded
once. A line that is in any way unusual is left to the careful reader, which alone decides what is quarantined; both
give the same facts.

Belongs here: the kernel's buffers, and putting together what it found. Does not belong here: the reading itself
(`grid_scan_kernel`), what becomes of an event (`grid_facts`).
"""

from collections.abc import Callable
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from configs.events import ValidityConfig
from pipeline.events.conservation import Tally
from pipeline.events.lines import Block, Line, lines_of
from pipeline.events.quarantine import BadField
from pipeline.events.sources import grid_scan_kernel as kernel
from pipeline.events.sources import grid_wire
from pipeline.events.sources.fields import instant_us, too_deep
from pipeline.events.sources.grid_facts import (
    DECODE_ERRORS,
    MOST_PLACES,
    Gist,
    Scan,
    Shown,
    fault_of_id,
    gist_of,
    series_of,
)
from pipeline.events.sources.grid_snapshots import Cast, Columns, Rows, StateView, bomb_items, has_bomb

_TRANSACTION = msgspec.json.Decoder(grid_wire.Transaction)
_STATE = msgspec.json.Decoder(grid_wire.SeriesState)
_MOST_ENTRIES = 1 << 16  # of a state's tape; a state of ten players has about 400
_MOST_FORMS = 256  # remembered; of a feed's forms a few recur
_MOST_FORM_BYTES = 65_536  # of one that is; a longer one was not seen
_SHORTEST_LINE = len('{"events":[],"occurredAt":"","sequenceNumber":1}')
_USUAL_PART = 64  # bytes; events, states and players that are shorter on an average are the careful reader's
_GROWTH = 4  # bytes by which a state's place, or a line's, may be longer in a form


class _Form(msgspec.Struct, gc=False):
    """What lines have in common: a transaction without ids, clock, numbers and states, and what its events say."""

    series: str
    events: list[tuple[grid_wire.Event, Gist]]


class Scanner:
    """Reads the blocks of one log, in their order.

    Args:
        scan: grows by the facts.
        tally: counts.
        validity: limits.
        careful: reads a line that is left to it.
    """

    def __init__(self, scan: Scan, tally: Tally, validity: ValidityConfig, careful: Callable[[Line], None]) -> None:
        self._scan, self._tally, self._validity, self._careful = scan, tally, validity, careful
        self._saved = _readonly(np.zeros(1, np.uint8))
        self._memory = np.zeros(4, np.int64)
        self._places = np.empty((2, _MOST_ENTRIES, 2), np.int64)
        self._codes = np.empty((2, _MOST_ENTRIES), np.int64)
        self._values = np.empty((2, _MOST_ENTRIES))
        self._stack = np.empty((2 * kernel.MOST_DEPTH, 2), np.int64)
        items = [item.encode() for item in bomb_items()]
        self._item_text = np.frombuffer(b"".join(items) or b"\0", np.uint8)
        self._item_end = np.cumsum([len(item) for item in items], dtype=np.int64)
        self._view: StateView | None = None
        self._forms: dict[bytes, _Form | None] = {}
        self._buffers = _Buffers(0)

    def read(self, block: Block) -> None:
        """Adds the facts of a block's lines, in their order."""
        found = self._find(block)
        text = block.data
        piece = _Piece(self._scan.rows, found.rows, found.items)
        line, at = 0, 0
        for told in found.lines:
            place, begin = told[kernel.LINE], told[kernel.BEGIN]
            if line < place:
                self._leave(text[at:begin], block.first_line + line)
            at = told[kernel.STOP] + 1
            if not self._take(block.first_line + place, told, text, found, piece):
                self._leave(text[begin:at], block.first_line + place)
            line = place + 1
        self._leave(text[at:], block.first_line + line)

    def _leave(self, lines: bytes, first_line: int) -> None:
        """Leaves lines to the careful reader."""
        for line in lines_of(Block(first_line, lines)):
            self._careful(line)

    def _take(self, line: int, told: list[int], text: bytes, found: "_Found", piece: "_Piece") -> bool:
        """Adds the facts of a line that the kernel has read; false where it is the careful reader's after all."""
        _, _, _, out_begin, out_end, sequence, at_us, clock_begin, clock_end, first_event, count = told
        form = self._form(found.forms[out_begin:out_end])
        is_usual = True
        own: list[tuple[str, Shown | None]] = []
        for id_begin, id_end, state in found.events[first_event : first_event + count]:
            shown = None
            if state >= 0:
                first_row, rows_end, changed, state_begin, state_end = found.states[state]
                if changed:
                    self._view = _view(text[state_begin:state_end])
                view = self._view
                if view is None or view.row_count != rows_end - first_row:
                    is_usual = False
                else:
                    shown = Shown(view, piece.add, first_row)
            own.append((text[id_begin:id_end].decode() if id_begin >= 0 else "", shown))
        if form is None or not is_usual or len(form.events) != count:
            return False
        if at_us == kernel.NO_CLOCK:
            try:
                at_us = instant_us(text[clock_begin:clock_end].decode(), "occurredAt")
            except BadField:
                return False
        series = form.series
        for index, (event_id, shown) in enumerate(own):
            if not event_id:
                event = form.events[index][0]
                event_id = str(event.id) if event.id not in (None, "") else f"{series}:{sequence}:{index}"
                own[index] = event_id, shown
            if fault_of_id(event_id, self._validity) is not None:
                return False
        scan, tally = self._scan, self._tally
        if scan.admits(series, sequence, count, tally):
            for index, (event_id, shown) in enumerate(own):
                event, gist = form.events[index]
                scan.add(event, gist, shown, line, series, sequence, index, at_us, event_id, tally)
        return True

    def _form(self, form: bytes) -> _Form | None:
        """A form decoded; None for one that is the careful reader's."""
        if len(form) > _MOST_FORM_BYTES:
            return _decode(form, self._validity)
        known = self._forms.get(form)
        if known is None and form not in self._forms:
            if len(self._forms) >= _MOST_FORMS:
                del self._forms[next(iter(self._forms))]
            known = self._forms[form] = _decode(form, self._validity)
        return known

    def _find(self, block: Block) -> "_Found":
        text = np.frombuffer(block.data, np.uint8)
        if self._buffers.size < len(text):
            self._buffers = _Buffers(len(text))
        out, lines, events, states, rows, items = self._buffers.all
        n_lines, n_events, n_states, n_rows, newest = kernel.read_block(
            text, self._saved, self._memory, self._places, self._codes, self._values, self._stack, self._item_text,
            self._item_end, out, lines, events, states, rows, items,
        )  # fmt: skip
        if newest >= 0:
            which, count = self._memory[kernel.WHICH], self._memory[kernel.COUNT]
            self._saved = _readonly(text[newest : self._memory[kernel.SAVED_END]].copy())
            self._places[which, :count] -= newest
            self._memory[kernel.SAVED_END] -= newest
        n_out = int(lines[n_lines - 1, kernel.OUT_STOP]) if n_lines else 0
        return _Found(
            out[:n_out].tobytes(),
            lines[:n_lines].tolist(),
            events[:n_events].tolist(),
            states[:n_states].tolist(),
            rows[:n_rows].copy(),
            items[:n_rows].copy(),
        )


class _Found(NamedTuple):
    """What the kernel found in a block; see there."""

    forms: bytes
    lines: list[list[int]]
    events: list[list[int]]
    states: list[list[int]]
    rows: NDArray[np.float64]
    items: NDArray[np.int64]


class _Buffers:
    """What the kernel writes to, large enough for a block of a size; of memory only what is written to is taken."""

    def __init__(self, size: int) -> None:
        self.size = size
        most, most_lines = size // _USUAL_PART + 1, size // _SHORTEST_LINE + 1
        self.all = (
            np.empty(size + _GROWTH * (most + most_lines), np.uint8),
            np.empty((most_lines, 11), np.int64),
            np.empty((most, 3), np.int64),
            np.empty((most, 5), np.int64),
            np.empty((most, 6)),
            np.empty(most, np.int64),
        )


class _Piece:
    """The rows of a block, of which those go to the log's rows that a fact needs."""

    def __init__(self, rows: Rows, values: NDArray[np.float64], bits: NDArray[np.int64]) -> None:
        self._rows, self._values, self._bits = rows, values, bits
        self._columns: dict[int, Columns] = {}
        self._view: StateView | None = None
        self._base: int | None = None

    def add(self, view: StateView, game: str, first: int) -> int:
        """What `Shown.rows` is."""
        if view is self._view and self._base is not None:
            return self._base + first
        found = view.cast(game)
        if found is None:
            raise KeyError(game)
        cast, before = found
        self._view, self._base = view, None
        if view.row_count == len(cast.players):  # as in a series' first game: all rows of the block are needed
            self._base = self._rows.whole(self._of(cast))
            return self._base + first
        start = first + before
        return self._rows.add(self._of(cast), start, start + len(cast.players))

    def _of(self, cast: Cast) -> Columns:
        columns = self._columns.get(cast.bomb_bits)
        if columns is None:
            items = has_bomb(self._bits, cast.bomb_bits)
            columns = self._columns[cast.bomb_bits] = Columns(self._values, items, np.ones(len(items), np.bool_))
        return columns


def _readonly(text: NDArray[np.uint8]) -> NDArray[np.uint8]:
    text.setflags(write=False)
    return text


def _decode(form: bytes, validity: ValidityConfig) -> _Form | None:
    """A form, None where anything in it can't be taken."""
    if too_deep(form, validity) is not None:
        return None
    try:
        transaction = _TRANSACTION.decode(form)
        series = series_of(transaction)
        gists = [gist_of(event, validity) for event in transaction.events]
    except (*DECODE_ERRORS, BadField):
        return None
    if len(gists) > MOST_PLACES or any(event.series_state is not None for event in transaction.events):
        return None
    return _Form(series, list(zip(transaction.events, gists, strict=True)))


def _view(state: bytes) -> StateView | None:
    """A state decoded, None where it can't be."""
    try:
        return StateView(_STATE.decode(state))
    except DECODE_ERRORS:
        return None
