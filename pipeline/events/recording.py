"""The tables of one match of a log.

Belongs here: the way from a match's events, wherever they lie, to its tables, the long ones as streams.
Does not belong here: each step on that way (`order`, `naming`, `tracks`, `matches`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from configs.events import LinesConfig
from configs.maps import load_maps
from pipeline.events.drafts import TOTAL_ORDER, of_match
from pipeline.events.matches import cast, find_rounds, match_frame, number_rounds, opening, rounds_frame, with_sides
from pipeline.events.naming import Naming
from pipeline.events.order import slices
from pipeline.events.sources import Frames
from pipeline.events.streams import TableStream
from pipeline.events.survey import Survey
from pipeline.events.tracks import Tracks
from pipeline.tables import TABLES


@dataclass(frozen=True)
class MatchReading:
    """A match as its tables.

    Attributes:
        match: table `matches`, one row.
        rounds: table `rounds`.
        events: table `events`, in total order.
        tracks: table `tracks`, by player and time. Quicker once after `events` was read to its end.
    """

    match: pl.DataFrame
    rounds: pl.DataFrame
    events: TableStream
    tracks: TableStream


def read_match(
    match_id: str,
    drafts: Frames,
    known: Survey,
    *,
    told: Mapping[str, Any],
    started_us: int | None,
    log: Mapping[str, str],
    config: LinesConfig,
) -> MatchReading:
    """The tables of one match; of the long ones not a row is made before it is asked for.

    Args:
        match_id: its name.
        drafts: the events of the log that stand.
        known: what was seen of this match among them.
        told: what the log tells of it outside MATCH_STARTED, as `pipeline.events.sources.SourceReading` has it.
        started_us: wall clock at match time 0, microseconds since 1970 UTC, where known.
        log: `source_kind`, `log_id`, `log_uri`, `log_blake3`.
        config: how many rows are worked on at once, and how many wait in memory.
    """
    boundaries = known.boundaries
    numbered = number_rounds(boundaries)
    opened = opening(boundaries, told)
    players = cast(opened, boundaries, known.teams)
    rounds = find_rounds(numbered)
    owners = known.owners
    # What is told elsewhere may have been learnt late, so it names no event.
    naming = Naming(boundaries, numbered, cast(opening(boundaries, {}), boundaries), rounds)
    rounds = with_sides(rounds, told.get("sides") or {})
    tables = _Tables(match_id, drafts, known, naming, config)
    return MatchReading(
        match=match_frame(
            match_id,
            boundaries,
            rounds,
            players,
            opened,
            guests={player: owners.get(player) for player in known.players - players.members.keys()},
            last_ms=known.last_ms,
            log=log,
            started_us=started_us,
            maps=load_maps(),
        ),
        rounds=rounds_frame(match_id, rounds),
        events=TableStream("events", tables.events),
        tracks=TableStream("tracks", tables.tracks),
    )


class _Tables:
    def __init__(self, match_id: str, drafts: Frames, known: Survey, naming: Naming, config: LinesConfig) -> None:
        self._match_id, self._drafts, self._known = match_id, drafts, known
        self._naming, self._config = naming, config
        self._in_order = slices(self._batches, known.spans, TOTAL_ORDER, config.frame_rows, config.pieces)
        self._tracks: Tracks | None = None

    def events(self) -> Iterator[pl.DataFrame]:
        return map(_as_events, self._named())

    def tracks(self) -> Iterator[pl.DataFrame]:
        if self._tracks is None:
            for _ in self._named():
                pass
        tracks, self._tracks = self._tracks, None  # once, lest those of all matches of a log stand in memory
        assert tracks is not None  # noqa: S101  # all events have passed by
        yield from tracks

    def _batches(self) -> Iterator[pl.DataFrame]:
        for place in self._known.places:
            yield of_match(self._drafts[place], self._match_id)

    def _named(self) -> Iterator[pl.DataFrame]:
        """All events, named; tracks are dealt out as they pass by."""
        tracks = Tracks(self._known.positions, self._config)

        def seen(events: pl.DataFrame) -> pl.DataFrame:
            tracks.add(events)
            return events

        yield from map(seen, self._naming.named(self._in_order()))
        self._tracks = tracks


def _as_events(drafts: pl.DataFrame) -> pl.DataFrame:
    at = drafts["occurred_us"].cast(pl.Datetime("us", "UTC")).alias("occurred_at")
    return pl.DataFrame([at if name == "occurred_at" else drafts[name] for name in TABLES["events"].column_names()])
