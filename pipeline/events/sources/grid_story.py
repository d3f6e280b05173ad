"""What the facts of a GRID game mean: one canonical event per thing that happened.

Belongs here: merging what several events tell, rounds, kills, damage, the bomb, positions.
Does not belong here: reading transactions and corrections (`grid`), the wire format (`grid_wire`).

Boundaries: the first event to tell of a match's or a round's start, live phase or end becomes the canonical one, with
what all tellings know; the others are merged into it, and so are clocks set in the same transaction.

Positions: of each transaction the last state that stands gives one POSITION_UPDATE per living player, except where
the position has not changed for less than the limit of `configs/events.yaml`. They follow the transaction's events in
`seq`. GRID's positions are planar, so `y_mm` is null; there is no view direction. A new round puts players at their
spawns, so a state that still shows exactly a player's last position of the round before (or, after a round without
any state, that of the new round's first) has not been sampled since: it gives no position until it changes, lest a
player seem to leap across the map when the round goes live.

`has_bomb` is told once any inventory of the match has shown the bomb; before, an inventory without it may only mean
that the feed does not list bombs, so it stays null. `site` stays null: no event names one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import msgspec

from configs.events import EventsConfig
from configs.titles import Title, load_titles
from pipeline.events.conservation import Tally
from pipeline.events.drafts import Draft, Drafts
from pipeline.events.quarantine import QuarantineRows
from pipeline.events.sources import grid_wire
from pipeline.events.sources.grid_facts import (
    DERIVED_ID,
    MOST_PLACES,
    Fact,
    PlayerFact,
    Snapshot,
    decode_raw,
    refuse,
)
from pipeline.events.units import title_mm

Point = tuple[int, int | None, int]
_INT32_END = 2**31


@dataclass(slots=True)
class _Boundary:
    """A match or round boundary and everything that is known of it."""

    event_type: str
    round: int | None
    fact: Fact
    winner_team: str | None = None


@dataclass(slots=True)
class _Game:
    """A game while it is told."""

    match_id: str
    start_us: int
    title: Title
    roster: dict[str, dict[str, str | None]] = field(default_factory=dict)
    team_names: dict[str, str | None] = field(default_factory=dict)
    map: str | None = None
    title_name: str | None = None
    score: dict[str, int] = field(default_factory=dict)
    sides: dict[int, dict[str, str]] = field(default_factory=dict)
    own_sides: set[int] = field(default_factory=set)
    results: dict[int, tuple[str, str | None]] = field(default_factory=dict)
    bomb_seen: bool = False
    shown: dict[str, tuple[float, float, float | None]] = field(default_factory=dict)
    stale: dict[str, tuple[float, float, float | None]] = field(default_factory=dict)
    in_rounds: bool = False
    last: dict[str, tuple[Point, int]] = field(default_factory=dict)


def tell(
    match_id: str,
    events: Sequence[tuple[Fact, bool]],
    drafts: Drafts,
    quarantine: QuarantineRows,
    tally: Tally,
    config: EventsConfig,
) -> tuple[dict[str, Any], int]:
    """Tells one game: adds its canonical events to the drafts and counts every event.

    Args:
        match_id: its name.
        events: what stands, in the order of the feed; false for events that only were assigned to this game.
        drafts: grow by its events.
        quarantine: grows by events at impossible times and by unbelievable positions.
        tally: counts each event once, and the positions apart.
        config: limits.

    Returns:
        What is known of the match in the shape of a MATCH_STARTED payload, and the wall clock at its 0 in
        microseconds since 1970 UTC: the start of the game, else its first event.
    """
    starts = [fact for fact, own in events if own and fact.type == "series-started-game"]
    start_us = (starts or [fact for fact, own in events if own] or [events[0][0]])[0].transaction_us
    snapshots = [fact.snapshot for fact, own in events if own and fact.snapshot is not None]
    title_name = next((snapshot.title for snapshot in snapshots if snapshot.title), None)
    game = _Game(match_id, start_us, load_titles().find(title_name), title_name=title_name)
    timely = [(fact, own) for fact, own in events if _in_time(fact, own, game, quarantine, tally, config)]
    boundaries = _boundaries(timely)
    _learn(game, timely, boundaries)
    for sequence, group in groupby(timely, key=lambda entry: entry[0].sequence):
        transaction = list(group)
        told = (boundaries[fact.event_id] for fact, _ in transaction if fact.event_id in boundaries)
        if any(entry.event_type == "ROUND_STARTED" and entry.fact.sequence == sequence for entry in told):
            _begin_round(game, transaction)
        places = _places(game, transaction, quarantine, config)
        has_boundary = any(fact.type in grid_wire.BOUNDARIES and own for fact, own in transaction)
        for fact, own in transaction:
            boundary = boundaries.get(fact.event_id) if own else None
            if boundary is not None:
                if boundary.fact is not fact:
                    tally.merged += 1
                    continue
                drafts.add(_boundary_draft(game, boundary))
            elif own and has_boundary and _is_clock(fact):
                tally.merged += 1
                continue
            else:
                drafts.add(_draft(game, fact, places))
            tally.converted += 1
        _add_positions(game, sequence, transaction, places, drafts, tally, config)
    return _opening(game), start_us


def _t_ms(game: _Game, fact: Fact) -> int:
    return round((fact.transaction_us - game.start_us) / 1000)


def _in_time(
    fact: Fact, own: bool, game: _Game, quarantine: QuarantineRows, tally: Tally, config: EventsConfig
) -> bool:
    latest = config.validity.latest_ms
    earliest = config.validity.earliest_ms if own else -latest
    t_ms = _t_ms(game, fact)
    if earliest <= t_ms <= latest:
        return True
    refuse(fact, "occurredAt", f"is {t_ms // 1000} s from the start of its game", quarantine, tally)
    return False


def _boundaries(events: Iterable[tuple[Fact, bool]]) -> dict[str, _Boundary]:
    """Which boundary each telling event belongs to, by event id; rounds without a number are counted."""
    found: dict[tuple[str, int | None], _Boundary] = {}
    by_id: dict[str, _Boundary] = {}
    current = 0
    for fact, own in events:
        event_type = grid_wire.BOUNDARIES.get(fact.type)
        if event_type is None or not own:
            continue
        number: int | None = None
        if event_type.startswith("ROUND"):
            number = fact.round
            if number is None:
                number = current + 1 if fact.type == "game-started-round" else max(current, 1)
            if event_type == "ROUND_STARTED":
                current = number
        boundary = found.setdefault((event_type, number), _Boundary(event_type, number, fact))
        if fact.type in ("team-won-round", "team-won-game"):
            boundary.winner_team = f"team:{fact.actor[1]}"
        by_id[fact.event_id] = boundary
    return by_id


def _learn(game: _Game, events: Iterable[tuple[Fact, bool]], boundaries: dict[str, _Boundary]) -> None:
    """Gathers roster, map, sides, results and score from everything that stands.

    A round's sides are those of its own segment, else of the teams in the first state within the round, else those of
    the round before.
    """
    current: int | None = None
    for fact, own in events:
        if not own:
            continue
        boundary = boundaries.get(fact.event_id)
        if boundary is not None and boundary.event_type == "ROUND_STARTED":
            current = boundary.round
        if fact.snapshot is None:
            continue
        game.map = game.map or fact.snapshot.map
        for team in fact.snapshot.teams:
            game.team_names[team.team] = game.team_names.get(team.team) or team.name
            if team.score is not None and 0 <= team.score < _INT32_END and team.score == int(team.score):
                game.score[team.team] = int(team.score)
        for player in fact.snapshot.players:
            if player.team is not None:
                game.roster.setdefault(player.team, {}).setdefault(player.player, player.name)
        for entry in fact.snapshot.rounds:
            if entry.sides and entry.number not in game.own_sides:
                game.own_sides.add(entry.number)
                game.sides[entry.number] = entry.sides
            if entry.winner is not None:
                game.results[entry.number] = (entry.winner, entry.reason)
        if current is not None and current not in game.sides:
            sides = {team.team: team.side for team in fact.snapshot.teams if team.side}
            if sides:
                game.sides[current] = sides
    before: dict[str, str] = {}
    for number in sorted({entry.round for entry in boundaries.values() if entry.round is not None}):
        before = game.sides.setdefault(number, before)


def _boundary_draft(game: _Game, boundary: _Boundary) -> Draft:
    fact, number = boundary.fact, boundary.round
    payload: dict[str, Any] = {}
    actor = f"match:{game.match_id}" if number is None else f"round:{number}"
    if boundary.event_type == "MATCH_STARTED":
        payload = _opening(game)
    elif boundary.event_type == "MATCH_ENDED":
        payload = {"score": game.score} if game.score else {}
        if boundary.winner_team is not None:
            payload["winner"] = boundary.winner_team
    elif boundary.event_type == "ROUND_STARTED" and number is not None:
        payload = {"sides": game.sides.get(number, {})}
    elif boundary.event_type == "ROUND_ENDED" and number is not None:
        team, reason = game.results.get(number, (None, None))
        team = boundary.winner_team or team
        payload = {"winner": game.sides.get(number, {}).get(team or "", team), "reason": reason}
    return _new(game, fact, boundary.event_type, payload, actor=actor, round=number)


def _opening(game: _Game) -> dict[str, Any]:
    teams = [
        {
            "id": team,
            "name": game.team_names.get(team),
            "players": [{"id": player, "name": name} for player, name in game.roster.get(team, {}).items()],
        }
        for team in (*game.team_names, *sorted(game.roster.keys() - game.team_names.keys()))
    ]
    return {"title": game.title_name, "map": game.map, "teams": teams}


def _is_clock(fact: Fact) -> bool:
    return fact.target[0] in grid_wire.CLOCKS and fact.action in grid_wire.CLOCK_ACTIONS


def _draft(game: _Game, fact: Fact, places: dict[str, Point]) -> Draft:
    """An event that is no boundary."""
    actor_is_player, target_is_player = fact.actor[0] == "player", fact.target[0] == "player"
    if target_is_player and fact.action in grid_wire.KILLS:
        delta = _delta(fact.actor_delta)
        payload: dict[str, Any] = {"kind": fact.action if actor_is_player else f"{fact.actor[0]}-{fact.action}"}
        if delta.headshots:
            payload["headshot"] = delta.headshots > 0
        weapons = [name for name, count in (delta.weapon_kills or delta.weapon_teamkills or {}).items() if count > 0]
        return _new(game, fact, "PLAYER_KILLED", payload, places, weapon=weapons[0] if len(weapons) == 1 else None)
    if target_is_player and fact.action in grid_wire.DAMAGES:
        payload = {"kind": fact.action if actor_is_player else f"{fact.actor[0]}-{fact.action}"}
        return _new(game, fact, "PLAYER_DAMAGED", payload, places, amount=_damage(fact))
    if fact.action == "completed" and fact.target[0] in grid_wire.OBJECTIVES:
        return _new(game, fact, grid_wire.OBJECTIVES[fact.target[0]], {}, places, target=None)
    if fact.type in grid_wire.BOMB_MOVES and fact.target[1] in game.title.bomb_items:
        return _new(game, fact, grid_wire.BOMB_MOVES[fact.type], {}, places, target=None)
    payload = {"event_type": fact.type}
    for name, raw in (("actor_delta", fact.actor_delta), ("target_delta", fact.target_delta)):
        delta_wire = msgspec.json.decode(raw) if raw else None
        if isinstance(delta_wire, dict) and delta_wire.keys() - {"id"}:
            payload[name] = delta_wire
    return _new(game, fact, "OTHER", payload, places)


_UNSET = "\0"


def _new(
    game: _Game,
    fact: Fact,
    event_type: str,
    payload: dict[str, Any],
    places: dict[str, Point] | None = None,
    *,
    actor: str | None = _UNSET,
    target: str | None = _UNSET,
    round: int | None = None,
    weapon: str | None = None,
    amount: int | None = None,
) -> Draft:
    actor = _name(fact.actor) if actor == _UNSET else actor
    target = (None if places is None else _name(fact.target)) if target == _UNSET else target
    at = (places or {}).get(actor or "")
    if target is not None and places and (target_at := places.get(target)) is not None:
        x, y, z = target_at
        payload["target_pos"] = [x / 1000, None if y is None else y / 1000, z / 1000]
    return Draft(
        match_id=game.match_id,
        seq=fact.seq,
        event_id=fact.event_id,
        event_type=event_type,
        t_ms=_t_ms(game, fact),
        source_line=fact.line,
        payload=msgspec.json.encode(payload, order="deterministic").decode(),
        occurred_us=fact.transaction_us,
        round=round,
        actor=actor,
        target=target,
        team=_team(game, actor),
        x_mm=None if at is None else at[0],
        y_mm=None if at is None else at[1],
        z_mm=None if at is None else at[2],
        weapon=weapon,
        amount=amount,
    )


def _name(entity: tuple[str, str]) -> str | None:
    return f"{entity[0]}:{entity[1]}" if entity[0] and entity[1] else None


def _team(game: _Game, player: str | None) -> str | None:
    return next((team for team, players in game.roster.items() if player in players), None)


def _delta(raw: bytes) -> grid_wire.GameDelta:
    return decode_raw(raw, grid_wire.EntityDelta).game or grid_wire.GameDelta()


def _damage(fact: Fact) -> int | None:
    """Health taken, as the target's delta tells it, else the actor's; null where neither does."""
    target, actor = _delta(fact.target_delta), _delta(fact.actor_delta)
    told = (
        target.damage_taken,
        target.teamdamage_taken,
        target.selfdamage_taken,
        actor.damage_dealt,
        actor.teamdamage_dealt,
        actor.selfdamage_dealt,
        None if target.current_health is None else -target.current_health,
    )
    amount = next((value for value in told if value is not None), None)
    return None if amount is None or not 0 <= amount < _INT32_END - 1 else round(amount)


def _state(transaction: Sequence[tuple[Fact, bool]]) -> tuple[Fact, Snapshot] | None:
    return next(
        ((fact, fact.snapshot) for fact, own in reversed(transaction) if own and fact.snapshot is not None), None
    )


def _begin_round(game: _Game, transaction: Sequence[tuple[Fact, bool]]) -> None:
    """Remembers which positions are left over; after a round without any state those shown at the start may be."""
    state = _state(transaction)
    now = {player.player: player.at for player in state[1].players if player.at is not None} if state else {}
    game.stale = {} if not game.in_rounds else game.shown or now
    game.shown, game.in_rounds = {}, True


def _places(
    game: _Game, transaction: Sequence[tuple[Fact, bool]], quarantine: QuarantineRows, config: EventsConfig
) -> dict[str, Point]:
    """Where the living players are after a transaction; unbelievable positions go to quarantine."""
    places: dict[str, Point] = {}
    if (state := _state(transaction)) is None:
        return places
    fact, snapshot = state
    for player in snapshot.players:
        if player.at is None:
            continue
        game.shown[player.player] = player.at
        if game.stale.get(player.player) == player.at:
            continue
        game.stale.pop(player.player, None)
        if not player.alive:
            continue
        place = title_mm(game.title, *player.at, max_m=config.validity.max_position_m)
        if place is None:
            path = f"events[{fact.index}].seriesState position of {player.player}"
            quarantine.add(fact.line, path, f"{list(player.at[:2])} is not a believable position", b"")
        else:
            places[player.player] = place
    return places


def _add_positions(
    game: _Game,
    sequence: int,
    transaction: Sequence[tuple[Fact, bool]],
    places: dict[str, Point],
    drafts: Drafts,
    tally: Tally,
    config: EventsConfig,
) -> None:
    if (state := _state(transaction)) is None:
        return
    fact, snapshot = state
    t_ms = _t_ms(game, fact)
    game.bomb_seen = game.bomb_seen or any(player.has_bomb for player in snapshot.players)
    for place, player in enumerate(snapshot.players[:MOST_PLACES]):
        at = places.get(player.player)
        if at is None:
            continue
        before = game.last.get(player.player)
        if before is not None and before[0] == at and t_ms - before[1] < config.snapshots.unchanged_ms:
            continue
        game.last[player.player] = (at, t_ms)
        drafts.add(_position(game, fact, player, at, fact.position_seq + place, t_ms, config))
        tally.derived_positions += 1


def _position(
    game: _Game, fact: Fact, player: PlayerFact, at: Point, seq: int, t_ms: int, config: EventsConfig
) -> Draft:
    hp, armor = (_amount(value, config.validity.max_amount) for value in (player.hp, player.armor))
    return Draft(
        match_id=game.match_id,
        seq=seq,
        event_id=f"{DERIVED_ID}{fact.series}:{fact.sequence}:{player.player.removeprefix('player:')}",
        event_type="POSITION_UPDATE",
        t_ms=t_ms,
        source_line=fact.line,
        payload=msgspec.json.encode(
            {name: value for name, value in (("armor", armor), ("hp", hp)) if value is not None}
        ).decode(),
        occurred_us=fact.transaction_us,
        actor=player.player,
        team=player.team or _team(game, player.player),
        x_mm=at[0],
        y_mm=at[1],
        z_mm=at[2],
        hp=hp,
        armor=armor,
        has_bomb=player.has_bomb if game.bomb_seen else None,
    )


def _amount(value: float | None, most: int) -> int | None:
    return None if value is None or not -most <= value <= most else round(value)
