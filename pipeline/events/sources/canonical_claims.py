"""Which of the events that could be read of a canonical log stand.

Belongs here: what only the whole file can say of an event: its match's clock, its round's time, who has its id.
Does not belong here: what a line says (`canonical`), and why these rules (there too).

Of every event eight bytes are kept, the hash of its id, and of clocks how often each offset from match time comes.
Only if they show that something is amiss are the events themselves looked at once more. Ids are compared by 128 bits
of hash: among the 25 million events of the largest file that is read, the chance that two different ids are taken
for one is below 10^-24.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from configs.events import ValidityConfig
from pipeline.events.codes import Codes, codes_of
from pipeline.events.drafts import Drafts, by_match, text_codes
from pipeline.events.sources import TooManyMatches

STANDS, NO_TIME, OFF_CLOCK, OFF_ROUND, DUPLICATE = range(5)
Fates = NDArray[np.uint8]
"""Per event in the order of adding one of `STANDS` to `DUPLICATE`."""

_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio (Knuth, multiplicative hashing)
_SORTED_AT_ONCE = 262_144  # hashes of ids, lest all stand in memory twice
_PENDING = 65_536  # values that may wait to be counted


class Standing:
    """The events that stand, as frames.

    Args:
        drafts: all events.
        fates: what becomes of them; None if all stand.
    """

    def __init__(self, drafts: Drafts, fates: Fates | None) -> None:
        self._drafts, self._fates = drafts, fates
        self._ends = np.cumsum([0, *drafts.heights])

    def __len__(self) -> int:
        return len(self._drafts)

    def __getitem__(self, place: int) -> pl.DataFrame:
        frame = self._drafts[place]
        if self._fates is None:
            return frame
        frame = frame.filter(self._fates[self._ends[place] : self._ends[place + 1]] == STANDS)
        # The one event of a match that has no other may lack its time; that instant is then the match's 0.
        return frame.with_columns(pl.col("t_ms").fill_null(0))


@dataclass(frozen=True)
class Verdict:
    """What becomes of the events.

    Attributes:
        fates: of all events; None if all stand.
        started_us: per match its clock at match time 0, microseconds since 1970 UTC, where known.
        lone: matches that have one event.
        round_ms: `match_id`, `round`, and the median time of the events that name it.
    """

    fates: Fates | None
    started_us: dict[str, int]
    lone: frozenset[str]
    round_ms: pl.DataFrame

    def refused(self, drafts: Drafts) -> Iterator[tuple[int, str, str]]:
        """Line, field and reason of every event that is refused, by line."""
        if self.fates is None:
            return
        for start, events in _placed(drafts):
            fates = self.fates[start : start + events.height]
            rows = np.flatnonzero((fates != STANDS) & (fates != DUPLICATE))
            told = _beside(events[rows], self).with_columns(
                fate=pl.Series(fates[rows]), line=events["source_line"][rows]
            )
            yield from sorted(map(_reason, told.iter_rows(named=True)))


class Claims:
    """A little of every event, from which to decide.

    Args:
        most_matches: of how many matches events are taken.
    """

    def __init__(self, most_matches: int) -> None:
        self._most_matches = most_matches
        self._codes: set[int] = set()
        self._matches: dict[str, _Match] = {}
        self._ids: list[NDArray[np.uint64]] = []

    def add(self, frame: pl.DataFrame) -> None:
        """Takes note of the next events, in a frame like those of `pipeline.events.drafts.Drafts`.

        Raises:
            TooManyMatches: if these events, or those before, are of more matches than are taken.
        """
        if frame.is_empty():
            return
        matches = codes_of(frame["match_id"])
        self._codes.update((matches[:1] if matches.min() == matches.max() else np.unique(matches)).tolist())
        if len(self._codes) > self._most_matches:
            raise TooManyMatches(self._most_matches)
        self._ids.append(_hashes(frame["event_id"], matches, 1))
        for part in by_match(frame):
            self._matches.setdefault(part["match_id"][0], _Match()).note(part)

    def decide(self, drafts: Drafts, validity: ValidityConfig) -> Verdict:
        """What becomes of every event; to be called once.

        Args:
            drafts: the same events, added alike.
            validity: how far clocks may stand apart.
        """
        most_ms = validity.max_clock_skew_ms
        clocks = {name: match.clock(most_ms) for name, match in self._matches.items()}
        rounds = [match.round_times(name) for name, match in self._matches.items()]
        verdict = Verdict(
            fates=None,
            started_us={name: start for name, (start, _) in clocks.items() if start is not None},
            lone=frozenset(name for name, match in self._matches.items() if match.is_lone),
            round_ms=pl.concat([_no_rounds(), *(times for times, _ in rounds)]),
        )
        is_amiss = (
            any(match.lacks_time for match in self._matches.values())
            or any(is_off for _, is_off in clocks.values())
            or any(spread > most_ms for _, spread in rounds)
        )
        twice = self._twice()
        if not is_amiss and not twice.size:
            return verdict
        fates = np.concatenate([_judge(events, verdict, most_ms) for _, events in _placed(drafts)])
        if twice.size:
            fates[_later_copies(drafts, fates, twice)] = DUPLICATE
        return replace(verdict, fates=fates)

    def _twice(self) -> NDArray[np.uint64]:
        """Hashes that come more than once, sorted."""
        twice = []
        shares = 1 + sum(ids.size for ids in self._ids) // _SORTED_AT_ONCE
        for share in range(shares):
            own = [ids[ids % shares == share] for ids in self._ids] if shares > 1 else self._ids
            sorted_ = np.sort(np.concatenate([np.empty(0, np.uint64), *own]))
            twice.append(sorted_[1:][sorted_[1:] == sorted_[:-1]])
        self._ids.clear()
        return np.unique(np.concatenate(twice))


class _Match:
    """What is known of one match."""

    def __init__(self) -> None:
        self.lacks_time = False
        self.is_lone = True
        self._id: str | None = None
        self._offsets_us = _Counts()
        self._untimed_us = _Counts()
        self._rounds: list[tuple[NDArray[np.int32], NDArray[np.int32]]] = []

    def note(self, events: pl.DataFrame) -> None:
        """Takes note of its next events."""
        ids = events["event_id"]
        self._id = self._id or ids[0]
        self.is_lone = self.is_lone and ids[-1] == self._id and bool((ids == self._id).all())
        timed = events
        if events["t_ms"].null_count():
            self.lacks_time = True
            if self.is_lone:
                clocks = events.filter(pl.col("t_ms").is_null())["occurred_us"]
                self._untimed_us.add(np.array(clocks.drop_nulls()))
            timed = events.filter(pl.col("t_ms").is_not_null())
        if timed["occurred_us"].null_count() < timed.height:
            clocked = timed if not timed["occurred_us"].null_count() else timed.drop_nulls("occurred_us")
            self._offsets_us.add(clocked["occurred_us"].to_numpy() - clocked["t_ms"].to_numpy() * 1000)
        rounds, times = timed["round"], timed["t_ms"]
        if rounds.null_count() < timed.height:
            if rounds.null_count():
                is_told = rounds.is_not_null()
                rounds, times = rounds.filter(is_told), times.filter(is_told)
            # Copies; a slice, or what a filter takes for one, would hold the whole page in memory.
            self._rounds.append((np.array(rounds, np.int32), np.array(times, np.int32)))

    def clock(self, most_ms: int) -> tuple[int | None, bool]:
        """Its clock at match time 0, and whether any event stands further from it."""
        if self.is_lone:
            self._offsets_us.absorb(self._untimed_us)  # its one instant is its match time 0
        offsets, counts = self._offsets_us.counted()
        if not offsets.size:
            return None, False
        ends = np.cumsum(counts)
        start = int(offsets[np.searchsorted(ends, (ends[-1] - 1) // 2, side="right")])
        return start, bool((np.abs((offsets[[0, -1]] - start) // 1000) > most_ms).any())

    def round_times(self, name: str) -> tuple[pl.DataFrame, int]:
        """`match_id`, `round` and `round_ms`, the median time of its events; and how far any stands from that."""
        if not self._rounds:
            return _no_rounds(), 0
        rounds, t_ms = (np.concatenate(columns) for columns in zip(*self._rounds, strict=True))
        if (rounds[1:] < rounds[:-1]).any():
            by_round = np.argsort(rounds, kind="stable")
            rounds, t_ms = rounds[by_round], t_ms[by_round]
        starts = np.flatnonzero(np.append(True, rounds[1:] != rounds[:-1]))
        spread, medians = 0, []
        for times in np.split(t_ms, starts[1:]):
            times.sort()
            median = int(times[(times.size - 1) // 2])
            spread = max(spread, int(times[-1]) - median, median - int(times[0]))
            medians.append(median)
        found = {"match_id": [name] * starts.size, "round": rounds[starts], "round_ms": medians}
        return pl.DataFrame(found, schema=_no_rounds().schema), spread


class _Counts:
    """How often each value came, at two numbers per different value."""

    def __init__(self) -> None:
        self._values, self._counts = np.empty(0, np.int64), np.empty(0, np.int64)
        self._pending: list[NDArray[np.int64]] = []
        self._pending_size = 0

    def add(self, values: NDArray[np.int64]) -> None:
        """Counts more values."""
        if values.size and values.min() == values.max():
            self._merge(values[:1], np.array([values.size]))
            return
        self._pending.append(values)
        self._pending_size += values.size
        if self._pending_size > max(_PENDING, self._values.size):
            self._count()

    def absorb(self, other: "_Counts") -> None:
        """Counts what another counted."""
        self._count()
        self._merge(*other.counted())

    def counted(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The different values in order, and how often each came."""
        self._count()
        return self._values, self._counts

    def _count(self) -> None:
        if self._pending:
            self._merge(*np.unique(np.concatenate(self._pending), return_counts=True))
            self._pending, self._pending_size = [], 0

    def _merge(self, values: NDArray[np.int64], counts: NDArray[np.int64]) -> None:
        totals = np.concatenate([self._counts, counts])
        self._values, place = np.unique(np.concatenate([self._values, values]), return_inverse=True)
        self._counts = np.zeros(self._values.size, np.int64)
        np.add.at(self._counts, place, totals)


def _no_rounds() -> pl.DataFrame:
    return pl.DataFrame(schema={"match_id": text_codes(), "round": pl.Int32(), "round_ms": pl.Int64()})


def _hashes(ids: pl.Series, matches: Codes, seed: int) -> NDArray[np.uint64]:
    """Of match and id. Codes of matches are the same for as long as their drafts are held."""
    if matches.size and matches.min() == matches.max():
        matches = matches[:1]
    hashes: NDArray[np.uint64] = np.bitwise_xor(ids.hash(seed).to_numpy(), matches.astype(np.uint64) * _MIX)
    return hashes


def _placed(drafts: Drafts) -> Iterator[tuple[int, pl.DataFrame]]:
    """All frames, each with the place of its first event."""
    start = 0
    for place, height in enumerate(drafts.heights):
        yield start, drafts[place]
        start += height


def _beside(events: pl.DataFrame, verdict: Verdict) -> pl.DataFrame:
    """How far each event stands from its match's clock and from its round: `t_ms`, `clock_ms`, `round_ms`."""
    clocks = pl.DataFrame(
        list(verdict.started_us.items()), schema={"match_id": text_codes(), "start_us": pl.Int64()}, orient="row"
    )
    stands_for_time = pl.col("match_id").cast(pl.String).is_in(verdict.lone) & pl.col("occurred_us").is_not_null()
    return (
        events.select("match_id", "t_ms", "occurred_us", "round")
        .with_columns(t_ms=pl.when(stands_for_time).then(pl.col("t_ms").fill_null(0)).otherwise("t_ms"))
        .join(clocks, on="match_id", how="left", maintain_order="left")
        .join(verdict.round_ms, on=["match_id", "round"], how="left", maintain_order="left")
        .select(
            "t_ms",
            clock_ms=(pl.col("occurred_us") - pl.col("t_ms") * 1000 - pl.col("start_us")) // 1000,
            round_ms=pl.col("t_ms") - pl.col("round_ms"),
        )
    )


def _judge(events: pl.DataFrame, verdict: Verdict, most_ms: int) -> Fates:
    fate = (
        pl.when(pl.col("t_ms").is_null())
        .then(NO_TIME)
        .when(pl.col("clock_ms").abs() > most_ms)
        .then(OFF_CLOCK)
        .when(pl.col("round_ms").abs() > most_ms)
        .then(OFF_ROUND)
        .otherwise(STANDS)
    )
    return _beside(events, verdict).select(fate.cast(pl.UInt8)).to_series().to_numpy()


def _reason(event: dict[str, Any]) -> tuple[int, str, str]:
    if event["fate"] == OFF_CLOCK:
        off = f"stands {event['clock_ms'] // 1000} s from the match time, by the clock of the match's other events"
        return event["line"], "timestamp", off
    if event["fate"] == OFF_ROUND:
        return event["line"], "payload.ts", f"stands {event['round_ms'] // 1000} s from the other events of its round"
    return event["line"], "payload.ts", "is missing, and no lone timestamp stands for it"


def _later_copies(drafts: Drafts, fates: Fates, twice: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Which of the events that stand have an id that an earlier line of their match has."""
    found = []
    for start, events in _placed(drafts):
        matches = codes_of(events["match_id"])
        ids = _hashes(events["event_id"], matches, 1)
        near = twice[np.minimum(np.searchsorted(twice, ids), twice.size - 1)]
        rows = np.flatnonzero((near == ids) & (fates[start : start + events.height] == STANDS))
        other = _hashes(events["event_id"][rows], matches[rows], 2)
        found.append(
            pl.DataFrame({"line": events["source_line"][rows], "one": ids[rows], "other": other, "at": rows + start})
        )
    nth = pl.int_range(pl.len()).over("one", "other")
    return pl.concat(found).sort("line").filter(nth > 0)["at"].to_numpy()
