"""What could not be read, with the place and the reason.

Belongs here: collecting rows of the table `quarantine`. Does not belong here: deciding what is bad.
"""

import polars as pl

from configs.events import LinesConfig
from pipeline.events.order import Order, Span, slices, span
from pipeline.events.spool import Spool
from pipeline.events.streams import TableStream

_COLUMNS = ("source_line", "field", "reason", "raw")
_ORDER = Order(_COLUMNS, lambda frame: frame.sort(_COLUMNS))
_ROWS = 4096  # about 2 MB at 400 characters each


class BadField(Exception):
    """One field of an event can't be taken; caught where the event is read, never seen outside."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field, self.reason = field, reason


class QuarantineRows:
    """Grows the table `quarantine` of one log, in bounded memory."""

    def __init__(self, log_id: str, config: LinesConfig) -> None:
        self._log_id, self._raw_chars, self._pieces = log_id, config.raw_chars, config.pieces
        self._rows: list[tuple[int, str, str, str]] = []
        self._spool = Spool(_ROWS, config.pieces)
        self._spans: list[Span] = []
        self._first: tuple[int, str, str, str] | None = None
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, line: int, field: str, reason: str, raw: bytes) -> None:
        """Adds a row.

        Args:
            line: number of the line from 1; 0 is the file itself.
            field: path of the field at fault; empty for the whole line.
            reason: what is wrong with it.
            raw: the line, of which the start is kept with undecodable bytes escaped.
        """
        text = raw[: 4 * self._raw_chars].decode("utf-8", errors="backslashreplace")
        row = (line, self._printable(field), self._printable(reason), text[: self._raw_chars])
        self._first = self._first or row
        self._count += 1
        self._rows.append(row)
        if len(self._rows) > _ROWS:
            self._put_away()

    def first(self) -> str:
        """The first row as a sentence, for an error message."""
        if self._first is None:
            return "it is empty"
        line, field, reason, _ = self._first
        where = "the file" if line == 0 else f"line {line}"
        return f"{where}{', ' + field if field else ''}: {reason}"

    def table(self) -> TableStream:
        """The rows as the table `quarantine`, by line."""
        if self._rows:
            self._put_away()
        in_order = slices(lambda: iter(self._spool), self._spans, _ORDER, _ROWS, self._pieces)
        return TableStream(
            "quarantine", lambda: (rows.select(pl.lit(self._log_id).alias("log_id"), *_COLUMNS) for rows in in_order())
        )

    def _put_away(self) -> None:
        frame = pl.DataFrame(dict(zip(_COLUMNS, zip(*self._rows, strict=True), strict=True)))
        self._spool.add(frame)
        self._spans.append(span(frame, _ORDER))
        self._rows.clear()

    def _printable(self, text: str) -> str:
        return text.encode("utf-8", errors="backslashreplace").decode("utf-8")[: self._raw_chars]
