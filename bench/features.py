"""The declared features: the kernel on whole matches, beside the naive way and polars' own windows, and live.

The naive way is the tests' oracle: the full set in plain Python over deques. polars tells of 25 of the features, in
floats: movement over both windows, fights and positions; the kernel always computes all. Both begin with the tables.
`rolling` is what the goal is about; `group_by_dynamic` cuts the same windows at the grid's instants only, and stands
beside it so that nobody has to ask.
"""

import importlib.util
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import polars as pl

from bench.baselines import rolling
from bench.measure import Figure, Goal, interleaved, medians, percentile, runs
from bench.workload import Tables, Workload
from configs.features import load_features
from pipeline.features.carry import Batch, Carry, Cast, Rows
from pipeline.features.definition import NAMES
from pipeline.features.match import match_features
from pipeline.features.pack import cast_and_pack

ROUNDS, QUICK_ROUNDS = 3, 1
"""What of a match the naive way is asked to do."""
SINGLE_EVENTS, QUICK_SINGLE_EVENTS = 30_000, 5_000
SNAPSHOT_EVERY = 1_000
READY = """
import numpy as np
from configs.features import load_features
from pipeline.features import kernel
from pipeline.features.carry import Batch, Carry, Cast
events = np.zeros((1, kernel.EVENT_COLUMNS), dtype=np.int32)
Carry(Cast(), load_features()).advance(Batch(np.zeros(1, dtype=np.int64), events), until_ms=250)
"""


def figures(load: Workload) -> list[Figure]:
    """Rates of the kernel and of the whole stage, the two ratios, and what a live match costs."""
    names = load.names
    return [
        _kernel(load, names),
        _end_to_end(load, names),
        _beside_naive(load),
        *_beside_polars(load.tables()),
        *_live(load),
        _ready(),
    ]


def _kernel(load: Workload, names: list[str]) -> Figure:
    events, seconds = 0, 0.0
    for name in names:
        cast, batch = _packed(load.tables(name))
        events += len(batch)
        seconds += medians(lambda cast=cast, batch=batch: _whole(cast, batch))[0]  # type: ignore[misc]  # mypy wants no defaults
    return Figure(f"kernel, all {len(NAMES)} features", events / seconds / 1e6, "M events/s", goal=Goal(at_least=4))


def _end_to_end(load: Workload, names: list[str]) -> Figure:
    events, seconds = 0, 0.0
    for name in names:
        tables = load.tables(name)
        events += tables.events.height
        seconds += medians(lambda t=tables: match_features(t.match, t.events, t.tracks))[0]  # type: ignore[misc]  # as above
    return Figure("tables → table `features`, checked", events / seconds / 1e6, "M events/s")


def _beside_naive(load: Workload) -> Figure:
    tables = _first_rounds(load.tables(), QUICK_ROUNDS if load.quick else ROUNDS)
    cast, batch = _packed(tables)
    oracle = _oracle()
    log, match = oracle.in_order(tables.events, tables.tracks), tables.match.row(0, named=True)
    config = load_features()
    return interleaved(
        f"kernel, the first {QUICK_ROUNDS if load.quick else ROUNDS} rounds",
        lambda: _whole(cast, batch),
        lambda: _exhaust(oracle.replay(log, match, config)),
        "plain Python over deques, all features",
        float(len(batch)),
        "events",
        150,
    )


def _beside_polars(tables: Tables) -> list[Figure]:
    config, count = load_features(), float(len(_packed(tables)[1]))
    rows = match_features(tables.match, tables.events, tables.tracks)
    keys = rows.select(*rolling.WHO, "t_ms").sort(*rolling.WHO, "t_ms")
    tracks = tables.tracks.sort(*rolling.WHO, "t_ms")

    def beside(way: Callable[..., pl.DataFrame], name: str, goal: Goal | None) -> Figure:
        return interleaved(
            "tables → all features, a whole match",
            lambda: _whole(*_packed(tables)),
            lambda: way(tracks, tables.events, keys, config),
            f"polars `{name}`, 25 of the features",
            count,
            "events",
            goal,
        )

    return [
        beside(rolling.by_rolling, "rolling", Goal(at_least=10)),
        beside(rolling.by_group_by_dynamic, "group_by_dynamic", None),
    ]


def _live(load: Workload) -> list[Figure]:
    cast, batch = _packed(load.tables())
    count = min(len(batch), QUICK_SINGLE_EVENTS if load.quick else SINGLE_EVENTS)
    singles, seconds = [batch[n : n + 1] for n in range(count)], []
    carry = Carry(cast, load_features())
    for event in singles:
        begin = time.perf_counter()
        carry.advance(event)
        seconds.append(time.perf_counter() - begin)
    largest = max((one for name in load.names for one in _snapshots(*_packed(load.tables(name)))), key=len)
    restores = []
    for _ in range(300):
        begin = time.perf_counter()
        Carry.from_bytes(largest, load_features())
        restores.append(time.perf_counter() - begin)
    mean = statistics.fmean(seconds) * 1e6
    return [
        Figure("one event per call, mean", mean, "µs", goal=Goal(at_most=20)),
        percentile("one event per call", seconds, 99),
        Figure("largest snapshot of a match", len(largest) / 1000, "kB", goal=Goal(at_most=64)),
        percentile("its restore", restores, 50, goal=100),
    ]


def _ready() -> Figure:
    """From the start of the interpreter to the first rows, in processes of their own, the kernel cached on disk."""
    seconds = []
    for run in range(runs() + 1):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", READY], check=True, cwd=Path(__file__).parents[1])
        if run:
            seconds.append(time.perf_counter() - begin)
    return Figure("a warm process is ready", statistics.median(seconds), "s", goal=Goal(at_most=1))


def _packed(tables: Tables) -> tuple[Cast, Batch]:
    return cast_and_pack(tables.match, tables.events, tables.tracks)


def _whole(cast: Cast, batch: Batch) -> Rows:
    config = load_features()
    until = -(-int(batch.t_ms[-1]) // config.grid_ms) * config.grid_ms
    return Carry(cast, config).advance(batch, until_ms=until)


def _snapshots(cast: Cast, batch: Batch) -> Iterator[bytes]:
    carry = Carry(cast, load_features())
    for start in range(0, len(batch), SNAPSHOT_EVERY):
        carry.advance(batch[start : start + SNAPSHOT_EVERY])
        yield carry.to_bytes()


def _first_rounds(tables: Tables, count: int) -> Tables:
    ends = tables.rounds["end_ms"].drop_nulls().sort()
    until = int(ends[min(count, len(ends)) - 1]) if len(ends) else int(np.iinfo(np.int64).max)
    cut = pl.col("t_ms") <= until
    return Tables(tables.match, tables.rounds, tables.events.filter(cut), tables.tracks.filter(cut))


def _oracle() -> ModuleType:
    path = Path(__file__).parents[1] / "tests" / "features" / "oracle.py"
    spec = importlib.util.spec_from_file_location("features_oracle", path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def _exhaust(rows: Iterator[object]) -> None:
    for _ in rows:
        pass
