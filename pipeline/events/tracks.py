"""Tracks: the position updates of a match, player by player.

Belongs here: selecting, naming and sorting. Does not belong here: reading positions (`pipeline.events.sources`),
anything computed from them (`pipeline.features`).
"""

import polars as pl

from pipeline.tables import conform


def tracks_frame(drafts: pl.DataFrame) -> pl.DataFrame:
    """The table `tracks` of a match, sorted by `(player, t_ms, seq, event_id)`.

    Args:
        drafts: the match's events with rounds, teams and sides, columns of `pipeline.events.drafts.SCHEMA`.
    """
    updates = drafts.filter(pl.col("event_type") == "POSITION_UPDATE").rename({"actor": "player"})
    return conform("tracks", updates.sort("player", "t_ms", "seq", "event_id"))
