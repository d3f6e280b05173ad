"""Motion of running matches: who asks for it and when, what runs make and tell, what hangs or dies on the way."""

import asyncio
import hashlib
import json
import socket
import threading
import urllib.request

import dagster as dg
import msgspec
import polars as pl
import pytest
import redis.asyncio as redis

from assets import live_motion
from assets.definitions import build_defs, open_store
from assets.live_motion import Waiting, live_motion_sensor
from configs.backends import load_backends
from configs.live import load_agent, load_follow, load_live, load_motion_queue
from pipeline.intents.model import PriorModel
from pipeline.live.closing import segments_of
from pipeline.live.motion import Wish, batches, sort_out, urgency, wish, without
from pipeline.live.signals import SCHEMA_VERSION, Signal, from_json, to_json, with_clip
from resources import connection, shard_worker
from resources.clips import ClipStudio
from resources.following import Follower
from resources.live_metrics import LiveMetrics
from resources.motion_backends.errors import BadAnswer
from resources.motion_backends.hymotion_rest import HyMotionRest
from resources.motion_backends.local import LocalBackend
from resources.motion_figures import show
from resources.motion_queue import MotionQueue
from resources.replay import replay
from resources.settings import Settings
from resources.shard_worker import Models, ShardWorker
from resources.store import Store
from resources.stream import SIGNALS, Shard, Streams, milliseconds, now_ms

AGENT = load_agent().model_copy(update={"block_ms": 20, "commit_ms": 100})
QUEUE = load_motion_queue().model_copy(
    update={"ripe_ms": 0, "stale_ms": 3_600_000, "clips_per_run": 2, "most_runs": 2, "most_waiting": 5}
)


def final(segment="a" * 16, intent="plant", reasons=(), confidence=0.9, match="m", kind="final"):
    about = {"player": "player:a", "at_ms": 5000, "from_ms": 1000, "to_ms": 4750, "decided_by": "rule"}
    return Signal(
        signal_id=segment, kind=kind, segment_id=segment, match_id=match, intent=intent, confidence=confidence,
        model_version="v", features_hash="f", review_reasons=reasons, **about,
    )  # fmt: skip


def wishes(count, told_ms=0, match="m", interest=1.0):
    return [Wish(f"{n}-0", f"{match}{n}", match, told_ms, interest) for n in range(count)]


def test_only_what_ended_and_nobody_has_to_look_at_asks_for_motion():
    assert wish("1-0", final(), 7) == Wish("1-0", "a" * 16, "m", 7, 4.5)
    assert wish("1-0", final(reasons=("audit",)), 7) is not None
    for reason in ("sensitive_intent", "low_confidence", "disagreement", "motion_failed"):
        assert wish("1-0", final(reasons=(reason,)), 7) is None
    assert wish("1-0", final(kind="open"), 7) is None and wish("1-0", final(kind="clip"), 7) is None


def test_what_is_new_and_interesting_comes_first_and_what_is_old_or_too_much_is_shed():
    plant, hold = wish("1-0", final("a"), 0), wish("2-0", final("b", "hold"), 0)
    assert urgency(plant, 0, QUEUE) > urgency(hold, 0, QUEUE)
    later = wish("3-0", final("c", "hold"), 90_000)
    found = sort_out([plant, hold, later, plant], 90_000, QUEUE)
    assert [known.segment_id for known in found.waiting] == ["c", "a", "b"] and not found.stale + found.surplus
    few = QUEUE.model_copy(update={"most_waiting": 1, "stale_ms": 80_000})
    found = sort_out([plant, later, wish("4-0", final("d", "rotate"), 90_000)], 90_000, few)
    assert [[known.segment_id for known in part] for part in (found.waiting, found.stale, found.surplus)] == [
        ["c"], ["a"], ["d"]
    ]  # fmt: skip


def test_a_run_is_for_one_match_and_there_are_no_more_runs_than_places():
    many = QUEUE.model_copy(update={"most_waiting": 9})
    waiting = sort_out([*wishes(5, match="m", interest=5.0), *wishes(2, match="n")], 0, many).waiting
    first, second = batches(waiting, 0, 2, QUEUE)
    assert (first.match_id, len(first.wishes), first.priority) == ("m", 2, 8)
    assert (second.match_id, len(second.wishes)) == ("m", 2)
    assert not {known.segment_id for known in first.wishes} & {known.segment_id for known in second.wishes}
    assert [batch.match_id for batch in batches(waiting, 0, 9, QUEUE)] == ["m", "m", "m", "n"]
    assert batches(waiting, 0, 0, QUEUE) == [] and len(without(waiting, first.wishes)) == 5
    unripe = QUEUE.model_copy(update={"ripe_ms": 1})
    assert batches(waiting, 0, 2, unripe) == [] and len(batches(waiting, 1, 2, unripe)) == 2


def test_a_cursor_comes_back_from_its_text():
    cursor = Waiting("5-1", 7, wishes(2), 3)
    assert Waiting.read(cursor.written()) == cursor and Waiting.read(None) == Waiting()


def test_the_signal_of_a_clip_has_an_id_of_its_own_and_comes_back_from_its_text():
    ended = final()
    clip = with_clip(ended, clip_key="k", clip_uri="u", preview_uri="p")
    again = with_clip(ended, clip_key="other", clip_uri="u2", preview_uri="p2")
    assert clip.signal_id == again.signal_id != ended.signal_id and clip.kind == "clip"
    assert clip.segment_id == ended.segment_id and clip.schema == SCHEMA_VERSION == 2
    assert from_json(msgspec.json.encode(clip)) == clip


class Followed:
    """The sensor and its runs on an instance and a store of their own, and a shard that was read."""

    def __init__(self, environment, instance, studio=None):
        self.url, self.instance, self.environment = environment.redis_url.get_secret_value(), instance, environment
        self.definitions = build_defs(environment, **({} if studio is None else {"studio": studio}))
        self.store, self.studio = self.definitions.resources["store"], self.definitions.resources["studio"]
        self.cursor, self.results = None, []

    def on_server(self, work):
        async def connected():
            client = redis.from_url(self.url)
            try:
                return await work(client)
            finally:
                await client.aclose()

        return asyncio.run(connected())

    def read(self, match, first=0, last=None):
        """The match's events come, and are read by whoever owns the shard."""

        async def work(client):
            streams = Streams(client, AGENT)
            lines = [(n, match.match_id, line) for n, line in enumerate(match.lines[first:last])]
            await replay(streams, lines, shards=1, speed=None)
            patient = load_live().model_copy(update={"idle_flush_ms": 3_600_000})
            models = Models(PriorModel.configured, lambda _: PriorModel.configured())
            token = await client.incr(Shard(0, 1).key("token"))
            worker = ShardWorker(Shard(0, 1), token, streams, models, 0.6, LiveMetrics(), AGENT, patient)
            return await worker.drain((await streams.standing(Shard(0, 1))).last)

        return self.on_server(work)

    def tick(self):
        context = dg.build_sensor_context(
            instance=self.instance, resources={"environment": self.environment}, cursor=self.cursor
        )
        found = live_motion_sensor(context)
        self.cursor = found.cursor
        for request in found.dynamic_partitions_requests or ():
            self.instance.add_dynamic_partitions("match_id", list(request.partition_keys))
        return found.run_requests

    def run(self, request):
        result = self.definitions.resolve_job_def("make_live_clips").execute_in_process(
            instance=self.instance,
            run_config=request.run_config,
            partition_key=request.partition_key,
            tags=dict(request.tags),
            raise_on_error=False,
        )
        self.results.append(result)
        return result

    def signals(self):
        found = self.on_server(lambda client: client.xrange(SIGNALS))
        return [from_json(fields[b"signal"]) for _, fields in found]

    def clips(self):
        return [signal for signal in self.signals() if signal.kind == "clip"]

    def figures(self):
        return self.on_server(lambda client: MotionQueue(Streams(client, AGENT), AGENT).figures())

    def rows(self):
        """What the parts of all runs list."""
        return pl.concat(pl.read_parquet(self.store.read(path)) for path, *_ in self.store.files("live/clips"))


@pytest.fixture
def followed(redis_server, tmp_path, monkeypatch):
    """Makes it, by an empty server."""
    monkeypatch.setattr(live_motion, "load_motion_queue", lambda: QUEUE)
    made = []

    def followed(studio=None, **settings):
        instance = dg.DagsterInstance.ephemeral()
        made.append(instance)
        environment = Settings(redis_url=redis_server, **{"gridmotion_store": str(tmp_path / "store"), **settings})
        found = Followed(environment, instance, studio)
        found.on_server(lambda client: client.flushall())
        return found

    yield followed
    for instance in made:
        instance.dispose()


@pytest.mark.timeout(900)  # compiles the synthesizer where nobody has yet
@pytest.mark.parametrize("which", ["simulated", pytest.param("real", marks=pytest.mark.slow)])
def test_confident_segments_are_made_once_told_once_and_have_the_keys_of_batch(request, followed, monkeypatch, which):
    match = request.getfixturevalue(which)
    monkeypatch.setattr(live_motion, "load_motion_queue", lambda: QUEUE.model_copy(update={"clips_per_run": 1}))
    live = followed()
    live.read(match)
    requests = live.tick()
    assert len(requests) == QUEUE.most_runs and all(request.tags["dagster/priority"] > "0" for request in requests)
    assert len({request.run_key for request in requests}) == len(requests)
    told = live.signals()
    asked = {name for request in requests for name in request.run_key.partition(":")[2].split(",")}
    finals = {signal.segment_id: signal for signal in told if signal.kind == "final"}
    assert len(asked) == 2 and not any(set(finals[name].review_reasons) - {"audit"} for name in asked)
    assert all(live.run(request).success for request in requests)
    clips, rows = live.clips(), live.rows()
    made = rows.filter("feasible")
    assert len(clips) == made.height > 0 and {clip.segment_id for clip in clips} == set(made["segment_id"]) <= asked
    assert {clip.clip_uri for clip in clips} == {live.store.uri(uri) for uri in made["uri"]}
    assert all(live.store.read(uri)[:4] == b"glTF" for uri in made["uri"])
    assert len({signal.signal_id for signal in live.signals()}) == len(live.signals())
    kept = live.on_server(lambda client: Follower(Streams(client, AGENT), live.store, AGENT).keep(10_000))
    assert kept.news[match.match_id].clips == len(clips)
    assert sum(kept.news[match.match_id].ended.values()) == len(finals)
    # Done again, as a run that was retried: nothing is made, told or counted twice.
    before, figures = live.signals(), live.figures()
    files = live.store.files("motion")
    assert live.run(requests[0]).success
    assert live.signals() == before and live.figures() == figures and live.store.files("motion") == files
    assert figures["generated:local"] == len(clips) and "hits:local" not in figures
    # What the analysis of the recorded log asks for the same segments is there already.
    studio = ClipStudio(live.store, LocalBackend(), 40)
    batch = _batch(live, match, sorted(asked), studio)
    assert (
        batch.select("segment_id", "clip_key")
        .sort("segment_id")
        .equals(rows.select("segment_id", "clip_key").sort("segment_id"))
    )
    assert studio.hits.total() == len(clips)


def _batch(live, match, segments, studio):
    from pipeline.intents.prediction import predict
    from pipeline.intents.segments import segment
    from pipeline.live.closing import recording
    from pipeline.motion.moments import choose, deaths_of

    model = PriorModel.configured()
    frame = segment(predict(match.features, model), match.features, model_version=model.version, review_threshold=0.6)
    _, events, tracks, _ = recording(match.match_id, match.lines)
    chosen = choose(frame.filter(pl.col("segment_id").is_in(segments)), tracks, budget=len(segments))
    return studio.make(chosen, tracks, log=lambda _: None, deaths=deaths_of(events))


class Died(BaseException):
    """Stands in for SIGKILL: nothing catches it."""


class Quick(ClipStudio):
    """Whose clips are a few bytes; everything else is as it is."""

    def _synthesise(self, request, backend, key, troubles):
        backend.generate(request)
        path = f"motion/{key[:2]}/{key}"
        origin = {"clip_key": key, "backend": backend.name, "fallback": troubles, "trainable": True}
        record = origin | {"feasible": True, "reason": None, "measures": {}, "files": {}}
        for name in ("glb", "npz", "png", "webp"):
            self.store.write(f"{path}.{name}", b"glTF")
            record["files"][name] = hashlib.sha256(b"glTF").hexdigest()
        self.store.write(f"{path}.json", json.dumps(record).encode())
        return record

    def previews(self, clips, limit=12):
        return None

    def moving(self, clips):
        return None


class Answers:
    """A backend that answers at once, or as it is told."""

    trainable = True

    def __init__(self, name, generate=lambda request: None):
        self.name = self.identity = name
        self.generate = generate

    def allowed(self):
        return None


@pytest.fixture
def quick(tmp_path):
    """A studio whose last backend is `local`; others are asked before it."""

    def quick(*preferred):
        return Quick(Store(str(tmp_path / "store")), Answers("local"), 40, preferred)

    return quick


def all_runs(live, most=200):
    """Ticks and runs until nothing is asked for any more; the requests."""
    requests = []
    for _ in range(most):
        found = live.tick()
        requests += found
        for request in found:
            live.run(request)
        if not found and not Waiting.read(live.cursor).wishes:
            return requests
    raise AssertionError("the queue does not come to its end")


def test_what_is_too_much_is_shed_and_counted_and_every_other_wish_is_fulfilled_once(followed, quick, simulated):
    live = followed(quick())
    live.read(simulated)
    before = live.signals()
    confident = [signal for signal in before if wish("1-0", signal, 0)]
    assert len(confident) > QUEUE.most_waiting
    requests = all_runs(live)
    keys = [request.run_key for request in requests]
    assert len(set(keys)) == len(keys) and all(result.success for result in live.results)
    figures, clips = live.figures(), live.clips()
    assert figures["shed:surplus"] == len(confident) - QUEUE.most_waiting
    assert figures["generated:local"] + figures.get("hits:local", 0) == len(clips)
    assert len(clips) + figures.get("shed:unremarkable", 0) == QUEUE.most_waiting
    assert len({clip.segment_id for clip in clips}) == len(clips) and live.rows().height == len(clips)
    assert [signal for signal in live.signals() if signal.kind != "clip"] == before  # intents are never shed
    # Everything from the first signal on once more, as after a lost cursor: nothing is told or counted twice.
    live.cursor = None
    assert all_runs(live)
    again = live.figures()
    assert live.clips() == clips and again == figures


@pytest.mark.parametrize("hours", [-1, 1])
def test_the_clock_of_an_agent_decides_nothing_about_motion(followed, quick, simulated, monkeypatch, hours):
    off_ms = hours * 3_600_000
    monkeypatch.setattr(shard_worker, "now_ms", lambda: now_ms() + off_ms)
    live = followed(quick())
    live.read(simulated)
    told = live.on_server(lambda client: client.xrange(SIGNALS))
    first = msgspec.json.decode(told[0][1][b"stamps"])
    assert abs(first["sent_ms"] - off_ms - milliseconds(told[0][0].decode())) < 600_000
    requests = live.tick()
    assert len(requests) == QUEUE.most_runs and all(live.run(request).success for request in requests)
    figures, clips = live.figures(), live.clips()
    assert clips and "shed:stale" not in figures and figures["latency_ms"] < len(clips) * 600_000
    for name, fields in live.on_server(lambda client: client.xrange(SIGNALS))[len(told) :]:
        stamps = msgspec.json.decode(fields[b"stamps"])
        assert stamps["final_ms"] <= stamps["sent_ms"] <= milliseconds(name.decode())
    assert figures["latency_ms"] > 0 and "latency_bucket:+Inf" not in figures


@pytest.mark.slow
def test_clips_of_a_running_match_lie_in_the_object_store_where_their_signals_say(
    followed, quick, simulated, s3_server, tmp_path
):
    about = {"gridmotion_store": None, "s3_bucket": "gridmotion", "aws_endpoint_url": s3_server}
    about |= {name: f"sqlite:///{tmp_path / name}.db" for name in ("database_url", "mlflow_tracking_uri")}
    studio = quick()
    studio.store = open_store(Settings(**about))
    live = followed(studio, **about)
    live.read(simulated)
    requests = live.tick()
    assert requests and all(live.run(request).success for request in requests)
    clips = live.clips()
    for clip in clips:
        for uri in (clip.clip_uri, clip.preview_uri):
            assert uri.startswith("s3://gridmotion/gridmotion/motion/")
            assert live.store.read(uri.removeprefix(f"{live.store.url}/")) == b"glTF"
    assert clips and live.rows()["segment_id"].n_unique() == len(clips)


def test_a_tick_without_a_place_keeps_wishes_and_stale_ones_are_shed(followed, quick, simulated, monkeypatch):
    live = followed(quick())
    live.read(simulated)
    monkeypatch.setattr(live.instance, "get_runs_count", lambda filters: QUEUE.most_runs)
    assert live.tick() == [] and len(Waiting.read(live.cursor).wishes) == QUEUE.most_waiting
    monkeypatch.setattr(live_motion, "load_motion_queue", lambda: QUEUE.model_copy(update={"stale_ms": 1}))
    assert live.tick() == [] and Waiting.read(live.cursor).wishes == []
    assert live.figures()["shed:stale"] == QUEUE.most_waiting and live.clips() == []


def test_a_run_that_dies_between_two_clips_is_done_again_without_telling_one_twice(
    followed, quick, simulated, monkeypatch
):
    monkeypatch.setattr(live_motion.live_clips.op, "_retry_policy", None)
    live = followed(quick())
    live.read(simulated)
    (request, *_) = live.tick()
    tell, left = live_motion._tell, [2]

    def dies(*words):
        left[0] -= 1
        if left[0] == 0:
            raise Died
        return tell(*words)

    monkeypatch.setattr(live_motion, "_tell", dies)
    assert not live.run(request).success
    told = live.clips()
    assert len(told) == 1 and not live.store.files("live/clips")
    monkeypatch.setattr(live_motion, "_tell", tell)
    assert live.run(request).success
    clips = live.clips()
    assert clips[0] == told[0] and len({clip.segment_id for clip in clips}) == len(clips) == live.rows().height
    figures = live.figures()
    assert figures["generated:local"] + figures.get("hits:local", 0) == len(clips)


def test_what_was_over_before_anybody_asked_is_neither_lost_nor_shed(followed, quick, simulated, monkeypatch, capfd):
    monkeypatch.setattr(live_motion, "load_motion_queue", lambda: QUEUE.model_copy(update={"stale_ms": 60_000}))
    live = followed(quick())
    live.read(simulated)

    async def aged(client):
        """The signals as they stand an hour after the match, when the oldest are trimmed."""
        entries = await client.xrange(SIGNALS)
        await client.delete(SIGNALS)
        for name, fields in entries:
            first, _, second = name.decode().partition("-")
            await client.xadd(SIGNALS, fields, id=f"{int(first) - 3_600_000}-{second}")
        await client.xtrim(SIGNALS, maxlen=len(entries) - 10, approximate=False)
        return len(entries)

    count = live.on_server(aged)
    monkeypatch.setattr(
        live_motion, "load_follow", lambda: load_follow().model_copy(update={"signals_per_tick": count - 20})
    )
    assert live.tick() == [] == live.tick()  # the second one reads what the first one left
    assert Waiting.read(live.cursor).rank == count and Waiting.read(live.cursor).wishes == []
    said = capfd.readouterr().err
    assert live.figures() == {} and "trimmed" not in said and "shed" not in said
    # From then on what is trimmed unread is told, and what ends is asked for.
    signals = [from_json(fields[b"signal"]) for _, fields in live.on_server(lambda client: client.xrange(SIGNALS))]
    (wished, *_) = [signal for signal in signals if wish("1-0", signal, 0)]

    async def more(client):
        for _ in range(2):
            await client.xadd(SIGNALS, {"signal": to_json(wished), "stamps": b'{"shard": 0}'})
        await client.xtrim(SIGNALS, maxlen=1, approximate=False)

    live.on_server(more)
    assert len(live.tick()) == 1
    assert "1 signals were trimmed" in capfd.readouterr().err and live.figures() == {}


def test_a_run_that_is_done_again_after_the_ledger_has_forgotten_it_is_refused(followed, quick, simulated, monkeypatch):
    live = followed(quick())
    live.read(simulated)
    (request, *_) = live.tick()
    assert live.run(request).success
    before, figures, rows = live.signals(), live.figures(), live.rows()
    ledger = Shard(0, 1).key(f"clips:{simulated.match_id}")
    live.on_server(lambda client: client.pexpire(ledger, 60_000))
    assert live.run(request).success  # what is told again is remembered as long as what is told first
    assert live.on_server(lambda client: client.pttl(ledger)) > 60_000
    live.on_server(lambda client: client.delete(ledger))
    monkeypatch.setattr(connection, "load_agent", lambda: AGENT.model_copy(update={"ended_keep_ms": 1}))
    result = live.run(request)
    assert not result.success and not any(event.is_step_up_for_retry for event in result.all_events)
    assert live.signals() == before and live.figures() == figures and live.rows().equals(rows)
    # Neither is what grows old while its clip is made.
    monkeypatch.setattr(live_motion, "_remembered", lambda environment, entries: entries)
    assert live.run(request).success
    assert live.signals() == before and live.figures() == figures and live.rows().equals(rows)


def unable(broken, error):
    """A last backend that makes every clip but those of some segments."""

    def generate(request):
        if request.segment_id in broken:
            raise error

    return Answers("local", generate)


@pytest.mark.parametrize("error", [BadAnswer("no joints"), ValueError("operands could not be broadcast")])
def test_a_segment_without_a_clip_takes_no_other_with_it_and_is_counted_when_nobody_tries_again(
    followed, quick, simulated, monkeypatch, error
):
    monkeypatch.setattr(live_motion, "load_motion_queue", lambda: QUEUE.model_copy(update={"clips_per_run": 5}))
    once = dg.RetryPolicy(max_retries=1, delay=0)
    monkeypatch.setattr(live_motion, "RETRIES", once)
    monkeypatch.setattr(live_motion.live_clips.op, "_retry_policy", once)
    broken, studio = set(), quick()
    studio.backend = unable(broken, error)
    live = followed(studio)
    live.read(simulated)
    (request,) = live.tick()
    asked = request.run_key.partition(":")[2].split(",")
    broken.add(asked[0])
    result = live.run(request)
    assert not result.success
    assert sum(event.event_type_value == "STEP_UP_FOR_RETRY" for event in result.all_events) == 1
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert asked[0] in failure.step_failure_data.error.to_string() and str(error) in str(failure.step_failure_data)
    figures, clips = live.figures(), live.clips()
    told = {clip.segment_id for clip in clips}
    assert figures["shed:failed"] == 1 and 0 < len(clips) == len(told) and told <= set(asked[1:])
    assert len(clips) + figures.get("shed:unremarkable", 0) == len(asked) - 1
    assert set(live.rows()["segment_id"]) == told
    # Done again while it is still broken nothing counts twice; mended, it is told.
    live.run(request)
    assert live.figures() == figures and live.clips() == clips
    broken.clear()
    assert live.run(request).success
    assert {clip.segment_id for clip in live.clips()} == told | {asked[0]} == set(live.rows()["segment_id"])
    assert live.figures()["shed:failed"] == 1


def test_a_segment_that_fails_at_first_is_made_by_the_next_try_and_counts_as_made(
    followed, quick, simulated, monkeypatch
):
    monkeypatch.setattr(live_motion.live_clips.op, "_retry_policy", dg.RetryPolicy(max_retries=4, delay=0))
    failures = []

    def generate(request):
        if not failures:
            failures.append(request.segment_id)
            raise BadAnswer("no joints")

    studio = quick()
    studio.backend = Answers("local", generate)
    live = followed(studio)
    live.read(simulated)
    (request, *_) = live.tick()
    assert live.run(request).success
    clips, figures = live.clips(), live.figures()
    assert failures[0] in {clip.segment_id for clip in clips} and "shed:failed" not in figures
    assert figures["generated:local"] + figures.get("hits:local", 0) == len(clips) == live.rows().height


def test_signals_that_have_left_their_stream_ask_for_nothing(followed, quick, simulated):
    live = followed(quick())
    live.read(simulated)
    (request, *_) = live.tick()
    live.on_server(lambda client: client.xtrim(SIGNALS, maxlen=0, approximate=False))
    assert live.run(request).success
    assert live.clips() == [] and live.rows().height == 0 and live.figures() == {"shed:surplus": 2}


class Hangs:
    """A real server that takes connections and never answers."""

    def __enter__(self):
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen(8)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        return self

    def __exit__(self, *_):
        self._socket.close()


def test_a_backend_that_hangs_is_left_after_its_time_and_intents_go_on(followed, quick, simulated, expected):
    config = load_backends()
    limits = config.limits.model_copy(update={"request_s": 0.5, "connect_s": 0.5})
    patience = {
        "limits": limits,
        "retries": config.retries.model_copy(update={"attempts": 1}),
        "hymotion": config.hymotion.model_copy(update={"style": "tasks", "task_s": 0.5}),
        "licence": config.licence.model_copy(update={"accepted": True, "territory": "US"}),
    }
    with Hangs() as server:
        hanging = HyMotionRest(server.url, None, config.model_copy(update=patience))
        live = followed(quick(hanging))
        half = len(simulated.lines) // 2
        live.read(simulated, last=half)
        (request, *_) = live.tick()
        thread = threading.Thread(target=live.run, args=[request])
        thread.start()
        live.read(simulated, first=half)  # meanwhile
        signals = live.signals()
        thread.join()
    assert live.results[0].success
    finals = segments_of(signal for signal in signals if signal.kind == "final")
    players = expected["player"].n_unique()  # the match is not over: whatever a player does last has not ended
    assert finals.join(expected, on=finals.columns, how="semi", nulls_equal=True).height == finals.height
    assert finals.height == expected.height - players
    rows, figures = live.rows(), live.figures()
    assert rows.height > 0 and set(rows["backend"]) == {"local"}
    assert all(json.loads(fallback)[0]["backend"] == hanging.name for fallback in rows["fallback"])
    failed = {name: count for name, count in figures.items() if name.startswith("fallbacks:")}
    assert sum(failed.values()) == rows.height and f"fallbacks:{hanging.name}:timed out" in failed
    assert len(live.clips()) == rows.height


def test_the_page_shows_what_runs_counted(followed, quick, simulated):
    live = followed(quick())
    live.read(simulated)
    for request in live.tick():
        assert live.run(request).success
    figures = live.figures()

    async def page(client):
        port, stop = _free_port(), asyncio.Event()
        task = asyncio.create_task(show(MotionQueue(Streams(client, AGENT), AGENT), "127.0.0.1", port, stop))
        try:
            async with asyncio.timeout(20):
                while True:
                    try:
                        return [
                            await asyncio.to_thread(_get, f"http://127.0.0.1:{port}/{name}")
                            for name in ("readyz", "metrics")  # first whether the figures have been read
                        ]
                    except OSError:
                        await asyncio.sleep(0.05)
        finally:
            stop.set()
            await task

    ready, told = live.on_server(page)
    made = len(live.clips())
    assert (
        ready == "ok\n"
        and made > 0
        and f'motions_generated_total{{backend="local"}} {float(figures["generated:local"])}' in told
    )
    assert f"motion_latency_seconds_count {float(made)}" in told
    assert f'motion_latency_seconds_bucket{{le="+Inf"}} {float(made)}' in told


def _get(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode()


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
