"""Scanned lines as arrays of the live core, without a frame or an object per row.

Belongs here: from the scanner's columns to those of `Arrivals`, match by match. Does not belong here: the scanner
(`pipeline.events.sources.canonical_scan`), entries that it leaves (`decoding`), what a type means to the kernel
(`pipeline.features.pack`; tests hold the two against each other).
"""

# mypy: allow-untyped-defs, allow-untyped-calls
# numba infers the types of compiled helpers; annotations would be decoration that nothing checks.

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.events.model import EVENT_TYPES, TYPE_RANK
from pipeline.events.sources import canonical_scan_kernel as scan
from pipeline.events.sources.canonical_scan import Written
from pipeline.features import kernel
from pipeline.features.pack import NAMED
from pipeline.live.arrivals import KINDS, Arrivals

_KIND_OF_RANK = np.array([KINDS.get(name, kernel.NOTHING) for name in EVENT_TYPES], dtype=np.int32)
_ROUND_STARTED = TYPE_RANK["ROUND_STARTED"]
_SIZE = np.uint64(0xFFFFFFFF)
_NAMES = len(NAMED)
_ACTOR, _TARGET = (list(NAMED).index(name) for name in ("actor", "target"))

_MOVING = (
    (scan.YAW, kernel.YAW),
    (scan.HP, kernel.HP),
    (scan.ARMOR, kernel.ARMOR),
    (scan.OBJECTIVE_X, kernel.OBJECTIVE_X),
    (scan.OBJECTIVE_Y, kernel.OBJECTIVE_Y),
    (scan.OBJECTIVE_Z, kernel.OBJECTIVE_Z),
)
_ALWAYS = ((scan.ROUND, kernel.ROUND), (scan.X, kernel.X), (scan.Y, kernel.Y), (scan.Z, kernel.Z))


class Scanned(NamedTuple):
    """The events of one match.

    Attributes:
        events: in the order of their lines.
        places: number of the line of each.
    """

    events: Arrivals
    places: list[int]


def by_match(written: Written) -> dict[str, Scanned]:
    """The events of each match, without those that tell no time."""
    rows, count = written.rows, written.height
    numbers = np.empty((5, count), np.int64)
    names = np.empty((count, _NAMES), np.int32)
    events = np.empty((count, kernel.EVENT_COLUMNS), np.int32)
    own = np.empty(count, np.int64)
    taken = _take(rows, written.texts, count, _KIND_OF_RANK, numbers, names, events, own)
    if not taken:
        return {}
    t_ms, seq, rank, lines, of = numbers[:, :taken]
    own, names, events = own[:taken], names[:taken], events[:taken]
    ids = _texts(written.id_bytes, rows.id_views, count)
    if taken < count:
        ids = [ids[row] for row in own.tolist()]
    telling: list[str | None] = [None] * taken
    if (rank == _ROUND_STARTED).any():
        payloads = _texts(written.payload_bytes, rows.payload_views, count)
        for place in np.flatnonzero(rank == _ROUND_STARTED).tolist():
            telling[place] = payloads[own[place]]
    whole = Arrivals("", t_ms, seq, rank, ids, names, written.words, events, telling)
    cuts = [0, taken]
    if (of != of[0]).any():
        order = np.argsort(of, kind="stable")
        whole, lines, of = whole.in_order(order), lines[order], of[order]
        cuts = [0, *(np.flatnonzero(np.diff(of)) + 1).tolist(), taken]
    found = {}
    for first, end in pairwise(cuts):
        match_id = written.words[of[first]]
        found[match_id] = Scanned(whole.part(slice(first, end), match_id), lines[first:end].tolist())
    return found


def _texts(written: bytes, views: NDArray[np.uint64], count: int) -> list[str]:
    """The texts that lie one behind the other."""
    ends = np.cumsum(views[: 2 * count : 2] & _SIZE).tolist()
    if written.isascii():
        text = written.decode()
        return [text[first:end] for first, end in pairwise([0, *ends])]
    return [written[first:end].decode() for first, end in pairwise([0, *ends])]


@njit(cache=True)
def _take(rows, texts, count, kinds, numbers, names, events, own):
    room, place = rows.room, 0
    for row in range(count):
        present = rows.present[row]
        if not present >> scan.HAS_T_MS & 1:
            continue
        rank = texts.traits[rows.texts[scan.TYPE * room + row]] >> scan.RANK
        kind = kinds[rank]
        numbers[0, place] = rows.int64s[scan.T_MS * room + row]
        numbers[1, place] = rows.int64s[scan.SEQ * room + row]
        numbers[2, place] = rank
        numbers[3, place] = rows.int64s[scan.LINE * room + row]
        numbers[4, place] = rows.texts[scan.MATCH * room + row]
        own[place] = row
        name, event = names[place], events[place]
        place += 1
        name[:] = -1
        event[:] = kernel.NULL
        event[kernel.KIND] = kind
        event[kernel.ACTOR] = event[kernel.TARGET] = event[kernel.TEAM] = event[kernel.SIDE] = -1
        if kind >= kernel.POSITION:
            actor = np.int64(rows.texts[scan.ACTOR * room + row])
            name[_ACTOR] = actor if actor else -1
        for source, column in _ALWAYS:
            if present >> source & 1:
                event[column] = rows.int32s[source * room + row]
        if kind == kernel.POSITION:
            for source, column in _MOVING:
                if present >> source & 1:
                    event[column] = rows.int32s[source * room + row]
            if present >> scan.KNOWS_BOMB & 1:
                event[kernel.HAS_BOMB] = present >> scan.IS_BOMB & 1
            if present >> scan.KNOWS_KIT & 1:
                event[kernel.HAS_KIT] = present >> scan.IS_KIT & 1
            continue
        if kind > kernel.POSITION:
            target = np.int64(rows.texts[scan.TARGET * room + row])
            name[_TARGET] = target if target else -1
        if present >> scan.AMOUNT & 1:
            event[kernel.AMOUNT] = rows.int32s[scan.AMOUNT * room + row]
    return place
