"""One shard read by its owner: entries in, signals out, and what happens after an error.

Belongs here: when to read, decide, commit and rest. Does not belong here: what events mean (`pipeline.live`), streams
and scripts (`stream`), leases (`ownership`), how many shards a process has (`agent`, `following`), figures
(`live_metrics`).

What a match told is sent at once, in one commit with the entry up to which it told all; its state follows within about
`commit_ms`, a few matches at a time, so that no commit is long. Whoever goes on from a state takes the entries up to
that one again, in silence: what a match tells follows from its events, in whatever calls they come. So a take-over
repeats no more than `commit_ms` of work, and repeats nothing outside. What does not follow from events is written with
its state: which model answers, what was evaluated because nothing came, what was refused. After any error of the server
the shard forgets what it holds and loads what was committed: whether the last commit was written need not be known.

What is idle is told by how long ago the server took its last entry, also across processes, so the wall clock of the
machine is never asked for more than stamps.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from heapq import nsmallest

import msgspec
import numpy as np
from numpy.typing import NDArray

from configs.live import AgentConfig, LiveConfig
from pipeline.errors import PipelineError
from pipeline.features.carry import NO_ROWS
from pipeline.intents.model import IntentModel
from pipeline.intents.prediction import Prediction, Predictor
from pipeline.live.arrivals import Arrivals
from pipeline.live.decoding import Decoder, Part
from pipeline.live.match import LiveMatch, Told
from pipeline.live.signals import Ended, Signal, to_json
from resources.errors import ResourceError
from resources.live_metrics import LiveMetrics
from resources.logs import place_of
from resources.stream import (
    GIVEN_UP_FIELD,
    START,
    TOLD,
    TRIMMED_FIELD,
    Checkpoint,
    Commit,
    Entry,
    Letter,
    MatchState,
    Read,
    Shard,
    Streams,
    is_after,
    just_before,
    milliseconds,
    now_ms,
    upto,
)

logger = logging.getLogger(__name__)

_AT, _FIRST, _LOST, _OVER, _TRIMMED = "at", "first", "lost", "over", "trimmed"


class ModelFailed(ResourceError):
    """A model can't be had, or can't answer: no event is at fault, and events wait until there is one that can."""


class _Answering(Predictor):
    """Rules and a model of which an error is not taken for one of the events that it is asked about."""

    def predict(self, vectors: NDArray[np.float32]) -> Prediction:
        try:
            return super().predict(vectors)
        except Exception as error:
            raise ModelFailed(f"{self.model.version}: {type(error).__name__}: {error}") from error


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
            self._latest = self._kept(_had(self._champion))
        except ResourceError:
            if self._latest is None:
                raise
            logger.exception("the registry does not answer: %s goes on", self._latest.model.version)
        return self._latest

    @property
    def latest(self) -> set[str]:
        """The version that answered last when it was asked which model answers now; none before the first time."""
        return set() if self._latest is None else {self._latest.model.version}

    def of_version(self, version: str) -> Predictor:
        """Rules and the model of that version."""
        if version not in self._known:
            return self._kept(_had(partial(self._of_version, version)))
        return self._known[version]

    def _kept(self, model: IntentModel) -> Predictor:
        return self._known.setdefault(model.version, _Answering(model))


def _had(load: Callable[[], IntentModel]) -> IntentModel:
    try:
        return load()
    except ResourceError:
        raise
    except Exception as error:
        raise ModelFailed(f"{type(error).__name__}: {error}") from error


@dataclass
class _Running:
    """A match in memory.

    Attributes:
        match: None once it is over, or given up.
        first: the first entry that it was given.
        at: the last entry that it has taken in.
        told: the entry up to which its signals were sent when it was loaded.
        committed: the state as it is written; empty before the first commit.
        is_pinned: whether that names the model that answers.
        tail: what it has taken in since.
        unwritten: entries that came since.
        missed: entries since then that did not count: late, repeated, or refused.
        behind: the checkpoint before the first entry of the tail; None if there is none.
        heard: when its last event came, by the monotonic clock in seconds.
        failures: events that it could not take since it last took all of a read and was left further on by it.
        failed_ms: up to which instant it was decided when it could not take the last of them.
        has_rested: whether it was evaluated as idle since its last event.
        is_over: whether it was finished.
        lost_reason: why it was given up; empty as long as it was not.
        trimmed: entries of its shard that were trimmed unread while it ran; some of them may have been its own.
    """

    match: LiveMatch | None
    first: str = ""
    at: str = START
    told: str = START
    committed: dict[str, bytes] = field(default_factory=dict)
    is_pinned: bool = False
    tail: list[Arrivals] = field(default_factory=list)
    unwritten: int = 0
    missed: list[str] = field(default_factory=list)
    behind: Checkpoint | None = None
    heard: float = 0.0
    failures: int = 0
    failed_ms: int = 0
    has_rested: bool = False
    is_over: bool = False
    lost_reason: str = ""
    trimmed: int = 0


@dataclass(frozen=True)
class Drained:
    """What came of reading a shard up to an entry.

    Attributes:
        entries: how many were read.
        lost: how many were trimmed before they were read.
        running: matches that are not over.
    """

    entries: int
    lost: int
    running: int


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
        self._decoder = Decoder(max_bytes=agent.max_entry_bytes)
        self._matches: dict[str, _Running] = {}
        self._read = Checkpoint()
        self._signals: list[tuple[Signal | Ended, int]] = []
        self._letters: list[Letter] = []
        self._is_all_due = False  # what was refused of no match that remembers it must not be read again
        self._lettered = START  # the entry up to which the dlq has what is no event
        self._due: set[str] = set()
        self._told: set[str] = set()
        self._ahead: asyncio.Task[Read] | None = None
        self._asked = 0.0  # when the newest read was asked for, by the monotonic clock
        self._paced_at = time.monotonic()
        self._allowance = 1.0  # states; one at once, so that owners who die young get on all the same
        self._committed_at = self._rested_at = 0.0
        self._written: Checkpoint | None = None
        self.is_stopping = False
        metrics.begin(self._label)
        metrics.matches.labels(self._label).set_function(lambda: len(self._live_matches()))
        metrics.held.labels(self._label).set_function(lambda: sum(match.held for match in self._live_matches()))

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
        try:
            while not self.is_stopping:
                read = await self._following(wait=not is_behind)
                received = now_ms()
                self._account(read)
                await self._ask_ahead(read)
                await self._take(read.entries, received)
                is_behind = read.waiting > 0
                if is_behind:
                    self._hear_all()
                elif time.monotonic() - self._rested_at >= self._agent.block_ms / 1000:
                    self._rest(received, self._asked)
                await self._commit_due(received)
                await asyncio.sleep(0)  # lets leases be renewed while there is a backlog
        finally:
            await self._ask_no_more()
        await self._commit(now_ms(), everything=True)

    async def drain(self, until: str) -> Drained:
        """Reads up to an entry and no further, evaluates the idle matches that nothing follows of, and commits all.

        Whether anything follows is told by one more read; while more than that waits, nothing is taken as idle.

        Args:
            until: id of the last entry to read; what was read up to there before is not read again.

        Raises:
            SnapshotMismatch: as of `run`.
            Fenced: as of `run`.
            StreamUnreachable: as of `run`.
        """
        await self._load()
        taken = lost = 0
        try:
            while True:
                read = await self._following(wait=False)
                mine = upto(read.entries, until)
                self._account(replace(read, entries=mine))
                lost += read.lost
                if not mine:
                    break
                if len(mine) == len(read.entries):
                    await self._ask_ahead(read)
                await self._take(mine, now_ms())
                taken += len(mine)
                await self._commit_due(now_ms())
                await asyncio.sleep(0)  # lets the lease be renewed
        finally:
            await self._ask_no_more()
        if read.entries and is_after(until, self._read.entry):  # all of it was trimmed, up to what follows
            self._read = Checkpoint(until, read.entries[0].rank - 1)
        if not read.waiting:
            following = self._decoder.decode([entry.event for entry in read.entries])
            self._rest(now_ms(), self._asked, besides=following.of_match.keys())
        await self._commit(now_ms(), everything=True)
        return Drained(taken, lost, sum(running.match is not None for running in self._matches.values()))

    @property
    def model_versions(self) -> set[str]:
        """The models that its running matches keep."""
        running = (match.match.model_version for match in self._matches.values() if match.match is not None)
        return {version for version in running if version is not None}

    async def _following(self, *, wait: bool) -> Read:
        """The entries behind what was read, perhaps asked for already."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            return await ahead
        self._asked = time.monotonic()
        return await self._streams.read(self.shard, self._read, wait=wait)

    async def _ask_ahead(self, read: Read) -> None:
        """Lets the server look for what follows while these entries are worked on, if something does."""
        if read.waiting and read.entries:
            last = read.entries[-1]
            reading = self._streams.read(self.shard, Checkpoint(last.entry, last.rank), wait=False)
            self._ahead, self._asked = asyncio.create_task(reading), time.monotonic()
            await asyncio.sleep(0)  # sends it

    async def _ask_no_more(self) -> None:
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.cancel()
            with suppress(asyncio.CancelledError, ResourceError):
                await ahead

    async def _load(self) -> None:
        self._read = await self._streams.checkpoint(self.shard) or await self._streams.beginning(self.shard)
        self._lettered = await self._streams.lettered(self.shard)
        now, server_ms = time.monotonic(), await self._streams.server_ms()
        for match_id, state in (await self._streams.states(self.shard)).items():
            running = self._restored({k.decode(): v for k, v in state.items()})
            running.heard = now - max(0, server_ms - milliseconds(running.at)) / 1000
            self._matches[match_id] = running
        self._committed_at = now
        about = {"shard": self.shard.number}
        logger.info("from %s on, %d matches running", self._read.entry, len(self._matches), extra=about)

    def _restored(self, fields: dict[str, bytes]) -> _Running:
        told = {name: fields.get(name, b"").decode() for name in (_AT, _FIRST, _LOST, _TRIMMED, TOLD)}
        running = _Running(None, told[_FIRST], told[_AT] or START, told[TOLD] or START, fields)
        running.trimmed = int(told[_TRIMMED] or 0)
        running.lost_reason, running.is_over = told[_LOST], _OVER in fields
        if not (running.lost_reason or running.is_over):
            running.match = LiveMatch.from_fields(
                fields, self._models.champion, self._models.of_version, self._threshold, self._live
            )
            running.is_pinned = running.match.model_version is not None
        return running

    def _account(self, read: Read) -> None:
        self._metrics.lag.labels(self._label).set(read.waiting)
        if read.lost:
            self._lose(read.lost)
        if read.entries:
            self._metrics.events.labels(self._label).inc(len(read.entries))
            self._metrics.batch.observe(len(read.entries))

    def _lose(self, lost: int) -> None:
        """Tells of what was trimmed unread: in the log, in the dlq, and at the end of each match that may lack it."""
        self._metrics.lost.labels(self._label).inc(lost)
        why = f"{lost} entries behind this one were trimmed before they were read; land the recorded log"
        logger.error("%s", why, extra={"shard": self.shard.number, "entry": self._read.entry})
        self._letters.append(Letter(self._read.entry, TRIMMED_FIELD, why, None))
        self._is_all_due = True
        for match_id, running in self._matches.items():
            if not running.is_over:
                running.trimmed += lost
                self._due.add(match_id)
                if is_after(running.told, running.at) and not running.lost_reason:
                    self._give_up(match_id, running, "because entries that it had told of were trimmed")

    async def _take(self, entries: Sequence[Entry], received: int) -> None:
        if not entries:
            return
        decoded = self._decoder.decode([entry.event for entry in entries])
        for refused in decoded.refused:
            entry = entries[refused.place]
            if is_after(entry.entry, self._lettered):
                self._letters.append(Letter(entry.entry, refused.field, refused.reason, entry.event))
        for match_id, part in decoded.of_match.items():
            running = await self._running(match_id)
            if running is None:
                self._refuse(match_id, entries, part, f"more than max_matches = {self._agent.max_matches} matches run")
                self._is_all_due = True
                continue
            fresh = _behind(part, entries, running.at)
            if len(fresh):
                first = entries[fresh.places[0]]
                running.first = running.first or first.entry
                before = running.failures
                news = _behind(fresh, entries, running.told) if is_after(running.told, running.at) else fresh
                if again := len(fresh) - len(news):
                    self._give(match_id, running, fresh[:again], entries, received, is_told=True)
                if len(news):
                    self._give(match_id, running, news, entries, received)
                if before and running.failures == before and _gets_on(running):
                    running.failures = 0
                running.behind = running.behind or Checkpoint(just_before(first.entry), first.rank - 1)
                running.at = entries[fresh.places[-1]].entry
                running.unwritten += len(fresh)
                running.heard, running.has_rested = time.monotonic(), False
        self._read = Checkpoint(entries[-1].entry, entries[-1].rank)

    async def _running(self, match_id: str) -> _Running | None:
        """The match in memory, or as it was left, or a new one; None if there are too many."""
        if (known := self._matches.get(match_id)) is not None:
            return known
        if len(self._matches) >= self._agent.max_matches:
            return None
        if state := await self._streams.state(self.shard, match_id):
            running = self._restored({k.decode(): v for k, v in state.items()})
        else:
            running = _Running(LiveMatch(match_id, self._models.champion, self._threshold, self._live))
        running.heard = time.monotonic()
        self._matches[match_id] = running
        return running

    def _give(
        self,
        match_id: str,
        running: _Running,
        part: Part,
        entries: Sequence[Entry],
        received: int,
        *,
        is_told: bool = False,
    ) -> None:
        """The match takes its events; those that it can't take are refused one by one."""
        if running.lost_reason:
            self._refuse(match_id, entries, part, running.lost_reason)
            return
        if running.match is None:
            self._metrics.late.labels(self._label).inc(len(part))
            return
        counts = running.match.counts
        accepted, late, duplicate, ahead = counts.accepted, counts.late_or_duplicate, counts.duplicate, counts.ahead
        try:
            told = running.match.take(part.events)
        except (ResourceError, MemoryError, OSError):
            raise  # has nothing to do with these events: they are read again
        except Exception as error:
            is_known = isinstance(error, PipelineError)
            if is_told and not is_known:
                raise  # it took them before
            running.match = self._back(match_id, running)
            if len(part) > 1:
                half = len(part) // 2
                self._give(match_id, running, part[:half], entries, received, is_told=is_told)
                self._give(match_id, running, part[half:], entries, received, is_told=is_told)
                return
            running.failures, running.failed_ms = running.failures + 1, running.match.decided_ms
            why = str(error) if is_known else self._unforeseen(match_id, entries[part.places[0]], error)
            self._refuse(match_id, entries, part, why)
            running.missed.append(entries[part.places[0]].entry)
            if running.failures >= self._agent.max_failures:
                self._give_up(match_id, running, f"after {running.failures} failures: {why}")
            return
        running.tail.append(part.events)
        if counts.accepted - accepted < len(part):
            counted = zip(part.places, told.is_accepted.tolist(), strict=True)
            running.missed += [entries[place].entry for place, is_accepted in counted if not is_accepted]
            self._metrics.late.labels(self._label).inc(counts.late_or_duplicate - late)
            self._metrics.duplicate.labels(self._label).inc(counts.duplicate - duplicate)
            self._metrics.ahead.labels(self._label).inc(counts.ahead - ahead)
        if not is_told:
            self._tell(match_id, told, received)

    def _unforeseen(self, match_id: str, entry: Entry, error: Exception) -> str:
        """Tells where the code failed; gives the reason for the dlq. What the error says may name a player."""
        about = {"match_id": match_id, "shard": self.shard.number, "entry": entry.entry}
        logger.error("unexpected %s", place_of(error), extra=about)
        logger.debug("%s", error, extra=about)
        return f"unexpected {type(error).__name__}: {error}"

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
        """From here on its events are kept in the dlq; its readers, the dlq and the figures are told so."""
        running.lost_reason = f"the match was given up {why}"
        if running.match is not None:
            self._tell(match_id, Told([running.match.given_up()], NO_ROWS), now_ms())
        self._letters.append(Letter(running.at, GIVEN_UP_FIELD, running.lost_reason, None, match_id))
        self._metrics.given_up.labels(self._label).inc()
        running.match = None
        self._due.add(match_id)
        about = {"match_id": match_id, "shard": self.shard.number}
        logger.error("the match was given up; the dlq says why, field %r", GIVEN_UP_FIELD, extra=about)
        logger.debug("%s", running.lost_reason, extra=about)  # it may name a player

    def _refuse(self, match_id: str, entries: Sequence[Entry], part: Part, reason: str) -> None:
        """Sends them to the dlq; a match that runs remembers that it did, in the same commit."""
        if match_id in self._matches:
            self._due.add(match_id)
        for entry in (entries[place] for place in part.places):
            self._letters.append(Letter(entry.entry, "", reason, entry.event, match_id))

    def _tell(self, match_id: str, told: Told, received: int) -> None:
        if told.signals:
            (self._told if self._matches[match_id].is_pinned else self._due).add(match_id)
            self._signals += [(signal, received) for signal in told.signals]

    def _hear_all(self) -> None:
        """While there is a backlog nothing is idle: what a match waits for may lie in it."""
        now = time.monotonic()
        for running in self._matches.values():
            running.heard = now

    def _rest(self, received: int, asked: float, besides: Collection[str] = ()) -> None:
        """Evaluates matches that are idle.

        Args:
            received: when the last read came back, by the wall clock.
            asked: when it was asked for, by the monotonic clock: what came after that may lie unread.
            besides: matches that are not idle.
        """
        self._rested_at = time.monotonic()
        self._forget()
        for match_id, running in self._matches.items():
            silent_ms = int((asked - running.heard) * 1000)
            if match_id in besides or running.is_over or silent_ms < self._live.idle_flush_ms:
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
                except (ResourceError, MemoryError, OSError):
                    raise
                except Exception as error:
                    running.is_over, running.match = False, self._back(match_id, running)
                    is_known, at = isinstance(error, PipelineError), Entry(running.at, 0, None)
                    self._give_up(match_id, running, str(error) if is_known else self._unforeseen(match_id, at, error))
                else:
                    self._tell(match_id, told, received)
            else:
                continue
            self._due.add(match_id)

    async def _commit_due(self, received: int) -> None:
        """Sends what was told, with the states that must go along and those whose turn it is."""
        is_due = time.monotonic() - self._committed_at >= self._agent.commit_ms / 1000
        self._due.update(self._longest_unwritten())
        if self._letters or self._due or self._signals or is_due:
            await self._commit(received, everything=self._is_all_due)

    def _longest_unwritten(self) -> list[str]:
        """The matches whose turn it is to be written: so many a turn that each is within about `commit_ms`."""
        now = time.monotonic()
        elapsed_ms, self._paced_at = (now - self._paced_at) * 1000, now
        unwritten = [(r.behind.rank, name) for name, r in self._matches.items() if r.behind is not None]
        self._allowance = min(len(unwritten), self._allowance + len(unwritten) * elapsed_ms / self._agent.commit_ms)
        count = int(self._allowance)
        self._allowance -= count
        many = [name for name, r in self._matches.items() if r.unwritten >= self._agent.commit_events]
        return [*many, *(name for _, name in nsmallest(count, unwritten))] if count else many

    async def _commit(self, received: int, *, everything: bool) -> None:
        """Writes what was told, and the state of matches that must be written, or of all that changed."""
        changed = [name for name, running in self._matches.items() if running.behind is not None]
        due = self._due.union(changed) if everything else self._due
        states = {name: self._state(self._matches[name]) for name in sorted(due)}
        told = {name: self._matches[name].at for name in sorted(self._told - due)}
        behind = [r.behind for name, r in self._matches.items() if r.behind is not None and name not in due]
        checkpoint = min(behind, key=lambda at: at.rank, default=self._read)
        if not (states or told or self._letters) and checkpoint == self._written:
            self._committed_at = time.monotonic()
            return
        sent = now_ms()
        signals = [(to_json(signal), self._stamps(signal, at, sent)) for signal, at in self._signals]
        lettered = self._read.entry if is_after(self._read.entry, self._lettered) else self._lettered
        commit = Commit(self._token, checkpoint, states, signals, self._letters, told, lettered)
        await self._streams.commit(self.shard, commit)
        self._written, self._lettered, self._is_all_due = checkpoint, lettered, False
        for match_id, state in states.items():
            running = self._matches[match_id]
            running.committed, running.tail, running.missed, running.behind = dict(state.fields), [], [], None
            running.unwritten = 0
            running.is_pinned = running.match is not None and running.match.model_version is not None
            if running.is_over:
                running.match = None
        self._count(received)
        self._signals, self._letters, self._due, self._told = [], [], set(), set()
        self._committed_at = time.monotonic()

    def _state(self, running: _Running) -> MatchState:
        about = {_AT: running.at.encode(), _FIRST: running.first.encode(), _TRIMMED: str(running.trimmed).encode()}
        if is_after(running.told, running.at):
            about[TOLD] = running.told.encode()
        if running.lost_reason:
            about[_LOST] = running.lost_reason.encode()
        if running.is_over:
            about[_OVER] = b"1"
        if running.match is not None and not (running.lost_reason or running.is_over):
            about = running.match.to_fields() | about
        return MatchState(about, running.missed, running.is_over)

    def _stamps(self, signal: Signal | Ended, read_ms: int, sent_ms: int) -> bytes:
        stamps: dict[str, int | str] = {"read_ms": read_ms, "sent_ms": sent_ms, "shard": self.shard.number}
        if isinstance(signal, Ended):
            running = self._matches[signal.match_id]
            stamps |= {"first": running.first, "last": running.at, "trimmed": running.trimmed}
        return msgspec.json.encode(stamps)

    def _live_matches(self) -> list[LiveMatch]:
        return [running.match for running in self._matches.values() if running.match is not None]

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
        for told, _ in self._signals:
            self._metrics.signals.labels(told.kind).inc()
            if isinstance(told, Signal) and told.kind == "final":
                self._metrics.intents.labels(told.intent).inc()
                for reason in told.review_reasons:
                    self._metrics.reviews.labels(reason).inc()


def _gets_on(running: _Running) -> bool:
    """Whether the match has decided more than when it could not take an event."""
    return running.match is not None and running.match.decided_ms > running.failed_ms


def _behind(part: Part, entries: Sequence[Entry], entry: str) -> Part:
    """The events of a part that come after an entry."""
    first = next((n for n, place in enumerate(part.places) if is_after(entries[place].entry, entry)), len(part))
    return part[first:] if first else part
