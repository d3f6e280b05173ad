"""From intents to motion: the clips of a match's most interesting moments.

Belongs here: which segments become clips in a run, the cache by `clip_key`, the files of a clip. Does not belong here:
how a body moves (`pipeline.motion`), who synthesises (`resources.motion_backends`).
Concept: https://docs.dagster.io/guides/build/assets
"""

import dagster as dg
import polars as pl

from assets import reports
from assets.partitions import matches, one_match_per_run
from assets.stages import MatchTables, Recipe, schema_spec
from configs.motion import load_motion
from configs.titles import load_titles
from pipeline.motion.moments import choose
from resources.clips import ClipStudio
from resources.store import Store

RECIPE = Recipe(("motion", "events/model.py", "errors.py"), (load_motion(), load_titles()))


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
    context: dg.AssetExecutionContext, store: dg.ResourceParam[Store], studio: dg.ResourceParam[ClipStudio]
) -> dg.MaterializeResult:
    """Animated bodies on the players' true paths, for the most interesting segments up to the match's budget."""
    tables = MatchTables(store, context.partition_key, context.log.warning)
    segments, tracks = tables.part("segments"), tables.part("tracks")
    stamp = RECIPE.stamp(
        segments.digest,
        tracks.digest,
        f"{studio.budget} clips by {studio.backend.name}",
        model_version=segments.stamp.model_version,
    )

    def make() -> pl.DataFrame:
        moments = choose(tables.read("segments"), tables.read("tracks"), budget=studio.budget)
        return studio.make(moments, tables.read("tracks"), log=context.log.info)

    part = tables.ensure("clips", stamp, make)
    if part.reused and (missing := studio.missing(tables.read("clips"))):
        context.log.warning(f"{len(missing)} files of clips are gone, the first is {missing[0]}: made anew")
        tables.write("clips", make(), stamp)
    frame = tables.read("clips")
    return tables.made("clips", lambda: reports.clips(frame, studio.previews(frame))).result()
