"""Stories cut into samples: ten seconds of one actor, what it does, and what is said of it.

Belongs here: which stories, windows, captions, splits, and the columns of the table `trajectories`.
Does not belong here: the retelling of matches (match_samples), reading samples for training (`pipeline.trajectories`),
files (`resources.store`).
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from configs.scenes import ScenesConfig, load_scenes
from pipeline.scenes import speeds
from pipeline.scenes.captions import STYLES, Phrase, caption, direction_words, distance_words
from pipeline.scenes.figure import posed
from pipeline.scenes.kinematics import Movement, moved
from pipeline.scenes.schema import Scene
from pipeline.scenes.story import tell, themes
from pipeline.tables import empty

Array = NDArray[np.float64]

_STORIES_A_SHARD = 10_000  # more than a shard ever takes, so that seeds of two shards differ


@dataclass(frozen=True)
class Source:
    """Where samples come from, and whether they may be learned from.

    Attributes:
        kind: `scene` or `match`.
        id: which story, or which match.
        theme: where it plays.
        seed: of the story; of a match, what its id hashes to.
        licence: whose terms hold.
        trainable: whether these terms allow it.
    """

    kind: str
    id: str
    theme: str
    seed: int
    licence: str
    trainable: bool = True


def plan(samples: int, config: ScenesConfig | None = None) -> list[int]:
    """How many samples each shard holds."""
    size = (config or load_scenes()).dataset.shard
    return [min(size, samples - first) for first in range(0, samples, size)]


def story_shard(seed: int, shard: int, samples: int, config: ScenesConfig | None = None) -> pl.DataFrame:
    """The samples of one shard of stories, in the columns of the table `trajectories`.

    A shard depends on nothing but the seed, its number and its size, so shards can be made in any order and anywhere.

    Args:
        seed: of the data set.
        shard: number of the shard, from 0.
        samples: how many.
        config: defaults to `configs/scenes.yaml`.
    """
    config = config or load_scenes()
    frames: list[pl.DataFrame] = []
    count = 0
    for theme, number in _stories(seed, shard):
        frame = scene_samples(tell(theme, number, config=config), config)
        frames.append(frame)
        count += frame.height
        if count >= samples:
            break
    return pl.concat(frames).head(samples)


def _stories(seed: int, shard: int) -> Iterator[tuple[str, int]]:
    names = sorted(themes())
    for k in range(_STORIES_A_SHARD):
        digest = hashlib.sha256(f"{seed}/{shard}/{k}".encode()).digest()
        yield names[(k + shard) % len(names)], int.from_bytes(digest[:4], "big")


def scene_samples(scene: Scene, config: ScenesConfig | None = None) -> pl.DataFrame:
    """All windows of all actors of a scene as samples.

    Windows in which an actor never moves are thinned, as most of a story is waiting.
    """
    config = config or load_scenes()
    name = f"{scene.theme}-{scene.seed}"
    source = Source("scene", name, scene.theme, scene.seed, config.dataset.story_licence)
    rows = Rows(config, source)
    codes = speeds.names(config)
    for actor in scene.actors:
        movement = moved(actor, scene.duration, config)
        joints = posed(movement, config, scale=actor.scale, gravity=scene.gravity)
        for first in windows(len(joints), config):
            part = cut(movement, first, config.window)
            phrases = _told(part, codes, config)
            rows.add(
                actor.id,
                actor.actor_type,
                actor.scale,
                scene.gravity,
                first,
                part,
                joints[first : first + config.window],
                phrases,
                scene.paraphrases,
            )
    return rows.frame()


def wordings(scene: Scene, config: ScenesConfig | None = None) -> list[tuple[str, ...]]:
    """What is said of each window of each actor of a scene, in every way of wording; windows that tell alike, once."""
    config = config or load_scenes()
    codes = speeds.names(config)
    told: dict[tuple[str, ...], None] = {}
    for actor in scene.actors:
        movement = moved(actor, scene.duration, config)
        for first in windows(len(movement.speed), config):
            phrases = _told(cut(movement, first, config.window), codes, config)
            told[tuple(caption(actor.actor_type, phrases, style) for style in range(STYLES))] = None
    return list(told)


def windows(frames: int, config: ScenesConfig) -> range:
    """First frames of the windows of so many frames."""
    return range(0, frames - config.window + 1, round(config.dataset.stride_s * config.fps))


def cut(movement: Movement, first: int, frames: int) -> Movement:
    """Some frames of a movement."""
    these = slice(first, first + frames)
    return Movement(
        movement.position[these], movement.heading[these], movement.speed[these], movement.distance[these],
        movement.actions[these], movement.since[these],
    )  # fmt: skip


def runs(codes: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Begins and ends `[begin, end)` of stretches of equal codes."""
    begins = np.flatnonzero(np.concatenate([[True], codes[1:] != codes[:-1]]))
    return begins, np.append(begins[1:], len(codes))


def _told(part: Movement, names: Sequence[str], config: ScenesConfig) -> list[Phrase]:
    """What is done, as phrases: what takes its time, the longest of it, in order."""
    begins, ends = runs(part.actions)
    least = config.dataset.caption_s * config.fps
    longest = [(e - b, b, e) for b, e in zip(begins, ends, strict=True) if e - b >= least]
    longest = sorted(longest, reverse=True)[: config.dataset.spoken] or [(ends[0], begins[0], ends[0])]
    phrases: list[Phrase] = []
    for _, begin, end in sorted(longest, key=lambda run: run[1]):
        word = names[part.actions[begin]]
        way = part.position[end - 1] - part.position[begin]
        far = distance_words(float(part.distance[end - 1] - part.distance[begin]))
        rest = f"{far} {direction_words(*way)}" if config.actions[word].moves and far else ""
        phrase = Phrase(word, rest)
        if not phrases or phrases[-1] != phrase:
            phrases.append(phrase)
    return phrases


class Rows:
    """Collects samples of one source as rows of the table.

    Args:
        config: frame rate, splits.
        source: where they come from.
    """

    def __init__(self, config: ScenesConfig, source: Source) -> None:
        self.config, self.source = config, source
        self._names = speeds.names(config)
        self._rows: list[dict[str, object]] = []
        self._joints: list[Array] = []
        self._parts: list[Movement] = []

    def add(self, actor: str, subject: str, scale: float, gravity: float, first: int, part: Movement, joints: Array,
            phrases: Sequence[Phrase], prompts: Sequence[str]) -> None:  # fmt: skip
        """A window that begins at a frame of its story or match."""
        name = f"{self.source.id}/{actor}/{first}"
        digest = hashlib.sha256(name.encode()).digest()
        chance = [int.from_bytes(digest[k : k + 4], "big") / 2**32 for k in (8, 12, 16)]
        dataset, gone = self.config.dataset, float(part.distance[-1] - part.distance[0])
        if gone < dataset.still_m and chance[0] >= dataset.stillness:
            return
        style = self._style(chance[1], chance[2])
        begins, ends = runs(part.actions)
        self._rows.append({
            "sample_id": digest.hex()[:16], "source": self.source.kind, "source_id": self.source.id,
            "theme": self.source.theme, "template": f"{self.source.theme}/{style}", "seed": self.source.seed,
            "split": self._split(style), "actor": actor, "subject": subject,
            "from_ms": round(1000 * first / self.config.fps),
            "caption": caption(subject, phrases, style), "prompt": prompts[style % len(prompts)],
            "frames": self.config.window, "fps": self.config.fps,
            "height_m": self.config.human.height * scale, "gravity_mps2": gravity,
            "actions": [{"action": self._names[part.actions[b]], "from_frame": int(b), "to_frame": int(e)}
                        for b, e in zip(begins, ends, strict=True)],
            "licence": self.source.licence, "trainable": self.source.trainable,
        })  # fmt: skip
        self._parts.append(part)
        self._joints.append(joints)

    def _style(self, chance: float, other: float) -> int:
        dataset = self.config.dataset
        if chance < dataset.held_out_share:
            return dataset.held_out_style
        usual = [style for style in range(STYLES) if style != dataset.held_out_style]
        return usual[int(other * len(usual))]

    def _split(self, style: int) -> str:
        """By seed, so that windows of one story never part; what is worded in the held-out way is a test of its own."""
        dataset = self.config.dataset
        chance = int.from_bytes(hashlib.sha256(f"split/{self.source.seed}".encode()).digest()[:4], "big") / 2**32
        if chance < dataset.test_share:
            return "test"
        if chance < dataset.test_share + dataset.validation_share:
            return "validation"
        return "paraphrase" if style == dataset.held_out_style else "train"

    def frame(self) -> pl.DataFrame:
        """All of them, in the columns of the table."""
        kinds = empty("trajectories").schema
        if not self._rows:
            return empty("trajectories")
        count, n = len(self._rows), self.config.window
        arrays = {
            "joints_m": np.stack(self._joints).astype(np.float32).reshape(count, n * 20),
            "position_m": np.stack([p.position for p in self._parts]).astype(np.float32).reshape(count, n * 2),
            "heading_rad": np.stack([p.heading for p in self._parts]).astype(np.float32),
            "speed_mps": np.stack([p.speed for p in self._parts]).astype(np.float32),
        }
        columns = {name: pl.Series(name, values, kinds[name]) for name, values in arrays.items()}
        rest = pl.DataFrame(self._rows, {name: kind for name, kind in kinds.items() if name not in columns})
        return rest.with_columns(**columns).select(list(kinds))
