"""Rows in order, slice by slice, however many there are and however they lie.

Belongs here: sorting more than may stand in memory. Does not belong here: what the order means
(`pipeline.events.drafts`, `pipeline.events.quarantine`).

A file whose batches hardly overlap, as a log's do, is put in order as it is read. Rows that lie scattered are first
dealt out, by keys sampled regularly from every sorted batch (Shi and Schaeffer, Parallel sorting by regular sampling,
1992), to holes of about one slice each: so no hole has more than two slices' rows, as long as no two rows are equal.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import accumulate

import polars as pl

from configs.events import PiecesConfig
from pipeline.events.spool import Pigeonholes

Span = tuple[int, int]
_MOST_WAITING = 2  # batches; with more, rows lie scattered


@dataclass(frozen=True)
class Order:
    """A total order.

    Attributes:
        columns: its keys; the first is of whole numbers.
        sort: puts a frame that has at least these columns in order.
    """

    columns: tuple[str, ...]
    sort: Callable[[pl.DataFrame], pl.DataFrame]


def span(frame: pl.DataFrame, order: Order) -> Span:
    """Least and greatest first key of a frame that is not empty."""
    first = frame[order.columns[0]]
    return first.min(), first.max()  # type: ignore[return-value]  # whole numbers


def slices(
    batches: Callable[[], Iterator[pl.DataFrame]],
    spans: Sequence[Span],
    order: Order,
    rows: int,
    pieces: PiecesConfig,
) -> Callable[[], Iterator[pl.DataFrame]]:
    """All rows in order.

    Args:
        batches: gives the rows as frames that are not empty, the same ones each time.
        spans: least and greatest first key of every batch.
        order: the order.
        rows: about how many rows a slice shall have where rows lie scattered.
        pieces: in which scattered rows wait on disk.

    Returns:
        What gives frames that are not empty; each row of one stands before every row of the next.
    """
    floors = [*accumulate((low for low, _ in reversed(spans[1:])), min)][::-1]
    if _most_waiting(spans, floors) > _MOST_WAITING:
        return lambda: _dealt(batches, len(spans), order, rows, pieces)
    return lambda: _merged(batches(), floors, order)


def _most_waiting(spans: Sequence[Span], floors: Sequence[int]) -> int:
    """At how many batches at once, at most, rows must wait for a later one."""
    highs: list[int] = []
    most = 0
    for (_, high), floor in zip(spans, floors, strict=False):
        heappush(highs, high)
        while highs and highs[0] < floor:
            heappop(highs)
        most = max(most, len(highs))
    return most


def _merged(batches: Iterator[pl.DataFrame], floors: Sequence[int], order: Order) -> Iterator[pl.DataFrame]:
    """Rows leave as soon as no later batch can have one before them."""
    key = order.columns[0]
    waiting: pl.DataFrame | None = None
    for floor, batch in zip([*floors, None], batches, strict=False):  # without a batch there is a floor too many
        frame = order.sort(batch)
        del batch
        if waiting is not None:  # only with the head of the batch can they lie out of order
            head = int(frame[key].search_sorted(waiting[key][-1], side="right"))
            frame = pl.concat([order.sort(pl.concat([waiting, frame[:head]])), frame[head:]], rechunk=True)
        cut = frame.height if floor is None else int(frame[key].search_sorted(floor, side="left"))
        waiting, frame = frame[cut:] if cut < frame.height else None, frame[:cut]
        if cut:
            yield frame
        del frame  # before the next batch is read


def _dealt(
    batches: Callable[[], Iterator[pl.DataFrame]], count: int, order: Order, rows: int, pieces: PiecesConfig
) -> Iterator[pl.DataFrame]:
    step = max(1, rows // count)
    samples = pl.concat([order.sort(batch.select(order.columns)).gather_every(step) for batch in batches()])
    fences = order.sort(samples).gather_every(max(1, rows // step))[1:]
    holes = Pigeonholes(fences.height + 1, held_rows=rows, pieces=pieces)
    for batch in batches():
        for (hole,), part in (
            batch.with_columns(_hole=_holes(batch, fences, order))
            .partition_by("_hole", include_key=False, as_dict=True)
            .items()
        ):
            holes.add(int(hole), part)
    yield from map(order.sort, holes)


def _holes(batch: pl.DataFrame, fences: pl.DataFrame, order: Order) -> pl.Series:
    """For every row how many fences stand before it."""
    keys = batch.select(order.columns).with_row_index("_at")
    mixed = order.sort(pl.concat([keys, fences.with_columns(_at=pl.lit(None, pl.UInt32))], how="diagonal"))
    placed = mixed.select("_at", _hole=pl.col("_at").is_null().cum_sum()).drop_nulls("_at")
    return placed.sort("_at")["_hole"]
