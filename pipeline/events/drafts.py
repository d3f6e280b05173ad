"""Canonical events as columns, before rounds, teams and sides are known to them.

Belongs here: the one wide frame that every source fills, its growth by bounded batches, its order.
Does not belong here: how a source is read, how tables are made from it (`tracks`, `matches`, `reader`).
"""

from typing import Any, NamedTuple, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from configs.events import LinesConfig
from pipeline.events.codes import by_code, codes_of, looked_up
from pipeline.events.codes_kernel import tie
from pipeline.events.model import TYPE_RANK
from pipeline.events.order import Order
from pipeline.events.spool import Spool


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

SCHEMA: dict[str, pl.DataType] = {
    name: pl.Int64() if name in _WIDE else _TYPES[(get_args(kind) or (kind,))[0]]
    for name, kind in Draft.__annotations__.items()
}

TEXTS = ("match_id", "event_type", "actor", "target", "team", "side", "weapon", "site", "place")
"""Columns whose texts come again and again: `Drafts` holds them as codes."""


def text_codes() -> pl.Categorical:
    """The type of `TEXTS` as codes. Its list of texts is shared by all frames, and gone with the last of them."""
    return pl.Categorical(pl.Categories("gridmotion.events"))


class Drafts:
    """Events in the order of their adding, as a sequence of bounded frames: columns of `SCHEMA`, `TEXTS` as codes.

    Args:
        config: how many events become a frame at once, and how many rows stand in memory.
    """

    def __init__(self, config: LinesConfig) -> None:
        self._batch_rows = config.batch_rows
        self._batch: list[Draft] = []
        self._spool = Spool(config.frame_rows, config.pieces, config.held_rows)
        self._codes = pl.Series(dtype=text_codes())  # keeps the codes while all frames are on disk

    def add(self, draft: Draft) -> None:
        """Adds one event."""
        self._batch.append(draft)
        if len(self._batch) >= self._batch_rows:
            self._flush()

    def add_frame(self, frame: pl.DataFrame) -> None:
        """Adds events as columns, those of `SCHEMA` in its order and types; `TEXTS` may be codes."""
        self._flush()
        self._spool.add(coded(frame))

    def put_away(self) -> None:
        """Lets all events so far wait on disk, to make room for other things than events."""
        self._flush()
        self._spool.put_away()

    @property
    def heights(self) -> list[int]:
        """How many events each frame has."""
        self._flush()
        return self._spool.heights

    def __len__(self) -> int:
        return len(self.heights)

    def __getitem__(self, place: int) -> pl.DataFrame:
        self._flush()
        return self._spool[place]

    def _flush(self) -> None:
        if self._batch:
            self._spool.add(coded(draft_frame(self._batch)))
            self._batch.clear()


def draft_frame(drafts: list[Draft]) -> pl.DataFrame:
    """Drafts as rows, columns as in `SCHEMA`."""
    columns: list[Any] = list(zip(*drafts, strict=True)) or [()] * len(SCHEMA)
    return pl.DataFrame(
        [pl.Series(name, values, kind) for (name, kind), values in zip(SCHEMA.items(), columns, strict=True)]
    )


def coded(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with `TEXTS` as codes."""
    schema = frame.schema  # made anew each time that it is asked for
    texts = [name for name in TEXTS if schema[name] == pl.String]
    return frame.with_columns(pl.col(texts).cast(text_codes())) if texts else frame


def by_match(drafts: pl.DataFrame) -> list[pl.DataFrame]:
    """The drafts of each match; `TEXTS` are codes."""
    codes = drafts["match_id"].to_physical()
    return [drafts] if codes.min() == codes.max() else drafts.partition_by("match_id")


def of_match(drafts: pl.DataFrame, match_id: str) -> pl.DataFrame:
    """The drafts of a match of which there are some; `TEXTS` are codes."""
    codes = drafts["match_id"].to_physical()
    return drafts if codes.min() == codes.max() else drafts.filter(pl.col("match_id") == match_id)


def in_order(drafts: pl.DataFrame) -> pl.DataFrame:
    """The drafts in the total order of events: `(t_ms, seq, rank of the type, event_id)`."""
    order = order_of(*(drafts[name] for name in TOTAL_ORDER.columns))
    return drafts if order is None else drafts[order]


TOTAL_ORDER = Order(("t_ms", "seq", "event_type", "event_id"), in_order)


def order_of(t_ms: pl.Series, seq: pl.Series, types: pl.Series, ids: pl.Series) -> NDArray[np.intp] | None:
    """Where each event in turn lies; None if they lie in total order.

    Numbers first, texts only where numbers tie, as a comparison of texts costs fifty of numbers.
    """
    if len(t_ms) < 2:
        return None
    keys = [t_ms.to_numpy(), seq.to_numpy(), _ranks(types)]
    order = None
    tied = _ties(keys)
    if tied is None:
        order = np.lexsort(keys[::-1])
        keys, ids = [key[order] for key in keys], ids[order]
        tied = _ties(keys)
        assert tied is not None  # noqa: S101  # they are sorted
    wrong = _descending(ids, tied)
    if not wrong.size:
        return order
    group = np.concatenate([[0], np.cumsum(~tied)])
    is_wrong = np.zeros(group[-1] + 1, bool)
    is_wrong[group[wrong]] = True
    rows = np.flatnonzero(is_wrong[group])
    within = pl.DataFrame({"group": group[rows], "id": ids[rows]}).select(pl.arg_sort_by("group", "id"))["group"]
    order = np.arange(len(ids)) if order is None else order
    order[rows] = order[rows[within.to_numpy()]]
    return order


def _descending(ids: pl.Series, tied: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Which of the rows that tie with the next one have an id behind that one's."""
    rows = np.flatnonzero(tied)
    if 4 * rows.size > tied.size:  # to gather a text costs four comparisons
        return np.flatnonzero(tied & (ids[:-1] > ids[1:]).to_numpy())
    return rows[(ids[rows] > ids[rows + 1]).to_numpy()] if rows.size else rows


def _ties(keys: list[NDArray[Any]]) -> NDArray[np.bool_] | None:
    """Which rows have the same keys as the next one; None if any stands before a lesser one."""
    tied = np.empty(len(keys[0]) - 1, np.bool_)
    return tied if tie(keys[0], keys[1], keys[2], tied) else None


def _ranks(types: pl.Series) -> NDArray[np.int32]:
    if types.dtype != text_codes():
        types = types.cast(text_codes())
    known = codes_of(pl.Series(list(TYPE_RANK), dtype=text_codes()))
    return looked_up(by_code(known, list(TYPE_RANK.values()), 0), codes_of(types))
