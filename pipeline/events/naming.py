"""Round, team and side of every event, from what the events up to it told.

Belongs here: what follows from boundary events for all others. Does not belong here: reading boundary events
(`matches`).

A roster counts from the first MATCH_STARTED on; the sides of a round count from its ROUND_STARTED on. So nothing later
changes an event.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.events.codes import by_code, codes_of, filled, looked_up
from pipeline.events.codes_kernel import side_places
from pipeline.events.drafts import text_codes
from pipeline.events.matches import Cast, Round

_NO_ROUND = -1  # as `filled` has it
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
        types = boundaries["event_type"].to_list()
        self._opens_late = "MATCH_STARTED" in types
        self._ends = {
            event_id: found
            for event_type, own, event_id, found in zip(
                types, boundaries["round"], numbered["event_id"], numbered["round"], strict=True
            )
            if event_type == "ROUND_ENDED" and own is None
        }
        self._telling = pl.Series(_TELLING, dtype=text_codes())
        self._roster = _Table(players.members, [team for team, _ in players.members.values()])
        told = [(entry.number, team, side) for entry in rounds for team, side in (entry.sides or {}).items()]
        self._sides = _Sides(told)

    def named(self, slices: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        """The events with `round`, `team` and `side` filled in.

        Args:
            slices: the match's events in total order, columns of `pipeline.events.drafts.Drafts`.
        """
        return map(partial(self._name, told=_Told(is_open=not self._opens_late)), slices)

    def _name(self, events: pl.DataFrame, told: _Told) -> pl.DataFrame:
        telling = np.flatnonzero(looked_up(by_code(codes_of(self._telling), 1, 0), codes_of(events["event_type"])))
        open_from = 0 if told.is_open else events.height
        starts: dict[int, int] = {}
        at, running = [0], [told.round]
        ends: dict[int, int] = {}
        told_here = (events[name][telling].to_list() for name in ("event_type", "event_id", "round"))
        for row, event_type, event_id, number in zip(telling.tolist(), *told_here, strict=True):
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
        early = self._before_their_round(own, last_started, starts, told)
        for row, number in ends.items():
            last_started[row] = number
        told.is_open = open_from < events.height
        told.round = running[-1]
        told.started.update(starts)
        rounds = _numbered(own, last_started)
        teams = self._teams(events, open_from)
        sides = self._sides_of(events, rounds, teams, early)
        return events.with_columns(rounds, teams, sides)

    def _before_their_round(
        self, own: pl.Series, last_started: NDArray[np.int32], starts: dict[int, int], told: _Told
    ) -> NDArray[np.int64]:
        """Rows that name a round which has not started yet; the one that started last has."""
        numbers = filled(own)
        rows = np.flatnonzero((numbers != last_started) & (numbers != _NO_ROUND))
        named, inverse = np.unique(numbers[rows], return_inverse=True)
        from_ = [-1 if n in told.started else starts.get(n, own.len()) for n in named.tolist()]
        return rows[rows < np.array(from_, np.int64)[inverse]]

    def _teams(self, events: pl.DataFrame, open_from: int) -> pl.Series:
        told = events["team"]
        if not self._roster or open_from == events.height:
            return told
        known = self._roster.of(events["actor"], open_from)
        return known.alias("team") if told.null_count() == len(told) else _first_told(told, known)

    def _sides_of(
        self, events: pl.DataFrame, rounds: pl.Series, teams: pl.Series, early: NDArray[np.int64]
    ) -> pl.Series:
        told = events["side"]
        known = self._sides.of(rounds, teams, early) if self._sides else None
        if told.null_count() == len(told):
            return told if known is None else known.alias("side")
        words = told.cast(pl.String).str.strip_chars().str.to_lowercase().cast(text_codes())
        return words if known is None else _first_told(words, known)


class _Table:
    """A text for each of some texts.

    Args:
        keys: none twice.
        values: one for each.
    """

    def __init__(self, keys: Iterable[str], values: Iterable[str]) -> None:
        self._keys = pl.Series(list(keys), dtype=text_codes())
        self._values = pl.Series([None, *values], dtype=text_codes())

    def __len__(self) -> int:
        return len(self._keys)

    def of(self, keys: pl.Series, first: int) -> pl.Series:
        """The value of each key; null before a row, and for all other texts."""
        places = looked_up(by_code(codes_of(self._keys), np.arange(1, len(self._values)), 0), codes_of(keys))
        places[:first] = 0
        found: pl.Series = self._values[places]
        return found


class _Sides:
    """The side of each team in each round.

    Args:
        told: round, team, side.
    """

    def __init__(self, told: Sequence[tuple[int, str, str]]) -> None:
        self._numbers = np.unique(np.array([number for number, _, _ in told], np.int32))
        teams = sorted({team for _, team, _ in told})
        self._teams = pl.Series(teams, dtype=text_codes())
        self._values = pl.Series([None, *(side for _, _, side in told)], dtype=text_codes())
        self._places = np.zeros((len(self._numbers), len(teams) + 1), np.int32)  # the last column is of all other teams
        for place, (number, team, _) in enumerate(told, 1):
            self._places[np.searchsorted(self._numbers, number), teams.index(team)] = place

    def __len__(self) -> int:
        return len(self._teams)

    def of(self, rounds: pl.Series, teams: pl.Series, but: NDArray[np.int64]) -> pl.Series:
        """The side of each team in its round; null for some rows."""
        columns = by_code(codes_of(self._teams), np.arange(len(self._teams)), len(self._teams))
        places = side_places(filled(rounds), looked_up(columns, codes_of(teams)), self._numbers, self._places)
        places[but] = 0
        found: pl.Series = self._values[places]
        return found


def _numbered(own: pl.Series, last_started: NDArray[np.int32]) -> pl.Series:
    """The round that an event names, else the last one that started."""
    if not own.null_count():
        return own
    started = pl.Series(last_started)
    if (last_started == _NO_ROUND).any():
        started = started.replace(_NO_ROUND, None)
    return _first_told(own, started)


def _first_told(one: pl.Series, other: pl.Series) -> pl.Series:
    return one.zip_with(one.is_not_null(), other) if one.null_count() else one


def _filled(at: list[int], values: list[int], size: int) -> NDArray[np.int32]:
    """Each value from its row on, up to the row of the next."""
    return np.repeat(np.array(values, np.int32), np.diff([*at, size]))
