"""Players of a simulated match: who they are, what they are about to do, and their bodies.

Belongs here: state. Does not belong here: decisions (`behaviour`, `tactics`), shots (`combat`), loops over
bodies (`kernel`).
"""

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from configs.simulator import MotionConfig
from pipeline.events.sources.simulator.arena import Point
from pipeline.events.sources.simulator.kernel import Bools, Floats, Ints, step, way_left
from pipeline.intents.vocabulary import Intent

TEAM_SIZE = 5
PLAYERS = 2 * TEAM_SIZE
LEGS = 48

Side = Literal["attackers", "defenders"]
Role = Literal["entry", "support", "carrier", "second", "lurker", "anchor", "rotator"]
Task = Literal["idle", "go", "hold", "peek", "fight", "chase", "trade", "retreat", "rest", "escape", "plant", "defuse"]
ATTACKING_ROLES: tuple[Role, ...] = ("entry", "support", "carrier", "second", "lurker")


@dataclass(frozen=True)
class Order:
    """What the team wants of a player.

    Attributes:
        kind: where it ends: standing, planting, defusing, with the bomb in hand, or out of danger.
        at: where to.
        watch: what to look at there.
        intent: "retreat" where it gives ground, else "advance"; which of these ways rotate, who goes it finds.
        start: tick before which he waits.
        quiet: whether the end of the way is walked.
    """

    kind: Literal["stand", "plant", "defuse", "pick_up", "save"]
    at: Point
    watch: Point
    intent: Intent
    start: int
    quiet: bool = False


@dataclass(slots=True)
class Agent:
    """One player: the man, his round, and his mind.

    Ticks count from the start of the match; `hp` 0 is dead. `order_way` is the order that his present way serves.
    """

    index: int
    player: str
    team: int
    skill: float
    reaction_ms: float

    side: Side = "attackers"
    role: Role = "entry"
    area: str = ""
    hp: int = 0
    armor: int = 0
    has_kit: bool = False
    gun: str = ""
    in_hand: str = ""
    grenades: list[str] = field(default_factory=list)

    task: Task = "idle"
    intent: Intent = "hold"
    order: Order | None = None
    order_way: Order | None = None
    order_done: bool = False
    spot: Point = (0.0, 0.0)
    watch: Point = (0.0, 0.0)
    been: list[Point] = field(default_factory=list)
    until: int = 0
    phase: str = ""
    target: int = -1
    target_at: Point = (0.0, 0.0)
    target_seen: int = 0
    strafes: bool = False
    strafe_until: int = 0
    strafe_sign: int = 1
    next_shot: int = 0
    waited: bool = False
    burst_left: int = 0
    next_peek: int = 0
    next_shift: int = 0
    next_glance: int = 0
    glance_deg: float = 0.0
    looks_ahead: bool = True
    strolls_ahead: bool = True
    hurt: int = -(10**9)
    hurt_by: int = -1
    hurt_seen: int = -(10**9)
    blind_until: int = 0
    throwing_until: int = 0
    opens: bool = False
    alarm: Point | None = None
    alarm_until: int = 0
    work_since: int = 0
    bait_until: int = 0
    pause_until: int = 0
    answered: set[int] = field(default_factory=set)

    @property
    def alive(self) -> bool:
        """Whether he lives."""
        return self.hp > 0

    def start_round(self, side: Side, role: Role, area: str) -> None:
        """Forget the last round."""
        self.side, self.role, self.area = side, role, area
        self.hp, self.armor, self.has_kit = 100, 100, False
        self.task, self.intent = "idle", "hold"
        self.order = self.order_way = None
        self.order_done = False
        self.until = self.next_shot = self.burst_left = self.strafe_until = 0
        self.next_peek = self.next_shift = self.next_glance = 0
        self.hurt = self.hurt_seen = -(10**9)
        self.target_seen, self.been = -(10**9), []
        self.hurt_by = self.target = -1
        self.waited = False
        self.blind_until = self.throwing_until = self.alarm_until = 0
        self.work_since = self.bait_until = self.pause_until = 0
        self.glance_deg = 0.0
        self.phase = ""
        self.alarm = None
        self.answered = set()
        self.grenades = []


class Bodies:
    """Where all players are, how they move and look: one row each.

    Attributes:
        place: (10, 2) metres.
        velocity: (10, 2) m/s.
        yaw: (10,) radians about +y, 0 = +x.
        pitch: (10,) degrees.
        sway: (10,) radians between where they go and the straight line there.
        alive: (10,).
        team: (10,).
    """

    def __init__(self, motion: MotionConfig, walls: Floats) -> None:
        self.motion = motion
        self.walls = walls
        self.place: Floats = np.zeros((PLAYERS, 2))
        self.velocity: Floats = np.zeros((PLAYERS, 2))
        self.yaw: Floats = np.zeros(PLAYERS)
        self.pitch: Floats = np.zeros(PLAYERS)
        self.alive: Bools = np.zeros(PLAYERS, dtype=np.bool_)
        self.team: Ints = np.repeat(np.arange(2), TEAM_SIZE)
        self._path: Floats = np.zeros((PLAYERS, LEGS, 2))
        self._leg: Ints = np.zeros(PLAYERS, dtype=np.int64)
        self._legs: Ints = np.zeros(PLAYERS, dtype=np.int64)
        self.cruise: Floats = np.zeros(PLAYERS)
        self._strafe: Floats = np.zeros((PLAYERS, 2))
        self._strafing: Bools = np.zeros(PLAYERS, dtype=np.bool_)
        self._look: Floats = np.zeros((PLAYERS, 2))
        self._looking: Bools = np.zeros(PLAYERS, dtype=np.bool_)
        self._aside: Floats = np.zeros(PLAYERS)
        self.sway: Floats = np.zeros(PLAYERS)

    def spawn(self, i: int, at: Point, yaw: float) -> None:
        """Put a living player somewhere, at rest."""
        self.place[i] = at
        self.velocity[i] = 0.0
        self.yaw[i] = yaw
        self.pitch[i] = 0.0
        self.alive[i] = True
        self.stop(i)
        self._looking[i] = False

    def at(self, i: int) -> Point:
        """Where a player is."""
        return float(self.place[i, 0]), float(self.place[i, 1])

    def speed(self, i: int) -> float:
        """How fast he is, m/s."""
        return math.hypot(self.velocity[i, 0], self.velocity[i, 1])

    def send(self, i: int, points: list[Point], speed: float) -> None:
        """Send him along these points at that speed in m/s."""
        points = points[: LEGS - 1] + points[-1:] if len(points) > LEGS else points
        self._path[i, : len(points)] = points
        self._leg[i], self._legs[i] = 0, len(points)
        self.cruise[i] = speed
        self._strafing[i] = False

    def stop(self, i: int) -> None:
        """Let him come to rest."""
        self._leg[i] = self._legs[i] = 0
        self._strafing[i] = False

    def strafe(self, i: int, vx: float, vz: float) -> None:
        """Let him move at that velocity, m/s, until told otherwise."""
        self._strafe[i] = vx, vz
        self._strafing[i] = True

    def arrived(self, i: int) -> bool:
        """Whether he has no way left to go."""
        return bool(self._leg[i] >= self._legs[i])

    def left(self, i: int) -> float:
        """Metres left on his way."""
        return float(way_left(self.place[i], self._path[i], self._leg[i], self._legs[i]))

    def look_at(self, i: int, at: Point) -> None:
        """Let him look at a point."""
        self._look[i] = at
        self._looking[i] = True

    def look_ahead(self, i: int, aside: float = 0.0) -> None:
        """Let him look where he goes, or so many radians beside it."""
        self._looking[i] = False
        self._aside[i] = aside

    def off_aim(self, i: int, at: Point) -> float:
        """Degrees between his view and a point, 0 to 180."""
        want = math.atan2(-(at[1] - self.place[i, 1]), at[0] - self.place[i, 0])
        return abs(math.degrees((want - self.yaw[i] + math.pi) % (2.0 * math.pi) - math.pi))

    def step(self, dt: float) -> None:
        """Move and turn everybody by `dt` seconds."""
        m = self.motion
        step(
            self.place, self.velocity, self.yaw, self.alive, self._path, self._leg, self._legs, self.cruise,
            self._strafe, self._strafing, self._look, self._looking, self._aside, self.sway, self.walls, dt,
            m.radius_m, m.top_speed_mps, m.accelerate_mps2, m.brake_mps2, m.turn_at_m, m.corner_slowing,
            m.elbow_room_m, m.yaw_gain_per_s, math.radians(m.yaw_slack_deg), math.radians(m.yaw_rate_deg),
        )  # fmt: skip
