"""Many matches at once, log to segments: `gridmotion backfill` and Dagster's own, beside the bare work.

The bare work is the same functions of the domain with the same reads and writes, called in a plain loop in one warm
process per core: no Dagster, no checks, no reports, no process to start. A backfill is timed from its command to its
end, the start of its processes and all that it tells Dagster included; Dagster's own from the request to the end of its
last run, the wait for a daemon that looks twice a minute included. Overhead is the time beside that of the bare work,
less one. A share of the bare work is done in turn with each backfill; figures are medians over the rounds.
"""

import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from pathlib import Path
from statistics import median
from typing import Any

from assets.analysis import TABLES, Judge, analyse, told
from assets.stages import MatchTables
from bench.area import SINGLE_THREADED
from bench.daemon import ROOT, Backfilled, own_backfill
from bench.measure import Figure, Goal, medians
from bench.processes import watched
from bench.season import season
from bench.workload import Workload
from pipeline.events.reader import read_log
from pipeline.features.match import match_features
from pipeline.intents.labels import label
from pipeline.intents.model import PriorModel
from pipeline.intents.prediction import predict
from pipeline.intents.segments import segment
from resources.parquet import Stamp
from resources.store import Store
from resources.workers import cores

MATCHES, QUICK_MATCHES = 200, 6
ROUNDS, OWN_ROUNDS = 3, 2  # each takes minutes
OVERHEAD = Goal(at_most=15)
REAL_TIME = Goal(at_least=1_000, stretch=1_500)
THRESHOLD = 0.6
_STAMP = Stamp("bench", "bench", "bench")


def figures(load: Workload) -> list[Figure]:
    """One match beside real time, then many: bare, by the command, by Dagster's daemon."""
    count = QUICK_MATCHES if load.quick else MATCHES
    folder = load.scratch("backfill")
    store = Store(str(folder / "store"))
    names = season(store, load.canonical, count)
    distinct = names[: len(load.canonical)]
    return [*_real_time(store, distinct), *_side_by_side(store, folder, names, quick=load.quick)]


def _side_by_side(store: Store, folder: Path, names: list[str], *, quick: bool) -> list[Figure]:
    """The ways to do all matches, each round beside a share of the bare work."""
    count, rounds = len(names), 1 if quick else ROUNDS
    bare, command, own = [], [], []
    waits = []
    for number in range(rounds):
        share = names[number::rounds]
        wall, cpu = _bare(store.url, share)
        bare.append(_Spent(wall / len(share) * count, cpu / len(share) * count))
        _forget(store)
        command.append(_command(folder))
        if number < OWN_ROUNDS and not quick:
            _forget(store)
            done = _daemon(folder, names)
            own.append(_Spent(done.total_s, done.cpu_s))
            waits.append(done.waiting_s)
    found = [_hourly(f"bare work, {count} matches, {cores()} processes", count, bare)]
    for name, runs in {"gridmotion backfill": command, "Dagster's own backfill": own}.items():
        if runs:
            time_over, cpu_over = (
                median(100 * (each(mine) / each(beside) - 1) for mine, beside in zip(runs, bare, strict=False))
                for each in (attrgetter("wall"), attrgetter("cpu"))
            )
            found += [
                _hourly(f"{name}, {count} matches", count, runs),
                Figure(f"{name}: overhead, time", time_over, "%", goal=OVERHEAD),
                Figure(f"{name}: overhead, processor", cpu_over, "%"),
            ]
    if own:
        beside = zip(own, waits, bare, strict=False)
        since = median(100 * ((mine.wall - wait) / plain.wall - 1) for mine, wait, plain in beside)
        found += [
            Figure("Dagster's own backfill: wait for the daemon", median(waits), "s"),
            Figure("Dagster's own backfill: overhead, time since the daemon looked", since, "%"),
        ]
    return found


@dataclass(frozen=True)
class _Spent:
    """Seconds of time, and of processor."""

    wall: float
    cpu: float


def work(store: Store, name: str) -> None:
    """The bare work on one match: what the stages compute, read and write."""
    match = store.read_table("matches", name)
    with store.local_copy(match["log_uri"].item()) as file:
        reading = read_log(file, log_id=match["log_id"].item(), uri=match["log_uri"].item()).matches[name]
    for table, rows in {"rounds": reading.rounds, "events": reading.events, "tracks": reading.tracks}.items():
        store.write_table(table, name, rows, _STAMP)
    events, tracks, model = store.read_table("events", name), store.read_table("tracks", name), _model()
    features = match_features(match, events, tracks)
    intents = predict(features, model)
    made = {
        "features": features,
        "labels": label(events, tracks, features),
        "intents": intents,
        "segments": segment(intents, features, model_version=model.version, review_threshold=THRESHOLD),
    }
    for table, frame in made.items():
        store.write_table(table, name, frame, _STAMP)


def as_analysed(store: Store, name: str) -> None:
    """The same as a backfill's process does it: reuse, checks, reports, and what Dagster is told."""
    tables = MatchTables(store, name, lambda warning: None)
    outside = {"models/champion": "bench"}
    for result in analyse(tables, Judge(_model, THRESHOLD)):
        list(told(result, tables, outside))


def _real_time(store: Store, names: list[str]) -> list[Figure]:
    """Seconds of match per second of one core, over all distinct matches."""
    played = sum(store.read_table("matches", name)["duration_ms"].item() for name in names) / 1000

    def each(way: Any) -> None:
        for name in names:
            way(store, name)

    def anew() -> None:
        _forget(store)
        each(as_analysed)

    bare, told_of = medians(lambda: each(work), anew)
    return [
        Figure("log → segments, the functions alone", played / bare, "× real time, one core", goal=REAL_TIME),
        Figure("log → segments, with checks and reports", played / told_of, "× real time, one core", goal=REAL_TIME),
    ]


def _bare(url: str, names: list[str]) -> tuple[float, float]:
    """Seconds of time, and of processor, that one warm process per core takes for all matches in a plain loop."""
    context = multiprocessing.get_context("spawn")
    shares = [names[place :: cores()] for place in range(cores())]
    ready, spent = context.Barrier(len(shares) + 1), context.Queue()
    processes = [context.Process(target=_share, args=(url, share, ready, spent)) for share in shares]
    for process in processes:
        process.start()
    ready.wait()
    begin = time.perf_counter()
    cpu = sum(spent.get() for _ in processes)
    wall = time.perf_counter() - begin
    for process in processes:
        process.join()
    return wall, cpu


def _share(url: str, names: list[str], ready: Any, spent: Any) -> None:
    store = Store(url)
    work(store, names[0])
    ready.wait()
    begin = time.process_time()
    for name in names:
        work(store, name)
    spent.put(time.process_time() - begin)


def _command(folder: Path) -> _Spent:
    environment = {**os.environ, "GRIDMOTION_STORE": str(folder / "store"), "DAGSTER_HOME": _home(folder)}
    command = [sys.executable, "-m", "assets.commands", "backfill", "--all"]
    begin = time.perf_counter()
    with (folder / "command.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        cpu = watched(process, process.wait)
    if process.returncode:
        raise RuntimeError((folder / "command.log").read_text()[-2000:])
    return _Spent(time.perf_counter() - begin, cpu)


def _daemon(folder: Path, names: list[str]) -> Backfilled:
    environment = {**SINGLE_THREADED, "GRIDMOTION_STORE": str(folder / "store"), "DAGSTER_HOME": _home(folder)}
    return own_backfill(folder, names, environment)


def _home(folder: Path) -> str:
    home = folder / "dagster"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    shutil.copyfile(ROOT / "dagster.yaml", home / "dagster.yaml")
    return str(home)


def _forget(store: Store) -> None:
    for path, _, _ in [file for table in TABLES for file in store.files(table)]:
        store.delete(path)


@cache
def _model() -> PriorModel:
    return PriorModel.configured()


def _hourly(stage: str, count: int, runs: "list[_Spent]") -> Figure:
    return Figure(stage, 3600 * count / median(run.wall for run in runs), "matches/h")
