"""Samples as a model is shown them: arrays of one batch, changed a little each time they are read.

Belongs here: from rows of the table `trajectories` to arrays, augmentations, what may be learned from.
Does not belong here: how samples are made (`pipeline.scenes.dataset`), models.
"""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.scenes.joints import BONES, mirrored
from pipeline.tables import SAMPLE_FRAMES, SAMPLE_JOINTS

Array = NDArray[np.float32]
STILL = "stand"


class Unlearnable(PipelineError):
    """Rows that a model may not be shown; the message names the first."""


@dataclass(frozen=True)
class Samples:
    """A batch of `b` samples of `n` frames.

    Attributes:
        ids: of the samples.
        captions: what is said of them.
        joints: `(b, n, 10, 2)` metres, forward and up of the ground under the hips.
        position: `(b, n, 2)` metres, from where the sample begins.
        heading: `(b, n)` radians, unwrapped.
        speed: `(b, n)` m/s.
        actions: `(b, n)` codes, places in `names`.
        names: of the actions.
        fps: frames a second.
    """

    ids: tuple[str, ...]
    captions: tuple[str, ...]
    joints: Array
    position: Array
    heading: Array
    speed: Array
    actions: NDArray[np.uint8]
    names: tuple[str, ...]
    fps: int

    def __len__(self) -> int:
        """How many samples there are."""
        return len(self.ids)


def of_rows(rows: pl.DataFrame, names: tuple[str, ...]) -> Samples:
    """Rows of the table as arrays.

    Args:
        rows: of the table `trajectories`, at least one.
        names: all actions, in the order of their codes.

    Raises:
        Unlearnable: if there is none, one of them may not be learned from, or one is of another frame rate.
    """
    if rows.is_empty():
        raise Unlearnable("no sample")
    refused = rows.filter(~pl.col("trainable"))
    if not refused.is_empty():
        first = refused.row(0, named=True)
        raise Unlearnable(f"sample {first['sample_id']}: its licence ({first['licence']}) does not allow training")
    if rows["fps"].n_unique() > 1:
        raise Unlearnable(f"samples of {rows['fps'].n_unique()} frame rates in one batch")
    b, n = rows.height, SAMPLE_FRAMES
    position = rows["position_m"].to_numpy().reshape(b, n, 2)
    return Samples(
        ids=tuple(rows["sample_id"]),
        captions=tuple(rows["caption"]),
        joints=rows["joints_m"].to_numpy().reshape(b, n, SAMPLE_JOINTS, 2),
        position=position - position[:, :1],
        heading=rows["heading_rad"].to_numpy(),
        speed=rows["speed_mps"].to_numpy(),
        actions=_codes(rows, names),
        names=names,
        fps=int(rows["fps"][0]),
    )


def _codes(rows: pl.DataFrame, names: tuple[str, ...]) -> NDArray[np.uint8]:
    """Stretches as a code for each frame."""
    flat = rows.select("actions").with_row_index("row").explode("actions").unnest("actions")
    place = {name: code for code, name in enumerate(names)}
    unknown = sorted(set(flat["action"].unique()) - set(place))
    if unknown:
        raise Unlearnable(f"unknown action {unknown[0]!r}")
    codes = flat["action"].replace_strict(place, return_dtype=pl.UInt8).to_numpy()
    lengths = (flat["to_frame"] - flat["from_frame"]).to_numpy()
    spread: NDArray[np.uint8] = np.repeat(codes, lengths).reshape(rows.height, SAMPLE_FRAMES)
    return spread


def augmented(
    samples: Samples,
    rng: np.random.Generator,
    *,
    speed: float | NDArray[np.float64] = 0.1,
    mirror: float = 0.5,
    scale: float | NDArray[np.float64] = 0.1,
    turn: bool | NDArray[np.bool_] = True,
) -> Samples:
    """The samples a little different: faster or slower, mirrored, larger or smaller, turned.

    Args:
        samples: as read.
        rng: draws the changes.
        speed: by how much time may pass faster or slower, as a share, of all or of each; the way becomes shorter than
            the recording where time passes slower, and its end is held where it passes faster.
        mirror: share of samples that are seen in a mirror, with left and right exchanged. Captions speak of left and
            right as well, so they are turned round too.
        scale: by how much a figure and its way may be larger or smaller; of all or of each.
        turn: whether the whole way is turned about its beginning by any angle; captions no longer tell directions
            that hold, so samples that tell one are left as they are; of all or of each.
    """
    b = len(samples)
    out = faster(samples, 1.0 + speed * rng.uniform(-1.0, 1.0, b)) if np.any(speed) else samples
    if np.any(scale):
        out = scaled(out, 1.0 + scale * rng.uniform(-1.0, 1.0, b))
    if mirror:
        out = mirrored_samples(out, rng.random(b) < mirror)
    if np.any(turn):
        told = np.array([any(word in text for word in DIRECTIONS) for text in samples.captions])
        out = turned(out, np.where(told | ~np.asarray(turn), 0.0, rng.uniform(-np.pi, np.pi, b)))
    return out


DIRECTIONS = ("left", "right", "viewer", "distance", "away", "forward")
"""Words of captions that tell a direction in the picture."""


def faster(samples: Samples, factor: NDArray[np.float64]) -> Samples:
    """Time passes `factor` times as fast in each sample; where its frames are used up, the last one is held."""
    b, n = samples.heading.shape
    at = np.minimum(np.arange(n)[None] * factor[:, None], n - 1.0)
    low = np.minimum(at.astype(int), n - 2)
    share = (at - low).astype(np.float32)
    rows = np.arange(b)[:, None]

    def between(values: Array) -> Array:
        weight = share.reshape(share.shape + (1,) * (values.ndim - 2))
        out: Array = values[rows, low] * (1.0 - weight) + values[rows, low + 1] * weight
        return out

    over = np.arange(n)[None] * factor[:, None] > n - 1
    speed = np.where(over, 0.0, between(samples.speed) * factor[:, None]).astype(np.float32)
    nearest = np.rint(at).astype(int)
    return replace(
        samples,
        joints=_with_bones(between(samples.joints), samples.joints),
        position=between(samples.position),
        heading=between(samples.heading),
        speed=speed,
        actions=samples.actions[rows, nearest],
    )


def _with_bones(joints: Array, like: Array) -> Array:
    """Bones as long as they were: a mean of two poses has shorter ones."""
    out = joints.copy()
    for parent, child in BONES:
        length = np.linalg.norm(like[:, :1, child] - like[:, :1, parent], axis=-1, keepdims=True)
        way = joints[:, :, child] - joints[:, :, parent]
        out[:, :, child] = out[:, :, parent] + way * (
            length / np.maximum(np.linalg.norm(way, axis=-1, keepdims=True), 1e-6)
        )
    return out


def scaled(samples: Samples, factor: NDArray[np.float64]) -> Samples:
    """Figures and their ways `factor` times as large."""
    f = factor.astype(np.float32)
    return replace(
        samples,
        joints=samples.joints * f[:, None, None, None],
        position=samples.position * f[:, None, None],
        speed=samples.speed * f[:, None],
    )


def mirrored_samples(samples: Samples, which: NDArray[np.bool_]) -> Samples:
    """Some samples seen in a mirror: x becomes −x, left becomes right, in captions too."""
    sign = np.where(which, -1.0, 1.0).astype(np.float32)
    heading = np.where(which[:, None], np.pi - samples.heading, samples.heading).astype(np.float32)
    return replace(
        samples,
        captions=tuple(swapped(text) if m else text for text, m in zip(samples.captions, which, strict=True)),
        joints=np.where(which[:, None, None, None], mirrored(samples.joints), samples.joints),
        position=samples.position * np.stack([sign, np.ones_like(sign)], axis=-1)[:, None],
        heading=heading,
    )


def swapped(text: str) -> str:
    """What is said of the same seen in a mirror."""
    return text.replace("left", "\0").replace("right", "left").replace("\0", "right")


def turned(samples: Samples, angle: NDArray[np.float64]) -> Samples:
    """Ways turned about their beginning by angles in radians."""
    cos, sin = np.cos(angle).astype(np.float32)[:, None], np.sin(angle).astype(np.float32)[:, None]
    x, z = samples.position[..., 0], samples.position[..., 1]
    position = np.stack([x * cos + z * sin, -x * sin + z * cos], axis=-1)
    return replace(samples, position=position, heading=samples.heading + angle.astype(np.float32)[:, None])
