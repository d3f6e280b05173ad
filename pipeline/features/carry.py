"""What the kernel remembers between two calls: the last window of each player and the running round.

Belongs here: the state's arrays, their sizes, their snapshot in bytes, and the call that advances them.
Does not belong here: what the numbers mean (`kernel`), how frames become events (`pack`), when to take a snapshot.
"""

import json
from dataclasses import astuple, dataclass
from functools import cached_property
from hashlib import sha256
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from configs import config_hash
from configs.features import FeaturesConfig
from pipeline.errors import PipelineError
from pipeline.features import kernel
from pipeline.versions import code_version

_MAGIC = b"gridmotion carry 1\n"


class OutOfOrder(PipelineError):
    """An event is older than one already taken in, or than an instant already decided."""


class RingFull(PipelineError):
    """A player has more samples or combat events within one window than `configs/features.yaml` allows."""


class SnapshotMismatch(PipelineError):
    """The bytes are no snapshot, or one of another kernel or other limits."""


@dataclass(frozen=True)
class Cast:
    """Who plays, for whom, around what: the names behind the kernel's indices.

    Attributes:
        players: player ids, sorted.
        teams: team ids, sorted.
        sides: sides in the source's words, sorted.
        attackers: per side: 1 attacks, 0 defends, -1 neither.
        rosters: per player: index of the team that a roster names, -1 where none does.
        objectives: x, y, z in mm of each objective of the map; y is `kernel.NULL` in a planar source.
    """

    players: tuple[str, ...]
    teams: tuple[str, ...]
    sides: tuple[str, ...]
    attackers: tuple[int, ...]
    rosters: tuple[int, ...]
    objectives: tuple[tuple[int, int, int], ...]


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
    """Feature rows, by instant and within it by player.

    Attributes:
        keys: (rows, `kernel.KEY_COLUMNS`) int64.
        values: (`kernel.FEATURE_COUNT`, rows) float64 in the declared order of features; NaN is null.
    """

    keys: NDArray[np.int64]
    values: NDArray[np.float64]


def _ring(per_second: int, window_ms: int) -> int:
    """The power of two that holds a window at that rate: the kernel finds a slot by masking."""
    return 1 << (-(-per_second * window_ms // 1000) - 1).bit_length()


class Carry:
    """The kernel's state of one match. `advance` changes it in place; after an error it is of no use any more.

    Attributes:
        cast: the names behind its indices.
    """

    def __init__(self, cast: Cast, config: FeaturesConfig) -> None:
        samples = _ring(config.max_samples_per_s, config.window_ms)
        combat = _ring(config.max_combat_events_per_s, config.window_ms)
        players = len(cast.players)
        self.cast = cast
        self._config = config
        self._limits = np.array([getattr(config, name) for name in kernel.LIMITS], dtype=np.int64)
        self._objectives = np.array(cast.objectives, dtype=np.int64).reshape(-1, 3)
        self._attackers = np.array(cast.attackers, dtype=np.int64)
        self._match = np.zeros(kernel.MATCH_FIELDS, dtype=np.int64)
        self._teams = np.empty((len(cast.teams), kernel.TEAM_FIELDS), dtype=np.int64)
        self._players = np.zeros((players, kernel.PLAYER_FIELDS), dtype=np.int64)
        self._samples = np.zeros((players, samples, kernel.SAMPLE_FIELDS), dtype=np.int64)
        self._maxima = np.zeros((players, 2, samples, kernel.MAXIMUM_FIELDS), dtype=np.int64)
        self._combat = np.zeros((players, combat, kernel.COMBAT_FIELDS), dtype=np.int64)

        never = [kernel.NEXT, kernel.LATEST, kernel.LIVE_SINCE, kernel.PLANTED_AT]
        self._match[never] = kernel.NEVER
        self._match[kernel.ROUND_NOW] = kernel.NULL
        self._teams[:] = (kernel.NEVER, -1)
        self._players[:, [kernel.SEEN_AT, kernel.PLANTS_SINCE, kernel.DEFUSES_SINCE]] = kernel.NEVER
        self._players[:, [kernel.HP_NOW, kernel.HAS_BOMB_NOW]] = kernel.NULL
        self._players[:, kernel.SIDE_NOW] = -1
        self._players[:, kernel.TEAM_NOW] = cast.rosters

    def advance(self, batch: Batch, *, until_ms: int | None = None) -> Rows:
        """Take events in, and give the rows of the instants that are thereby decided.

        An instant is decided by an event later than it, or by `until_ms`. Events of one millisecond may come in one
        call or in several.

        Args:
            batch: events in total order, none older than those taken in before.
            until_ms: no event at or before this instant will come any more.

        Raises:
            OutOfOrder: if an event is older than one before it, or than an instant already decided.
            RingFull: if a player has more samples or combat events in a window than configured.
        """
        until = kernel.NEVER if until_ms is None else until_ms
        rows = self._most_instants(batch, until) * len(self.cast.players)
        keys = np.empty((rows, kernel.KEY_COLUMNS), dtype=np.int64)
        values = np.empty((kernel.FEATURE_COUNT, rows), dtype=np.float64)
        written, status, at = kernel.run(
            batch.t_ms,
            batch.events,
            until,
            self._limits,
            self._objectives,
            self._attackers,
            self._match,
            self._teams,
            self._players,
            self._samples,
            self._maxima,
            self._combat,
            keys,
            values,
        )
        if status != kernel.DONE:
            self._fail(status, batch.events[at], int(batch.t_ms[at]))
        return Rows(keys[:written], values[:, :written])

    def _most_instants(self, batch: Batch, until: int) -> int:
        first, last = int(self._match[kernel.NEXT]), until
        if len(batch):
            first = int(batch.t_ms[0]) if first == kernel.NEVER else first
            last = max(last, int(batch.t_ms[-1]))
        return 0 if first == kernel.NEVER else max(0, (last - first) // self._config.grid_ms + 1)

    def _fail(self, status: int, event: NDArray[np.int32], t: int) -> NoReturn:
        if status == kernel.OUT_OF_ORDER:
            raise OutOfOrder(
                f"event at {t} ms: the newest event taken in is at {self._match[kernel.LATEST]} ms and "
                f"instants before {self._match[kernel.NEXT]} ms are decided"
            )
        who = kernel.ACTOR if status in (kernel.SAMPLES_FULL, kernel.COMBAT_FULL_OF_ACTOR) else kernel.TARGET
        field = "max_samples_per_s" if status == kernel.SAMPLES_FULL else "max_combat_events_per_s"
        raise RingFull(
            f"{self.cast.players[event[who]]} at {t} ms: a window of {self._config.window_ms} ms holds more than "
            f"{field} = {getattr(self._config, field)} allows"
        )

    def to_bytes(self) -> bytes:
        """A snapshot: two lines that say what it is and sign it, then the state, of the rings only what is in use."""
        states = [self._match, self._teams, self._players, *(ring[slots] for ring, slots in self._used())]
        body = self._header + b"".join(part.tobytes() for part in states)
        return _MAGIC + sha256(body).digest() + body

    @classmethod
    def from_bytes(cls, snapshot: bytes, config: FeaturesConfig) -> "Carry":
        """The state that `to_bytes` wrote, ready to advance to the same rows as the original.

        Raises:
            SnapshotMismatch: if the bytes are no whole snapshot, or one of another kernel or other limits.
        """
        start = len(_MAGIC) + sha256().digest_size
        body = snapshot[start:]
        if snapshot[:start] != _MAGIC + sha256(body).digest():
            raise SnapshotMismatch("these bytes are no whole snapshot of feature state")
        head, _, rest = body.partition(b"\n")
        header = json.loads(head)
        for what, ours in (("code", code_version("features/kernel.py")), ("config", config_hash(config))):
            if header[what] != ours:
                raise SnapshotMismatch(f"the snapshot was taken with {what} {header[what]}, this is {what} {ours}")
        players, teams, sides, attackers, rosters, objectives = (tuple(part) for part in header["cast"])
        carry = cls(Cast(players, teams, sides, attackers, rosters, tuple(map(tuple, objectives))), config)
        words = np.frombuffer(rest, dtype=np.int64)
        for state in (carry._match, carry._teams, carry._players):
            state[...] = words[: state.size].reshape(state.shape)
            words = words[state.size :]
        for ring, slots in carry._used():
            size = len(slots) * ring.shape[1]
            ring[slots] = words[:size].reshape(-1, ring.shape[1])
            words = words[size:]
        return carry

    @cached_property
    def _header(self) -> bytes:
        header = {
            "code": code_version("features/kernel.py"),
            "config": config_hash(self._config),
            "cast": astuple(self.cast),
        }
        return json.dumps(header, separators=(",", ":")).encode() + b"\n"

    def _used(self) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Each ring with its slots in use, oldest first."""
        rings = []
        for p, state in enumerate(self._players):
            for ring, head in (
                (self._samples[p], kernel.SAMPLES_HEAD),
                (self._maxima[p, 0], kernel.SPEED_HEAD),
                (self._maxima[p, 1], kernel.GAP_HEAD),
                (self._combat[p], kernel.COMBAT_HEAD),
            ):
                rings.append((ring, np.arange(state[head], state[head + 1]) & (len(ring) - 1)))
        return rings
