"""From intents to motion: the clips of a match's most interesting moments.

Belongs here: which segments become clips in a run, and which must wait for people. Does not belong here: how a body
moves (`pipeline.motion`), who synthesises (`resources.motion_backends`), the files of a clip (`resources.clips`), what
is sensitive (`pipeline.intents.review`).
Concept: https://docs.dagster.io/guides/build/assets
"""

from typing import Any

import dagster as dg
import polars as pl
from pydantic import Field

from assets import reports
from assets.partitions import matches, one_match_per_run
from assets.stages import MatchTables, Recipe, schema_spec
from configs.motion import load_motion
from configs.titles import load_titles
from pipeline.intents.review import OPEN, animated, is_sensitive_intent
from pipeline.intents.vocabulary import INTENTS
from pipeline.motion.goals import judge
from pipeline.motion.moments import choose, deaths_of
from resources.clips import ClipStudio
from resources.reviews import Reviews
from resources.store import PartDamaged, PartMissing, Store

RECIPE = Recipe(("motion", "events/model.py", "errors.py"), (load_motion(), load_titles()))


ON_DEMAND = "on demand"
QUALITY_CHECK = "motion_measures"


class ClipsConfig(dg.Config):
    """Which clips to make besides the most interesting ones.

    Attributes:
        also: ids of segments; they stay in the table as long as there are such segments.
    """

    also: list[str] = Field(default_factory=list)


@dg.asset(
    group_name="motion",
    partitions_def=matches,
    backfill_policy=one_match_per_run,
    deps=["segments", "tracks"],
    kinds={"numba", "gltf"},
    pool="motion",
    code_version=RECIPE.code_version,
    check_specs=[
        schema_spec("clips", matches),
        dg.AssetCheckSpec(
            QUALITY_CHECK,
            asset="clips",
            description="what is measured on the match's clips is within the goals of configs/motion_goals.yaml",
            partitions_def=matches,
        ),
    ],
)
def clips(
    context: dg.AssetExecutionContext,
    config: ClipsConfig,
    store: dg.ResourceParam[Store],
    studio: dg.ResourceParam[ClipStudio],
    reviews: dg.ResourceParam[Reviews],
) -> dg.MaterializeResult:
    """Animated bodies on the players' true paths: the most interesting segments, and those that were asked for.

    A sensitive segment waits until its review has accepted it, also if it is asked for.
    """
    tables = MatchTables(store, context.partition_key, context.log.warning)
    segments, tracks, features, events = (tables.part(table) for table in ("segments", "tracks", "features", "events"))
    every = tables.read("segments")
    if unknown := set(config.also) - set(every["segment_id"]):
        raise dg.Failure(f"{tables.match_id} has no segment {', '.join(sorted(unknown))}", allow_retries=False)
    allowed, withheld = held_back(every, tables.match_id, reviews)
    if refused := [why for segment_id, why in withheld.items() if segment_id in config.also]:
        raise dg.Failure("; ".join(refused), allow_retries=False)
    made_before, wished_before = _made_before(tables)
    wishes = {*config.also, *wished_before} & set(allowed["segment_id"])
    stamp = RECIPE.stamp(
        segments.digest,
        tracks.digest,
        features.digest,
        events.digest,
        f"{studio.budget} clips by {studio.identity}",
        *sorted(wishes - (made_before - wished_before)),
        *(f"{segment_id} withheld" for segment_id in sorted(withheld)),
        model_version=segments.stamp.model_version,
    )

    def make() -> pl.DataFrame:
        paths = tables.read("tracks")
        chosen = choose(allowed, paths, budget=studio.budget)
        left = sorted(wishes - set(chosen["segment_id"]))
        wished = allowed.filter(pl.col("segment_id").is_in(left)).with_columns(pl.lit(ON_DEMAND).alias("interest"))
        return studio.make(
            pl.concat([chosen, wished]),
            paths,
            log=context.log.info,
            features_hash=features.digest[:16],
            deaths=deaths_of(tables.read("events")),
        )

    hits = studio.hits.total()
    part = tables.ensure("clips", stamp, make)
    if part.reused and (missing := studio.missing(tables.read("clips"))):
        context.log.warning(f"{len(missing)} files of clips are gone, the first is {missing[0]}: made anew")
        tables.write("clips", make(), stamp)
    elif part.reused and tables.read("clips")["fallback"].is_not_null().any():
        context.log.info("some clips were made by another backend than the first: it is asked again")
        tables.write("clips", make(), stamp)
    frame = tables.read("clips")
    told = {"cache_hits": studio.hits.total() - hits} | ({"withheld": len(withheld)} if withheld else {})
    if fallbacks := frame["fallback"].drop_nulls().len():
        context.log.warning(f"{fallbacks} of {frame.height} clips were not made by {studio.preferred[0].name}")
        told["fallbacks"] = fallbacks
    return tables.made(
        "clips",
        lambda: told | reports.clips(frame, studio.previews(frame), studio.moving(frame)),
        lambda: [measured(frame)],
    ).result()


def measured(frame: pl.DataFrame) -> dg.AssetCheckResult:
    """Whether a match's clips are as good as motion shall be; what is not is a warning, for the clips are there."""
    verdict = judge(frame)
    missed = verdict.filter(~pl.col("is_met"))
    return dg.AssetCheckResult(
        check_name=QUALITY_CHECK,
        asset_key="clips",
        passed=missed.is_empty(),
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(
            f"{row['figure']}: {row['value']:.3g} {row['unit']}".rstrip() + f", goal {row['goal']}"
            for row in missed.iter_rows(named=True)
        )
        or None,
        metadata={"clips": frame.height, "missed": missed.height, "figures": reports.table(verdict)},
    )


def held_back(segments: pl.DataFrame, match_id: str, reviews: Reviews) -> tuple[pl.DataFrame, dict[str, str]]:
    """The segments for which motion may be made, and of each of the others, by id, what it waits for."""
    reasons = reviews.config.reasons
    if not any(is_sensitive_intent(intent, reasons) for intent in INTENTS):
        return segments, {}  # and nobody needs a database
    standing = reviews.reviews(match_id)
    allowed = animated(segments, standing, reasons)
    others = segments.join(allowed, on="segment_id", how="anti")
    return allowed, {row["segment_id"]: _why(row, standing) for row in others.iter_rows(named=True)}


def _why(segment: dict[str, Any], standing: pl.DataFrame) -> str:
    what = f"segment {segment['segment_id']} ({segment['intent']}) is sensitive"
    same = (pl.col("segment_id") == segment["segment_id"]) & (pl.col("to_ms") == segment["to_ms"])
    job = next(iter(standing.filter(same).tail(1).to_dicts()), None)
    if job is None:
        return f"{what} and nobody has been asked about it yet: gridmotion run {segment['match_id']} opens its review"
    if job["state"] == OPEN:
        return f"{what} and waits for its review: gridmotion review next --job {job['job_id']}"
    verdict = " ".join(filter(None, (job["verdict"] or job["state"], job["verdict_intent"])))
    return f"{what} and its review did not accept it (job {job['job_id']}: {verdict})"


def _made_before(tables: MatchTables) -> tuple[set[str], set[str]]:
    """Segments that have a row in the table, and those of them whose clips were asked for one by one."""
    try:
        rows = tables.store.read_table("clips", tables.match_id)
    except (PartMissing, PartDamaged):
        return set(), set()
    return set(rows["segment_id"]), set(rows.filter(pl.col("interest") == ON_DEMAND)["segment_id"])
