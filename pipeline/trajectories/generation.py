"""From a sentence to a film: who is in it, where they go, what stands there, how it looks, and to 3D.

Belongs here: what a sentence asks for besides movement, motions as actors of a scene, requests for 3D clips. Does not
belong here: the model, drawing (`pipeline.scenes.render`), 3D motion (`pipeline.motion`).
"""

import hashlib
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs.motion import load_motion
from configs.scenes import ScenesConfig, load_scenes
from configs.trajectories import GenerationConfig, TrajectoriesConfig, load_trajectories
from pipeline.errors import PipelineError
from pipeline.intents.vocabulary import Intent
from pipeline.motion.clip import NULL, ClipRequest
from pipeline.scenes.dataset import cut
from pipeline.scenes.paths import direction_of, heading_of
from pipeline.scenes.render import Film, Played, mp4
from pipeline.scenes.scales import radius_m
from pipeline.scenes.schema import Actor, Camera, Ground, Scene, SceneObject
from pipeline.scenes.story import COLORS
from pipeline.trajectories.bodies import walked
from pipeline.trajectories.corpus import Encoder
from pipeline.trajectories.model import TrajectoryModel
from pipeline.trajectories.samples import DIRECTIONS

Array = NDArray[np.float64]

_NUMBERS = {"two": 2, "both": 2, "couple": 2, "pair": 2, "three": 3, "four": 4, "five": 5, "group": 4, "several": 4}
_PLACES: dict[str, tuple[str, Ground]] = {
    "spaceship": ("space", "moon"), "astronaut": ("space", "moon"), "moon": ("space", "moon"),
    "gravity": ("space", "moon"), "planet": ("space", "moon"), "base": ("baseball", "diamond"),
    "bases": ("baseball", "diamond"), "batter": ("baseball", "diamond"), "street": ("street", "street"),
    "car": ("street", "street"), "desk": ("office", "room"), "office": ("office", "room"), "table": ("office", "room"),
    "attacker": ("match", "concrete"), "defender": ("match", "concrete"), "site": ("match", "concrete"),
    "striker": ("sports", "pitch"), "goal": ("sports", "pitch"),
}  # fmt: skip
_GOES = re.compile(r"\b(walk|jog|run|rac(e|ing)|sprint|bound|go(es)?\b|mov(e|ing)|rush|rotat|advanc|retreat|chas)")
_MEASURES = r"(metres?|meters?|seconds?|steps?|times|minutes?|feet)"


class Wordless(PipelineError):
    """A prompt without a word."""


class TooShort(PipelineError):
    """A film of less than two frames."""


@dataclass(frozen=True)
class Asked:
    """What a sentence asks for besides movement.

    Attributes:
        prompt: the sentence.
        actors: how many.
        things: kinds of objects that it names.
        theme: where it plays.
        ground: what the ground looks like there.
    """

    prompt: str
    actors: int
    things: tuple[str, ...]
    theme: str
    ground: Ground


def asked(prompt: str, scenes: ScenesConfig | None = None, config: GenerationConfig | None = None) -> Asked:
    """Who and what a sentence names, by its words.

    Args:
        prompt: in English.
        scenes: defaults to `configs/scenes.yaml`, whose kinds of objects are looked for.
        config: defaults to `configs/trajectories.yaml`, which says how many there are at most.

    Raises:
        Wordless: if there is no word in it.
    """
    scenes, config = scenes or load_scenes(), config or load_trajectories().generation
    words = re.findall(r"[a-z]+", prompt.lower())
    if not words:
        raise Wordless("the prompt has no word: say who does what, such as 'a runner sprints to the spaceship'")
    counted = re.sub(rf"\b[a-z]+ {_MEASURES}\b", "", prompt.lower())  # four metres are no actors
    number = next((_NUMBERS[word] for word in re.findall(r"[a-z]+", counted) if word in _NUMBERS), 1)
    singular = {word.removesuffix("s") for word in words} | set(words)
    things = tuple(kind for kind in scenes.objects if kind in singular)
    theme, ground = next((_PLACES[word] for word in words if word in _PLACES), ("open ground", "grass"))
    return Asked(prompt.strip(), min(number, config.most_actors), things, theme, ground)


def completed(prompt: str, rng: np.random.Generator, config: GenerationConfig | None = None) -> str:
    """A sentence with what it leaves open: who goes somewhere goes so far and that way, as captions tell.

    A model that is told neither finds a mean of all ways.

    Args:
        prompt: in English.
        rng: draws what is open.
        config: what it is drawn from; defaults to `configs/trajectories.yaml`.
    """
    config = config or load_trajectories().generation
    if not _GOES.search(prompt.lower()):
        return prompt
    far, side = rng.choice(config.far), rng.choice(config.sides)
    has_way = any(word in prompt.lower() for word in DIRECTIONS)
    rest = ([] if re.search(r"\bmet(re|er)s?\b", prompt.lower()) else [str(far)]) + ([] if has_way else [str(side)])
    return " ".join([prompt.rstrip(" .!"), *rest]) if rest else prompt


@dataclass(frozen=True)
class Generated:
    """A story that a model made up.

    Attributes:
        scene: who and what is in it.
        cast: its actors with all of their frames.
        asked: what for.
    """

    scene: Scene
    cast: tuple[Played, ...]
    asked: Asked

    def film(self, scenes: ScenesConfig | None = None) -> bytes:
        """As MP4."""
        shown = Film(self.scene, scenes, cast=list(self.cast))
        return mp4(shown.pictures(), shown.fps)


def generated(
    model: TrajectoryModel,
    encoder: Encoder,
    prompt: str,
    *,
    seed: int = 0,
    seconds: float = 0.0,
    config: TrajectoriesConfig | None = None,
    scenes: ScenesConfig | None = None,
) -> Generated:
    """A story of up to ten seconds from a sentence; the same for the same model, sentence and seed.

    Several actors begin side by side and differ a little in pace. Things that are named stand where the way leads.

    Args:
        model: finds the movement.
        encoder: reads the sentence; the one that the model learned with.
        prompt: the sentence.
        seed: of what the sentence leaves open.
        seconds: how long; as configured if 0.
        config: defaults to `configs/trajectories.yaml`.
        scenes: defaults to `configs/scenes.yaml`.

    Raises:
        Wordless: if there is no word in the sentence.
        TooShort: if it lasts less than two frames.
        Unusable: if the model learned with another encoder.
    """
    config, scenes = config or load_trajectories(), scenes or load_scenes()
    what = asked(prompt, scenes, config.generation)
    model.ensure_read_by(encoder)
    frames = min(round((seconds or config.generation.seconds) * scenes.fps), model.shape.frames)
    if frames < 2:
        raise TooShort(f"{seconds:g} s are less than two frames: ask for {2 / scenes.fps:g} s at least")
    rng = np.random.default_rng([seed, int.from_bytes(hashlib.sha256(what.prompt.encode()).digest()[:4], "big")])
    vector = np.asarray(encoder.encode([completed(what.prompt, rng, config.generation)]), np.float32)
    found = model.from_text(vector, np.ones(1, np.float32))
    way, pose = found.position[0].astype(float), found.joints[0].astype(float)
    last = way[-1] - way[0]
    course = float(heading_of(last)) if np.hypot(*last) > config.generation.course_m else 0.0
    aside = direction_of(np.array(course + 0.5 * np.pi))
    cast = []
    for k in range(what.actors):
        pace = 1.0 + config.generation.vary * float(rng.uniform(-1.0, 1.0)) if what.actors > 1 else 1.0
        start = aside * config.generation.apart_m * (k - 0.5 * (what.actors - 1))
        cast.append(
            _played(
                f"actor{k + 1}",
                COLORS[k % len(COLORS)],
                *_paced(way, pose, pace),
                start,
                course,
                frames,
                scenes,
            )
        )
    scene = Scene(
        theme=what.theme, seed=seed, duration=frames / scenes.fps, actors=tuple(each.actor for each in cast),
        objects=tuple(_things(what, way[:frames], course, rng, scenes, config.generation)), camera=Camera(),
        ground=what.ground,
        gravity=scenes.themes.gravity_mps2.get(what.theme, scenes.themes.earth_mps2), prompt=what.prompt,
        paraphrases=(what.prompt,), source=f"model {model.version}",
    )  # fmt: skip
    return Generated(scene, tuple(cast), what)


def _paced(way: Array, pose: Array, pace: float) -> tuple[Array, Array]:
    """Time passes `pace` times as fast; the end is held."""
    n = len(way)
    at = np.minimum(np.arange(n) * pace, n - 1.0)

    def taken(values: Array) -> Array:
        flat = values.reshape(n, -1)
        out = np.stack([np.interp(at, np.arange(n), column) for column in flat.T], axis=1)
        return out.reshape(values.shape)

    return taken(way), taken(pose)


def _played(
    name: str,
    color: str,
    way: Array,
    pose: Array,
    start: Array,
    course: float,
    frames: int,
    scenes: ScenesConfig,
) -> Played:
    whole, joints = walked(way - way[0] + start, pose, course, 1.0, scenes)
    movement, joints = cut(whole, 0, frames), joints[:frames]
    position, heading = movement.position, movement.heading
    every = scenes.fps // 5
    actor = Actor(
        id=name, actor_type="figure", color=color, initial_position=(float(position[0, 0]), float(position[0, 1])),
        actions=((0.0, "stand"),), timed=True, heading=float(heading[0]),
        movement_path=tuple(
            (k / scenes.fps, (float(position[k, 0]), float(position[k, 1]))) for k in range(0, frames, every)
        ),
    )  # fmt: skip
    return Played(actor, movement, joints)


def _things(
    what: Asked, way: Array, course: float, rng: np.random.Generator, scenes: ScenesConfig, config: GenerationConfig
) -> Iterator[SceneObject]:
    """What the sentence names: the first where the way leads, the others beside it."""
    ahead = direction_of(np.array(course))
    for k, kind in enumerate(what.things):
        far = radius_m(scenes, kind) + config.beside_m
        if k == 0:
            spot = way[-1] - way[0] + ahead * far
        else:
            side = direction_of(np.array(course + (0.5 if k % 2 else -0.5) * np.pi))
            spot = 0.5 * (way[-1] - way[0]) + side * (far + float(rng.uniform(1.0, 3.0)))
        yield SceneObject(id=f"{kind}{k}", kind=kind, position=(float(spot[0]), 0.0, float(spot[1])))


def sheet(stories: Sequence[Generated], *, columns: int = 5, cell: int = 300) -> bytes:
    """A JPEG of stories one below the other, each as frames evenly in time."""
    from PIL import Image

    rows = []
    for made in stories:
        shown = Film(made.scene, cast=list(made.cast))
        at = [round(k) for k in np.linspace(0.0, 1.0, columns) * (shown.frames - 1)]
        rows.append([shown.picture(frame) for frame in at])
    tall = round(cell * rows[0][0].height / rows[0][0].width)
    whole = Image.new("RGB", (columns * cell, len(rows) * tall), "#ffffff")
    for row, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            small = picture.resize((cell, tall), Image.Resampling.LANCZOS)
            whole.paste(small, (column * cell, row * tall))
    out = io.BytesIO()
    whole.save(out, "JPEG", quality=85)
    return out.getvalue()


def clip_requests(
    made: Generated, intent: Intent, scenes: ScenesConfig | None = None, config: GenerationConfig | None = None
) -> list[ClipRequest]:
    """A request for a 3D clip of each actor: the motion synthesizer walks its way.

    Args:
        made: the story.
        intent: what the upper body acts.
        scenes: defaults to `configs/scenes.yaml`, for the frame rate.
        config: defaults to `configs/trajectories.yaml`, for how often a position is asked for.
    """
    fps, step = (scenes or load_scenes()).fps, (config or load_trajectories().generation).sample_ms
    out = []
    for k, each in enumerate(made.cast):
        seconds = (len(each.movement.position) - 1) / fps
        t_ms = np.arange(0, int(seconds * 1000) + 1, step)
        at = t_ms * fps / 1000.0
        frames = np.arange(len(each.movement.position))
        x, z = (np.rint(1000.0 * np.interp(at, frames, each.movement.position[:, axis])) for axis in (0, 1))
        digest = hashlib.sha256(f"{made.scene.source}/{made.asked.prompt}/{made.scene.seed}/{k}".encode()).digest()
        nothing: Any = np.full(len(t_ms), NULL)
        out.append(ClipRequest(
            match_id="generated", segment_id=digest.hex()[:16], player=each.actor.id, attacker=None, intent=intent,
            from_ms=0, to_ms=min(int(t_ms[-1]), load_motion().clips.max_ms), t_ms=t_ms, x_mm=x.astype(np.int32),
            y_mm=nothing, z_mm=z.astype(np.int32), yaw_mdeg=nothing, pitch_mdeg=nothing,
            seed=int.from_bytes(digest[16:20], "big"), model_version=str(made.scene.source),
        ))  # fmt: skip
    return out
