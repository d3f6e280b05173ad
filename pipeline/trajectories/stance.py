"""How somebody goes at each frame: what it does, how fast, at which point of its stride or gesture.

Belongs here: what the pose of a frame depends on, taken from a way and from what is done on it. Does not belong here:
poses (network), the way (model).

A text does not tell with which foot somebody begins, so a network that finds poses from texts finds the mean of all
strides, which is none. Told the point of the stride it finds that stride. In training that point is taken from the true
feet; of a found way strides are counted by the distance gone, as the scripted figure does.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs.scenes import ScenesConfig
from pipeline.scenes import speeds
from pipeline.scenes.joints import LEFT_FOOT, RIGHT_FOOT

Floats = NDArray[np.float32]
MEASURES = 8
"""Values of a frame besides what is done: speed, how much it goes, stride (4), gesture (2)."""


@dataclass(frozen=True)
class _Runs:
    """Stretches of frames of equal value, of `b` samples one after the other.

    Attributes:
        of: `(b * n,)` number of the stretch of each frame.
        first: `(r,)` its first frame.
        size: `(r,)` frames.
    """

    of: NDArray[np.int64]
    first: NDArray[np.int64]
    size: NDArray[np.int64]

    @classmethod
    def among(cls, values: NDArray[Any]) -> "_Runs":
        """Stretches of `(b, n)`."""
        begins = np.ones(values.shape, np.bool_)
        begins[:, 1:] = values[:, 1:] != values[:, :-1]
        first = np.flatnonzero(begins)
        return cls(np.cumsum(begins) - 1, first, np.diff(np.append(first, values.size)))


def stances(
    position: NDArray[Any], actions: NDArray[np.uint8], scale: NDArray[Any], scenes: ScenesConfig,
    joints: NDArray[Any] | None = None,
) -> Floats:  # fmt: skip
    """What the pose of each frame depends on.

    Args:
        position: `(b, n, 2)` metres.
        actions: `(b, n)` codes of what is done.
        scale: `(b,)` of the figures.
        scenes: gait, postures, frame rate.
        joints: `(b, n, 10, 2)` metres, whose feet tell the point of the stride; else each way begins with the left.

    Returns:
        `(b, n, actions + MEASURES)`.
    """
    fps = scenes.fps
    ways = np.diff(position, axis=1, prepend=position[:, :1])
    steps = np.hypot(ways[..., 0], ways[..., 1]) / scale[:, None]
    steps[:, 0] = steps[:, 1]
    speed = steps * fps
    going = _soft(np.clip(speed / scenes.dataset.creep_mps, 0.0, 1.0)[..., None], 0.2 * fps)[..., 0]
    stride = (
        2.0 * np.pi * _strides(steps, speed, scenes, None if joints is None else joints / scale[:, None, None, None])
    )
    hz = np.array([scenes.postures[action.posture].hz if action.posture in scenes.postures else 0.0
                   for action in scenes.actions.values()])  # fmt: skip
    runs = _Runs.among(actions)
    since = (np.arange(actions.size) - runs.first[runs.of]).reshape(actions.shape) / fps
    known = np.ones(actions.shape)
    if joints is not None:  # when what is done first had begun is not known
        known = ((runs.first % actions.shape[1]) > 0)[runs.of].reshape(actions.shape).astype(float)
    gesture = 2.0 * np.pi * hz[actions] * since
    does = _soft(np.eye(len(speeds.names(scenes)), dtype=np.float32)[actions], 0.5 * scenes.posture_blend_s * fps)
    values = [
        speed / 5.0, going, *(f(k * stride) * going for k in (1, 2) for f in (np.cos, np.sin)),
        np.cos(gesture) * known, np.sin(gesture) * known,
    ]  # fmt: skip
    return np.concatenate([does, np.stack(values, axis=-1)], axis=-1).astype(np.float32)


def _soft(values: NDArray[Any], frames: float) -> NDArray[Any]:
    """Means `(b, n, k)` over a Hann window of about so many frames either way, ends held."""
    reach = max(round(frames), 1)
    weights = np.hanning(2 * reach + 3)[1:-1]
    weights /= weights.sum()
    n = values.shape[1]
    padded = np.pad(values, ((0, 0), (reach, reach), (0, 0)), mode="edge")
    out = np.zeros_like(values)
    for k, weight in enumerate(weights):
        out += values.dtype.type(weight) * padded[:, k : k + n]
    return out


def _strides(
    steps: NDArray[Any], speed: NDArray[Any], scenes: ScenesConfig, joints: NDArray[Any] | None
) -> NDArray[np.float64]:
    """Strides gone `(b, n)`; between two rests a whole number of steps."""
    n = steps.shape[1]
    raw = np.cumsum(steps / np.interp(speed, scenes.gait.speed_mps, scenes.gait.stride_m), axis=1).ravel()
    goes = speed > scenes.dataset.creep_mps * 0.1
    runs = _Runs.among(goes)
    before = np.where(runs.first % n > 0, raw[runs.first - 1], 0.0)
    gone = raw - before[runs.of]
    last = runs.first + runs.size
    span = gone[last - 1]
    whole = (runs.first % n > 0) & (last % n > 0) & goes.ravel()[runs.first]
    stretch = np.where(whole, np.maximum(np.round(2.0 * span), 1.0) / np.maximum(2.0 * span, 1e-6), 1.0)
    gone = gone * stretch[runs.of]
    if joints is not None:
        apart = (joints[:, :, LEFT_FOOT, 0] - joints[:, :, RIGHT_FOOT, 0]).ravel()
        real, imaginary = (np.bincount(runs.of, apart * f(2.0 * np.pi * gone)) for f in (np.cos, np.sin))
        start = (np.arctan2(-imaginary, real) - 0.5 * np.pi) / (2.0 * np.pi)  # feet are apart as -sin of the stride
        return np.asarray((gone + start[runs.of]).reshape(steps.shape))
    done = np.where(goes.ravel()[runs.first], span * stretch, 0.0)
    begin = np.cumsum(done) - done
    begin -= begin[np.searchsorted(runs.first, runs.first // n * n)]
    return np.asarray((gone + begin[runs.of]).reshape(steps.shape))
