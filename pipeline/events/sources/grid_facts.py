"""From a line of a GRID log to small facts.

Belongs here: decoding a transaction, who its events are about, what their states show. Does not belong here: the wire
format and its words (`grid_wire`), order and corrections (`grid`), what facts mean (`grid_story`).

A line of 20-90 kB becomes a few kilobytes of facts. Where something in a transaction has the wrong type, only that
event is refused, and where it is in an event's state, only that state.
"""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from configs.events import ValidityConfig
from configs.titles import load_titles
from pipeline.events.conservation import Tally
from pipeline.events.quarantine import BadField, QuarantineRows
from pipeline.events.sources import grid_wire
from pipeline.events.sources.fields import instant_us
from pipeline.tables import ID_PATTERN

_TRANSACTION = msgspec.json.Decoder(grid_wire.Transaction)
_ENVELOPE = msgspec.json.Decoder(grid_wire.Envelope)
_EVENT = msgspec.json.Decoder(grid_wire.Event)
_DECODE_ERRORS = (msgspec.MsgspecError, ValueError, RecursionError)
_STATES = ("seriesState", "seriesStateDelta")
_MAX_SEQUENCE = 2**46
_PLACES = 2**16  # of a transaction in `seq`: the first half for its events, the second for positions from its state
MOST_PLACES = _PLACES // 2
_MATCH_ID = re.compile(ID_PATTERN)
DERIVED_ID = "position:"
_KEPT_ROUNDS = 2  # the round being played and the one before: a win may show late
_MAX_GAMES = 100
_MAX_ROUNDS = 10_000
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PlayerFact:
    """A player in a snapshot; `at` in the title's own units, None where the feed has none."""

    player: str
    team: str | None
    name: str | None
    at: tuple[float, float, float | None] | None
    hp: float | None
    armor: float | None
    alive: bool
    has_bomb: bool | None


@dataclass(frozen=True, slots=True)
class TeamFact:
    """A team in a snapshot."""

    team: str
    name: str | None
    side: str | None
    score: float | None


@dataclass(frozen=True, slots=True)
class RoundFact:
    """A round in a snapshot: sides by team, and who won it how."""

    number: int
    sides: dict[str, str]
    winner: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What an event's state tells of its own game."""

    title: str | None
    map: str | None
    teams: tuple[TeamFact, ...]
    players: tuple[PlayerFact, ...]
    rounds: tuple[RoundFact, ...]


@dataclass(frozen=True, slots=True)
class Fact:
    """One event of a transaction, as far as anything is made of it.

    Attributes:
        sequence: the transaction's number; with `index` the event's place in the feed.
        transaction_us: wall clock of its transaction, microseconds since 1970 UTC.
        game: id of its game where the event itself tells it.
        numbers: sequence numbers of games that its state shows, by game id.
        snapshot: state of its game; None without state, or where the state declares itself invalid.
        round: number of the round that is its actor or target.
        actor_delta: what it changed of the actor, undecoded; so for the target.
    """

    line: int
    series: str
    sequence: int
    index: int
    transaction_us: int
    event_id: str
    type: str
    action: str
    actor: tuple[str, str]
    target: tuple[str, str]
    reverted_id: str | None
    game: str | None
    numbers: dict[str, int]
    snapshot: Snapshot | None
    round: int | None
    actor_delta: bytes
    target_delta: bytes

    @property
    def seq(self) -> int:
        """Its place in the order of canonical events."""
        return self.sequence * _PLACES + self.index

    @property
    def position_seq(self) -> int:
        """The place of the first position read from its state, after all events of its transaction."""
        return self.sequence * _PLACES + MOST_PLACES


@dataclass(slots=True)
class Scan:
    """Facts of a log as they are read, and the identities seen."""

    facts: list[Fact] = field(default_factory=list)
    seen: set[tuple[str, int]] = field(default_factory=set)
    ids: set[tuple[str, str]] = field(default_factory=set)


def refuse(fact: Fact, path: str, reason: str, quarantine: QuarantineRows, tally: Tally) -> None:
    """Quarantines one event of a transaction that was read."""
    quarantine.add(fact.line, path, reason, f"{fact.type} {fact.event_id}".encode())
    tally.quarantined += 1


def scan_line(
    data: bytes, line: int, scan: Scan, quarantine: QuarantineRows, tally: Tally, validity: ValidityConfig
) -> None:
    """Adds the facts of one line; counts duplicates and what it quarantines.

    Raises:
        BadField: if the line is no transaction at all.
    """
    envelope, events = _decode(data, line, quarantine)
    tally.source_events += len(events)
    try:
        series, sequence, at_us = _identity(envelope, validity)
    except BadField as bad:
        for index in range(len(events)):
            quarantine.add(line, bad.field, f"{bad.reason} (event {index} of {len(events)})", data)
        tally.quarantined += len(events)
        return
    if (series, sequence) in scan.seen:
        tally.duplicate += len(events)
        return
    scan.seen.add((series, sequence))
    for index, event in enumerate(events):
        try:
            if isinstance(event, BadField):
                raise event
            fact = _fact(event, line, series, sequence, index, at_us, validity)
        except BadField as bad:
            quarantine.add(line, _below(f"events[{index}]", bad.field), bad.reason, data)
            tally.quarantined += 1
            continue
        if (series, fact.event_id) in scan.ids:
            tally.duplicate += 1
            continue
        scan.ids.add((series, fact.event_id))
        scan.facts.append(fact)


def _decode(
    data: bytes, line: int, quarantine: QuarantineRows
) -> tuple[grid_wire.Transaction | grid_wire.Envelope, Sequence[grid_wire.Event | BadField]]:
    try:
        transaction = _TRANSACTION.decode(data)
        return transaction, transaction.events
    except _DECODE_ERRORS:
        pass
    try:
        envelope = _ENVELOPE.decode(data)
    except _DECODE_ERRORS as error:
        raise _bad(error) from error
    return envelope, [
        _decode_event(bytes(raw), f"events[{n}]", line, quarantine) for n, raw in enumerate(envelope.events)
    ]


def _decode_event(data: bytes, path: str, line: int, quarantine: QuarantineRows) -> grid_wire.Event | BadField:
    """An event of a transaction in which something has the wrong type; a bad state costs the state, not the event."""
    try:
        return _EVENT.decode(data)
    except _DECODE_ERRORS as error:
        bad = _bad(error)
    try:
        wire = msgspec.json.decode(data)
    except _DECODE_ERRORS as error:
        return _bad(error)
    if not isinstance(wire, dict) or not any(name in wire for name in _STATES):
        return bad
    bare = {name: value for name, value in wire.items() if name not in _STATES}
    try:
        event = _EVENT.decode(msgspec.json.encode(bare))
    except _DECODE_ERRORS as error:
        return _bad(error)
    quarantine.add(line, _below(path, bad.field), f"{bad.reason}; the event stands without its state", data)
    return event


def _below(path: str, field: str) -> str:
    return f"{path}.{field}" if field else path


def _bad(error: Exception) -> BadField:
    reason, _, path = str(error).partition(" - at `$")
    return BadField(path.removesuffix("`").removeprefix("."), reason)


def _identity(envelope: grid_wire.Transaction | grid_wire.Envelope, validity: ValidityConfig) -> tuple[str, int, int]:
    if envelope.series_id is None:
        raise BadField("seriesId", "is missing")
    series = str(envelope.series_id)
    if _MATCH_ID.fullmatch(f"{series}-00") is None:
        raise BadField("seriesId", f"{series[:60]!r} can't be part of a match id, {ID_PATTERN}")
    sequence = as_int(envelope.sequence_number)
    if sequence is None or not 0 <= sequence < _MAX_SEQUENCE:
        raise BadField("sequenceNumber", f"must be a number from 0, is {envelope.sequence_number!r:.60}")
    if envelope.occurred_at is None:
        raise BadField("occurredAt", "is missing")
    return series, sequence, instant_us(envelope.occurred_at, "occurredAt")


def as_int(value: str | int | None) -> int | None:
    """A number that may come as a string; None for anything else."""
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() and len(value) < 19 else None
    return value


def _fact(
    event: grid_wire.Event, line: int, series: str, sequence: int, index: int, at_us: int, validity: ValidityConfig
) -> Fact:
    if index >= MOST_PLACES:
        raise BadField("", f"only {MOST_PLACES} events of a transaction have a place in the order")
    actor, target = event.actor or grid_wire.Entity(), event.target or grid_wire.Entity()
    event_type = event.type or "-".join(part or "" for part in (actor.type, event.action, target.type))
    if not event_type.strip("-"):
        raise BadField("type", "is missing")
    parts = event_type.split("-")
    event_id = str(event.id) if event.id not in (None, "") else f"{series}:{sequence}:{index}"
    for name, value in (("type", event_type), ("id", event_id)):
        if len(value) > validity.max_id_chars:
            raise BadField(name, f"has {len(value)} characters, at most {validity.max_id_chars} are taken")
    if event_id.startswith(DERIVED_ID):
        raise BadField("id", f"begins with {DERIVED_ID!r}, which names positions read from states")
    state = event.series_state
    games = (state.games if state else None) or []
    game = _own_game(event, actor, target, games)
    return Fact(
        line=line,
        series=series,
        sequence=sequence,
        index=index,
        transaction_us=at_us,
        event_id=event_id,
        type=sys.intern(event_type),
        action=sys.intern(event.action or (parts[1] if len(parts) > 2 else "")),
        actor=_entity(actor, parts[0]),
        target=_entity(target, parts[-1]),
        reverted_id=None if event.reverted_event_id is None else str(event.reverted_event_id),
        game=game,
        numbers=_game_numbers(games, actor, target),
        snapshot=_entity_snapshot(actor, target) if state is None else _snapshot(state, game),
        round=_round_of(actor, target),
        actor_delta=bytes(actor.state_delta),
        target_delta=bytes(target.state_delta),
    )


def _entity(entity: grid_wire.Entity, fallback: str) -> tuple[str, str]:
    return entity.type or fallback, "" if entity.id is None else str(entity.id)


def _own_game(
    event: grid_wire.Event, actor: grid_wire.Entity, target: grid_wire.Entity, games: Sequence[grid_wire.Game]
) -> str | None:
    """The id of the game that an event happens in: the one it names, else changes, else the one being played."""
    for entity in (actor, target):
        if entity.type == "game" and entity.id is not None:
            return str(entity.id)
    delta = event.series_state_delta
    touched = [str(ref.id) for ref in (delta.games if delta else None) or [] if ref.id is not None]
    if len(touched) == 1:
        return touched[0]
    playing = [str(game.id) for game in games if game.id is not None and game.started and not game.finished]
    return playing[-1] if playing else None


def _game_numbers(games: Sequence[grid_wire.Game], actor: grid_wire.Entity, target: grid_wire.Entity) -> dict[str, int]:
    numbers = {str(game.id): as_int(game.sequence_number) for game in games if game.id is not None}
    for entity in (actor, target):
        if entity.type == "game" and entity.id is not None and numbers.get(str(entity.id)) is None:
            state = decode_raw(bytes(entity.state), grid_wire.EntityState)
            numbers[str(entity.id)] = as_int(state.sequence_number)
    return {game: number for game, number in numbers.items() if number is not None and 0 < number < _MAX_GAMES}


def decode_raw(raw: bytes, kind: type[T]) -> T:
    """A state or delta decoded as far as it is of the expected shape; the empty one of that kind otherwise."""
    if raw and raw != b"null":
        try:
            return msgspec.json.decode(raw, type=kind)
        except _DECODE_ERRORS:
            return kind()
    return kind()


def _snapshot(state: grid_wire.SeriesState, game: str | None) -> Snapshot | None:
    """The event's own game of a state; None of another game's, or of a state that declares itself invalid."""
    own = next((entry for entry in state.games or [] if entry.id is not None and str(entry.id) == game), None)
    if own is None or state.valid is False:
        return None
    title = (state.title.name_shortened or state.title.name) if state.title is not None else None
    bomb_items = load_titles().find(title).bomb_items
    players = []
    teams = []
    for team in own.teams or []:
        team_id = None if team.id is None else sys.intern(f"team:{team.id}")
        if team_id is not None:
            teams.append(TeamFact(team_id, team.name, team.side, team.score))
        players += [_player(player, team_id, bomb_items) for player in team.players or [] if player.id is not None]
    return Snapshot(
        title=title,
        map=(own.map.name or None) if own.map is not None else None,
        teams=tuple(teams),
        players=tuple(players),
        rounds=tuple(_rounds(own)),
    )


def _entity_snapshot(actor: grid_wire.Entity, target: grid_wire.Entity) -> Snapshot | None:
    """The little that actor and target tell where an event has no state of the series."""
    players = []
    for entity in (actor, target):
        if entity.type == "player" and entity.id is not None and entity.state:
            state = decode_raw(bytes(entity.state), grid_wire.EntityState)
            if state.game is not None:
                team = None if state.team_id is None else f"team:{state.team_id}"
                state.game.id = entity.id
                players.append(_player(state.game, team, ()))
    return Snapshot(title=None, map=None, teams=(), players=tuple(players), rounds=()) if players else None


def _player(player: grid_wire.PlayerState, team: str | None, bomb_items: tuple[str, ...]) -> PlayerFact:
    at = player.position
    items = player.items if player.items is not None else player.inventory.items if player.inventory else None
    return PlayerFact(
        player=sys.intern(f"player:{player.id}"),
        team=team,
        name=sys.intern(player.name) if player.name else None,
        at=(at.x, at.y, at.z) if at is not None and at.x is not None and at.y is not None else None,
        hp=player.current_health,
        armor=player.current_armor,
        alive=player.alive is not False,
        has_bomb=None if items is None or not bomb_items else any(str(item.id) in bomb_items for item in items),
    )


def _round_of(actor: grid_wire.Entity, target: grid_wire.Entity) -> int | None:
    for entity in (target, actor):
        if entity.type == "round" and entity.id is not None:
            number = round_number(str(entity.id))
            if number is None:
                number = as_int(decode_raw(bytes(entity.state_delta), grid_wire.EntityDelta).sequence_number)
            if number is None:
                number = as_int(decode_raw(bytes(entity.state), grid_wire.EntityState).sequence_number)
            return number if number is not None and 0 < number < _MAX_ROUNDS else None
    return None


def _rounds(game: grid_wire.Game) -> list[RoundFact]:
    rounds = []
    for segment in (game.segments or [])[-_KEPT_ROUNDS:]:
        number = as_int(segment.sequence_number) or round_number(str(segment.id))
        if segment.type not in (None, "round") or number is None or not 0 < number < _MAX_ROUNDS:
            continue
        teams = [team for team in segment.teams or [] if team.id is not None]
        won = next((team for team in teams if team.won), None)
        rounds.append(
            RoundFact(
                number=number,
                sides={f"team:{team.id}": team.side for team in teams if team.side},
                winner=None if won is None else f"team:{won.id}",
                reason=(won.win_type or None) if won is not None else None,
            )
        )
    return rounds


_ROUND_ID = re.compile(r"(?:[A-Za-z]+-)?(\d{1,4})")


def round_number(name: str) -> int | None:
    """The number in an id such as `round-12`; None for other ids."""
    found = _ROUND_ID.fullmatch(name)
    return int(found[1]) if found else None
