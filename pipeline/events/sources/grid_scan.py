"""The quick reading of GRID lines: a block at a time, states by what has changed since the one before.

The kernel takes the states out of the lines and reads their players into columns; a state in which anything but those
columns has changed is decoded as ever. It also takes out what differs between any two lines, ids and clocks. What is
left of a line is its *form*: it recurs, above all that of the samples that most of a feed consists of, and is decoded
once. A line that is in any way unusual is left to the careful reader, which alone decides what is quarantined; both
give the same facts.

Belongs here: the kernel's buffers, and putting together what it found. Does not belong here: the reading itself
(`grid_scan_kernel`), what becomes of an event (`grid_facts`).
"""

from collections.abc import Callable, Sequence
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
from pipeline.events.sources.fields import instant_us
from pipeline.events.sources.grid_facts import (
    DECODE_ERRORS,
    MOST_PLACES,
    Fact,
    Gist,
    Scan,
    Shown,
    Sketch,
    any_fault_of_ids,
    fault_of_id,
    gist_of,
    series_of,
)
from pipeline.events.sources.grid_snapshots import Cast, Columns, Rows, Snapshot, StateView, bomb_items, has_bomb

_TRANSACTION = msgspec.json.Decoder(grid_wire.Transaction)
_STATE = msgspec.json.Decoder(grid_wire.SeriesState)
_MOST_ENTRIES = 1 << 16  # of a state's tape; a state of ten players has about 400
_MOST_FORMS = 256  # remembered; of a feed's forms a few recur
_RECENT_FORMS = 16  # of a block that lines are held against; a block has the lines of a few seconds
_MOST_FORM_BYTES = 2048  # of one that is; longer ones tell a player's own state alone, and that does not recur
_SHORTEST_LINE = len('{"events":[],"occurredAt":"","sequenceNumber":1}')
_USUAL_PART = 64  # bytes; events, states and players that are shorter on an average are the careful reader's
_HELD_BYTES = 1 << 23  # of lines whose facts are not made yet
_GROWTH = 4  # bytes by which a state's place, or a line's, may be longer in a form


class _Said(msgspec.Struct, gc=False):
    """What an event of a form says.

    Attributes:
        of_view: number of the state with which it was sketched; 0 for none.
    """

    event: grid_wire.Event
    gist: Gist
    of_view: int = 0
    sketch: Sketch | None = None


class _Form(msgspec.Struct, gc=False):
    """What lines have in common: a transaction without ids, clock, numbers and states, and what its events say."""

    series: str
    events: list[_Said]


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
        self._memory = np.zeros(5, np.int64)
        self._places = np.empty((2, _MOST_ENTRIES, 2), np.int64)
        self._codes = np.empty((2, _MOST_ENTRIES), np.int64)
        self._values = np.empty((2, _MOST_ENTRIES))
        self._row_of = np.empty(_MOST_ENTRIES, np.int64)
        self._base = np.empty((_MOST_ENTRIES, 6)), np.empty(_MOST_ENTRIES, np.int64)
        self._stack = np.empty((2 * kernel.MOST_DEPTH, 2), np.int64)
        self._recent = np.empty((_RECENT_FORMS, 2), np.int64)
        items = [item.encode() for item in bomb_items()]
        self._item_text = np.frombuffer(b"".join(items) or b"\0", np.uint8)
        self._item_end = np.cumsum([len(item) for item in items], dtype=np.int64)
        self._view: StateView | None = None
        self._views = 0  # how many there have been
        self._forms: dict[bytes, _Form | None] = {}
        self._buffers = _Buffers(0)
        self._held: list[tuple[Block, _Found]] = []
        self._held_bytes = 0

    def read(self, block: Block) -> None:
        """Reads a block's lines, and tells it how many it has; their facts are added later, at the latest by `finish`.

        Facts are made of many blocks together: right after the kernel has read one, nothing else is in the caches.
        """
        found = self._find(block)
        block.feeds = found.feeds
        if len(found.lines) < found.feeds:
            self.finish()
            self._take_one_by_one(block, found)
            return
        self._held.append((block, found))
        self._held_bytes += len(block.data)
        if self._held_bytes > _HELD_BYTES:
            self.finish()

    def finish(self) -> None:
        """Adds the facts of all lines read so far, in their order."""
        held, self._held, self._held_bytes = self._held, [], 0
        before = self._view
        if held and not self._take_all(held):
            self._view = before
            for block, found in held:
                self._take_one_by_one(block, found)

    def _take_one_by_one(self, block: Block, found: "_Found") -> None:
        """Adds the facts of a block line by line: carefully of those that the kernel left, or that are unusual."""
        text = block.data
        piece = _Piece(self._scan.rows, found.rows, found.items)
        events, states = found.events.tolist(), found.states.tolist()
        line, at = 0, 0
        for told, form in zip(found.lines.tolist(), self._forms_of(found), strict=True):
            place, begin, first, count = (
                told[k] for k in (kernel.LINE, kernel.BEGIN, kernel.FIRST_EVENT, kernel.EVENTS)
            )
            if line < place:
                self._leave(text[at:begin], block.first_line + line)
            at = told[kernel.STOP] + 1
            if not self._take(block.first_line + place, told, text, form, events[first : first + count], states, piece):
                self._leave(text[begin:at], block.first_line + place)
            line = place + 1
        self._leave(text[at:], block.first_line + line)

    def _leave(self, lines: bytes, first_line: int) -> None:
        """Leaves lines to the careful reader."""
        for line in lines_of(Block(first_line, lines)):
            self._careful(line)

    def _take_all(self, held: Sequence[tuple[Block, "_Found"]]) -> bool:
        """Adds the facts of blocks in which nothing is unusual and nothing comes twice.

        Returns:
            False where that is not so; then nothing is added.
        """
        forms = [form for _, found in held for form in self._forms_of(found)]
        known = [form for form in forms if form is not None]
        series = {form.series for form in known}
        counts = [len(form.events) for form in known]
        lines = np.concatenate([found.lines for _, found in held])
        if len(known) < len(forms) or len(series) != 1 or lines[:, kernel.EVENTS].tolist() != counts:
            return False
        events = np.concatenate([found.events for _, found in held])
        if (lines[:, kernel.CLOCK] == kernel.NO_CLOCK).any() or (events[:, kernel.ID_BEGIN] < 0).any():
            return False
        ids = [
            block.data[begin:end].decode()
            for block, found in held
            for begin, end in found.events[:, : kernel.STATE].tolist()
        ]
        views = self._views_of(held)
        if views is None or any_fault_of_ids(ids, self._validity):
            return False
        scan, (name,) = self._scan, series
        if not scan.admits_all(name, lines[:, kernel.SEQUENCE].tolist(), ids, self._tally):
            return False
        piece = _Piece(
            scan.rows,
            np.concatenate([found.rows for _, found in held]),
            np.concatenate([found.items for _, found in held]),
        )
        first_lines = np.repeat([block.first_line for block, _ in held], [len(found.lines) for _, found in held])
        first_events = np.cumsum(counts) - counts
        of_line = np.repeat(np.arange(len(lines)), counts)
        shown = iter(views)
        add = scan.facts.append
        for said, state, line, sequence, index, at_us, event_id in zip(
            (said for form in known for said in form.events),
            events[:, kernel.STATE].tolist(),
            (first_lines + lines[:, kernel.LINE])[of_line].tolist(),
            lines[of_line, kernel.SEQUENCE].tolist(),
            (np.arange(len(of_line)) - first_events[of_line]).tolist(),
            lines[of_line, kernel.CLOCK].tolist(),
            ids,
            strict=True,
        ):
            event, gist = said.event, said.gist
            if state < 0:
                sketch = scan.sketch(event, gist, None)
                add(scan.fact(sketch, event, gist, None, line, name, sequence, index, at_us, event_id))
                continue
            view, number, first_row = next(shown)
            if said.of_view != number or said.sketch is None:
                said.of_view, said.sketch = number, scan.sketch(event, gist, view)
            sketch = said.sketch
            cast, game = sketch.cast, sketch.game
            if sketch.others or cast is None or game is None:
                own = Shown(view, piece.add, first_row)
                add(scan.fact(sketch, event, gist, own, line, name, sequence, index, at_us, event_id))
                continue
            snapshot = Snapshot(cast, piece.add(view, game, first_row))
            add(
                Fact(
                    line, name, sequence, index, at_us, event_id, gist, sketch.reverted_id, game, sketch.numbers,
                    sketch.series_state, snapshot, (), sketch.round, b"",
                )
            )  # fmt: skip
        return True

    def _views_of(self, held: Sequence[tuple[Block, "_Found"]]) -> list[tuple[StateView, int, int]] | None:
        """Of each state the view, its number and its first row among those of all; None where one can't be taken."""
        views = []
        rows_before = 0
        for block, found in held:
            for first_row, rows_end, changed, begin, end in found.states.tolist():
                if changed:
                    self._see(block.data[begin:end])
                view = self._view
                if view is None or view.row_count != rows_end - first_row:
                    return None
                views.append((view, self._views, rows_before + first_row))
            rows_before += len(found.rows)
        return views

    def _see(self, state: bytes) -> None:
        """Takes a state whose players are not those of the one before."""
        self._views += 1
        try:
            self._view = StateView(_STATE.decode(state), self._scan.casts, self._scan.limits)
        except DECODE_ERRORS:
            self._view = None

    def _take(
        self,
        line: int,
        told: Sequence[int],
        text: bytes,
        form: _Form | None,
        events: Sequence[Sequence[int]],
        states: Sequence[Sequence[int]],
        piece: "_Piece",
    ) -> bool:
        """Adds the facts of a line that the kernel has read; false where it is the careful reader's after all."""
        is_usual = True
        own: list[tuple[str, Shown | None]] = []
        for id_begin, id_end, state in events:
            shown = None
            if state >= 0:
                first_row, rows_end, changed, state_begin, state_end = states[state]
                if changed:
                    self._see(text[state_begin:state_end])
                view = self._view
                if view is None or view.row_count != rows_end - first_row:
                    is_usual = False
                else:
                    shown = Shown(view, piece.add, first_row)
            own.append((text[id_begin:id_end].decode() if id_begin >= 0 else "", shown))
        if form is None or not is_usual or len(form.events) != len(events):
            return False
        series, sequence, at_us = form.series, told[kernel.SEQUENCE], told[kernel.CLOCK]
        if at_us == kernel.NO_CLOCK:
            try:
                at_us = instant_us(text[told[kernel.CLOCK_BEGIN] : told[kernel.CLOCK_STOP]].decode(), "occurredAt")
            except BadField:
                return False
        for index, (event_id, shown) in enumerate(own):
            if not event_id:
                event = form.events[index].event
                event_id = str(event.id) if event.id not in (None, "") else f"{series}:{sequence}:{index}"
                own[index] = event_id, shown
            if fault_of_id(event_id, self._validity) is not None:
                return False
        scan, tally = self._scan, self._tally
        if scan.admits(series, sequence, len(events), tally):
            for index, (event_id, shown) in enumerate(own):
                said = form.events[index]
                scan.add(said.event, said.gist, shown, line, series, sequence, index, at_us, event_id, tally)
        return True

    def _forms_of(self, found: "_Found") -> list[_Form | None]:
        """The form of each line; None for one that is the careful reader's."""
        begins, ends = (found.lines[:, column].tolist() for column in (kernel.OUT_BEGIN, kernel.OUT_STOP))
        different = dict(zip(begins, ends, strict=True))
        forms = {begin: self._form(found.forms[begin:end]) for begin, end in different.items()}
        return [forms[begin] for begin in begins]

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
            self._buffers = _Buffers(len(text) + len(text) // 4)  # the next one may be a little longer
        out, lines, events, states, rows, items = self._buffers.all
        n_lines, n_events, n_states, n_rows, n_out, feeds, newest = kernel.read_block(
            text, self._saved, self._memory, self._places, self._codes, self._values, self._row_of, *self._base,
            self._stack, self._recent, self._item_text, self._item_end, out, lines, events, states, rows, items,
        )  # fmt: skip
        if newest >= 0:
            which, count = self._memory[kernel.WHICH], self._memory[kernel.COUNT]
            self._saved = _readonly(text[newest : self._memory[kernel.SAVED_END]].copy())
            self._places[which, :count] -= newest
            self._memory[kernel.SAVED_END] -= newest
        return _Found(
            out[:n_out].tobytes(),
            lines[:n_lines].copy(),
            events[:n_events].copy(),
            states[:n_states].copy(),
            rows[:n_rows].copy(),
            items[:n_rows].copy(),
            feeds,
        )


class _Found(NamedTuple):
    """What the kernel found in a block; see there."""

    forms: bytes
    lines: NDArray[np.int64]
    events: NDArray[np.int64]
    states: NDArray[np.int64]
    rows: NDArray[np.float64]
    items: NDArray[np.int64]
    feeds: int


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
    try:
        transaction = _TRANSACTION.decode(form)
        series = series_of(transaction)
        gists = [gist_of(event, validity) for event in transaction.events]
    except (*DECODE_ERRORS, BadField):
        return None
    if len(gists) > MOST_PLACES or any(event.series_state is not None for event in transaction.events):
        return None
    return _Form(series, [_Said(event, gist) for event, gist in zip(transaction.events, gists, strict=True)])
