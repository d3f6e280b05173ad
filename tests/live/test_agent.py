"""The agent on a real server: what it sends, what it refuses, and that no death loses or doubles anything."""

import asyncio
import gzip
import logging
import random
import time
from collections import Counter

import msgspec
import pytest
import redis.asyncio as redis
from prometheus_client.parser import text_string_to_metric_families

from configs.live import load_agent, load_live
from pipeline.features.snapshot import SnapshotMismatch
from pipeline.live.closing import compared, recorded
from pipeline.live.decoding import Decoder
from pipeline.live.match import LiveMatch
from pipeline.live.signals import from_json
from resources import live_metrics
from resources.agent import Agent
from resources.errors import ResourceError
from resources.ownership import Ownership
from resources.replay import replay, spoiled
from resources.shard_worker import Models, ShardWorker
from resources.stream import (
    DLQ,
    SIGNALS,
    TRIMMED_FIELD,
    Checkpoint,
    Commit,
    Fenced,
    MatchState,
    Shard,
    Streams,
    is_after,
    shard_of,
)

AGENT = load_agent().model_copy(update={"block_ms": 20, "commit_ms": 100, "lease_ms": 3000, "renew_ms": 100})
LIVE = load_live().model_copy(update={"idle_flush_ms": 500})
THRESHOLD = 0.6


class Died(BaseException):
    """Stands in for SIGKILL: nothing catches it, nothing is given back."""


@pytest.fixture
def on_server(redis_server):
    """Runs a coroutine function with an empty server."""

    def on_server(work):
        async def connected():
            client = redis.from_url(redis_server)
            try:
                await client.flushall()
                return await work(client)
            finally:
                await client.aclose()

        return asyncio.run(connected())

    return on_server


@pytest.fixture(scope="session")
def models(leaning):
    return Models(leaning, lambda version: leaning(int(version.rpartition("-")[2])))


def sent(recorded):
    """The lines of a match as `replay` sends them, all at once."""
    return [(place, recorded.match_id, line) for place, line in enumerate(recorded.lines)]


async def signals_of(client):
    return [from_json(fields[b"signal"]) for _, fields in await client.xrange(SIGNALS)]


async def until(condition, seconds=300.0):
    """Waits until a coroutine function gives something true."""
    async with asyncio.timeout(seconds):
        while not (found := await condition()):
            await asyncio.sleep(0.02)
        return found


async def ended(client, matches=1):
    """The signals, once so many matches are over."""

    found, at = [], "-"

    async def over():
        nonlocal at
        for name, fields in await client.xrange(SIGNALS, min=at, count=5000):
            found.append(from_json(fields[b"signal"]))
            at = f"({name.decode()}"
        return found if sum(signal.kind == "ended" for signal in found) == matches else None

    return await until(over)


async def run_until_ended(client, models, matches=1, config=AGENT):
    agent = Agent(client, models, THRESHOLD, config, LIVE)
    task = asyncio.create_task(agent.run())
    try:
        found = await ended(client, matches)
    finally:
        agent.stop()
        await task
    return found, agent


def test_a_recorded_match_sent_at_once_gives_the_segments_of_batch(on_server, models, simulated, as_segments):
    async def work(client):
        assert await replay(Streams(client, AGENT), sent(simulated), shards=1, speed=None) == len(simulated.lines)
        return *(await run_until_ended(client, models)), await client.exists(Shard(0, 1).key("owner"))

    signals, agent, is_owned = on_server(work)
    assert as_segments(signals).equals(simulated.segments)
    assert len({signal.signal_id for signal in signals}) == len(signals)
    assert signals[-1].accepted == len(simulated.lines) and not is_owned
    page = agent.metrics.page().decode()
    assert "live_lag_entries{" not in page
    told = told_by(page)
    reasons = simulated.segments["review_reasons"].explode().drop_nulls()
    for values, name in ((simulated.segments["intent"], "intents_predicted_total"), (reasons, "hitl_reviews_total")):
        assert told[name] == Counter(values) and len(told[name]) > 1
    kinds = Counter(signal.kind for signal in signals)
    assert told["live_signals_total"] == kinds and kinds["final"] == simulated.segments.height
    assert told["live_events_total"] == {"0": len(simulated.lines)} and told["live_batch_events_sum"] == {
        "": len(simulated.lines)
    }
    for name in ("live_lost_entries_total", "live_dlq_total", "live_late_or_duplicate_events_total"):
        assert told[name] == {"0": 0}
    assert told["live_lease_changes_total"] == {"taken": 1, "lost": 0, "given back": 1}
    assert told["live_commit_latency_seconds_count"] == {"": told["live_commits_total"]["0"]} != {"": 0}


def told_by(page):
    """What a page tells, by metric and the value of its label."""
    told = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            told.setdefault(sample.name, {})["".join(sample.labels.values())] = sample.value
    return told


def test_a_real_match_sent_at_once_gives_the_segments_of_batch(on_server, models, real, as_segments):
    live = LIVE

    async def work(client):
        lines = [*sent(real), (0, real.match_id, _ending(real))]
        await replay(Streams(client, AGENT), lines, shards=1, speed=None)
        return await run_until_ended(client, models)

    signals, _ = on_server(work)
    found = as_segments(signals)
    kept = real.segments.filter(real.segments["to_ms"] <= real.features["t_ms"].max() - live.lateness_ms)
    assert kept.height > 50 and found.join(kept, on="segment_id", how="semi").equals(kept)


def _ending(recorded):
    """A MATCH_ENDED at the last instant, as the beginning of a match has none."""
    at = int(recorded.features["t_ms"].max()) / 1000
    about = f'"match_id":"{recorded.match_id}","event_type":"MATCH_ENDED","payload":{{"ts":{at}}}'
    return f'{{"event_id":"the-end",{about}}}'.encode()


def test_duplicates_and_shuffling_within_the_bound_change_nothing(on_server, models, simulated, as_segments):
    async def work(client):
        timed = [
            (round(msgspec.json.decode(line)["payload"]["ts"] * 1000), match_id, line)
            for _, match_id, line in sent(simulated)
        ]
        bad = spoiled(timed, shuffle_ms=LIVE.lateness_ms // 2, duplicate=0.2, seed=3)
        assert len(bad) > 1.1 * len(timed)
        await replay(Streams(client, AGENT), bad, shards=1, speed=None)
        return await run_until_ended(client, models)

    signals, _ = on_server(work)
    assert as_segments(signals).equals(simulated.segments)
    assert signals[-1].accepted == len(simulated.lines) and signals[-1].duplicate + signals[-1].late > 0


@pytest.mark.parametrize(("deaths", "commit_ms"), [(6, 1), (6, 600_000), pytest.param(50, 1, marks=pytest.mark.slow)])
def test_agents_that_die_before_or_after_a_commit_lose_nothing_and_double_nothing(
    on_server, models, simulated, as_segments, monkeypatch, deaths, commit_ms
):
    """States that are written in every turn, and states that are hardly ever: then signals run ahead of them."""
    dice, commit, count, ahead = random.Random(deaths), Streams.commit, 0, 0

    async def deadly(self, shard, what):
        nonlocal count, ahead
        news = bool(what.states or what.told)
        count, ahead = count + news, ahead + bool(what.told)
        if count > 1 and news and dice.random() < 0.5:
            count = 0
            if dice.random() < 0.5:
                await commit(self, shard, what)
            raise Died
        await commit(self, shard, what)

    async def work(client):
        config = AGENT.model_copy(
            update={
                "batch_events": len(simulated.lines) // (6 * deaths),
                "commit_ms": commit_ms,
                "commit_events": commit_ms,
            }
        )
        streams, died = Streams(client, config), 0
        await replay(streams, sent(simulated), shards=1, speed=None)
        monkeypatch.setattr(Streams, "commit", deadly)
        for token in range(1, deaths + 1):
            await client.set(Shard(0, 1).key("token"), token)
            worker = _worker(client, models, token, config)
            with pytest.raises(Died):
                await worker.run()
            died += 1
        monkeypatch.setattr(Streams, "commit", commit)
        return (await run_until_ended(client, models))[0], died

    signals, died = on_server(work)
    assert died == deaths and (ahead > deaths) is (commit_ms > 1)
    assert len({signal.signal_id for signal in signals}) == len(signals)
    assert as_segments(signals).equals(simulated.segments)


def test_what_was_told_ahead_of_a_state_is_not_told_again_by_whoever_goes_on_from_it(
    on_server, models, simulated, as_segments
):
    """Three owners, each of which leaves off in the midst; the second has not come to where the first had been."""
    config = AGENT.model_copy(update={"commit_ms": 600_000, "commit_events": 600_000, "batch_events": 100})

    async def work(client):
        await replay(Streams(client, config), sent(simulated), shards=1, speed=None)
        shard, stood = Shard(0, 1), []
        for token, turns in ((1, len(simulated.lines) // 200), (2, 3)):
            await client.set(shard.key("token"), token)
            worker = _worker(client, models, token, config)
            await worker._load()
            for turn in range(turns):
                read = await worker._streams.read(shard, worker._read, wait=False)
                await worker._take(read.entries, 0)
                if turn == turns - 1 and token == 2:
                    await worker._commit(0, everything=True)
                else:
                    await worker._commit_due(0)
            state = await worker._streams.state(shard, simulated.match_id)
            at, told = (tuple(map(int, state[name].split(b"-"))) for name in (b"at", b"told"))
            stood.append((at, told, await client.xlen(SIGNALS)))
        return (await run_until_ended(client, models, config=config))[0], stood

    signals, (first, second) = on_server(work)
    assert first[0] < second[0] < first[1] == second[1] and 0 < first[2] == second[2]
    assert len({signal.signal_id for signal in signals}) == len(signals)
    assert as_segments(signals).equals(simulated.segments)


def test_what_is_no_event_costs_no_state_and_is_in_the_dlq_once_though_it_is_read_again(on_server, models, simulated):
    config = AGENT.model_copy(update={"commit_ms": 600_000, "commit_events": 600_000, "batch_events": 100})
    shard = Shard(0, 1)

    async def work(client):
        streams, lines = Streams(client, config), sent(simulated)
        half = len(lines) // 2
        await replay(streams, [*lines[:half], (0, "hostile", b"{"), *lines[half:]], shards=1, speed=None)
        await client.set(shard.key("token"), 1)
        worker, ats = _worker(client, models, 1, config), []
        await worker._load()
        for _ in range(half // 100 + 2):
            read = await streams.read(shard, worker._read, wait=False)
            await worker._take(read.entries, 0)
            await worker._commit_due(0)
            ats.append((await streams.state(shard, simulated.match_id)).get(b"at"))
        at, (letter,) = await streams.checkpoint(shard), [about["id"] for _, about in await streams.letters()]
        lettered = await streams.lettered(shard)
        signals, _ = await run_until_ended(client, models, config=config)
        return ats, at.entry, letter, lettered, signals, await streams.letters()

    ats, at, letter, lettered, signals, letters = on_server(work)
    assert ats[-1] == ats[-4] is not None, "the state stayed as it was"
    assert not is_after(at, letter) and is_after(lettered, letter), "the entry is read again"
    assert [about["id"] for _, about in letters] == [letter]
    assert len({signal.signal_id for signal in signals}) == len(signals)


def test_a_match_whose_told_entries_are_gone_tells_nothing_twice(on_server, models, simulated):
    config = AGENT.model_copy(update={"commit_ms": 600_000, "commit_events": 600_000, "batch_events": 100})
    shard = Shard(0, 1)

    async def work(client):
        streams = Streams(client, config)
        await replay(streams, sent(simulated), shards=1, speed=None)
        await client.set(shard.key("token"), 1)
        worker = _worker(client, models, 1, config)
        await worker._load()
        for _ in range(len(simulated.lines) // 200):
            read = await streams.read(shard, worker._read, wait=False)
            await worker._take(read.entries, 0)
            await worker._commit_due(0)
        await client.xtrim("events:canonical", minid=worker._read.entry, approximate=False)
        return (await run_until_ended(client, models, config=config))[0], await streams.letters()

    signals, letters = on_server(work)
    (end,) = [signal for signal in signals if signal.kind == "ended"]
    assert end.reason == "given_up" and len({signal.signal_id for signal in signals}) == len(signals)
    assert {about["field"] for _, about in letters} >= {"given up", TRIMMED_FIELD}


def _worker(client, models, token, config=AGENT, shard=Shard(0, 1)):  # noqa: B008  # frozen
    from resources.live_metrics import LiveMetrics

    streams = Streams(client, config)
    return ShardWorker(shard, token, streams, models, THRESHOLD, LiveMetrics(), config, LIVE)


def test_what_an_earlier_owner_still_writes_is_refused(on_server, models, simulated):
    async def work(client):
        streams = Streams(client, AGENT)
        await replay(streams, sent(simulated)[:500], shards=1, speed=None)
        one, other = Ownership(client, AGENT), Ownership(client, AGENT)
        first = await one.take(Shard(0, 1))
        assert await other.take(Shard(0, 1)) is None
        await client.delete(Shard(0, 1).key("owner"))  # the lease has run out
        second = await other.take(Shard(0, 1))
        assert second > first and not await one.renew(Shard(0, 1)) and await other.renew(Shard(0, 1))
        with pytest.raises(Fenced):
            await _worker(client, models, first).run()
        with pytest.raises(Fenced):
            await streams.commit(Shard(0, 1), Commit(first, Checkpoint("1-1", 1), {"m": MatchState({"x": b"y"})}))
        keys = await client.keys("*")
        return sorted(key.decode() for key in keys)

    keys = on_server(work)
    assert keys == sorted(["events:canonical", Shard(0, 1).key("owner"), Shard(0, 1).key("token")])


def test_two_agents_share_shards_and_the_one_that_stays_takes_all(on_server, models, simulated, as_segments):
    async def work(client):
        config = AGENT.model_copy(update={"shards": 4})
        both = [Agent(client, models, THRESHOLD, config, LIVE) for _ in range(2)]
        tasks = [asyncio.create_task(agent.run()) for agent in both]

        async def share():
            return [len(agent._workers) for agent in both] == [2, 2]

        await until(share)
        both[0].stop()
        await tasks[0]

        async def all_taken():
            return len(both[1]._workers) == 4

        await until(all_taken)
        await replay(Streams(client, config), sent(simulated), shards=4, speed=None)
        found = await ended(client)
        both[1].stop()
        await tasks[1]
        return found, await client.xlen(shard_of(simulated.match_id, 4).stream)

    signals, length = on_server(work)
    assert as_segments(signals).equals(simulated.segments) and length == len(simulated.lines)


HOSTILE = [
    b"",
    b"\xff\xfe",
    b'{"event_id":"a","match_id":"m/../n","event_type":"OTHER","payload":{"ts":1}}',
    b'{"event_id":"b","match_id":"bad","event_type":"OTHER","payload":{"ts":NaN}}',
    b'{"event_id":"c","match_id":"bad","event_type":"OTHER","payload":{"ts":-9e9}}',
    b"{" + b'"a":{' * 3000,
    b'{"event_id":"' + b"x" * 1_000_000 + b'"}',
]


def test_what_is_no_event_goes_to_the_dlq_and_disturbs_no_match(on_server, models, simulated, as_segments):
    async def work(client):
        streams = Streams(client, AGENT)
        lines = sent(simulated)
        mixed = [*lines[:100], *((0, "hostile", line) for line in HOSTILE), *lines[100:]]
        await replay(streams, mixed, shards=1, speed=None)
        await client.xadd("events:canonical", {"other": b"field"})
        signals, _ = await run_until_ended(client, models)
        letters = await streams.letters()
        original = [name.decode() for name, _ in (await client.xrange("events:canonical"))[100:107]]
        first, again, gone = letters[0][0], await streams.replay(letters[0][0]), await streams.replay("1-1")
        left = await streams.drop([letter_id for letter_id, _ in letters])
        return signals, letters, original, (first, again, gone, left), await client.xlen(DLQ)

    signals, letters, original, (_, again, gone, left), length = on_server(work)
    assert as_segments(signals).equals(simulated.segments)
    assert [about["id"] for _, about in letters][:7] == original and len(letters) == 8
    assert [about["cut"] for _, about in letters] == ["0"] * 6 + ["1", "0"]
    assert [about["event"] for _, about in letters][:6] == HOSTILE[:6] and all(about["reason"] for _, about in letters)
    assert (again, gone, left, length) == (True, False, 7, 0)


NAMES = [
    "<script>alert(1)</script>",
    "%s%n{0}${jndi:x}",
    "'; DROP TABLE x;--\\",
    "\u202e\u0007\x1b[2J",
    "../../etc/passwd",
]


def hostile(match_id, hour_ahead):
    """A round in which players with such names walk; one event is by a clock an hour ahead."""
    lines = []
    for t_ms in range(0, 20_000, 125):
        for place, name in enumerate(NAMES):
            about = {"event_id": f"{name}{t_ms}", "match_id": match_id, "event_type": "POSITION_UPDATE"}
            payload = {"pos": [t_ms / 1000 * (place + 1) % 9, 0, place], "ts": t_ms / 1000, "weapon": name, name: name}
            lines.append(msgspec.json.encode(about | {"actor": f"player:{name}", "payload": payload}))
    wrong = msgspec.json.decode(lines[400])
    wrong["event_id"], wrong["payload"]["ts"] = "ahead", wrong["payload"]["ts"] + hour_ahead * 3600
    end = {"event_id": "end", "match_id": match_id, "event_type": "MATCH_ENDED", "payload": {"ts": 20.0}}
    return [*lines[:500], msgspec.json.encode(wrong), *lines[500:], msgspec.json.encode(end)]


def test_markup_and_formats_in_names_are_data_and_a_clock_an_hour_ahead_is_not_believed(
    on_server, leaning, models, as_segments, caplog
):
    caplog.set_level(logging.INFO)
    lines, plain = hostile("hostile", 1), [line for line in hostile("hostile", 0) if b'"ahead"' not in line]

    async def work(client):
        streams = Streams(client, AGENT)
        await streams.add([("hostile", line) for line in lines], 1)
        return (await run_until_ended(client, models))[0], await client.xlen(DLQ)

    signals, letters = on_server(work)
    end = signals[-1]
    assert (end.accepted, end.ahead, end.late, end.duplicate, letters) == (len(plain), 1, 0, 0, 0)
    batch = recorded("hostile", plain, leaning(), threshold=THRESHOLD)
    assert compared(as_segments(signals), end, batch).differences == () and batch.features.height > 100
    assert {signal.player for signal in signals[:-1]} == {f"player:{name}" for name in NAMES}
    assert caplog.records and not any(name in caplog.text for name in NAMES)


def test_of_large_entries_few_are_read_at_once(on_server, models, simulated, as_segments, monkeypatch):
    config, read, sizes = AGENT.model_copy(update={"batch_bytes": 3_000_000}), Streams.read, []
    lines = sent(simulated)
    name = b"x" * 1_000_000
    large = [b'{"event_id":"%d","match_id":"m","event_type":"OTHER","actor":"%s"}' % (n, name) for n in range(30)]
    mixed = [*lines[:3000], *((0, "m", line) for line in large), *lines[3000:]]

    async def measured(self, *words, **more):
        found = await read(self, *words, **more)
        sizes.append(sum(len(entry.event or b"") for entry in found.entries))
        return found

    monkeypatch.setattr(Streams, "read", measured)

    async def work(client):
        streams, shard = Streams(client, config), Shard(0, 1)
        await replay(streams, mixed, shards=1, speed=None)
        signals, _ = await run_until_ended(client, models, config=config)
        found = await streams.lines(shard, simulated.match_id, "0-0", "+")
        return signals, await streams.letters(), found.counted

    signals, letters, counted = on_server(work)
    assert 1_000_000 < max(sizes) < 3_000_000 + len(large[0]) + 1000 and sum(sizes) == sum(
        len(line) for *_, line in mixed
    )
    assert as_segments(signals).equals(simulated.segments) and counted == simulated.lines
    assert [about["event"] for _, about in letters] == [line[:4096] for line in large]


def test_a_match_without_an_end_is_over_when_it_is_silent_for_longer_than_a_pause(
    on_server, models, simulated, as_segments
):
    config = AGENT.model_copy(update={"abandoned_ms": 900})
    lines = [line for line in sent(simulated) if b'"MATCH_ENDED"' not in line[2]]

    async def work(client):
        await replay(Streams(client, config), lines, shards=1, speed=None)
        signals, _ = await run_until_ended(client, models, config=config)
        return signals, await Streams(client, config).standing(Shard(0, 1))

    signals, standing = on_server(work)
    assert signals[-1].reason == "abandoned" and signals[-1].accepted == len(lines) == len(simulated.lines) - 1
    assert as_segments(signals).equals(simulated.segments) and standing.running == frozenset()


def test_more_matches_than_a_shard_takes_are_refused_whole_and_the_others_go_on(
    on_server, models, simulated, as_segments
):
    config = AGENT.model_copy(update={"max_matches": 1, "commit_ms": 600_000, "commit_events": 600_000})
    more = [(0, "more", moved("more", "a", t)) for t in range(0, 3000, 10)]
    own, step = sent(simulated), len(simulated.lines) // len(more)
    mixed = [*own[:step], *(event for n, one in enumerate(more, 1) for event in (one, *own[n * step : (n + 1) * step]))]
    mixed += own[(len(more) + 1) * step :]

    async def work(client):
        await replay(Streams(client, config), mixed, shards=1, speed=None)
        signals, agent = await run_until_ended(client, models, config=config)
        return signals, await Streams(client, config).letters(), agent.metrics.page().decode()

    signals, letters, page = on_server(work)
    assert as_segments(signals).equals(simulated.segments) and {told.match_id for told in signals} == {own[0][1]}
    assert [about["event"] for _, about in letters] == [event for _, _, event in more]
    assert all("max_matches" in about["reason"] for _, about in letters)
    assert told_by(page)["live_dlq_total"] == {"0": len(more)} and signals[-1].accepted == len(own)


def test_a_match_that_can_not_be_gone_on_with_is_given_up_and_its_events_are_kept(on_server, models, simulated):
    async def work(client):
        crowd = AGENT.max_failures + 150
        lines = [
            b'{"event_id":"%d","match_id":"crowd","event_type":"POSITION_UPDATE","actor":"player:%d",'
            b'"payload":{"pos":[1,0,1],"ts":%d}}' % (place, place, 1 + place // 10)
            for place in range(crowd)
        ]
        streams = Streams(client, AGENT)
        await replay(streams, [(0, "crowd", line) for line in lines], shards=1, speed=None)
        await replay(streams, sent(simulated), shards=1, speed=None)
        signals, agent = await run_until_ended(client, models, matches=2)
        letters = await streams.letters()
        (told,) = [letter_id for letter_id, about in letters if about["field"] == "given up"]
        assert not await streams.replay(told)
        return signals, letters, crowd, agent.metrics.page().decode()

    signals, letters, crowd, page = on_server(work)
    ends = {signal.match_id: signal for signal in signals if signal.kind == "ended"}
    assert {name: end.reason for name, end in ends.items()} == {"crowd": "given_up", simulated.match_id: "told"}
    assert ends["crowd"].accepted == LIVE.max_names and len({signal.signal_id for signal in signals}) == len(signals)
    assert 'live_given_up_total{shard="0"} 1.0' in page
    (why,) = [about["reason"] for _, about in letters if about["field"] == "given up"]
    assert "max_names" in why
    letters = [letter for letter in letters if letter[1]["field"] != "given up"]
    assert len(letters) == crowd - LIVE.max_names
    assert "max_names" in letters[0][1]["reason"] and "given up" in letters[-1][1]["reason"]
    assert [about["event"] for _, about in letters][-1].startswith(b'{"event_id":"%d"' % (crowd - 1))


def test_entries_trimmed_before_they_were_read_are_counted(on_server, models, simulated):
    async def work(client):
        streams, shard = Streams(client, AGENT), Shard(0, 1)
        await replay(streams, sent(simulated)[:300], shards=1, speed=None)
        read = await streams.read(shard, Checkpoint(), wait=False)
        at = Checkpoint(read.entries[99].entry, read.entries[99].rank)
        behind = await streams.read(shard, at, wait=False)
        await client.xtrim("events:canonical", maxlen=150, approximate=False)
        return read, behind, await streams.read(shard, at, wait=False), await streams.beginning(shard)

    read, behind, after, beginning = on_server(work)
    assert (len(read.entries), read.lost, behind.lost, len(behind.entries)) == (300, 0, 0, 200)
    assert (after.lost, len(after.entries), after.entries[0].rank) == (50, 150, 151)
    assert beginning.rank == 150


@pytest.mark.parametrize("which", ["simulated", "real"])
def test_of_a_shard_only_the_match_that_is_asked_for_leaves_the_server(on_server, request, monkeypatch, which):
    """However its id is written; one that begins with it, and a mention of it, are of other matches."""
    match = request.getfixturevalue(which)
    own, name = match.lines[:300], match.match_id
    escaped = own[7].replace(name.encode(), b"\\u%04x%s" % (ord(name[0]), name[1:].encode()))
    others = [line.replace(name.encode(), b"other-1") for line in own]
    about = f'"match_id":"else","event_type":"OTHER","payload":{{"ts":1,"of":"{name}"}}'
    told = [[own[7], escaped], [others[7]], *([line, other] for line, other in zip(own[8:], others[8:], strict=True))]
    alike = [own[9].replace(name.encode(), name.encode() + b"-1"), f'{{"event_id":"x",{about}}}'.encode(), b"\\u{"]
    lines = [*(line for group in told for line in group), *alike]
    decoded, decode = [], Decoder.decode

    def counted(self, entries):
        decoded.extend(entries)
        return decode(self, entries)

    monkeypatch.setattr(Decoder, "decode", counted)

    async def work(client):
        config = AGENT.model_copy(update={"batch_events": 64})
        streams, shard = Streams(client, config), Shard(0, 1)
        await streams.add([(name, line) for line in lines], 1)
        await client.xadd(shard.stream, {"other": b"field"})
        entries = await client.xrange(shard.stream)
        await client.rpush(shard.missed_key(name), entries[3][0])
        return await streams.lines(shard, name, entries[1][0].decode(), entries[-1][0].decode())

    found = on_server(work)
    assert found.counted == [escaped, *own[9:]] and found.missed == [own[8]]
    assert decoded == [escaped, *own[8:], *alike]


def test_the_pages_answer(on_server, models):
    async def ask(port, path):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        return answer.split(b"\r\n", 1)[0].split(b" ")[1], answer

    async def work(client):
        from resources.live_metrics import LiveMetrics, serve

        ready = [False]
        server = await serve(LiveMetrics(), "127.0.0.1", 0, is_alive=lambda: True, is_ready=lambda: ready[0])
        port = server.sockets[0].getsockname()[1]
        found = [(await ask(port, path))[0] for path in ("/metrics", "/healthz", "/readyz", "/other")]
        ready[0] = True
        found.append((await ask(port, "/readyz"))[0])
        server.close()
        return found

    assert on_server(work) == [b"200", b"200", b"503", b"404", b"200"]


@pytest.mark.parametrize("request_", [b"GET /" + b"x" * 20_000, b"GET /metrics HTTP/1.1\r\n", b"\xff\x00 \r\n\r\n"])
def test_an_endless_or_slow_request_is_left_and_others_are_answered(on_server, monkeypatch, request_):
    monkeypatch.setattr(live_metrics, "_PATIENCE_S", 0.1)

    async def work(client):
        server = await live_metrics.serve(
            live_metrics.LiveMetrics(), "127.0.0.1", 0, is_alive=lambda: True, is_ready=lambda: True
        )
        port, found = server.sockets[0].getsockname()[1], []
        for words in (request_, b"GET /healthz HTTP/1.1\r\n\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(words)
            try:
                found.append(await asyncio.wait_for(reader.read(), 20))
            except ConnectionResetError:
                found.append(b"")
            writer.close()
        server.close()
        return found

    bad, good = on_server(work)
    assert b"200" not in bad and good.endswith(b"ok\n")


def test_a_port_that_another_agent_has_is_named(on_server, models):
    async def work(client):
        from resources.live_metrics import LiveMetrics, serve

        server = await serve(LiveMetrics(), "127.0.0.1", 0, is_alive=lambda: True, is_ready=lambda: True)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ResourceError, match=f"port {port} .*--port"):
            await Agent(client, models, THRESHOLD, AGENT, LIVE).run(port=port)
        server.close()
        return await client.keys("*")

    assert on_server(work) == []


def test_a_worker_that_fails_while_it_is_given_back_does_not_end_the_agent(on_server, models, monkeypatch, caplog):
    word = "player:bob"

    async def fails(self):
        while not self.is_stopping:
            await asyncio.sleep(0.01)
        raise KeyError(word) if self.shard.number else SnapshotMismatch("it")

    monkeypatch.setattr(ShardWorker, "run", fails)

    async def work(client):
        agent = Agent(client, models, THRESHOLD, AGENT.model_copy(update={"shards": 3}), LIVE)
        task = asyncio.create_task(agent.run())

        async def all_taken():
            return len(agent._workers) == 3

        await until(all_taken)
        agent.stop()
        await task
        return agent.metrics.page().decode(), await client.keys("*:owner")

    page, owners = on_server(work)
    assert owners == [] and 'live_lease_changes_total{change="given back"} 3.0' in page
    assert 'live_failures_total{error="KeyError"} 2.0' in page
    assert 'live_failures_total{error="SnapshotMismatch"} 1.0' in page
    assert "unexpected KeyError" in caplog.text and "in fails" in caplog.text and word not in caplog.text


def test_events_that_lay_unread_while_the_process_stood_still_are_not_late(
    on_server, models, simulated, as_segments, monkeypatch
):
    read, half, stood = Streams.read, len(simulated.lines) // 2, []

    async def stalled(self, shard, after, *, wait):
        found = await read(self, shard, after, wait=wait)
        if after.rank == half and not found.entries and not stood:
            stood.append(await replay(self, sent(simulated)[half:], shards=1, speed=None))
            time.sleep(LIVE.idle_flush_ms / 1000 + 0.2)  # nothing else of the process runs either
        return found

    monkeypatch.setattr(Streams, "read", stalled)

    async def work(client):
        await replay(Streams(client, AGENT), sent(simulated)[:half], shards=1, speed=None)
        return (await run_until_ended(client, models))[0]

    signals = on_server(work)
    assert stood and signals[-1].late == 0 and signals[-1].accepted == len(simulated.lines)
    assert as_segments(signals).equals(simulated.segments)


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_match_that_is_over_is_closed_while_others_of_its_shard_go_on(on_server, models, simulated, goes_on):
    def event(match_id):
        return match_id, b'{"event_id":"x","match_id":"%s","event_type":"OTHER","payload":{"ts":1}}' % match_id.encode()

    async def work(client):
        streams, shard = Streams(client, AGENT), Shard(0, 1)
        await replay(streams, sent(simulated), shards=1, speed=None)
        last = (await streams.standing(shard)).last
        await asyncio.sleep(LIVE.idle_flush_ms / 1000 + 0.1)
        await client.set(shard.key("token"), 1)
        await _worker(client, models, 1).drain(last)
        await asyncio.sleep(LIVE.idle_flush_ms / 1000 + 0.1)
        await streams.add([event("other"), *([event(simulated.match_id)] if goes_on else [])], 1)
        await _worker(client, models, 1).drain(last)
        return await signals_of(client)

    assert ("ended" in [signal.kind for signal in on_server(work)]) is not goes_on


def test_failures_add_up_until_a_read_brings_none(on_server, models, simulated):
    """A match takes `max_names` players; every event of a further one fails. Those known move it on in the meantime."""

    def moves(players):
        return [
            b'{"event_id":"%d","match_id":"m","event_type":"POSITION_UPDATE","actor":"player:%d",'
            b'"payload":{"pos":[1,0,1],"ts":%d}}' % (n, player, 1 + n // 10)
            for n, player in players
        ]

    known = list(range(LIVE.max_names))
    mixed = [player for n in range(AGENT.max_failures) for player in (1000 + n, n)]

    async def work(client, *reads):
        streams, shard = Streams(client, AGENT), Shard(0, 1)
        await client.flushall()
        await client.set(shard.key("token"), 1)
        worker = _worker(client, models, 1)
        n = 0
        for players in reads:
            lines = moves(enumerate(players, n))
            n += len(players)
            await streams.add([("m", line) for line in lines], 1)
            found = await streams.read(shard, worker._read, wait=False)
            await worker._take(found.entries, 0)
        return worker._matches["m"].lost_reason

    async def both(client):
        half = len(mixed) // 2
        return await work(client, known, mixed), await work(client, known, mixed[:half], known[:40], mixed[half:])

    given_up, goes_on = on_server(both)
    assert "given up" in given_up and goes_on == ""


def moved(match_id, player, t_ms):
    about = f'"match_id":"{match_id}","event_type":"POSITION_UPDATE","actor":"player:{player}"'
    return f'{{"event_id":"{player}{t_ms}",{about},"payload":{{"pos":[1,0,1],"ts":{t_ms / 1000}}}}}'.encode()


def test_a_match_that_gets_no_further_is_given_up_though_events_in_between_are_taken(
    on_server, models, simulated, as_segments
):
    """One player has more samples than windows take: all that would move the match on fails, one event a read."""
    crowd = [moved("stuck", "a", 0), moved("stuck", "b", 0), *(moved("stuck", "a", t) for t in range(1, 2500))]
    turns = [(moved("stuck", "b", 3000 + 10 * n), moved("stuck", "a", 2500 + n)) for n in range(2 * AGENT.max_failures)]

    async def work(client):
        streams, shard = Streams(client, AGENT), Shard(0, 1)
        await client.set(shard.key("token"), 1)
        worker, failed = _worker(client, models, 1), []
        for lines in (crowd, *([line] for turn in turns for line in turn)):
            await streams.add([("stuck", line) for line in lines], 1)
            while (read := await streams.read(shard, worker._read, wait=False)).entries:
                await worker._take(read.entries, 0)
                failed.append(worker._matches["stuck"].failures)
        assert "given up after" in worker._matches["stuck"].lost_reason, failed
        await worker._commit(0, everything=True)
        await replay(streams, sent(simulated), shards=1, speed=None)
        signals, _ = await run_until_ended(client, models, matches=2)
        return failed, signals, await streams.letters()

    failed, signals, letters = on_server(work)
    assert failed[-2 * len(turns) :][: 2 * AGENT.max_failures : 2] == list(range(1, AGENT.max_failures + 1))
    ends = {signal.match_id: signal for signal in signals if signal.kind == "ended"}
    assert {name: end.reason for name, end in ends.items()} == {"stuck": "given_up", simulated.match_id: "told"}
    assert as_segments(signal for signal in signals if signal.match_id != "stuck").equals(simulated.segments)
    assert len({signal.signal_id for signal in signals}) == len(signals)
    refused = [about["event"] for _, about in letters if about["field"] != "given up"]
    everything = {*crowd, *(line for turn in turns for line in turn)}
    assert len(refused) == len(set(refused)) == len(everything) - ends["stuck"].accepted and set(refused) <= everything
    assert "samples" in letters[0][1]["reason"]


@pytest.mark.parametrize("which", ["simulated", "real"])
def test_an_event_that_makes_the_code_fail_is_refused_and_everything_else_goes_on(
    on_server, models, request, as_segments, monkeypatch, caplog, which
):
    match, take = request.getfixturevalue(which), LiveMatch.take
    half = len(match.lines) // 2
    bad, name = moved(match.match_id, "poison", 1), "player:poison"

    def fails(self, arrived):
        if "poison1" in arrived.event_id:
            raise KeyError(name)
        return take(self, arrived)

    monkeypatch.setattr(LiveMatch, "take", fails)

    async def work(client):
        streams = Streams(client, AGENT)
        end = [] if which == "simulated" else [(0, match.match_id, _ending(match))]
        lines = [*sent(match)[:half], (0, match.match_id, bad), *sent(match)[half:], *end]
        await replay(streams, lines, shards=1, speed=None)
        signals, agent = await run_until_ended(client, models)
        return signals, await streams.letters(), agent.metrics.page().decode()

    signals, ((_, letter),), page = on_server(work)
    assert letter["event"] == bad and "KeyError" in letter["reason"] and letter["match_id"] == match.match_id
    assert len({signal.signal_id for signal in signals}) == len(signals)
    if which == "simulated":
        assert as_segments(signals).equals(match.segments) and signals[-1].accepted == len(match.lines)
    else:
        assert signals[-1].accepted == len(match.lines) + 1
    assert "live_failures_total{" not in page and 'live_dlq_total{shard="0"} 1.0' in page
    told = [record for record in caplog.records if record.levelname == "ERROR"]
    assert told and not any(name in logging.Formatter().format(record) for record in told)


def test_a_model_that_can_not_answer_is_no_fault_of_events_which_wait_for_one_that_can(
    on_server, leaning, simulated, as_segments, monkeypatch
):
    answers, failing = leaning.probabilities, [True]

    def fails(self, vectors):
        if failing:
            raise ZeroDivisionError("it")
        return answers(self, vectors)

    async def work(client):
        models = Models(leaning, lambda version: leaning(int(version.rpartition("-")[2])))
        agent = Agent(client, models, THRESHOLD, AGENT, LIVE)
        task = asyncio.create_task(agent.run())

        async def taken():
            return agent._workers

        async def failed():
            return b'live_failures_total{error="ModelFailed"} 2.0' in agent.metrics.page()

        await until(taken)  # it has asked the model once by then
        monkeypatch.setattr(leaning, "probabilities", fails)
        await replay(Streams(client, AGENT), sent(simulated), shards=1, speed=None)
        await until(failed)
        failing.clear()
        found = await ended(client)
        agent.stop()
        await task
        return found, await client.xlen(DLQ)

    signals, letters = on_server(work)
    assert as_segments(signals).equals(simulated.segments) and letters == 0
    assert len({signal.signal_id for signal in signals}) == len(signals)


def test_a_letter_that_names_another_stream_is_not_sent(on_server):
    async def work(client):
        about = {"id": "1-1", "match_id": "", "field": "", "reason": "x", "event": b"x", "cut": "0"}
        for stream in (SIGNALS, "events:canonical:7", DLQ):
            name = await client.xadd(DLQ, about | {"stream": stream})
            assert not await Streams(client, AGENT).replay(name.decode())
        name = await client.xadd(DLQ, about | {"stream": "events:canonical"})
        return await Streams(client, AGENT).replay(name.decode()), await client.xlen(DLQ), await client.keys("*")

    again, letters, keys = on_server(work)
    assert again and letters == 3 and sorted(keys) == [b"events:canonical", DLQ.encode()]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_six_real_matches_sent_at_once_end_equal_to_batch(on_server, leaning, models, shared_data, as_segments):
    lines = {}
    for log in sorted((shared_data / "cs2").glob("*.jsonl.gz")):
        with gzip.open(log, "rb") as packed:
            lines[log.name.partition(".")[0]] = [line.rstrip(b"\n") for line in packed]
    assert len(lines) == 6
    mixed = sorted((n, name, line) for name, own in lines.items() for n, line in enumerate(own))

    async def work(client):
        await replay(Streams(client, AGENT), mixed, shards=1, speed=None)
        signals, _ = await run_until_ended(client, models, matches=6, config=load_agent())
        return signals

    signals = on_server(work)
    for name, own in lines.items():
        (end,) = [told for told in signals if told.match_id == name and told.kind == "ended"]
        assert (end.accepted, end.late, end.duplicate) == (len(own), 0, 0)
        batch = recorded(name, own, leaning(), threshold=THRESHOLD)
        told = as_segments(signal for signal in signals if signal.match_id == name)
        assert compared(told, end, batch).differences == () and told.height > 500
