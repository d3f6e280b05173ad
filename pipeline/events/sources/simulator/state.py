"""One running round: everything that its players, teams and guns act on.

Belongs here: the shared state of a round and what can be asked of it. Does not belong here: who acts on it
(`behaviour`, `tactics`, `combat`), the order in which they act (`match`).
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from configs.simulator import SimulatorConfig
from pipeline.events.sources.simulator.agents import PLAYERS, Agent, Bodies, Side
from pipeline.events.sources.simulator.arena import Arena, Point
from pipeline.events.sources.simulator.kernel import Bools, Floats, in_view, sight


@dataclass(frozen=True)
class Happening:
    """Something that a log tells of, at a tick since the start of the match."""

    tick: int
    kind: str
    actor: str
    payload: dict[str, Any]


@dataclass(frozen=True)
class Death:
    """A teammate's death, as the living know it."""

    tick: int
    victim: int
    killer: int
    at: Point


@dataclass
class Bomb:
    """Where the bomb is; exactly one of carrier, dropped and planted holds while it is in play."""

    carrier: int = -1
    dropped: Point | None = None
    planted: Point | None = None
    site: str = ""
    planter: int = -1
    since: int = 0
    defuser: int = -1


@dataclass
class Sighting:
    """Where and when a team last saw or heard an enemy."""

    tick: int
    at: Point
    seen: bool


@dataclass(frozen=True)
class Fire:
    """A burning floor, from a tick to a tick."""

    at: Point
    since: int
    until: int
    thrower: int

    def holds(self, at: Point, radius_m: float) -> bool:
        """Whether a point is in it."""
        return math.dist(self.at, at) < radius_m


@dataclass
class RoundState:
    """A round in progress.

    Attributes:
        config, arena, rng: what it is played with.
        agents: all ten.
        bodies: theirs.
        number: from 1.
        live: tick of ROUND_LIVE.
        tick: now.
        bomb: the bomb.
        sightings: per team, of enemies by index.
        deaths: per team, of its own players.
        smokes: centre and last tick of standing smokes.
        fires: what burns.
        free, view: lines of sight between opponents, and those of them in the viewer's field of view.
        seen_since, seen_last, reaction: ticks, per viewer and enemy.
        harm: damage done per (shooter, victim) in this round.
        happenings: what the log will tell.
        over: winner and reason once decided.
    """

    config: SimulatorConfig
    arena: Arena
    rng: np.random.Generator
    agents: list[Agent]
    bodies: Bodies
    number: int
    live: int
    tick: int
    bomb: Bomb = field(default_factory=Bomb)
    sightings: tuple[dict[int, Sighting], dict[int, Sighting]] = field(default_factory=lambda: ({}, {}))
    deaths: tuple[list[Death], list[Death]] = field(default_factory=lambda: ([], []))
    smokes: list[tuple[Point, int]] = field(default_factory=list)
    fires: list[Fire] = field(default_factory=list)
    flying: list[tuple[int, int, str, str, Point]] = field(default_factory=list)
    thrown: int = 0
    throwers: dict[str, int] = field(default_factory=dict)
    free: Bools = field(default_factory=lambda: np.zeros((PLAYERS, PLAYERS), dtype=np.bool_))
    view: Bools = field(default_factory=lambda: np.zeros((PLAYERS, PLAYERS), dtype=np.bool_))
    known: Bools = field(default_factory=lambda: np.zeros((PLAYERS, PLAYERS), dtype=np.bool_))
    noticed: list[list[int]] = field(default_factory=lambda: [[] for _ in range(PLAYERS)])
    seen_since: Any = field(default_factory=lambda: np.full((PLAYERS, PLAYERS), -1, dtype=np.int64))
    seen_last: Any = field(default_factory=lambda: np.full((PLAYERS, PLAYERS), -1, dtype=np.int64))
    reaction: Any = field(default_factory=lambda: np.zeros((PLAYERS, PLAYERS), dtype=np.int64))
    harm: dict[tuple[int, int], int] = field(default_factory=dict)
    happenings: list[Happening] = field(default_factory=list)
    over: tuple[Side, str, int] | None = None

    def ticks(self, seconds: float) -> int:
        """Seconds as ticks."""
        return self.config.clock.ticks(seconds)

    def span(self, bounds: tuple[float, float]) -> float:
        """A number between two, evenly drawn."""
        return float(self.rng.uniform(bounds[0], bounds[1]))

    def span_ticks(self, bounds: tuple[float, float]) -> int:
        """A number of ticks between two numbers of seconds, evenly drawn."""
        return self.ticks(self.span(bounds))

    def chance(self, share: float) -> bool:
        """True in that share of cases."""
        return float(self.rng.random()) < share

    def alive(self, team: int) -> list[Agent]:
        """The living of a team."""
        return [a for a in self.agents if a.team == team and a.alive]

    def team_of(self, side: Side) -> int:
        """Which team plays that side."""
        return next(a.team for a in self.agents if a.side == side)

    def run_speed(self, agent: Agent) -> float:
        """Running speed with what he has in hand, m/s."""
        combat = self.config.combat
        return combat.knife_mps if agent.in_hand == "knife" else combat.weapons[agent.gun].speed_mps

    def at(self, agent: Agent) -> Point:
        """Where a player is."""
        return self.bodies.at(agent.index)

    def time_left(self) -> float:
        """Seconds until the round's time, or the bomb, runs out."""
        clock = self.config.clock
        if self.bomb.planted is not None:
            return clock.bomb_s - (self.tick - self.bomb.since) / clock.tick_hz
        return clock.round_s - (self.tick - self.live) / clock.tick_hz

    def pos(self, at: Point) -> list[float]:
        """A point on the ground as logs write positions: metres to the millimetre, y up."""
        return [round(at[0], 3), round(self.arena.height(*at), 3), round(at[1], 3)]

    def tell(self, kind: str, actor: str, payload: dict[str, Any], *, tick: int | None = None) -> None:
        """Note something for the log."""
        self.happenings.append(Happening(self.tick if tick is None else tick, kind, actor, payload))

    def drop_throw(self, agent: Agent) -> None:
        """Put a grenade away that has not left the hand."""
        for entry in [e for e in self.flying if self.throwers[e[3]] == agent.index and e[0] > self.tick]:
            self.flying.remove(entry)
            agent.grenades.append(entry[2])
        agent.throwing_until = 0

    def sight(self, team: int, enemy: int, at: Point, *, seen: bool) -> None:
        """Tell a team where an enemy is; what was heard does not overrule what was seen a moment ago."""
        old = self.sightings[team].get(enemy)
        if (
            not seen
            and old is not None
            and old.seen
            and self.tick - old.tick < self.ticks(self.config.perception.trust_s)
        ):
            return
        self.sightings[team][enemy] = Sighting(self.tick, at, seen)

    def recent(self, team: int, seconds: float) -> list[tuple[int, Sighting]]:
        """Enemies that a team has known of within the last seconds, by index."""
        oldest = self.tick - self.ticks(seconds)
        return [
            (enemy, sighting)
            for enemy, sighting in sorted(self.sightings[team].items())
            if sighting.tick >= oldest and self.agents[enemy].alive
        ]

    def enemy_near(self, team: int, at: Point, radius_m: float, seconds: float) -> bool:
        """Whether a team has known of a living enemy there within the last seconds."""
        return any(math.dist(s.at, at) < radius_m for _, s in self.recent(team, seconds))

    def known_enemies(self, agent: Agent) -> list[int]:
        """Enemies that a player sees and has noticed, by index."""
        return self.noticed[agent.index]

    def perceive(self) -> None:
        """Who sees whom now; who has seen long enough to know; who hears whom."""
        eyes, clock = self.config.perception, self.config.clock
        self.smokes = [smoke for smoke in self.smokes if smoke[1] > self.tick]
        radius = self.config.combat.smoke_m
        clouds: Floats = np.array([[*at, radius] for at, _ in self.smokes]).reshape(-1, 3)
        bodies = self.bodies
        self.free = sight(bodies.place, bodies.alive, bodies.team, bodies.walls, clouds)
        view = in_view(bodies.place, bodies.yaw, self.free, math.radians(eyes.half_angle_deg))
        for agent in self.agents:
            if agent.blind_until > self.tick:
                view[agent.index] = False
        self.view = view
        running = self.loud_mps()
        gone = (self.tick - self.seen_last) * 1000 > eyes.memory_ms * clock.tick_hz
        self.seen_since[gone] = -1
        for i, j in np.argwhere(view & (self.seen_since < 0)):
            agent = self.agents[i]
            wait = agent.reaction_ms * self.span(eyes.reaction_factor)
            if bodies.off_aim(int(i), bodies.at(int(j))) < eyes.ready_deg:
                wait *= eyes.ready_factor
            elif bodies.speed(int(i)) > running:
                wait *= eyes.running_factor
            low, high = eyes.reaction_limits_ms
            self.reaction[i, j] = math.ceil(min(high, max(low, wait)) * clock.tick_hz / 1000)
            self.seen_since[i, j] = self.tick
        self.seen_last[view] = self.tick
        self.known = view & (self.tick - self.seen_since >= self.reaction)
        self.noticed = [[] for _ in range(PLAYERS)]
        for i, j in np.argwhere(self.known).tolist():
            self.noticed[i].append(j)
            self.sight(self.agents[i].team, int(j), bodies.at(int(j)), seen=True)

    def loud_mps(self) -> float:
        """Above which speed one runs, is heard, and reacts later."""
        return self.config.perception.loud_factor * self.config.motion.top_speed_mps

    def hear_steps(self) -> None:
        """Running is heard nearby, not quite exactly; quiet walking is not."""
        eyes = self.config.perception
        quiet = self.loud_mps()
        for runner in self.agents:
            if not runner.alive or self.bodies.speed(runner.index) < quiet:
                continue
            at = self.at(runner)
            for ear in self.alive(1 - runner.team):
                if math.dist(self.at(ear), at) < eyes.hear_run_m:
                    self.hear(ear, runner.index, at)

    def hear(self, ear: Agent, enemy: int, at: Point) -> None:
        """One player hears an enemy at about that place."""
        old = self.sightings[ear.team].get(enemy)
        if old is not None and self.tick - old.tick < self.ticks(self.config.perception.trust_s):
            return
        blur = self.config.perception.heard_error_m
        dx, dz = self.rng.normal(0.0, blur, 2)
        heard = self.arena.footing_near((at[0] + float(dx), at[1] + float(dz)))
        self.sight(ear.team, enemy, heard, seen=False)
        if ear.alarm_until < self.tick:
            ear.alarm, ear.alarm_until = heard, self.tick + self.ticks(self.config.behaviour.alarm_s)
