"""From intents to motion: the clips of a match's most interesting moments.

Belongs here: which segments become clips in a run, the cache by `clip_key`, the files of a clip. Does not belong here:
how a body moves (`pipeline.motion`), who synthesises (`resources.motion_backends`).
Concept: https://docs.dagster.io/guides/build/assets
"""

import dagster as dg
import polars as pl

from assets import reports
from assets.stages import Recipe, ensure, match_stage, result
from configs.motion import load_motion
from configs.titles import load_titles
from pipeline.motion.moments import choose
from resources.clips import ClipStudio
from resources.store import Store

RECIPE = Recipe(("motion", "events/model.py", "errors.py"), (load_motion(), load_titles()))


@match_stage(RECIPE, group="motion", deps=["segments", "tracks"], kinds={"numba", "gltf"}, pool="motion")
def clips(
    context: dg.AssetExecutionContext, store: dg.ResourceParam[Store], studio: dg.ResourceParam[ClipStudio]
) -> dg.MaterializeResult:
    """Animated bodies on the players' true paths, for the most interesting segments up to the match's budget."""
    match_id = context.partition_key
    segments_part, tracks_part = store.part("segments", match_id), store.part("tracks", match_id)
    stamp = RECIPE.stamp(
        segments_part.digest,
        tracks_part.digest,
        f"{studio.budget} clips by {studio.backend.name}",
        model_version=segments_part.stamp.model_version,
    )

    def make() -> pl.DataFrame:
        segments, tracks = store.read_table("segments", match_id), store.read_table("tracks", match_id)
        return studio.make(choose(segments, tracks, budget=studio.budget), tracks, log=context.log.info)

    part = ensure(context, store, "clips", match_id, stamp, make)
    frame = store.read_table("clips", match_id)
    if part.reused and (missing := studio.missing(frame)):
        context.log.warning(f"{len(missing)} files of clips are gone, the first is {missing[0]}: made anew")
        part = store.write_table("clips", match_id, make(), stamp)
        frame = store.read_table("clips", match_id)
    return result(store, "clips", match_id, part, reports.clips(frame, studio.previews(frame)))
