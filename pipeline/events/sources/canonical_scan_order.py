"""The total order of a page's rows, found where they already lie nearly in it, as those of a log do.

Belongs here: comparing rows of `canonical_scan_kernel` where they lie. Does not belong here: what the order means, and
putting rows in order that lie scattered (`pipeline.events.drafts`).
"""

import numpy as np
from numba import njit

from pipeline.events.sources.canonical_scan_kernel import RANK, SEQ, T_MS, TYPE, _load, _pointer

_MOST_STEPS = 16  # places by which rows may move on average before it costs less to sort them all
_INSIDE = 12  # bytes that a view of Arrow holds itself
_HALF = np.uint64(32)


@njit(cache=True)
def places(rows, texts, count):  # type: ignore[no-untyped-def]
    """Which row stands at each place in the order `(t_ms, seq, rank of the type, event_id)`.

    Args:
        rows: `Rows` of the kernel.
        texts: its `Texts`.
        count: how many rows there are.

    Returns:
        None of them if the rows are in order already, one more than there are if they lie scattered.
    """
    int64s, types, traits = rows.int64s, rows.texts[TYPE * rows.room :], texts.traits
    views, ids = rows.id_views, _pointer(rows.ids)
    t_ms, seq = int64s[T_MS * rows.room :], int64s[SEQ * rows.room :]
    order = np.empty(0, np.int64)
    steps = 0
    for row in range(1, count):
        before = order[row - 1] if order.size else row - 1
        if not _is_before(row, before, t_ms, seq, types, traits, views, ids):
            continue
        if order.size == 0:
            order = np.arange(count)
        place = row
        while place and _is_before(row, order[place - 1], t_ms, seq, types, traits, views, ids):
            order[place] = order[place - 1]
            place -= 1
        order[place] = row
        steps += row - place
        if steps > _MOST_STEPS * count:
            return np.empty(count + 1, np.int64)
    return order


@njit(cache=True)
def _is_before(a, b, t_ms, seq, types, traits, views, ids):  # type: ignore[no-untyped-def]
    if t_ms[a] != t_ms[b]:
        return t_ms[a] < t_ms[b]
    if seq[a] != seq[b]:
        return seq[a] < seq[b]
    if types[a] != types[b]:
        return traits[types[a]] >> RANK < traits[types[b]] >> RANK
    return _is_id_before(a, b, views, ids)


@njit(cache=True)
def _is_id_before(a, b, views, ids):  # type: ignore[no-untyped-def]
    """By their bytes, the shorter one first where it is the start of the other."""
    one, other = views[2 * a], views[2 * b]
    size, other_size = np.int64(one & np.uint64(0xFFFFFFFF)), np.int64(other & np.uint64(0xFFFFFFFF))
    if one >> _HALF != other >> _HALF:
        return _reversed(one >> _HALF) < _reversed(other >> _HALF)
    if size <= _INSIDE or other_size <= _INSIDE:
        least = size if size < other_size else other_size
        both = (least if least < _INSIDE else np.int64(_INSIDE)) - 4
        first = _rest(views[2 * a + 1], size, ids)
        second = _rest(views[2 * b + 1], other_size, ids)
        for k in range(both):
            x, y = (first >> np.uint64(8 * k)) & np.uint64(255), (second >> np.uint64(8 * k)) & np.uint64(255)
            if x != y:
                return x < y
        return size < other_size
    at, other_at = np.int64(views[2 * a + 1] >> _HALF), np.int64(views[2 * b + 1] >> _HALF)
    left = min(size, other_size)
    while left > 0:
        first, second = _load(ids, at), _load(ids, other_at)
        if first != second:
            first, second = _reversed(first), _reversed(second)
            if left < 8:
                first, second = first >> np.uint64(64 - 8 * left), second >> np.uint64(64 - 8 * left)
            if first != second:
                return first < second
        at += 8
        other_at += 8
        left -= 8
    return size < other_size


@njit(cache=True)
def _rest(word, size, ids):  # type: ignore[no-untyped-def]
    """Bytes 4 to 11 of an id of at least four bytes."""
    return word if size <= _INSIDE else _load(ids, np.int64(word >> _HALF) + 4)


@njit(cache=True)
def _reversed(word):  # type: ignore[no-untyped-def]
    """The bytes in the order in which texts are compared."""
    turned = np.uint64(0)
    for k in range(8):
        turned |= ((word >> np.uint64(8 * k)) & np.uint64(255)) << np.uint64(56 - 8 * k)
    return turned
