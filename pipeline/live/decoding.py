"""Entries of a stream as events of matches: the line readers of recorded logs, and what a stream alone must refuse.

Belongs here: size, time, and dealing out to matches. Does not belong here: what a line says
(`pipeline.events.sources.canonical`, depth and every limit of a field included), order and time (`ordering`).

A recording may hold one event without `ts`, the only one of its match. A stream can't know that none follows, so there
`ts` is required. Clocks are not compared: a recording compares each with the median of its match, which a stream does
not know yet; one fast clock moves no watermark.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from configs.events import ValidityConfig, load_events
from pipeline.events.drafts import Draft
from pipeline.events.quarantine import BadField
from pipeline.events.sources.canonical import read_line


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
class Decoded:
    """Entries as events.

    Attributes:
        of_match: by match, in the order of their coming; `source_line` is the place among the entries.
        refused: what is no event.
    """

    of_match: dict[str, list[Draft]]
    refused: list[Refused]


def decode(entries: Sequence[bytes | None], *, max_bytes: int, validity: ValidityConfig | None = None) -> Decoded:
    """Takes entries apart.

    Args:
        entries: the field `event` of each entry, None where it has none.
        max_bytes: of an entry.
        validity: limits of fields; those of `configs/events.yaml` if None.
    """
    validity = validity or load_events().validity
    of_match: dict[str, list[Draft]] = {}
    refused = []
    for place, data in enumerate(entries):
        try:
            draft = _read(data, place, max_bytes, validity)
        except BadField as bad:
            refused.append(Refused(place, bad.field, bad.reason))
        else:
            of_match.setdefault(draft.match_id, []).append(draft)
    return Decoded(of_match, refused)


def _read(data: bytes | None, place: int, max_bytes: int, validity: ValidityConfig) -> Draft:
    if data is None:
        raise BadField("event", "is missing")
    if len(data) > max_bytes:
        raise BadField("", f"{len(data)} bytes, at most {max_bytes} are read")
    draft = read_line(data, place, validity)
    if draft.t_ms is None:
        raise BadField("payload.ts", "is missing, and a stream has no lone event")
    return draft
