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
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from configs.events import EventsConfig
from configs.titles import Title
from pipeline.events.drafts import text_codes
from pipeline.events.sources.grid_facts import DERIVED_ID, MOST_PLACES, Fact, first_seq
from pipeline.events.sources.grid_positions_kernel import FRESH, SAMPLE, UNBELIEVABLE, judge
from pipeline.events.sources.grid_snapshots import UNKNOWN_ITEMS, Cast, Rows
from pipeline.events.units import title_mm

Point = tuple[int, int | None, int]
_MOST_PAIRS = 1 << 18  # of health and armour; where more are possible, those that occur are looked for


class Sights(NamedTuple):
    """What transactions show of their game, one row each.

    Attributes:
        facts: the event whose state it is, or of a transaction without one that begins a round its first event.
        sequence: the transaction's number.
        t_ms: match time.
        begins_round: whether a round begins with it.
        titles: in whose units, each for the sights before a place that follow on those of the title before.
    """

    facts: Sequence[Fact]
    sequence: NDArray[np.int64]
    t_ms: NDArray[np.int64]
    begins_round: NDArray[np.bool_]
    titles: Sequence[tuple[Title, int]]


class Positions:
    """Where the players of one game are, transaction by transaction."""

    def __init__(self, sights: Sights, rows: Rows, config: EventsConfig) -> None:
        """Judges every position.

        Args:
            sights: its transactions that have a state or begin a round, in the order of the feed.
            rows: those of the log's snapshots.
            config: limits.
        """
        self._sights, self._max_amount = sights, config.validity.max_amount
        self._casts = [None if fact.snapshot is None else fact.snapshot.cast for fact in sights.facts]
        entries = _Entries(self._casts)
        counts = entries.sizes[entries.of]
        starts = np.array([0 if fact.snapshot is None else fact.snapshot.first for fact in sights.facts], np.int64)
        self._first: NDArray[np.int64] = np.cumsum(counts) - counts
        self._state = np.repeat(np.arange(len(counts)), counts)
        self._place = np.arange(len(self._state)) - np.repeat(self._first, counts)
        columns = rows.take(np.repeat(starts, counts) + self._place)
        self._values, self._items = columns.values, columns.items
        self._members = np.repeat(entries.starts[entries.of], counts) + self._place
        self._entries = entries
        self._mm = _mm(sights.titles, counts, self._values, config.validity.max_position_m)
        self._verdict = judge(
            self._first,
            sights.t_ms,
            sights.begins_round,
            columns.is_told,
            entries.players[self._members],
            self._values,
            self._mm,
            MOST_PLACES,
            config.snapshots.unchanged_ms,
        )
        self._is_sample = (self._verdict & SAMPLE) != 0
        self._rows_before = np.append(self._first, len(self._state))
        self.samples_before: NDArray[np.int64] = np.append(0, np.cumsum(self._is_sample))[self._rows_before]
        with_bomb = self._state[self._items == 1]
        self._bomb_from = with_bomb[0] if len(with_bomb) else len(counts)

    def points(self, sights: Sequence[int], names: Sequence[str | None]) -> list[Point | None]:
        """Where living players are with sights, in millimetres; None where that is not known.

        Args:
            sights: of each the number, or -1 for none.
            names: who is asked for; whatever is no player is nowhere.
        """
        rows = []
        for sight, name in zip(sights, names, strict=True):
            cast = self._casts[sight] if sight >= 0 else None
            rows.append(-1 if cast is None or name is None else cast.place.get(name, -1))
        places = np.array(rows, np.int64)
        known = np.flatnonzero(places >= 0)
        of = self._first[np.array(sights, np.int64)[known]] + places[known]
        is_fresh = (self._verdict[of] & FRESH) != 0
        found: list[Point | None] = [None] * len(rows)
        for place, (x, y, z) in zip(known[is_fresh].tolist(), self._mm[of[is_fresh]].tolist(), strict=True):
            found[place] = int(x), None if y != y else int(y), int(z)
        return found

    def unbelievable(self) -> list[tuple[Fact, str, list[float]]]:
        """Positions that are not believed: the event that shows each, the player, and what it says."""
        found = []
        for row in np.flatnonzero(self._verdict == UNBELIEVABLE).tolist():
            fact = self._sights.facts[self._state[row]]
            if fact.snapshot is not None:
                player = fact.snapshot.cast.players[self._place[row]].player
                found.append((fact, player, self._values[row, :2].tolist()))
        return found

    def frame(self, first: int, end: int) -> pl.DataFrame:
        """The samples of the sights from `first` to before `end` as columns of drafts; those that are null left out."""
        rows = np.flatnonzero(self._is_sample[self._rows_before[first] : self._rows_before[end]])
        rows += self._rows_before[first]
        states = self._state[rows]
        facts = self._sights.facts[first:end]
        series = facts[0].series if facts else ""
        prefix = DERIVED_ID + series + ":"
        prefixes = pl.Series(
            "", [f"{prefix}{number}:" for number in self._sights.sequence[first:end].tolist()], pl.String
        )
        lines = np.array([fact.line for fact in facts], np.int64)
        clocks = np.array([fact.transaction_us for fact in facts], np.int64)
        members = self._entries.members[self._members[rows]]
        health, armor = self._amounts_of(rows, 3), self._amounts_of(rows, 4)
        names = pl.DataFrame([prefixes[states - first].alias("prefix"), members["short"]])
        return pl.DataFrame(
            [
                pl.Series("seq", first_seq(self._sights.sequence)[states] + MOST_PLACES + self._place[rows]),
                names.select(event_id=pl.concat_str("prefix", "short")).to_series(),
                pl.Series("event_type", ["POSITION_UPDATE"], text_codes()).new_from_index(0, len(rows)),
                pl.Series("t_ms", self._sights.t_ms[states]),
                pl.Series("source_line", lines[states - first]),
                _payload(armor, health),
                pl.Series("occurred_us", clocks[states - first]),
                members["actor"],
                members["team"],
                *(_whole(f"{axis}_mm", self._mm[rows, k]) for k, axis in enumerate("xyz")),
                _whole("hp", health),
                _whole("armor", armor),
                self._has_bomb(rows),
            ]
        )

    def _amounts_of(self, rows: NDArray[np.int64], column: int) -> NDArray[np.float64]:
        """Health or armour as whole numbers; NaN where there is none or it is not believable."""
        values = self._values[rows, column]
        return np.where(np.abs(values) <= self._max_amount, np.rint(values), np.nan)

    def _has_bomb(self, rows: NDArray[np.int64]) -> pl.Series:
        is_known = (self._items[rows] != UNKNOWN_ITEMS) & (self._state[rows] >= self._bomb_from)
        with_bomb = np.where(is_known, self._items[rows] == 1, np.nan)
        return pl.Series("has_bomb", with_bomb, nan_to_null=True).cast(pl.Boolean)


def _mm(
    titles: Sequence[tuple[Title, int]], counts: NDArray[np.int64], values: NDArray[np.float64], max_m: float
) -> NDArray[np.float64]:
    """Positions in millimetres, each in the units of the title of its sight."""
    ends = np.append(0, np.cumsum(counts))
    runs: list[NDArray[np.float64]] = [np.empty((0, 3))]
    first = 0
    for title, end in titles:
        runs.append(title_mm(title, values[ends[first] : ends[end], :3], max_m=max_m))
        first = end
    return np.concatenate(runs)


class _Entries:
    """The players of casts, cast by cast.

    Attributes:
        of: the number of each cast; of None it is 0.
        sizes: by number of the cast how many players it has.
        starts: by number of the cast the place of its first player among all.
        players: a number for each player of each cast, -1 for the second entry of one.
        members: each player of each cast: `actor`, `team`, and `short`, his id.
    """

    def __init__(self, casts: Sequence[Cast | None]) -> None:
        different = {id(cast): cast for cast in casts if cast is not None}
        numbers = {id(None): 0, **{key: number for number, key in enumerate(different, 1)}}
        self.of = np.array([numbers[id(cast)] for cast in casts], np.int64)
        self.sizes = np.array([0, *(len(cast.players) for cast in different.values())], np.int64)
        self.starts = np.cumsum(self.sizes) - self.sizes
        known: dict[str, int] = {}
        self.players = np.array(
            [
                known.setdefault(entry.player, len(known)) if cast.place[entry.player] == place else -1
                for cast in different.values()
                for place, entry in enumerate(cast.players)
            ],
            np.int64,
        )
        entries = [entry for cast in different.values() for entry in cast.players]
        self.members = pl.DataFrame(
            {
                "actor": pl.Series([entry.player for entry in entries], dtype=text_codes()),
                "team": pl.Series([entry.team for entry in entries], dtype=text_codes()),
                "short": pl.Series([entry.player.removeprefix("player:") for entry in entries], dtype=pl.String),
            }
        )


def _whole(name: str, values: NDArray[np.float64]) -> pl.Series:
    """Whole numbers as a column; null where NaN."""
    return pl.Series(name, values, nan_to_null=True).cast(pl.Int32)


def _payload(armor: NDArray[np.float64], health: NDArray[np.float64]) -> pl.Series:
    """Health and armour as the JSON object that an event's payload is. Few pairs occur, so each is written once."""
    codes, spans = [], []
    for values in (armor, health):
        low = int(np.nanmin(values)) if not np.isnan(values).all() else 0
        code = np.nan_to_num(values - low, nan=-1).astype(np.int64) + 1
        codes.append(code)
        spans.append((low, int(code.max(initial=0)) + 1))
    (low_armor, _), (low_health, width) = spans
    pairs = codes[0] * width + codes[1]
    if spans[0][1] * width <= _MOST_PAIRS:
        occurs = np.zeros(spans[0][1] * width, np.bool_)
        occurs[pairs] = True
        different = np.flatnonzero(occurs)
        which = (np.cumsum(occurs) - 1)[pairs]
    else:
        different, which = np.unique(pairs, return_inverse=True)
    texts = []
    for code_armor, code_health in (divmod(pair, width) for pair in different.tolist()):
        told = [f'"armor":{code_armor - 1 + low_armor}'] if code_armor else []
        told += [f'"hp":{code_health - 1 + low_health}'] if code_health else []
        texts.append("{" + ",".join(told) + "}")
    return pl.Series("payload", texts, pl.String).gather(which)
