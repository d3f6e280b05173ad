"""From what happened to how it looked: windowed micro-features.

Belongs here: the edge from tracks and events to features. Does not belong here: the features themselves
(`pipeline.features`). Concept: https://docs.dagster.io/guides/build/assets
"""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from assets import reports
from assets.stages import Made, MatchTables, Recipe
from configs.features import load_features
from configs.maps import load_maps
from configs.titles import load_titles
from pipeline.features.match import match_features

RECIPE = Recipe(
    ("features", "events/matches.py", "events/model.py", "errors.py"), (load_features(), load_titles(), load_maps())
)


SPEC = dg.AssetSpec(
    "features",
    deps=["matches", "events", "tracks"],
    group_name="features",
    kinds={"numba", "polars"},
    code_version=RECIPE.code_version,
    description="How each living player looked at each instant of the 250 ms grid.",
)


def features(tables: MatchTables) -> Iterator[Made]:
    """How each living player looked at each instant of the 250 ms grid."""
    stamp = RECIPE.stamp(*(tables.part(table).digest for table in ("matches", "events", "tracks")))

    def compute() -> pl.DataFrame:
        return match_features(tables.read("matches"), tables.read("events"), tables.read("tracks"))

    tables.ensure("features", stamp, compute)
    yield tables.made("features", lambda: reports.features(tables.read("features")))
