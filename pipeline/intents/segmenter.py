"""The segmenter: instants in, closed segments out, the state carried along; batch and live share it.

Belongs here: the causal function from state to state, integers only, and the state itself.
Does not belong here: tables (`segments`), where probabilities come from (`prediction`), least lengths and margins
(`configs/intents.yaml`).

How it decides, per player, row by row in time:

* An instant covers `[t, t + grid)`. A row stands for its most probable intent, or for the open segment's intent
  where none is more probable by the configured margin.
* Rows for another intent than the open segment's are a candidate. Once the candidate has lasted that intent's least
  length, the open segment ends where the candidate began, and the candidate is the open segment. Until then a row for
  another intent replaces the candidate, and its rows stay with the open segment.
* Before a stretch's first segment there is nothing to stay with: the first candidate to last long enough also takes
  the rows before it.
* A gap or a new round closes the stretch, and so does the end of the log. If no candidate lasted long enough in all
  of it, the intent with the most rows takes the stretch (then the most probable, then the first in order), so that
  every row lies in exactly one segment.

All state is integers (probabilities as millionths), so that any chunking gives the same bits.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
# numba infers the types of compiled helpers; annotations would be decoration that nothing checks.

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.intents.vocabulary import INTENTS

Ints = NDArray[np.int64]

# places of a player's slot
_INTENT, _FROM, _ROWS, _SUM = 0, 1, 2, 3  # the open segment; intent -1: none yet in this stretch
_LAST, _ROUND = 4, 5  # the newest row; its time is never: none
_CANDIDATE, _SINCE, _STRETCH, _WAITING = 6, 7, 8, 9  # -1: none; its first row; where rows wait from; how many
_WIDTH = 10
_NEVER = -(2**62)


@dataclass
class SegmenterState:
    """Everything that segmentation remembers of a match between chunks; its arrays can be copied as bytes.

    Attributes:
        deciders: number of rules and models that can decide a row.
        players: ids in order of first appearance; a slot each.
        slots: int64 (players, 10), see the top of the module.
        sums: int64 (players, 9), millionths of each intent over the waiting rows.
        open: int64 (players, deciders), rows of the open segment's intent by who decided them.
        waiting: int64 (players, 9 × deciders), the same for waiting rows and every intent.
    """

    deciders: int
    players: list[str] = field(default_factory=list)
    slots: Ints = field(default_factory=lambda: np.zeros((0, _WIDTH), np.int64))
    sums: Ints = field(default_factory=lambda: np.zeros((0, len(INTENTS)), np.int64))
    open: Ints = field(init=False)
    waiting: Ints = field(init=False)

    def __post_init__(self) -> None:
        self.open = np.zeros((0, self.deciders), np.int64)
        self.waiting = np.zeros((0, len(INTENTS) * self.deciders), np.int64)

    def indices(self, players: Sequence[str]) -> Ints:
        """The slot of each player, a new one for whom there is none, int64 (n,)."""
        known = {player: index for index, player in enumerate(self.players)}
        fresh = [player for player in dict.fromkeys(players) if player not in known]
        if fresh:
            self.players = self.players + fresh
            known = {player: index for index, player in enumerate(self.players)}
            more = len(fresh)
            slot = np.zeros((more, _WIDTH), np.int64)
            slot[:, [_INTENT, _CANDIDATE]] = -1
            slot[:, _LAST] = _NEVER
            self.slots = np.concatenate([self.slots, slot])
            self.sums = np.concatenate([self.sums, np.zeros((more, len(INTENTS)), np.int64)])
            self.open = np.concatenate([self.open, np.zeros((more, self.deciders), np.int64)])
            self.waiting = np.concatenate([self.waiting, np.zeros((more, self.waiting.shape[1]), np.int64)])
        return np.array([known[player] for player in players], dtype=np.int64)


class Advanced(NamedTuple):
    """What further rows made of the segments.

    A segment is a row of int64 (m, 7): slot, round, from ms, to ms, intent, confidence in millionths, who decided most
    of its rows.

    Attributes:
        closed: those that ended, in the order of the rows that ended them.
        closed_by: the row that ended each, int64 (m,).
        opened: those that were open once a row was taken in and had not been before, in the order of these rows; `to
            ms` is the end of that row's instant, waiting rows are left out of the confidence.
        opened_by: that row of each, int64 (m,).
    """

    closed: Ints
    closed_by: Ints
    opened: Ints
    opened_by: Ints


def advance(
    state: SegmenterState,
    player: Ints,
    t: Ints,
    rounds: Ints,
    probabilities: Ints,
    decider: Ints,
    *,
    least_ms: Ints,
    margin: int,
    grid_ms: int,
) -> Advanced:
    """Takes in further rows, which must follow those before in each player's time.

    Args:
        state: changed in place.
        player: slot of each row's player, from `SegmenterState.indices`, int64 (n,).
        t: ms, int64 (n,).
        rounds: round of each row, any number for none, int64 (n,).
        probabilities: millionths of each intent, int64 (n, 9).
        decider: who decided the row, below `state.deciders`, int64 (n,).
        least_ms: least length of each intent, int64 (9,).
        margin: by how many millionths another intent must exceed the open segment's.
        grid_ms: distance of two instants.
    """
    return Advanced(
        *_advance(
            player,
            t,
            rounds,
            probabilities,
            decider,
            state.slots,
            state.sums,
            state.open,
            state.waiting,
            least_ms,
            margin,
            grid_ms,
        )
    )


def finish(state: SegmenterState, *, grid_ms: int) -> Ints:
    """Closes what is open, as at the end of a log; as `Advanced.closed`."""
    return np.asarray(_finish(state.slots, state.sums, state.open, state.waiting, grid_ms))


def since(state: SegmenterState) -> Ints:
    """The first instant of each player's stretch that no segment has been closed over; int64 (players,)."""
    slots = state.slots
    return np.where(slots[:, _INTENT] >= 0, slots[:, _FROM], slots[:, _STRETCH])


@njit(cache=True)
def _most_frequent(counts):
    best = 0
    for decider in range(1, counts.shape[0]):
        if counts[decider] > counts[best]:
            best = decider
    return best


@njit(cache=True)
def _forget_waiting(slot, sums, waiting):
    slot[_CANDIDATE], slot[_WAITING] = -1, 0
    sums[:] = 0
    waiting[:] = 0


@njit(cache=True)
def _write(out, player, slot, opened, to_ms):
    out[0], out[1], out[2], out[3] = player, slot[_ROUND], slot[_FROM], to_ms
    out[4], out[5], out[6] = slot[_INTENT], (slot[_SUM] + slot[_ROWS] // 2) // slot[_ROWS], _most_frequent(opened)


@njit(cache=True)
def _open(slot, sums, opened, waiting, intent, from_ms):
    """The waiting rows become the open segment."""
    deciders = opened.shape[0]
    slot[_INTENT], slot[_FROM], slot[_ROWS], slot[_SUM] = intent, from_ms, slot[_WAITING], sums[intent]
    opened[:] = waiting[intent * deciders : (intent + 1) * deciders]
    _forget_waiting(slot, sums, waiting)


@njit(cache=True)
def _absorb(slot, sums, waiting):
    """The waiting rows stay with the open segment; none of them spoke for it, so its deciders stay as they are."""
    slot[_ROWS] += slot[_WAITING]
    slot[_SUM] += sums[slot[_INTENT]]
    _forget_waiting(slot, sums, waiting)


@njit(cache=True)
def _close(out, player, slot, sums, opened, waiting, grid_ms):
    """The end of a stretch: whatever is open or waiting becomes its last segment."""
    if slot[_INTENT] >= 0:
        _absorb(slot, sums, waiting)
    else:
        deciders = opened.shape[0]
        best, most = 0, np.int64(-1)
        for intent in range(sums.shape[0]):
            rows = waiting[intent * deciders : (intent + 1) * deciders].sum()
            if rows > most or (rows == most and sums[intent] > sums[best]):
                best, most = intent, rows
        _open(slot, sums, opened, waiting, best, slot[_STRETCH])
    _write(out, player, slot, opened, slot[_LAST] + grid_ms)
    slot[_INTENT], slot[_LAST] = -1, _NEVER


@njit(cache=True)
def _advance(player, t, rounds, probabilities, decider, slots, sums, opened, waiting, least, margin, grid_ms):
    rows = player.shape[0]
    closed, closed_by = np.empty((rows, 7), np.int64), np.empty(rows, np.int64)
    begun, begun_by = np.empty((rows, 7), np.int64), np.empty(rows, np.int64)
    count, begun_count = 0, 0
    deciders = opened.shape[1]
    for row in range(player.shape[0]):
        who = player[row]
        slot, mine = slots[who], probabilities[row]
        if slot[_LAST] != _NEVER and (t[row] - slot[_LAST] > grid_ms or rounds[row] != slot[_ROUND]):
            _close(closed[count], who, slot, sums[who], opened[who], waiting[who], grid_ms)
            closed_by[count] = row
            count += 1
        best = 0
        for intent in range(1, mine.shape[0]):
            if mine[intent] > mine[best]:
                best = intent
        present = slot[_INTENT]
        stays = present >= 0 and mine[best] - mine[present] < margin
        if slot[_LAST] == _NEVER:
            slot[_STRETCH], slot[_ROUND] = t[row], rounds[row]
        slot[_LAST] = t[row]
        if stays or best == present:
            if slot[_WAITING] > 0:
                _absorb(slot, sums[who], waiting[who])
            slot[_ROWS] += 1
            slot[_SUM] += mine[present]
            if best == present:
                opened[who, decider[row]] += 1
            continue
        if slot[_CANDIDATE] != best:
            if present >= 0 and slot[_WAITING] > 0:
                _absorb(slot, sums[who], waiting[who])
            slot[_CANDIDATE], slot[_SINCE] = best, t[row]
        slot[_WAITING] += 1
        for intent in range(mine.shape[0]):
            sums[who, intent] += mine[intent]
        waiting[who, best * deciders + decider[row]] += 1
        if t[row] + grid_ms - slot[_SINCE] >= least[best]:
            start = slot[_STRETCH]
            if present >= 0:
                start = slot[_SINCE]
                _write(closed[count], who, slot, opened[who], start)
                closed_by[count] = row
                count += 1
            _open(slot, sums[who], opened[who], waiting[who], best, start)
            _write(begun[begun_count], who, slot, opened[who], slot[_LAST] + grid_ms)
            begun_by[begun_count] = row
            begun_count += 1
    return closed[:count].copy(), closed_by[:count].copy(), begun[:begun_count].copy(), begun_by[:begun_count].copy()


@njit(cache=True)
def _finish(slots, sums, opened, waiting, grid_ms):
    closed = np.empty((slots.shape[0], 7), np.int64)
    count = 0
    for who in range(slots.shape[0]):
        if slots[who, _LAST] != _NEVER:
            _close(closed[count], who, slots[who], sums[who], opened[who], waiting[who], grid_ms)
            count += 1
    return closed[:count].copy()
