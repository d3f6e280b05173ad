"""The agent: a resident process that turns canonical events into signals as they come.

Belongs here: when to read, decide, commit and rest; what happens after an error; the life of the process. Does not
belong here: what events mean (`pipeline.live`), streams and scripts (`stream`), leases (`ownership`), figures
(`live_metrics`).

One task per owned shard reads entries, gives each match its own, and commits. A match that told something is committed
at once, together with what it told; one that told nothing is written every `commit_ms`, so what a take-over repeats is
bounded, and repeats nothing outside: a match skips entries up to the one its state has taken in. After any error of
the server the shard forgets what it holds and loads what was committed: whether the last commit was written need not be
known.
"""

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

import msgspec
import redis.asyncio as redis

from configs.live import AgentConfig, LiveConfig, load_agent, load_live
from pipeline.errors import PipelineError
from pipeline.events.drafts import Draft
from pipeline.intents.model import IntentModel
from pipeline.intents.prediction import Predictor
from pipeline.live.arrivals import Arrivals, arrivals_of
from pipeline.live.decoding import decode
from pipeline.live.match import LiveMatch, Told
from pipeline.live.signals import Ended, Signal, to_json
from resources.errors import ResourceError
from resources.live_metrics import LiveMetrics, serve
from resources.ownership import Ownership
from resources.stream import (
    START,
    Checkpoint,
    Commit,
    Entry,
    Fenced,
    Letter,
    Read,
    Shard,
    Streams,
    StreamUnreachable,
    is_after,
    just_before,
    now_ms,
)

logger = logging.getLogger(__name__)

_AT, _LOST, _OVER = "at", "lost", "over"


class Models:
    """The models that matches are answered by.

    Args:
        champion: gives the one that answers now.
        of_version: gives the one of a version.
    """

    def __init__(self, champion: Callable[[], IntentModel], of_version: Callable[[str], IntentModel]) -> None:
        self._champion, self._of_version = champion, of_version
        self._known: dict[str, Predictor] = {}
        self._latest: Predictor | None = None

    def champion(self) -> Predictor:
        """Rules and the model that answers now; the one that answered last if the registry does not."""
        try:
            self._latest = self._kept(self._champion())
        except ResourceError:
            if self._latest is None:
                raise
            logger.exception("the registry does not answer: %s goes on", self._latest.model.version)
        return self._latest

    def of_version(self, version: str) -> Predictor:
        """Rules and the model of that version."""
        if version not in self._known:
            return self._kept(self._of_version(version))
        return self._known[version]

    def _kept(self, model: IntentModel) -> Predictor:
        return self._known.setdefault(model.version, Predictor(model))


@dataclass
class _Running:
    """A match in memory.

    Attributes:
        match: None once it is over, or given up.
        at: the last entry that it has taken in.
        committed: the state as it is written; empty before the first commit.
        tail: what it has taken in since.
        behind: the checkpoint before the first entry of the tail; None if there is none.
        heard: when its last event was read, by the monotonic clock in seconds.
        failures: events in a row that it could not take.
        has_rested: whether it was evaluated as idle since its last event.
        is_over: whether it was finished.
        lost_reason: why it was given up; empty as long as it was not.
    """

    match: LiveMatch | None
    at: str = START
    committed: dict[str, bytes] = field(default_factory=dict)
    tail: list[Arrivals] = field(default_factory=list)
    behind: Checkpoint | None = None
    heard: float = 0.0
    failures: int = 0
    has_rested: bool = False
    is_over: bool = False
    lost_reason: str = ""


class ShardWorker:
    """Reads one shard for as long as it is owned.

    Args:
        shard: which.
        token: the fencing token of its lease.
        streams: where to read and write.
        models: what answers.
        threshold: a confidence below it is a reason for review.
        metrics: what is counted.
        agent: how to read.
        live: bounds of order and time.
    """

    def __init__(
        self,
        shard: Shard,
        token: int,
        streams: Streams,
        models: Models,
        threshold: float,
        metrics: LiveMetrics,
        agent: AgentConfig,
        live: LiveConfig,
    ) -> None:
        self.shard, self._token = shard, token
        self._streams, self._models, self._threshold = streams, models, threshold
        self._metrics, self._agent, self._live = metrics, agent, live
        self._label = str(shard.number)
        self._matches: dict[str, _Running] = {}
        self._read = Checkpoint()
        self._signals: list[tuple[Signal | Ended, int]] = []
        self._letters: list[Letter] = []
        self._due: set[str] = set()
        self._committed_at = self._rested_at = 0.0
        self._written: Checkpoint | None = None
        self.is_stopping = False

    async def run(self) -> None:
        """Reads until told to stop, then commits all.

        Raises:
            SnapshotMismatch: if a match's state was written by other code or configuration; it is left as it is, for an
                agent that can go on with it.
            Fenced: if another agent owns the shard by now.
            StreamUnreachable: if the server does not answer; nothing in memory is of use then.
        """
        await self._load()
        is_behind = True
        while not self.is_stopping:
            read = await self._streams.read(self.shard, self._read, wait=not is_behind)
            received = now_ms()
            self._account(read)
            await self._take(read.entries, received)
            is_behind = read.waiting > 0
            if is_behind:
                self._hear_all()
            elif time.monotonic() - self._rested_at >= self._agent.block_ms / 1000:
                self._rest(received)
            await self._commit_due(received)
            await asyncio.sleep(0)  # lets leases be renewed while there is a backlog
        await self._commit(now_ms(), everything=True)

    async def _load(self) -> None:
        self._read = await self._streams.checkpoint(self.shard) or await self._streams.beginning(self.shard)
        now = time.monotonic()
        for match_id, state in (await self._streams.states(self.shard)).items():
            self._matches[match_id] = self._restored({k.decode(): v for k, v in state.items()}, now)
        self._committed_at = now
        logger.info("shard %d: from %s on, %d matches running", self.shard.number, self._read.entry, len(self._matches))

    def _restored(self, fields: dict[str, bytes], now: float) -> _Running:
        at = fields.get(_AT, START.encode()).decode()
        running = _Running(None, at=at, committed=fields, heard=now)
        if fields.get(_LOST):
            running.lost_reason = fields[_LOST].decode()
            return running
        if fields.get(_OVER):
            running.is_over = True
            return running
        running.match = LiveMatch.from_fields(
            fields, self._models.champion, self._models.of_version, self._threshold, self._live
        )
        return running

    def _account(self, read: Read) -> None:
        self._metrics.lag.labels(self._label).set(read.waiting)
        if read.lost:
            self._metrics.lost.labels(self._label).inc(read.lost)
            logger.error(
                "shard %d: %d entries behind %s were trimmed before they were read; replay the recorded log",
                self.shard.number,
                read.lost,
                self._read.entry,
            )
        if read.entries:
            self._metrics.events.labels(self._label).inc(len(read.entries))
            self._metrics.batch.observe(len(read.entries))

    async def _take(self, entries: Sequence[Entry], received: int) -> None:
        if not entries:
            return
        decoded = decode([entry.event for entry in entries], max_bytes=self._agent.max_entry_bytes)
        for refused in decoded.refused:
            entry = entries[refused.place]
            self._letters.append(Letter(entry.entry, refused.field, refused.reason, entry.event))
        for match_id, drafts in decoded.of_match.items():
            running = await self._running(match_id)
            if running is None:
                reason = f"more than max_matches = {self._agent.max_matches} matches run"
                self._refuse(entries, drafts, reason)
                continue
            fresh = [draft for draft in drafts if is_after(entries[draft.source_line].entry, running.at)]
            if fresh:
                first = entries[fresh[0].source_line]
                self._give(match_id, running, fresh, entries, received)
                running.behind = running.behind or Checkpoint(just_before(first.entry), first.rank - 1)
                running.at = entries[fresh[-1].source_line].entry
                running.heard, running.has_rested = time.monotonic(), False
        self._read = Checkpoint(entries[-1].entry, entries[-1].rank)

    async def _running(self, match_id: str) -> _Running | None:
        """The match in memory, or as it was left, or a new one; None if there are too many."""
        if (known := self._matches.get(match_id)) is not None:
            return known
        if len(self._matches) >= self._agent.max_matches:
            return None
        now = time.monotonic()
        if state := await self._streams.state(self.shard, match_id):
            running = self._restored({k.decode(): v for k, v in state.items()}, now)
        else:
            match = LiveMatch(match_id, self._models.champion, self._threshold, self._live)
            running = _Running(match, heard=now)
        self._matches[match_id] = running
        return running

    def _give(
        self, match_id: str, running: _Running, drafts: list[Draft], entries: Sequence[Entry], received: int
    ) -> None:
        """The match takes its events; those that it can't take are refused one by one."""
        if running.lost_reason:
            self._refuse(entries, drafts, running.lost_reason)
            return
        if running.match is None:
            self._metrics.late.labels(self._label).inc(len(drafts))
            return
        arrived = arrivals_of(drafts)
        before = replace(running.match.counts)
        try:
            told = running.match.take(arrived)
        except PipelineError as error:
            running.match = self._back(match_id, running)
            if len(drafts) > 1:
                half = len(drafts) // 2
                self._give(match_id, running, drafts[:half], entries, received)
                self._give(match_id, running, drafts[half:], entries, received)
                return
            running.failures += 1
            self._refuse(entries, drafts, str(error))
            if running.failures >= self._agent.max_failures:
                self._give_up(match_id, running, f"after {running.failures} failures: {error}")
            return
        running.failures = 0
        running.tail.append(arrived)
        counts = running.match.counts
        self._metrics.late.labels(self._label).inc(counts.late_or_duplicate - before.late_or_duplicate)
        self._metrics.duplicate.labels(self._label).inc(counts.duplicate - before.duplicate)
        self._tell(match_id, told, received)

    def _back(self, match_id: str, running: _Running) -> LiveMatch:
        """The match as it was before the events that it could not take, with the model that it has kept."""
        version = running.match.model_version if running.match else None
        champion = self._models.champion if version is None else partial(self._models.of_version, version)
        if running.committed:
            match = LiveMatch.from_fields(
                running.committed, champion, self._models.of_version, self._threshold, self._live
            )
        else:
            match = LiveMatch(match_id, champion, self._threshold, self._live)
        for arrived in running.tail:
            match.take(arrived)  # told already, or nothing to tell
        return match

    def _give_up(self, match_id: str, running: _Running, why: str) -> None:
        """From here on its events are kept in the dlq."""
        running.match, running.lost_reason = None, f"the match was given up {why}"
        self._due.add(match_id)
        logger.error("match %s: %s", match_id, running.lost_reason)

    def _refuse(self, entries: Sequence[Entry], drafts: list[Draft], reason: str) -> None:
        for draft in drafts:
            entry = entries[draft.source_line]
            self._letters.append(Letter(entry.entry, "", reason, entry.event, draft.match_id))

    def _tell(self, match_id: str, told: Told, received: int) -> None:
        if told.signals:
            self._due.add(match_id)
            self._signals += [(signal, received) for signal in told.signals]

    def _hear_all(self) -> None:
        """While there is a backlog nothing is idle: what a match waits for may lie in it."""
        now = time.monotonic()
        for running in self._matches.values():
            running.heard = now

    def _rest(self, received: int) -> None:
        self._rested_at = now = time.monotonic()
        for match_id, running in self._matches.items():
            silent_ms = int((now - running.heard) * 1000)
            if running.is_over or silent_ms < self._live.idle_flush_ms:
                continue
            is_left = silent_ms >= self._agent.abandoned_ms
            if running.match is None:  # given up
                if not is_left:
                    continue
                running.is_over = True
            elif is_left or running.match.is_told_over or not running.has_rested:
                running.is_over = is_left or running.match.is_told_over
                running.has_rested = True
                try:
                    told = running.match.finish() if running.is_over else running.match.rest(silent_ms)
                except PipelineError as error:
                    self._give_up(match_id, running, str(error))
                else:
                    self._tell(match_id, told, received)
            else:
                continue
            self._due.add(match_id)

    async def _commit_due(self, received: int) -> None:
        everything = bool(self._letters) or time.monotonic() - self._committed_at >= self._agent.commit_ms / 1000
        if everything or self._due:
            await self._commit(received, everything=everything)

    async def _commit(self, received: int, *, everything: bool) -> None:
        """Writes the state of matches that told something, or of all that changed."""
        changed = [name for name, running in self._matches.items() if running.behind is not None]
        due = self._due.union(changed) if everything else self._due
        states, over = {}, set()
        for match_id in sorted(due):
            running = self._matches[match_id]
            states[match_id] = self._fields(running)
            if running.is_over:
                over.add(match_id)
        behind = [r.behind for name, r in self._matches.items() if r.behind is not None and name not in due]
        checkpoint = min(behind, key=lambda at: at.rank, default=self._read)
        if not (states or self._letters) and checkpoint == self._written:
            self._committed_at = time.monotonic()
            return
        committed = now_ms()
        stamps = msgspec.json.Encoder().encode
        signals = [
            (to_json(signal), stamps({"read_ms": at, "sent_ms": committed, "shard": self.shard.number}))
            for signal, at in self._signals
        ]
        await self._streams.commit(
            self.shard, Commit(self._token, checkpoint, states, frozenset(over), signals, self._letters)
        )
        self._written = checkpoint
        for match_id, state in states.items():
            running = self._matches[match_id]
            running.committed, running.tail, running.behind = state, [], None
            if match_id in over:
                running.match = None
        self._count(received)
        self._signals, self._letters, self._due = [], [], set()
        if everything:
            self._committed_at = time.monotonic()
            self._forget()

    def _fields(self, running: _Running) -> dict[str, bytes]:
        told = {_AT: running.at.encode()}
        if running.lost_reason:
            return told | {_LOST: running.lost_reason.encode()}
        if running.is_over:
            return told | {_OVER: b"1"}
        assert running.match is not None  # noqa: S101  # neither given up nor over
        return running.match.to_fields() | told

    def _forget(self) -> None:
        """Drops from memory what is over and quiet; its last state tells so if an event comes after all."""
        now = time.monotonic()
        for match_id, running in list(self._matches.items()):
            quiet_ms = (now - running.heard) * 1000
            if running.is_over and quiet_ms >= self._live.idle_flush_ms:
                del self._matches[match_id]

    def _count(self, received: int) -> None:
        self._metrics.commits.labels(self._label).inc()
        self._metrics.latency.observe(max(0, now_ms() - received) / 1000)
        self._metrics.letters.labels(self._label).inc(len(self._letters))
        running = [r.match for r in self._matches.values() if r.match is not None]
        self._metrics.matches.labels(self._label).set(len(running))
        self._metrics.held.labels(self._label).set(sum(match.held for match in running))
        for told, _ in self._signals:
            self._metrics.signals.labels(told.kind).inc()
            if isinstance(told, Signal) and told.kind == "final":
                self._metrics.intents.labels(told.intent).inc()


class Agent:
    """One process: as many shards as are its part, each read by a task.

    Args:
        client: of the server, answers as bytes.
        models: what answers.
        threshold: a confidence below it is a reason for review.
        agent: how to read; `configs/live.yaml` if None.
        live: bounds of order and time; `configs/live.yaml` if None.
    """

    def __init__(
        self,
        client: "redis.Redis",
        models: Models,
        threshold: float,
        agent: AgentConfig | None = None,
        live: LiveConfig | None = None,
    ) -> None:
        self._agent, self._live = agent or load_agent(), live or load_live()
        self._client, self._models, self._threshold = client, models, threshold
        self._streams = Streams(client, self._agent)
        self._ownership = Ownership(client, self._agent)
        self._workers: dict[int, tuple[ShardWorker, asyncio.Task[None]]] = {}
        self._stop = asyncio.Event()
        self.metrics = LiveMetrics()
        self._renewed_at = 0.0

    @property
    def is_ready(self) -> bool:
        """Whether the server answered within the time of a lease."""
        return time.monotonic() - self._renewed_at < self._agent.lease_ms / 1000 and not self._stop.is_set()

    def stop(self) -> None:
        """Ends `run` once everything is committed."""
        self._stop.set()

    async def run(self, *, host: str = "127.0.0.1", port: int | None = None) -> None:
        """Works until stopped, by `stop` or by SIGTERM or SIGINT.

        Args:
            host: address of `/metrics`, `/healthz` and `/readyz`.
            port: their port; None for none of them.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            with suppress(NotImplementedError, ValueError, RuntimeError):
                loop.add_signal_handler(number, self.stop)
        self.metrics.model.labels(self._models.champion().model.version).set(1)
        self._warm()
        pages = None
        if port is not None:
            pages = await serve(self.metrics, host, port, is_alive=lambda: True, is_ready=lambda: self.is_ready)
        try:
            while not self._stop.is_set():
                try:
                    await self._share()
                except ResourceError as error:
                    logger.warning("the server does not answer: %s", error)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), self._agent.renew_ms / 1000)
        finally:
            await self._end()
            if pages is not None:
                pages.close()

    def _warm(self) -> None:
        """Compiles what is compiled on first use, and asks the model once, before any lease runs."""
        match = LiveMatch("warm", self._models.champion, self._threshold, self._live)
        lines = [
            b'{"event_id":"%d","match_id":"warm","event_type":"POSITION_UPDATE","actor":"player:%d",'
            b'"payload":{"pos":[%d,0,0],"ts":%d}}' % (place, place % 2, place, place // 2)
            for place in range(8)
        ]
        (drafts,) = decode(lines, max_bytes=self._agent.max_entry_bytes).of_match.values()
        match.take(arrivals_of(drafts))
        LiveMatch.from_fields(
            match.to_fields(), self._models.champion, self._models.of_version, self._threshold, self._live
        ).finish()

    async def _share(self) -> None:
        """Renews leases, takes free shards up to the fair share, gives back what is beyond it."""
        share = await self._ownership.fair_share()
        for number, (worker, task) in list(self._workers.items()):
            if task.done():
                await self._ended(number, task)
            elif not await self._ownership.renew(worker.shard):
                self.metrics.leases.labels("lost").inc()
                task.cancel()
                await self._ended(number, task, owns=False)
        for number in sorted(self._workers, reverse=True)[: max(0, len(self._workers) - share)]:
            await self._give_back(number)
        for number in range(self._agent.shards):
            if len(self._workers) >= share:
                break
            shard = Shard(number, self._agent.shards)
            if number not in self._workers and (token := await self._ownership.take(shard)) is not None:
                self._start(shard, token)
        self._renewed_at = time.monotonic()
        self.metrics.owned.set(len(self._workers))

    def _start(self, shard: Shard, token: int) -> None:
        self.metrics.leases.labels("taken").inc()
        logger.info("shard %d: taken with token %d", shard.number, token)
        worker = ShardWorker(
            shard, token, self._streams, self._models, self._threshold, self.metrics, self._agent, self._live
        )
        self._workers[shard.number] = (worker, asyncio.create_task(worker.run()))

    async def _ended(self, number: int, task: "asyncio.Task[None]", *, owns: bool = True) -> None:
        """A worker that failed is forgotten; its shard is loaded anew by whoever takes it next."""
        worker, _ = self._workers.pop(number)
        try:
            await task
        except asyncio.CancelledError:
            pass
        except Fenced as error:
            owns = False
            logger.warning("%s", error)
        except (ResourceError, PipelineError) as error:
            logger.error("shard %d: %s; it is loaded anew", number, error)
            self.metrics.failures.labels(type(error).__name__).inc()
        except Exception as error:
            logger.exception("shard %d: unexpected; it is loaded anew", number)
            self.metrics.failures.labels(type(error).__name__).inc()
        if owns:
            with suppress(StreamUnreachable):
                await self._ownership.give_back(worker.shard)

    async def _give_back(self, number: int) -> None:
        """Commits everything and frees the shard."""
        worker, task = self._workers[number]
        worker.is_stopping = True
        with suppress(TimeoutError, ResourceError):
            await asyncio.wait_for(asyncio.shield(task), self._agent.lease_ms / 1000)
        if not task.done():
            task.cancel()
        self.metrics.leases.labels("given back").inc()
        await self._ended(number, task)

    async def _end(self) -> None:
        for number in list(self._workers):
            await self._give_back(number)
        with suppress(ResourceError):
            await self._ownership.leave()
