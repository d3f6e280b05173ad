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
from operator import attrgetter
from statistics import median_low
from typing import Any

import numpy as np

from configs.events import EventsConfig, ValidityConfig
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
    scan = Scan()

    def careful(line: Line) -> None:
        _take_carefully(line, scan, quarantine, tally, config.validity)

    scanner = Scanner(scan, tally, config.validity, careful)
    for block in reopen():
        if isinstance(block, Block):
            scanner.read(block)
        else:
            careful(block)
    drafts = Drafts(config.lines)
    told: dict[str, dict[str, Any]] = {}
    started: dict[str, int] = {}
    by_series: dict[str, list[Fact]] = defaultdict(list)
    for fact in scan.facts:
        by_series[fact.series].append(fact)
    if len(by_series) > config.lines.max_matches:
        raise TooManyMatches(config.lines.max_matches)
    for series, facts in by_series.items():
        facts.sort(key=attrgetter("sequence", "index"))
        rebuild(series, facts, scan)
        for fact in facts:
            if fact.snapshot is not None and not fact.snapshot.cast.is_valid:
                fact.snapshot = None
    columns = scan.rows.columns()
    for series, facts in sorted(by_series.items()):
        stands = standing(facts)
        tally.reverted += stands.count(False)
        untimely = _untimely(facts, config.validity)
        kept = []
        for fact, stays in zip(facts, stands, strict=True):
            if not stays:
                continue
            if (reason := untimely.get(fact.sequence)) is not None:
                refuse(fact, "occurredAt", reason, quarantine, tally)
            else:
                kept.append(fact)
        matches = _by_match(series, kept, _number_games(facts, kept))
        if len(told) + len(matches) > config.lines.max_matches:
            raise TooManyMatches(config.lines.max_matches)
        for match_id, game in matches.items():
            opening, start_us = tell(match_id, game, columns, drafts, quarantine, tally, config)
            told[match_id] = opening
            started[match_id] = start_us
    return SourceReading(drafts=drafts, told=told, started_us=started)


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
    clocks: dict[int, int] = {fact.sequence: fact.transaction_us for fact in facts}
    sequences, times = list(clocks), list(clocks.values())
    most_us = validity.max_clock_skew_ms * 1000
    reach = validity.clock_neighbours
    # No median lies beyond the latest before or the earliest after, so most need no median.
    at = np.array(times, np.int64)
    suspect = (np.maximum.accumulate(at) - at > most_us) | (at - np.minimum.accumulate(at[::-1])[::-1] > most_us)
    found = {}
    for place in np.flatnonzero(suspect).tolist():
        before, after = times[max(0, place - reach) : place], times[place + 1 : place + 1 + reach]
        if before and (late := median_low(before) - times[place]) > most_us:
            found[sequences[place]] = f"goes back by {late // 1_000_000} s"
        elif after and (early := times[place] - median_low(after)) > most_us:
            found[sequences[place]] = f"runs ahead by {early // 1_000_000} s"
    return found


def _number_games(facts: Sequence[Fact], kept: Sequence[Fact]) -> dict[str, int]:
    """Game numbers by id: as a state shows them, else in the order of their starts that stand."""
    numbers: dict[str, int] = {}
    for fact in facts:
        for game, number in fact.numbers.items():
            numbers.setdefault(game, number)
    starts = [fact.game for fact in kept if fact.type == "series-started-game" and fact.game is not None]
    last = max(numbers.values(), default=0)
    for game in (*starts, *(fact.game for fact in kept if fact.game is not None)):
        if game not in numbers:
            last += 1
            numbers[game] = last
    return numbers


def _by_match(series: str, kept: Sequence[Fact], numbers: dict[str, int]) -> dict[str, list[Fact]]:
    """What stands, by match; what names no game goes to the game told last, or the first."""
    current = next((numbers[fact.game] for fact in kept if fact.game is not None), 1)
    matches: dict[str, list[Fact]] = defaultdict(list)
    for fact in kept:
        fact.is_own = fact.game is not None
        if fact.game is not None:
            current = numbers[fact.game]
        matches[f"{series}-{current}"].append(fact)
    return matches
