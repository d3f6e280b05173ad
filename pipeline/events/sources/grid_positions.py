"""The positions that a GRID game's states show, as columns.

Of each transaction the last state that stands gives one POSITION_UPDATE per living player, except where the position
has not changed for less than the limit of `configs/events.yaml`. They follow the transaction's events in `seq`.
GRID's positions are planar, so `y_mm` is null; there is no view direction. A new round puts players at their spawns,
so a state that still shows exactly a player's last position of the round before (or, after a round in which no
position was told, that of the new round's first state) has not been sampled since: it gives no position until it
changes, lest a player seem to leap across the map when the round goes live.

`has_bomb` is told from the first state on in which an inventory of the match shows the bomb; before, an inventory
without it may only mean that the feed does not list bombs, so it stays null.

Belongs here: from snapshots to rows of drafts. Does not belong here: events (`grid_story`), which position is a new
sample (`grid_positions_kernel`), where states come from (`grid_facts`, `grid_deltas`).
"""

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from configs.events import EventsConfig
from configs.titles import Title
from pipeline.events.drafts import SCHEMA
from pipeline.events.sources.grid_facts import DERIVED_ID, MOST_PLACES, Fact
from pipeline.events.sources.grid_positions_kernel import FRESH, SAMPLE, UNBELIEVABLE, judge
from pipeline.events.sources.grid_snapshots import UNKNOWN_ITEMS, Cast, Columns
from pipeline.events.units import title_mm

Point = tuple[int, int | None, int]


class Sight(msgspec.Struct, gc=False):
    """What a transaction shows of its game.

    Attributes:
        fact: the event whose state it is, or of a transaction without one that begins a round its first event.
        t_ms: match time.
        begins_round: whether a round begins with it.
    """

    fact: Fact
    t_ms: int
    begins_round: bool


class Positions:
    """Where the players of one game are, transaction by transaction."""

    def __init__(
        self,
        match_id: str,
        titles: Sequence[Title],
        sights: Sequence[Sight],
        columns: Columns,
        config: EventsConfig,
    ) -> None:
        """Judges every position.

        Args:
            match_id: the match.
            titles: whose units, as known with each sight.
            sights: its transactions that have a state or begin a round, in the order of the feed.
            columns: rows of the log.
            config: limits.
        """
        self._match_id, self._sights, self._max_amount = match_id, sights, config.validity.max_amount
        casts: list[Cast | None] = [s.fact.snapshot.cast if s.fact.snapshot else None for s in sights]
        counts = np.array([len(cast.players) if cast else 0 for cast in casts], np.int64)
        starts = np.array([s.fact.snapshot.first if s.fact.snapshot else 0 for s in sights], np.int64)
        self._first = np.cumsum(counts) - counts
        self._state = np.repeat(np.arange(len(sights)), counts)
        self._place = np.arange(len(self._state)) - self._first[self._state]
        rows = starts[self._state] + self._place
        self._values, self._items = columns.values[rows], columns.items[rows]
        self._entries = _Entries()
        numbers = [self._entries.of(cast) for cast in casts if cast is not None]
        self._players = np.concatenate([n.players for n in numbers]) if numbers else np.empty(0, np.int64)
        self._members = np.concatenate([n.members for n in numbers]) if numbers else np.empty(0, np.int64)
        self._mm = _mm(titles, counts, self._values, config.validity.max_position_m)
        self._verdict = judge(
            self._first,
            np.array([s.t_ms for s in sights], np.int64),
            np.array([s.begins_round for s in sights], np.bool_),
            columns.is_told[rows],
            self._players,
            self._values,
            self._mm,
            MOST_PLACES,
            config.snapshots.unchanged_ms,
        )
        self._is_sample = (self._verdict & SAMPLE) != 0
        self._rows_before = np.append(self._first, len(rows))
        self._samples_before: list[int] = np.append(0, np.cumsum(self._is_sample))[self._rows_before].tolist()
        with_bomb = self._state[self._items == 1]
        self._bomb_from = with_bomb[0] if len(with_bomb) else len(sights)
        self._table = _table(sights)
        self._sight_of = {s.fact.sequence: number for number, s in enumerate(sights) if s.fact.snapshot is not None}

    def at(self, sequence: int, player: str | None) -> Point | None:
        """Where a living player is after a transaction, in millimetres; None where that is not known."""
        if player is None or not player.startswith("player:") or (sight := self._sight_of.get(sequence)) is None:
            return None
        snapshot = self._sights[sight].fact.snapshot
        place = None if snapshot is None else snapshot.cast.place.get(player)
        if place is None or not self._verdict[row := int(self._first[sight]) + place] & FRESH:
            return None
        x, y, z = self._mm[row].tolist()
        return int(x), None if y != y else int(y), int(z)

    def unbelievable(self) -> list[tuple[Fact, str, list[float]]]:
        """Positions that are not believed: the event that shows each, the player, and what it says."""
        found = []
        for row in np.flatnonzero(self._verdict == UNBELIEVABLE).tolist():
            fact = self._sights[self._state[row]].fact
            if fact.snapshot is not None:
                player = fact.snapshot.cast.players[self._place[row]].player
                found.append((fact, player, self._values[row, :2].tolist()))
        return found

    @property
    def sample_count(self) -> int:
        """How many samples there are."""
        return self.count(0, len(self._sights))

    def count(self, first: int, end: int) -> int:
        """How many samples the sights from `first` to before `end` give."""
        return self._samples_before[end] - self._samples_before[first]

    def frame(self, first: int, end: int) -> pl.DataFrame:
        """The samples of the sights from `first` to before `end` as drafts."""
        rows = np.flatnonzero(self._is_sample[self._rows_before[first] : self._rows_before[end]])
        rows += self._rows_before[first]
        states = self._state[rows] - first
        members = pl.DataFrame(self._entries.members, schema={"actor": pl.String, "team": pl.String}, orient="row")
        members = members.with_columns(short=pl.col("actor").str.strip_prefix("player:"))
        health, armor = (_amounts(self._values[rows, column], self._max_amount) for column in (3, 4))
        frame = pl.concat(
            [self._table[first:end][states], members[self._members[rows]]], how="horizontal"
        ).with_columns(
            pl.Series("row", self._place[rows]),
            hp=health,
            armor=armor,
            **{
                f"{axis}_mm": pl.Series(self._mm[rows, k], nan_to_null=True).cast(pl.Int32)
                for k, axis in enumerate("xyz")
            },
            has_bomb=self._has_bomb(rows),
        )
        told = {
            "match_id": pl.lit(self._match_id),
            "seq": pl.col("seq") + pl.col("row"),
            "event_id": pl.concat_str("prefix", "short"),
            "event_type": pl.lit("POSITION_UPDATE"),
            "payload": _payload(),
        }
        return frame.select(
            told.get(name, pl.col(name) if name in frame.columns else pl.lit(None)).cast(dtype).alias(name)
            for name, dtype in SCHEMA.items()
        )

    def _has_bomb(self, rows: NDArray[np.int64]) -> pl.Series:
        is_known = (self._items[rows] != UNKNOWN_ITEMS) & (self._state[rows] >= self._bomb_from)
        bomb = pl.Series("bomb", self._items[rows] == 1)
        return pl.select(pl.when(pl.Series(is_known)).then(bomb)).to_series()


def _mm(
    titles: Sequence[Title], counts: NDArray[np.int64], values: NDArray[np.float64], max_m: float
) -> NDArray[np.float64]:
    """Positions in millimetres, each in the units of the title of its sight, by runs of sights of one title."""
    ends = np.cumsum(counts)
    runs: list[NDArray[np.float64]] = [np.empty((0, 3))]
    first = 0
    for title, run in groupby(zip(titles, ends.tolist(), strict=True), key=itemgetter(0)):
        *_, (_, end) = run
        runs.append(title_mm(title, values[first:end, :3], max_m=max_m))
        first = end
    return np.concatenate(runs)


def _table(sights: Sequence[Sight]) -> pl.DataFrame:
    """What the samples of a sight have in common."""
    facts = [sight.fact for sight in sights]
    prefix = pl.Series([f"{DERIVED_ID}{fact.series}:{fact.sequence}:" for fact in facts], dtype=pl.String)
    return pl.DataFrame(
        {
            "seq": np.array([fact.position_seq for fact in facts], np.int64),
            "prefix": prefix,
            "t_ms": np.array([sight.t_ms for sight in sights], np.int64),
            "source_line": np.array([fact.line for fact in facts], np.int64),
            "occurred_us": np.array([fact.transaction_us for fact in facts], np.int64),
        }
    )


class _Numbers(NamedTuple):
    players: NDArray[np.int64]
    members: NDArray[np.int64]


class _Entries:
    """Numbers for players, and for players with their teams."""

    def __init__(self) -> None:
        self.members: list[tuple[str, str | None]] = []
        self._players: dict[str, int] = {}
        self._numbers: dict[tuple[str, str | None], int] = {}
        self._of: dict[int, _Numbers] = {}

    def of(self, cast: Cast) -> _Numbers:
        """The numbers of a cast's players, -1 for the second entry of one, and of them with their teams."""
        found = self._of.get(id(cast))
        if found is None:
            players, members = [], []
            for place, entry in enumerate(cast.players):
                again = cast.place[entry.player] != place
                players.append(-1 if again else self._players.setdefault(entry.player, len(self._players)))
                member = entry.player, entry.team
                if member not in self._numbers:
                    self._numbers[member] = len(self.members)
                    self.members.append(member)
                members.append(self._numbers[member])
            found = self._of[id(cast)] = _Numbers(np.array(players, np.int64), np.array(members, np.int64))
        return found


def _amounts(values: NDArray[np.float64], most: int) -> pl.Series:
    """Health or armour as whole numbers; null where there is none or it is not believable."""
    believed = np.abs(values) <= most
    return pl.Series(np.where(believed, np.rint(values), np.nan), nan_to_null=True).cast(pl.Int32)


def _payload() -> pl.Expr:
    """Health and armour as the JSON object that an event's payload is."""
    told = [pl.lit(f'"{name}":') + pl.col(name).cast(pl.String) for name in ("armor", "hp")]
    return pl.lit("{") + pl.concat_str(told, separator=",", ignore_nulls=True) + pl.lit("}")
