"""The asset that a match's analysis is, for one match or many in a run.

Belongs here: what Dagster's runs of it do. Does not belong here: the stages (`assets/analysis.py`), the processes of a
run over many matches (`assets/many.py`), the command's own run (`assets/backfill.py`).
Concept: https://docs.dagster.io/guides/build/assets/defining-assets#multi-asset
"""

from collections.abc import Iterator
from functools import cache

import dagster as dg

from assets.analysis import CHECKS, SPECS, Judge, analyse
from assets.instance import the_cores
from assets.many import Task, analyse_many
from assets.partitions import many_matches_per_run, matches
from assets.stages import MatchTables
from resources.registry import ModelRegistry
from resources.settings import Settings
from resources.store import Store


@dg.multi_asset(
    name="match_analysis",
    specs=SPECS,
    check_specs=CHECKS,
    partitions_def=matches,
    backfill_policy=many_matches_per_run,
    can_subset=True,
)
def match_analysis(
    context: dg.AssetExecutionContext,
    store: dg.ResourceParam[Store],
    models: dg.ResourceParam[ModelRegistry],
    environment: dg.ResourceParam[Settings],
) -> Iterator[dg.MaterializeResult]:
    """From the recordings of matches to their segments; a match that fails fails alone."""
    wanted = frozenset(key.to_user_string() for key in context.selected_asset_keys)
    if context.has_partition_key:
        judge = Judge(cache(models.champion), environment.hitl_conf_threshold)  # it keeps the model it began with
        yield from analyse(MatchTables(store, context.partition_key, context.log.warning), judge, wanted)
        return
    # A backfill wants to see every match told of, also of those that stand already.
    tasks = [Task(match_id, told={}) for match_id in context.partition_keys]
    with the_cores(context.instance, taken=context.log.info):
        analyse_many(context, tasks, environment, wanted=wanted)
