"""Entries of a stream as events of matches: the line readers of recorded logs, and what a stream alone must refuse.

Belongs here: size, time, and dealing out to matches. Does not belong here: what a line says
(`pipeline.events.sources.canonical`, depth and every limit of a field included), order and time (`ordering`).

A recording may hold one event without `ts`, the only one of its match. A stream can't know that none follows, so there
`ts` is required. Clocks are not compared: a recording compares each with the median of its match, which a stream does
not know yet; one fast clock moves no watermark.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from configs.events import ValidityConfig, load_events
from pipeline.events.drafts import Draft
from pipeline.events.lines import Block
from pipeline.events.quarantine import BadField
from pipeline.events.sources.canonical import read_line
from pipeline.events.sources.canonical_scan import Scanner
from pipeline.live.arrivals import Arrivals, arrivals_of, joined
from pipeline.live.scanning import by_match

MANY = 3
"""From so many entries on they are scanned as a block of lines: that has its price, and then costs little an entry."""

_PAGE_ROWS = 2000  # entries of a usual read; a page has room for more if need be
_KEPT_BYTES = 8 << 20  # of a read, several times a usual one: the memory for a larger one is given back


@dataclass(frozen=True)
class Refused:
    """An entry that is no event.

    Attributes:
        place: among the entries.
        field: path of the field at fault; empty for the whole.
        reason: what is wrong with it.
    """

    place: int
    field: str
    reason: str


@dataclass(frozen=True)
class Part:
    """The events of one match among entries.

    Attributes:
        events: in the order of their coming.
        places: of each among the entries.
    """

    events: Arrivals
    places: list[int]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, part: slice) -> "Part":
        return Part(self.events[part], self.places[part])


@dataclass(frozen=True)
class Decoded:
    """Entries as events.

    Attributes:
        of_match: by match.
        refused: what is no event.
    """

    of_match: dict[str, Part]
    refused: list[Refused]


class Decoder:
    """Takes entries apart, few of them one by one and many at once, to the same events.

    It keeps its memory, and the names that it has seen, from call to call; nothing of that shows in what it gives.

    Args:
        max_bytes: of an entry.
        validity: limits of fields; those of `configs/events.yaml` if None.
        many: from so many entries on they are scanned.
    """

    def __init__(self, *, max_bytes: int, validity: ValidityConfig | None = None, many: int = MANY) -> None:
        self._max_bytes, self._many = max_bytes, many
        self._validity = validity or load_events().validity
        self._scanner: Scanner | None = None

    def decode(self, entries: Sequence[bytes | None]) -> Decoded:
        """The events of each match among entries.

        Args:
            entries: the field `event` of each, None where it has none.
        """
        found: dict[str, Part] = {}
        left: Sequence[int] = range(len(entries))
        if len(entries) >= self._many:
            found, left = self._scanned(entries)
        refused: list[Refused] = []
        of_match: dict[str, list[Draft]] = {}
        for place in left:
            try:
                draft = _read(entries[place], place, self._max_bytes, self._validity)
            except BadField as bad:
                refused.append(Refused(place, bad.field, bad.reason))
            else:
                of_match.setdefault(draft.match_id, []).append(draft)
        for match_id, drafts in of_match.items():
            own = Part(arrivals_of(drafts), [draft.source_line for draft in drafts])
            found[match_id] = _merged(found[match_id], own) if match_id in found else own
        return Decoded(found, refused)

    def _scanned(self, entries: Sequence[bytes | None]) -> tuple[dict[str, Part], list[int]]:
        """Events of which the scanner is certain, and the places of what has to be read."""
        if self._scanner is None:
            self._scanner = Scanner(self._validity, _PAGE_ROWS)
        plain = [data if data is not None and len(data) <= self._max_bytes else b"" for data in entries]
        block = b"\n".join(plain) + b"\n"
        if block.count(b"\n") != len(plain):
            block = b"\n".join(b"" if b"\n" in data else data for data in plain) + b"\n"
        self._scanner.read(Block(0, block))
        found = {name: Part(*scanned) for name, scanned in by_match(self._scanner.lend()).items()}
        is_left = np.ones(len(entries), np.bool_)
        for part in found.values():
            is_left[part.places] = False
        if len(block) > _KEPT_BYTES:
            self._scanner = None
        return found, np.flatnonzero(is_left).tolist()


def decode(
    entries: Sequence[bytes | None], *, max_bytes: int, validity: ValidityConfig | None = None, many: int = MANY
) -> Decoded:
    """What a `Decoder` that is made for them gives of entries."""
    return Decoder(max_bytes=max_bytes, validity=validity, many=many).decode(entries)


def _merged(one: Part, other: Part) -> Part:
    """The events of two parts in the order of their coming."""
    places = np.array([*one.places, *other.places])
    order = np.argsort(places, kind="stable")
    return Part(joined(one.events, other.events).in_order(order), places[order].tolist())


def _read(data: bytes | None, place: int, max_bytes: int, validity: ValidityConfig) -> Draft:
    if data is None:
        raise BadField("event", "is missing")
    if len(data) > max_bytes:
        raise BadField("", f"{len(data)} bytes, at most {max_bytes} are read")
    draft = read_line(data, place, validity)
    if draft.t_ms is None:
        raise BadField("payload.ts", "is missing, and a stream has no lone event")
    return draft
