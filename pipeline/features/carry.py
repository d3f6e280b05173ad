"""What the kernel remembers between two calls: the last window of each player and the running round.

Belongs here: the state's arrays, their sizes and growth, and the call that advances them. Does not belong here: what
the numbers mean (`kernel`), how frames become events (`pack`), the state in bytes (`snapshot`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from configs.features import FeaturesConfig
from pipeline.errors import PipelineError
from pipeline.features import kernel, snapshot
from pipeline.features.cast import Cast
from pipeline.features.snapshot import SnapshotMismatch

__all__ = [
    "NO_ROWS",
    "Batch",
    "Carry",
    "CarrySpent",
    "Cast",
    "CastMismatch",
    "OutOfOrder",
    "RingFull",
    "Rows",
    "SnapshotMismatch",
    "ValueTooBig",
    "joined",
]


class OutOfOrder(PipelineError):
    """An event is older than one already taken in, or than an instant already decided."""


class RingFull(PipelineError):
    """A player has more samples or combat events within one window than `configs/features.yaml` allows."""


class ValueTooBig(PipelineError):
    """Damage, health or armour is beyond what a row holds exactly."""


class CastMismatch(PipelineError):
    """An event names somebody whom the carry's cast lacks, or a cast is no growth of the one before."""


class CarrySpent(PipelineError):
    """An earlier call failed half way, so the state is that of no instant."""


@dataclass(frozen=True)
class Batch:
    """Events in total order.

    Attributes:
        t_ms: (n,) int64.
        events: (n, `kernel.EVENT_COLUMNS`) int32, C order.
    """

    t_ms: NDArray[np.int64]
    events: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.t_ms)

    def __getitem__(self, part: slice) -> "Batch":
        return Batch(self.t_ms[part], self.events[part])


@dataclass(frozen=True)
class Rows:
    """Feature rows, by instant and within it by the player's name.

    Attributes:
        keys: (rows, `kernel.KEY_COLUMNS`) int64.
        values: (`kernel.FEATURE_COUNT`, rows) float32 in the declared order of features, NaN is null; integers are
            exact.
    """

    keys: NDArray[np.int64]
    values: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.keys)


NO_ROWS = Rows(np.empty((0, kernel.KEY_COLUMNS), dtype=np.int64), np.empty((kernel.FEATURE_COUNT, 0), dtype=np.float32))


def joined(parts: Iterable[Rows]) -> Rows:
    """The rows of several calls, one after the other."""
    filled = [part for part in parts if len(part)]
    if len(filled) < 2:
        return filled[0] if filled else NO_ROWS
    return Rows(
        np.concatenate([part.keys for part in filled]), np.concatenate([part.values for part in filled], axis=1)
    )


def ring_size(per_second: int, window_ms: int) -> int:
    """The power of two that holds a window at that rate: the kernel finds a slot by masking."""
    return 1 << max(1, (-(-per_second * window_ms // 1000) - 1).bit_length())


class Carry:
    """The kernel's state of one match. `advance` changes it in place.

    Attributes:
        cast: the names behind its indices.
    """

    def __init__(self, cast: Cast, config: FeaturesConfig) -> None:
        """The state before a match's first event."""
        self.cast = Cast()
        self._config = config
        self._is_spent = False
        self._limits = np.array([*(getattr(config, name) for name in kernel.LIMITS), *config.radii_mm], dtype=np.int64)
        self._match = np.zeros(kernel.MATCH_FIELDS, dtype=np.int64)
        self._match[[kernel.NEXT, kernel.LATEST, kernel.LIVE_SINCE, kernel.PLANTED_AT]] = kernel.NEVER
        self._match[kernel.ROUND_NOW] = kernel.NULL
        samples = ring_size(config.max_samples_per_s, config.long_window_ms)
        combat = ring_size(config.max_combat_events_per_s, config.long_window_ms)
        self._teams = np.empty((0, kernel.TEAM_FIELDS), dtype=np.int64)
        self._players = np.empty((0, kernel.PLAYER_FIELDS), dtype=np.int64)
        self._samples = np.empty((0, samples, kernel.SAMPLE_FIELDS), dtype=np.int64)
        self._combat = np.empty((0, combat, kernel.COMBAT_FIELDS), dtype=np.int64)
        self._values = np.empty(kernel.FEATURE_COUNT, dtype=np.float64)
        self.grow(cast)

    def grow(self, cast: Cast) -> None:
        """Take in players, teams and sides that appear later, and objectives as soon as they are told.

        What is remembered of everyone stays; what the cast tells of the map holds from here on.

        Raises:
            CastMismatch: if the cast is no growth of the present one.
        """
        if not cast.extends(self.cast):
            raise CastMismatch("a cast can only grow: every index that it had must mean the same")
        teams = np.empty((len(cast.teams), kernel.TEAM_FIELDS), dtype=np.int64)
        teams[:] = (kernel.NEVER, -1)
        players = np.zeros((len(cast.players), kernel.PLAYER_FIELDS), dtype=np.int64)
        players[:, [kernel.TEAM_NOW, kernel.SIDE_NOW]] = -1
        players[:, kernel.UNSEEN] = kernel.NEVER
        players[:, kernel.UNTOLD] = kernel.NULL
        self._teams = _after(self._teams, teams)
        self._players = _after(self._players, players)
        self._samples = _after(self._samples, np.empty((len(cast.players), *self._samples.shape[1:]), dtype=np.int64))
        self._combat = _after(self._combat, np.empty((len(cast.players), *self._combat.shape[1:]), dtype=np.int64))
        self._attackers = np.array(cast.attackers, dtype=np.int64)
        self._order = np.array(sorted(range(len(cast.players)), key=cast.players.__getitem__), dtype=np.int64)
        self._distances = np.empty(len(cast.players), dtype=np.float64)
        self._objectives = np.array(cast.objectives, dtype=np.int64).reshape(-1, 3)
        self._match[kernel.NO_FREEZE] = cast.no_freeze
        self.cast = cast

    def advance(self, batch: Batch, *, until_ms: int | None = None) -> Rows:
        """Take events in, and give the rows of the instants that are thereby decided.

        An instant is decided by an event later than it, or by `until_ms`. Events of one millisecond may come in one
        call or in several.

        Args:
            batch: events in total order, none older than those taken in before, all of the present cast.
            until_ms: no event at or before this instant will come any more.

        Raises:
            OutOfOrder: if an event is older than one before it, or than an instant already decided. Nothing was taken
                in, and the carry is as it was.
            RingFull: if a player has more samples or combat events in a window than configured. This and what follows
                spends the carry: go on from a snapshot.
            CastMismatch: if an event names an index that the cast does not have.
            ValueTooBig: if an integer of a row is beyond what float32 holds exactly.
            CarrySpent: if an earlier call spent the carry.
        """
        self._must_be_whole()
        until = kernel.NEVER if until_ms is None else until_ms
        rows = self._most_rows(batch, until)
        keys = np.empty((rows, kernel.KEY_COLUMNS), dtype=np.int64)
        values = np.empty((kernel.FEATURE_COUNT, rows), dtype=np.float32)
        written, status, at = kernel.run(
            batch.t_ms,
            batch.events,
            until,
            self._limits,
            self._objectives,
            self._attackers,
            self._order,
            self._match,
            self._teams,
            self._players,
            self._samples,
            self._combat,
            self._values,
            self._distances,
            keys,
            values,
        )
        if status != kernel.DONE:
            self._fail(status, batch, at)
        return Rows(keys[:written], values[:, :written])

    def _most_rows(self, batch: Batch, until: int) -> int:
        """No more rows than these can follow: every player at every instant, and only while not absent."""
        config, players, events = self._config, len(self.cast.players), len(batch.t_ms)
        first, last = int(self._match[kernel.NEXT]), until
        if events:
            first = int(batch.t_ms[0]) if first == kernel.NEVER else first
            last = max(last, int(batch.t_ms[-1]))
        if first == kernel.NEVER or last < first:
            return 0
        instants = (last - first) // config.grid_ms + 1
        return min(instants * players, (events + players) * (config.absent_ms // config.grid_ms + 1))

    def _must_be_whole(self) -> None:
        if self._is_spent:
            raise CarrySpent("an earlier call failed half way through its events; go on from a snapshot")

    def _fail(self, status: int, batch: Batch, at: int) -> NoReturn:
        t = int(batch.t_ms[at]) if at >= 0 else int(self._match[kernel.NEXT])
        if status == kernel.OUT_OF_ORDER:
            latest, following = self._match[kernel.LATEST], self._match[kernel.NEXT]
            raise OutOfOrder(
                f"event at {t} ms: the newest event before it is at {max(latest, batch.t_ms[: at + 1].max())} ms and "
                f"instants before {following} ms are decided"
            )
        self._is_spent = True
        if status == kernel.TOO_BIG:
            raise ValueTooBig(f"by {t} ms damage, health or armour is beyond {kernel.BIGGEST}")
        event = batch.events[at]
        if status == kernel.NOT_IN_CAST:
            named = [int(event[field]) for field in (kernel.ACTOR, kernel.TARGET, kernel.TEAM, kernel.SIDE)]
            raise CastMismatch(f"event at {t} ms names actor, target, team, side {named}, which the cast lacks")
        who = kernel.TARGET if status == kernel.COMBAT_FULL_OF_TARGET else kernel.ACTOR
        field = "max_samples_per_s" if status == kernel.SAMPLES_FULL else "max_combat_events_per_s"
        raise RingFull(
            f"{self.cast.players[event[who]]} at {t} ms: a window of {self._config.long_window_ms} ms holds more than "
            f"{field} = {getattr(self._config, field)} allows"
        )

    def to_bytes(self) -> bytes:
        """A snapshot: the cast, the fixed state, and of the rings what is in use.

        Raises:
            CarrySpent: if an earlier call spent the carry.
        """
        self._must_be_whole()
        fixed = (self._match, self._teams, self._players)
        rings = (ring[slots] for ring, slots in self._used())
        return snapshot.pack(self.cast, self._config, (*fixed, *rings))

    @classmethod
    def from_bytes(cls, data: bytes, config: FeaturesConfig) -> "Carry":
        """The state that `to_bytes` wrote, ready to advance to the same rows as the original.

        Raises:
            SnapshotMismatch: if the bytes are no whole snapshot, or one of another kernel or other limits.
        """
        cast, words = snapshot.unpack(data, config)
        carry = cls(cast, config)
        for state in (carry._match, carry._teams, carry._players):
            state.reshape(-1)[:] = words[: state.size]
            words = words[state.size :]
        for ring, slots in carry._used():
            size = len(slots) * ring.shape[1]
            ring[slots] = words[:size].reshape(-1, ring.shape[1])
            words = words[size:]
        return carry

    def _used(self) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """The rings as rows of entries, and which of these rows are in use: player by player, oldest first."""
        rings = []
        for ring, head in ((self._samples, kernel.SAMPLES_HEAD), (self._combat, kernel.COMBAT_HEAD)):
            first, size = self._players[:, head], ring.shape[1]
            counts = self._players[:, head + 1] - first
            ends = counts.cumsum()
            entry = np.arange(counts.sum()) + (first - ends + counts).repeat(counts)
            slots = (entry & (size - 1)) + (np.arange(len(counts)) * size).repeat(counts)
            rings.append((ring.reshape(-1, ring.shape[2]), slots))
        return rings


def _after(old: NDArray[np.int64], new: NDArray[np.int64]) -> NDArray[np.int64]:
    """The new array with the old one's rows in front."""
    new[: len(old)] = old
    return new
