"""The events of interleaved matches, dealt out once, so that no match reads through those of all others.

Belongs here: when that pays, and doing it. Does not belong here: what is known of a match (`survey`), the order of its
events (`order`).
"""

from collections.abc import Mapping
from dataclasses import replace

import polars as pl

from configs.events import LinesConfig
from pipeline.events.drafts import by_match
from pipeline.events.sources import Frames
from pipeline.events.spool import Shelf
from pipeline.events.survey import Survey


def dealt(drafts: Frames, known: Mapping[str, Survey], config: LinesConfig) -> tuple[Frames, Mapping[str, Survey]]:
    """Frames each of one match, where matches would else read the frames of a log too often.

    Args:
        drafts: the events of all matches.
        known: what was seen of each match among them.
        config: how often is too often, and how many rows may wait in memory.

    Returns:
        Frames, and what is known with the places that each match's events have among these.
    """
    if sum(len(seen.places) for seen in known.values()) <= config.max_readings * len(drafts):
        return drafts, known
    parts = _Parts(config.held_rows, config.pieces)
    places: dict[str, list[int]] = {name: [] for name in known}
    for place in range(len(drafts)):
        frame = drafts[place]
        for events in by_match(frame) if not frame.is_empty() else ():
            places[events["match_id"][0]].append(parts.put(events))
        del frame  # before the next one is read
    return parts, {name: replace(seen, places=places[name]) for name, seen in known.items()}


class _Parts(Shelf):
    """A shelf as `Frames`."""

    def __getitem__(self, place: int) -> pl.DataFrame:
        return self.get(place)
