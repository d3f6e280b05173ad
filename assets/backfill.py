"""The run of `gridmotion backfill`: many matches at once, each table told of once.

Belongs here: the command's job. Does not belong here: what it does with the matches (`assets/many.py`), Dagster's own
backfills (`assets/match_analysis.py`, `assets/partitions.py`).
Concept: https://docs.dagster.io/guides/build/ops
"""

import dagster as dg

from assets.analysis import CHECKS, SPECS
from assets.instance import the_only_run, told_before
from assets.many import Task, Watcher, analyse_many
from resources.settings import Settings

JOB = "backfill"


class BackfillConfig(dg.Config):
    """Which matches to analyse.

    Attributes:
        matches: their ids.
        processes: how many at once; 0 for one per core.
    """

    matches: list[str]
    processes: int = 0


@dg.op(description="Analyses matches in a process per core; a match that fails fails alone.")
def analyse_matches(
    context: dg.OpExecutionContext,
    config: BackfillConfig,
    environment: dg.ResourceParam[Settings],
    watcher: dg.ResourceParam[Watcher],
) -> None:
    """Makes what is missing, and tells of what Dagster has not heard."""
    with the_only_run(context.instance, JOB, context.run_id):
        known = told_before(context.instance, SPECS, CHECKS, config.matches)
        tasks = [Task(match_id, known[match_id]) for match_id in config.matches]
        analyse_many(context, tasks, environment, processes=config.processes, watcher=watcher)


@dg.job(
    name=JOB,
    description="Analyse many matches, log to segments, in a process per core.",
    executor_def=dg.in_process_executor,  # the process of the run is that of its step: see `the_only_run`
)
def backfill() -> None:
    """One step over all matches."""
    analyse_matches()
