"""A recording as GRID series events: one transaction per line, each event with the whole state of the series.

In its usual form every transaction carries the whole state; or only every n-th, or none, and then its first event
tells in `seriesStateDelta` all that the transaction changed of the series.

As a real feed does, it samples the state once a second, has positions only in states (planar, in game units, null in
the beginning), takes back and repeats the start of one round, tells one round without any state, and knows neither
shots nor the beginning of a plant.

Numbers in deltas are relative, other values absolute; list members match by id, and a `statePath` of [] removes one.

Belongs here: what the transactions say. Does not belong here: what happened (`match`), the format's reader
(`pipeline.events.sources.grid`).
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import msgspec
import numpy as np

from configs.titles import load_titles
from pipeline.events.sources.simulator.agents import PLAYERS, TEAM_SIZE
from pipeline.events.sources.simulator.match import WORDS, PlayedRound, Recording
from pipeline.events.sources.simulator.state import Happening

Json = dict[str, Any]
DECIMALS = 9  # of a difference; positions have 4
EPOCH = "1970-01-01T00:00:00.000Z"
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://grid.gg/simulated")
WIN_TYPES = {
    "t_win": "opponentEliminated",
    "ct_win": "opponentEliminated",
    "bomb_defused": "bombDefused",
    "target_bombed": "bombExploded",
    "time_ran_out": "timeExpired",
}
CHARACTERS = {"attackers": "terrorist", "defenders": "counter-terrorist"}


@dataclass
class _Player:
    """What the feed knows of a player."""

    id: str
    name: str
    hp: int = 100
    armor: int = 100
    alive: bool = True
    at: tuple[float, float] | None = None
    items: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(
            ("kills", "deaths", "killAssistsGiven", "headshots", "damageDealt", "damageTaken",
             "teamdamageDealt", "teamdamageTaken"), 0
        )
    )  # fmt: skip
    weapon_kills: dict[str, int] = field(default_factory=dict)
    objectives: dict[str, int] = field(default_factory=dict)


@dataclass
class _Event:
    """An event before it has its state: actor and target as (type, id), and their deltas."""

    actor: tuple[str, str]
    action: str
    target: tuple[str, str]
    actor_delta: Json
    target_delta: Json
    series_delta: Json
    reverts: str | None = None
    id: str = ""


class _Feed:
    """The feed while it is written."""

    def __init__(self, recording: Recording, series: str, full_every: int) -> None:
        self.full_every = full_every
        self.told: Json = {}  # the state as a reader of deltas knows it
        self.recording = recording
        self.figures = recording.config.grid
        self.unit_m = load_titles().find(recording.config.title).unit_m
        self.series = series
        self.game = str(uuid.uuid5(NAMESPACE, f"{series}/game"))
        self.start = datetime.fromisoformat(recording.config.started_at)
        self.sequence = 0
        self.teams = [str(self.figures.first_team + k) for k in (0, 1)]
        self.players = [_Player(str(self.figures.first_player + i), f"P{i:02d}") for i in range(PLAYERS)]
        self.index = {name: i for i, name in enumerate(recording.players)}
        self.score = [0, 0]
        self.segments: list[Json] = []
        self.sides = recording.rounds[0].sides
        self.clock: Json = {
            "id": "clock", "type": "clock", "ticking": True, "ticksBackwards": True, "currentSeconds": 0,
            "updatedAt": self.stamp(0),
        }  # fmt: skip
        self.started = self.finished = False
        self.valid = True
        self.has_state = True

    def stamp(self, tick: int) -> str:
        """Wall clock of a tick."""
        at = self.start + timedelta(milliseconds=self.recording.config.clock.ms(tick))
        return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    # --- states

    def position(self, player: _Player, tick: int) -> Json | None:
        """A player's position in game units, null in the beginning of the feed."""
        if player.at is None or tick < self.recording.config.clock.ticks(self.figures.no_position_s):
            return None
        x, z = player.at
        return {"x": round(x / self.unit_m, 4), "y": round(-z / self.unit_m, 4)}

    def player_state(self, i: int, tick: int) -> Json:
        """A player in the state of the game."""
        p = self.players[i]
        character = CHARACTERS[self.sides[i // TEAM_SIZE]]
        return {
            "id": p.id,
            "statePath": [{"id": p.id}],
            "name": p.name,
            "character": {"name": character, "id": character},
            "participationStatus": "active",
            **p.counts,
            "weaponKills": p.weapon_kills,
            "items": [
                {"id": item, "statePath": [{"id": item}], "equipped": True, "stashed": False} for item in p.items
            ],
            "objectives": [
                {"id": name, "statePath": [{"id": name}], "type": name, "completionCount": count}
                for name, count in p.objectives.items()
            ],
            "position": self.position(p, tick),
            "alive": p.alive,
            "currentArmor": p.armor,
            "currentHealth": p.hp,
            "maxHealth": 100,
        }

    def game_state(self, tick: int) -> Json:
        """The game."""
        teams = [
            {
                "id": team,
                "statePath": [{"id": team}],
                "name": f"Team {'AB'[k]}",
                "side": WORDS[self.sides[k]],
                "won": self.finished and self.score[k] > self.score[1 - k],
                "score": self.score[k],
                "players": [self.player_state(i, tick) for i in range(k * TEAM_SIZE, (k + 1) * TEAM_SIZE)],
            }
            for k, team in enumerate(self.teams)
        ]
        return {
            "id": self.game,
            "statePath": [{"id": self.game}],
            "sequenceNumber": 1,
            "map": {"name": self.recording.arena.config.name},
            "started": self.started,
            "finished": self.finished,
            "paused": False,
            "clock": self.clock,
            "teams": teams,
            "segments": self.segments[-2:],
        }

    def state(self, tick: int) -> Json:
        """The series."""
        teams = [
            {
                "id": team,
                "statePath": [{"id": team}],
                "name": f"Team {'AB'[k]}",
                "score": int(self.finished and self.score[k] > self.score[1 - k]),
                "won": self.finished and self.score[k] > self.score[1 - k],
                "players": [
                    {"id": p.id, "statePath": [{"id": p.id}], "name": p.name, "participationStatus": "active"}
                    for p in self.players[k * TEAM_SIZE : (k + 1) * TEAM_SIZE]
                ],
            }
            for k, team in enumerate(self.teams)
        ]
        return {
            "id": self.series,
            "title": {"nameShortened": self.recording.config.title},
            "format": "best-of-1",
            "started": True,
            "startedAt": self.stamp(0),
            "finished": self.finished,
            "valid": self.valid,
            "teams": teams,
            "games": [self.game_state(tick)],
        }

    def entity_state(self, kind: str, name: str, tick: int) -> Json:
        """The state of an actor or target."""
        if kind == "player":
            i = next(i for i, p in enumerate(self.players) if p.id == name)
            k = i // TEAM_SIZE
            return {
                "id": name,
                "teamId": self.teams[k],
                "side": WORDS[self.sides[k]],
                "series": {"id": name, "statePath": [{"id": name}], "name": self.players[i].name},
                "game": self.player_state(i, tick),
                "name": self.players[i].name,
            }
        if kind == "team":
            k = self.teams.index(name)
            return {"id": name, "name": f"Team {'AB'[k]}", "side": WORDS[self.sides[k]]}
        if kind == "round" and self.segments:
            return self.segments[-1]
        return {"id": name}

    # --- transactions

    def transaction(self, tick: int, events: list[_Event]) -> str:
        """One line, with the state as it is now."""
        self.sequence += 1
        key = f"{self.series}/{self.sequence}"
        told = []
        state = self.state(tick)
        is_full, change = self.has_state, None
        if self.full_every != 1:
            is_full = self.full_every > 0 and self.sequence % self.full_every == 0
            state = msgspec.json.decode(msgspec.json.encode(state))
            change = changed(self.told, state)
            self.told = state
        for n, event in enumerate(events):
            event.id = str(uuid.uuid5(NAMESPACE, f"{key}/{n}"))
            sides: dict[str, Json] = {}
            for role, (kind, name), delta in (
                ("actor", event.actor, event.actor_delta),
                ("target", event.target, event.target_delta),
            ):
                sides[role] = {"type": kind, "id": name, "stateDelta": {"id": name, **delta}}
                if is_full:
                    sides[role]["state"] = self.entity_state(kind, name, tick)
            series_delta = event.series_delta if change is None else change if n == 0 else {}
            line: Json = {
                "id": event.id,
                "includesFullState": is_full,
                "type": f"{event.actor[0]}-{event.action}-{event.target[0]}",
                "actor": sides["actor"],
                "action": event.action,
                "target": sides["target"],
                "seriesStateDelta": {"id": self.series, **series_delta},
            }
            if event.reverts is not None:
                line["revertedEventId"] = event.reverts
            if is_full:
                line["seriesState"] = state
            told.append(line)
        return msgspec.json.encode(
            {
                "id": str(uuid.uuid5(NAMESPACE, f"{key}/transaction")),
                "correlationId": str(uuid.uuid5(NAMESPACE, f"{key}/correlation")),
                "occurredAt": self.stamp(tick),
                "publishedAt": EPOCH,
                "seriesId": self.series,
                "sequenceNumber": self.sequence,
                "sessionSequenceNumber": self.sequence,
                "events": told,
            }
        ).decode()

    def in_game(self, delta: Json) -> Json:
        """A delta of the game as a delta of the series."""
        return {"games": [{"id": self.game, **delta}]}

    def of_players(self, deltas: dict[int, Json]) -> Json:
        """Deltas of players as a delta of the series."""
        teams = []
        for k, team in enumerate(self.teams):
            mine = [{"id": self.players[i].id, **d} for i, d in sorted(deltas.items()) if i // TEAM_SIZE == k and d]
            if mine:
                teams.append({"id": team, "players": mine})
        return self.in_game({"teams": teams})

    def set_clock(self, tick: int, seconds: float) -> _Event:
        """Set the clock; the delta of its seconds is relative."""
        delta = {
            "clock": {
                "id": "clock", "type": "clock", "currentSeconds": round(seconds - self.clock["currentSeconds"], 3),
                "updatedAt": self.stamp(tick),
            }
        }  # fmt: skip
        self.clock = {**self.clock, "currentSeconds": round(seconds, 3), "updatedAt": self.stamp(tick)}
        return _Event(("game", self.game), "set", ("clock", "clock"), delta, delta["clock"], self.in_game(delta))

    def grid_event(self, action: str, delta: Json) -> _Event:
        """An event of the feed itself."""
        return _Event(("grid", "grid"), action, ("series", self.series), {}, delta, delta)


def grid_lines(recording: Recording, series: str, *, full_every: int = 1) -> Iterator[str]:
    """The lines of a GRID log without line ends, in the order of `sequenceNumber`.

    Args:
        recording: what happened.
        series: id of the series.
        full_every: 1 for the usual form; n where only every n-th transaction carries the state, 0 where none does.
            Then no round is without state, as deltas tell all of it.
    """
    feed = _Feed(recording, series, full_every)
    yield from _opening(feed)
    every = recording.config.clock.ticks(feed.figures.sample_s)
    sample = every
    for played in recording.rounds:
        for tick, happening in _moments(played):
            while sample < tick:
                _see(feed, sample)
                yield feed.transaction(sample, [feed.grid_event("sampled", {})])
                sample += every
            yield from _tell(feed, played, tick, happening)
    while sample < recording.end:
        yield feed.transaction(sample, [feed.grid_event("sampled", {})])
        sample += every
    yield from _ending(feed)


def changed(before: Json, after: Json) -> Json:
    """What a reader must add to a state for it to be another: the delta by the rules of the feed."""
    delta: Json = {}
    for name, new in after.items():
        old = before.get(name)
        if new == old and type(new) is type(old):
            continue
        if name in ("id", "sequenceNumber") or old is None or isinstance(new, bool | str | None):
            delta[name] = new
        elif isinstance(new, int | float):
            delta[name] = round(new - old, DECIMALS)
        elif isinstance(new, dict):
            delta[name] = changed(old, new)
        elif all(isinstance(member, dict) and "id" in member for member in (*old, *new)):
            delta[name] = _changed_members(old, new)
        else:
            delta[name] = new
    return delta | dict.fromkeys(sorted(before.keys() - after.keys()))


def _changed_members(before: list[Json], after: list[Json]) -> list[Json]:
    known = {member["id"]: member for member in before}
    gone = [{"id": name, "statePath": []} for name in known.keys() - {member["id"] for member in after}]
    told = [
        member if member["id"] not in known else {"id": member["id"], **change}
        for member in after
        if (change := changed(known.get(member["id"], {}), member))
    ]
    return sorted(gone, key=lambda member: str(member["id"])) + told


def _moments(played: PlayedRound) -> Iterator[tuple[int, str | Happening]]:
    yield played.start, "start"
    yield played.live, "live"
    for happening in played.happenings:
        yield happening.tick, happening
    yield played.end, "end"


def _see(feed: _Feed, tick: int) -> None:
    """Bring positions, health and armour up to a tick from the newest samples not after it."""
    rounds = [played for played in feed.recording.rounds if played.start <= tick]
    if not rounds:
        return
    played = rounds[-1]
    k = max(0, int(np.searchsorted(played.samples.ticks, tick, side="right")) - 1)
    for i, player in enumerate(feed.players):
        if player.alive:
            x, z = played.samples.place[k, i]
            player.at = round(float(x), 3), round(float(z), 3)


def _opening(feed: _Feed) -> Iterator[str]:
    tournament = feed.figures.tournament
    started = {"started": True, "startedAt": feed.stamp(0)}
    series = ("series", feed.series)
    yield feed.transaction(0, [_Event(("tournament", tournament), "started", series, {}, started, started)])
    feed.started = True
    delta = {"games": [{"id": feed.game, "started": True}]}
    clock = {"clock": {"id": "clock", "type": "clock", "ticking": True, "updatedAt": feed.stamp(0)}}
    game = ("game", feed.game)
    yield feed.transaction(
        0,
        [
            _Event(series, "started", game, delta, {"started": True}, delta),
            _Event(game, "started", ("clock", "clock"), clock, clock["clock"], feed.in_game(clock)),
        ],
    )


def _ending(feed: _Feed) -> Iterator[str]:
    feed.finished = True
    end = feed.recording.end
    game, series = ("game", feed.game), ("series", feed.series)
    told = []
    if feed.score[0] != feed.score[1]:
        winner = feed.teams[0 if feed.score[0] > feed.score[1] else 1]
        delta = feed.in_game({"teams": [{"id": winner, "won": True}]})
        told.append(_Event(("team", winner), "won", game, {"won": True}, {"won": True}, delta))
    delta = feed.in_game({"finished": True})
    told.append(_Event(series, "ended", game, delta, {"finished": True}, delta))
    yield feed.transaction(end, told)
    finished = {"finished": True}
    ended = _Event(("tournament", feed.figures.tournament), "ended", series, {}, finished, finished)
    yield feed.transaction(end, [ended])


def _tell(feed: _Feed, played: PlayedRound, tick: int, happening: str | Happening) -> Iterator[str]:
    if happening == "start":
        yield from _start_round(feed, played)
    elif happening == "live":
        yield from _go_live(feed, played)
    elif happening == "end":
        yield from _end_round(feed, played)
    elif isinstance(happening, Happening):
        _see(feed, tick)
        events = _happening(feed, played, happening)
        if events:
            yield feed.transaction(tick, events)


def _start_round(feed: _Feed, played: PlayedRound) -> Iterator[str]:
    """The start of a round; for one round it is taken back and told again under new ids."""
    # Without any state nobody could tell that the sides have changed, so such a round always has its states.
    feed.has_state = played.number != feed.figures.stateless_round or played.sides != feed.sides
    feed.sides, clock_before = played.sides, feed.clock
    before = [replace(player, items=list(player.items)) for player in feed.players]
    players = _equip(feed, played)
    corrected = min(feed.figures.corrected_round, len(feed.recording.rounds))
    if played.number != corrected:
        yield from _announce(feed, played, players)[0]
        return
    lines, events = _announce(feed, played, players)
    yield from lines
    feed.valid = False
    yield feed.transaction(played.start, [feed.grid_event("invalidated", {"valid": False})])
    segment = feed.segments[-1]
    for group in reversed(events):
        for event in group:
            if event.target[0] == "freezetime":
                segment["segments"], feed.clock = [], clock_before
            elif event.target[0] == "round":
                feed.segments, feed.players = feed.segments[:-1], before
        yield feed.transaction(played.start, [_inverse(event) for event in reversed(group)])
    feed.valid = True
    yield feed.transaction(played.start, [feed.grid_event("validated", {"valid": True})])
    yield from _announce(feed, played, _equip(feed, played))[0]


def _equip(feed: _Feed, played: PlayedRound) -> Json:
    """Everybody alive at his spawn with what he bought; what that changes, as a delta of the series."""
    deltas: dict[int, Json] = {}
    for i, player in enumerate(feed.players):
        armor = int(played.samples.armor[0, i])
        deltas[i] = {"currentHealth": 100 - player.hp, "currentArmor": armor - player.armor}
        if not player.alive:
            deltas[i]["alive"] = True
        player.hp, player.alive, player.armor = 100, True, armor
        put_away = player.items
        player.items = ["knife", played.guns[i]]
        if played.kits[i]:
            player.items.append("defuser")
        if played.samples.carrier[0] == i:
            player.items.append("bomb")
        deltas[i]["items"] = [{"id": item, "statePath": []} for item in put_away if item not in player.items]
        deltas[i]["items"] += [{"id": item, "statePath": [{"id": item}]} for item in player.items]
    _see(feed, played.start)
    return feed.of_players(deltas)


def _inverse(event: _Event) -> _Event:
    """What takes an event back: `!` before its action, flags denied, relative numbers negated."""

    def deny(value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {key: deny(inner, key) for key, inner in value.items()}
        if isinstance(value, list):
            return [deny(inner) for inner in value]
        if isinstance(value, bool):
            return not value
        return -value if isinstance(value, (int, float)) and name != "sequenceNumber" else value

    return _Event(
        event.actor,
        f"!{event.action}",
        event.target,
        deny(event.actor_delta),
        deny(event.target_delta),
        deny(event.series_delta),
        reverts=event.id,
    )


def _announce(feed: _Feed, played: PlayedRound, players: Json) -> tuple[list[str], list[list[_Event]]]:
    """The two transactions that open a round, and their events."""
    name, number = f"round-{played.number}", played.number
    game, round_ = ("game", feed.game), ("round", f"round-{played.number}")
    teams = [
        {"id": team, "statePath": [{"id": team}], "name": f"Team {'AB'[k]}", "side": WORDS[played.sides[k]],
         "won": False, "winType": ""}
        for k, team in enumerate(feed.teams)
    ]  # fmt: skip
    segment: Json = {
        "id": name, "statePath": [{"id": name}], "type": "round", "sequenceNumber": number, "started": True,
        "finished": False, "teams": teams, "segments": [],
    }  # fmt: skip
    feed.segments.append(segment)
    opened = {"id": name, "type": "round", "sequenceNumber": number, "started": True}
    delta = feed.in_game({"segments": [opened], **players["games"][0]})
    first = [_Event(game, "started", round_, {"segments": [opened]}, opened, delta)]
    lines = [feed.transaction(played.start, first)]
    freeze: Json = {"id": f"freezetime-{number}", "type": "freezetime", "sequenceNumber": number, "started": True}
    segment["segments"] = [{**freeze, "statePath": [{"id": freeze["id"]}], "finished": False}]
    inner = {"segments": [freeze]}
    outer = feed.in_game({"segments": [{"id": name, **inner}]})
    second = [
        _Event(round_, "started", ("freezetime", freeze["id"]), inner, freeze, outer),
        feed.set_clock(played.start, feed.recording.config.clock.freeze_s),
    ]
    lines.append(feed.transaction(played.start, second))
    return lines, [first, second]


def _go_live(feed: _Feed, played: PlayedRound) -> Iterator[str]:
    freeze = f"freezetime-{played.number}"
    name = f"round-{played.number}"
    feed.segments[-1]["segments"] = [{**feed.segments[-1]["segments"][0], "finished": True}]
    inner = {"segments": [{"id": freeze, "type": "freezetime", "finished": True}]}
    outer = feed.in_game({"segments": [{"id": name, **inner}]})
    yield feed.transaction(
        played.live,
        [
            _Event(("round", name), "ended", ("freezetime", freeze), inner, {"finished": True}, outer),
            feed.set_clock(played.live, feed.recording.config.clock.round_s),
        ],
    )


def _end_round(feed: _Feed, played: PlayedRound) -> Iterator[str]:
    k = played.sides.index(played.winner)
    name = f"round-{played.number}"
    win = WIN_TYPES[played.reason]
    segment = feed.segments[-1]
    segment["finished"] = True
    segment["teams"] = [
        {**team, "won": n == k, "winType": win if n == k else ""} for n, team in enumerate(segment["teams"])
    ]
    feed.score[k] += 1
    _see(feed, played.end - 1)
    won = {"id": name, "teams": [{"id": feed.teams[k], "won": True, "winType": win}]}
    series = feed.in_game({"teams": [{"id": feed.teams[k], "score": 1}], "segments": [won]})
    ended = {"id": name, "type": "round", "sequenceNumber": played.number, "finished": True}
    yield feed.transaction(
        played.end,
        [
            _Event(("team", feed.teams[k]), "won", ("round", name), {"score": 1}, won, series),
            _Event(
                ("game", feed.game), "ended", ("round", name), {"segments": [ended]}, ended,
                feed.in_game({"segments": [ended]}),
            ),
        ],
    )  # fmt: skip


def _happening(feed: _Feed, played: PlayedRound, happening: Happening) -> list[_Event]:
    """The events of a happening; none for what this feed does not know."""
    i = feed.index[happening.actor]
    payload = happening.payload
    if happening.kind == "PLAYER_DAMAGED":
        return [_damage(feed, i, feed.index[payload["target"]], payload["damage"])]
    if happening.kind == "PLAYER_KILLED":
        return [_kill(feed, i, feed.index[payload["target"]], payload)]
    if happening.kind == "BOMB_DEFUSE_STARTED":
        return [_objective(feed, i, "beginDefuseWithKit" if played.kits[i] else "beginDefuseWithoutKit")]
    if happening.kind == "BOMB_PLANTED":
        planted = _objective(feed, i, "plantBomb")
        feed.players[i].items.remove("bomb")
        return [planted, feed.set_clock(happening.tick, feed.recording.config.clock.bomb_s)]
    if happening.kind == "BOMB_DEFUSED":
        return [_objective(feed, i, "defuseBomb")]
    if happening.kind == "BOMB_EXPLODED":
        return [_objective(feed, i, "explodeBomb")]
    if happening.kind in ("BOMB_DROPPED", "BOMB_PICKED_UP"):
        return [_bomb_moved(feed, i, dropped=happening.kind == "BOMB_DROPPED")]
    return []


def _player(feed: _Feed, i: int) -> tuple[str, str]:
    return "player", feed.players[i].id


def _own(feed: _Feed, i: int, delta: Json) -> Json:
    """A player's delta as that of an actor or target."""
    name = feed.players[i].id
    return {"series": {"id": name}, "game": {"id": name, **delta}}


def _damage(feed: _Feed, i: int, j: int, done: int) -> _Event:
    friendly = i // TEAM_SIZE == j // TEAM_SIZE
    kind = "teamdamage" if friendly else "damage"
    shooter, hurt = feed.players[i], feed.players[j]
    shooter.counts[f"{kind}Dealt"] += done
    hurt.counts[f"{kind}Taken"] += done
    armor = min(hurt.armor, done // 4)
    hurt.hp -= done
    hurt.armor -= armor
    dealt, taken = {f"{kind}Dealt": done}, {f"{kind}Taken": done, "currentHealth": -done, "currentArmor": -armor}
    return _Event(
        _player(feed, i), f"{kind}d", _player(feed, j), _own(feed, i, dealt), _own(feed, j, taken),
        feed.of_players({i: dealt, j: taken}),
    )  # fmt: skip


def _kill(feed: _Feed, i: int, j: int, payload: Json) -> _Event:
    killer, victim = feed.players[i], feed.players[j]
    weapon = payload["weapon"]
    killer.counts["kills"] += 1
    killer.weapon_kills = {**killer.weapon_kills, weapon: killer.weapon_kills.get(weapon, 0) + 1}
    victim.counts["deaths"] += 1
    victim.alive = False
    gained: Json = {"kills": 1, "weaponKills": {weapon: 1}}
    if payload["headshot"]:
        killer.counts["headshots"] += 1
        gained["headshots"] = 1
    deltas: dict[int, Json] = {i: gained, j: {"deaths": 1, "alive": False}}
    if payload["assister"] is not None:
        helper = feed.index[payload["assister"]]
        feed.players[helper].counts["killAssistsGiven"] += 1
        deltas[helper] = {"killAssistsGiven": 1}
    return _Event(
        _player(feed, i), "killed", _player(feed, j), _own(feed, i, deltas[i]), _own(feed, j, deltas[j]),
        feed.of_players(deltas),
    )  # fmt: skip


def _objective(feed: _Feed, i: int, name: str) -> _Event:
    player = feed.players[i]
    player.objectives = {**player.objectives, name: player.objectives.get(name, 0) + 1}
    delta = {"objectives": [{"id": name, "type": name, "completionCount": 1}]}
    done = {"type": name, "completionCount": 1}
    return _Event(_player(feed, i), "completed", (name, name), _own(feed, i, delta), done, feed.of_players({i: delta}))


def _bomb_moved(feed: _Feed, i: int, *, dropped: bool) -> _Event:
    items = feed.players[i].items
    if dropped:
        items.remove("bomb")
    else:
        items.append("bomb")
    item: Json = {"id": "bomb", "statePath": [] if dropped else [{"id": "bomb"}]}
    delta = {"items": [item]}
    action = "dropped" if dropped else "pickedUp"
    return _Event(
        _player(feed, i), action, ("item", "bomb"), _own(feed, i, delta), item, feed.of_players({i: delta})
    )  # fmt: skip
