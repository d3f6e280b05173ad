"""The live core: order, watermark and kernel on the events of a match as they arrive, without decoding and streams.

Belongs here: how much slower than the kernel at once it is in calls of one event and of more, what a call takes, what
a snapshot of everything weighs. Does not belong here: the kernel itself (`features`), servers.
"""

import time

import polars as pl

from bench.measure import Figure, Goal, interleaved, percentile, runs
from bench.workload import Tables, Workload
from configs.features import load_features
from pipeline.features.carry import Carry
from pipeline.features.pack import cast_of, pack
from pipeline.live.arrivals import Arrivals, arrivals, together
from pipeline.live.features import LiveFeatures

SIZES = (1, 10, 100, 1000)
"""Events a call: one; what one tick of a server brings; what 10 ms of a hundred matches bring; a stream caught up."""


def figures(load: Workload) -> list[Figure]:
    """Rates beside the kernel's, single calls, the snapshot."""
    tables = load.tables()
    stream = together(tables.events, tables.tracks)
    arrived = arrivals(stream)
    kernel = _kernel_at_once(tables)
    found = [
        interleaved(
            f"live core, {size:,} event{'s' if size > 1 else ''} a call",
            lambda size=size: _run(arrived, size),
            kernel,
            "the kernel, all events in one call",
            len(arrived),
            "events",
        )
        for size in SIZES
    ]
    found.append(_encoding(stream))
    calls, match = _calls(arrived)
    found += [percentile("live core, one event a call", calls, percent) for percent in (50, 99, 99.9)]
    return [*found, *_snapshot(match)]


def _kernel_at_once(tables: Tables) -> object:
    config, cast = load_features(), cast_of(tables.match, tables.events, tables.tracks)
    batch = pack(cast, tables.events, tables.tracks)
    until_ms = -(-int(batch.t_ms[-1]) // config.grid_ms) * config.grid_ms
    return lambda: Carry(cast, config).advance(batch, until_ms=until_ms)


def _run(arrived: Arrivals, size: int) -> None:
    match = LiveFeatures(arrived.match_id)
    for begin in range(0, len(arrived), size):
        match.take(arrived[begin : begin + size])
    match.finish()


def _encoding(stream: pl.DataFrame) -> Figure:
    """What stands before the core in a stream: columns to arrays, a hundred events at a time."""
    parts = [stream[begin : begin + 100] for begin in range(0, min(len(stream), 20_000), 100)]
    return interleaved(
        "columns → arrays, 100 events a call",
        lambda: [arrivals(part) for part in parts],
        None,
        "",
        sum(map(len, parts)),
        "events",
    )


def _calls(arrived: Arrivals) -> tuple[list[float], LiveFeatures]:
    """Seconds of each call with one event, and the match in its midst."""
    match, taken = LiveFeatures(arrived.match_id), []
    for place in range(min(len(arrived), 50_000)):
        event = arrived[place : place + 1]
        begin = time.perf_counter()
        match.take(event)
        taken.append(time.perf_counter() - begin)
    return taken, match


def _snapshot(match: LiveFeatures) -> list[Figure]:
    snapshot = match.to_bytes()
    times: dict[str, list[float]] = {"taking": [], "restoring": []}
    for _ in range(100 * runs()):
        begin = time.perf_counter()
        match.to_bytes()
        between = time.perf_counter()
        LiveFeatures.from_bytes(snapshot)
        times["taking"].append(between - begin)
        times["restoring"].append(time.perf_counter() - between)
    return [
        Figure(
            f"a live match in bytes, {match.held} events waiting", len(snapshot) / 1000, "kB", goal=Goal(at_most=64)
        ),
        *(percentile(f"{what} that snapshot", seconds, 50) for what, seconds in times.items()),
    ]
