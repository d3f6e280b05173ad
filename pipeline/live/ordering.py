"""The reorder buffer: events in as they arrive, out in total order once no earlier one is waited for.

Belongs here: which arrivals count, and the order in which they leave. Does not belong here: how far a match has come
(`watermark`), what an event does (`pipeline.features.kernel`).

Of what is not ahead of the match (`watermark` says what is), an arrival is one of three. At or before the watermark it
is *late or a duplicate*: what left the buffer is forgotten, so the two can't be told apart, and neither may change what
is decided. After the watermark it is a *duplicate* if an event with its id is still held, else it is accepted. Whether
an arrival counts therefore depends on the arrivals before it alone, and accepted events leave in `(t_ms, seq, rank,
event_id)` whatever calls they came in.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.live.watermark import NEVER

Ints = NDArray[np.int64]


class TooManyHeld(PipelineError):
    """More events wait for their turn than `configs/live.yaml` allows."""


class Held(NamedTuple):
    """An event that waits; sorts in total order.

    Attributes:
        event: its row of the kernel's matrix, as bytes.
        telling: payload of a MATCH_STARTED or a ROUND_STARTED.
    """

    t_ms: int
    seq: int
    rank: int
    event_id: str
    event: bytes
    telling: str | None


@dataclass
class Counts:
    """What became of the arrivals of a match."""

    accepted: int = 0
    duplicate: int = 0
    late_or_duplicate: int = 0
    ahead: int = 0


class Reorder:
    """The events of a match that wait for their turn.

    Attributes:
        counts: what became of every arrival.
        latest_ms: the latest time of any accepted event; `NEVER` before the first.
    """

    def __init__(self, most: int) -> None:
        self.counts = Counts()
        self.latest_ms = NEVER
        self._most = most
        self._held: list[Held] = []
        self._times: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, arrived: Sequence[Held], before: Ints, after: Ints) -> NDArray[np.bool_]:
        """Takes arrivals in.

        Args:
            arrived: in the order of their arrival.
            before: the watermark on the arrival of each, (n,).
            after: the watermark after it, (n,).

        Returns:
            Which of them are accepted, (n,).

        Raises:
            TooManyHeld: if after any of them more wait than allowed.
        """
        waiting = len(self._held)
        if self._is_plain(arrived, before):
            self._times.update(zip(map(_id, arrived), map(_time, arrived), strict=True))
            self._held += arrived
            accepted = list(range(len(arrived)))
        else:
            accepted = self._chosen(arrived, before)
        self.counts.accepted += len(accepted)
        self.latest_ms = max(self.latest_ms, max(map(_time, self._held[waiting:]), default=NEVER))
        if len(self._held) > self._most:
            self._check(waiting, accepted, after)
        self._held.sort()
        is_accepted = np.zeros(len(arrived), dtype=np.bool_)
        is_accepted[accepted] = True
        return is_accepted

    def _is_plain(self, arrived: Sequence[Held], before: Ints) -> bool:
        """Whether all are accepted at a glance: none is late, and no id is known or comes twice."""
        if not (np.fromiter(map(_time, arrived), np.int64, len(arrived)) > before).all():
            return False
        ids = set(map(_id, arrived))
        return len(ids) == len(arrived) and self._times.keys().isdisjoint(ids)

    def _chosen(self, arrived: Sequence[Held], before: Ints) -> list[int]:
        """Takes in those that count, one by one; gives their places."""
        accepted: list[int] = []
        for place, (event, mark) in enumerate(zip(arrived, before.tolist(), strict=True)):
            if event.t_ms <= mark:
                self.counts.late_or_duplicate += 1
            elif self._times.get(event.event_id, mark) > mark:
                self.counts.duplicate += 1
            else:
                self._times[event.event_id] = event.t_ms
                self._held.append(event)
                accepted.append(place)
        return accepted

    def release(self, watermark: int) -> list[Held]:
        """The events that it is the turn of, in total order; they and their ids are forgotten."""
        count = bisect_left(self._held, watermark + 1, key=_time)
        released = self._held[:count]
        del self._held[:count]
        for event in released:
            if self._times.get(event.event_id, watermark + 1) <= watermark:
                del self._times[event.event_id]
        return released

    def _check(self, waiting: int, accepted: list[int], after: Ints) -> None:
        """An event waits from its arrival until the watermark reaches it, even if both happen within one call."""
        times = np.array([event.t_ms for event in self._held], dtype=np.int64)
        changes = np.zeros(len(after) + 1, dtype=np.int64)
        changes[0] = waiting
        np.add.at(changes, accepted, 1)
        np.subtract.at(changes, np.searchsorted(after, times), 1)
        most = int(np.cumsum(changes)[:-1].max())
        if most > self._most:
            raise TooManyHeld(
                f"{most} events from {times.min()} to {times.max()} ms wait with the watermark at {after[-1]} ms, "
                f"at most max_held_events = {self._most} may"
            )

    def state(self) -> dict[str, Any]:
        """Everything it remembers, in types that MessagePack knows."""
        return {
            "held": [tuple(event) for event in self._held],
            "latest_ms": self.latest_ms,
            "counts": [
                self.counts.accepted,
                self.counts.duplicate,
                self.counts.late_or_duplicate,
                self.counts.ahead,
            ],
        }

    @classmethod
    def restored(cls, state: Mapping[str, Any], most: int) -> "Reorder":
        """The buffer whose `state` this is."""
        reorder = cls(most)
        reorder.counts = Counts(*state["counts"])
        reorder.latest_ms = state["latest_ms"]
        reorder._held = [Held(*event) for event in state["held"]]
        reorder._times = {event.event_id: event.t_ms for event in reorder._held}
        return reorder


_time = attrgetter("t_ms")
_id = attrgetter("event_id")
