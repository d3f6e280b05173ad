"""Running matches as Dagster follows them: what a tick requests, what a run reads and keeps, how an end is judged."""

import asyncio
import contextlib
import dataclasses
import logging
import shutil
import threading
import uuid
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import dagster as dg
import polars as pl
import pytest
import redis.asyncio as redis

from assets import live
from assets.analysis import TABLES
from assets.definitions import build_defs
from assets.live import Cursor, due, live_healing_sensor, live_sensor
from assets.partitions import MATCH
from configs.live import load_agent, load_live
from pipeline.features.snapshot import SnapshotMismatch
from pipeline.intents.model import PriorModel
from resources import run_counts
from resources.agent import Agent
from resources.files import StoreError
from resources.following import Follower, ShardsFailed
from resources.live_parts import LiveParts
from resources.motion_figures import MotionFigures
from resources.replay import replay
from resources.reviews import Reviews
from resources.reviews.errors import ReviewError
from resources.settings import Settings
from resources.shard_worker import Models, ShardWorker
from resources.stream import EVENTS, SIGNALS, Checkpoint, Shard, Standing, Streams, StreamUnreachable, shard_of

ROOT = Path(__file__).parents[2]
LIVE = load_live().model_copy(update={"idle_flush_ms": 300})
AGENT = load_agent().model_copy(update={"block_ms": 20, "commit_ms": 100, "renew_ms": 100})
S0, S1 = Shard(0, 2), Shard(1, 2)


def standing(shard, last, read, owner="", running=()):
    return Standing(shard, last, Checkpoint(read, 0), owner, frozenset(running))


def at(standings, now_ms=10_000, rested=None):
    return due(standings, now_ms, rested or {}, idle_ms=2000, abandoned_ms=60_000)


def test_one_run_is_due_for_all_shards_with_news_and_its_key_is_made_of_entries():
    found = at([standing(S0, "9000-3", "8000-0"), standing(S1, "9500-0", "0-0")])
    assert found.until == {"0": "9000-3", "1": "9500-0"}
    assert found.key == "0:8000-0..9000-3;1:0-0..9500-0"
    assert at([standing(S0, "9000-3", "8000-0"), standing(S1, "9500-0", "0-0")], now_ms=99_999).key == found.key


def test_nothing_is_due_where_an_agent_reads_or_nothing_is_new():
    assert at([standing(S0, "9000-3", "8000-0", owner="agent"), standing(S1, "9-9", "9-9")]) is None


def test_idle_matches_are_looked_at_once_and_once_more_as_abandoned_ones():
    one = [standing(S0, "9000-0", "9000-0", running=["m"])]
    assert at(one, now_ms=10_000) is None
    idle = at(one, now_ms=11_000)
    assert idle.key == "0:9000-0:idle" and at(one, now_ms=30_000, rested=idle.rested) is None
    left = at(one, now_ms=69_000, rested=idle.rested)
    assert left.key == "0:9000-0:abandoned" and at(one, now_ms=900_000, rested=left.rested) is None


def test_a_cursor_comes_back_from_its_text():
    cursor = Cursor("k", 2, {"0": ("1-1", True)}, "5-0")
    assert Cursor.read(cursor.written()) == cursor and Cursor.read(None) == Cursor()


class Dagster:
    """The sensor and the runs that it requests, on an instance and a store of their own."""

    def __init__(self, url, folder, instance, environment=None):
        self.url, self.instance = url, instance
        self.environment = environment or Settings(gridmotion_store=str(folder / "store"), redis_url=url)
        self.definitions = build_defs(self.environment)
        self.resources = self.definitions.resources
        self.store, self.cursor, self.told = self.resources["store"], None, []

    def on_server(self, work):
        async def connected():
            client = redis.from_url(self.url)
            try:
                return await work(client)
            finally:
                await client.aclose()

        return asyncio.run(connected())

    def send(self, match, first=0, last=None):
        lines = [(n, match.match_id, line) for n, line in enumerate(match.lines[first:last])]
        return self.on_server(lambda client: replay(Streams(client, AGENT), lines, shards=1, speed=None))

    def tick(self):
        context = dg.build_sensor_context(
            instance=self.instance,
            resources={"store": self.store, "environment": self.environment},
            cursor=self.cursor,
        )
        found = live_sensor(context)
        if isinstance(found, dg.SensorResult):
            self.cursor = found.cursor
            for request in found.dynamic_partitions_requests or ():
                self.instance.add_dynamic_partitions(MATCH, list(request.partition_keys))
            self.told += found.asset_events
        return found

    def run(self, request):
        job = self.definitions.resolve_job_def(request.job_name)
        return job.execute_in_process(
            instance=self.instance,
            run_config=request.run_config,
            partition_key=request.partition_key,
            tags={"dagster/run_key": request.run_key},
            raise_on_error=False,
        )

    def until_closed(self, seconds=20):
        """Ticks and runs what they request until a match is closed; all runs and the last one."""
        runs = []
        for _ in range(int(seconds / 0.2)):
            for request in getattr(self.tick(), "run_requests", ()):
                runs.append(self.run(request))
                if request.job_name == "close_live_match":
                    return runs, runs[-1]
            threading.Event().wait(0.2)
        raise AssertionError(f"no match was closed; cursor {self.cursor}, runs {[run.success for run in runs]}")


@pytest.fixture
def dagster(redis_server, tmp_path, monkeypatch):
    monkeypatch.setattr(live, "load_live", lambda: LIVE)
    with dg.DagsterInstance.ephemeral() as instance:
        followed = Dagster(redis_server, tmp_path, instance)
        followed.on_server(lambda client: client.flushall())
        yield followed


def check_of(result):
    (check,) = result.get_asset_check_evaluations()
    return check


def whole(dagster, match_id):
    (part,) = dagster.store.files(f"live/segments/match_id={match_id}")
    assert part[0].endswith("/part-0.parquet")
    return LiveParts(dagster.store).told(match_id)


def test_without_an_agent_ticks_and_runs_read_each_entry_once_and_the_end_equals_batch(dagster, simulated, expected):
    half = len(simulated.lines) // 2
    dagster.send(simulated, last=half)
    (request,) = dagster.tick().run_requests
    assert request.run_key.startswith("0:0-0..") and request.run_key.endswith("#0")
    assert dagster.run(request).success
    grown = LiveParts(dagster.store).told(simulated.match_id)
    assert 0 < grown.height < expected.height and grown.join(expected, on="segment_id", how="semi").height > 0
    dagster.send(simulated, first=half)
    runs, closing = dagster.until_closed()
    assert closing.success and check_of(closing).passed
    assert whole(dagster, simulated.match_id).equals(expected)
    told = closing.asset_materializations_for_node("live_segments")[0].metadata
    assert told["accepted"].value == len(simulated.lines) and told["review_jobs_new"].value > 0
    keys = {run.dagster_run.tags["dagster/run_key"] for run in runs}
    assert len(keys) == len(runs) > 1 and dagster.instance.get_dynamic_partitions(MATCH) == [simulated.match_id]
    again = dagster.tick()
    assert again.run_requests == [] and again.asset_events == []
    counts = dagster.on_server(run_counts.read)  # what an agent would tell Prometheus
    assert sum(count.value for count in counts if count.name == "live_events") == len(simulated.lines)
    intents = {count.labels["intent"]: count.value for count in counts if count.name == "intents_predicted"}
    assert intents == dict(expected.group_by("intent").len().iter_rows())
    figures = MotionFigures()
    figures.take({}, counts)
    assert f'live_events_total{{shard="0"}} {float(len(simulated.lines))}' in figures.page().decode()


def test_a_line_that_is_no_event_does_not_keep_the_end_from_being_compared(dagster, simulated, expected):
    half = len(simulated.lines) // 2
    about = f'"match_id":"{simulated.match_id}","event_type":"POSITION_UPDATE"'
    bad = [
        f'{{"event_id":"x1",{about},"actor":"player:a","payload":{{"pos":[1,2,3]}}}}',
        f'{{"event_id":"x2",{about},"actor":"player:a","payload":{{"ts":-9e9}}}}',
        f'{{"event_id":"x3",{about},"actor":"{"x" * 300_000}","payload":{{"ts":1}}}}',
    ]
    dagster.send(simulated, last=half)
    dagster.on_server(
        lambda client: Streams(client, AGENT).add(((simulated.match_id, line.encode()) for line in bad), 1)
    )
    dagster.send(simulated, first=half)
    _, closing = dagster.until_closed()
    assert check_of(closing).passed and "reason" not in check_of(closing).metadata
    told = closing.asset_materializations_for_node("live_segments")[0].metadata
    assert told["accepted"].value == len(simulated.lines) and told["late_or_repeated"].value == 0
    assert told["review_jobs_new"].value > 0 and whole(dagster, simulated.match_id).equals(expected)


def test_events_that_come_late_keep_no_end_from_equalling_batch_and_what_they_would_change_stands_beside_it(
    dagster, simulated
):
    places = [n for n, line in enumerate(simulated.lines) if b'"POSITION_UPDATE"' in line][1000:1200:10]
    late = [simulated.lines[n] for n in places]
    rest = [line for n, line in enumerate(simulated.lines) if n not in set(places)]
    lines = [*rest[:4000], *late, *rest[4000:]]
    dagster.send(dataclasses.replace(simulated, lines=lines))
    _, closing = dagster.until_closed()
    told = closing.asset_materializations_for_node("live_segments")[0].metadata
    assert check_of(closing).passed and (told["accepted"].value, told["late_or_repeated"].value) == (len(rest), 20)
    assert told["rows_that_late_events_change"].value > 0 <= told["segments_that_late_events_change"].value


def test_what_a_worker_says_in_a_run_stands_in_the_log_of_that_run(redis_server, tmp_path, simulated):
    (tmp_path / "home").mkdir()
    shutil.copy(ROOT / "dagster.yaml", tmp_path / "home")
    with dg.DagsterInstance.from_config(str(tmp_path / "home")) as instance:
        dagster = Dagster(redis_server, tmp_path, instance)
        dagster.on_server(lambda client: client.flushall())
        dagster.send(simulated, last=1000)
        (request,) = dagster.tick().run_requests
        assert dagster.run(request).success
        dagster.send(simulated, first=1000)
        dagster.on_server(lambda client: client.xtrim(EVENTS, maxlen=100, approximate=False))
        (request,) = dagster.tick().run_requests
        failed = dagster.run(request)
        said = [entry for entry in instance.all_logs(failed.run_id) if not entry.is_dagster_event]
    lost = len(simulated.lines) - 1100
    (told,) = [entry for entry in said if f"{lost} entries behind this one were trimmed" in entry.user_message]
    assert told.level == logging.ERROR and told.run_id == failed.run_id


def test_a_shard_that_fails_does_not_keep_the_others_from_being_read(dagster, simulated, monkeypatch):
    config = AGENT.model_copy(update={"shards": 2})
    good = shard_of(simulated.match_id, 2).number
    drain = ShardWorker.drain

    async def fails(self, until):
        if self.shard.number != good:
            raise SnapshotMismatch("written by other code")
        return await drain(self, until)

    monkeypatch.setattr(ShardWorker, "drain", fails)

    async def work(client):
        streams = Streams(client, config)
        await streams.add([(simulated.match_id, line) for line in simulated.lines], 2)
        await client.xadd(Shard(1 - good, 2).stream, {"event": b"{}"})
        follower = Follower(streams, dagster.store, config)
        standings, _ = await follower.look()
        models = Models(PriorModel.configured, None)
        with pytest.raises(ShardsFailed, match=f"shard {1 - good}: SnapshotMismatch: written by other code"):
            await follower.drain({s.shard.number: s.last for s in standings}, models, 0.6, LIVE, name="run")
        return [(s.has_news, s.owner) for s in (await follower.look())[0]]

    found = dagster.on_server(work)
    assert found[good] == (False, "") and found[1 - good] == (True, "")


def test_doing_a_run_or_a_tick_again_changes_nothing(dagster, simulated, monkeypatch):
    patient = LIVE.model_copy(update={"idle_flush_ms": 3_600_000})
    monkeypatch.setattr(live, "load_live", lambda: patient)
    dagster.send(simulated)
    (request,) = dagster.tick().run_requests
    dagster.run(request)
    files, length = dagster.store.files("live"), dagster.on_server(lambda client: client.xlen(SIGNALS))
    assert dagster.run(request).success
    assert dagster.store.files("live") == files and dagster.on_server(lambda client: client.xlen(SIGNALS)) == length
    # A run that died before it told up to where it had kept signals: the next one replaces its parts.
    before = LiveParts(dagster.store).told(simulated.match_id)
    dagster.store.delete("live/recorded.json")
    dagster.tick()
    assert LiveParts(dagster.store).told(simulated.match_id).equals(before)
    assert [path for path, *_ in dagster.store.files("live")] == [path for path, *_ in files]


def test_reviews_are_opened_once_however_often_a_match_is_closed(dagster, simulated):
    dagster.send(simulated)
    _, closing = dagster.until_closed()
    first = closing.asset_materializations_for_node("live_segments")[0].metadata
    job = dagster.definitions.resolve_job_def("close_live_match")
    again = job.execute_in_process(instance=dagster.instance, partition_key=simulated.match_id)
    told = again.asset_materializations_for_node("live_segments")[0].metadata
    assert told["review_jobs_new"].value == 0 and told["review_jobs_known"].value == first["review_jobs_new"].value


def test_while_an_agent_reads_ticks_observe_and_request_nothing_but_the_closing(dagster, simulated, expected):
    stop, patient = threading.Event(), LIVE.model_copy(update={"idle_flush_ms": 2000})

    def work():
        async def agent():
            client = redis.from_url(dagster.url)
            keeps = AGENT.model_copy(update={"lease_ms": 60_000})  # its lease, also on a machine that starves it
            resident = Agent(client, Models(PriorModel.configured, None), 0.6, keeps, patient)
            task = asyncio.create_task(resident.run())
            while not stop.is_set():
                await asyncio.sleep(0.02)
            resident.stop()
            await task
            await client.aclose()

        asyncio.run(agent())

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(600):
            if dagster.on_server(lambda client: client.get(Shard(0, 1).key("owner"))):
                break
            threading.Event().wait(0.1)
        dagster.send(simulated)
        runs, closing = dagster.until_closed()
    finally:
        stop.set()
        thread.join()
    assert len(runs) == 1 and check_of(closing).passed
    assert whole(dagster, simulated.match_id).equals(expected)
    assert sum(event.metadata["segments_ended"].value for event in dagster.told) == expected.height
    assert all(event.metadata["read_by"].value.startswith("agent") for event in dagster.told)


def test_entries_trimmed_unread_fail_the_run_and_the_recorded_log_heals_the_match(dagster, simulated, tmp_path):
    third = len(simulated.lines) // 3
    dagster.send(simulated, last=third)
    (request,) = dagster.tick().run_requests
    assert dagster.run(request).success
    dagster.send(simulated, first=third)
    dagster.on_server(lambda client: client.xtrim(EVENTS, maxlen=third, approximate=False))
    (request,) = dagster.tick().run_requests
    failed = dagster.run(request)
    assert not failed.success
    message = next(event for event in failed.all_events if event.is_step_failure).step_failure_data.error.message
    lost = len(simulated.lines) - 2 * third
    assert f"{lost} entries were trimmed before they were read" in message
    _, closing = dagster.until_closed()
    assert not check_of(closing).passed and f"{lost} entries" in check_of(closing).metadata["reason"].value
    assert LiveParts(dagster.store).is_unproven(simulated.match_id)
    # The recorded log lands and is analysed.
    log = tmp_path / "log.jsonl"
    log.write_bytes(b"\n".join(simulated.lines) + b"\n")
    dagster.store.put(log, "landing/log.jsonl")
    config = {"ops": {"scanned_log": {"config": {"path": "landing/log.jsonl"}}}}
    assert dagster.definitions.resolve_job_def("scan_log").execute_in_process(
        instance=dagster.instance, run_config=config
    )
    analysis = dagster.definitions.resolve_job_def("analyse_match").execute_in_process(
        instance=dagster.instance,
        partition_key=simulated.match_id,
        asset_selection=[dg.AssetKey(table) for table in TABLES],
    )
    context = dg.build_run_status_sensor_context(
        "live_healing_sensor",
        analysis.get_run_success_event(),
        dagster.instance,
        dagster.instance.get_run_by_id(analysis.run_id),
        partition_key=simulated.match_id,
    )
    request = live_healing_sensor(context, store=dagster.store)
    healed = dagster.run(request._replace(job_name="close_live_match"))
    told = healed.asset_materializations_for_node("live_segments")[0].metadata
    assert told["healed_from_the_recorded_log"].value
    assert whole(dagster, simulated.match_id).equals(dagster.store.read_table("segments", simulated.match_id))
    assert not LiveParts(dagster.store).is_unproven(simulated.match_id)


def test_signals_that_are_not_those_of_batch_fail_the_check(dagster, simulated):
    dagster.send(simulated)
    for _ in range(100):
        for request in dagster.tick().run_requests:
            if request.job_name == "close_live_match":
                break
            dagster.run(request)
        else:
            threading.Event().wait(0.1)
            continue
        break
    (path, *_), *_ = dagster.store.files(f"live/segments/match_id={simulated.match_id}")
    frame = pl.read_parquet(dagster.store.read(path))
    told = LiveParts(dagster.store)
    told.compact(simulated.match_id, frame.with_columns(pl.col("to_ms") + 250), "x")
    closing = dagster.run(request)
    assert closing.success and not check_of(closing).passed
    assert (
        check_of(closing).severity == dg.AssetCheckSeverity.ERROR
        and "segments differ" in check_of(closing).metadata["reason"].value
    )


def test_a_database_that_is_gone_fails_the_closing_and_the_next_one_opens_each_job_once(
    dagster, simulated, monkeypatch
):
    monkeypatch.setattr(live.live_segments.op, "_retry_policy", None)
    dagster.send(simulated)
    opened = Reviews.open

    def gone(self, *_):
        raise ReviewError("the database does not answer")

    monkeypatch.setattr(Reviews, "open", gone)
    _, closing = dagster.until_closed()
    assert not closing.success
    monkeypatch.setattr(Reviews, "open", opened)
    job = dagster.definitions.resolve_job_def("close_live_match")
    again = job.execute_in_process(instance=dagster.instance, partition_key=simulated.match_id)
    told = again.asset_materializations_for_node("live_segments")[0].metadata
    assert told["review_jobs_new"].value > 0 and told["review_jobs_known"].value == 0 and check_of(again).passed


def test_a_store_that_refuses_leaves_the_tick_to_be_done_again(dagster, simulated, expected, monkeypatch):
    dagster.send(simulated)
    (request,) = dagster.tick().run_requests
    put, left = type(dagster.store).write_rows, [0]

    def full(self, *words, **more):
        left[0] += 1
        if left[0] <= 2:
            raise OSError(28, "No space left on device")
        return put(self, *words, **more)

    monkeypatch.setattr(type(dagster.store), "write_rows", full)
    assert not dagster.run(request).success
    with pytest.raises(OSError, match="No space"):
        dagster.tick()
    assert not dagster.store.exists("live/recorded.json")
    told = dagster.on_server(lambda client: client.xlen(SIGNALS))
    _, closing = dagster.until_closed()
    assert check_of(closing).passed and whole(dagster, simulated.match_id).equals(expected)
    assert left[0] > 2 and 0 < told < dagster.on_server(lambda client: client.xlen(SIGNALS))  # the ends came last


def test_a_run_that_looked_after_idle_matches_and_failed_is_requested_again(dagster, simulated, monkeypatch):
    dagster.send(simulated)
    (request,) = dagster.tick().run_requests
    dagster.run(request)
    drain, failed = Follower.drain, [0]

    async def gone(self, *words, **more):
        failed[0] += 1
        if failed[0] <= 2:
            raise StreamUnreachable("it does not answer")
        return await drain(self, *words, **more)

    monkeypatch.setattr(Follower, "drain", gone)
    runs, closing = dagster.until_closed()
    assert [run.success for run in runs] == [False, False, True, True] and check_of(closing).passed


class Relay:
    """Stands between a client and a server, and may refuse connections or deny every request."""

    def __init__(self, port):
        self._to, self.manner = port, "passes"
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=[started], daemon=True)
        self._thread.start()
        assert started.wait(10)

    def _run(self, started):
        async def serve():
            self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
            self.port = self._server.sockets[0].getsockname()[1]
            started.set()

        self._loop.run_until_complete(serve())
        self._loop.run_forever()

    def end(self):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _relay(self, reader, writer):
        if self.manner == "refuses":
            writer.close()
            return
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._to)

        async def copy(source, target):
            with contextlib.suppress(OSError):
                while data := await source.read(65536):
                    if self.manner == "refuses":
                        break
                    if self.manner == "denies":
                        body = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
                        writer.write(
                            b"HTTP/1.1 403 Forbidden\r\nContent-Type: application/xml\r\nConnection: close\r\n"
                            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
                        )
                        await writer.drain()
                        break
                    target.write(data)
                    await target.drain()
            for end in (writer, up_writer):
                end.close()

        await asyncio.gather(copy(reader, up_writer), copy(up_reader, writer))


@pytest.fixture
def relay(s3_server):
    relay = Relay(int(s3_server.rpartition(":")[2]))
    yield relay
    relay.end()


@pytest.mark.slow
@pytest.mark.parametrize("manner", ["refuses", "denies"])
def test_an_object_store_that_refuses_while_parts_are_written_has_each_segment_once_in_the_end(
    redis_server, tmp_path, monkeypatch, relay, simulated, expected, manner
):
    monkeypatch.setattr(live, "load_live", lambda: LIVE)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    environment = Settings(
        gridmotion_store=f"s3://gridmotion/{uuid.uuid4().hex}",
        aws_endpoint_url=f"http://127.0.0.1:{relay.port}",
        redis_url=redis_server,
        database_url=f"sqlite:///{tmp_path / 'reviews.db'}",
        mlflow_tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}",
    )
    half = len(simulated.lines) // 2
    with dg.DagsterInstance.ephemeral() as instance:
        dagster = Dagster(redis_server, tmp_path, instance, environment)
        dagster.on_server(lambda client: client.flushall())
        dagster.send(simulated, last=half)
        (request,) = dagster.tick().run_requests
        relay.manner = manner
        assert not dagster.run(request).success  # it has read and told; what it told is not kept
        told = dagster.on_server(lambda client: client.xlen(SIGNALS))
        with pytest.raises(StoreError):
            dagster.tick()
        relay.manner = "passes"
        assert told > 0 and dagster.store.files("live") == []
        dagster.tick()
        kept = LiveParts(dagster.store)
        assert dagster.on_server(lambda client: client.xlen(SIGNALS)) == told
        assert kept.recorded().rank == told and 0 < kept.told(simulated.match_id).height < expected.height
        dagster.send(simulated, first=half)
        _, closing = dagster.until_closed(60)
        assert check_of(closing).passed and whole(dagster, simulated.match_id).equals(expected)
        assert sum(event.metadata["segments_ended"].value for event in dagster.told) <= expected.height


@pytest.mark.slow
def test_reviews_are_opened_once_each_however_often_events_come_and_a_database_goes(
    redis_server, tmp_path, monkeypatch, simulated, postgres_server
):
    import psycopg2

    monkeypatch.setattr(live, "load_live", lambda: LIVE)
    monkeypatch.setattr(live.live_segments.op, "_retry_policy", None)
    name = f"reviews_{uuid.uuid4().hex}"
    admin = psycopg2.connect(postgres_server)
    admin.autocommit = True

    def tell(*statements):
        with admin.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    tell(f"CREATE DATABASE {name}")
    at = urlsplit(postgres_server)
    environment = Settings(
        gridmotion_store=str(tmp_path / "store"),
        redis_url=redis_server,
        database_url=urlunsplit(at._replace(path=name)),
    )
    with dg.DagsterInstance.ephemeral() as instance:
        dagster = Dagster(redis_server, tmp_path, instance, environment)
        dagster.on_server(lambda client: client.flushall())
        often = [line for n, line in enumerate(simulated.lines) for _ in range(1 + (n % 3 == 0))]
        dagster.send(dataclasses.replace(simulated, lines=often))
        tell(
            f"ALTER DATABASE {name} ALLOW_CONNECTIONS false",
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
        )
        _, closing = dagster.until_closed(60)
        assert not closing.success
        tell(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        job = dagster.definitions.resolve_job_def("close_live_match")
        found = [job.execute_in_process(instance=instance, partition_key=simulated.match_id) for _ in range(3)]
        told = [run.asset_materializations_for_node("live_segments")[0].metadata for run in found]
        new = [about["review_jobs_new"].value for about in told]
        jobs = dagster.resources["reviews"].reviews(simulated.match_id)
        assert all(check_of(run).passed for run in found) and told[0]["late_or_repeated"].value > 0
        assert new[0] > 0 and new[1:] == [0, 0]
        assert jobs.height == jobs["segment_id"].n_unique() == new[0]
    admin.close()


def test_a_match_that_was_given_up_is_closed_as_such_and_the_check_says_so(dagster, simulated, monkeypatch):
    monkeypatch.setattr(live, "load_live", lambda: LIVE.model_copy(update={"max_rounds": 1, "max_names": 4}))
    dagster.send(simulated)
    runs, closing = dagster.until_closed()
    assert closing.success and not check_of(closing).passed and len(runs) > 1
    assert "given up" in check_of(closing).metadata["reason"].value
    assert LiveParts(dagster.store).is_unproven(simulated.match_id)
    told = closing.asset_materializations_for_node("live_segments")[0].metadata
    assert "review_jobs_new" not in told
