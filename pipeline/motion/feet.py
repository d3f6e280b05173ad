"""How each foot moves: it rolls over the ground from heel to toe where it stands and swings between stances.

Belongs here: the path and pitch of feet between planned stances. Does not belong here: the legs above them (legs).

While a foot stands, the ball (or, in the first moment of a heel strike, the heel) is fixed in the world. A swing is a
minimum-jerk curve (Flash and Hogan 1985) in the ground plane, with a bump in height.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.motion.footfalls import Plan, Stance
from pipeline.motion.gait import Manner
from pipeline.motion.path import Path
from pipeline.motion.rotations import Array
from pipeline.motion.skeleton import ANKLE_TO_BALL_M, BALL_M, HEEL_M, TOE_M

SOLE_M = ANKLE_TO_BALL_M + HEEL_M
"""From the heel to the ball of the foot."""
TUCK_M = 0.16
"""How far feet are drawn up in a jump."""
MAX_TOE_BEND = np.radians(88.0)


@dataclass(frozen=True)
class FootMotion:
    """One foot at every frame.

    Attributes:
        ball: `(N, 3)` metres.
        yaw: `(N,)` radians.
        pitch: `(N,)` radians, positive lifts the heel.
        toe: `(N,)` radians, pitch of the toes in the world.
        contact: `(N,)` the ball is held by the ground.
    """

    ball: Array
    yaw: Array
    pitch: Array
    toe: Array
    contact: NDArray[np.bool_]


def minimum_jerk(u: Array) -> Array:
    """Share of the way at share `u` of the time, at rest at both ends (Flash and Hogan 1985)."""
    return u * u * u * (10.0 + u * (6.0 * u - 15.0))


def move(plan: Plan, path: Path, manner: Manner, tucked: Array) -> tuple[FootMotion, FootMotion]:
    """Both feet at every frame of the path.

    Args:
        plan: their stances.
        path: for time, and height over the ground in flight.
        manner: for clearance and foot pitch in the swing.
        tucked: `(N, 2)` radians of extra pitch of a standing foot, as of the rear foot of someone kneeling.
    """
    return _move(plan.stances[0], path, manner, tucked[:, 0]), _move(plan.stances[1], path, manner, tucked[:, 1])


def _move(stances: list[Stance], path: Path, manner: Manner, tucked: Array) -> FootMotion:
    time = path.time
    n = time.size
    ball, yaw, pitch = np.zeros((n, 3)), np.zeros(n), np.zeros(n)
    floor, contact = np.zeros(n), np.zeros(n, dtype=bool)
    for i, s in enumerate(stances):
        begin, end = np.searchsorted(time, [s.on, s.off], side="left")
        if end > begin:
            frames = slice(begin, end)
            ball[frames], pitch[frames], contact[frames] = _standing(s, time[frames], tucked[frames])
            yaw[frames], floor[frames] = s.yaw, s.y
        if i + 1 < len(stances):
            following = stances[i + 1]
            until = int(np.searchsorted(time, following.on, side="left"))
            if until > end:
                frames = slice(int(end), until)
                tuck = float(np.interp(s.off, time, tucked)), float(np.interp(following.on, time, tucked))
                u = (time[frames] - s.off) / (following.on - s.off)
                w = minimum_jerk(u)
                ball[frames], pitch[frames] = _swinging(
                    s, following, u, manner.at(time, 0.5 * (s.off + following.on)), tuck
                )
                if path.flying[frames].any():
                    ball[frames] = _carried(s, following, u, ball[frames], frames, path, tuck)
                yaw[frames] = s.yaw + w * (following.yaw - s.yaw)
                floor[frames] = s.y + w * (following.y - s.y)
    toe = np.minimum(pitch, np.arcsin(np.clip((ball[:, 1] - floor - BALL_M) / TOE_M, 0.0, 1.0)))
    toe = np.where(pitch > 0.0, np.maximum(toe, pitch - MAX_TOE_BEND), pitch)
    return FootMotion(ball, yaw, pitch, toe, contact)


def _standing(s: Stance, t: Array, tucked: Array) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Heel strike, flat, heel off: ball `(n, 3)`, pitch `(n,)` and whether the ball is held."""
    length = s.off - s.on
    arrive, leave = _rolls(length)
    a = np.clip((t - s.on) / arrive, 0.0, 1.0)
    b = np.clip((t - (s.off - leave)) / leave, 0.0, 1.0)
    landing = s.land * (1.0 - a) ** 2 * (1.0 + 2.0 * a)
    pitch = landing + np.maximum(s.roll - tucked, 0.0) * b * b + tucked
    ball = _on_heel(s, np.minimum(pitch, 0.0))
    return ball, pitch, (pitch >= -1e-3)


def _rolls(length: float) -> tuple[float, float]:
    """Seconds of a stance in which the foot comes down, and in which it rolls off."""
    return min(0.11, 0.28 * length), min(0.26, 0.52 * length)


def _on_heel(s: Stance, pitch: Array) -> Array:
    """The ball of a foot that stands on its heel with a pitch of 0 or less."""
    ahead = SOLE_M * (np.cos(pitch) - 1.0) + BALL_M * np.sin(pitch)
    out = np.empty((pitch.size, 3))
    out[:, 0] = s.x + ahead * np.sin(s.yaw)
    out[:, 1] = s.y + BALL_M * np.cos(pitch) - SOLE_M * np.sin(pitch)
    out[:, 2] = s.z + ahead * np.cos(s.yaw)
    return out


def _swinging(s: Stance, following: Stance, u: Array, m: Manner, tuck: tuple[float, float]) -> tuple[Array, Array]:
    begin = np.array([s.x, s.y + BALL_M, s.z])
    land = following.land + tuck[1]
    end = _on_heel(following, np.array([min(land, 0.0)]))[0]
    way = float(np.hypot(end[0] - begin[0], end[2] - begin[2]))
    share = float(np.clip(way / (0.5 * float(m.stride)), 0.15, 1.0))
    ball = begin + minimum_jerk(u)[:, None] * (end - begin)
    ball[:, 1] = begin[1] + (end[1] - begin[1]) * minimum_jerk(np.clip(u * 1.15, 0.0, 1.0))
    ball[:, 1] += float(m.clearance) * max(share, 0.6) * _bump(u, 1.25, 1.55) + 0.5 * abs(end[1] - begin[1]) * _bump(
        u, 1.0, 1.0
    )
    off = max(s.roll, tuck[0])
    kick = off + max(float(m.kick) - off, 0.0) * share**2
    seconds = following.on - s.off
    rate = 2.0 * max(s.roll - tuck[0], 0.0) / _rolls(min(s.off - s.on, 10.0))[1] * seconds
    knots = np.array([0.0, 0.20, 0.48, 0.80, 1.0])
    values = np.array([off, kick, 0.55 * kick + 0.45 * land, land + 0.10 * (kick - land) * 0.5, land])
    return ball, _hermite(u, knots, values, min(rate, 1.5 * (kick - off) / 0.20))


def _carried(
    s: Stance, following: Stance, u: Array, ball: Array, frames: slice, path: Path, tuck: tuple[float, float]
) -> Array:
    """A swing in a jump: the foot goes with the body, from its place beside it to the next, a little tucked."""
    end = _on_heel(following, np.array([min(following.land + tuck[1], 0.0)]))[0]
    line = np.stack([path.ground[:, 0], path.floor + path.air, path.ground[:, 1]], axis=-1)
    bodies = [np.array([np.interp(t, path.time, line[:, k]) for k in range(3)]) for t in (s.off, following.on)]
    before, after = np.array([s.x, s.y + BALL_M, s.z]) - bodies[0], end - bodies[1]
    w = minimum_jerk(u)[:, None]
    out = line[frames] + before + w * (after - before)
    out[:, 1] += TUCK_M * _bump(u, 1.0, 1.0)
    return out if path.flying[frames].mean() > 0.3 else ball


def _bump(u: Array, a: float, b: float) -> Array:
    """A hill over [0, 1] of height 1 with its top at a / (a + b)."""
    top = a / (a + b)
    result: Array = np.clip(u, 0.0, 1.0) ** a * np.clip(1.0 - u, 0.0, 1.0) ** b / (top**a * (1.0 - top) ** b)
    return result


def _hermite(u: Array, knots: Array, values: Array, first_slope: float) -> Array:
    """Cubic through knots, slopes of neighbours' chords, a given slope at the start and none at the end."""
    slopes = np.zeros(knots.size)
    slopes[1:-1] = (values[2:] - values[:-2]) / (knots[2:] - knots[:-2])
    slopes[0] = first_slope
    i = np.clip(np.searchsorted(knots, u, side="right") - 1, 0, knots.size - 2)
    h = knots[i + 1] - knots[i]
    w = (u - knots[i]) / h
    return (
        (1.0 + 2.0 * w) * (1.0 - w) ** 2 * values[i]
        + w * (1.0 - w) ** 2 * h * slopes[i]
        + w * w * (3.0 - 2.0 * w) * values[i + 1]
        + w * w * (w - 1.0) * h * slopes[i + 1]
    )
