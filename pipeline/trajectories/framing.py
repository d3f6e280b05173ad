"""The frame of reference of what is to be found: where it begins, and which way is ahead.

Belongs here: origin, direction, velocity at the end of what is known. Does not belong here: batches.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.scenes.paths import heading_of

Floats = NDArray[np.float32]


def turned(way: NDArray[Any], angle: NDArray[Any]) -> Floats:
    """Ways `(b, …, 2)` in (x, z) turned by angles `(b,)` about +y."""
    shape = (-1,) + (1,) * (way.ndim - 2)
    cos, sin = np.cos(angle).reshape(shape), np.sin(angle).reshape(shape)
    x, z = way[..., 0], way[..., 1]
    return np.stack([x * cos + z * sin, z * cos - x * sin], axis=-1).astype(np.float32)


def velocity_at(position: NDArray[Any], known: NDArray[np.int64], *, fps: int, seconds: float) -> Floats:
    """Velocity `(b, 2)` in m/s over the last known seconds; none where fewer than two frames are known."""
    rows, last = np.arange(len(known)), np.maximum(known - 1, 0)
    first = np.maximum(last - round(seconds * fps), 0)
    way = position[rows, last] - position[rows, first]
    velocity: Floats = (way * fps / np.maximum(last - first, 1)[:, None]).astype(np.float32)
    return velocity


def frame_angle(
    position: NDArray[Any],
    look: NDArray[Any],
    known: NDArray[np.int64],
    *,
    fps: int,
    velocity_s: float,
    going_mps: float,
) -> Floats:
    """The direction `(b,)` in the world that is ahead: where somebody goes, else looks, else has come to; else 0.

    Args:
        position: `(b, n, 2)` metres.
        look: `(b, n)` radians; NaN where it is not known.
        known: `(b,)` frames.
        fps: frames a second.
        velocity_s: over which the last velocity is taken.
        going_mps: slower, a direction of movement is noise; as are metres of a way that is shorter.
    """
    rows, last = np.arange(len(known)), np.maximum(known - 1, 0)
    velocity = velocity_at(position, known, fps=fps, seconds=velocity_s)
    so_far = position[rows, last] - position[:, 0]
    view = look[rows, last]
    is_going = np.hypot(velocity[:, 0], velocity[:, 1]) > going_mps
    has_gone = (known > 0) & (np.hypot(so_far[:, 0], so_far[:, 1]) > going_mps)
    otherwise = np.where(has_gone, heading_of(so_far.astype(float)), 0.0)
    still = np.where(np.isfinite(view) & (known > 0), np.nan_to_num(view), otherwise)
    angle: Floats = np.where(is_going, heading_of(velocity.astype(float)), still).astype(np.float32)
    return angle
