"""The watermark of a match: the instant up to which no event is waited for any more.

Belongs here: whose clocks count, and how far the match has come by them. Does not belong here: what waits
(`ordering`), any real clock (callers say how long it was silent), bounds (`configs/live.yaml`).

The front is the second-largest latest time among the players not reported dead (the only one's, if there is one; of
all players, if none is alive). The watermark is the front minus the lateness bound, and never goes back. So one fast
clock moves nothing, and neither does an event of the match itself, such as the start of a round. An event is late iff
`t_ms <= watermark` on its arrival; instants up to the watermark are decided.

A player is reported dead by a PLAYER_KILLED that is not earlier than the player's last position or shot, nor than the
last ROUND_STARTED: a grenade that hurts after its thrower's death revives nobody. All of it is a function of the
events in the order of their arrival, so cutting arrivals into calls can't show.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
# numba infers the types of compiled helpers; annotations would be decoration that nothing checks.

from collections.abc import Mapping
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from configs.live import LiveConfig
from pipeline.features import kernel

Ints = NDArray[np.int64]

NEVER = -(2**62)
"""An absent time."""

_LATEST, _LIVED, _DIED, _FIELDS = 0, 1, 2, 3  # of a player: newest event, newest sign of life, newest death
_FRONT, _WATERMARK, _ROUND = 0, 1, 2  # of the match: newest ROUND_STARTED last
_KINDS = np.array([kernel.ROUND_STARTED, kernel.POSITION, kernel.SHOT, kernel.KILL], dtype=np.int64)


class Watermark:
    """How far a match has come."""

    def __init__(self, config: LiveConfig) -> None:
        self._lateness = config.lateness_ms
        self._match = np.full(3, NEVER, dtype=np.int64)
        self._players = np.empty((0, _FIELDS), dtype=np.int64)

    @property
    def at_ms(self) -> int:
        """The watermark; `NEVER` before any player acted."""
        return int(self._match[_WATERMARK])

    def observe(self, t_ms: Ints, kind: Ints, actor: Ints, target: Ints, players: int) -> Ints:
        """Takes notice of events in the order of their arrival, late ones included.

        Args:
            t_ms: time of each, (n,).
            kind: the kernel's code of its type, (n,).
            actor: index of the player who acts, -1 for none, (n,).
            target: index of the player it happens to, -1 for none, (n,).
            players: how many players are known by now; every index is below.

        Returns:
            The watermark after each event, int64 (n,).
        """
        if players > len(self._players):
            grown = np.full((players, _FIELDS), NEVER, dtype=np.int64)
            grown[: len(self._players)] = self._players
            self._players = grown
        marks = np.empty(len(t_ms), dtype=np.int64)
        _observe(t_ms, kind, actor, target, _KINDS, self._lateness, self._match, self._players, marks)
        return marks

    def stop_waiting(self) -> int:
        """The watermark moves up to the front, as no more comes for now; gives it."""
        return self.move_to(int(self._match[_FRONT]))

    def move_to(self, at_ms: int) -> int:
        """The watermark moves to that instant, unless it is there or beyond; gives it."""
        self._match[_WATERMARK] = max(self._match[_WATERMARK], at_ms)
        return self.at_ms

    def state(self) -> dict[str, bytes]:
        """Everything it remembers."""
        return {"match": self._match.tobytes(), "players": self._players.tobytes()}

    @classmethod
    def restored(cls, state: Mapping[str, Any], config: LiveConfig) -> "Watermark":
        """The watermark whose `state` this is."""
        watermark = cls(config)
        watermark._match = np.frombuffer(bytearray(state["match"]), dtype=np.int64)
        watermark._players = np.frombuffer(bytearray(state["players"]), dtype=np.int64).reshape(-1, _FIELDS)
        return watermark


@njit(cache=True)
def _second_largest(players, since_round, only_living):
    """Of the latest times; of one player that one's, of none NEVER."""
    first, second, count = NEVER, NEVER, 0
    for p in range(players.shape[0]):
        latest = players[p, _LATEST]
        if latest == NEVER or (only_living and players[p, _DIED] >= max(players[p, _LIVED], since_round, NEVER + 1)):
            continue
        count += 1
        if latest > first:
            first, second = latest, first
        elif latest > second:
            second = latest
    return (first if count == 1 else second), count


@njit(cache=True)
def _observe(t_ms, kind, actor, target, kinds, lateness, match, players, marks):
    round_started, position, shot, kill = kinds
    for i in range(t_ms.shape[0]):
        t = t_ms[i]
        if kind[i] == round_started:
            match[_ROUND] = max(match[_ROUND], t)
        elif kind[i] >= position:
            if actor[i] >= 0:
                players[actor[i], _LATEST] = max(players[actor[i], _LATEST], t)
                if kind[i] == position or kind[i] == shot:
                    players[actor[i], _LIVED] = max(players[actor[i], _LIVED], t)
            if kind[i] == kill and target[i] >= 0:
                players[target[i], _DIED] = max(players[target[i], _DIED], t)
            front, count = _second_largest(players, match[_ROUND], True)
            if count == 0:
                front, _ = _second_largest(players, match[_ROUND], False)
            if front > match[_FRONT]:
                match[_FRONT] = front
                match[_WATERMARK] = max(match[_WATERMARK], front - lateness)
        marks[i] = match[_WATERMARK]
