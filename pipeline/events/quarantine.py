"""What could not be read, with the place and the reason.

Belongs here: collecting rows of the table `quarantine`. Does not belong here: deciding what is bad.
"""

from collections.abc import Sequence

import polars as pl

from pipeline.tables import conform, empty


class BadField(Exception):
    """One field of an event can't be taken; caught where the event is read, never seen outside."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field, self.reason = field, reason


class QuarantineRows:
    """Grows the table `quarantine` of one log."""

    def __init__(self, log_id: str, raw_chars: int) -> None:
        self._log_id, self._raw_chars = log_id, raw_chars
        self._rows: list[tuple[int, str, str, str]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, line: int, field: str, reason: str, raw: bytes) -> None:
        """Adds a row.

        Args:
            line: number of the line from 1; 0 is the file itself.
            field: path of the field at fault; empty for the whole line.
            reason: what is wrong with it.
            raw: the line, of which the start is kept with undecodable bytes escaped.
        """
        text = raw[: 4 * self._raw_chars].decode("utf-8", errors="backslashreplace")
        self._rows.append((line, self._printable(field), self._printable(reason), text[: self._raw_chars]))

    def first(self) -> str:
        """The first row as a sentence, for an error message."""
        if not self._rows:
            return "it is empty"
        line, field, reason, _ = self._rows[0]
        where = "the file" if line == 0 else f"line {line}"
        return f"{where}{', ' + field if field else ''}: {reason}"

    def frame(self) -> pl.DataFrame:
        """The rows as the table `quarantine`, by line."""
        if not self._rows:
            return empty("quarantine")
        columns: Sequence[Sequence[object]] = list(zip(*sorted(self._rows), strict=True))
        names = ("source_line", "field", "reason", "raw")
        rows = pl.DataFrame(dict(zip(names, columns, strict=True)))
        return conform("quarantine", rows.with_columns(pl.lit(self._log_id).alias("log_id")))

    def _printable(self, text: str) -> str:
        return text.encode("utf-8", errors="backslashreplace").decode("utf-8")[: self._raw_chars]
