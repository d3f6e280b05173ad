"""Events of the tables as canonical lines: what a recording of any format looks like on the stream.

Belongs here: columns back to fields. Does not belong here: the reader of these lines
(`pipeline.events.sources.canonical`), which gives the same columns, when they are sent (`resources.replay`).

A canonical line has no field for the team and side of an actor: they follow from rosters and rounds. Where a GRID log
told them otherwise than those, the line tells less. A canonical line that tells health and neither bomb nor kit says
that there are none, where a GRID log may not know.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec
import polars as pl

_TEXTS = ("target", "weapon", "site", "place")
_WHOLE = ("hp", "armor", "has_bomb", "has_kit", "round")


def canonical_lines(events: pl.DataFrame) -> Iterator[tuple[int, bytes]]:
    """Time in ms and line of each event.

    Args:
        events: table `events` with the columns of `tracks`, as `pipeline.live.arrivals.together` gives them.
    """
    for event in events.iter_rows(named=True):
        yield event["t_ms"], msgspec.json.encode(_wire(event))


def _wire(event: dict[str, Any]) -> dict[str, Any]:
    kind = event["event_type"]
    payload: dict[str, Any] = msgspec.json.decode(event["payload"])
    told_type = payload.pop("event_type", None) if kind == "OTHER" else None
    payload["ts"] = event["t_ms"] / 1000
    payload |= {name: event[name] for name in (*_TEXTS, *_WHOLE) if event.get(name) is not None}
    if event["x_mm"] is not None:
        payload["pos"] = _metres(event, "")
    if event.get("objective_x_mm") is not None:
        payload["objective_pos"] = _metres(event, "objective_")
    payload |= {
        name: event[f"{name}_mdeg"] / 1000 for name in ("yaw", "pitch") if event.get(f"{name}_mdeg") is not None
    }
    if kind == "PLAYER_DAMAGED":
        payload.setdefault("damage", event["amount"])
    elif kind == "PLAYER_BLINDED" and event["amount"] is not None:
        payload.setdefault("duration", event["amount"] / 1000)
    wire: dict[str, Any] = {
        "event_id": event["event_id"],
        "match_id": event["match_id"],
        "event_type": told_type or kind,
        "actor": event["actor"],
        "payload": payload,
    }
    if event["seq"]:
        wire["seq"] = event["seq"]
    at: datetime | None = event["occurred_at"]
    if at is not None:
        wire["timestamp"] = at.isoformat().replace("+00:00", "Z")
    return wire


def _metres(event: dict[str, Any], prefix: str) -> list[float | None]:
    values = (event[f"{prefix}{axis}_mm"] for axis in "xyz")
    return [None if value is None else value / 1000 for value in values]
