"""A moment of a round with everyone in it, on demand.

Belongs here: the tables and the reviews that it needs. Does not belong here: who does what in it and how it looks
(`pipeline.motion`), its files (`resources.clips`).
"""

from dataclasses import replace
from typing import Any

import polars as pl

from assets.motion import held_back
from pipeline.errors import PipelineError
from pipeline.motion.scene import moment
from resources.clips import ClipStudio
from resources.reviews import Reviews
from resources.store import Store


class NoSuchRound(PipelineError):
    """The match has no such round."""


def make_moment(
    store: Store,
    studio: ClipStudio,
    reviews: Reviews,
    match_id: str,
    round_number: int,
    from_s: float,
    to_s: float,
) -> dict[str, Any]:
    """Record of the files of a moment.

    Whoever has a sensitive segment in it that no review has accepted is not shown.

    Args:
        store: holds the match.
        studio: makes the files.
        reviews: what was decided.
        match_id: the match.
        round_number: the round.
        from_s: seconds since the round went live (or, where that is not known, began).
        to_s: likewise.

    Raises:
        NoSuchRound: names the rounds that there are.
        NobodyThere: if nobody can be shown.
    """
    rounds = store.read_table("rounds", match_id)
    row = next(iter(rounds.filter(pl.col("round") == round_number).to_dicts()), None)
    if row is None:
        raise NoSuchRound(f"{match_id} has no round {round_number}; it has {rounds.height}")
    begin = row["start_ms"] if row["live_ms"] is None else row["live_ms"]
    from_ms, to_ms = begin + round(1000 * from_s), begin + round(1000 * to_s)
    segments, part = store.read_table("segments", match_id), store.part("segments", match_id)
    _, withheld = held_back(segments, match_id, reviews)
    shown = moment(
        match_id,
        round_number,
        from_ms,
        to_ms,
        events=store.read_table("events", match_id),
        tracks=store.read_table("tracks", match_id),
        segments=segments,
    )
    waiting = segments.filter(
        pl.col("segment_id").is_in(list(withheld)) & (pl.col("from_ms") < to_ms) & (pl.col("to_ms") > from_ms)
    )
    hidden = {row["player"]: withheld[row["segment_id"]] for row in waiting.iter_rows(named=True)}
    requests = tuple(request for request in shown.requests if request.player not in hidden)
    absent = tuple(sorted({**dict(shown.absent), **hidden}.items()))
    provenance = {"model_version": part.stamp.model_version, "segments": part.digest}
    return studio.moment(
        replace(shown, requests=requests, absent=absent),
        match_id=match_id,
        round_number=round_number,
        provenance=provenance,
    )
