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
def fill(codes, valid, offset):  # type: ignore[no-untyped-def]
    """Codes, or whole numbers, of which all bits are set where an Arrow bitmap, from some bit of it on, has none."""
    filled = np.empty_like(codes)
    for row in range(codes.size):
        bit = row + offset
        is_told = codes.dtype.type(valid[bit >> 3] >> (bit & 7) & 1)
        filled[row] = codes[row] | (is_told - codes.dtype.type(1))
    return filled


@njit(cache=True)
def number_anew(codes):  # type: ignore[no-untyped-def]
    """Codes numbered by first use; the code of each number; an Arrow bitmap, of no bytes if none is null.

    Null is the largest code there is, so that one more is 0 and it has a place in the table of numbers like any other.
    """
    one = np.uint32(1)
    most, nulls = np.uint32(0), 0
    for row in range(codes.size):
        most = max(most, np.uint32(codes[row] + one))
        nulls += codes[row] == np.uint32(0xFFFFFFFF)
    number_of = np.full(np.int64(most) + 1, -1, np.int32)
    number_of[0] = 0
    known = np.empty(min(np.int64(most), codes.size), np.uint32)
    numbers, valid = np.empty(codes.size, np.int32), np.zeros((codes.size + 7) // 8 if nulls else 0, np.uint8)
    count = 0
    for row in range(codes.size):
        code = np.uint32(codes[row] + one)
        number = number_of[code]
        if number < 0:
            number = number_of[code] = count
            known[count] = codes[row]
            count += 1
        numbers[row] = number
    if nulls:
        for row in range(codes.size):
            valid[row >> 3] |= np.uint8((codes[row] != np.uint32(0xFFFFFFFF)) << (row & 7))
    return numbers, known[:count].copy(), valid


@njit(cache=True)
def first_rows(codes, rows):  # type: ignore[no-untyped-def]
    """Those of some rows at which a code comes for the first time among them."""
    most = np.uint32(0)
    for row in rows:
        most = max(most, np.uint32(codes[row] + np.uint32(1)))  # of null this is 0
    is_seen = np.zeros(np.int64(most) + 1, np.bool_)
    found = np.empty(min(is_seen.size, rows.size), np.int64)
    count = 0
    for row in rows:
        code = np.uint32(codes[row] + np.uint32(1))
        if not is_seen[code]:
            is_seen[code] = True
            found[count] = row
            count += 1
    return found[:count].copy()


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
