"""Found poses as bodies: bones as long as they are, on the way that was found.

Belongs here: what turns twenty numbers a frame into a figure that can be drawn. Does not belong here: finding them
(model), the figure of a scripted movement (`pipeline.scenes.figure`).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs.scenes import Human, ScenesConfig
from pipeline.scenes.joints import ARMS, HEAD, HIPS, LEGS, shoulder
from pipeline.scenes.kinematics import Movement, retraced

Array = NDArray[np.float64]


def boned(joints: NDArray[Any], scale: NDArray[Any] | float, human: Human) -> Array:
    """Poses `(…, 10, 2)` with the bones of a human: directions and feet as they were found.

    Args:
        joints: metres, forward and up of the ground under the hips.
        scale: of the figures, to be broadcast over all but the last two axes.
        human: lengths.
    """
    size = np.asarray(scale, float)[..., None, None]
    found = np.asarray(joints, float) / size
    out = np.zeros_like(found)
    hips = out[..., HIPS, :] = found[..., HIPS, :] * np.array([0.0, 1.0])
    out[..., HEAD, :] = hips + human.head * _unit(found[..., HEAD, :] - found[..., HIPS, :], (0.0, 1.0))
    top, found_top = shoulder(out, human), shoulder(found, human)
    for elbow, hand in ARMS:
        out[..., elbow, :] = top + human.upper_arm * _unit(found[..., elbow, :] - found_top, (0.0, -1.0))
        out[..., hand, :] = out[..., elbow, :] + human.forearm * _unit(
            found[..., hand, :] - found[..., elbow, :], (0.0, -1.0)
        )
    for knee, foot in LEGS:
        out[..., knee, :], out[..., foot, :] = _leg(hips, found[..., foot, :] - found[..., HIPS, :] + hips, human)
    bodies: Array = out * size
    return bodies


def _unit(way: Array, otherwise: tuple[float, float]) -> Array:
    size = np.linalg.norm(way, axis=-1, keepdims=True)
    return np.where(size > 1e-6, way / np.maximum(size, 1e-6), np.array(otherwise))


def _leg(hips: Array, foot: Array, human: Human) -> tuple[Array, Array]:
    """Knee and foot by two bones that reach for the foot as far as they can; the knee bends forward."""
    way = foot - hips
    reach = np.clip(np.linalg.norm(way, axis=-1), abs(human.thigh - human.shank) + 0.05, 0.9995 * human.leg)
    way = _unit(way, (0.0, -1.0))
    along = (human.thigh**2 - human.shank**2 + reach**2) / (2.0 * reach)
    aside = np.sqrt(np.maximum(human.thigh**2 - along**2, 0.0))
    across = np.stack([-way[..., 1], way[..., 0]], axis=-1)
    return hips + way * along[..., None] + across * aside[..., None], hips + way * reach[..., None]


def walked(
    position: NDArray[Any], joints: NDArray[Any], heading: float, scale: float, scenes: ScenesConfig
) -> tuple[Movement, Array]:
    """A found motion as somebody who can be drawn: the way and the pose that were found, and where it looks.

    Args:
        position: `(n, 2)` metres, by frame.
        joints: `(n, 10, 2)` metres, as found.
        heading: where somebody looks before it first goes, radians.
        scale: of the figure.
        scenes: lengths, frame rate, what counts as staying.

    Returns:
        Where it is when, smoothed a little as recordings are; and the poses `(n, 10, 2)` with the bones of a human.
    """
    movement = retraced(np.asarray(position, float), np.zeros(len(position), np.uint8), heading, scenes)
    return movement, boned(joints, scale, scenes.human)
