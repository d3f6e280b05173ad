"""A stage on which a theme places things and tells its people what to do, and what becomes a scene.

Belongs here: choreography in terms of actions and places, with true times; drawing a story from a seed.
Does not belong here: what happens in any one place (themes), how bodies move (kinematics).
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from configs.scenes import ScenesConfig, load_scenes
from pipeline.errors import PipelineError
from pipeline.scenes.kinematics import travel_seconds, turn_seconds
from pipeline.scenes.paths import around, heading_of
from pipeline.scenes.scales import allowed, height_m, radius_m
from pipeline.scenes.schema import Actor, Camera, Ground, Mark, Scene, SceneObject, Throw

T = TypeVar("T")
Spot = tuple[float, float]
Places = tuple[float, float, float]

COLORS = ("#d1495b", "#00798c", "#edae49", "#30638e", "#7a4fbf", "#2e933c", "#c2571a", "#44475a", "#b5179e", "#0b6e4f")


class UnknownTheme(PipelineError):
    """There is no theme of this name; the message lists those that there are."""


class Unwalkable(PipelineError):
    """A theme sends somebody through what stands in the way, or leaves a story without words."""


@dataclass
class Cast:
    """One actor while its story is made up: where it is, what time it is for it.

    Attributes:
        stage: where it is on.
        id: its name.
        kind: its type.
        color: its colour.
        at: where it is.
        time: until when its story is told.
        pace: how much faster than the table it is.
        team: its side.
        scale: its size.
        heading: where it looks at first.
        looks: where it looks now, once it has turned or gone.
    """

    stage: "Stage"
    id: str
    kind: str
    color: str
    at: Spot
    pace: float
    team: str | None
    scale: float
    heading: float
    looks: float | None = None
    time: float = 0.0
    start: Spot = (0.0, 0.0)
    actions: list[tuple[float, str]] = field(default_factory=list)
    path: list[tuple[float, Spot]] = field(default_factory=list)
    facings: list[tuple[float, float]] = field(default_factory=list)

    def do(self, action: str, seconds: float) -> "Cast":
        """Stays and does something for so long."""
        self._act(action)
        self.time += max(seconds, 0.0)
        return self

    def until(self, time: float, action: str = "stand") -> "Cast":
        """Stays and does something until then."""
        return self.do(action, time - self.time)

    def face(self, spot: Spot) -> "Cast":
        """Turns towards a place."""
        way = np.array(spot) - np.array(self.at)
        if np.hypot(*way) > 0.05:
            angle = float(heading_of(way))
            if self.time == 0.0:
                self.heading = angle
            self.looks = angle
            self.facings.append((self.time, angle))
        return self

    def go(self, *spots: Spot, action: str = "walk", free: bool = True) -> "Cast":
        """Goes through places, around what stands in the way; time passes as that takes.

        Args:
            spots: where to, one after the other.
            action: how.
            free: whether it goes around obstacles.
        """
        corners = np.array([self.at, *spots], float)
        keep = np.concatenate([[True], np.hypot(*np.diff(corners, axis=0).T) > 0.05])
        corners = corners[keep]
        if len(corners) < 2:
            return self
        if free:
            corners = around(corners, self.stage.obstacles())
        self._act(action)
        config, courses = self.stage.config, heading_of(np.diff(corners, axis=0))
        turns = turn_seconds(self.heading if self.looks is None else self.looks, float(courses[0]), config)
        # A frame for each, as its way begins and ends at one.
        took = turns + travel_seconds(corners, action, config, pace=self.pace) + 2.0 / config.fps
        self.looks = float(courses[-1])
        ways = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(corners, axis=0).T))])
        times = self.time + took * ways / ways[-1]
        self.path.append((self.time, self.at))
        self.path += [(float(t), (float(x), float(z))) for t, (x, z) in zip(times[1:], corners[1:], strict=True)]
        self.path.append((float(times[-1]), (float(corners[-1, 0]), float(corners[-1, 1]))))
        self.time, self.at = float(times[-1]), (float(corners[-1, 0]), float(corners[-1, 1]))
        return self

    def _act(self, action: str) -> None:
        if not self.actions or self.actions[-1][1] != action:
            self.actions.append((self.time, action))

    def actor(self) -> Actor:
        """As a part of a scene."""
        actions = self.actions or [(0.0, "stand")]
        return Actor(
            id=self.id, actor_type=self.kind, color=self.color, initial_position=self.start,
            actions=tuple(actions) if actions[0][0] <= 0 else ((0.0, "stand"), *actions),
            team=self.team, scale=self.scale, movement_path=_deduplicated(self.path) or None, heading=self.heading,
            facings=tuple(self.facings), pace=self.pace,
        )  # fmt: skip


def _deduplicated(path: Sequence[tuple[float, Spot]]) -> tuple[tuple[float, Spot], ...]:
    out: list[tuple[float, Spot]] = []
    for entry in path:
        if not out or entry != out[-1]:
            out.append(entry)
    return tuple(out)


class Stage:
    """Where a story happens while it is made up.

    Args:
        theme: its name.
        seed: draws everything.
        duration: seconds.
        config: speeds, sizes, measures.
    """

    def __init__(self, theme: str, seed: int, duration: float, config: ScenesConfig) -> None:
        self.theme, self.seed, self.duration, self.config = theme, seed, duration, config
        name = int.from_bytes(hashlib.sha256(theme.encode()).digest()[:4], "big")
        self.rng = np.random.default_rng([seed, name])
        self.gravity = config.themes.gravity_mps2.get(theme, config.themes.earth_mps2)
        self.ground: Ground = "grass"
        self.casts: list[Cast] = []
        self.objects: list[SceneObject] = []
        self.marks: list[Mark] = []
        self.follow: tuple[str, ...] = ()
        self.width_m: float | None = None
        self.is_drawn = False
        self._colors = list(self.rng.permutation(len(COLORS)))

    def ends(self, time: float) -> None:
        """The story is over then, if its length is drawn: never shorter or longer than such stories are."""
        if self.is_drawn:
            low, high = self.config.dataset.story_s
            self.duration = round(min(max(time, low), high), 1)

    # -- drawing -----------------------------------------------------------------------------------------------------

    def uniform(self, low: float, high: float) -> float:
        """A number between two."""
        return float(self.rng.uniform(low, high))

    def pick(self, *choices: T) -> T:
        """One of these."""
        return choices[int(self.rng.integers(len(choices)))]

    def spot(self, x: tuple[float, float], z: tuple[float, float]) -> Spot:
        """A place in a rectangle on which nothing stands.

        Raises:
            Unwalkable: if none is found.
        """
        obstacles = self.obstacles()
        for _ in range(40):
            at = (self.uniform(*x), self.uniform(*z))
            if all(math.dist(at, o[:2]) > o[2] for o in obstacles):
                return at
        raise Unwalkable(f"{self.theme}: no free place between {x} and {z}")

    # -- things and people -------------------------------------------------------------------------------------------

    def obstacles(self) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        """Circles that nobody walks through, with room for a body: `(m, 3)` x, z, radius."""
        limits = self.config.movement
        found = [
            (thing.position[0], thing.position[2], size + limits.body_radius_m + limits.clearance_m)
            for thing in self.objects
            if (size := radius_m(self.config, thing.kind, thing.scale)) > 0
            and thing.position[1] < 2
            and not thing.throws
        ]
        return np.array(found, float).reshape(-1, 3)

    def put(self, kind: str, at: Spot, *, y: float = 0.0, scale: float | None = None, color: str | None = None,
            throws: tuple[Throw, ...] = (), from_s: float = 0.0, until_s: float = 1e6) -> SceneObject:  # fmt: skip
        """Places a thing; without a scale, its size is drawn from what its kind may be."""
        least, most = allowed(self.config, kind)
        if scale is None:
            scale = self.uniform(least, most) if kind in ("tree", "rock", "building") else 1.0
        scale = min(max(scale, least), most)
        thing = SceneObject(
            id=f"{kind}{len(self.objects)}", kind=kind, position=(at[0], y, at[1]), scale=scale, color=color,
            throws=throws, from_s=from_s, until_s=until_s,
        )  # fmt: skip
        self.objects.append(thing)
        return thing

    def height(self, kind: str) -> float:
        """Height of a kind of thing in metres."""
        return height_m(self.config, kind)

    def cast(self, kind: str, at: Spot, *, team: str | None = None, color: str | None = None, scale: float = 1.0,
             name: str | None = None) -> Cast:  # fmt: skip
        """Somebody comes on."""
        color = color or COLORS[self._colors[len(self.casts) % len(COLORS)]]
        pace = 1.0 + self.config.themes.pace * self.uniform(-1.0, 1.0)
        cast = Cast(
            self, name or f"{kind.replace(' ', '_')}{len(self.casts)}", kind, color, at, pace, team, scale,
            self.uniform(-math.pi, math.pi), start=at,
        )  # fmt: skip
        self.casts.append(cast)
        return cast

    def paint(self, *points: Spot, color: str = "#ffffff", width_m: float | None = 0.1, closed: bool = False) -> None:
        """Paints a line, or an area if it has no width, on the ground."""
        self.marks.append(Mark(points=points, color=color, width_m=width_m, closed=closed))

    def seconds(self, begin: Spot, end: Spot, speed: float) -> float:
        """How long a straight way takes at a speed."""
        return max(math.dist(begin, end) / speed, 0.08)

    def scene(self, wordings: Sequence[str]) -> Scene:
        """What has been made up.

        Args:
            wordings: the story in a sentence, in several ways; the first is the prompt.
        """
        if not wordings:
            raise Unwalkable(f"{self.theme}: a story without words")
        return Scene(
            theme=self.theme, seed=self.seed, duration=self.duration, actors=tuple(c.actor() for c in self.casts),
            objects=tuple(self.objects), camera=Camera(follow=self.follow, width_m=self.width_m), ground=self.ground,
            marks=tuple(self.marks), gravity=self.gravity, prompt=wordings[0], paraphrases=tuple(wordings),
        )  # fmt: skip


Theme = Callable[[Stage], Sequence[str]]


def themes() -> Mapping[str, Theme]:
    """All themes that are made up, by name."""
    from pipeline.scenes.themes import THEMES

    return THEMES


def tell(theme: str, seed: int, *, duration: float | None = None, config: ScenesConfig | None = None) -> Scene:
    """A story drawn from a seed; the same seed tells the same.

    Args:
        theme: one of `themes`.
        seed: what it is drawn from.
        duration: seconds; drawn as well if not given.
        config: defaults to `configs/scenes.yaml`.

    Raises:
        UnknownTheme: if there is no such theme.
    """
    config = config or load_scenes()
    known = themes()
    if theme not in known:
        raise UnknownTheme(f"no theme {theme!r}; there are {', '.join(known)}")
    stage = Stage(theme, seed, duration or 1.0, config)
    if duration is None:
        stage.is_drawn = True
        stage.duration = round(stage.uniform(*config.dataset.story_s), 1)
    return stage.scene(known[theme](stage))
