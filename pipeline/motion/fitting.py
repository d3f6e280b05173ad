"""What a body can't do, found on its solved legs and taken back to its feet.

Belongs here: which frames have a hip or an ankle beyond its range or legs that go through each other, and how feet give
way: one in the air goes round the other leg or lifts its heel, one on the ground leaves it earlier or comes to it later.
Does not belong here: the legs (legs), the ranges (configs/motion.yaml), where feet are planned (footfalls, feet).

Most clips need none of this: feet are planned so that legs can follow. What is left are a few frames where a player
turns back within a step.
"""

from dataclasses import dataclass, replace

import numpy as np
from numba import njit
from numpy.typing import NDArray

from configs.motion import Fitting, Limits
from pipeline.motion.feet import ANKLE_FROM_BALL, FootMotion
from pipeline.motion.footfalls import Plan, Stance
from pipeline.motion.legs import REST
from pipeline.motion.rotations import Array, rotate
from pipeline.motion.skeleton import THIGH_M

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Leg:
    """A solved leg at every frame.

    Attributes:
        thigh: `(N, 4)` global rotation.
        shank: `(N, 4)` global rotation.
        knee: `(N, 3)` metres.
        ankle: `(N, 3)` metres.
        ball: `(N, 3)` metres.
        foot: as it is turned below that ankle.
    """

    thigh: Array
    shank: Array
    knee: Array
    ankle: Array
    ball: Array
    foot: FootMotion


def leg(hip: Array, thigh: Array, shank: Array, ankle: Array, foot: FootMotion) -> Leg:
    """A leg of its solved parts: hip `(N, 3)`, rotations `(N, 4)`, the ankle reached `(N, 3)` and the foot below it."""
    knee = hip + rotate(thigh, np.array([0.0, -THIGH_M, 0.0]))
    return Leg(thigh, shank, knee, ankle, ankle - rotate(foot.turned, ANKLE_FROM_BALL), foot)


@dataclass(frozen=True)
class Faults:
    """Where legs can't be as they are.

    Attributes:
        hip: `(N, 2)` a hip is beyond its range.
        ankle: `(N, 2)` radians that an ankle is beyond its range, positive too far up.
        near: `(N,)` metres that the legs must come apart sideways, as far down as ankles are.
    """

    hip: Flags
    ankle: Array
    near: Array

    def of_stances(self, contacts: Flags) -> Flags:
        """Frames `(N, 2)` in which a foot on the ground is what is wrong."""
        return (self.hip | (self.ankle != 0.0) | (self.near > 0.0)[:, None] & contacts.all(axis=1)[:, None]) & contacts


    def in_the_air(self, contacts: Flags) -> bool:
        """Whether a foot in the air can make something better."""
        near = (self.near > 0.0) & ~contacts.all(axis=1)
        return bool(near.any() or ((self.ankle != 0.0) & ~contacts).any())


def faults(legs: tuple[Leg, Leg], pelvis: Array, heading: Array, limits: Limits, config: Fitting) -> Faults:
    """What is wrong with both legs.

    Args:
        legs: left and right.
        pelvis: `(N, 4)` rotation.
        heading: `(N,)` direction of the hips.
        limits: ranges of joints.
        config: how near legs may come.
    """
    axes = [rotate(pelvis, np.array(axis)) for axis in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))]
    hip, ankle = np.empty((heading.size, 2), dtype=np.bool_), np.empty((heading.size, 2))
    for k, each in enumerate(legs):
        thigh, shank = (rotate(turn, np.array([0.0, -1.0, 0.0])) for turn in (each.thigh, each.shank))
        down, front = -np.sum(thigh * axes[1], axis=-1), np.sum(thigh * axes[2], axis=-1)
        aside = (1.0 - 2.0 * k) * np.sum(thigh * axes[0], axis=-1)
        flexion, abduction = np.degrees(np.arctan2(front, down)), np.degrees(np.arcsin(np.clip(aside, -1.0, 1.0)))
        hip[:, k] = _outside(flexion, limits.hip_flexion) | _outside(abduction, limits.hip_abduction)
        foot = each.ball - each.ankle
        cosine = -np.sum(shank * foot, axis=-1) / np.linalg.norm(foot, axis=-1)
        bent = np.degrees(REST - np.arccos(np.clip(cosine, -1.0, 1.0)))
        low, high = limits.ankle_dorsiflexion
        ankle[:, k] = np.radians(np.maximum(bent - high, 0.0) + np.minimum(bent - low, 0.0))
    bones = np.stack([[each.knee, each.ankle, each.ball] for each in legs])
    return Faults(hip, ankle, _near(bones, heading, config.apart_m, config.spare_m))


def _outside(angle: Array, within: tuple[float, float]) -> Flags:
    result: Flags = (angle < within[0]) | (angle > within[1])
    return result


@njit(cache=True)
def _near(bones: Array, heading: Array, apart: float, spare: float) -> Array:
    """How far `(N,)` legs must come apart at the ankles; of joints `(2, 3, N, 3)`: knee, ankle, ball."""
    n = heading.size
    out = np.zeros(n)
    for i in range(n):
        if abs(bones[0, 1, i, 0] - bones[1, 1, i, 0]) + abs(bones[0, 1, i, 2] - bones[1, 1, i, 2]) > 1.2:
            continue
        cosine, sine = np.cos(heading[i]), np.sin(heading[i])
        for mine in range(2):
            for theirs in range(2):
                s, t, x, y, z = _closest(
                    bones[0, mine, i], bones[0, mine + 1, i], bones[1, theirs, i], bones[1, theirs + 1, i]
                )
                if x * x + y * y + z * z < apart * apart:
                    down = 0.5 * ((1.0 if mine else 0.5 + 0.5 * s) + (1.0 if theirs else 0.5 + 0.5 * t))
                    out[i] = max(out[i], (apart + spare - (x * cosine - z * sine)) / down)
    return out


@njit(cache=True)
def _closest(a: Array, b: Array, c: Array, d: Array) -> tuple[float, float, float, float, float]:
    """Where two segments, a to b and c to d, are nearest: shares of both, and the way from the second to the first."""
    u, v, w = b - a, d - c, a - c
    uu, uv, vv, uw, vw = np.dot(u, u), np.dot(u, v), np.dot(v, v), np.dot(u, w), np.dot(v, w)
    across = uu * vv - uv * uv
    s = min(max((uv * vw - vv * uw) / across, 0.0), 1.0) if across > 1e-12 else 0.0
    t = (uv * s + vw) / vv
    if t < 0.0 or t > 1.0:
        t = min(max(t, 0.0), 1.0)
        s = min(max((uv * t - uw) / uu, 0.0), 1.0)
    way = w + s * u - t * v
    return s, t, way[0], way[1], way[2]


def given_way(
    feet: tuple[FootMotion, FootMotion], found: Faults, heading: Array, config: Fitting
) -> tuple[FootMotion, FootMotion]:
    """Feet in the air that give way: sideways where legs are too near, with the heel up or down where an ankle is bent.

    Args:
        feet: left and right.
        found: what is wrong with their legs.
        heading: `(N,)` direction of the hips.
        config: over which time.
    """
    held = np.stack([foot.contact for foot in feet], axis=-1)
    moving = np.maximum((~held).sum(axis=1), 1)
    left = np.stack([np.cos(heading), np.zeros_like(heading), -np.sin(heading)], axis=-1)
    out = []
    for k, foot in enumerate(feet):
        aside = _bumps(np.where(held[:, k], 0.0, found.near / moving), held[:, k], config.frames)
        raised = _bumps(np.maximum(found.ankle[:, k], 0.0), held[:, k], config.frames)
        lowered = _bumps(np.maximum(-found.ankle[:, k], 0.0), held[:, k], config.frames)
        ball = foot.ball + (1.0 - 2.0 * k) * aside[:, None] * left
        out.append(replace(foot, ball=ball, pitch=foot.pitch + raised - lowered))
    return out[0], out[1]


@njit(cache=True)
def _bumps(needed: Array, held: Flags, frames: int) -> Array:
    """A curve of at least what is needed in every frame in the air, nothing on the ground, as smooth as that allows."""
    n = needed.size
    out = np.zeros(n)
    for i in range(n):
        if needed[i] <= 0.0 or held[i]:
            continue
        for way in (-1, 1):
            reach = 1
            while reach < frames and 0 <= i + way * reach < n and not held[i + way * reach]:
                reach += 1
            for k in range(reach):
                j = i + way * k
                if 0 <= j < n:
                    out[j] = max(out[j], needed[i] * (0.5 + 0.5 * np.cos(np.pi * k / reach)))
    return out


def shortened(plan: Plan, time: Array, wrong: Flags, config: Fitting) -> Plan:
    """A plan whose feet leave the ground before, or come to it after, the frames in which they can't stand.

    Args:
        plan: stances.
        time: `(N,)` seconds.
        wrong: `(N, 2)` those frames.
        config: the shortest stance that is one.
    """
    frame = float(time[1] - time[0])
    feet: tuple[list[Stance], list[Stance]] = ([], [])
    for k, stances in enumerate(plan.stances):
        for stance in stances:
            a, b = np.searchsorted(time, [stance.on, stance.off])
            bad = np.flatnonzero(wrong[a:b, k])
            if bad.size == 0:
                feet[k].append(stance)
                continue
            before, after = bad[0], b - a - 1 - bad[-1]
            on = stance.on if before >= after else float(time[a + bad[-1]]) + 0.5 * frame
            off = stance.off if before < after else float(time[a + bad[0]]) - 0.5 * frame
            if off - on > config.shortest_s:
                feet[k].append(replace(stance, on=on, off=off))
    return replace(plan, stances=feet)
