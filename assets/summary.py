"""A match in one line, and in one picture: what the commands print.

Belongs here: counts over the tables of a match. Does not belong here: metadata for the UI (`assets/reports.py`).
"""

from typing import Any

from assets import reports
from pipeline.intents.vocabulary import INTENTS
from resources.clips import ClipStudio
from resources.errors import ResourceError
from resources.store import Store


class UnknownSegment(ResourceError):
    """Not exactly one segment of that match has an id that begins so."""


def match_summary(store: Store, match_id: str) -> dict[str, Any]:
    """Rounds, kills, plants, defuses, feature rows, segments per intent and clips of an analysed match."""
    types = dict(store.read_table("events", match_id).group_by("event_type").len().iter_rows())
    segments = dict(store.read_table("segments", match_id).group_by("intent").len().iter_rows())
    made = store.read_table("clips", match_id)
    return {
        "match": match_id,
        "rounds": store.read_table("rounds", match_id).height,
        "kills": types.get("PLAYER_KILLED", 0),
        "plants": types.get("BOMB_PLANTED", 0),
        "defuses": types.get("BOMB_DEFUSED", 0),
        "feature rows": store.part("features", match_id).rows,
        **{intent: segments.get(intent, 0) for intent in INTENTS},
        "clips": int(made["feasible"].sum()),
    }


def whole_segment_id(store: Store, match_id: str, beginning: str) -> str:
    """The id of the only segment of a match whose id begins so.

    Raises:
        UnknownSegment: if none does, or more than one.
    """
    ids = store.read_table("segments", match_id)["segment_id"]
    found = ids.filter(ids.str.starts_with(beginning))
    if len(found) != 1:
        kept = store.part("segments", match_id).uri
        raise UnknownSegment(f"{len(found)} segments of {match_id} begin with {beginning!r}; they are in {kept}")
    return str(found.item())


def pictures(store: Store, match_id: str, studio: ClipStudio) -> dict[str, str]:
    """Writes the intent timeline of the match's busiest round and a contact sheet of its clips.

    Returns:
        Where each is, by what it shows.
    """
    segments, rounds = store.read_table("segments", match_id), store.read_table("rounds", match_id)
    shown = {"timeline.png": reports.timeline_png(segments, rounds)}
    if sheet := studio.previews(store.read_table("clips", match_id)):
        shown["clips.jpg"] = sheet
    return {name.partition(".")[0]: store.write(f"reports/{match_id}/{name}", data) for name, data in shown.items()}
