"""Which way hips, chest and head look while a player travels one way and views another.

Belongs here: directions about the vertical. Does not belong here: leans and tilts (posture), feet (footfalls).

People who run sideways past their view turn their hips part of the way to where they go and their chest back to what
they look at; beyond about a right angle they run backwards. Standing, the chest turns first and the hips follow by
steps.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from configs.motion import Turning
from pipeline.motion.path import Path, smooth
from pipeline.motion.rotations import Array, wrap


@dataclass(frozen=True)
class Headings:
    """Directions at every frame of a path, radians about +y, 0 = +z, growing to the left.

    Attributes:
        hips: `(N,)` unwrapped.
        chest: `(N,)` near `hips`.
        head: `(N,)` near `chest`.
        travel: `(N,)` direction of travel, held while standing.
        going: `(N,)` 0 standing to 1 going.
        push: `(N, 2)` m/s², acceleration of the body ahead of the hips and to their left.
    """

    hips: Array
    chest: Array
    head: Array
    travel: Array
    going: Array
    push: Array


def ease(values: Array, low: float, high: float) -> Array:
    """0 below `low`, 1 above `high`, a cubic of level ends between."""
    u = np.clip((values - low) / (high - low), 0.0, 1.0)
    return u * u * (3.0 - 2.0 * u)


def limit(angle: Array, bound: float) -> Array:
    """An angle pressed smoothly into (-bound, bound): itself, to 6 %, up to 0.7 of it."""
    squared = (angle / bound) ** 2
    result: Array = angle / np.sqrt(np.sqrt(1.0 + squared * squared))
    return result


def directions(
    path: Path,
    fps: int,
    still_mps: float,
    config: Turning,
    *,
    chest: float | Array,
    head: float | Array,
    fixed: NDArray[np.bool_],
) -> Headings:
    """Directions of hips, chest and head along a path.

    Args:
        path: where the player goes and looks.
        fps: frames a second.
        still_mps: slower is standing.
        config: shares and limits.
        chest: share of the view that the chest follows, the rest being the hips'.
        head: share of the view that the head follows, the rest being the chest's.
        fixed: `(N,)` the hips stay as they are, as of someone on a knee.
    """
    speed = np.maximum(smooth(path.speed, 0.08 * fps), 0.0)
    going = ease(speed, still_mps, 4.0 * still_mps)
    velocity = smooth(path.velocity, 0.06 * fps)
    travel = _held(np.arctan2(velocity[:, 0], velocity[:, 1]), speed > 1.5 * still_mps, path.view)
    away = wrap(travel - path.view)
    bound = np.radians(config.hip_limit_deg)
    forwards = np.clip(config.hip_gain * away, -bound, bound)
    backwards = np.clip(config.hip_gain * wrap(away + np.pi), -bound, bound)
    back = ease(np.abs(away), *np.radians(config.backpedal_deg))
    target = path.view + going * ((1.0 - back) * forwards + back * backwards)
    target = _held(target, ~fixed, target) if fixed.any() else target
    hips = smooth(
        _followed(target, going, np.radians(config.dead_zone_deg), np.radians(config.rate_dps) / fps), 0.07 * fps
    )
    turned = limit(wrap(path.view - hips), np.radians(config.chest_limit_deg))
    chests = hips + chest * turned
    heads = chests + head * limit(wrap(path.view - chests), np.radians(config.head_limit_deg))
    acceleration = smooth(np.gradient(smooth(path.velocity, 0.10 * fps), 1.0 / fps, axis=0), 0.06 * fps)
    sine, cosine = np.sin(hips), np.cos(hips)
    push = np.stack(
        [
            acceleration[:, 0] * sine + acceleration[:, 1] * cosine,
            acceleration[:, 0] * cosine - acceleration[:, 1] * sine,
        ],
        axis=-1,
    )
    return Headings(hips, smooth(chests, 0.05 * fps), smooth(heads, 0.04 * fps), travel, going, push)


def _held(angle: Array, valid: NDArray[np.bool_], fallback: Array) -> Array:
    """The angle where valid, elsewhere the last valid one or the first; the fallback if there is none."""
    if not valid.any():
        return fallback.copy()
    last = np.maximum.accumulate(np.where(valid, np.arange(valid.size), -1))
    last[last < 0] = int(np.argmax(valid))
    return angle[last]


@njit(cache=True)
def _followed(target: Array, going: Array, dead: float, rate: float) -> Array:
    """Hips that follow a direction: at once while going, past a dead zone while standing.

    Args:
        target: `(N,)` radians.
        going: `(N,)` 0 standing to 1 going.
        dead: radians that the hips leave to the upper body while standing.
        rate: greatest turn, radians a frame.
    """
    out = np.empty_like(target)
    now, turning = target[0], False
    for i in range(target.size):
        error = (target[i] - now + np.pi) % (2.0 * np.pi) - np.pi
        if going[i] > 0.3 or abs(error) > dead:
            turning = True
        elif abs(error) < 0.12:
            turning = False
        if turning:
            now += min(max(0.30 * error, -rate), rate)
        out[i] = now
    return out
