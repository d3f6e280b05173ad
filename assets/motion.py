"""From intents to motion: the clips of a match's most interesting moments.

Belongs here: which segments become clips in a run, the cache by `clip_key`, the files of a clip. Does not belong here:
how a body moves (`pipeline.motion`), who synthesises (`resources.motion_backends`).
Concept: https://docs.dagster.io/guides/build/assets
"""

import dagster as dg
import polars as pl
from pydantic import Field

from assets import reports
from assets.partitions import matches, one_match_per_run
from assets.stages import MatchTables, Recipe, schema_spec
from configs.motion import load_motion
from configs.titles import load_titles
from pipeline.motion.moments import choose
from resources.clips import ClipStudio
from resources.store import PartDamaged, PartMissing, Store

RECIPE = Recipe(("motion", "events/model.py", "errors.py"), (load_motion(), load_titles()))


ON_DEMAND = "on demand"


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
    check_specs=[schema_spec("clips", matches)],
)
def clips(
    context: dg.AssetExecutionContext,
    config: ClipsConfig,
    store: dg.ResourceParam[Store],
    studio: dg.ResourceParam[ClipStudio],
) -> dg.MaterializeResult:
    """Animated bodies on the players' true paths: the most interesting segments, and those that were asked for."""
    tables = MatchTables(store, context.partition_key, context.log.warning)
    segments, tracks = tables.part("segments"), tables.part("tracks")
    made_before, wished_before = _made_before(tables)
    wishes = {*config.also, *wished_before} & set(tables.read("segments")["segment_id"])
    if unknown := set(config.also) - wishes:
        raise dg.Failure(f"{tables.match_id} has no segment {', '.join(sorted(unknown))}", allow_retries=False)
    stamp = RECIPE.stamp(
        segments.digest,
        tracks.digest,
        f"{studio.budget} clips by {studio.backend.name}",
        *sorted(wishes - (made_before - wished_before)),
        model_version=segments.stamp.model_version,
    )

    def make() -> pl.DataFrame:
        every, paths = tables.read("segments"), tables.read("tracks")
        chosen = choose(every, paths, budget=studio.budget)
        left = sorted(wishes - set(chosen["segment_id"]))
        wished = every.filter(pl.col("segment_id").is_in(left)).with_columns(pl.lit(ON_DEMAND).alias("interest"))
        return studio.make(pl.concat([chosen, wished]), paths, log=context.log.info)

    part = tables.ensure("clips", stamp, make)
    if part.reused and (missing := studio.missing(tables.read("clips"))):
        context.log.warning(f"{len(missing)} files of clips are gone, the first is {missing[0]}: made anew")
        tables.write("clips", make(), stamp)
    frame = tables.read("clips")
    return tables.made("clips", lambda: reports.clips(frame, studio.previews(frame))).result()


def _made_before(tables: MatchTables) -> tuple[set[str], set[str]]:
    """Segments that have a row in the table, and those of them whose clips were asked for one by one."""
    try:
        rows = tables.store.read_table("clips", tables.match_id)
    except (PartMissing, PartDamaged):
        return set(), set()
    return set(rows["segment_id"]), set(rows.filter(pl.col("interest") == ON_DEMAND)["segment_id"])
