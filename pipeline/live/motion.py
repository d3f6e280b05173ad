"""Which ended segments of running matches ask for motion, in which order, and which of them no more.

Belongs here: the queue as a value, what is urgent, what is shed. Does not belong here: how a body moves
(`pipeline.motion`), streams and what is told of a clip (`resources.motion_queue`), runs (`assets/live_motion.py`).

A segment that people would be asked about before or after is not shown while the match runs: one of a sensitive intent
waits for its review, a doubtful one shows what nobody is sure of. That chance picked it for the audit is no doubt.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import msgspec

from configs.live import MotionQueueConfig
from configs.motion import Weights, load_motion
from pipeline.live.signals import Signal
from pipeline.motion.moments import WORDS

_NO_DOUBT = frozenset(("audit",))


class Wish(msgspec.Struct, frozen=True, array_like=True):
    """A segment that asks for motion.

    Attributes:
        entry: of the stream of signals, where its `final` stands.
        segment_id: as in table `segments`.
        match_id: likewise.
        told_ms: when its `final` was added to its stream, by the clock of the stream's server, ms since 1970 UTC.
        interest: what a segment of its intent is worth (`moments.weights` of configs/motion.yaml), times confidence.
    """

    entry: str
    segment_id: str
    match_id: str
    told_ms: int
    interest: float


@dataclass(frozen=True)
class Sorted:
    """The wishes that wait, and those that wait no more.

    Attributes:
        waiting: most urgent first.
        stale: ended so long ago that their clips are no news.
        surplus: the least urgent of too many.
    """

    waiting: tuple[Wish, ...]
    stale: tuple[Wish, ...]
    surplus: tuple[Wish, ...]


@dataclass(frozen=True)
class Batch:
    """The wishes that one run fulfils.

    Attributes:
        match_id: of all of them.
        wishes: most urgent first.
        priority: of the run, from 1 on.
    """

    match_id: str
    wishes: tuple[Wish, ...]
    priority: int


def wish(entry: str, signal: Signal, told_ms: int, weights: Weights | None = None) -> Wish | None:
    """The wish of a segment that has ended; None if it is not for motion yet, or of a signal that is no `final`.

    Args:
        entry: of the signal.
        signal: the signal.
        told_ms: when it was added to its stream, by the clock of the stream's server.
        weights: what moments are worth; `configs/motion.yaml` if None.
    """
    if signal.kind != "final" or not _NO_DOUBT.issuperset(signal.review_reasons):
        return None
    worth = _worth(weights or load_motion().moments.weights, signal.intent)
    return Wish(entry, signal.segment_id, signal.match_id, told_ms, round(worth * signal.confidence, 6))


def _worth(weights: Weights, intent: str) -> float:
    name = "duel" if WORDS[intent] == "duel" else intent
    return float(getattr(weights, name))


def urgency(of: Wish, now_ms: int, config: MotionQueueConfig) -> float:
    """What a wish is worth now: its interest, half of it after each half-life."""
    return float(of.interest * 0.5 ** (max(0, now_ms - of.told_ms) / config.half_life_ms))


def sort_out(wishes: Sequence[Wish], now_ms: int, config: MotionQueueConfig) -> Sorted:
    """Which wishes wait on.

    Args:
        wishes: all there are, each segment once or more.
        now_ms: clock of the server whose stream tells of them, in ms since 1970 UTC; clocks of agents decide nothing.
        config: how many may wait, and for how long.
    """
    each = {known.segment_id: known for known in wishes}.values()
    stale = tuple(known for known in each if now_ms - known.told_ms >= config.stale_ms)
    fresh = [known for known in each if now_ms - known.told_ms < config.stale_ms]
    fresh.sort(key=lambda known: (-urgency(known, now_ms, config), known.segment_id))
    return Sorted(tuple(fresh[: config.most_waiting]), stale, tuple(fresh[config.most_waiting :]))


def batches(
    waiting: Sequence[Wish], now_ms: int, places: int, config: MotionQueueConfig, weights: Weights | None = None
) -> list[Batch]:
    """What further runs are requested for: the match of the most urgent wish first, each run for one match.

    Args:
        waiting: most urgent first.
        now_ms: as for `sort_out`.
        places: how many runs may be requested.
        config: how much a run does, and when a segment is ripe.
        weights: what moments are worth; `configs/motion.yaml` if None.
    """
    weights = weights or load_motion().moments.weights
    most = max(float(value) for value in weights.model_dump().values())
    ripe = [known for known in waiting if now_ms - known.told_ms >= config.ripe_ms]
    found: list[Batch] = []
    while ripe and len(found) < places:
        first = ripe[0]
        chosen = tuple(known for known in ripe if known.match_id == first.match_id)[: config.clips_per_run]
        share = urgency(first, now_ms, config) / most
        found.append(
            Batch(first.match_id, chosen, max(1, min(config.most_priority, round(share * config.most_priority))))
        )
        ripe = without(ripe, chosen)
    return found


def without(wishes: Sequence[Wish], others: Collection[Wish]) -> list[Wish]:
    """The wishes that are not among the others."""
    gone = {other.segment_id for other in others}
    return [known for known in wishes if known.segment_id not in gone]
