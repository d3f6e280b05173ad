"""Which of the events that could be read of a canonical log stand.

Belongs here: what only the whole file can say of an event: its match's clock, its round's time, who has its id.
Does not belong here: what a line says (`canonical`), and why these rules (there too).

Of every event a few numbers are kept, about 13 bytes, 21 with a wall clock. Ids are compared by 128 bits of hash:
among the 25 million events of the largest file that is read, the chance that two different ids are taken for one is
below 10^-24.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from configs.events import ValidityConfig
from pipeline.events.drafts import Drafts

STANDS, NO_TIME, OFF_CLOCK, OFF_ROUND, DUPLICATE = range(5)
_NEVER_MS, _NEVER_US = np.iinfo(np.int32).min, np.iinfo(np.int64).min


@dataclass(frozen=True)
class Verdict:
    """What becomes of every event.

    Attributes:
        fates: per event in the order of adding, one of `STANDS` to `DUPLICATE`.
        started_us: per match its clock at match time 0, microseconds since 1970 UTC, where known.
        round_ms: of match and round the median time of the events that name it.
    """

    fates: NDArray[np.uint8]
    started_us: dict[str, int]
    round_ms: Callable[[str, int], int]

    def refused(self, drafts: Drafts) -> Iterator[tuple[int, str, str]]:
        """Line, field and reason of every event that is refused, by line."""
        for frame, fates in _with(drafts, self.fates):
            rows = np.flatnonzero((fates != STANDS) & (fates != DUPLICATE))
            picked = frame.select("match_id", "source_line", "t_ms", "occurred_us", "round")[rows]
            yield from sorted(
                (line, *self._reason(fate, match_id, t_ms, occurred_us, number))
                for fate, (match_id, line, t_ms, occurred_us, number) in zip(
                    fates[rows].tolist(), picked.iter_rows(), strict=True
                )
            )

    def _reason(
        self, fate: int, match_id: str, t_ms: int | None, occurred_us: int | None, number: int | None
    ) -> tuple[str, str]:
        if fate == OFF_CLOCK and occurred_us is not None:
            off_s = (occurred_us - (t_ms or 0) * 1000 - self.started_us[match_id]) // 1_000_000
            return "timestamp", f"stands {off_s} s from the match time, by the clock of the match's other events"
        if fate == OFF_ROUND and number is not None:
            off_s = ((t_ms or 0) - self.round_ms(match_id, number)) // 1000
            return "payload.ts", f"stands {off_s} s from the other events of its round"
        return "payload.ts", "is missing, and no lone timestamp stands for it"


class Standing:
    """The events that stand, as frames."""

    def __init__(self, drafts: Drafts, fates: NDArray[np.uint8]) -> None:
        self._drafts, self._fates = drafts, fates
        self._ends = np.cumsum([0, *drafts.heights])

    def __len__(self) -> int:
        return len(self._drafts)

    def __getitem__(self, place: int) -> pl.DataFrame:
        frame = self._drafts[place]
        stands = self._fates[self._ends[place] : self._ends[place + 1]] == STANDS
        if not stands.all():
            frame = frame.filter(stands)
        # The one event of a match that has no other may lack its time; that instant is then the match's 0.
        return frame.with_columns(pl.col("t_ms").fill_null(0)) if frame["t_ms"].null_count() else frame


class Claims:
    """A few numbers of every event, from which to decide."""

    def __init__(self) -> None:
        self._rows = 0
        self._names: dict[str, int] = {}
        self._matches: list[NDArray[np.uint32]] = []
        self._ids: list[NDArray[np.uint64]] = []
        self._times: list[NDArray[np.int32]] = []
        self._clocks: list[NDArray[np.int64]] = []
        self._has_clocks = False
        self._named: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
        self._rounds: list[NDArray[np.int32]] = [np.empty(0, np.int32)]

    def add(self, frame: pl.DataFrame) -> None:
        """Takes note of the next events, in a frame like those of `pipeline.events.drafts.Drafts`."""
        if frame.is_empty():
            return
        self._matches.append(self._match_numbers(frame["match_id"]))
        self._ids.append(frame["event_id"].hash(1).to_numpy())
        self._times.append(frame["t_ms"].fill_null(_NEVER_MS).to_numpy().astype(np.int32))
        clocks = frame["occurred_us"]
        if clocks.null_count() == frame.height:
            self._clocks.append(np.broadcast_to(np.int64(_NEVER_US), frame.height))
        else:
            self._has_clocks = True
            self._clocks.append(clocks.fill_null(_NEVER_US).to_numpy().copy())
        named = np.flatnonzero(frame["round"].is_not_null().to_numpy())
        self._named.append(named + self._rows)
        self._rounds.append(frame["round"][named].to_numpy().copy())
        self._rows += frame.height

    def _match_numbers(self, matches: pl.Series) -> NDArray[np.uint32]:
        known = matches.unique(maintain_order=True)
        numbers = np.array([self._names.setdefault(name, len(self._names)) for name in known.to_list()], np.uint32)
        if len(known) == 1:
            return np.broadcast_to(numbers, len(matches))  # of a log of one match nothing is held
        codes = matches.to_physical().to_numpy()
        places = np.empty(int(codes.max()) + 1, np.uint32)
        places[known.to_physical().to_numpy()] = numbers
        return places.take(codes)

    def decide(self, drafts: Drafts, validity: ValidityConfig) -> Verdict:
        """What becomes of every event; to be called once.

        Args:
            drafts: the same events, added alike.
            validity: how far clocks may stand apart.
        """
        fates = np.full(self._rows, STANDS, np.uint8)
        ids, times = _joined(self._ids, np.uint64), _joined(self._times, np.int32)
        matches = _joined(self._matches, np.uint32) if len(self._names) > 1 else None
        clocks = _joined(self._clocks, np.int64) if self._has_clocks else None
        named, rounds = _joined(self._named, np.int64), _joined(self._rounds, np.int32)
        of_match = _rows_by_number(matches, len(self._names), self._rows)
        started: dict[str, int] = {}
        for name, rows in zip(self._names, of_match, strict=True):
            start = _check_clocks(fates, times, rows, ids, clocks, validity.max_clock_skew_ms)
            if start is not None:
                started[name] = start
        medians = _check_rounds(fates, times, named, rounds, matches, validity.max_clock_skew_ms)
        again = np.zeros(self._rows, bool)
        for rows in of_match:
            _find_again(again, fates, rows, ids)
        if again.any():
            fates[_later_copies(drafts, again)] = DUPLICATE
        return Verdict(fates, started, lambda match_id, number: medians[self._names[match_id], number])


def _with(drafts: Drafts, fates: NDArray[np.uint8]) -> Iterator[tuple[pl.DataFrame, NDArray[np.uint8]]]:
    end = 0
    for place, height in enumerate(drafts.heights):
        start, end = end, end + height
        if fates[start:end].any():
            yield drafts[place], fates[start:end]


def _joined(pieces: list[NDArray[Any]], kind: type[np.generic]) -> NDArray[Any]:
    """The pieces as one array; they are gone then, so that nothing stands in memory twice for long."""
    whole = np.concatenate(pieces) if pieces else np.empty(0, kind)
    pieces.clear()
    return whole


def _rows_by_number(numbers: NDArray[np.uint32] | None, count: int, rows: int) -> list[slice | NDArray[np.intp]]:
    if numbers is None:
        return [slice(0, rows)] * count
    order = np.argsort(numbers, kind="stable")
    return list(np.split(order, np.cumsum(np.bincount(numbers, minlength=count))[:-1]))


def _check_clocks(
    fates: NDArray[np.uint8],
    times: NDArray[np.int32],
    rows: slice | NDArray[np.intp],
    ids: NDArray[np.uint64],
    clocks: NDArray[np.int64] | None,
    most_ms: int,
) -> int | None:
    """Refuses those of a match that have no time, or the wrong one by its clock; gives that clock at match time 0."""
    at = times[rows]
    lacking = at == _NEVER_MS
    if clocks is None:
        if lacking.any():
            fates[rows] = np.where(lacking, NO_TIME, fates[rows])
        return None
    clock, own = clocks[rows], ids[rows]
    has_clock = clock != _NEVER_US
    if lacking.any():
        if (own == own[0]).all():
            at = np.where(lacking & has_clock, 0, at)
            times[rows] = at
            lacking &= ~has_clock
        fates[rows] = np.where(lacking, NO_TIME, fates[rows])
    both = has_clock & ~lacking
    if not both.any():
        return None
    starts = clock - at.astype(np.int64) * 1000
    start = _lower_median(starts[both])
    off = both & (np.abs((starts - start) // 1000) > most_ms)
    if off.any():
        fates[rows] = np.where(off, OFF_CLOCK, fates[rows])
    return start


def _lower_median(values: NDArray[np.int64]) -> int:
    middle = (values.size - 1) // 2
    return int(np.partition(values, middle)[middle])


def _check_rounds(
    fates: NDArray[np.uint8],
    times: NDArray[np.int32],
    named: NDArray[np.int64],
    rounds: NDArray[np.int32],
    matches: NDArray[np.uint32] | None,
    most_ms: int,
) -> Mapping[tuple[int, int], int]:
    """Refuses those that stand far from their round; gives the medians by number of the match and round."""
    timed = times[named] != _NEVER_MS
    named, rounds = named[timed], rounds[timed]
    if not named.size:
        return {}
    of = np.zeros(named.size, np.uint32) if matches is None else matches[named]
    order = np.lexsort((times[named], rounds, of))
    named, rounds, of = named[order], rounds[order], of[order]
    first = np.flatnonzero(np.concatenate([[True], (of[1:] != of[:-1]) | (rounds[1:] != rounds[:-1])]))
    size = np.diff([*first, named.size])
    medians = times[named[first + (size - 1) // 2]]
    off = np.abs(times[named].astype(np.int64) - np.repeat(medians, size)) > most_ms
    wrong = named[off & (fates[named] == STANDS)]
    fates[wrong] = OFF_ROUND
    if not wrong.size:
        return {}
    return dict(zip(zip(of[first].tolist(), rounds[first].tolist(), strict=True), medians.tolist(), strict=True))


def _find_again(
    again: NDArray[np.bool_], fates: NDArray[np.uint8], rows: slice | NDArray[np.intp], ids: NDArray[np.uint64]
) -> None:
    """Marks those of a match, of all that stand, whose id may come again."""
    stands = fates[rows] == STANDS
    own = ids[rows][stands]
    sorted_ = np.sort(own)
    twice = sorted_[1:][sorted_[1:] == sorted_[:-1]]
    if twice.size:
        maybe = np.zeros(stands.size, bool)
        maybe[stands] = np.isin(own, twice)
        again[rows] = maybe


def _later_copies(drafts: Drafts, again: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Which events have an id that an earlier line of their match has."""
    found = []
    end = 0
    for place, height in enumerate(drafts.heights):
        start, end = end, end + height
        rows = np.flatnonzero(again[start:end])
        if rows.size:
            frame = drafts[place].select("match_id", "event_id", "source_line")[rows]
            found.append(
                frame.select(
                    pl.col("match_id").to_physical(),
                    "source_line",
                    one=pl.col("event_id").hash(1),
                    other=pl.col("event_id").hash(2),
                    at=pl.Series(rows + start),
                )
            )
    by_line = pl.concat(found).sort("source_line")
    nth = pl.int_range(pl.len()).over("match_id", "one", "other")
    return by_line.filter(nth > 0)["at"].to_numpy()
