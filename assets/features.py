"""From what happened to how it looked: windowed micro-features.

Belongs here: the edge from tracks and events to features. Does not belong here: the features themselves
(`pipeline.features`). Concept: https://docs.dagster.io/guides/build/assets
"""

import dagster as dg
import polars as pl

from assets import reports
from assets.stages import Recipe, ensure, match_stage, result
from configs.features import load_features
from configs.titles import load_titles
from pipeline.features.match import match_features
from resources.store import Store

RECIPE = Recipe(("features", "events/model.py", "errors.py"), (load_features(), load_titles()))


@match_stage(RECIPE, group="features", deps=["matches", "events", "tracks"], kinds={"numba", "polars"})
def features(context: dg.AssetExecutionContext, store: dg.ResourceParam[Store]) -> dg.MaterializeResult:
    """How each living player looked at each instant of the 250 ms grid."""
    match_id = context.partition_key
    stamp = RECIPE.stamp(*(store.part(table, match_id).digest for table in ("matches", "events", "tracks")))

    def compute() -> pl.DataFrame:
        match, events = store.read_table("matches", match_id), store.read_table("events", match_id)
        return match_features(match, events, store.read_table("tracks", match_id))

    part = ensure(context, store, "features", match_id, stamp, compute)
    return result(store, "features", match_id, part, reports.features(store.read_table("features", match_id)))
