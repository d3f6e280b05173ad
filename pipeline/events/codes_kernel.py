"""Rows dealt, numbered and compared by the codes of their texts, compiled.

Belongs here: loops over arrays. Does not belong here: frames (`pipeline.events.codes` and those that call it).
"""

import numpy as np
from numba import njit


@njit(cache=True)
def look_up(table, codes):  # type: ignore[no-untyped-def]
    """The entry of each code in a table; the last one for all codes beyond it."""
    last = table.size - 1
    found = np.empty(codes.size, np.int32)
    for row in range(codes.size):
        found[row] = table[min(np.int64(codes[row]), last)]
    return found


@njit(cache=True)
def number_anew(codes, null):  # type: ignore[no-untyped-def]
    """Codes numbered by first use; the code of each number; an Arrow bitmap, and how many are null."""
    most = np.int64(-1)
    for row in range(codes.size):
        if codes[row] != null:
            most = max(most, np.int64(codes[row]))
    number_of = np.full(most + 1, -1, np.int32)
    known = np.empty(min(most + 1, codes.size), np.uint32)
    numbers, valid = np.empty(codes.size, np.int32), np.zeros((codes.size + 7) // 8, np.uint8)
    count = nulls = 0
    for row in range(codes.size):
        code = codes[row]
        if code == null:
            numbers[row] = 0
            nulls += 1
            continue
        number = number_of[code]
        if number < 0:
            number = number_of[code] = count
            known[count] = code
            count += 1
        numbers[row] = number
        valid[row >> 3] |= np.uint8(1 << (row & 7))
    return numbers, known[:count].copy(), valid, nulls


@njit(cache=True)
def side_places(rounds, teams, numbers, places):  # type: ignore[no-untyped-def]
    """Of rows of whole numbers sorted in `numbers` and columns, the entry of `places`; 0 where there is no such row."""
    found = np.zeros(rounds.size, np.int32)
    number, at, is_known = rounds[0] - 1 if rounds.size else 0, 0, False
    for row in range(rounds.size):
        if rounds[row] != number:
            number = rounds[row]
            at = np.searchsorted(numbers, number)
            is_known = at < numbers.size and numbers[at] == number
        if is_known:
            found[row] = places[at, teams[row]]
    return found


@njit(cache=True)
def deal(rows, place_of, places):  # type: ignore[no-untyped-def]
    """Some rows by their places, those of one in their order; and where those of each begin and the last end."""
    ends = np.zeros(places + 1, np.int64)
    for row in rows:
        ends[place_of[row] + 1] += 1
    ends = np.cumsum(ends)
    next_of, dealt = ends.copy(), np.empty(rows.size, np.uint32)
    for row in rows:
        place = place_of[row]
        dealt[next_of[place]] = row
        next_of[place] += 1
    return dealt, ends


@njit(cache=True)
def tie(first, second, third, tied):  # type: ignore[no-untyped-def]
    """Tells of each row whether it has the same keys as the next one; False if any stands before a lesser one."""
    for row in range(tied.size):
        if first[row] != first[row + 1]:
            is_before = first[row] < first[row + 1]
        elif second[row] != second[row + 1]:
            is_before = second[row] < second[row + 1]
        else:
            is_before = third[row] < third[row + 1]
        tied[row] = first[row] == first[row + 1] and second[row] == second[row + 1] and third[row] == third[row + 1]
        if not is_before and not tied[row]:
            return False
    return True
