"""A moment of a round with everyone in it, on demand: the run of `gridmotion clips MATCH --round …`.

Belongs here: the tables and the reviews that it needs, and what a run tells of it. Does not belong here: who does what
in it and how it looks (`pipeline.motion`), its files (`resources.clips`).
Concept: https://docs.dagster.io/guides/build/ops
"""

from dataclasses import replace
from typing import Any

import dagster as dg
import polars as pl

from assets import reports
from assets.motion import held_back
from pipeline.errors import PipelineError
from pipeline.motion.scene import moment
from resources.clips import ClipStudio
from resources.reviews import Reviews
from resources.store import Store

JOB = "make_moment"
KEY = "rendered_moments"
"""What the catalogue calls the rendered moments of a match; `moments` is the table of moments in words."""


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


class MomentConfig(dg.Config):
    """Which moment.

    Attributes:
        match_id: the match.
        round: its round.
        from_s: seconds since the round went live.
        to_s: likewise.
    """

    match_id: str
    round: int
    from_s: float
    to_s: float


@dg.op(description="Makes a moment with everyone in it: a GLB, an animated preview, a record.", pool="motion")
def made_moment(
    context: dg.OpExecutionContext,
    config: MomentConfig,
    store: dg.ResourceParam[Store],
    studio: dg.ResourceParam[ClipStudio],
    reviews: dg.ResourceParam[Reviews],
) -> None:
    """Makes it, and tells of it."""
    made = make_moment(store, studio, reviews, config.match_id, config.round, config.from_s, config.to_s)
    context.log_event(
        dg.AssetMaterialization(
            KEY,
            description=f"round {config.round}, {config.from_s:g} to {config.to_s:g} s",
            metadata={
                "dagster/uri": store.uri(made["uri"]),
                "record": made["record_uri"],
                "moving": reports.picture(store.read(made["preview_uri"]), "the moment", "image/webp"),
                "actors": reports.table(pl.DataFrame(cast_of(made))),
                "absent": dg.MetadataValue.json(made["scene"]["absent"]),
            },
            partition=config.match_id,
        )
    )


def cast_of(made: dict[str, Any]) -> list[dict[str, str]]:
    """Who is in a moment: a row of words for each player.

    Args:
        made: the record, as `make_moment` returns it.
    """
    fps = made["scene"]["fps"]
    return [
        {
            "player": actor["player"],
            "side": {True: "attacker", False: "defender", None: ""}[actor["attacker"]],
            "what is meant, from s": ", ".join(f"{intent} {max(at, 0) / 1000:.1f}" for at, intent in actor["acts"]),
            "dies at s": "" if (dies := actor["dies_at_frame"]) is None else f"{max(dies, 0) / fps:.1f}",
        }
        for actor in made["scene"]["actors"]
    ]


@dg.job(name=JOB, description="A moment of a round with everyone in it.")
def moment_of_a_round() -> None:
    """One step."""
    made_moment()
