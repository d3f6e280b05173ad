"""Many matches at once: a process per core, one run that tells Dagster of everything they make.

Belongs here: what a process is given and gives back, and what Dagster is told. Does not belong here: the stages
(`assets/analysis.py`), the processes themselves (`resources/workers.py`), Dagster's own backfills (`partitions.py`).
Concept: https://docs.dagster.io/guides/build/ops

The processes know nothing of Dagster's instance: they hand back events, and the run that started them records these.
So what a killed backfill did not record is found in the store by the next one and told then.
"""

import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import dagster as dg

from assets.analysis import SPECS, Judge, analyse, failed, reason, told, versions_outside
from assets.instance import many_events, the_only_run, told_before
from assets.stages import MatchTables
from pipeline.intents.model import BoosterModel, IntentModel, PriorModel
from resources.registry import ModelRegistry
from resources.settings import Settings
from resources.workers import Workers, cores

JOB = "backfill"


class BackfillConfig(dg.Config):
    """Which matches to analyse.

    Attributes:
        matches: their ids.
        processes: how many at once; 0 for one per core.
    """

    matches: list[str]
    processes: int = 0


@dataclass(frozen=True)
class Task:
    """A match, and the data versions of its tables that Dagster was told of already."""

    match_id: str
    told: Mapping[str, str]


@dataclass
class Analysed:
    """What a process tells of a match.

    Attributes:
        events: materializations and check evaluations, in order; empty if all of it was there and told of.
        warnings: what somebody should know.
        failure: why it failed; None if it did not.
        trace: where it failed.
    """

    events: list[dg.AssetMaterialization | dg.AssetCheckEvaluation] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    failure: str | None = None
    trace: str = ""


class Watcher(Protocol):
    """Whoever looks at a backfill while it runs."""

    def finished(self, match_id: str, failure: str | None) -> None:
        """A match is done, or failed for that reason."""


class Nobody:
    """Looks away."""

    def finished(self, match_id: str, failure: str | None) -> None:
        """Nothing to do."""


def analyst(
    environment: Settings, model_files: dict[str, bytes] | None, upstream: Mapping[str, str]
) -> Callable[[Task], Analysed]:
    """What a process does, prepared once in it.

    Args:
        environment: settings.
        model_files: of the model that answers; the prior if None.
        upstream: data versions from `versions_outside`.
    """
    from assets.definitions import open_store

    store = open_store(environment)
    model: IntentModel = BoosterModel.from_files(model_files) if model_files else PriorModel.configured()
    judge = Judge(lambda: model, environment.hitl_conf_threshold)

    def work(task: Task) -> Analysed:
        found = Analysed()
        tables = MatchTables(store, task.match_id, found.warnings.append)
        try:
            for result in analyse(tables, judge, told=task.told):
                found.events += told(result, tables, upstream)
        except Exception as error:  # whatever it is, the other matches have nothing to do with it
            found.failure, found.trace = reason(error), traceback.format_exc()
        return found

    return work


@dg.op(out={}, description="Analyses matches in a process per core; a match that fails fails alone.")
def analyse_matches(
    context: dg.OpExecutionContext,
    config: BackfillConfig,
    models: dg.ResourceParam[ModelRegistry],
    environment: dg.ResourceParam[Settings],
    watcher: dg.ResourceParam[Watcher],
) -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
    """Hands the matches out, records what comes back, and fails at the end if any of them did."""
    failures: dict[str, str] = {}
    warned: set[str] = set()
    with the_only_run(context.instance, JOB, context.run_id), many_events(context.instance):
        model = models.champion()  # of all matches, whatever is promoted meanwhile
        files = model.files() if isinstance(model, BoosterModel) else None
        workers: Workers[Task, Analysed] = Workers(
            config.processes or cores(), analyst, environment, files, versions_outside(context.instance)
        )
        known = told_before(context.instance, [spec.key for spec in SPECS], config.matches)
        for done in workers.run(Task(match_id, known[match_id]) for match_id in config.matches):
            match_id, found = done.task.match_id, done.result or Analysed(failure=done.failure)
            yield from found.events
            for warning in found.warnings:
                if warning not in warned:  # one that holds for all matches is said once
                    context.log.warning(warning)
                    warned.add(warning)
            if found.failure:
                failures[match_id] = found.failure
                context.log.error(f"{match_id}: {found.failure}\n{found.trace}")
            watcher.finished(match_id, found.failure)
    if failures:
        raise failed(failures, len(config.matches))


@dg.job(name=JOB, description="Analyse many matches, log to segments, in a process per core.")
def backfill() -> None:
    """One step over all matches."""
    analyse_matches()
