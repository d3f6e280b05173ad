"""What the network is shown of samples, and what it has to find: arrays of one batch, in the frame of what is known.

Belongs here: which frames are known, the frame of reference, drawing a batch. Does not belong here: tensors (network).

The origin is where somebody is at the last known frame; the first axis is the direction in which it goes or looks
there, so that a way has to be learned once and not in all directions. Where nothing is known the directions are those
of the world, and captions that speak of left and right can be followed. How the frame is turned is told.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from configs.scenes import ScenesConfig
from configs.trajectories import TrajectoriesConfig
from pipeline.trajectories.corpus import KINDS, RECORDED, Corpus, scale_of
from pipeline.trajectories.framing import frame_angle, turned, velocity_at
from pipeline.trajectories.recall import Recalled, meant
from pipeline.trajectories.samples import Samples, augmented, mirrored_samples
from pipeline.trajectories.stance import MEASURES, stances

Floats = NDArray[np.float32]
CONDITIONS = 6
"""Scale, cosine and sine of the frame's angle, whether there is a text, how much is known, how much is recalled."""


@dataclass(frozen=True)
class Batch:
    """`b` samples of `n` frames as the network sees them; lengths are divided by the figure's scale in poses alone.

    Attributes:
        pose: `(b, n, 20)` metres of a figure of the usual size.
        way: `(b, n, 2)` metres in the frame of reference.
        heading: `(b, n)` radians in it.
        seen: `(b, n)` frames whose position is known.
        pose_seen: `(b, n)` frames whose pose is known.
        look_seen: `(b, n)` frames in which it is known where it looks.
        has_pose: `(b,)` whether there is a pose to be found.
        recalled: `(b, k, h, 2)` metres in the frame of reference; where earlier moments led.
        alike: `(b, k)` how much these are like this one.
        came: `(b, n, 2)` their mean in each frame.
        actions: `(b, n)` codes of what is done, to be found.
        stance: `(b, n, s)` what the pose depends on; see `pipeline.trajectories.stance`.
        text: `(b, d)` vectors; zeros where none is shown.
        condition: `(b, 6)`.
        velocity: `(b, 2)` m/s at the end of what is known.
        after: `(b, n)` seconds since then.
        origin: `(b, 2)` of the frame in the world.
        angle: `(b,)` of its first axis there.
    """

    pose: Floats
    way: Floats
    heading: Floats
    seen: NDArray[np.bool_]
    pose_seen: NDArray[np.bool_]
    look_seen: NDArray[np.bool_]
    has_pose: NDArray[np.bool_]
    recalled: Floats
    alike: Floats
    came: Floats
    actions: NDArray[np.int64]
    stance: Floats
    text: Floats
    condition: Floats
    velocity: Floats
    after: Floats
    origin: Floats
    angle: Floats

    def __len__(self) -> int:
        """How many samples it has."""
        return len(self.angle)

    def world(self, way: Floats) -> Floats:
        """Ways `(b, n, 2)` of the frame of reference in the world."""
        return turned(way, self.angle) + self.origin[:, None]

    def part(self, these: slice) -> "Batch":
        """Some of its samples."""
        return Batch(**{name: value[these] for name, value in vars(self).items()})


def framed(
    samples: Samples,
    known: NDArray[np.int64],
    pose_known: NDArray[np.bool_],
    text: Floats,
    has_text: NDArray[np.bool_],
    recalled: Recalled,
    config: TrajectoriesConfig,
    scenes: ScenesConfig,
    scale: Floats | None = None,
) -> Batch:
    """Samples in their frames of reference.

    Args:
        samples: of which only known frames matter to what is shown; joints are zeros where there is no pose, headings
            NaN where it is not known where somebody looks.
        known: `(b,)` frames that are known, 0 for the place of the first alone.
        pose_known: `(b,)` whether their pose is.
        text: `(b, d)`.
        has_text: `(b,)` whether it is shown.
        recalled: by the last known moment.
        config: over which the last velocity is taken, when something is recalled.
        scenes: lengths, gait.
        scale: `(b,)` of the figures; taken from their joints if not given.
    """
    position, joints, heading, fps = samples.position, samples.joints, samples.heading, samples.fps
    b, n = heading.shape
    rows, last = np.arange(b), np.maximum(known - 1, 0)
    velocity = velocity_at(position, known, fps=fps, seconds=config.known.velocity_s)
    origin = position[rows, last].astype(np.float32)
    angle = frame_angle(
        position, heading, known, fps=fps, velocity_s=config.known.velocity_s, going_mps=config.known.going_mps
    )
    frames = np.arange(n)[None]
    seen = frames < known[:, None]
    after = np.maximum(frames - last[:, None], 0) / fps
    scale = scale_of(joints, scenes.human.head) if scale is None else scale
    has_pose = np.abs(joints).reshape(b, -1).max(axis=1) > 0
    is_turned = (angle != 0).astype(np.float32)
    condition = np.stack(
        [
            np.log(scale), np.cos(angle) * is_turned, np.sin(angle) * is_turned, has_text, known / n,
            recalled.alike.mean(axis=1),
        ],
        axis=1,
    ).astype(np.float32)  # fmt: skip
    stance = np.zeros((b, n, len(samples.names) + MEASURES), np.float32)
    if has_pose.any():
        stance[has_pose] = stances(
            position[has_pose], samples.actions[has_pose], scale[has_pose], scenes, joints[has_pose]
        )
    return Batch(
        pose=(joints.reshape(b, n, -1) / scale[:, None, None]).astype(np.float32),
        way=turned(position - origin[:, None], -angle),
        heading=(np.nan_to_num(heading) - angle[:, None]).astype(np.float32),
        seen=seen,
        pose_seen=seen & (pose_known & has_pose)[:, None],
        look_seen=seen & np.isfinite(heading),
        has_pose=has_pose,
        recalled=recalled.ways,
        alike=recalled.alike,
        came=meant(recalled.ways, recalled.alike, after, config.recall),
        actions=samples.actions.astype(np.int64),
        stance=stance,
        text=(text * has_text[:, None]).astype(np.float32),
        condition=condition,
        velocity=turned(velocity, -angle),
        after=after.astype(np.float32),
        origin=origin,
        angle=angle,
    )


class Batches:
    """Draws batches: the same for the same seed and step, whatever was drawn before.

    Args:
        corpus: with vectors.
        config: what is shown, shares, augmentations.
        scenes: lengths, gait.
        patch: frames of a token; what is known is a multiple of it.
        seed: of all draws.
    """

    def __init__(self, corpus: Corpus, config: TrajectoriesConfig, scenes: ScenesConfig, patch: int, seed: int) -> None:
        self.corpus, self.config, self.scenes, self.patch, self.seed = corpus, config, scenes, patch, seed
        self._place = {text: k for k, text in enumerate(corpus.captions)}
        groups = [corpus.where("train", kind) for kind in range(len(KINDS))]
        shares = np.array([getattr(config.mixture, name) for name in KINDS])
        shares *= [len(group) > 0 for group in groups]
        if shares.sum() == 0:
            raise ValueError("the corpus has no sample to train on")
        self._groups, self._shares = groups, shares / shares.sum()

    @cached_property
    def learned(self) -> NDArray[np.int64]:
        """Places of all samples that are drawn from."""
        return np.sort(np.concatenate([g for g, s in zip(self._groups, self._shares, strict=True) if s > 0]))

    def drawn(self, step: int, size: int) -> Batch:
        """The batch of a step."""
        rng = np.random.default_rng([self.seed, step])
        kinds = rng.choice(len(KINDS), size, p=self._shares)
        at = np.array([self._groups[kind][rng.integers(len(self._groups[kind]))] for kind in kinds])
        samples, recalled = self._changed(at, kinds == RECORDED, rng)
        known = self._known(kinds, rng)
        shown = self.config.known
        has_text = (rng.random(size) < shown.text_share) | (known == 0)
        pose_known = rng.random(size) < shown.pose_share
        text = self.corpus.vectors[[self._place[caption] for caption in samples.captions]]
        return framed(samples, known, pose_known, text, has_text, recalled, self.config, self.scenes)

    def _changed(
        self, at: NDArray[np.int64], is_recorded: NDArray[np.bool_], rng: np.random.Generator
    ) -> tuple[Samples, Recalled]:
        """Augmented; in windows of recordings time, sizes and directions stay as what is recalled has them."""
        training = self.config.training
        is_mirrored = rng.random(len(at)) < training.mirror
        read = self.corpus.samples(at)
        samples = mirrored_samples(read, is_mirrored)
        ways, alike = self.corpus.recollections(at)
        stays = (self._angle(read) == 0) & (self._angle(samples) == 0)  # of the world, whichever way it is seen
        ways[is_mirrored & stays, ..., 0] *= -1.0
        ways[is_mirrored & ~stays, ..., 1] *= -1.0
        speed, scale = (np.where(is_recorded, 0.0, share) for share in (training.speed, training.scale))
        return augmented(samples, rng, speed=speed, mirror=0.0, scale=scale, turn=~is_recorded), Recalled(ways, alike)

    def _angle(self, samples: Samples) -> Floats:
        """The angle of the frame in which ways are recalled."""
        shown = self.config.known
        return frame_angle(
            samples.position, samples.heading, np.full(len(samples), self._fixed), fps=self.corpus.fps,
            velocity_s=shown.velocity_s, going_mps=shown.going_mps,
        )  # fmt: skip

    def _known(self, kinds: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """A number of known frames for each sample; of a recording's window always the same."""
        fps, shown = self.corpus.fps, self.config.known
        most = max(int(shown.most_s * fps) // self.patch, 1)
        some = self.patch * rng.integers(1, most + 1, len(kinds))
        known = np.where(rng.random(len(kinds)) < shown.share, some, 0)
        return np.where(kinds == RECORDED, self._fixed, known)

    @property
    def _fixed(self) -> int:
        """Frames that are known of a recording's window."""
        return round(self.config.known.seconds * self.corpus.fps)

    def of(self, at: NDArray[np.int64], *, known: int, has_text: bool, pose_known: bool = False) -> Batch:
        """Some samples as they are, of all of which so many frames are known."""
        b = len(at)
        return framed(
            self.corpus.samples(at), np.full(b, known), np.full(b, pose_known),
            self.corpus.vectors[self.corpus.told[at]], np.full(b, has_text), Recalled(*self.corpus.recollections(at)),
            self.config, self.scenes,
        )  # fmt: skip
