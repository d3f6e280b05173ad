"""Motion of matches that run: segments that have ended ask for clips, runs make them, and the stream tells of each.

Belongs here: when a run is requested and for which segments, what a run reads, makes and tells. Does not belong here:
the queue as a value (`pipeline.live.motion`), the ledger on the server (`resources.motion_queue`), how a clip is made
(`resources.clips`, for recorded and running matches alike). Concept: https://docs.dagster.io/guides/operate/managing-concurrency

A request names entries of the stream of signals, so a run finds what was told and nothing else. Its clip has the key
that the analysis of the recorded log gives it later, and is found there then instead of being made again.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
import msgspec
import polars as pl

from assets import reports
from assets.live import AT_WORK, GROUP
from assets.live import KEY as SEGMENTS
from assets.motion import RECIPE
from assets.partitions import MATCH, matches
from configs.live import load_follow, load_motion_queue
from pipeline.live.closing import recording, segments_of
from pipeline.live.motion import Wish, batches, sort_out, wish, without
from pipeline.live.signals import Signal, with_clip
from pipeline.motion.moments import choose, deaths_of
from pipeline.tables import conform, empty
from resources.clips import ClipStudio
from resources.connection import on_streams
from resources.errors import ResourceError
from resources.live_parts import clips_path
from resources.motion_queue import Final, MotionQueue
from resources.settings import Settings
from resources.store import Store
from resources.stream import START, Checkpoint, StreamUnreachable, Told, milliseconds

KEY = "live_clips"
RETRIES = dg.RetryPolicy(max_retries=4, delay=5, backoff=dg.Backoff.EXPONENTIAL)
"""Every step may be done again: clips are found by their keys, and each is told once."""


class ClipsFailed(ResourceError):
    """Some segments of a run got no clip, for whatever reasons; the others did, and each of them was told.

    Args:
        failed: by segment id, why.
        of: how many segments the run was asked for.
    """

    def __init__(self, failed: Mapping[str, Exception], of: int) -> None:
        reasons = "; ".join(f"{name}: {type(error).__name__}: {error}" for name, error in failed.items())
        super().__init__(f"{len(failed)} of {of} segments got no clip: {reasons}")


class Waiting(msgspec.Struct):
    """What the sensor remembers.

    Attributes:
        entry: the signal up to which all were looked at.
        rank: how many the stream had had up to it.
        wishes: those that no run was requested for yet.
        since_ms: what ended until then was no news when the first tick looked: nobody had asked, so it is not shed.
    """

    entry: str = START
    rank: int = 0
    wishes: list[Wish] = []
    since_ms: int = 0

    @classmethod
    def read(cls, text: str | None) -> "Waiting":
        """The cursor that `written` wrote; the first one if there is none."""
        return msgspec.json.decode(text, type=cls) if text else cls()

    def written(self) -> str:
        """As Dagster keeps it."""
        return msgspec.json.encode(self).decode()


class LiveClips(dg.Config):
    """Of which segments.

    Attributes:
        entries: of the stream of signals, where they ended.
    """

    entries: list[str]


@dataclass(frozen=True)
class _Match:
    """What a run knows of its match."""

    finals: Sequence[Final]
    events: pl.DataFrame
    tracks: pl.DataFrame


@dg.asset(
    key=KEY,
    group_name=GROUP,
    partitions_def=matches,
    deps=[SEGMENTS],
    kinds={"redis", "gltf"},
    pool="motion",
    retry_policy=RETRIES,
)
def live_clips(
    context: dg.AssetExecutionContext,
    config: LiveClips,
    store: dg.ResourceParam[Store],
    studio: dg.ResourceParam[ClipStudio],
    environment: dg.ResourceParam[Settings],
) -> dg.MaterializeResult:
    """Animated bodies of a match that runs: each is told on the stream of signals as soon as it is in the store."""
    match_id = context.partition_key
    entries = _remembered(environment, config.entries)
    if old := len(config.entries) - len(entries):
        told_before = (
            f"{old} of {len(config.entries)} segments ended so long ago that what was told of them is forgotten"
        )
        if not entries:
            raise dg.Failure(f"{told_before}: their clips come with the recorded log", allow_retries=False)
        context.log.warning(told_before)
    found = _read(environment, match_id, entries)
    if gone := len(entries) - len(found.finals):
        context.log.warning(f"{gone} of {len(config.entries)} signals have left their stream")
    chosen = choose(segments_of(final.signal for final in found.finals), found.tracks, budget=len(found.finals))
    deaths = deaths_of(found.events)
    by_segment = {final.signal.segment_id: final for final in found.finals}
    made, told, counted = [], 0, Counter[str]()
    failed: dict[str, Exception] = {}
    for moment in chosen.partition_by("segment_id", maintain_order=True):
        final = by_segment.pop(moment["segment_id"].item())
        before = Counter(studio.fallbacks), studio.hits.total()
        try:
            row = studio.make(
                moment,
                found.tracks,
                log=context.log.info,
                features_hash=final.signal.features_hash,
                deaths=deaths,
            )
        except Exception as error:  # whatever it is, the other segments have nothing to do with it; raised below
            context.log.warning(f"segment {final.signal.segment_id}: {type(error).__name__}: {error}")
            failed[final.signal.segment_id] = error
            continue
        figures = _figures(row, studio, *before)
        told += _tell(environment, final, _signal(final.signal, row, store), figures)
        counted.update(figures)
        made.append(row)
    for final in by_segment.values():  # too short, or too little is known of the way
        _tell(environment, final, None, {"shed:unremarkable": 1})
    frame = conform("clips", pl.concat([empty("clips"), *made]))
    uri = store.write_rows(
        clips_path(match_id, config.entries), "clips", frame, RECIPE.stamp(*config.entries, studio.identity)
    ).uri
    if failed:
        if context.retry_number >= RETRIES.max_retries:
            lost = [final.signal for final in found.finals if final.signal.segment_id in failed]
            on_streams(environment, lambda streams, agent: MotionQueue(streams, agent).shed(lost, "failed"))
        raise ClipsFailed(failed, of=len(found.finals)) from next(iter(failed.values()))
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": frame.height,
            "dagster/uri": uri,
            "told": told,
            "unremarkable": len(by_segment),
            "counted": dg.MetadataValue.json(dict(sorted(counted.items()))),
            **reports.clips(frame, studio.previews(frame), studio.moving(frame)),
        }
    )


make_live_clips = dg.define_asset_job(
    "make_live_clips",
    dg.AssetSelection.assets(KEY),
    partitions_def=matches,
    description="Clips of segments that ended just now, told on the stream of signals.",
)


@dg.sensor(
    job=make_live_clips,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests clips of segments of running matches, the most urgent first, and no more than can be made.",
)
def live_motion_sensor(
    context: dg.SensorEvaluationContext, environment: dg.ResourceParam[Settings]
) -> dg.SensorResult | dg.SkipReason:
    """One tick: looks at what ended, sheds what is too old or too much, requests what has a place."""
    if environment.redis_url is None:
        return dg.SkipReason("REDIS_URL is not set: no match is followed live")
    config, before = load_motion_queue(), Waiting.read(context.cursor)
    at_work = context.instance.get_runs_count(dg.RunsFilter(job_name=make_live_clips.name, statuses=AT_WORK))
    try:
        told, now_ms = on_streams(
            environment,
            lambda streams, agent: MotionQueue(streams, agent).news(
                Checkpoint(before.entry, before.rank) if context.cursor else None, load_follow().signals_per_tick
            ),
        )
        since_ms = before.since_ms if context.cursor else now_ms - config.stale_ms
        fresh = [wished for wished in wishes_of(told) if wished.told_ms > since_ms]
        queue = sort_out([*before.wishes, *fresh], now_ms, config)
        on_streams(environment, lambda streams, agent: _shed(MotionQueue(streams, agent), queue.stale, queue.surplus))
    except StreamUnreachable as error:
        return dg.SkipReason(f"the server of the streams does not answer: {error}")
    if told.lost:
        context.log.error(f"{told.lost} signals were trimmed before anybody could ask for motion of their segments")
    if queue.stale or queue.surplus:
        context.log.warning(f"shed: {len(queue.stale)} ended too long ago, {len(queue.surplus)} were too many")
    due = batches(queue.waiting, now_ms, max(0, config.most_runs - at_work), config)
    left = without(queue.waiting, [wished for batch in due for wished in batch.wishes])
    known = set(context.instance.get_dynamic_partitions(MATCH)) if due else set()
    new = sorted({batch.match_id for batch in due} - known)
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(
                run_key=f"{batch.match_id}:" + ",".join(wished.segment_id for wished in batch.wishes),
                partition_key=batch.match_id,
                run_config={"ops": {KEY: {"config": {"entries": [wished.entry for wished in batch.wishes]}}}},
                tags={
                    MATCH: batch.match_id,
                    "dagster/priority": str(batch.priority),
                    "dagster/max_runtime": str(config.run_s),
                },
            )
            for batch in due
        ],
        cursor=Waiting(told.last.entry, told.last.rank, list(left), since_ms).written(),
        dynamic_partitions_requests=[matches.build_add_request(new)] if new else [],
    )


def wishes_of(told: Told) -> list[Wish]:
    """What the segments that ended among some signals ask for."""
    found = []
    for entry, data, _ in told.entries:
        if b'"kind":"final"' not in data:
            continue
        signal = msgspec.json.decode(data, type=Signal)
        wished = wish(entry, signal, milliseconds(entry))
        if wished is not None:
            found.append(wished)
    return found


async def _shed(queue: MotionQueue, stale: Sequence[Wish], surplus: Sequence[Wish]) -> None:
    await queue.shed(stale, "stale")
    await queue.shed(surplus, "surplus")


def _remembered(environment: Settings, entries: Sequence[str]) -> list[str]:
    return on_streams(environment, lambda streams, agent: MotionQueue(streams, agent).remembered(entries))


def _read(environment: Settings, match_id: str, entries: Sequence[str]) -> _Match:
    """The segments that ended at some entries, and what is known of their match by now."""

    async def work(queue: MotionQueue) -> tuple[list[Final], list[bytes]]:
        finals = await queue.finals(entries)
        return finals, await queue.lines(match_id, finals[0].shard) if finals else []

    finals, lines = on_streams(environment, lambda streams, agent: work(MotionQueue(streams, agent)))
    read = recording(match_id, lines) if lines else None
    if read is None:
        return _Match(finals, empty("events"), empty("tracks"))
    _, events, tracks, _ = read
    return _Match(finals, events, tracks)


def _tell(environment: Settings, final: Final, clip: Signal | None, figures: Mapping[str, int]) -> bool:
    return on_streams(environment, lambda streams, agent: MotionQueue(streams, agent).tell(final, clip, figures))


def _signal(final: Signal, row: pl.DataFrame, store: Store) -> Signal | None:
    """What is told of a clip; None where there is nothing to see."""
    clip = row.row(0, named=True)
    if not clip["feasible"]:
        return None
    return with_clip(
        final,
        clip_key=clip["clip_key"],
        clip_uri=store.uri(clip["uri"]),
        preview_uri=store.uri(clip["preview_uri"]),
    )


def _figures(row: pl.DataFrame, studio: ClipStudio, fallbacks: Counter[tuple[str, str]], hits: int) -> dict[str, int]:
    """What is counted of a clip: who made it, or had made it; who did not."""
    clip = row.row(0, named=True)
    failed: dict[str, Any] = {
        f"fallbacks:{name}:{kind}": n for (name, kind), n in (studio.fallbacks - fallbacks).items()
    }
    if not clip["feasible"]:
        return failed | {"infeasible": 1}
    how = "hits" if studio.hits.total() > hits else "generated"
    return failed | {f"{how}:{clip['backend']}": 1}
