"""Agents as processes: killed with SIGKILL while a match runs, ended with SIGTERM, and the commands beside them."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from bisect import bisect_right

import pytest
import redis.asyncio as redis
from typer.testing import CliRunner

from assets.commands import app
from configs.live import load_agent
from pipeline.intents.model import PriorModel
from pipeline.intents.prediction import predict
from pipeline.intents.segments import segment
from pipeline.live.signals import from_json
from resources import settings as settings_of
from resources.replay import replay
from resources.settings import Settings
from resources.stream import DLQ, EVENTS, SIGNALS, TOLD, Shard, Streams

PATIENCE_S = 240


@pytest.fixture
def command(redis_server, tmp_path):
    """Runs `gridmotion` with a store of its own; what is left running is killed."""
    environment = {**os.environ, "REDIS_URL": redis_server, "GRIDMOTION_STORE": str(tmp_path / "store")}
    started = []

    def command(*words):
        code = "import sys; from assets.commands import main; main()"
        process = subprocess.Popen(
            [sys.executable, "-c", code, *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        started.append(process)
        return process

    yield command
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()


def _on_server(url, work):
    async def connected():
        client = redis.from_url(url)
        try:
            return await work(client)
        finally:
            await client.aclose()

    return asyncio.run(connected())


async def _signals(client):
    return [from_json(fields[b"signal"]) for _, fields in await client.xrange(SIGNALS)]


async def _reached(client, match_id):
    """The last entry of which something is written: the match's state, or what it told."""
    found = await client.hmget(Shard(0, 1).match_key(match_id), "at", TOLD)
    return max((_id(entry) for entry in found if entry), default=(0, 0))


def _id(entry):
    return tuple(map(int, entry.split(b"-")))


async def _until(condition, process, every_s=0.005):
    deadline = time.monotonic() + PATIENCE_S
    while not await condition():
        assert time.monotonic() < deadline, "too slow"
        if process.poll() is not None:
            raise AssertionError(process.stdout.read().decode())
        await asyncio.sleep(every_s)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("deaths", [2, pytest.param(50, marks=pytest.mark.slow)])
def test_agents_killed_at_seeded_points_lose_nothing_and_double_nothing(
    redis_server, command, simulated, as_segments, deaths
):
    """Each is killed with SIGKILL some milliseconds after it began to read a piece; another one stands by.

    Pieces end where the match may rest: on a starved machine one may lie there for longer than until it is idle.
    """
    dice, lines = random.Random(deaths), simulated.lines
    cuts = [place for place in simulated.cuts if 200 <= place < len(lines) - 200]
    points = [*sorted(dice.sample(cuts, deaths)), len(lines)]
    token = Shard(0, 1).key("token")

    async def work(client):
        await client.flushall()
        streams, waiting, took, reached, sent = Streams(client, load_agent()), [], [], [], 0
        owner, begin = command("agent", "--port", "0"), time.monotonic()
        for number, point in enumerate(points):
            # Sent while nobody reads, so that whoever takes over has news: a match that nothing comes of is idle.
            await replay(streams, [(0, simulated.match_id, line) for line in lines[sent:point]], shards=1, speed=None)
            sent = point
            await _until(lambda number=number: _drawn(client, token, number + 1), owner, every_s=0.001)
            took.append(time.monotonic() - begin)
            if number == deaths:
                break
            waiting.append(command("agent", "--port", "0"))
            # Some before they read, some while they do, some when they have told something of the piece: on a machine
            # of any speed.
            await (_told_more(client) if number % 2 else asyncio.sleep(dice.uniform(0, 0.25) * (number % 4) / 2))
            owner.send_signal(signal.SIGKILL)
            owner.wait()
            reached.append(await _reached(client, simulated.match_id))
            owner, begin = waiting.pop(0), time.monotonic()
        await _until(lambda: _over(client), owner)
        owner.send_signal(signal.SIGTERM)
        assert owner.wait(PATIENCE_S) == 0
        ids = [_id(name) for name, _ in await client.xrange(EVENTS)]
        ranks = [bisect_right(ids, entry) for entry in reached]
        return await _signals(client), ranks, took, await client.exists(Shard(0, 1).key("owner"))

    signals, reached, took, is_owned = _on_server(redis_server, work)
    assert len({told.signal_id for told in signals}) == len(signals)
    assert signals[-1].accepted == len(lines) and signals[-1].duplicate == signals[-1].late == 0
    if deaths > 10:  # some died before they had written anything of the newest piece, some in its midst or behind it
        assert len(set(reached)) > 10 and any(rank < point for rank, point in zip(reached, points, strict=False))
    model = PriorModel.configured()
    expected = segment(
        predict(simulated.features, model), simulated.features, model_version=model.version, review_threshold=0.6
    )
    assert as_segments(signals).equals(expected)
    assert len(took) == deaths + 1 and not is_owned


async def _drawn(client, token, count):
    return int(await client.get(token) or 0) >= count


async def _told_more(client, seconds=1):  # less than a match takes to be idle
    before, deadline = await client.xlen(SIGNALS), time.monotonic() + seconds
    while await client.xlen(SIGNALS) == before and time.monotonic() < deadline:
        await asyncio.sleep(0.005)


async def _over(client):
    return any(told.kind == "ended" for told in await _signals(client))


def test_the_dlq_commands_show_send_again_and_forget_what_was_refused(redis_server, monkeypatch):
    """What can't be printed is shown as such: a terminal obeys no stranger."""
    event = b'{"event_id":"\x1b]0;x\x07","note":"[red]<b>%s"}'

    async def refuse(client):
        await client.flushall()
        about = {"stream": EVENTS, "match_id": "m\x1b[2J", "field": "event_id", "reason": "is %s {0}", "cut": "0"}
        return [(await client.xadd(DLQ, about | {"id": f"{n}-0", "event": event})).decode() for n in (1, 2, 3)]

    def told(*words):
        found = CliRunner().invoke(app, ["dlq", *words])
        return found.output, found.exit_code

    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(settings_of, "settings", lambda: Settings(redis_url=redis_server))

    first, *_ = _on_server(redis_server, refuse)
    shown, code = told("list")
    assert code == 0 and "3 shown" in shown and "\x1b" not in shown and "\x07" not in shown and "m·[2J" in shown
    wrong, code = told("replay")
    assert code == 1 and "--all" in wrong
    again, code = told("replay", first)
    assert (code, again.strip()) == (0, "1 of 1 sent again")
    gone, code = told("drop", "--all")
    assert (code, gone.strip()) == (0, "2 forgotten")

    async def left(client):
        return [fields for _, fields in await client.xrange(EVENTS)], await client.xlen(DLQ)

    assert _on_server(redis_server, left) == ([{b"event": event}], 0)
