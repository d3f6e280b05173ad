"""The ground a simulated match is played on: walls, sites, places, and the nav graph over them.

Belongs here: where one can stand, walk and look. Does not belong here: who does so (`behaviour`), the map's
figures (`configs/simulator.yaml`), compiled loops (`kernel`).
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from configs.simulator import ArenaConfig, SimulatorConfig
from pipeline.errors import PipelineError
from pipeline.events.sources.simulator.kernel import (
    Bools,
    Floats,
    Ints,
    all_ways,
    clearance,
    crosses,
    roomy,
    seen_from,
    walkable,
)

Point = tuple[float, float]

SLACK = 0.9  # ways may come this much of their room to walls, so that corners' own nodes stay on them
LONG_LEG_M = 6.0


class BadArena(PipelineError):
    """The configured map can't be played on; the message names the spot at fault."""


def _rectangle(x0: float, z0: float, x1: float, z1: float) -> list[Point]:
    return [(x0, z0), (x1, z0), (x1, z1), (x0, z1)]


def _crate(x: float, z: float, width: float, depth: float, turn_deg: float) -> list[Point]:
    c, s = math.cos(math.radians(turn_deg)), math.sin(math.radians(turn_deg))
    corners = _rectangle(-width / 2, -depth / 2, width / 2, depth / 2)
    return [(x + c * u - s * v, z + s * u + c * v) for u, v in corners]


def _edges(polygon: list[Point]) -> list[tuple[float, float, float, float]]:
    return [(*a, *b) for a, b in zip(polygon, polygon[1:] + polygon[:1], strict=True)]


def _outer_corners(polygon: list[Point], room: float) -> list[Point]:
    """The corners of a convex polygon, each moved outwards along its bisector until `room` from both edges."""
    middle = np.mean(np.array(polygon), axis=0)
    out = []
    for before, here, after in zip(polygon[-1:] + polygon[:-1], polygon, polygon[1:] + polygon[:1], strict=True):
        a, b = np.array(here) - np.array(before), np.array(after) - np.array(here)
        bisector = a / np.linalg.norm(a) - b / np.linalg.norm(b)
        bisector /= np.linalg.norm(bisector)
        if np.dot(bisector, np.array(here) - middle) < 0:
            bisector = -bisector
        out.append((float(here[0] + bisector[0] * room * 1.3), float(here[1] + bisector[1] * room * 1.3)))
    return out


@dataclass(frozen=True)
class Arena:
    """A map, ready to be played on.

    Attributes:
        config: its figures.
        polygons: the solid bodies, for drawing.
        walls: (n, 4) wall edges, the outer bounds included.
        nodes: (m, 2) nodes of the nav graph: the corners of all solid bodies, at walking distance.
        length: (m, m) metres of the shortest way between two nodes.
        after: (m, m) the node that follows on that way.
        wary_length, wary_after: the same without the nodes in exposed places.
        footing: (k, 2) a lattice of points where one can stand, from which cover is chosen.
        room: metres that a way keeps from walls.
    """

    config: ArenaConfig
    polygons: tuple[tuple[Point, ...], ...]
    walls: Floats
    nodes: Floats
    length: Floats
    after: Ints
    wary_length: Floats
    wary_after: Ints
    footing: Floats
    room: float

    def height(self, x: float, z: float) -> float:
        """Height of the floor in metres: two long waves and a rise at each site, so slopes stay walkable."""
        ground = self.config.floor
        wave = math.sin(x / ground.wave_m) * math.cos(z / (1.3 * ground.wave_m))
        ripple = math.sin((x + 2.0 * z) / (0.37 * ground.wave_m))
        rise = sum(
            math.exp(-((x - cx) ** 2 + (z - cz) ** 2) / (2.0 * ground.rise_width_m**2))
            for cx, cz in (self.site_middle(site) for site in self.config.sites)
        )
        return ground.wave_height_m * wave + ground.ripple_height_m * ripple + ground.rise_height_m * rise

    def site_middle(self, site: str) -> Point:
        """Middle of a site in metres."""
        x0, z0, x1, z1 = self.config.sites[site]
        return (x0 + x1) / 2, (z0 + z1) / 2

    def in_site(self, at: Point) -> str | None:
        """The site whose ground contains that point, if any."""
        for site, (x0, z0, x1, z1) in self.config.sites.items():
            if x0 <= at[0] <= x1 and z0 <= at[1] <= z1:
                return site
        return None

    def place(self, at: Point) -> str:
        """The name of the area around that point: the first that contains it, else the nearest."""
        best, least = "", math.inf
        for name, (x0, z0, x1, z1) in self.config.places.items():
            gap = math.hypot(max(x0 - at[0], 0.0, at[0] - x1), max(z0 - at[1], 0.0, at[1] - z1))
            if gap < least:
                best, least = name, gap
        return best

    def free(self, a: Point, b: Point) -> bool:
        """Whether no wall stands between two points."""
        return not crosses(a[0], a[1], b[0], b[1], self.walls)

    def can_stand(self, at: Point) -> bool:
        """Whether that point is inside the bounds, outside all solid bodies and `room` from every wall."""
        x0, z0, x1, z1 = self.config.bounds
        if not (x0 < at[0] < x1 and z0 < at[1] < z1):
            return False
        if any(_inside(at, polygon) for polygon in self.polygons):
            return False
        return self._clear(at, at)

    def way(self, start: Point, goal: Point, *, wary: bool = False) -> tuple[list[Point], float]:
        """The shortest way that keeps `room` from walls, as way points after `start`, and its length in metres.

        Args:
            start: where from.
            goal: where to.
            wary: prefer a way around exposed places, where there is one.

        Raises:
            BadArena: if there is none (a configured spot is walled in).
        """
        if self._clear(start, goal):
            return [goal], math.dist(start, goal)
        if wary:
            found = self._over(start, goal, self.wary_length, self.wary_after)
            if found is not None:
                return found
        found = self._over(start, goal, self.length, self.after)
        if found is None:
            raise BadArena(f"no way from ({start[0]:.1f}, {start[1]:.1f}) to ({goal[0]:.1f}, {goal[1]:.1f})")
        return found

    def _over(self, start: Point, goal: Point, length: Floats, after: Ints) -> tuple[list[Point], float] | None:
        first = self._ports(start)
        last = self._ports(goal)
        total = first[:, None] + length + last[None, :]
        i, j = divmod(int(np.argmin(total)), total.shape[1])
        if not math.isfinite(total[i, j]):
            return None
        points = [(float(self.nodes[i, 0]), float(self.nodes[i, 1]))]
        while i != j:
            i = int(after[i, j])
            points.append((float(self.nodes[i, 0]), float(self.nodes[i, 1])))
        return [*points, goal], float(total.min())

    def stray(self, start: Point, points: list[Point], reach: float, rng: np.random.Generator) -> list[Point]:
        """The same way as a person would walk it: corners taken wider, long legs not quite straight.

        Every way point but the last moves by up to `reach` metres, and long legs get a point between,
        wherever that keeps the distance from walls.
        """
        out: list[Point] = []
        before = start
        for k, here in enumerate(points):
            gap = math.dist(before, here)
            if gap > LONG_LEG_M:
                share = float(rng.uniform(0.35, 0.65))
                middle = (before[0] + share * (here[0] - before[0]), before[1] + share * (here[1] - before[1]))
                side = float(rng.uniform(-reach, reach)) / gap
                bent = (middle[0] - side * (here[1] - before[1]), middle[1] + side * (here[0] - before[0]))
                if self._clear(before, bent) and self._clear(bent, here):
                    out.append(bent)
                    before = bent
            moved = here
            if k < len(points) - 1:
                angle, far = float(rng.uniform(0.0, 2.0 * math.pi)), float(rng.uniform(0.0, reach))
                moved = (here[0] + far * math.cos(angle), here[1] + far * math.sin(angle))
                if not (self._clear(before, moved) and self._clear(moved, points[k + 1])):
                    moved = here
            out.append(moved)
            before = moved
        return out

    def _clear(self, a: Point, b: Point) -> bool:
        return bool(roomy(*a, *b, self.walls, SLACK * self.room))

    def _ports(self, at: Point) -> Floats:
        """For each node, the straight distance from a point in metres; inf where a wall is too near to walk so.

        Who stands closer to a wall than ways do may leave with the room he has, and brushes along it where he must.
        """
        own = clearance(*at, *at, self.walls)
        reach = walkable(*at, self.nodes, self.walls, min(SLACK * self.room, 0.95 * own))
        if not reach.any():
            reach = self.seen(at, self.nodes)
        gaps = np.hypot(self.nodes[:, 0] - at[0], self.nodes[:, 1] - at[1])
        out: Floats = np.where(reach, gaps, np.inf)
        return out

    def footing_near(self, at: Point) -> Point:
        """The standing point nearest to any point, one inside a wall included."""
        k = int(np.argmin(np.hypot(self.footing[:, 0] - at[0], self.footing[:, 1] - at[1])))
        return float(self.footing[k, 0]), float(self.footing[k, 1])

    def around(self, at: Point, reach: float) -> Floats:
        """The standing points within `reach` metres, nearest first, (n, 2)."""
        gaps = np.hypot(self.footing[:, 0] - at[0], self.footing[:, 1] - at[1])
        near = np.flatnonzero(gaps < reach)
        out: Floats = self.footing[near[np.argsort(gaps[near], kind="stable")]]
        return out

    def seen(self, at: Point, points: Floats) -> Bools:
        """Which of the points (n, 2) no wall hides from that one."""
        return seen_from(at[0], at[1], points, self.walls)  # type: ignore[no-any-return]  # njit hides its types

    def cover(self, at: Point, threats: list[Point], least: float, reach: float, tries: int = 8) -> Point | None:
        """The nearest standing point that none of the threats can see, on a way that leads past none of them.

        Args:
            at: where the player stands.
            threats: where enemies are believed.
            least: how far to go at least, metres.
            reach: how far to look, metres.
            tries: how many candidates are worth planning a way to.
        """
        points = self.around(at, reach)
        hidden = np.hypot(points[:, 0] - at[0], points[:, 1] - at[1]) >= least
        for threat in threats:
            gap = math.dist(at, threat)
            hidden &= ~self.seen(threat, points)
            hidden &= np.hypot(points[:, 0] - threat[0], points[:, 1] - threat[1]) > min(gap - 1.0, 0.8 * gap)
        best, shortest = None, 1.8 * reach
        for x, z in points[hidden][:tries]:
            _, length = self.way(at, (float(x), float(z)))
            if length < shortest:
                best, shortest = (float(x), float(z)), length
        return best

    def step_out(self, at: Point, target: Point, least: float, most: float) -> Point | None:
        """The nearest standing point, `least` to `most` metres from cover, from which the target can be seen.

        None when the target is visible from `at` already, or from nowhere near.
        """
        if self.free(at, target):
            return None
        points = self.around(at, most)
        points = points[np.hypot(points[:, 0] - at[0], points[:, 1] - at[1]) >= least]
        points = points[self.seen(target, points)]
        points = points[walkable(at[0], at[1], points, self.walls, 0.5 * self.room)]
        return (float(points[0, 0]), float(points[0, 1])) if len(points) else None


def _inside(at: Point, polygon: tuple[Point, ...]) -> bool:
    signs = [
        (bx - ax) * (at[1] - az) - (bz - az) * (at[0] - ax)
        for (ax, az), (bx, bz) in zip(polygon, polygon[1:] + polygon[:1], strict=True)
    ]
    return all(s >= 0 for s in signs) or all(s <= 0 for s in signs)


def build_arena(config: SimulatorConfig) -> Arena:
    """The arena of a configuration, its nav graph computed once per process.

    Raises:
        BadArena: if a configured spot can't be stood on or reached.
    """
    return _build(config.arena.model_dump_json(), config.motion.path_room_m)


@lru_cache(maxsize=4)
def _build(figures_json: str, room: float) -> Arena:
    figures = ArenaConfig.model_validate_json(figures_json)
    polygons = [_rectangle(*block) for block in figures.blocks] + [_crate(*crate) for crate in figures.crates]
    walls = np.array([edge for polygon in [_rectangle(*figures.bounds), *polygons] for edge in _edges(polygon)])
    solid = tuple(tuple(polygon) for polygon in polygons)
    none, nowhere = np.empty((0, 0)), np.empty((0, 0), np.int64)
    empty = Arena(figures, solid, walls, np.empty((0, 2)), none, nowhere, none, nowhere, np.empty((0, 2)), room)
    corners = [c for polygon in polygons for c in _outer_corners(polygon, room) if empty.can_stand(c)]
    x0, z0, x1, z1 = figures.bounds
    lattice = [
        (x0 + figures.footing_m * (i + 0.5), z0 + figures.footing_m * (j + 0.5))
        for i in range(int((x1 - x0) / figures.footing_m))
        for j in range(int((z1 - z0) / figures.footing_m))
    ]
    nodes = np.array(corners)
    length, after = all_ways(nodes, np.ones(len(nodes), dtype=np.bool_), walls, SLACK * room)
    shelter = np.array([empty.place(corner) not in figures.exposed for corner in corners])
    wary_length, wary_after = all_ways(nodes, shelter, walls, SLACK * room)
    footing = np.array([point for point in lattice if empty.can_stand(point)])
    arena = Arena(figures, solid, walls, nodes, length, after, wary_length, wary_after, footing, room)
    home = figures.spawns["attackers"][0]
    for name, spot in figures.spots.items():
        if not arena.can_stand(spot.at):
            raise BadArena(f"spot {name} at {spot.at} is too close to a wall")
        arena.way(home, spot.at)
    for side, spawns in figures.spawns.items():
        for spawn in spawns:
            if not arena.can_stand(spawn):
                raise BadArena(f"spawn of {side} at {spawn} is too close to a wall")
            arena.way(home, spawn)
    return arena
