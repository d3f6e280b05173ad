"""Round, team and side of the events of a running match, as they leave the reorder buffer in total order.

Belongs here: what follows from boundary events for all others, event by event, with state that can be kept. Does not
belong here: the same for recorded matches, where whole columns are filled at once (`pipeline.events.naming`); tests
hold the two against each other.

What an event tells itself stands. Else its round is the one that started last, its team that of the first
MATCH_STARTED's roster from there on, its side that of its team in its round once that round has started.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.events.matches import cast, side_word
from pipeline.events.model import TYPE_RANK
from pipeline.features import kernel
from pipeline.live.ordering import Held
from pipeline.live.watermark import NEVER

Rows = NDArray[np.int32]
Places = dict[str, dict[str, int]]

MATCH_STARTED, ROUND_STARTED, ROUND_ENDED, MATCH_ENDED = (
    TYPE_RANK[name] for name in ("MATCH_STARTED", "ROUND_STARTED", "ROUND_ENDED", "MATCH_ENDED")
)
_LAST_BOUNDARY = max(MATCH_STARTED, ROUND_STARTED, ROUND_ENDED, MATCH_ENDED, TYPE_RANK["ROUND_LIVE"])
_NO_BOUNDARIES = pl.DataFrame(schema={"event_type": pl.String, "payload": pl.String})


class TooManyNames(PipelineError):
    """A match names more players, teams, sides or rounds than `configs/live.yaml` allows."""


class Naming:
    """What the boundary events so far told.

    Args:
        most_rounds: how many rounds a match may have.
    """

    def __init__(self, most_rounds: int) -> None:
        self._most_rounds = most_rounds
        self._is_open = False
        self._roster: dict[str, str] = {}
        self._sides: dict[int, dict[str, str]] = {}  # of the rounds that have started, by team
        self._round: int | None = None  # started last
        self._before: int | None = None  # started last before the newest boundary's instant
        self._instant = NEVER
        self._ended: set[int | None] = {None}

    def fill(self, released: Sequence[Held], rows: Rows, places: Places) -> None:
        """Fills round, team and side in.

        Args:
            released: the next events in total order.
            rows: their rows of the kernel's matrix, changed in place.
            places: index of each name; grows by names that are new.

        Raises:
            TooManyNames: if more rounds start than allowed.
        """
        begin = 0
        for place, event in enumerate(released):
            if event.rank <= _LAST_BOUNDARY:
                self._stretch(rows[begin:place], places)
                self._boundary(event, rows[place])
                begin = place + 1
        self._stretch(rows[begin:], places)

    def _boundary(self, event: Held, row: NDArray[np.int32]) -> None:
        if event.t_ms != self._instant:
            self._instant, self._before = event.t_ms, self._round
        own = None if row[kernel.ROUND] == kernel.NULL else int(row[kernel.ROUND])
        if event.rank == MATCH_STARTED and not self._is_open:
            self._is_open = True
            members = cast(msgspec.json.decode(event.telling or "{}"), _NO_BOUNDARIES).members
            self._roster = {player: team for player, (team, _) in members.items()}
        elif event.rank == ROUND_STARTED and own is not None:
            self._round = own
            told = msgspec.json.decode(event.telling or "{}").get("sides") or {}
            self._sides.setdefault(own, {team: side_word(side) for team, side in told.items()})
            if len(self._sides) > self._most_rounds:
                raise TooManyNames(f"more than max_rounds = {self._most_rounds} rounds have started")
        number = self._round if own is None else own
        if event.rank == ROUND_ENDED:
            if own is None and self._before not in self._ended:
                number = self._before
            self._ended.add(number)
        row[kernel.ROUND] = kernel.NULL if number is None else number

    def _stretch(self, rows: Rows, places: Places) -> None:
        """Events with no boundary among them."""
        if not len(rows):
            return
        kind, rounds = rows[:, kernel.KIND], rows[:, kernel.ROUND]
        current = kernel.NULL if self._round is None else self._round
        rounds[rounds == kernel.NULL] = current
        acts = kind >= kernel.POSITION
        if self._roster:
            teams = rows[:, kernel.TEAM]
            untold = np.flatnonzero(acts & (teams < 0) & (rows[:, kernel.ACTOR] >= 0))
            if len(untold):
                teams[untold] = self._teams(places)[rows[untold, kernel.ACTOR]]
        unsided = np.flatnonzero(acts & (rows[:, kernel.SIDE] < 0) & (rows[:, kernel.TEAM] >= 0))
        for number in np.unique(rounds[unsided]).tolist() if len(unsided) else ():
            if sides := self._sides.get(number):
                of = unsided[rounds[unsided] == number]
                rows[of, kernel.SIDE] = _indices(places["teams"], sides, places["sides"])[rows[of, kernel.TEAM]]
        rounds[kind == kernel.POSITION] = kernel.NULL  # as in a recorded match: a position tells no round to the kernel

    def _teams(self, places: Places) -> NDArray[np.int32]:
        return _indices(places["players"], self._roster, places["teams"])

    def state(self) -> dict[str, Any]:
        """Everything it remembers, in types that MessagePack knows."""
        return {
            "is_open": self._is_open,
            "roster": self._roster,
            "sides": list(self._sides.items()),
            "rounds": [self._round, self._before, self._instant],
            "ended": sorted(number for number in self._ended if number is not None),
        }

    @classmethod
    def restored(cls, state: Mapping[str, Any], most_rounds: int) -> "Naming":
        """The naming whose `state` this is."""
        naming = cls(most_rounds)
        naming._is_open, naming._roster = state["is_open"], state["roster"]
        naming._sides = dict(state["sides"])
        naming._round, naming._before, naming._instant = state["rounds"]
        naming._ended = {None, *state["ended"]}
        return naming


def _indices(keys: Mapping[str, int], told: Mapping[str, str], values: dict[str, int]) -> NDArray[np.int32]:
    """The index of what is told of each key, -1 where nothing is; new values get an index."""
    return np.array([values.setdefault(told[key], len(values)) if key in told else -1 for key in keys], dtype=np.int32)
