"""Canonical events as columns, before rounds, teams and sides are known to them.

Belongs here: the one wide frame that every source fills, and its growth by bounded batches.
Does not belong here: how a source is read, how tables are made from it (`tracks`, `matches`, `reader`).
"""

from typing import NamedTuple, get_args

import polars as pl

from pipeline.events.model import TYPE_RANK


class Draft(NamedTuple):
    """One event. Units as in the tables; `None` where the source does not tell.

    Attributes:
        team: of the actor, where the event itself tells it; else found from rosters.
        side: of the actor, where the event itself tells it; else found from the round.
        t_ms: null only until the start of the match is known.
        occurred_us: wall clock, microseconds since 1970 UTC.
        payload: JSON object of whatever no column holds.
    """

    match_id: str
    seq: int
    event_id: str
    event_type: str
    t_ms: int | None
    source_line: int
    payload: str = "{}"
    occurred_us: int | None = None
    round: int | None = None
    actor: str | None = None
    target: str | None = None
    team: str | None = None
    side: str | None = None
    x_mm: int | None = None
    y_mm: int | None = None
    z_mm: int | None = None
    weapon: str | None = None
    amount: int | None = None
    site: str | None = None
    yaw_mdeg: int | None = None
    pitch_mdeg: int | None = None
    hp: int | None = None
    armor: int | None = None
    place: str | None = None
    has_bomb: bool | None = None
    has_kit: bool | None = None
    objective_x_mm: int | None = None
    objective_y_mm: int | None = None
    objective_z_mm: int | None = None


_TYPES: dict[type, pl.DataType] = {str: pl.String(), bool: pl.Boolean(), int: pl.Int32()}
_WIDE = ("seq", "t_ms", "source_line", "occurred_us")
_RANK = pl.col("event_type").replace_strict(TYPE_RANK, return_dtype=pl.Int8)

SCHEMA: dict[str, pl.DataType] = {
    name: pl.Int64() if name in _WIDE else _TYPES[(get_args(kind) or (kind,))[0]]
    for name, kind in Draft.__annotations__.items()
}


class Drafts:
    """Grows a frame of drafts, holding at most one batch of Python objects."""

    def __init__(self, batch_rows: int) -> None:
        self._batch_rows = batch_rows
        self._batch: list[Draft] = []
        self._frames: list[pl.DataFrame] = []

    def add(self, draft: Draft) -> None:
        """Adds one event."""
        self._batch.append(draft)
        if len(self._batch) >= self._batch_rows:
            self._flush()

    def frame(self) -> pl.DataFrame:
        """All events in the order of their adding, columns as in `SCHEMA`."""
        self._flush()
        return pl.concat(self._frames) if self._frames else pl.DataFrame(schema=SCHEMA)

    def _flush(self) -> None:
        if self._batch:
            columns = zip(*self._batch, strict=True)
            series = [pl.Series(name, values, dtype=SCHEMA[name]) for name, values in zip(SCHEMA, columns, strict=True)]
            self._frames.append(pl.DataFrame(series))
            self._batch.clear()


def in_order(drafts: pl.DataFrame) -> pl.DataFrame:
    """The drafts in the total order of events: `(t_ms, seq, rank of the type, event_id)`."""
    return drafts.sort("t_ms", "seq", _RANK, "event_id")
