"""A match laid out so that a rule can ask what came next.

Belongs here: rows, positions, events and distances as arrays, all indexed by label row.
Does not belong here: what any of it means (`rules`).
"""

import json
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from configs.features import load_features
from configs.intents import LabelsConfig
from configs.maps import load_maps
from pipeline.events.model import is_attacker

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

KEYS = ("match_id", "round", "player", "t_ms", "team", "side")
_SPAN = 1 << 40


@dataclass(frozen=True)
class Happenings:
    """Events of some types: player indices (-1: on no row), factions, round codes, times in ms, positions in mm."""

    actor: Ints
    target: Ints
    round: Ints
    t: Ints
    actor_faction: Ints
    target_faction: Ints
    position: Floats

    def pick(self, mask: Bools) -> "Happenings":
        """Only those where the mask holds."""
        return Happenings(*(getattr(self, name)[mask] for name in self.__dataclass_fields__))


class Hindsight:
    """Rows sorted by player, round and time, with what is known before and after each.

    Args:
        events: table `events`.
        tracks: table `tracks`.
        rows: the rows to label, columns `KEYS`, sorted by player, round, time; not empty.
        config: for the greatest age of a position and the weapons that are not aimed.

    Attributes:
        step: ms from one instant to the next.
        player, round, t: index of the player, code of the round, ms; int64 (n,).
        first, end: first and last row of the unbroken run of instants that the row belongs to; int64 (n,).
        left: instants left in that run after the row; int64 (n,).
        position: mm, float64 (n, 3); NaN where not known. An unknown height counts as 0.
        yaw: radians, float64 (n,); NaN where not known.
        has_kit: 1, 0, or -1 where not known; int64 (n,).
        faction: code of team (else side), -1 where neither is known; int64 (n,).
        attacks: whether the player's side attacks; unknown is neither in `attacks` nor in `defends`.
    """

    def __init__(self, events: pl.DataFrame, tracks: pl.DataFrame, rows: pl.DataFrame, config: LabelsConfig) -> None:
        self._events, self._config = events, config
        self.step = load_features().grid_ms
        self.count = rows.height
        names = rows["player"].unique().sort()
        self._players = dict(zip(names, range(len(names)), strict=True))
        rounds = rows["round"].unique().sort()
        self._rounds = {value: code for code, value in enumerate(rounds)}
        self.player = _codes(rows["player"], self._players)
        self.round = _codes(rows["round"], self._rounds)
        self.t = rows["t_ms"].to_numpy().astype(np.int64)
        self._zero = int(self.t.min())
        self._keys = self._key(self.player, self.round, self.t)

        factions = rows.select(pl.coalesce("team", "side")).to_series()
        self._factions = {name: code for code, name in enumerate(factions.drop_nulls().unique().sort())}
        self.faction = _codes(factions, self._factions)
        sides = {side: is_attacker(side) for side in rows["side"].unique()}
        self.attacks: Bools = rows["side"].replace_strict({s: a is True for s, a in sides.items()}).to_numpy()
        self.defends: Bools = rows["side"].replace_strict({s: a is False for s, a in sides.items()}).to_numpy()

        breaks = np.flatnonzero(np.diff(self._keys, prepend=-_SPAN) != self.step)
        run = np.searchsorted(breaks, np.arange(self.count), side="right") - 1
        self.first: Ints = breaks[run]
        self.end: Ints = np.append(breaks[1:], self.count)[run] - 1
        self.left: Ints = self.end - np.arange(self.count)
        self._place(tracks)

    def _key(self, player: Ints, round_: Ints, t: Ints) -> Ints:
        return (player * len(self._rounds) + round_) * _SPAN + np.clip(t - self._zero + _SPAN // 4, 0, _SPAN - 1)

    def _place(self, tracks: pl.DataFrame) -> None:
        known = tracks.filter(pl.col("player").is_in(list(self._players))).sort("player", "round", "t_ms", "seq")
        round_ = _codes(known["round"], self._rounds)
        t = known["t_ms"].to_numpy().astype(np.int64)
        keys = self._key(_codes(known["player"], self._players), round_, t)[round_ >= 0]
        known = known.filter(pl.Series(round_ >= 0, dtype=pl.Boolean))
        at = np.searchsorted(keys, self._keys, side="right") - 1
        fresh = np.zeros(self.count, dtype=np.bool_)
        if keys.size:
            fresh = (at >= 0) & (self._keys - keys[at] <= self._config.position_age_ms)
        at = np.where(fresh, at, 0)

        def column(name: str, missing: float) -> Floats:
            if not keys.size:
                return np.full(self.count, missing)
            values = known[name].cast(pl.Float64).fill_null(missing).to_numpy()[at]
            return np.where(fresh, values, missing)

        height = np.where(fresh, np.nan_to_num(column("y_mm", np.nan)), np.nan)
        self.position = np.stack([column("x_mm", np.nan), height, column("z_mm", np.nan)], axis=1)
        self.yaw = np.radians(column("yaw_mdeg", np.nan) / 1000)
        self.has_kit = column("has_kit", -1).astype(np.int64)
        self._planar = known["y_mm"].null_count() == known.height
        self._objectives = known.select("objective_x_mm", "objective_y_mm", "objective_z_mm")

    @cached_property
    def _dense(self) -> tuple[Ints, Floats, Ints]:
        """Instant of each row; position (players, instants, 3) and faction (players, instants) of the living."""
        instants, at = np.unique(self.round * _SPAN + self.t - self._zero, return_inverse=True)
        position = np.full((len(self._players), len(instants), 3), np.nan)
        faction = np.full((len(self._players), len(instants)), -1)
        position[self.player, at], faction[self.player, at] = self.position, self.faction
        return at, position, faction

    @cached_property
    def sites(self) -> Floats:
        """Objectives of the map in mm, (sites, 3).

        From MATCH_STARTED, else by the map's name, else those that position updates named. Where no position of the
        match has a height, neither has a site, else its height would be taken for distance.
        """
        known = self._known_sites()
        if self._planar:
            known[:, 1] = 0.0
        return known

    def _known_sites(self) -> Floats:
        for text in self._events.filter(pl.col("event_type") == "MATCH_STARTED")["payload"]:
            started = json.loads(text)
            found = [entry["pos"] for entry in started.get("objectives") or []]
            if found := found or [objective.pos for objective in load_maps().objectives(started.get("map"))]:
                return np.array([[x * 1000, (y or 0.0) * 1000, z * 1000] for x, y, z in found])
        named = self._objectives.drop_nulls("objective_x_mm").unique(maintain_order=True)
        return named.fill_null(0).to_numpy().astype(np.float64).reshape(-1, 3)

    @cached_property
    def bomb(self) -> Floats:
        """Position in mm of the bomb planted by then in the row's round, (n, 3); NaN while none is."""
        place = np.full((self.count, 3), np.nan)
        plants = self.happenings("BOMB_PLANTED")
        for round_, t, position in zip(plants.round, plants.t, plants.position, strict=True):
            place[(self.round == round_) & (self.t >= t)] = position
        return place

    @cached_property
    def hits(self) -> Happenings:
        """Aimed hits and kills between factions."""
        found = self.deeds("PLAYER_DAMAGED", "PLAYER_KILLED", aimed=True)
        hostile = (
            (found.actor_faction != found.target_faction) & (found.actor_faction >= 0) & (found.target_faction >= 0)
        )
        return found.pick(hostile)

    @cached_property
    def elapsed(self) -> Ints:
        """Time in ms since the first row of anyone in the row's round."""
        first = np.full(len(self._rounds), np.iinfo(np.int64).max)
        np.minimum.at(first, self.round, self.t)
        since: Ints = self.t - first[self.round]
        return since

    def happenings(self, *types: str, aimed: bool = False) -> Happenings:
        """Events of these types in rounds that have rows, in order of time.

        Args:
            types: canonical event types.
            aimed: leave out weapons that do not hit what the view points at.
        """
        frame = self._deeds.filter(pl.col("event_type").is_in(types))
        if aimed:
            frame = frame.filter("aimed")
        actor, target = _codes(frame["actor"], self._players), _codes(frame["target"], self._players)
        round_ = _codes(frame["round"], self._rounds)
        found = Happenings(
            actor,
            target,
            round_,
            frame["t_ms"].to_numpy().astype(np.int64),
            self._faction_of(actor, round_),
            self._faction_of(target, round_),
            frame.select("x_mm", pl.col("y_mm").fill_null(0), "z_mm").cast(pl.Float64).fill_null(np.nan).to_numpy(),
        )
        return found.pick(round_ >= 0)

    def deeds(self, *types: str, aimed: bool = False) -> Happenings:
        """The same, but only what players did who were alive in a round under way: the rest tells nothing of before."""
        found = self.happenings(*types, aimed=aimed)
        now, before = (self.rows_at(found.actor, found.round, found.t - ms) for ms in (0, 1))
        return found.pick((now >= 0) | (before >= 0))

    @cached_property
    def _deeds(self) -> pl.DataFrame:
        """Everything but positions, in order of time, and whether its weapon hits what the view points at."""
        weapon = pl.col("weapon").fill_null("").str.to_lowercase()
        words = (weapon.str.contains(word, literal=True) for word in self._config.not_aimed)
        return (
            self._events.filter(pl.col("event_type") != "POSITION_UPDATE")
            .sort("t_ms", "seq", maintain_order=True)
            .with_columns(aimed=~pl.any_horizontal(False, *words))
        )

    def _faction_of(self, player: Ints, round_: Ints) -> Ints:
        table = np.full((len(self._players) + 1, len(self._rounds) + 1), -1)
        table[self.player, self.round] = self.faction
        return table[player, round_]

    def mark(self, player: Ints, round_: Ints, from_ms: Ints, to_ms: Ints) -> Bools:
        """Rows inside any of these intervals `[from_ms, to_ms)` of a player in a round."""
        valid = (player >= 0) & (round_ >= 0)
        player, round_ = player[valid], round_[valid]
        low = np.searchsorted(self._keys, self._key(player, round_, from_ms[valid]))
        high = np.searchsorted(self._keys, self._key(player, round_, to_ms[valid]))
        return self.cover(low, high)

    def cover(self, low: Ints, high: Ints) -> Bools:
        """Rows inside any of the index ranges `[low, high)`."""
        delta = np.zeros(self.count + 1, dtype=np.int64)
        np.add.at(delta, low, 1)
        np.add.at(delta, np.maximum(low, high), -1)
        covered: Bools = np.cumsum(delta[:-1]) > 0
        return covered

    def rows(self, player: int, round_: int, from_ms: int, to_ms: int) -> Ints:
        """The rows of a player in a round inside `[from_ms, to_ms)`."""
        span = (np.array([value]) for value in (player, round_, from_ms, to_ms))
        return np.flatnonzero(self.mark(*span))

    def rows_at(self, player: Ints, round_: Ints, t: Ints) -> Ints:
        """The row of each player's newest instant at or before that time, -1 where it is not the present one."""
        keys = self._key(player, round_, t)
        found = np.searchsorted(self._keys, keys, side="right") - 1
        return np.where((found >= 0) & (player >= 0) & (keys - self._keys[found] < self.step), found, -1)

    def ahead(self, horizon_ms: int) -> Ints:
        """For each row, the row that far ahead, or the last before death or the round's end."""
        found: Ints = np.minimum(np.arange(self.count) + horizon_ms // self.step, self.end)
        return found

    def sees(self, least_ms: int) -> Bools:
        """Rows after which at least that much is left."""
        return self.left * self.step >= least_ms

    def moved(self, start: Ints, stop: Ints) -> Floats:
        """Distance in mm between the positions of two rows."""
        return _norm(self.position[stop] - self.position[start])

    def to_sites(self, rows: Ints) -> Floats:
        """Distance in mm from these rows' positions to each site, (rows, sites)."""
        return (
            np.stack([_norm(self.position[rows] - site) for site in self.sites], axis=1)
            if len(self.sites)
            else (np.full((len(rows), 0), np.nan))
        )

    def to_enemies(self, rows: Ints) -> Floats:
        """Distance in mm from the position of `rows[i]` to the nearest enemy *as enemies stand at row i*; NaN if none.

        With `rows` ahead in time this tells what the player's own movement changed.
        """
        nearest = np.full(self.count, np.inf)
        for row, position in self._enemies:
            nearest[row] = np.fmin(nearest[row], _norm(position - self.position[rows[row]]))
        return np.where(np.isfinite(nearest), nearest, np.nan)

    def aim(self, within_mm: int) -> Floats:
        """Smallest angle in degrees between the view and any enemy within that distance; NaN if unknown or none."""
        smallest = np.full(self.count, np.inf)
        for row, position in self._enemies:
            offset = position - self.position[row]
            near = np.flatnonzero(_norm(offset) <= within_mm)
            row, offset = row[near], offset[near]
            smallest[row] = np.fmin(smallest[row], _angle(offset, self.yaw[row]))
        return np.where(np.isfinite(smallest), smallest, np.nan)

    def sight(self, rows: Ints, others: Ints) -> tuple[Floats, Floats]:
        """Distance in mm and angle to the view in degrees of another player at these rows; NaN where not known.

        Args:
            rows: row, or -1, int64 (m,).
            others: index of the other player, or -1, int64 (m,).
        """
        at, position, _ = self._dense
        known = (rows >= 0) & (others >= 0)
        offset = np.where(known[:, None], position[others, at[rows]] - self.position[rows], np.nan)
        return _norm(offset), _angle(offset, self.yaw[rows])

    @cached_property
    def _enemies(self) -> list[tuple[Ints, Floats]]:
        """For each player, the rows to whom they are an enemy whose place is known, and their place then."""
        at, position, faction = self._dense
        found = []
        for other in range(len(self._players)):
            theirs = faction[other, at]
            hostile = (theirs >= 0) & (self.faction >= 0) & (theirs != self.faction)
            row = np.flatnonzero(hostile & ~np.isnan(position[other, at, 0]))
            found.append((row, position[other, at[row]]))
        return found


def _codes(values: pl.Series, codes: dict[str, int] | dict[int | None, int]) -> Ints:
    if not codes:
        return np.full(len(values), -1, dtype=np.int64)
    return values.replace_strict(codes, default=-1, return_dtype=pl.Int64).to_numpy().astype(np.int64)


def _angle(offset: Floats, yaw: Floats) -> Floats:
    """Degrees in the ground plane between an offset and a yaw, which turns from +x towards -z."""
    turned: Floats = np.degrees(np.abs((np.arctan2(-offset[:, 2], offset[:, 0]) - yaw + np.pi) % (2 * np.pi) - np.pi))
    return turned


def _norm(offset: Floats) -> Floats:
    x, y, z = offset[..., 0], offset[..., 1], offset[..., 2]
    lengths: Floats = np.sqrt(x * x + y * y + z * z)
    return lengths
