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
    speed = np.maximum(smooth(path.pace, config.speed_s * fps), 0.0)
    going = ease(speed, still_mps, config.going * still_mps)
    velocity = smooth(path.velocity, config.travel_s * fps)
    travel = _held(np.arctan2(velocity[:, 0], velocity[:, 1]), speed > config.travelling * still_mps, path.view)
    away = wrap(travel - path.view)
    bound = np.radians(config.hip_limit_deg)
    gain = config.hip_gain * (1.0 - config.restless * path.restless)
    forwards = np.clip(gain * away, -bound, bound)
    backwards = np.clip(gain * wrap(away + np.pi), -bound, bound)
    back = ease(np.abs(away), *np.radians(config.backpedal_deg))
    target = path.view + going * ((1.0 - back) * forwards + back * backwards)
    target = _held(target, ~fixed, target) if fixed.any() else target
    zones = np.radians(config.dead_zone_deg), np.radians(config.settled_deg)
    eager, lag = config.eager_hz / fps, 1.0 - np.exp(-1.0 / (config.lag_s * fps))
    followed = _followed(target, going, zones, np.radians(config.rate_dps) / fps, eager, lag)
    hips = smooth(followed, config.hips_s * fps)
    turned = limit(wrap(path.view - hips), np.radians(config.chest_limit_deg))
    chests = hips + chest * turned
    heads = chests + head * limit(wrap(path.view - chests), np.radians(config.head_limit_deg))
    acceleration = np.gradient(smooth(path.velocity, config.push_s * fps), 1.0 / fps, axis=0)
    sine, cosine = np.sin(hips), np.cos(hips)
    push = np.stack(
        [
            acceleration[:, 0] * sine + acceleration[:, 1] * cosine,
            acceleration[:, 0] * cosine - acceleration[:, 1] * sine,
        ],
        axis=-1,
    )
    return Headings(hips, smooth(chests, config.chest_s * fps), smooth(heads, config.head_s * fps), travel, going, push)


def _held(angle: Array, valid: NDArray[np.bool_], fallback: Array) -> Array:
    """The angle where valid, elsewhere the last valid one or the first; the fallback if there is none."""
    if not valid.any():
        return fallback.copy()
    last = np.maximum.accumulate(np.where(valid, np.arange(valid.size), -1))
    last[last < 0] = int(np.argmax(valid))
    return angle[last]


@njit(cache=True)
def _followed(target: Array, going: Array, zones: tuple[float, float], rate: float, eager: float, lag: float) -> Array:
    """Hips that follow a direction: while going always, standing only past a dead zone; they start to turn softly.

    Args:
        target: `(N,)` radians.
        going: `(N,)` 0 standing to 1 going.
        zones: radians that the hips leave to the upper body while standing, and at which they have arrived.
        rate: greatest turn, radians a frame.
        eager: share of the error that is made up in a frame.
        lag: share of a change of their turn that hips make in a frame.
    """
    out = np.empty_like(target)
    now, turn, turning = target[0], 0.0, False
    for i in range(target.size):
        error = (target[i] - now + np.pi) % (2.0 * np.pi) - np.pi
        if going[i] > 0.3 or abs(error) > zones[0]:
            turning = True
        elif abs(error) < zones[1]:
            turning = False
        wanted = min(max(eager * error, -rate), rate) if turning else 0.0
        turn += lag * (wanted - turn)
        now += turn
        out[i] = now
    return out
