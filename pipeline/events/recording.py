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
from pipeline.events.drafts import TOTAL_ORDER, by_match
from pipeline.events.matches import cast, find_rounds, match_frame, number_rounds, opening, rounds_frame
from pipeline.events.naming import Naming
from pipeline.events.order import slices
from pipeline.events.sources import Frames
from pipeline.events.streams import TableStream
from pipeline.events.survey import Survey
from pipeline.events.tracks import Tracks
from pipeline.tables import TABLES

_EVENT_COLUMNS = tuple(name for name in TABLES["events"].column_names() if name != "occurred_at")


@dataclass(frozen=True)
class MatchReading:
    """A match as its tables.

    Attributes:
        match: table `matches`, one row.
        rounds: table `rounds`.
        events: table `events`, in total order.
        tracks: table `tracks`, by player and time. Quicker once `events` was read to its end.
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
    lines: LinesConfig,
) -> MatchReading:
    """The tables of one match; of the long ones not a row is made before it is asked for.

    Args:
        match_id: its name.
        drafts: the events of the log that stand.
        known: what was seen of this match among them.
        told: what the log tells of it outside MATCH_STARTED, in the shape of that event's payload.
        started_us: wall clock at match time 0, microseconds since 1970 UTC, where known.
        log: `source_kind`, `log_id`, `log_uri`, `log_sha256`.
        lines: how many rows may stand in memory.
    """
    boundaries = known.boundaries
    numbered = number_rounds(boundaries)
    opened = opening(boundaries, told)
    players = cast(opened, boundaries, known.teams)
    rounds = find_rounds(numbered)
    owners = known.owners
    tables = _Tables(match_id, drafts, known, Naming(boundaries, numbered, players, rounds), lines)
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
    def __init__(self, match_id: str, drafts: Frames, known: Survey, naming: Naming, lines: LinesConfig) -> None:
        self._match_id, self._drafts, self._known = match_id, drafts, known
        self._naming, self._lines = naming, lines
        self._in_order = slices(self._batches, known.spans, TOTAL_ORDER, lines.frame_rows)
        self._tracks: Tracks | None = None

    def events(self) -> Iterator[pl.DataFrame]:
        for events in self._named():
            at = pl.from_epoch("occurred_us", time_unit="us").dt.replace_time_zone("UTC").alias("occurred_at")
            yield events.select(*_EVENT_COLUMNS, at).select(TABLES["events"].column_names())

    def tracks(self) -> Iterator[pl.DataFrame]:
        if self._tracks is None:
            for _ in self._named():
                pass
        assert self._tracks is not None  # noqa: S101  # all events have passed by
        yield from self._tracks

    def _batches(self) -> Iterator[pl.DataFrame]:
        for place in self._known.places:
            yield next(part for part in by_match(self._drafts[place]) if part["match_id"][0] == self._match_id)

    def _named(self) -> Iterator[pl.DataFrame]:
        """All events, named; tracks are dealt out as they pass by the first time."""
        tracks = (
            Tracks(self._known.positions, self._lines.frame_rows, self._lines.held_rows)
            if self._tracks is None
            else None
        )
        for events in self._naming.name(self._in_order()):
            if tracks is not None:
                tracks.add(events)
            yield events
        self._tracks = self._tracks or tracks
