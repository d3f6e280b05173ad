"""Round, team and side of every event, from what the events up to it told.

Belongs here: what follows from boundary events for all others. Does not belong here: reading boundary events
(`matches`).

A roster counts from the first MATCH_STARTED on; the sides of a round count from its ROUND_STARTED on. So nothing later
changes an event.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.events.drafts import text_codes
from pipeline.events.matches import Cast, Round

_NO_ROUND = -1
_TELLING = ("MATCH_STARTED", "ROUND_STARTED", "ROUND_ENDED")


@dataclass
class _Told:
    """What the events so far have told."""

    is_open: bool
    round: int = _NO_ROUND
    started: set[int] = field(default_factory=set)


class Naming:
    """What the boundary events of a match tell of its other events.

    Args:
        boundaries: the match's boundary events in order, as the log tells them.
        numbered: the same with their rounds.
        players: its rosters.
        rounds: its rounds.
    """

    def __init__(self, boundaries: pl.DataFrame, numbered: pl.DataFrame, players: Cast, rounds: list[Round]) -> None:
        self._opens_late = bool((boundaries["event_type"] == "MATCH_STARTED").any())
        ends = (boundaries["event_type"] == "ROUND_ENDED") & boundaries["round"].is_null()
        self._ends = dict(numbered.filter(ends).select("event_id", "round").iter_rows())
        self._roster = pl.DataFrame(
            [(player, team) for player, (team, _) in players.members.items()],
            schema={"actor": text_codes(), "roster_team": text_codes()},
            orient="row",
        )
        self._sides = pl.DataFrame(
            [(entry.number, team, side) for entry in rounds for team, side in (entry.sides or {}).items()],
            schema={"round": pl.Int32(), "team": text_codes(), "round_side": text_codes()},
            orient="row",
        )

    def named(self, slices: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        """The events with `round`, `team` and `side` filled in.

        Args:
            slices: the match's events in total order, columns of `pipeline.events.drafts.Drafts`.
        """
        return map(partial(self._name, told=_Told(is_open=not self._opens_late)), slices)

    def _name(self, events: pl.DataFrame, told: _Told) -> pl.DataFrame:
        telling = (
            events.select("event_type", "event_id", "round")
            .with_row_index()
            .filter(pl.col("event_type").is_in(_TELLING))
        )
        open_from = 0 if told.is_open else events.height
        starts: dict[int, int] = {}
        at, running = [0], [told.round]
        ends: dict[int, int] = {}
        for row, event_type, event_id, number in telling.iter_rows():
            if event_type == "MATCH_STARTED":
                open_from = min(open_from, row)
            elif event_type == "ROUND_STARTED" and number is not None:
                at.append(row)
                running.append(number)
                starts.setdefault(number, row)
            elif event_type == "ROUND_ENDED" and number is None and self._ends.get(event_id) is not None:
                ends[row] = self._ends[event_id]
        own = events["round"]
        last_started = _filled(at, running, events.height)
        for row, number in ends.items():
            last_started[row] = number
        early = self._before_their_round(own, starts, told)
        told.is_open = open_from < events.height
        told.round = running[-1]
        told.started.update(starts)
        events = events.with_columns(
            round=pl.coalesce("round", pl.Series(last_started).replace(_NO_ROUND, None))
            if _NO_ROUND in running
            else pl.coalesce("round", pl.Series(last_started))
        )
        return self._name_sides(self._name_teams(events, open_from), early)

    def _before_their_round(self, own: pl.Series, starts: dict[int, int], told: _Told) -> NDArray[np.int64]:
        """Rows that name a round which has not started yet."""
        rows = np.flatnonzero(own.is_not_null().to_numpy())
        numbers, inverse = np.unique(own[rows].to_numpy(), return_inverse=True)
        from_ = [-1 if n in told.started else starts.get(n, own.len()) for n in numbers.tolist()]
        return rows[rows < np.array(from_, np.int64)[inverse]]

    def _name_teams(self, events: pl.DataFrame, open_from: int) -> pl.DataFrame:
        if self._roster.is_empty() or open_from == events.height:
            return events
        known = events.join(self._roster, on="actor", how="left", maintain_order="left")["roster_team"]
        if open_from:
            known = pl.select(pl.when(pl.int_range(events.height) >= open_from).then(known)).to_series()
        return events.with_columns(team=pl.coalesce("team", known))

    def _name_sides(self, events: pl.DataFrame, early: NDArray[np.int64]) -> pl.DataFrame:
        if events["side"].null_count() < events.height:
            words = pl.col("side").cast(pl.String).str.strip_chars().str.to_lowercase()
            events = events.with_columns(side=words.cast(text_codes()))
        if self._sides.is_empty():
            return events
        known = events.join(self._sides, on=["round", "team"], how="left", maintain_order="left")["round_side"]
        if early.size:
            known = known.scatter(early, None)
        return events.with_columns(side=pl.coalesce("side", known))


def _filled(at: list[int], values: list[int], size: int) -> NDArray[np.int32]:
    """Each value from its row on, up to the row of the next."""
    return np.repeat(np.array(values, np.int32), np.diff([*at, size]))
