"""Matches that run: Dagster sees their segments while they are played, and holds the end against batch.

Belongs here: when shards are read, what Dagster is told, the check of a match that is over. Does not belong here: the
streams and the parts in the store (`resources.following`), what an event means (`pipeline.live`), the resident agent
(`gridmotion agent`). Concept: https://docs.dagster.io/guides/automate/sensors

Each tick keeps what was told since the last one, and tells Dagster of it without a run. Shards that an agent reads are
left to it. Of the others a run reads exactly the entries that the tick saw, all shards in one run. A shard has one
reader at a time, run or agent, as both take its lease.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import dagster as dg

from assets import reports
from assets.jobs import analyse_match
from assets.partitions import MATCH, matches, register
from configs.live import load_agent, load_follow, load_live
from pipeline.intents.model import IntentModel, PriorModel
from pipeline.intents.review import jobs
from pipeline.live.closing import Comparison, Recorded, changed_by_late, compared, recorded
from resources.connection import on_streams
from resources.files import FileMissing
from resources.following import Follower
from resources.live_parts import End, Kept, LiveParts, News
from resources.registry import ModelRegistry
from resources.reviews import Reviews
from resources.settings import Settings
from resources.shard_worker import Models
from resources.store import Store
from resources.stream import START, Lines, Standing, StreamUnreachable, is_after, milliseconds

GROUP = "live"
KEY = "live_segments"
JOB = "follow_live"
CHECK = dg.AssetCheckSpec(
    "equals_batch",
    asset=KEY,
    partitions_def=matches,
    description="batch over the events that live accepted gives the rows and segments that live told, bit for bit",
)

AT_WORK = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
"""Of runs that are not over."""

_AT_ONCE = 1000  # partitions of one request, of which the database takes no endless ones

T = TypeVar("T")


@dataclass(frozen=True)
class Cursor:
    """What the sensor remembers.

    Attributes:
        key: of the run that was requested last.
        tries: how often that one was requested anew since.
        rested: by shard, the entry behind which idle matches were looked at, and whether as abandoned ones.
        closed: the signal up to which matches that ended were requested to be closed.
    """

    key: str = ""
    tries: int = 0
    rested: Mapping[str, tuple[str, bool]] = field(default_factory=dict)
    closed: str = START

    @classmethod
    def read(cls, text: str | None) -> "Cursor":
        """The cursor that `written` wrote; the first one if there is none."""
        told = json.loads(text) if text else {}
        return cls(**told | {"rested": {shard: tuple(of) for shard, of in told.get("rested", {}).items()}})

    def written(self) -> str:
        """As Dagster keeps it."""
        return json.dumps({**vars(self), "rested": dict(self.rested)}, sort_keys=True)


@dataclass(frozen=True)
class Due:
    """The run that a tick requests.

    Attributes:
        key: names the entries to read.
        until: the last entry to read, by shard.
        rested: as in `Cursor`, once it is requested.
    """

    key: str
    until: Mapping[str, str]
    rested: Mapping[str, tuple[str, bool]]


def due(
    standings: Sequence[Standing],
    now_ms: int,
    rested: Mapping[str, tuple[str, bool]],
    *,
    idle_ms: int,
    abandoned_ms: int,
) -> Due | None:
    """What has to be read where no agent reads.

    Args:
        standings: how the shards stand.
        now_ms: by the server's clock.
        rested: as in `Cursor`.
        idle_ms: after so long without an entry what is known is evaluated.
        abandoned_ms: after so long its matches are over.

    Returns:
        The run to request. Its key is made of ids of entries, so it is the same whoever looks; None if nothing is due.
    """
    until, marks, looked = {}, [], dict(rested)
    for standing in standings:
        name, last = str(standing.shard.number), standing.last
        if standing.owner:
            continue
        if standing.has_news:
            until[name] = last
            marks.append(f"{name}:{standing.read.entry}..{last}")
        elif standing.running and (silent_ms := now_ms - milliseconds(last)) >= idle_ms:
            is_left = silent_ms >= abandoned_ms
            if looked.get(name) not in ((last, True), (last, is_left)):
                until[name], looked[name] = last, (last, is_left)
                marks.append(f"{name}:{last}:{'abandoned' if is_left else 'idle'}")
    return Due(";".join(marks), until, looked) if until else None


class FollowShards(dg.Config):
    """Which entries to read.

    Attributes:
        until: id of the last entry, by number of the shard.
    """

    until: dict[str, str]


@dg.op(description="Reads shards that no agent reads, up to the entries that the tick saw.")
def follow_shards(
    context: dg.OpExecutionContext,
    config: FollowShards,
    store: dg.ResourceParam[Store],
    models: dg.ResourceParam[ModelRegistry],
    environment: dg.ResourceParam[Settings],
) -> None:
    """Gives events to their matches, keeps what they tell, and fails if entries were trimmed before they were read."""
    until = {int(shard): entry for shard, entry in config.until.items()}

    async def work(follower: Follower) -> tuple[list[str], Mapping[str, News]]:
        found = await follower.drain(
            until,
            Models(models.champion, models.of_version),
            environment.hitl_conf_threshold,
            load_live(),
            name=f"run-{context.run_id}",
        )
        troubles = []
        for shard, drained in found.items():
            if drained is None:
                context.log.info(f"shard {shard} is read by somebody else by now")
                continue
            context.log.info(f"shard {shard}: {drained.entries} entries read, {drained.running} matches run")
            if drained.lost:
                troubles.append(f"shard {shard}: {drained.lost} entries were trimmed before they were read")
        news: dict[str, News] = {}
        while (kept := await follower.keep(load_follow().signals_per_tick)).news:
            for match_id, about in kept.news.items():
                news.setdefault(match_id, News()).add(about)
        return troubles, news

    troubles, news = _on_streams(environment, store, work)
    register(context.instance, sorted(news))
    for match_id, about in news.items():
        context.log_event(_observed(match_id, about, "this run"))
    if troubles:
        raise dg.Failure(
            "; ".join(troubles)
            + ". The matches that ran may lack events: land their recorded logs, and their analysis "
            "takes the place of what live told.",
            allow_retries=False,
        )


@dg.job(name=JOB, description="Read the event streams where no agent does.", executor_def=dg.in_process_executor)
def follow_live() -> None:
    """One step over all shards with news."""
    follow_shards()


@dg.asset(
    key=KEY,
    group_name=GROUP,
    partitions_def=matches,
    kinds={"redis", "polars"},
    check_specs=[CHECK],
    # The database of reviews or the store may be away for a while; every step may be done again.
    retry_policy=dg.RetryPolicy(max_retries=4, delay=5, backoff=dg.Backoff.EXPONENTIAL),
)
def live_segments(
    context: dg.AssetExecutionContext,
    store: dg.ResourceParam[Store],
    models: dg.ResourceParam[ModelRegistry],
    reviews: dg.ResourceParam[Reviews],
    environment: dg.ResourceParam[Settings],
) -> dg.MaterializeResult:
    """What live told of a match that is over, in one part, held against batch over the events that live accepted.

    While the match runs its parts grow with every tick. Where events are gone that the comparison needs, the recorded
    log heals it: once that is analysed, its segments take the place of what live told.
    """
    match_id = context.partition_key
    threshold = environment.hitl_conf_threshold
    parts = LiveParts(store)
    try:
        end = parts.end(match_id)
    except FileMissing as error:
        raise dg.Failure(f"{match_id} has not ended on the stream", allow_retries=False) from error
    lines = _on_streams(environment, store, lambda follower: follower.lines(match_id, end.stamps))
    told = parts.told(match_id)
    version = end.signal.model_version
    model: IntentModel = PriorModel.configured() if version is None else models.of_version(version)
    metadata: dict[str, Any] = {"accepted": end.signal.accepted, "late_or_repeated": len(lines.missed)}
    gaps = _gaps(end, lines)
    comparison = Comparison((), told.clear())
    if len(lines.counted) == end.signal.accepted and end.signal.reason != "given_up":
        batch = recorded(match_id, lines.counted, model, threshold=threshold)
        comparison = compared(told, end.signal, batch)
        metadata |= _late(batch, match_id, lines, model, threshold)
        metadata |= _open_reviews(reviews, match_id, batch)
    troubles = [*comparison.differences, *gaps]
    healed = bool(troubles) and store.exists(store.part_path("segments", match_id))
    if healed:
        told = store.read_table("segments", match_id)
        context.log.warning(f"{match_id}: {'; '.join(troubles)}; the recorded log takes its place")
    uri = parts.compact(match_id, told, version or "", end.stamps.first, end.stamps.last, str(healed))
    parts.remember(match_id, is_unproven=bool(troubles) and not healed)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": told.height,
            "dagster/uri": uri,
            "model_version": version or "",
            "healed_from_the_recorded_log": healed,
            **metadata,
        },
        check_results=[_checked(comparison, gaps, healed)],
    )


close_live_match = dg.define_asset_job(
    "close_live_match",
    dg.AssetSelection.assets(KEY),
    partitions_def=matches,
    description="One part of all that live told of a match, held against batch.",
)


@dg.sensor(
    jobs=[follow_live, close_live_match],
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Follows the event streams: observes where an agent reads, else requests one run for all that is new.",
)
def live_sensor(
    context: dg.SensorEvaluationContext,
    store: dg.ResourceParam[Store],
    environment: dg.ResourceParam[Settings],
) -> dg.SensorResult | dg.SkipReason:
    """One tick: keep and tell what is new, request what is due."""
    if environment.redis_url is None:
        return dg.SkipReason("REDIS_URL is not set: no match is followed live")
    if context.instance.get_runs(dg.RunsFilter(job_name=JOB, statuses=AT_WORK), limit=1):
        return dg.SkipReason("the run of an earlier tick is still at work; the next one reads what it leaves")
    cursor, live, agent, follow = Cursor.read(context.cursor), load_live(), load_agent(), load_follow()

    async def work(follower: Follower) -> tuple[Kept, list[Standing], int]:
        standings, now_ms = await follower.look()  # first: what is kept is told by this tick or by none
        return await follower.keep(follow.signals_per_tick), standings, now_ms

    try:
        kept, standings, now_ms = _on_streams(environment, store, work)
    except StreamUnreachable as error:
        return dg.SkipReason(f"the server of the streams does not answer: {error}")
    if kept.lost:
        context.log.error(
            f"{kept.lost} signals were trimmed before they were kept; the check of their matches will tell"
        )
    rested = {} if _failed(context.instance, cursor) else cursor.rested
    found = due(standings, now_ms, rested, idle_ms=live.idle_flush_ms, abandoned_ms=agent.abandoned_ms)
    ends = [(entry, match_id) for entry, match_id in kept.upto.ended if is_after(entry, cursor.closed)]
    running = {match_id for standing in standings for match_id in standing.running}
    known = set(context.instance.get_dynamic_partitions(MATCH))
    requests, key, tries = [], cursor.key, cursor.tries
    if found:
        tries = cursor.tries + 1 if found.key == cursor.key else 0
        rested, key = found.rested, found.key
        if tries == follow.most_tries:
            context.log.error(f"{tries} runs did not read {key}; the next one is requested when there is news")
        elif tries < follow.most_tries:
            requests.append(
                dg.RunRequest(
                    run_key=f"{key}#{tries}",
                    job_name=JOB,
                    tags={"dagster/priority": "10"},  # before runs of clips and analyses that wait for a place
                    run_config=dg.RunConfig({"follow_shards": FollowShards(until=dict(found.until))}),
                )
            )
    requests += [
        dg.RunRequest(
            run_key=f"{match_id}:{entry}", job_name="close_live_match", partition_key=match_id, tags={MATCH: match_id}
        )
        for entry, match_id in ends
    ]
    fresh = sorted((running | kept.news.keys() | {match_id for _, match_id in ends}) - known)
    read_by = {name for standing in standings for name in [standing.owner] if name}
    return dg.SensorResult(
        run_requests=requests,
        cursor=Cursor(key, tries, rested, ends[-1][0] if ends else cursor.closed).written(),
        dynamic_partitions_requests=[
            matches.build_add_request(fresh[at : at + _AT_ONCE]) for at in range(0, len(fresh), _AT_ONCE)
        ],
        asset_events=[
            _observed(match_id, about, f"agent {', '.join(sorted(read_by))}" if read_by else "a run before this tick")
            for match_id, about in kept.news.items()
        ],
    )


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    monitored_jobs=[analyse_match],
    request_job=close_live_match,
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Heals what live told of a match from its recorded log, where live lacks events.",
)
def live_healing_sensor(
    context: dg.RunStatusSensorContext, store: dg.ResourceParam[Store]
) -> dg.RunRequest | dg.SkipReason:
    """Requests that a match is closed again whose end could not be held against batch."""
    match_id = context.partition_key
    if match_id is None or not LiveParts(store).is_unproven(match_id):
        return dg.SkipReason("live lacks nothing of it")
    return dg.RunRequest(
        run_key=f"{context.dagster_run.run_id}:{match_id}", partition_key=match_id, tags={MATCH: match_id}
    )


def _failed(instance: dg.DagsterInstance, cursor: Cursor) -> bool:
    """Whether the run that was requested last did not come to its end."""
    key = {"dagster/run_key": f"{cursor.key}#{cursor.tries}"}
    ends = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
    return bool(instance.get_runs(dg.RunsFilter(job_name=JOB, statuses=ends, tags=key), limit=1))


def _observed(match_id: str, about: News, by: str) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(
        KEY,
        partition=match_id,
        metadata={
            "segments_ended": sum(about.ended.values()),
            "segments_opened": about.opened,
            "clips": about.clips,
            "intents": dg.MetadataValue.json(dict(sorted(about.ended.items()))),
            "match_time_s": round(about.at_ms / 1000, 3),
            "slowest_signal_ms": about.latency_ms,
            "is_over": about.is_over,
            "read_by": by,
        },
    )


def _gaps(end: End, lines: Lines) -> list[str]:
    """What is missing for a match to be told or compared as a whole, in words."""
    found = []
    if end.signal.reason == "given_up":
        found.append("the match was given up; what it could not take is in the dlq")
    if end.stamps.trimmed:
        found.append(f"{end.stamps.trimmed} entries of its shard were trimmed before they were read")
    if (counted := len(lines.counted)) < end.signal.accepted:
        found.append(f"{end.signal.accepted - counted} of {end.signal.accepted} accepted events left the stream")
    elif counted > end.signal.accepted:
        found.append("more events came late or again than are listed")
    return found


def _checked(comparison: Comparison, gaps: Sequence[str], healed: bool) -> dg.AssetCheckResult:
    troubles = [*comparison.differences, *gaps]
    metadata: dict[str, Any] = {"healed": healed}
    if troubles:
        metadata["reason"] = "; ".join(troubles)
    if comparison.segments.height:
        shown = comparison.segments.select("only", "player", "from_ms", "to_ms", "intent", "confidence")
        metadata["differences"] = reports.table(shown, limit=20)
    return dg.AssetCheckResult(
        asset_key=KEY,
        check_name=CHECK.name,
        passed=not troubles,
        # What can not be compared is no proof of anything wrong; a difference is.
        severity=dg.AssetCheckSeverity.ERROR if comparison.differences else dg.AssetCheckSeverity.WARN,
        metadata=metadata,
    )


def _late(batch: Recorded, match_id: str, lines: Lines, model: IntentModel, threshold: float) -> dict[str, Any]:
    """What the events that came too late would have changed; nothing if there were none."""
    if not lines.missed:
        return {}
    whole = recorded(match_id, [*lines.counted, *lines.missed], model, threshold=threshold)
    changed = changed_by_late(batch, whole)
    return {"rows_that_late_events_change": changed["rows"], "segments_that_late_events_change": changed["segments"]}


def _open_reviews(reviews: Reviews, match_id: str, batch: Recorded) -> dict[str, Any]:
    """One job per segment that somebody should look at; the analysis of the recorded log knows them by their ids."""
    opened = reviews.open(match_id, jobs(batch.segments, batch.intents, batch.features, None, reviews.config))
    return {"review_jobs_new": opened.new, "review_jobs_known": opened.known}


def _on_streams(environment: Settings, store: Store, work: Callable[[Follower], Awaitable[T]]) -> T:
    return on_streams(environment, lambda streams, config: work(Follower(streams, store, config)))
