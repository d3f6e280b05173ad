"""GRID series events: one transaction per line, each event carrying the whole state of the series or what it changed.

Belongs here: order, clocks, corrections, which match an event belongs to. Does not belong here: reading lines quickly
(`grid_scan`) and carefully (`grid_facts`), the wire format and its words (`grid_wire`), states (`grid_snapshots`) and
their rebuilding (`grid_deltas`), what happens in a match (`grid_story`).

A series of 300 MB is read in one pass into small facts; these are put in order of `sequenceNumber`, states that are
missing are rebuilt from deltas, what was taken back falls out, and what stands is told game by game. Of transactions
with the same number, and of events with the same id, the first that can be read stands. A state that declares itself
invalid is not believed.

Events outside any game (the feed, the tournament, the series) belong to the game told last before them, or to the
first one; their match time may be negative. So every event has a match and conservation holds.

A transaction's clock is believed unless it goes against the order of the feed by more than the limit of
`configs/events.yaml`: earlier than the median of the transactions before it, or later than the median of those after.
That is a function of sequence numbers and clocks alone, not of where lines stand in the file.
"""

from collections import defaultdict
from collections.abc import Sequence
from operator import attrgetter, gt
from statistics import median_low
from typing import Any

import numpy as np

from configs.events import EventsConfig, ValidityConfig
from pipeline.events.allocator import give_back
from pipeline.events.conservation import Tally
from pipeline.events.corrections import standing
from pipeline.events.drafts import Drafts
from pipeline.events.lines import Block, Line
from pipeline.events.quarantine import BadField, QuarantineRows
from pipeline.events.sources import Reopen, SourceReading, TooManyMatches
from pipeline.events.sources.grid_deltas import rebuild
from pipeline.events.sources.grid_facts import Fact, Scan, refuse, scan_line
from pipeline.events.sources.grid_scan import Scanner
from pipeline.events.sources.grid_story import tell


def recognises(wire: object) -> bool:
    """Whether a decoded line looks like a GRID transaction."""
    return isinstance(wire, dict) and "events" in wire and ("sequenceNumber" in wire or "seriesId" in wire)


def read_grid(reopen: Reopen, quarantine: QuarantineRows, tally: Tally, config: EventsConfig) -> SourceReading:
    """Reads a GRID log; the contract is `pipeline.events.sources.Source`."""
    scan = Scan(config.snapshots)
    _scan(reopen, scan, quarantine, tally, config.validity)
    drafts = Drafts(config.lines)
    told: dict[str, dict[str, Any]] = {}
    started: dict[str, int] = {}
    by_series = _by_series(scan, config.lines.max_matches)
    rows = scan.rows
    del scan
    for series in sorted(by_series):
        matches = _matches(series, by_series.pop(series), quarantine, tally, config.validity)
        if len(told) + len(matches) > config.lines.max_matches:
            raise TooManyMatches(config.lines.max_matches)
        has_several = bool(by_series) or len(told) + len(matches) > 1
        for match_id in [*matches]:  # what was told is forgotten, lest a long series stand in memory twice
            if has_several:  # the facts of all of them stand in memory, so only one has its events there too
                give_back()
            opening, start_us = tell(match_id, matches.pop(match_id), rows, drafts, quarantine, tally, config)
            told[match_id] = opening
            started[match_id] = start_us
            if has_several:
                drafts.put_away()
    if len(told) > 1:
        give_back()
    return SourceReading(drafts=drafts, told=told, started_us=started)


def _matches(
    series: str, facts: Sequence[Fact], quarantine: QuarantineRows, tally: Tally, validity: ValidityConfig
) -> dict[str, list[Fact]]:
    """What stands of a series, by match."""
    stands = standing(facts)
    tally.reverted += stands.count(False)
    kept = [fact for fact, stays in zip(facts, stands, strict=True) if stays]
    if untimely := _untimely(facts, validity):
        for fact in kept:
            if (reason := untimely.get(fact.sequence)) is not None:
                refuse(fact, "occurredAt", reason, quarantine, tally)
        kept = [fact for fact in kept if fact.sequence not in untimely]
    return _by_match(series, kept, _number_games(facts, kept))


def _by_series(scan: Scan, most: int) -> dict[str, list[Fact]]:
    """The facts by series, those of each in the order of the feed and with the states that can be known.

    Raises:
        TooManyMatches: if there are more series than this.
    """
    by_series: dict[str, list[Fact]] = defaultdict(list)
    for fact in scan.facts:
        by_series[fact.series].append(fact)
    scan.facts.clear()
    if len(by_series) > most:
        raise TooManyMatches(most)
    for series, facts in by_series.items():
        _put_in_order(facts)
        rebuild(series, facts, scan)
        for fact in facts:
            if fact.snapshot is not None and not fact.snapshot.cast.is_valid:
                fact.snapshot = None
    return by_series


def _put_in_order(facts: list[Fact]) -> None:
    """Puts the events of a series in the order of the feed, in which they mostly are."""
    place = attrgetter("sequence", "index")
    places = list(map(place, facts))
    if any(map(gt, places, places[1:])):
        facts.sort(key=place)


def _scan(reopen: Reopen, scan: Scan, quarantine: QuarantineRows, tally: Tally, validity: ValidityConfig) -> None:
    """Reads all lines."""

    def careful(line: Line) -> None:
        _take_carefully(line, scan, quarantine, tally, validity)

    scanner = Scanner(scan, tally, validity, careful)
    for block in reopen():
        if isinstance(block, Block):
            scanner.read(block)
        else:
            scanner.finish()  # what is quarantined first is named where nothing can be used
            careful(block)
    scanner.finish()


def _take_carefully(line: Line, scan: Scan, quarantine: QuarantineRows, tally: Tally, validity: ValidityConfig) -> None:
    if line.refused is None and not line.data.strip():
        return
    try:
        if line.refused is not None:
            raise BadField("", line.refused)
        problems = scan_line(line.data, line.number, scan, tally, validity)
    except BadField as bad:
        quarantine.add(line.number, bad.field, bad.reason, line.data)
        tally.source_events += 1
        tally.quarantined += 1
        return
    for problem in problems:
        quarantine.add(line.number, problem.field, problem.reason, line.data)


def _untimely(facts: Sequence[Fact], validity: ValidityConfig) -> dict[int, str]:
    """Transactions whose clock goes against the order of the feed, by sequence number, with the reason."""
    sequences = np.array([fact.sequence for fact in facts], np.int64)
    firsts = np.flatnonzero(
        np.append(True, sequences[1:] != sequences[:-1])[: len(facts)]
    )  # all events of one have one clock
    at = np.array([fact.transaction_us for fact in facts], np.int64)[firsts]
    most_us = validity.max_clock_skew_ms * 1000
    reach = validity.clock_neighbours
    # No median lies beyond the latest before or the earliest after, so most need no median.
    suspect = (np.maximum.accumulate(at) - at > most_us) | (at - np.minimum.accumulate(at[::-1])[::-1] > most_us)
    found = {}
    for place in np.flatnonzero(suspect).tolist():
        clock, sequence = int(at[place]), int(sequences[firsts[place]])
        before, after = at[max(0, place - reach) : place].tolist(), at[place + 1 : place + 1 + reach].tolist()
        if before and (late := median_low(before) - clock) > most_us:
            found[sequence] = f"goes back by {late // 1_000_000} s"
        elif after and (early := clock - median_low(after)) > most_us:
            found[sequence] = f"runs ahead by {early // 1_000_000} s"
    return found


def _number_games(facts: Sequence[Fact], kept: Sequence[Fact]) -> dict[str, int]:
    """Game numbers by id: as a state shows them, else in the order of their starts that stand."""
    numbers: dict[str, int] = {}
    before = None
    for fact in facts:
        if fact.numbers is not before:
            before = fact.numbers
            for game, number in before.items():
                numbers.setdefault(game, number)
    starts = [fact.game for fact in kept if fact.type == "series-started-game" and fact.game is not None]
    last = max(numbers.values(), default=0)
    for name in dict.fromkeys([*starts, *(fact.game for fact in kept)]):
        if name is not None and name not in numbers:
            last += 1
            numbers[name] = last
    return numbers


def _by_match(series: str, kept: Sequence[Fact], numbers: dict[str, int]) -> dict[str, list[Fact]]:
    """What stands, by match; what names no game goes to the game told last, or the first."""
    current = next((numbers[fact.game] for fact in kept if fact.game is not None), 1)
    matches: dict[str, list[Fact]] = {}
    game, match = None, matches.setdefault(f"{series}-{current}", []) if kept else []
    for fact in kept:
        if fact.game is None:
            fact.is_own = False
        elif fact.game != game:
            game = fact.game
            match = matches.setdefault(f"{series}-{numbers[game]}", [])
        match.append(fact)
    return matches
