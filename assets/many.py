"""Many matches in one run: a process per core works them off, and the run that started them tells Dagster.

Belongs here: what a process is given and gives back, and what Dagster is told of it. Does not belong here: the stages
(`assets/analysis.py`), the processes themselves (`resources/workers.py`), which runs there are
(`assets/match_analysis.py`, `assets/backfill.py`).

The processes know nothing of Dagster's instance: they hand back events, and the run that started them records these.
So what a killed run did not record is found in the store by the next one and told then.
"""

import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol

import dagster as dg

from assets.analysis import TABLES, Judge, analyse, failed, reason, told, versions_outside
from assets.event_log import many_events
from assets.stages import MatchTables
from resources.settings import Settings
from resources.workers import Workers, cores

Told = dg.AssetMaterialization | dg.AssetCheckEvaluation
Context = dg.OpExecutionContext | dg.AssetExecutionContext


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

    events: list[Told] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    failure: str | None = None
    trace: str = ""


class Watcher(Protocol):
    """Whoever looks at a run over many matches."""

    def finished(self, match_id: str, failure: str | None) -> None:
        """A match is done, or failed for that reason."""


class Nobody:
    """Looks away."""

    def finished(self, match_id: str, failure: str | None) -> None:
        """Nothing to do."""


def analyst(environment: Settings, upstream: Mapping[str, str], wanted: frozenset[str]) -> Callable[[Task], Analysed]:
    """What a process does, prepared once in it.

    A match is judged by whichever model answers when its intents are asked for: a promotion or a rollback takes effect
    with the next match, and a match keeps the model it began with.

    Args:
        environment: settings, which name the store and the registry of models.
        upstream: data versions from `versions_outside`.
        wanted: the tables to make and to tell of.
    """
    from assets.definitions import open_registry, open_store

    store, models = open_store(environment), open_registry(environment)

    def work(task: Task) -> Analysed:
        found = Analysed()
        tables = MatchTables(store, task.match_id, found.warnings.append)
        judge = Judge(cache(models.champion), environment.hitl_conf_threshold)
        try:
            for result in analyse(tables, judge, wanted, task.told):
                found.events += told(result, tables, upstream)
        except Exception as error:  # whatever it is, the other matches have nothing to do with it
            found.failure, found.trace = reason(error), traceback.format_exc()
        return found

    return work


def analyse_many(
    context: Context,
    tasks: Sequence[Task],
    environment: Settings,
    *,
    wanted: frozenset[str] = frozenset(TABLES),
    processes: int = 0,
    watcher: Watcher | None = None,
) -> None:
    """Hands matches out, gives what comes back to Dagster, and fails at the end if any of them did.

    Args:
        context: of the run.
        tasks: the matches.
        environment: settings, which name the store and the registry of models.
        wanted: the tables to make and to tell of.
        processes: how many at once; 0 for one per core.
        watcher: told of each match as it ends.

    Raises:
        dg.Failure: naming the matches that failed.
    """
    failures: dict[str, str] = {}
    warned: set[str] = set()
    workers: Workers[Task, Analysed] = Workers(
        processes or cores(), analyst, environment, versions_outside(context.instance), wanted
    )
    with many_events(context.instance) as page:
        for done in workers.run(tasks):
            match_id, found = done.task.match_id, done.result or Analysed(failure=done.failure)
            with page():
                for event in found.events:
                    context.log_event(event)  # type: ignore[arg-type]  # of checks too, it only does not say so
            # They are stored; Dagster would keep them, pictures and all, to hand them on when the step ends.
            deque(context.op_execution_context.consume_events(), maxlen=0)
            for warning in found.warnings:
                if warning not in warned:  # one that holds for all matches is said once
                    context.log.warning(warning)
                    warned.add(warning)
            if found.failure:
                failures[match_id] = found.failure
                context.log.error(f"{match_id}: {found.failure}\n{found.trace}")
            if watcher:
                watcher.finished(match_id, found.failure)
    if failures:
        raise failed(failures, len(tasks))
