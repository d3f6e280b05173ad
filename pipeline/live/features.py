"""The features of a running match: order, then watermark, then the kernel that evaluates recorded matches.

Belongs here: the chain, and one snapshot of all of it. Does not belong here: each link (`arrivals`, `ordering`,
`watermark`, `pipeline.features.carry`), streams, clocks, and when to take a snapshot.

The promise: whatever calls and order events arrive in, as long as the same ones are accepted, the rows of all calls
together are those of `pipeline.features.match_features` over the accepted events, to the last bit. It holds because

* whether an event is accepted depends on the arrivals before it, not on calls (`ordering`, `watermark`);
* what a call releases is every held event up to the watermark, so the releases of all calls, one after the other, are
  the accepted events in total order;
* how a stretch of events is cut does not show in the kernel, nor does telling it how far time has come.

Names get their index when they first arrive, so players join at any time; what the first MATCH_STARTED tells of title,
map and rosters, and a ROUND_STARTED of round and sides, holds from its place in the total order on (`naming`).
"""

import struct
import zlib
from dataclasses import dataclass
from functools import cache, partial

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from configs import config_hash
from configs.features import FeaturesConfig, load_features
from configs.live import LiveConfig, load_live
from pipeline.features import kernel
from pipeline.features.carry import NO_ROWS, Batch, Carry, Rows, joined
from pipeline.features.cast import Cast
from pipeline.features.match import SpanTooLong, frame
from pipeline.features.pack import NAME_COLUMNS, NAMED, NotOneMatch, from_first_that_matters, opened
from pipeline.features.snapshot import SnapshotMismatch
from pipeline.live.arrivals import Arrivals
from pipeline.live.naming import MATCH_STARTED, Naming, TooManyNames
from pipeline.live.ordering import Counts, Held, Reorder
from pipeline.live.watermark import NEVER, Watermark
from pipeline.versions import code_version

_MAGIC = b"gridmotion live 1\n"
_held = partial(tuple.__new__, Held)  # what `Held._make` does, without a call of Python for each event
_CHECKSUM = struct.Struct("<I")  # CRC-32: tells of torn and damaged bytes


@dataclass(frozen=True)
class Taken:
    """What a call made of its arrivals.

    Attributes:
        rows: of the instants that are thereby decided.
        is_accepted: which arrivals count, (n,); the others are late, duplicates, or too far ahead.
    """

    rows: Rows
    is_accepted: NDArray[np.bool_]


class LiveFeatures:
    """One running match. After an error it is of no use any more: go on from its last snapshot.

    Attributes:
        match_id: of the match.
    """

    def __init__(self, match_id: str, config: FeaturesConfig | None = None, live: LiveConfig | None = None) -> None:
        self.match_id = match_id
        self._config = config or load_features()
        self._live = live or load_live()
        self._places: dict[str, dict[str, int]] = {names: {} for names in NAMED.values()}
        self._carry = Carry(Cast(), self._config)
        self._watermark = Watermark(self._live)
        self._reorder = Reorder(self._live.max_held_events)
        self._naming = Naming(self._live.max_rounds)
        self._is_open = False  # whether a MATCH_STARTED has told what it knows
        self._first_ms = self._decided_ms = NEVER

    @property
    def counts(self) -> Counts:
        """What became of the arrivals."""
        return self._reorder.counts

    @property
    def held(self) -> int:
        """How many events wait for their turn."""
        return len(self._reorder)

    @property
    def cast(self) -> Cast:
        """The names behind the indices of rows."""
        return self._carry.cast

    @property
    def latest_ms(self) -> int:
        """The latest time of any accepted event; `NEVER` before the first."""
        return self._reorder.latest_ms

    @property
    def watermark_ms(self) -> int:
        """The instant up to which no event is waited for any more; `NEVER` before any player acted."""
        return self._watermark.at_ms

    @property
    def decided_ms(self) -> int:
        """The instant up to which rows are decided; `NEVER` before any."""
        return self._decided_ms

    def take(self, arrived: Arrivals) -> Taken:
        """Take events in as they arrive.

        Args:
            arrived: any number of events, in any order of time.

        Raises:
            NotOneMatch: if they are of another match.
            TooManyHeld: if more events wait than configured.
            TooManyNames: if more players, teams, sides or rounds are named than configured.
            SpanTooLong: if the match lasts longer than configured.
            RingFull: if a player has more samples or combat events in a window than configured.
        """
        if arrived.match_id != self.match_id:
            raise NotOneMatch(f"events of {arrived.match_id} for {self.match_id}")
        if not len(arrived):
            return Taken(NO_ROWS, np.zeros(0, dtype=np.bool_))
        events = self._indexed(arrived)
        before = self._watermark.at_ms
        after, is_ahead = self._watermark.observe(
            arrived.t_ms,
            arrived.kind,
            events[:, kernel.ACTOR].astype(np.int64),
            events[:, kernel.TARGET].astype(np.int64),
            len(self._places["players"]),
        )
        if is_ahead.any():
            return self._without(arrived, events, before, after, is_ahead)
        is_accepted = self._hold(arrived, events, before, after)
        return Taken(self._decide(), is_accepted)

    def _without(
        self,
        arrived: Arrivals,
        events: NDArray[np.int32],
        before: int,
        after: NDArray[np.int64],
        is_apart: NDArray[np.bool_],
    ) -> Taken:
        """The arrivals but for some, which don't count: further ahead than any clock may be, they would be the end."""
        self.counts.ahead += int(is_apart.sum())
        is_accepted = ~is_apart
        cuts = np.flatnonzero(np.diff(is_apart)) + 1
        for first, end in zip([0, *cuts.tolist()], [*cuts.tolist(), len(arrived)], strict=True):
            if not is_apart[first]:
                part = slice(first, end)
                mark = before if first == 0 else int(after[first - 1])
                is_accepted[part] = self._hold(arrived[part], events[part], mark, after[part])
        return Taken(self._decide(), is_accepted)

    def _hold(
        self, arrived: Arrivals, events: NDArray[np.int32], before: int, after: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Which of the arrivals count; these wait for their turn."""
        raw, width = events.tobytes(), events.shape[1] * events.itemsize
        rows = [raw[place : place + width] for place in range(0, len(raw), width)]
        return self._reorder.hold(
            list(
                map(
                    _held,
                    zip(
                        arrived.t_ms.tolist(),
                        arrived.seq.tolist(),
                        arrived.rank.tolist(),
                        arrived.event_id,
                        rows,
                        arrived.telling,
                        strict=True,
                    ),
                )
            ),
            np.concatenate([[before], after[:-1]]),
            after,
        )

    def rest(self, silent_ms: int) -> Rows:
        """Evaluate what is known once nothing has arrived for the configured time; the match may go on afterwards.

        The lateness bound is not waited for any more, but the front of the match still decides, so a fast clock moves
        nothing here either.

        Args:
            silent_ms: for how long nothing has arrived, by the caller's clock.
        """
        if silent_ms >= self._live.idle_flush_ms:
            self._watermark.stop_waiting()
        return self._decide()

    def finish(self) -> Rows:
        """The rows that remain when the match is over: every event that waits, through the grid's next instant."""
        if self._reorder.latest_ms != NEVER:
            self._watermark.move_to(-(-self._reorder.latest_ms // self._config.grid_ms) * self._config.grid_ms)
        return self._decide()

    def table(self, *parts: Rows) -> pl.DataFrame:
        """The rows of one or more calls as table `features`."""
        return frame(joined(parts), self._carry.cast, self.match_id)

    def _indexed(self, arrived: Arrivals) -> NDArray[np.int32]:
        """The events with an index for each name; the cast grows by names that are new."""
        events = arrived.events.copy()
        known = self._known()
        texts = arrived.texts
        for column, name, told in zip(NAME_COLUMNS, NAMED, arrived.names.T, strict=True):
            if not (told >= 0).any():
                continue
            places = self._places[NAMED[name]]
            events[:, column] = [
                -1 if place < 0 else places.setdefault(texts[place], len(places)) for place in told.tolist()
            ]
        self._grow(known)
        return events

    def _open(self, payload: str) -> None:
        """What the first MATCH_STARTED tells holds from here on."""
        self._is_open = True
        self._carry.grow(opened(self._carry.cast, payload))

    def _decide(self) -> Rows:
        """The kernel takes in what the watermark releases, and evaluates up to it, as soon as an instant is due."""
        grid_ms = self._config.grid_ms
        if self._watermark.at_ms // grid_ms == self._decided_ms // grid_ms:
            return NO_ROWS
        released = self._reorder.release(self._watermark.at_ms)
        rows = np.frombuffer(bytearray(b"".join(event.event for event in released)), dtype=np.int32)
        rows = rows.reshape(-1, kernel.EVENT_COLUMNS)
        known = self._known()
        self._naming.fill(released, rows, self._places)
        self._grow(known)
        batch = Batch(np.array([event.t_ms for event in released], dtype=np.int64), rows)
        parts = []
        if not self._is_open:
            opening = next((place for place, event in enumerate(released) if event.rank == MATCH_STARTED), None)
            if opening is not None:
                parts.append(self._advance(batch[:opening], until_ms=released[opening].t_ms - 1))
                self._open(str(released[opening].telling))
                batch = batch[opening:]
        parts.append(self._advance(batch, until_ms=self._watermark.at_ms))
        return joined(parts)

    def _known(self) -> list[int]:
        return [len(places) for places in self._places.values()]

    def _grow(self, known: list[int]) -> None:
        """The cast grows if more names are known by now."""
        if known != self._known():
            if max(self._known()) > self._live.max_names:
                raise TooManyNames(f"more than max_names = {self._live.max_names} players, teams or sides are named")
            self._carry.grow(self._carry.cast.grown(**self._places))

    def _advance(self, batch: Batch, until_ms: int) -> Rows:
        if self._first_ms == NEVER:
            batch = from_first_that_matters(batch)
            if not len(batch):
                return NO_ROWS
            self._first_ms = int(batch.t_ms[0])
        last = max(until_ms, int(batch.t_ms[-1]) if len(batch) else NEVER)
        if last - self._first_ms > self._config.max_span_ms:
            raise SpanTooLong(
                f"{self.match_id}: events from {self._first_ms} to {last} ms, at most {self._config.max_span_ms}"
            )
        grid = self._config.grid_ms
        if not len(batch) and until_ms // grid == self._decided_ms // grid:
            return NO_ROWS
        self._decided_ms = until_ms
        return self._carry.advance(batch, until_ms=until_ms)

    def to_bytes(self) -> bytes:
        """A snapshot of everything: who is known, what waits, how far the match has come, what the kernel remembers."""
        body = msgspec.msgpack.encode(
            {
                "code": _code(),
                "config": _bounds(self._live, self._config),
                "match_id": self.match_id,
                "places": {kind: list(places) for kind, places in self._places.items()},
                "is_open": self._is_open,
                "times": [self._first_ms, self._decided_ms],
                "watermark": self._watermark.state(),
                "reorder": self._reorder.state(),
                "naming": self._naming.state(),
                "carry": self._carry.to_bytes(),
            }
        )
        return b"".join((_MAGIC, _CHECKSUM.pack(zlib.crc32(body)), body))

    @classmethod
    def from_bytes(
        cls, snapshot: bytes, config: FeaturesConfig | None = None, live: LiveConfig | None = None
    ) -> "LiveFeatures":
        """The match that `to_bytes` wrote, ready to go on to the same rows as the original.

        Raises:
            SnapshotMismatch: if the bytes are no whole snapshot, or one of other code or other configuration.
        """
        start = len(_MAGIC) + _CHECKSUM.size
        body = snapshot[start:]
        if snapshot[:start] != _MAGIC + _CHECKSUM.pack(zlib.crc32(body)):
            raise SnapshotMismatch("these bytes are no whole snapshot of a running match")
        state = msgspec.msgpack.decode(body)
        match = cls(state["match_id"], config, live)
        for what, ours in (("code", _code()), ("config", _bounds(match._live, match._config))):
            if state[what] != ours:
                raise SnapshotMismatch(f"the snapshot was taken with {what} {state[what]}, this is {what} {ours}")
        match._places = {
            kind: {name: place for place, name in enumerate(names)} for kind, names in state["places"].items()
        }
        match._is_open = state["is_open"]
        match._first_ms, match._decided_ms = state["times"]
        match._watermark = Watermark.restored(state["watermark"], match._live)
        match._reorder = Reorder.restored(state["reorder"], match._live.max_held_events)
        match._naming = Naming.restored(state["naming"], match._live.max_rounds)
        match._carry = Carry.from_bytes(state["carry"], match._config)
        return match


@cache
def _code() -> str:
    """Names the code that the state depends on, beside the kernel's, which names itself."""
    return code_version("live", "features/pack.py", "events/matches.py")


@cache
def _bounds(live: LiveConfig, config: FeaturesConfig) -> str:
    return config_hash(live, config)
