"""What the states of a GRID feed show: who is there, and where he is.

Who plays, on which side, in which round changes a few times a round: it is one `Cast` that many states share. Where
the players are, their health, armour and whether they live changes with every state: these are rows of columns.

Belongs here: what a state means for one game, and its compact form. Does not belong here: reading lines
(`grid_facts`, `grid_scan`), changes without states (`grid_deltas`), what follows from it (`grid_story`).
"""

import re
import tempfile
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import cache, cached_property
from itertools import pairwise
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from configs.events import SnapshotsConfig
from configs.titles import load_titles
from pipeline.events.sources import grid_wire

_KEPT_ROUNDS = 2  # the round being played and the one before: a win may show late
_ROUND_ID = re.compile(r"(?:[A-Za-z]+-)?(\d{1,4})")
UNKNOWN_ITEMS = -1


COLUMNS = ("x", "y", "z", "health", "armor", "alive")
"""Of a player in a state, as doubles: NaN is null, `alive` 1 or 0. A position is in the title's own units."""


class TeamFact(NamedTuple):
    """A team in a state."""

    team: str
    name: str | None
    side: str | None
    score: float | None


class PlayerFact(NamedTuple):
    """A player in a state."""

    player: str
    team: str | None
    name: str | None


class RoundFact(NamedTuple):
    """A round in a state: sides by team, who won it, and which kind of win each team has there."""

    id: str
    number: int
    sides: tuple[tuple[str, str], ...]
    winner: str | None
    win_types: tuple[tuple[str, str], ...]


class GameFact(NamedTuple):
    """A game in a state."""

    game: str
    number: int | None
    started: bool | None
    finished: bool | None


class SeriesFact(msgspec.Struct, frozen=True, gc=False):
    """What a state says of the series.

    Attributes:
        is_valid: false where it declares itself invalid: it is then not believed.
        numbers: sequence numbers of its games, by id.
        playing: id of the game being played; of several the last.
    """

    title: str | None
    is_valid: bool
    games: tuple[GameFact, ...]
    numbers: dict[str, int]
    playing: str | None


class Cast(msgspec.Struct, frozen=True, dict=True):
    """Who is in a game, and its rounds.

    Attributes:
        players: one for each row of the columns, in their order.
        bomb_bits: which of the items looked for are the bomb; 0 for a title without one.
        is_valid: false in a state that declares itself invalid.
    """

    title: str | None
    map: str | None
    teams: tuple[TeamFact, ...]
    players: tuple[PlayerFact, ...]
    rounds: tuple[RoundFact, ...]
    bomb_bits: int
    is_valid: bool = True

    @cached_property
    def place(self) -> dict[str, int]:
        """A player's row; the first where he is listed twice."""
        return {entry.player: place for place, entry in reversed(list(enumerate(self.players)))}


class Snapshot(msgspec.Struct, frozen=True, gc=False):
    """A game as a state shows it: the cast, and the row of its first player among the columns of the log."""

    cast: Cast
    first: int


@cache
def bomb_items() -> tuple[str, ...]:
    """The ids by which inventories of any title name the bomb; item k is bit k of the rows' `items`."""
    return tuple(sorted({item for title in load_titles().titles.values() for item in title.bomb_items}))


@cache
def bomb_bits(title: str | None) -> int:
    """Which of these items are the bomb in a title, as bits."""
    own = load_titles().find(title).bomb_items
    return sum(1 << bit for bit, item in enumerate(bomb_items()) if item in own)


class Columns(NamedTuple):
    """The rows of many states.

    Attributes:
        values: (n, 6), `COLUMNS`.
        items: (n,) 1 with the bomb, 0 without it, `UNKNOWN_ITEMS`.
        is_told: (n,) whether the position was told there, and not only carried on from before.
    """

    values: NDArray[np.float64]
    items: NDArray[np.int8]
    is_told: NDArray[np.bool_]

    def part(self, start: int, end: int) -> "Columns":
        """The rows from `start` to before `end`."""
        return Columns(self.values[start:end], self.items[start:end], self.is_told[start:end])

    def put(self, at: slice | NDArray[np.int64], other: "Columns", rows: NDArray[np.int64]) -> None:
        """Overwrites some rows with some of another's."""
        self.values[at] = other.values.take(rows, axis=0)
        self.items[at] = other.items.take(rows)
        self.is_told[at] = other.is_told.take(rows)


_PACKED = np.dtype([("values", np.float64, (len(COLUMNS),)), ("items", np.int8), ("is_told", np.bool_)])


class Rows:
    """Grows columns by the rows of one state after the other.

    Rows that stand on their own are packed into a temporary file as soon as there are too many of them for memory: of
    a long series they are what takes most.

    Args:
        held_rows: how many rows may stand in memory.
    """

    def __init__(self, held_rows: int) -> None:
        self._held_rows = held_rows
        self._parts: list[tuple[Columns, int, int]] = []
        self._starts: list[int] = []
        self._height = 0
        self._file = tempfile.TemporaryFile(prefix="gridmotion-")  # noqa: SIM115  # lives as long as this
        self._written = 0

    def add(self, columns: Columns, start: int = 0, end: int | None = None) -> int:
        """Adds the rows from `start` to before `end`, all by default; returns the place of the first of them."""
        end = len(columns.values) if end is None else end
        first = self._height
        if self._parts and self._parts[-1][0] is columns and self._parts[-1][2] == start:
            self._parts[-1] = (columns, self._parts[-1][1], end)
        else:
            if first - self._written > self._held_rows:
                self._put_away()
            self._parts.append((columns, start, end))
            self._starts.append(first)
        self._height += end - start
        return first

    def whole(self, columns: Columns) -> int:
        """Adds all of the rows, unless that was the last thing to be added; returns the place of the first of them."""
        if self._parts and self._parts[-1][0] is columns and self._parts[-1][1:] == (0, len(columns.values)):
            return self._starts[-1]
        return self.add(columns)

    def part(self, first: int, count: int) -> Columns:
        """Some rows that were added together."""
        if first < self._written:
            return self._read(first, first + count)
        place = bisect_right(self._starts, first) - 1
        columns, start, _ = self._parts[place]
        start += first - self._starts[place]
        return columns.part(start, start + count)

    def take(self, rows: NDArray[np.int64]) -> Columns:
        """Some rows, by their places."""
        taken = _rows(len(rows))
        if not len(rows):
            return taken
        of = np.searchsorted(np.array(self._starts), rows, side="right") - 1
        cuts = [0, *(np.flatnonzero(np.diff(of)) + 1).tolist(), len(rows)]
        for begin, end in pairwise(cuts):
            if of[begin] >= 0:
                columns, start, _ = self._parts[of[begin]]
                taken.put(slice(begin, end), columns, rows[begin:end] + (start - self._starts[of[begin]]))
        away = np.flatnonzero(of < 0)
        for first in range(int(rows[away].min(initial=self._written)), self._written, self._held_rows + 1):
            end = min(first + self._held_rows + 1, self._written)
            near = away[(rows[away] >= first) & (rows[away] < end)]
            if near.size:
                taken.put(near, self._read(first, end), rows[near] - first)
        return taken

    def _put_away(self) -> None:
        for columns, start, end in self._parts:
            packed = np.empty(end - start, _PACKED)
            for name, values in zip(Columns._fields, columns.part(start, end), strict=True):
                packed[name] = values
            self._file.write(packed.view(np.uint8).data)
        self._file.flush()
        self._written = self._height
        self._parts, self._starts = [], []

    def _read(self, first: int, end: int) -> Columns:
        packed = np.empty(end - first, _PACKED)
        self._file.seek(first * _PACKED.itemsize)
        if self._file.readinto(packed.view(np.uint8).data) < packed.nbytes:
            raise OSError(f"rows {first} to {end} are not in their temporary file any more")
        self._file.seek(0, 2)
        return Columns(*(np.ascontiguousarray(packed[name]) for name in Columns._fields))


def _rows(count: int) -> Columns:
    """Rows in which nothing is known."""
    return Columns(
        np.full((count, len(COLUMNS)), np.nan), np.full(count, UNKNOWN_ITEMS, np.int8), np.ones(count, np.bool_)
    )


class StateView:
    """A decoded state of the series, asked for one of its games.

    Args:
        state: the state.
        casts: each cast that was met, once; grows by those of this state that are asked for.
        limits: what it may show.

    Attributes:
        facts: what it says of the series.
    """

    def __init__(self, state: grid_wire.SeriesState, casts: dict[Cast, Cast], limits: SnapshotsConfig) -> None:
        self._state, self._casts, self._max_round = state, casts, limits.max_round
        games = tuple(
            GameFact(str(game.id), as_int(game.sequence_number), game.started, game.finished)
            for game in state.games or []
            if game.id is not None
        )
        self.facts = SeriesFact(
            title=_name(state.title),
            is_valid=state.valid is not False,
            games=games,
            numbers={g.game: g.number for g in games if g.number is not None and 0 < g.number <= limits.max_games},
            playing=playing((g.game, g.started, g.finished) for g in games),
        )
        self._of_game: dict[str, tuple[Cast, int] | None] = {}

    @cached_property
    def all_unfinished(self) -> tuple[str, ...]:
        """Ids of the games that are not over."""
        return tuple(game.game for game in self.facts.games if not game.finished)

    @cached_property
    def unfinished(self) -> str | None:
        """The id of the game that is not over, if there is just one."""
        return self.all_unfinished[0] if len(self.all_unfinished) == 1 else None

    def cast(self, game: str | None) -> tuple[Cast, int] | None:
        """The cast of a game, and how many players of games before it the state shows; None of one it does not."""
        if game is None:
            return None
        if game not in self._of_game:
            self._of_game[game] = self._find(game)
        return self._of_game[game]

    def rows(self, game: str) -> Columns:
        """The rows of a game whose cast is known, as the state itself has them."""
        own = self._own(game)
        found = self.cast(game)
        if own is None or found is None:
            raise KeyError(game)
        players = [player for team in own.teams or [] for player in team.players or [] if player.id is not None]
        return player_rows(players, found[0].bomb_bits)

    def _own(self, game: str) -> grid_wire.Game | None:
        return next((own for own in self._state.games or [] if own.id is not None and str(own.id) == game), None)

    def _find(self, game: str) -> tuple[Cast, int] | None:
        own = self._own(game)
        if own is None:
            return None
        before = 0
        for entry in self._state.games or []:
            if entry is own:
                break
            before += sum(len(team.players or []) for team in entry.teams or [])
        cast = _cast(self.facts, own, self._max_round)
        return self._casts.setdefault(cast, cast), before

    @cached_property
    def row_count(self) -> int:
        """How many players all its games have; -1 where one has no id, so that rows and players do not match."""
        players = [
            player for game in self._state.games or [] for team in game.teams or [] for player in team.players or []
        ]
        return -1 if any(player.id is None for player in players) else len(players)


def playing(games: Iterable[tuple[str, bool | None, bool | None]]) -> str | None:
    """The game that has started and not finished, of (id, started, finished); of several the last."""
    return next((game for game, started, finished in reversed(list(games)) if started and not finished), None)


def _name(title: grid_wire.Named | None) -> str | None:
    return None if title is None else title.name_shortened or title.name


def _cast(series: SeriesFact, game: grid_wire.Game, max_round: int) -> Cast:
    teams = []
    players = []
    for team in game.teams or []:
        team_id = None if team.id is None else f"team:{team.id}"
        if team_id is not None:
            teams.append(TeamFact(team_id, team.name, team.side, team.score))
        players += [
            PlayerFact(f"player:{player.id}", team_id, player.name or None)
            for player in team.players or []
            if player.id is not None
        ]
    return Cast(
        title=series.title,
        map=(game.map.name or None) if game.map is not None else None,
        teams=tuple(teams),
        players=tuple(players),
        rounds=round_facts(game.segments or [], max_round),
        bomb_bits=bomb_bits(series.title),
        is_valid=series.is_valid,
    )


def player_rows(players: Sequence[grid_wire.PlayerState], bomb_bits: int) -> Columns:
    """Players of a state as rows."""
    rows = _rows(len(players))
    values, items, _ = rows
    known = bomb_items()
    for row, player in enumerate(players):
        at = player.position or grid_wire.Position()
        told = (at.x, at.y, at.z, player.current_health, player.current_armor)
        values[row, :5] = [np.nan if value is None else value for value in told]
        values[row, 5] = player.alive is not False
        held = player.items if player.items is not None else player.inventory.items if player.inventory else None
        if held is not None and bomb_bits:
            names = {str(item.id) for item in held}
            items[row] = any(name in names for bit, name in enumerate(known) if bomb_bits >> bit & 1)
    return rows


def has_bomb(bits: NDArray[np.int64], bomb_bits: int) -> NDArray[np.int8]:
    """Bits of the items looked for as the column `items` has it, by the bits that are the bomb in the title."""
    if not bomb_bits:
        return np.full(len(bits), UNKNOWN_ITEMS, np.int8)
    return np.where(bits < 0, UNKNOWN_ITEMS, (bits & bomb_bits) != 0).astype(np.int8)


def as_int(value: str | int | None) -> int | None:
    """A number that may come as a string; None for anything else."""
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() and len(value) < 19 else None
    return value


def round_number(name: str) -> int | None:
    """The number in an id such as `round-12`; None for other ids."""
    found = _ROUND_ID.fullmatch(name)
    return int(found[1]) if found else None


def round_facts(segments: Sequence[grid_wire.Segment], max_round: int) -> tuple[RoundFact, ...]:
    """The rounds among the newest segments of a game, none with a number above the limit."""
    rounds = []
    for segment in segments[-_KEPT_ROUNDS:]:
        number = as_int(segment.sequence_number) or round_number(str(segment.id))
        if segment.type not in (None, "round") or number is None or not 0 < number <= max_round:
            continue
        teams = [team for team in segment.teams or [] if team.id is not None]
        rounds.append(
            RoundFact(
                id=str(segment.id),
                number=number,
                sides=tuple((f"team:{team.id}", team.side) for team in teams if team.side),
                winner=next((f"team:{team.id}" for team in teams if team.won), None),
                win_types=tuple((f"team:{team.id}", team.win_type) for team in teams if team.win_type),
            )
        )
    return tuple(rounds)
