"""Compiled: which positions that a game's states show are new samples.

Belongs here: one pass over the states of a game in the order of the feed, player by player.
Does not belong here: what is done with the answer (`grid_positions`).
"""

# mypy: allow-untyped-defs, allow-untyped-calls

import numpy as np
from numba import njit

FRESH, SAMPLE, UNBELIEVABLE = 1, 2, 4


@njit
def _same(one, other):
    """Whether two positions are equal; a coordinate may be missing in both."""
    for axis in range(3):
        if one[axis] != other[axis] and not (np.isnan(one[axis]) and np.isnan(other[axis])):
            return False
    return True


@njit(cache=True)
def judge(first, t_ms, begins_round, is_told, players, values, mm, most_players, unchanged_ms):
    """Judges the rows of a game's states.

    A row is fresh where it shows where a living player is; it is a sample where that is new, or told again after a
    while. Left-over positions of the round before are neither, see `grid_positions`.

    Args:
        first: per state its first row; those of the next follow.
        t_ms: per state its match time.
        begins_round: per state whether a round begins with it; a round that begins without a state shows as a state
            without rows.
        is_told: per row whether its position was told, and not only carried on from before.
        players: per row the number of its player, -1 for one that is not to be judged.
        values: x, y, z in the title's units, health, armour, alive.
        mm: the same positions in millimetres, NaN where they can't be believed.
        most_players: rows of a state beyond this are no samples.
        unchanged_ms: a position that has not changed for less than this is no new sample.

    Returns:
        Per row the bits FRESH, SAMPLE, UNBELIEVABLE.
    """
    verdict = np.zeros(values.shape[0], np.uint8)
    n_players = 0
    for entry in range(players.shape[0]):
        n_players = max(n_players, players[entry] + 1)
    shown = np.full((n_players, 3), np.nan)  # in this round
    is_shown = np.zeros(n_players, np.bool_)
    stale = np.full((n_players, 3), np.nan)  # left over
    is_stale = np.zeros(n_players, np.bool_)
    last = np.full((n_players, 3), np.nan)
    last_ms = np.zeros(n_players, np.int64)
    in_rounds = False
    for state in range(first.shape[0]):
        begin = first[state]
        end = first[state + 1] if state + 1 < first.shape[0] else values.shape[0]
        if begins_round[state]:
            if in_rounds:
                if is_shown.any():
                    for player in range(n_players):
                        if is_shown[player]:
                            stale[player] = shown[player]
                            is_stale[player] = True
                else:
                    is_stale[:] = False
                    for row in range(begin, end):
                        player = players[row]
                        if player >= 0 and not np.isnan(values[row, 0]) and not np.isnan(values[row, 1]):
                            stale[player] = values[row, :3]
                            is_stale[player] = True
            is_shown[:] = False
            in_rounds = True
        for row in range(begin, end):
            player = players[row]
            if player < 0 or np.isnan(values[row, 0]) or np.isnan(values[row, 1]):
                continue
            if is_told[row]:
                shown[player] = values[row, :3]
                is_shown[player] = True
            if is_stale[player] and _same(stale[player], values[row]):
                continue
            is_stale[player] = False
            if values[row, 5] == 0.0:
                continue
            if np.isnan(mm[row, 0]):
                verdict[row] = UNBELIEVABLE
                continue
            verdict[row] = FRESH
            if row - begin >= most_players:
                continue
            if _same(last[player], mm[row]) and t_ms[state] - last_ms[player] < unchanged_ms:
                continue
            last[player] = mm[row]
            last_ms[player] = t_ms[state]
            verdict[row] = FRESH | SAMPLE
    return verdict
