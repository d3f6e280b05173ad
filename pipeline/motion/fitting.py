"""What a body can't do, found on its solved legs and taken back to its feet.

Belongs here: which frames have a hip or an ankle beyond its range or legs that go through each other, and how feet
give way: in the air they go round the other leg or lift the heel, on the ground they leave earlier or come later.
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
from pipeline.motion.skeleton import SHANK_M, THIGH_M

Flags = NDArray[np.bool_]
Bones = tuple[Array, Array, Array, Array, Array, Array]
"""Knee, ankle and ball of the left leg, then of the right, each `(N, 3)`."""


@dataclass(frozen=True)
class Leg:
    """A solved leg at every frame.

    Attributes:
        thigh: `(N, 4)` global rotation.
        shank: `(N, 4)` global rotation.
        hip: `(N, 3)` metres.
        knee: `(N, 3)` metres.
        ankle: `(N, 3)` metres.
        ball: `(N, 3)` metres.
        foot: as it is turned below that ankle.
    """

    thigh: Array
    shank: Array
    hip: Array
    knee: Array
    ankle: Array
    ball: Array
    foot: FootMotion


def leg(hip: Array, thigh: Array, shank: Array, ankle: Array, foot: FootMotion) -> Leg:
    """A leg of its solved parts: hip `(N, 3)`, rotations `(N, 4)`, the ankle reached `(N, 3)` and the foot below it."""
    knee = hip + rotate(thigh, np.array([0.0, -THIGH_M, 0.0]))
    return Leg(thigh, shank, hip, knee, ankle, ankle - rotate(foot.turned, ANKLE_FROM_BALL), foot)


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
        between: Flags = (self.near > 0.0) & contacts.all(axis=1)
        bent: Flags = self.hip | (self.ankle != 0.0)
        result: Flags = (bent | between[:, None]) & contacts
        return result

    def in_the_air(self, contacts: Flags) -> bool:
        """Whether a foot in the air can make something better."""
        near = (self.near > 0.0) & ~contacts.all(axis=1)
        return bool(near.any() or ((self.ankle != 0.0) & ~contacts).any())


def faults(
    legs: tuple[Leg, Leg], pelvis: Array, heading: Array, clip: slice, limits: Limits, config: Fitting
) -> Faults:
    """What is wrong with both legs, in the frames of a clip.

    Args:
        legs: left and right.
        pelvis: `(N, 4)` rotation.
        heading: `(N,)` direction of the hips.
        clip: the frames that are looked at; in the others nothing is wrong.
        limits: ranges of joints.
        config: how near legs may come.
    """
    n = heading.size
    hip, ankle, near = np.zeros((n, 2), dtype=np.bool_), np.zeros((n, 2)), np.zeros(n)
    left, right = legs
    bones: Bones = (
        np.ascontiguousarray(left.knee),
        np.ascontiguousarray(left.ankle),
        np.ascontiguousarray(left.ball),
        np.ascontiguousarray(right.knee),
        np.ascontiguousarray(right.ankle),
        np.ascontiguousarray(right.ball),
    )
    hips = (np.ascontiguousarray(left.hip), np.ascontiguousarray(right.hip))
    ranges = np.radians((*limits.hip_flexion, *limits.hip_abduction, *limits.ankle_dorsiflexion))
    _bent(bones, hips, np.ascontiguousarray(pelvis), clip.start, clip.stop, ranges, hip, ankle)
    _near(bones, heading, clip.start, clip.stop, config.apart_m, config.spare_m, near)
    return Faults(hip, ankle, near)


@njit(cache=True)
def _bent(
    bones: Bones,
    hips: tuple[Array, Array],
    pelvis: Array,
    first: int,
    last: int,
    ranges: Array,
    hip: Flags,
    ankle: Array,
) -> None:
    """Fills where hips are beyond their range, and by how much ankles are."""
    for k in range(2):
        knees, ankles, balls = bones[3 * k], bones[3 * k + 1], bones[3 * k + 2]
        for i in range(first, last):
            x, y, z, w = pelvis[i]
            tx, ty, tz = knees[i, 0] - hips[k][i, 0], knees[i, 1] - hips[k][i, 1], knees[i, 2] - hips[k][i, 2]
            aside = tx * (1.0 - 2.0 * (y * y + z * z)) + ty * 2.0 * (x * y + z * w) + tz * 2.0 * (x * z - y * w)
            above = tx * 2.0 * (x * y - z * w) + ty * (1.0 - 2.0 * (x * x + z * z)) + tz * 2.0 * (y * z + x * w)
            front = tx * 2.0 * (x * z + y * w) + ty * 2.0 * (y * z - x * w) + tz * (1.0 - 2.0 * (x * x + y * y))
            flexion = np.arctan2(front, -above)
            apart = np.arcsin(min(max((1.0 - 2.0 * k) * aside / THIGH_M, -1.0), 1.0))
            hip[i, k] = flexion < ranges[0] or flexion > ranges[1] or apart < ranges[2] or apart > ranges[3]
            sx, sy, sz = knees[i, 0] - ankles[i, 0], knees[i, 1] - ankles[i, 1], knees[i, 2] - ankles[i, 2]
            fx, fy, fz = balls[i, 0] - ankles[i, 0], balls[i, 1] - ankles[i, 1], balls[i, 2] - ankles[i, 2]
            cosine = (sx * fx + sy * fy + sz * fz) / (SHANK_M * np.sqrt(fx * fx + fy * fy + fz * fz))
            bent = REST - np.arccos(min(max(cosine, -1.0), 1.0))
            ankle[i, k] = max(bent - ranges[5], 0.0) + min(bent - ranges[4], 0.0)


@njit(cache=True)
def _near(bones: Bones, heading: Array, first: int, last: int, apart: float, spare: float, out: Array) -> None:
    """Fills how far legs must come apart at the ankles."""
    for i in range(first, last):
        cosine, sine = np.cos(heading[i]), np.sin(heading[i])
        for mine in range(2):
            a, b = bones[mine], bones[mine + 1]
            for theirs in range(2):
                c, d = bones[3 + theirs], bones[4 + theirs]
                ux, uy, uz = b[i, 0] - a[i, 0], b[i, 1] - a[i, 1], b[i, 2] - a[i, 2]
                vx, vy, vz = d[i, 0] - c[i, 0], d[i, 1] - c[i, 1], d[i, 2] - c[i, 2]
                wx, wy, wz = a[i, 0] - c[i, 0], a[i, 1] - c[i, 1], a[i, 2] - c[i, 2]
                uu, vv = ux * ux + uy * uy + uz * uz, vx * vx + vy * vy + vz * vz
                uv, uw, vw = ux * vx + uy * vy + uz * vz, ux * wx + uy * wy + uz * wz, vx * wx + vy * wy + vz * wz
                across = uu * vv - uv * uv
                s = min(max((uv * vw - vv * uw) / across, 0.0), 1.0) if across > 1e-12 else 0.0
                t = (uv * s + vw) / vv
                if t < 0.0 or t > 1.0:
                    t = min(max(t, 0.0), 1.0)
                    s = min(max((uv * t - uw) / uu, 0.0), 1.0)
                x, y, z = wx + s * ux - t * vx, wy + s * uy - t * vy, wz + s * uz - t * vz
                if x * x + y * y + z * z < apart * apart:
                    down = 0.5 * ((1.0 if mine else 0.5 + 0.5 * s) + (1.0 if theirs else 0.5 + 0.5 * t))
                    out[i] = max(out[i], (apart + spare - (x * cosine - z * sine)) / down)


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
