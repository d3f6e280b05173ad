"""A whole match, round after round, and what is kept of it.

Belongs here: the rules of rounds, sides and the bomb; the order of things within a step. Does not belong here:
minds (`behaviour`, `tactics`), guns (`combat`), log formats (`canonical`, `grid`).
"""

import math
from dataclasses import dataclass, field

import numpy as np

from configs.simulator import BuyName, PlanConfig, SimulatorConfig
from pipeline.events.sources.simulator import behaviour, combat
from pipeline.events.sources.simulator.agents import ATTACKING_ROLES, PLAYERS, TEAM_SIZE, Agent, Bodies, Side
from pipeline.events.sources.simulator.arena import Arena, build_arena
from pipeline.events.sources.simulator.economy import Purse
from pipeline.events.sources.simulator.kernel import Floats, Ints
from pipeline.events.sources.simulator.state import Happening, RoundState
from pipeline.events.sources.simulator.tactics import Attack, Defence
from pipeline.intents.vocabulary import INTENTS

WORDS: dict[Side, str] = {"attackers": "terrorists", "defenders": "counter-terrorists"}


@dataclass(frozen=True)
class Samples:
    """All players at the sampled ticks of one live round.

    Attributes:
        ticks: (n,) since the start of the match.
        place: (n, 10, 2) metres on the ground.
        yaw: (n, 10) radians.
        pitch: (n, 10) degrees.
        hp: (n, 10), 0 for the dead.
        armor: (n, 10).
        in_hand: n × 10 weapon names.
        carrier: (n,) index of the bomb's carrier, or -1.
        intent: (n, 10) index into the vocabulary.
    """

    ticks: Ints
    place: Floats
    yaw: Floats
    pitch: Floats
    hp: Ints
    armor: Ints
    in_hand: list[list[str]]
    carrier: Ints
    intent: Ints


@dataclass(frozen=True)
class PlayedRound:
    """One round as it was played; ticks since the start of the match.

    Attributes:
        number: from 1.
        start, live, end: ticks of ROUND_STARTED, ROUND_LIVE and ROUND_ENDED.
        sides: of the two teams.
        winner: side.
        reason: in the words of CS2's logs.
        guns: per player.
        kits: per player.
        happenings: what happened while it was live, in order.
        samples: where everybody was.
    """

    number: int
    start: int
    live: int
    end: int
    sides: tuple[Side, Side]
    winner: Side
    reason: str
    guns: list[str]
    kits: list[bool]
    happenings: list[Happening]
    samples: Samples


@dataclass(frozen=True)
class Recording:
    """A played match.

    Attributes:
        config: the figures it was played with.
        arena: its ground.
        seed: of all chance.
        players: ids, five of the first team, then five of the second.
        teams: ids.
        rounds: as played.
        end: tick of MATCH_ENDED.
    """

    config: SimulatorConfig
    arena: Arena
    seed: int
    players: list[str]
    teams: tuple[str, str]
    rounds: list[PlayedRound]
    end: int

    @property
    def score(self) -> tuple[int, int]:
        """Rounds won by each team."""
        won = [sum(r.sides[team] == r.winner for r in self.rounds) for team in (0, 1)]
        return won[0], won[1]


@dataclass
class _Tape:
    """Samples being taken."""

    ticks: list[int] = field(default_factory=list)
    place: list[Floats] = field(default_factory=list)
    yaw: list[Floats] = field(default_factory=list)
    pitch: list[Floats] = field(default_factory=list)
    hp: list[list[int]] = field(default_factory=list)
    armor: list[list[int]] = field(default_factory=list)
    in_hand: list[list[str]] = field(default_factory=list)
    carrier: list[int] = field(default_factory=list)
    intent: list[list[int]] = field(default_factory=list)

    def take(self, s: RoundState, carrier: int) -> None:
        """Sample everybody now; the carrier is given as he was before anyone decided, so that events come first."""
        self.ticks.append(s.tick)
        self.place.append(s.bodies.place.copy())
        self.yaw.append(s.bodies.yaw.copy())
        self.pitch.append(s.bodies.pitch.copy())
        self.hp.append([a.hp for a in s.agents])
        self.armor.append([a.armor for a in s.agents])
        self.in_hand.append([a.in_hand for a in s.agents])
        self.carrier.append(carrier)
        self.intent.append([INTENTS.index(a.intent) for a in s.agents])

    def samples(self, unit_m: float) -> Samples:
        """What was taken, positions in whole units of the game, as recorded ones are, to the millimetre."""
        return Samples(
            np.array(self.ticks, dtype=np.int64),
            np.round(unit_m * np.round(np.array(self.place) / unit_m), 3),
            np.array(self.yaw),
            np.array(self.pitch),
            np.array(self.hp, dtype=np.int64),
            np.array(self.armor, dtype=np.int64),
            self.in_hand,
            np.array(self.carrier, dtype=np.int64),
            np.array(self.intent, dtype=np.int64),
        )


def play(*, rounds: int, seed: int, match_id: str, config: SimulatorConfig) -> Recording:
    """Play a match of exactly that many rounds; sides change after the first half.

    Each round draws its chance from its own generator, so that a longer match begins with the same rounds as long as
    sides are the same.
    """
    arena = build_arena(config)
    chance = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 0])))
    names = [f"{match_id}_p{i:02d}" for i in range(PLAYERS)]
    agents = [
        Agent(
            i,
            f"player:{name}",
            i // TEAM_SIZE,
            skill=float(np.clip(chance.normal(*config.combat.skill), *config.combat.skill_limits)),
            reaction_ms=float(
                np.clip(chance.normal(*config.perception.reaction_ms), *config.perception.reaction_limits_ms)
            ),
        )
        for i, name in enumerate(names)
    ]
    half = (rounds + 1) // 2
    clock = config.clock
    start = clock.ticks(clock.before_match_s)
    purses = Purse(config.economy), Purse(config.economy)
    played: list[PlayedRound] = []
    for number in range(1, rounds + 1):
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, number])))
        sides: tuple[Side, Side] = ("attackers", "defenders") if number <= half else ("defenders", "attackers")
        start += int(rng.integers(0, clock.tick_hz))
        first = number in (1, half + 1)
        if first:
            for purse in purses:
                purse.open_half()
        played.append(_play_round(config, arena, rng, agents, number, start, sides, purses, first))
        _settle(purses, agents, played[-1])
        start = played[-1].end + clock.ticks(clock.after_round_s)
    return Recording(
        config,
        arena,
        seed,
        [a.player for a in agents],
        (f"team:{match_id}_teamA", f"team:{match_id}_teamB"),
        played,
        played[-1].end + clock.ticks(clock.after_round_s),
    )


def _play_round(
    config: SimulatorConfig,
    arena: Arena,
    rng: np.random.Generator,
    agents: list[Agent],
    number: int,
    start: int,
    sides: tuple[Side, Side],
    purses: tuple[Purse, Purse],
    first: bool,
) -> PlayedRound:
    clock = config.clock
    live = start + clock.ticks(clock.freeze_s)
    s = RoundState(config, arena, rng, agents, Bodies(config.motion, arena.walls), number, live, live)
    _line_up(s, sides, [purse.buy(rng, first=first) for purse in purses])
    attack = Attack(s, s.team_of("attackers"), _draw_plan(s))
    defence = Defence(s, s.team_of("defenders"), _draw_formation(s))
    guns, kits = [a.gun for a in agents], [a.has_kit for a in agents]
    tape = _Tape()
    count = 0
    while s.over is None:
        if count:
            s.bodies.step(clock.step_s)
        s.perceive()
        if count % clock.tactics_steps == 0:
            attack.think(s)
            defence.think(s)
        if count % clock.sample_steps == 0:
            carrier = s.bomb.carrier
            s.hear_steps()
            _nod(s)
            _sway(s)
            for agent in agents:
                if agent.alive:
                    behaviour.decide(s, agent)
            tape.take(s, carrier)
        combat.shoot(s)
        combat.fly(s)
        if count % clock.burn_steps == 0:
            combat.burn(s)
        _rule(s)
        s.tick += clock.step_ticks
        count += 1
    winner, reason, end = s.over
    s.happenings.sort(key=lambda h: h.tick)
    return PlayedRound(
        number, start, live, end, sides, winner, reason, guns, kits, s.happenings, tape.samples(clock.unit_m)
    )


def _settle(purses: tuple[Purse, Purse], agents: list[Agent], played: PlayedRound) -> None:
    for team, purse in enumerate(purses):
        dead = sum(a.team == team and not a.alive for a in agents)
        slain = sum(a.team != team and not a.alive for a in agents)
        purse.settle(won=played.sides[team] == played.winner, kills=slain, deaths=dead, players=TEAM_SIZE)


def _line_up(s: RoundState, sides: tuple[Side, Side], buys: list[BuyName]) -> None:
    """Everybody at his spawn, armed, with a role; the bomb with its carrier."""
    for team, side in enumerate(sides):
        men = [a for a in s.agents if a.team == team]
        places = [s.arena.config.spawns[side][int(k)] for k in s.rng.permutation(TEAM_SIZE)]
        roles = [ATTACKING_ROLES[int(k)] for k in s.rng.permutation(TEAM_SIZE)]
        for a, at, role in zip(men, places, roles, strict=True):
            a.start_round(side, role if side == "attackers" else "anchor", "")
            bought = s.config.economy.buys[buys[team]]
            names, weights = zip(*sorted(bought.guns[side].items()), strict=True)
            a.gun = a.in_hand = str(s.rng.choice(names, p=np.array(weights) / sum(weights)))
            a.armor = 100 if s.chance(bought.armor) else 0
            a.has_kit = side == "defenders" and s.chance(bought.kit)
            for kind, count in sorted(bought.grenades.items()):
                a.grenades += [kind] * (int(count) + s.chance(count % 1.0))
            s.rng.shuffle(a.grenades)
            a.opens = s.chance(s.config.tactics.opening_throws.share)
            s.bodies.spawn(a.index, at, math.atan2(at[1], -at[0]))
            a.spot, a.watch = at, (0.0, 0.0)
            if a.role == "carrier":
                s.bomb.carrier = a.index


def _draw_plan(s: RoundState) -> PlanConfig:
    names = sorted(s.config.tactics.plans)
    weights = np.array([s.config.tactics.plans[name].weight for name in names])
    return s.config.tactics.plans[names[int(s.rng.choice(len(names), p=weights / weights.sum()))]]


def _draw_formation(s: RoundState) -> dict[str, int]:
    names = sorted(s.config.tactics.formations)
    weights = np.array([s.config.tactics.formations[name][0] for name in names])
    return s.config.tactics.formations[names[int(s.rng.choice(len(names), p=weights / weights.sum()))]][1]


def _nod(s: RoundState) -> None:
    """Let every pitch wander around a little below the horizon."""
    motion = s.config.motion
    kick = motion.pitch_spread_deg * math.sqrt(1.0 - (1.0 - motion.pitch_return) ** 2)
    s.bodies.pitch += motion.pitch_return * (motion.pitch_deg - s.bodies.pitch) + kick * s.rng.normal(size=PLAYERS)


def _sway(s: RoundState) -> None:
    """Let everybody waver about his way."""
    motion = s.config.motion
    kick = math.radians(motion.sway_deg) * math.sqrt(1.0 - (1.0 - motion.sway_return) ** 2)
    s.bodies.sway += kick * s.rng.normal(size=PLAYERS) - motion.sway_return * s.bodies.sway


def _rule(s: RoundState) -> None:
    """Finish plants and defuses that are due in this step, let the bomb explode, and end the round."""
    clock = s.config.clock
    last = s.tick + clock.step_ticks - 1
    bomb = s.bomb
    attackers, defenders = s.team_of("attackers"), s.team_of("defenders")
    for a in s.agents:
        if not (a.alive and a.task in ("plant", "defuse") and a.work_since):
            continue
        need = clock.plant_s if a.task == "plant" else clock.kit_s if a.has_kit else clock.defuse_s
        done = a.work_since + clock.ticks(need)
        if done > last:
            continue
        if a.task == "plant":
            site = s.arena.in_site(s.at(a)) or ""
            bomb.carrier, bomb.planted, bomb.site, bomb.planter, bomb.since = -1, s.at(a), site, a.index, done
            s.tell("BOMB_PLANTED", a.player, {"site": site, "pos": s.pos(s.at(a))}, tick=done)
            a.work_since, a.order_done = 0, True
            a.task = "idle"
        elif bomb.planted is not None:
            s.tell("BOMB_DEFUSED", a.player, {"site": bomb.site, "pos": s.pos(s.at(a))}, tick=done)
            _end(s, "defenders", "bomb_defused")
            return
    if not s.alive(defenders):
        _end(s, "attackers", "t_win")
    elif not s.alive(attackers) and bomb.planted is None:
        _end(s, "defenders", "ct_win")
    elif bomb.planted is not None:
        if bomb.since + clock.ticks(clock.bomb_s) <= last:
            payload = {"site": bomb.site, "pos": s.pos(bomb.planted)}
            s.tell("BOMB_EXPLODED", s.agents[bomb.planter].player, payload, tick=bomb.since + clock.ticks(clock.bomb_s))
            _end(s, "attackers", "target_bombed")
    elif s.live + clock.ticks(clock.round_s) <= last:
        _end(s, "defenders", "time_ran_out")


def _end(s: RoundState, winner: Side, reason: str) -> None:
    """End the round one tick after all that led to it, so that no event shares its time."""
    latest = max([s.tick, *(h.tick for h in s.happenings)])
    s.over = winner, reason, latest + 1
