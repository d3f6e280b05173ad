"""A walking figure posed frame by frame, with `math` alone: what is written first, before anything is an array.

Belongs here: the same gait and the same two-bone limbs as `pipeline.scenes.figure`, without its blending of postures.
"""

import math

import numpy as np
from numpy.typing import NDArray

from configs.scenes import ScenesConfig
from pipeline.scenes.kinematics import Movement


def _between(x: float, at: tuple[float, ...], values: tuple[float, ...]) -> float:
    for k in range(1, len(at)):
        if x <= at[k]:
            share = (x - at[k - 1]) / (at[k] - at[k - 1])
            return values[k - 1] + max(share, 0.0) * (values[k] - values[k - 1])
    return values[-1]


def _limb(x: float, y: float, top: float, upper: float, lower: float) -> tuple[float, float, float, float]:
    """Knee and foot of a leg that reaches for `(x, y)` from `(0, top)`."""
    dx, dy = x, y - top
    size = min(max(math.hypot(dx, dy), 0.06), (upper + lower) * 0.9995)
    angle = math.atan2(dy, dx)
    bend = math.acos(max(min((upper**2 + size**2 - lower**2) / (2 * upper * size), 1.0), -1.0))
    knee = (upper * math.cos(angle + bend), top + upper * math.sin(angle + bend))
    return (*knee, size * math.cos(angle), top + size * math.sin(angle))


def posed_by_frames(movement: Movement, config: ScenesConfig) -> NDArray[np.float64]:
    """Joints `(n, 10, 2)` of a figure that walks or runs so."""
    gait, human = config.gait, config.human
    out = np.zeros((len(movement.speed), 10, 2))
    phase = 0.0
    for i, speed in enumerate(movement.speed.tolist()):
        stride = _between(speed, gait.speed_mps, gait.stride_m)
        phase += speed / config.fps / stride
        duty = _between(speed, gait.speed_mps, gait.duty)
        lift = _between(speed, gait.speed_mps, gait.lift_m)
        hip = human.leg * _between(speed, gait.speed_mps, gait.hip)
        hip += _between(speed, gait.speed_mps, gait.bob_m) * math.cos(4 * math.pi * phase)
        lean = math.radians(_between(speed, gait.speed_mps, gait.lean_deg))
        arm, elbow = _between(speed, gait.speed_mps, gait.arm_deg), _between(speed, gait.speed_mps, gait.elbow_deg)
        out[i, 0] = 0.0, hip
        out[i, 1] = human.head * math.sin(lean), hip + human.head * math.cos(lean)
        top = human.shoulder * math.sin(lean), hip + human.shoulder * math.cos(lean)
        for side in (0, 1):
            beat = math.sin(2 * math.pi * phase) * (1 if side == 0 else -1)
            upper = math.radians(arm * beat)
            lower = upper + math.radians(elbow * (1 + 0.15 * beat))
            x = top[0] + human.upper_arm * math.sin(upper)
            y = top[1] - human.upper_arm * math.cos(upper)
            out[i, 2 + 2 * side] = x, y
            out[i, 3 + 2 * side] = x + human.forearm * math.sin(lower), y - human.forearm * math.cos(lower)
            at = (phase + 0.5 * side) % 1.0
            if at < 0.5 * duty or at > 1 - 0.5 * duty:
                forward, up = -stride * (at if at < 0.5 else at - 1.0), 0.0
            else:
                u = (at - 0.5 * duty) / (1 - duty)
                ease = u * u * (3 - 2 * u)
                forward, up = stride * duty * (ease - 0.5), lift * math.sin(math.pi * u**0.8)
            knee_x, knee_y, foot_x, foot_y = _limb(forward, up, hip, human.thigh, human.shank)
            out[i, 6 + 2 * side] = knee_x, knee_y
            out[i, 7 + 2 * side] = foot_x, foot_y
    return out
