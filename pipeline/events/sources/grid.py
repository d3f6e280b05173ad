"""GRID series events: one transaction per line, each event carrying the whole state of the series.

Belongs here: reading transactions into small facts, identity, order, clocks, corrections. Does not belong here: the
wire format and its words (`grid_wire`), what the facts mean in a match (`grid_story`).

A line of 20-90 kB becomes a few hundred bytes of facts, so a series of 300 MB is read in one pass with little memory;
then the facts are put in order of `sequenceNumber`, duplicates and corrections are taken out, and what stands is told
game by game. Deltas are used for what they say of their own event (damage, weapon); positions come from states only.

Events outside any game (the feed, the tournament, the series) belong to the game told last before them, or to the
first one; their match time may be negative. So every event has a match and conservation holds.

A transaction's clock is believed unless it goes against the order of the feed by more than the limit of
`configs/events.yaml`: earlier than the median of the transactions before it, or later than the median of those after.
That is a function of sequence numbers and clocks alone, not of where lines stand in the file.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median_low
from typing import Any

import msgspec

from configs.events import EventsConfig, ValidityConfig
from pipeline.events.conservation import Tally
from pipeline.events.corrections import standing
from pipeline.events.drafts import Drafts
from pipeline.events.quarantine import BadField, QuarantineRows
from pipeline.events.sources import Reopen, SourceReading, grid_wire
from pipeline.events.sources.fields import instant_us
from pipeline.tables import ID_PATTERN

_TRANSACTION = msgspec.json.Decoder(grid_wire.Transaction)
_ENVELOPE = msgspec.json.Decoder(grid_wire.Envelope)
_EVENT = msgspec.json.Decoder(grid_wire.Event)
_DECODE_ERRORS = (msgspec.MsgspecError, ValueError, RecursionError)
_STATES = ("seriesState", "seriesStateDelta")
_MAX_SEQUENCE = 2**46
_MAX_INDEX = 2**16
_MATCH_ID = re.compile(ID_PATTERN)
_KEPT_ROUNDS = 2


@dataclass(frozen=True, slots=True)
class PlayerFact:
    """A living or dead player in a snapshot, in the title's own units."""

    player: str
    team: str | None
    name: str | None
    at: tuple[float, float, float | None] | None
    hp: float | None
    armor: float | None
    alive: bool | None
    items: tuple[str, ...] | None
    place: str


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

    game: str
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
        actor_raw: state and delta of the actor, undecoded; so for the target.
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
    actor_raw: tuple[bytes, bytes]
    target_raw: tuple[bytes, bytes]

    @property
    def seq(self) -> int:
        """Its place in the order of canonical events."""
        return self.sequence * _MAX_INDEX + self.index


@dataclass(slots=True)
class _Scan:
    facts: list[Fact] = field(default_factory=list)
    seen: set[tuple[str, int]] = field(default_factory=set)
    ids: set[tuple[str, str]] = field(default_factory=set)


def recognises(wire: object) -> bool:
    """Whether a decoded line looks like a GRID transaction."""
    return isinstance(wire, dict) and "events" in wire and ("sequenceNumber" in wire or "seriesId" in wire)


def read_grid(reopen: Reopen, quarantine: QuarantineRows, tally: Tally, config: EventsConfig) -> SourceReading:
    """Reads a GRID log; the contract is `pipeline.events.sources.Source`."""
    from pipeline.events.sources.grid_story import tell

    scan = _Scan()
    for line in reopen():
        try:
            if line.refused is not None:
                raise BadField("", line.refused)
            _scan_line(line.data, line.number, scan, quarantine, tally, config.validity)
        except BadField as bad:
            quarantine.add(line.number, bad.field, bad.reason, line.data)
            tally.quarantined += 1
    drafts = Drafts(config.lines.batch_rows)
    told: dict[str, dict[str, Any]] = {}
    started: dict[str, int] = {}
    by_series: dict[str, list[Fact]] = defaultdict(list)
    for fact in scan.facts:
        by_series[fact.series].append(fact)
    for series, facts in sorted(by_series.items()):
        facts.sort(key=lambda fact: (fact.sequence, fact.index))
        stands = standing(facts)
        tally.reverted += stands.count(False)
        untimely = _untimely(facts, config.validity)
        kept = []
        for fact, stays in zip(facts, stands, strict=True):
            if not stays:
                continue
            if (reason := untimely.get(fact.sequence)) is not None:
                refuse(fact, "occurredAt", reason, quarantine, tally)
            else:
                kept.append(fact)
        numbers = _number_games(facts, kept)
        for match_id, game in _by_match(series, kept, numbers).items():
            opening, start_us = tell(match_id, game, drafts, quarantine, tally, config)
            told[match_id] = opening
            started[match_id] = start_us
    return SourceReading(drafts=drafts.frame(), told=told, started_us=started)


def refuse(fact: Fact, path: str, reason: str, quarantine: QuarantineRows, tally: Tally) -> None:
    """Quarantines one event of a transaction that was read."""
    quarantine.add(fact.line, path, reason, f"{fact.type} {fact.event_id}".encode())
    tally.quarantined += 1


def _scan_line(
    data: bytes, line: int, scan: _Scan, quarantine: QuarantineRows, tally: Tally, validity: ValidityConfig
) -> None:
    envelope, events = _decode(data, line, quarantine)
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
            quarantine.add(line, f"events[{index}]{bad.field}", bad.reason, data)
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
    return envelope, [_decode_event(bytes(raw), f"events[{n}]", line, quarantine) for n, raw in enumerate(envelope.events)]


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
    quarantine.add(line, path + bad.field, f"{bad.reason}; the event stands without its state", data)
    return event


def _bad(error: Exception) -> BadField:
    reason, _, path = str(error).partition(" - at `$")
    at = path.removesuffix("`")
    return BadField(at.removeprefix("."), reason) if not at.startswith(".events") else BadField(at[1:], reason)


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
    if index >= _MAX_INDEX // 2:
        raise BadField("", f"only {_MAX_INDEX // 2} events of a transaction have a place in the order")
    actor, target = event.actor or grid_wire.Entity(), event.target or grid_wire.Entity()
    event_type = event.type or "-".join(part or "" for part in (actor.type, event.action, target.type))
    if not event_type.strip("-"):
        raise BadField(".type", "is missing")
    parts = event_type.split("-")
    event_id = str(event.id) if event.id not in (None, "") else f"{series}:{sequence}:{index}"
    for name, value in ((".type", event_type), (".id", event_id)):
        if len(value) > validity.max_id_chars:
            raise BadField(name, f"has {len(value)} characters, at most {validity.max_id_chars} are taken")
    state = event.series_state
    games = (state.games if state else None) or []
    game = _own_game(event, actor, target, games)
    believed = state is not None and state.valid is not False
    own = next((entry for entry in games if entry.id is not None and str(entry.id) == game), None)
    return Fact(
        line=line,
        series=series,
        sequence=sequence,
        index=index,
        transaction_us=at_us,
        event_id=event_id,
        type=event_type,
        action=event.action or (parts[1] if len(parts) > 2 else ""),
        actor=_entity(actor, parts[0]),
        target=_entity(target, parts[-1]),
        reverted_id=None if event.reverted_event_id is None else str(event.reverted_event_id),
        game=game,
        numbers=_game_numbers(games, actor, target),
        snapshot=_snapshot(own, state, f"events[{index}].seriesState") if own is not None and believed else None,
        actor_raw=(bytes(actor.state), bytes(actor.state_delta)),
        target_raw=(bytes(target.state), bytes(target.state_delta)),
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


def _game_numbers(
    games: Sequence[grid_wire.Game], actor: grid_wire.Entity, target: grid_wire.Entity
) -> dict[str, int]:
    numbers = {}
    for entity in (actor, target):
        if entity.type == "game" and entity.id is not None:
            number = as_int(decode_raw(bytes(entity.state), grid_wire.EntityState).sequence_number)
            if number is not None:
                numbers[str(entity.id)] = number
    for game in games:
        number = as_int(game.sequence_number)
        if game.id is not None and number is not None:
            numbers[str(game.id)] = number
    return {game: number for game, number in numbers.items() if 0 < number < 100}


def decode_raw[T](raw: bytes, kind: type[T]) -> T:
    """A state or delta decoded as far as it is of the expected shape; the empty one of that kind otherwise."""
    if raw and raw != b"null":
        try:
            return msgspec.json.decode(raw, type=kind)
        except _DECODE_ERRORS:
            return kind()
    return kind()


def _snapshot(game: grid_wire.Game, state: grid_wire.SeriesState | None, path: str) -> Snapshot:
    title = state.title if state is not None else None
    players = []
    teams = []
    for t, team in enumerate(game.teams or []):
        team_id = None if team.id is None else f"team:{team.id}"
        if team_id is not None:
            teams.append(TeamFact(team_id, team.name, team.side, team.score))
        for p, player in enumerate(team.players or []):
            if player.id is not None:
                players.append(player_fact(player, team_id, f"{path}.games.teams[{t}].players[{p}]"))
    return Snapshot(
        game=str(game.id),
        title=(title.name_shortened or title.name) if title is not None else None,
        map=(game.map.name or None) if game.map is not None else None,
        teams=tuple(teams),
        players=tuple(players),
        rounds=tuple(_rounds(game)),
    )


def player_fact(player: grid_wire.PlayerState, team: str | None, path: str) -> PlayerFact:
    """A player of a state."""
    at = player.position
    items = player.items if player.items is not None else player.inventory.items if player.inventory else None
    return PlayerFact(
        player=f"player:{player.id}",
        team=team,
        name=player.name,
        at=(at.x, at.y, at.z) if at is not None and at.x is not None and at.y is not None else None,
        hp=player.current_health,
        armor=player.current_armor,
        alive=player.alive,
        items=None if items is None else tuple(str(item.id) for item in items),
        place=f"{path}.position",
    )


def _rounds(game: grid_wire.Game) -> list[RoundFact]:
    rounds = []
    for segment in (game.segments or [])[-_KEPT_ROUNDS:]:
        number = as_int(segment.sequence_number) or round_number(str(segment.id))
        if segment.type not in (None, "round") or number is None:
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


def _untimely(facts: Sequence[Fact], validity: ValidityConfig) -> dict[int, str]:
    """Transactions whose clock goes against the order of the feed, by sequence number, with the reason."""
    clocks: dict[int, int] = {fact.sequence: fact.transaction_us for fact in facts}
    times = list(clocks.values())
    most_us = validity.max_clock_skew_ms * 1000
    reach = validity.clock_neighbours
    found = {}
    for place, (sequence, at) in enumerate(clocks.items()):
        before, after = times[max(0, place - reach) : place], times[place + 1 : place + 1 + reach]
        if before and (late := median_low(before) - at) > most_us:
            found[sequence] = f"goes back by {late // 1_000_000} s"
        elif after and (early := at - median_low(after)) > most_us:
            found[sequence] = f"runs ahead by {early // 1_000_000} s"
    return found


def _number_games(facts: Sequence[Fact], kept: Sequence[Fact]) -> dict[str, int]:
    """Game numbers by id: as a state shows them, else in the order of their starts that stand."""
    numbers: dict[str, int] = {}
    for fact in facts:
        for game, number in fact.numbers.items():
            numbers.setdefault(game, number)
    starts = [fact.game for fact in kept if fact.type == "series-started-game" and fact.game is not None]
    for game in (*starts, *(fact.game for fact in kept if fact.game is not None)):
        if game not in numbers:
            numbers[game] = max(numbers.values(), default=0) + 1
    return numbers


def _by_match(series: str, kept: Sequence[Fact], numbers: dict[str, int]) -> dict[str, list[tuple[Fact, bool]]]:
    """What stands, by match, each with whether its game is its own; others go to the game told last, or the first."""
    first = next((numbers[fact.game] for fact in kept if fact.game is not None), 1)
    current = first
    matches: dict[str, list[tuple[Fact, bool]]] = defaultdict(list)
    for fact in kept:
        if fact.game is not None:
            current = numbers[fact.game]
        matches[f"{series}-{current}"].append((fact, fact.game is not None))
    return matches
