"""States that a GRID feed does not send, rebuilt from what its events changed.

A delta follows the rules of the feed: a number is what was added, anything else is the new value, members of lists
match by id, and one with `"statePath": []` is gone. Beyond these:

- A number, or a position, that is known to be null is told absolutely. Position by coordinate: {"x": 1.5} moves
  along x.
- A number that names something (`sequenceNumber`) is absolute.
- Sums are rounded to 9 decimals, so that they are the very numbers that a state would tell.
- What the series' delta does not tell of an entity, the actor's and target's own deltas may; what both tell counts
  once. A change without a game named belongs to the game being played.
- Inverse events carry inverse deltas, so every event's delta is applied, also those of events that are taken back.
  A game or round that an inverse event says has not started is gone, as in the feed's own states.
- What comes whole has a `statePath`. A real feed tells of a new game or round only that it has started, and its next
  state shows all else: such a round begins with the teams of its game on their sides and everybody alive; health,
  armour and who has the bomb are unknown. Of a player who did not come whole, health, armour and position are
  unknown. What is added to an unknown number says nothing.
- The state is known from a whole state on, or from the first transaction of the feed, as long as no transaction or
  event is missing; then not again until the next whole state.
- Nor is a state known any more that has more games, teams, players or rounds than any match: every event has a
  snapshot of it, so that a small log could take any memory.
- Some feeds never tell positions in deltas, though players move. So positions are carried on from a whole state only
  once a delta of the feed has told one.

Belongs here: applying deltas in the order of the feed. Does not belong here: deltas of the wrong shape
(`grid_facts` refuses these events), which states are believed (`grid`).
"""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from configs.events import SnapshotsConfig
from pipeline.events.corrections import is_inverse
from pipeline.events.sources import grid_wire
from pipeline.events.sources.grid_facts import Fact, Scan
from pipeline.events.sources.grid_snapshots import (
    COLUMNS,
    UNKNOWN_ITEMS,
    Cast,
    Columns,
    PlayerFact,
    Rows,
    Snapshot,
    TeamFact,
    as_int,
    bomb_bits,
    bomb_items,
    playing,
    round_facts,
)

_SERIES_DELTA = msgspec.json.Decoder(grid_wire.SeriesDelta)
_PLAYER_CHANGE = msgspec.json.Decoder(grid_wire.PlayerEntityDelta)
_TEAM_CHANGE = msgspec.json.Decoder(grid_wire.TeamChange)
_SEGMENT_CHANGE = msgspec.json.Decoder(grid_wire.SegmentChange)
_GAME_CHANGE = msgspec.json.Decoder(grid_wire.GameChange)
_DECIMALS = 9
T = TypeVar("T", bound=msgspec.Struct)
_HEALTH, _ARMOR, _ALIVE = (COLUMNS.index(name) for name in ("health", "armor", "alive"))


def rebuild(series: str, facts: Sequence[Fact], scan: Scan) -> None:
    """Gives every event that has no state, where it can be known, the snapshot of its game after it.

    Args:
        series: the series.
        facts: its events in the order of the feed; those without a state are filled in.
        scan: what was read, for transactions that are missing; its rows grow.
    """
    if all(fact.series_state is not None for fact in facts):
        return
    read = scan.seen[series]
    lost = sorted((sequence, index) for name, sequence, index in scan.lost if name == series)
    known: _Series | None = _Series()
    base: Fact | None = None  # the whole state that is known, not taken up before it is needed
    before, next_lost = 0, 0
    tells_positions = False
    for fact in facts:
        if fact.sequence > before + 1 and not _all_read(read, before, fact.sequence):
            known = base = None
        before = fact.sequence
        while next_lost < len(lost) and lost[next_lost] < (fact.sequence, fact.index):
            known = base = None
            next_lost += 1
        if fact.series_state is not None:
            known, base = None, fact
            continue
        if base is not None:
            known, base = _Series.of(base, scan.rows), None
        if known is not None:
            tells_positions |= known.change(fact)
            if known.is_crowded(scan.limits):
                known = None
                continue
            fact.game = known.playing if fact.game is None else fact.game
            fact.numbers = {**fact.numbers, **known.numbers(scan.limits.max_games)}
            shown = known.show(fact.game, fact.snapshot, scan, with_positions=tells_positions)
            fact.snapshot = fact.snapshot if shown is None else shown


def _all_read(read: set[int], after: int, before: int) -> bool:
    return before - after <= len(read) and all(sequence in read for sequence in range(after + 1, before))


class _Player:
    """A player of a known game.

    Attributes:
        knows_place: whether his position is known, be it null.
        knows_rest: so for health, armour and inventory.
    """

    def __init__(self, name: str | None, team: str | None, row: int, *, is_whole: bool) -> None:
        self.name, self.team, self.row = name, team, row
        self.knows_place = self.knows_rest = is_whole


class _Game:
    """A game whose state is known."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.started: bool | None = None
        self.finished: bool | None = None
        self.map: str | None = None
        self.teams: dict[str, TeamFact] = {}
        self.players: dict[str, _Player] = {}
        self.segments: dict[str, grid_wire.Segment] = {}
        self.values = np.empty((0, len(COLUMNS)))
        self.items = np.empty(0, np.int8)
        self.told: set[str] = set()  # players whose position the event told
        self.cast: Cast | None = None
        self.is_known = True

    def take_up(self, snapshot: Snapshot, rows: Rows) -> None:
        """Begins with what a state shows; of a player who is listed twice the first."""
        cast = snapshot.cast
        self.map = cast.map
        self.teams = {team.team: team for team in cast.teams}
        columns = rows.part(snapshot.first, len(cast.players))
        places = list(dict.fromkeys(cast.place[player.player] for player in cast.players))
        self.cast = cast if len(places) == len(cast.players) else None
        self.values, self.items = columns.values[places], columns.items[places]
        for row, place in enumerate(places):
            player = cast.players[place]
            self.players[player.player] = _Player(player.name, player.team, row, is_whole=True)
        for entry in cast.rounds:
            sides, wins = dict(entry.sides), dict(entry.win_types)
            teams = dict.fromkeys((*sides, *wins, *((entry.winner,) if entry.winner else ())))
            self.segments[entry.id] = grid_wire.Segment(
                entry.id,
                "round",
                entry.number,
                [
                    grid_wire.SegmentTeam(
                        team.removeprefix("team:"), sides.get(team), team == entry.winner, wins.get(team)
                    )
                    for team in teams
                ],
            )

    def change(self, delta: grid_wire.GameDelta, *, is_inverse: bool) -> bool:
        """Applies what an event changed; tells whether that was a position of someone."""
        if delta.sequence_number is not UNSET:
            self.number = as_int(delta.sequence_number)
        if delta.started is not UNSET:
            self.started = delta.started
        if delta.finished is not UNSET:
            self.finished = delta.finished
        if delta.map is not UNSET:
            self.map = None if delta.map is None else delta.map.name or None
            self.cast = None
        for segment in _members(delta.segments):
            self._change_segment(segment, is_inverse=is_inverse)
        moved = False
        for team in _members(delta.teams):
            moved |= self._change_team(team)
        return moved

    def _change_team(self, delta: grid_wire.TeamDelta) -> bool:
        name = f"team:{delta.id}"
        if _is_gone(delta.state_path):
            self.teams.pop(name, None)
            for player in [player for player, entry in self.players.items() if entry.team == name]:
                self._remove(player)
            self.cast = None
            return False
        old = self.teams.get(name)
        team = old or TeamFact(name, None, None, None)
        self.teams[name] = team._replace(
            name=team.name if delta.name is UNSET else delta.name,
            side=team.side if delta.side is UNSET else delta.side,
            score=_sum(team.score, delta.score),
        )
        if old != self.teams[name]:
            self.cast = None
        moved = False
        for player in _members(delta.players):
            moved |= self._change_player(player, name)
        return moved

    def _change_player(self, delta: grid_wire.PlayerDelta, team: str) -> bool:
        name = f"player:{delta.id}"
        if _is_gone(delta.state_path):
            self._remove(name)
            return False
        player = self.players.get(name)
        if player is None:
            player = self.players[name] = _Player(None, team, len(self.values), is_whole=bool(delta.state_path))
            self.values = np.vstack([self.values, np.full((1, len(COLUMNS)), np.nan)])
            self.values[-1, _ALIVE] = 1.0
            self.items = np.append(self.items, np.int8(UNKNOWN_ITEMS))
            self.cast = None
        if delta.name is not UNSET:
            player.name, self.cast = delta.name or None, None
        if player.team != team:
            player.team, self.cast = team, None
        row = self.values[player.row]
        for column, told in ((_HEALTH, delta.current_health), (_ARMOR, delta.current_armor)):
            if told is not UNSET and player.knows_rest:
                value = _sum(None if np.isnan(row[column]) else float(row[column]), told)
                row[column] = np.nan if value is None else value
        if delta.alive is not UNSET:
            row[_ALIVE] = delta.alive is not False
        held = delta.items
        if held is UNSET and isinstance(delta.inventory, grid_wire.InventoryDelta):
            held = delta.inventory.items
        if held is None or (held is UNSET and delta.inventory is None):
            self.items[player.row] = UNKNOWN_ITEMS
        for item in _members(held):
            if self.items[player.row] == UNKNOWN_ITEMS and player.knows_rest:
                self.items[player.row] = 0
            if str(item.id) in bomb_items():
                self.items[player.row] = not _is_gone(item.state_path)
        if delta.position is UNSET or not player.knows_place:
            return False
        if delta.position is None:
            row[:3] = np.nan
        else:
            absolute = np.isnan(row[0]) or np.isnan(row[1])
            for axis, told in enumerate((delta.position.x, delta.position.y, delta.position.z)):
                if absolute or np.isnan(row[axis]):
                    row[axis] = np.nan if told is None else told
                elif told is not None:
                    row[axis] = round(row[axis] + told, _DECIMALS)
        self.told.add(name)
        return True

    def _remove(self, name: str) -> None:
        player = self.players.pop(name, None)
        if player is None:
            return
        self.values = np.delete(self.values, player.row, axis=0)
        self.items = np.delete(self.items, player.row)
        for entry in self.players.values():
            entry.row -= entry.row > player.row
        self.cast = None

    def _change_segment(self, delta: grid_wire.SegmentDelta, *, is_inverse: bool) -> None:
        name = str(delta.id)
        self.cast = None
        if _is_gone(delta.state_path) or (is_inverse and delta.started is False):
            if self.segments.pop(name, None) is not None and not _is_gone(delta.state_path):
                self._respawn()
            return
        segment = self.segments.get(name)
        if segment is None:
            sides = [(team.removeprefix("team:"), fact.side) for team, fact in self.teams.items()]
            teams_then = [] if delta.state_path else [grid_wire.SegmentTeam(*side) for side in sides]
            segment = self.segments[name] = grid_wire.Segment(name, teams=teams_then)
            if not delta.state_path:
                self._respawn()
        if delta.type is not UNSET:
            segment.type = delta.type
        if delta.sequence_number is not UNSET:
            segment.sequence_number = delta.sequence_number
        teams = {str(team.id): team for team in segment.teams or []}
        for told in _members(delta.teams):
            if _is_gone(told.state_path):
                teams.pop(str(told.id), None)
                continue
            team = teams.setdefault(str(told.id), grid_wire.SegmentTeam(str(told.id)))
            if told.side is not UNSET:
                team.side = told.side
            if told.won is not UNSET:
                team.won = told.won
            if told.win_type is not UNSET:
                team.win_type = told.win_type
        segment.teams = list(teams.values())

    def _respawn(self) -> None:
        """A round begins, or has not begun after all, and nothing else is told."""
        for player in self.players.values():
            player.knows_rest = False
        self.values[:, [_HEALTH, _ARMOR]] = np.nan
        self.values[:, _ALIVE] = 1.0
        self.items[:] = UNKNOWN_ITEMS

    def cast_now(self, title: str | None, is_valid: bool, casts: dict[Cast, Cast], max_round: int) -> Cast:
        """Who is in the game, as one of the casts that were met, or a new one of them."""
        if self.cast is None or self.cast.title != title or self.cast.is_valid != is_valid:
            by_row = sorted(self.players.items(), key=lambda entry: entry[1].row)
            cast = Cast(
                title=title,
                map=self.map,
                teams=tuple(self.teams.values()),
                players=tuple(PlayerFact(player, entry.team, entry.name) for player, entry in by_row),
                rounds=round_facts(list(self.segments.values()), max_round),
                bomb_bits=bomb_bits(title),
                is_valid=is_valid,
            )
            self.cast = casts.setdefault(cast, cast)
        return self.cast


class _Series:
    """A series whose state is known; at first one of which nothing has been told."""

    def __init__(self) -> None:
        self.title: str | None = None
        self.is_valid = True
        self.games: dict[str, _Game] = {}

    @classmethod
    def of(cls, fact: Fact, rows: Rows) -> "_Series":
        """The series as the state of an event shows it. Of a game that is over nothing is kept but that it is."""
        series = cls()
        state = fact.series_state
        if state is None:
            raise ValueError(f"{fact.event_id} has no state")
        series.title, series.is_valid = state.title, state.is_valid
        snapshots = dict(fact.others)
        if fact.game is not None and fact.snapshot is not None:
            snapshots[fact.game] = fact.snapshot
        for entry in state.games:
            game = series.games[entry.game] = _Game()
            game.number, game.started, game.finished = entry.number, entry.started, entry.finished
            if (snapshot := snapshots.get(entry.game)) is not None:
                game.take_up(snapshot, rows)
            else:
                game.is_known = False
        return series

    @property
    def playing(self) -> str | None:
        """The game being played; of several the last."""
        return playing((name, game.started, game.finished) for name, game in self.games.items())

    def is_crowded(self, limits: SnapshotsConfig) -> bool:
        """Whether it has more of anything than any series."""
        return len(self.games) > limits.max_games or any(
            max(len(game.players), len(game.teams)) > limits.max_members or len(game.segments) > limits.max_rounds
            for game in self.games.values()
        )

    def numbers(self, max_games: int) -> dict[str, int]:
        """Sequence numbers of games, by id."""
        return {
            name: game.number
            for name, game in self.games.items()
            if game.number is not None and 0 < game.number <= max_games
        }

    def change(self, fact: Fact) -> bool:
        """Applies what an event changed; tells whether that was a position of someone."""
        delta = _SERIES_DELTA.decode(fact.series_delta) if fact.series_delta else grid_wire.SeriesDelta()
        for game in self.games.values():
            game.told.clear()
        for own in self._of_entities(fact):
            _fill(delta, own)
        if delta.title is not UNSET:
            self.title = None if delta.title is None else delta.title.name_shortened or delta.title.name
        if delta.valid is not UNSET:
            self.is_valid = delta.valid is not False
        moved = False
        inverse = is_inverse(fact.type)
        for told in _members(delta.games):
            name = str(told.id)
            if _is_gone(told.state_path) or (inverse and told.started is False):
                self.games.pop(name, None)
            else:
                moved |= self.games.setdefault(name, _Game()).change(told, is_inverse=inverse)
        return moved

    def _of_entities(self, fact: Fact) -> Iterable[grid_wire.SeriesDelta]:
        """What actor and target tell of themselves, as a change of the series."""
        gist = fact.gist
        name = self.playing if fact.game is None else fact.game
        for (kind, entity), told in ((gist.actor, gist.actor_delta), (gist.target, gist.target_delta)):
            if not told:
                continue
            if kind == "series":
                yield _SERIES_DELTA.decode(told)
            elif kind == "game":
                yield grid_wire.SeriesDelta(games=[_member(_GAME_CHANGE.decode(told), grid_wire.GameDelta, entity)])
            elif name is None:
                continue
            elif kind == "team":
                team = _member(_TEAM_CHANGE.decode(told), grid_wire.TeamDelta, entity)
                yield grid_wire.SeriesDelta(games=[grid_wire.GameDelta(id=name, teams=[team])])
            elif kind == "round":
                segment = _member(_SEGMENT_CHANGE.decode(told), grid_wire.SegmentDelta, entity)
                yield grid_wire.SeriesDelta(games=[grid_wire.GameDelta(id=name, segments=[segment])])
            elif kind == "player" and (change := _PLAYER_CHANGE.decode(told).game) is not None:
                player = _member(change, grid_wire.PlayerDelta, entity)
                known = self.games[name].players.get(f"player:{entity}") if name in self.games else None
                if known is not None and known.team is not None:
                    team = grid_wire.TeamDelta(id=known.team.removeprefix("team:"), players=[player])
                    yield grid_wire.SeriesDelta(games=[grid_wire.GameDelta(id=name, teams=[team])])

    def show(self, name: str | None, own: Snapshot | None, scan: Scan, *, with_positions: bool) -> Snapshot | None:
        """A game as it is known now; None of one that is not.

        Args:
            name: its id.
            own: what actor and target show of themselves, which counts more.
            scan: whose rows grow.
            with_positions: whether positions can be known.
        """
        game = None if name is None else self.games.get(name)
        if game is None or not game.is_known:
            return None
        cast = game.cast_now(self.title, self.is_valid, scan.casts, scan.limits.max_round)
        values, items = game.values.copy(), game.items.copy()
        is_told = np.array([player.player in game.told for player in cast.players], np.bool_)
        if not with_positions:
            values[:, :3] = np.nan
        if own is not None:
            shown = scan.rows.part(own.first, len(own.cast.players))
            for row, player in enumerate(own.cast.players):
                if (place := cast.place.get(player.player)) is not None:
                    values[place], is_told[place] = shown.values[row], True
                    game.values[place] = shown.values[row]
        return Snapshot(cast, scan.rows.add(Columns(values, items, is_told)))


def _members(told: Any) -> Iterable[Any]:
    """The members of a list in a delta; none where it has not changed or is null."""
    return () if told is UNSET or told is None else told


def _member(change: msgspec.Struct, kind: type[T], name: str) -> T:
    """A change as a member of a list."""
    return kind(**{**msgspec.structs.asdict(change), "id": name})


def _is_gone(state_path: grid_wire.StatePath) -> bool:
    return state_path is not UNSET and not state_path


def _sum(value: float | None, told: float | UnsetType | None) -> float | None:
    if told is UNSET:
        return value
    return told if value is None or told is None else round(value + told, _DECIMALS)


def _fill(told: msgspec.Struct, more: msgspec.Struct) -> None:
    """Adds to a delta what another tells of the same thing and it does not."""
    for name in told.__struct_fields__:
        own, other = getattr(told, name), getattr(more, name)
        if own is UNSET:
            setattr(told, name, other)
        elif isinstance(own, list) and isinstance(other, list) and name != "state_path":
            members = {str(member.id): member for member in own}
            for member in other:
                if (same := members.get(str(member.id))) is None:
                    own.append(member)
                else:
                    _fill(same, member)
        elif isinstance(own, grid_wire.InventoryDelta) and isinstance(other, grid_wire.InventoryDelta):
            _fill(own, other)
