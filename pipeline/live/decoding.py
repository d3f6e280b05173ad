"""Entries of a stream as events of matches: the line readers of recorded logs, and what a stream alone must refuse.

Belongs here: size, time, and dealing out to matches. Does not belong here: what a line says
(`pipeline.events.sources.canonical`, depth and every limit of a field included), order and time (`ordering`).

A recording may hold one event without `ts`, the only one of its match. A stream can't know that none follows, so there
`ts` is required. Clocks are not compared: a recording compares each with the median of its match, which a stream does
not know yet; one fast clock moves no watermark.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from configs.events import ValidityConfig, load_events
from pipeline.events.drafts import TEXTS, Draft, draft_frame
from pipeline.events.lines import Block
from pipeline.events.quarantine import BadField
from pipeline.events.sources.canonical import read_line
from pipeline.events.sources.canonical_scan import Scanner
from pipeline.live.arrivals import Arrivals, arrivals_by_match, arrivals_of

MANY = 400
"""From so many entries on they are scanned as a block of lines: that has its price, and then costs little an entry."""


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


def decode(
    entries: Sequence[bytes | None], *, max_bytes: int, validity: ValidityConfig | None = None, many: int = MANY
) -> Decoded:
    """Takes entries apart, few of them one by one and many at once, to the same events.

    Args:
        entries: the field `event` of each entry, None where it has none.
        max_bytes: of an entry.
        validity: limits of fields; those of `configs/events.yaml` if None.
        many: from so many entries on they are scanned.
    """
    validity = validity or load_events().validity
    if len(entries) < many:
        drafts, refused = _carefully(entries, range(len(entries)), max_bytes, validity)
        of_match: dict[str, list[Draft]] = {}
        for draft in drafts:
            of_match.setdefault(draft.match_id, []).append(draft)
        parts = {name: Part(arrivals_of(own), [draft.source_line for draft in own]) for name, own in of_match.items()}
        return Decoded(parts, refused)
    frame, left = _scanned(entries, max_bytes, validity)
    drafts, refused = _carefully(entries, left, max_bytes, validity)
    if drafts:
        frame = pl.concat([frame, draft_frame(drafts).select(frame.columns)])
    frame = frame.sort("source_line")
    places = frame["source_line"].to_numpy()
    found = arrivals_by_match(frame) if frame.height else {}
    return Decoded({name: Part(events, places[rows].tolist()) for name, (events, rows) in found.items()}, refused)


def _scanned(
    entries: Sequence[bytes | None], max_bytes: int, validity: ValidityConfig
) -> tuple[pl.DataFrame, list[int]]:
    """Events of which the scanner is certain, by place in `source_line`, and the places of what has to be read."""
    plain = [
        data if data is not None and len(data) <= max_bytes and b"\n" not in data and data.strip() else b""
        for data in entries
    ]
    scanner = Scanner(validity, len(entries))
    care, _ = scanner.read(Block(0, b"\n".join(plain) + b"\n"))
    frame = scanner.take().with_columns(pl.col(TEXTS).cast(pl.String), pl.col("source_line").cast(pl.Int64))
    left = {line.number for line in care} | {place for place, data in enumerate(plain) if not data}
    if frame["t_ms"].null_count():
        left |= set(frame.filter(pl.col("t_ms").is_null())["source_line"].to_list())
        frame = frame.filter(pl.col("t_ms").is_not_null())
    return frame, sorted(left)


def _carefully(
    entries: Sequence[bytes | None], places: Sequence[int], max_bytes: int, validity: ValidityConfig
) -> tuple[list[Draft], list[Refused]]:
    drafts, refused = [], []
    for place in places:
        try:
            drafts.append(_read(entries[place], place, max_bytes, validity))
        except BadField as bad:
            refused.append(Refused(place, bad.field, bad.reason))
    return drafts, refused


def _read(data: bytes | None, place: int, max_bytes: int, validity: ValidityConfig) -> Draft:
    if data is None:
        raise BadField("event", "is missing")
    if len(data) > max_bytes:
        raise BadField("", f"{len(data)} bytes, at most {max_bytes} are read")
    draft = read_line(data, place, validity)
    if draft.t_ms is None:
        raise BadField("payload.ts", "is missing, and a stream has no lone event")
    return draft
