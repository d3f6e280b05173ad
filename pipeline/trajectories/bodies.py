"""Found poses as bodies: bones as long as they are, feet where they were found, standing feet that stay.

Belongs here: what turns twenty numbers a frame into a figure that can be drawn. Does not belong here: finding them
(model), the figure of a scripted movement (`pipeline.scenes.figure`).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs.scenes import Human, ScenesConfig
from pipeline.scenes.figure import (
    FEET,
    HEAD,
    HIPS,
    LEFT_ELBOW,
    LEFT_FOOT,
    LEFT_HAND,
    LEFT_KNEE,
    RIGHT_ELBOW,
    RIGHT_FOOT,
    RIGHT_HAND,
    RIGHT_KNEE,
    shoulder,
)  # fmt: skip
from pipeline.scenes.kinematics import smoothed
from pipeline.scenes.paths import direction_of, heading_of

Array = NDArray[np.float64]
_ARMS = ((LEFT_ELBOW, LEFT_HAND), (RIGHT_ELBOW, RIGHT_HAND))
_LEGS = ((LEFT_KNEE, LEFT_FOOT), (RIGHT_KNEE, RIGHT_FOOT))
_LOW_M, _SLOW_MPS, _EASE_S = 0.05, 1.0, 0.12
"""A found foot is meant to stand where it is so low and so slow; it comes back to its own way within so long."""


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
    for elbow, hand in _ARMS:
        out[..., elbow, :] = top + human.upper_arm * _unit(found[..., elbow, :] - found_top, (0.0, -1.0))
        out[..., hand, :] = out[..., elbow, :] + human.forearm * _unit(
            found[..., hand, :] - found[..., elbow, :], (0.0, -1.0)
        )
    for knee, foot in _LEGS:
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


def headings(position: NDArray[Any], first: float, config: ScenesConfig) -> Array:
    """Where somebody on a way `(n, 2)` looks: where it goes; `(n,)` radians, unwrapped.

    Args:
        position: metres, by frame.
        first: before it first goes.
        config: frame rate, and the speed from which on a direction counts.
    """
    smooth = smoothed(np.asarray(position, float), 0.12 * config.fps)
    ways = np.diff(smooth, axis=0, prepend=smooth[:1])
    goes = np.hypot(ways[:, 0], ways[:, 1]) * config.fps > config.limits.facing_from_mps
    if not goes.any():
        return np.full(len(ways), first)
    last = np.maximum.accumulate(np.where(goes, np.arange(len(ways)), -1))
    found = heading_of(ways)[np.where(last >= 0, last, int(np.argmax(goes)))]
    return np.unwrap(found)


def planted(
    joints: NDArray[Any], position: NDArray[Any], heading: NDArray[Any], scale: float, config: ScenesConfig
) -> Array:
    """Poses `(n, 10, 2)` whose feet stay where they stand: each stance is held at its middle, and left smoothly.

    A foot stands where it was found low and slow over the ground. Only along the figure's own direction can it be held,
    as the figure is flat.

    Args:
        joints: of `boned`.
        position: `(n, 2)` metres.
        heading: `(n,)` radians.
        scale: of the figure.
        config: lengths, frame rate.
    """
    out = np.array(joints, float)
    ahead = direction_of(np.asarray(heading, float))
    ease = max(round(_EASE_S * config.fps), 1)
    for foot in FEET:
        world = position + out[:, foot, :1] * ahead
        speed = np.hypot(*np.gradient(world, axis=0).T) * config.fps
        stands = (out[:, foot, 1] < _LOW_M * scale) & (speed < _SLOW_MPS)
        shift, floor = np.zeros(len(out)), np.zeros(len(out))
        edges = np.flatnonzero(np.diff(np.concatenate([[0], stands.astype(int), [0]])))
        for begin, end in zip(edges[::2], edges[1::2], strict=True):
            if end - begin < 2:
                continue
            middle = world[(begin + end) // 2]
            shift[begin:end] = ((middle - world[begin:end]) * ahead[begin:end]).sum(axis=1)
            floor[begin:end] = -out[begin:end, foot, 1]
        held = shift != 0
        for values in (shift, floor):
            _eased(values, held | (floor != 0), ease)
        out[:, foot, 0] += shift
        out[:, foot, 1] = np.maximum(out[:, foot, 1] + floor, 0.0)
    return boned(out, scale, config.human)


def _eased(values: Array, held: NDArray[np.bool_], frames: int) -> None:
    """Lets values die away on both sides of where they are held, in place."""
    source = values.copy()
    weight = np.where(held, 1.0, 0.0)
    for step in range(1, frames + 1):
        share = 0.5 * (1.0 + np.cos(np.pi * step / (frames + 1)))
        for shift in (step, -step):
            moved, kept = np.roll(source, shift), np.roll(held, shift)
            if shift > 0:
                kept[:shift] = False
            else:
                kept[shift:] = False
            better = kept & ~held & (share > weight)
            values[better], weight[better] = share * moved[better], share
