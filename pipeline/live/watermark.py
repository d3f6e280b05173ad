"""The watermark of a match: the instant up to which no event is waited for any more.

Belongs here: whose clocks count, which events lie ahead of them, and how far the match has come by them. Does not
belong here: what waits (`ordering`), any real clock (callers say how long it was silent), bounds (`configs/live.yaml`).

The front is the second-largest latest time among the players not reported dead (the only one's, if there is one; of
all players, if none is alive). The watermark is the front minus the lateness bound, and never goes back. So one fast
clock moves nothing, and neither does an event of the match itself, such as the start of a round. An event is late iff
`t_ms <= watermark` on its arrival; instants up to the watermark are decided.

An event is *ahead* if it lies more than `max_ahead_ms` and the lateness bound after the watermark on its arrival. It
changes nothing but what its player claims, and the next event of that player that is not ahead refutes the claim. When
two players hold claims at most `max_ahead_ms` apart, the match has moved to the smaller, and the event that told so
counts. A player who claims for longer than the lateness bound insists: nobody waits for that clock any more, and if no
other player was ever heard, it is all there is and moves the match. The only survivor of a round is one clock too: it
is heard again where another player speaks.

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
Bools = NDArray[np.bool_]

NEVER = -(2**62)
"""An absent time."""

_LATEST, _LIVED, _DIED = 0, 1, 2  # of a player: newest event, newest sign of life, newest death
_CLAIM, _SINCE, _FIELDS = 3, 4, 5  # of a player: newest event ahead, unless refuted; the first of those in a row
_FRONT, _WATERMARK, _ROUND = 0, 1, 2  # of the match: newest ROUND_STARTED last
_KINDS = np.array([kernel.ROUND_STARTED, kernel.POSITION, kernel.SHOT, kernel.KILL], dtype=np.int64)


class Watermark:
    """How far a match has come."""

    def __init__(self, config: LiveConfig) -> None:
        self._lateness = config.lateness_ms
        self._max_ahead = config.max_ahead_ms
        self._match = np.full(3, NEVER, dtype=np.int64)
        self._players = np.empty((0, _FIELDS), dtype=np.int64)

    @property
    def at_ms(self) -> int:
        """The watermark; `NEVER` before any player acted."""
        return int(self._match[_WATERMARK])

    def observe(self, t_ms: Ints, kind: Ints, actor: Ints, target: Ints, players: int) -> tuple[Ints, Bools]:
        """Takes notice of events in the order of their arrival, late ones included.

        Args:
            t_ms: time of each, (n,).
            kind: the kernel's code of its type, (n,).
            actor: index of the player who acts, -1 for none, (n,).
            target: index of the player it happens to, -1 for none, (n,).
            players: how many players are known by now; every index is below.

        Returns:
            The watermark after each event, int64 (n,), and whether it lies ahead and does not count, bool (n,).
        """
        if players > len(self._players):
            grown = np.full((players, _FIELDS), NEVER, dtype=np.int64)
            grown[: len(self._players)] = self._players
            self._players = grown
        marks = np.empty(len(t_ms), dtype=np.int64)
        is_ahead = np.empty(len(t_ms), dtype=np.bool_)
        bounds = (self._lateness, self._max_ahead)
        _observe(t_ms, kind, actor, target, _KINDS, bounds, self._match, self._players, marks, is_ahead)
        return marks, is_ahead

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
def _second_largest(players, match, bounds, only_asked):
    """Of the latest times; of one player that one's, of none NEVER. Asked are those who neither died nor insist."""
    lateness, max_ahead = bounds
    first, second, count = NEVER, NEVER, 0
    for p in range(players.shape[0]):
        latest = players[p, _LATEST]
        if latest == NEVER:
            continue
        if only_asked:
            if players[p, _DIED] >= max(players[p, _LIVED], match[_ROUND], NEVER + 1):
                continue
            claim = players[p, _CLAIM]
            if claim - lateness - max_ahead > match[_WATERMARK] and claim - players[p, _SINCE] > lateness:
                continue
        count += 1
        if latest > first:
            first, second = latest, first
        elif latest > second:
            second = latest
    return (first if count == 1 else second), count


@njit(cache=True)
def _agreed(players, player, t, mark, bounds):
    """Where the match has moved to by what that player claims now; NEVER if nobody agrees."""
    lateness, max_ahead = bounds
    agreed, is_only = NEVER, True
    for p in range(players.shape[0]):
        if p != player:
            is_only = is_only and players[p, _LATEST] == NEVER
            claim = players[p, _CLAIM]
            if claim - lateness - max_ahead > mark and abs(t - claim) <= max_ahead:
                agreed = max(agreed, min(t, claim))
    if players[player, _CLAIM] - lateness - max_ahead <= mark or abs(t - players[player, _CLAIM]) > max_ahead:
        players[player, _SINCE] = t
    players[player, _CLAIM] = t
    if agreed == NEVER and is_only and t - players[player, _SINCE] > lateness:
        agreed = t
    return agreed


@njit(cache=True)
def _observe(t_ms, kind, actor, target, kinds, bounds, match, players, marks, is_ahead):
    round_started, position, shot, kill = kinds
    lateness, max_ahead = bounds
    for i in range(t_ms.shape[0]):
        t, acts = t_ms[i], kind[i] >= position and actor[i] >= 0
        is_ahead[i] = match[_WATERMARK] != NEVER and t - lateness - max_ahead > match[_WATERMARK]
        if is_ahead[i] and acts:
            agreed = _agreed(players, actor[i], t, match[_WATERMARK], bounds)
            if agreed != NEVER:
                is_ahead[i] = False
                match[_FRONT], match[_WATERMARK] = agreed, agreed - lateness
        if is_ahead[i]:
            marks[i] = match[_WATERMARK]
            continue
        if kind[i] == round_started:
            match[_ROUND] = max(match[_ROUND], t)
        elif kind[i] >= position:
            if acts:
                players[actor[i], _CLAIM] = NEVER
                players[actor[i], _LATEST] = max(players[actor[i], _LATEST], t)
                if kind[i] == position or kind[i] == shot:
                    players[actor[i], _LIVED] = max(players[actor[i], _LIVED], t)
            if kind[i] == kill and target[i] >= 0:
                players[target[i], _DIED] = max(players[target[i], _DIED], t)
            front, count = _second_largest(players, match, bounds, True)
            if count == 0:
                front, _ = _second_largest(players, match, bounds, False)
            if front > match[_FRONT]:
                match[_FRONT] = front
                match[_WATERMARK] = max(match[_WATERMARK], front - lateness)
        marks[i] = match[_WATERMARK]
