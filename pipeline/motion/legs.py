"""Legs within the ranges of their joints.

Belongs here: what a hip and a knee allow, applied to the leg of a foot in the air. Does not belong here: where feet go
(footfalls, feet), the triangle of a leg (limbs), the ranges themselves (configs/motion.yaml).

A standing foot is where it stands: its leg keeps within its range because the plan ends a stance in time.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from configs.motion import Limits
from pipeline.motion.limbs import EXACT, bend
from pipeline.motion.rotations import Array, cross, from_axes, rotate
from pipeline.motion.skeleton import ANKLE_M, ANKLE_TO_BALL_M, BALL_M, HEEL_M, SHANK_M, THIGH_M

LANDING_FRAMES = 4
"""Over so many frames before a foot stands and after it leaves, it comes to be where it is told exactly."""
LEAST_BEND = np.radians(2.0)
"""A knee that would bend forwards keeps this."""


def solve(
    hip: Array,
    ankle: Array,
    pelvis: Array,
    left: Array,
    held: NDArray[np.bool_],
    *,
    side: float,
    reach: float,
    fold: float,
    limits: Limits,
) -> tuple[Array, Array, Array]:
    """Global rotations of thigh and shank, each `(N, 4)`, and the ankle reached `(N, 3)`.

    The knee is a hinge about the thigh's own x, and can only bend back: both bones share that axis. In the air a thigh
    is pressed smoothly into the hip's range; the ankle keeps its height, so that the foot stays out of the ground, and
    comes as near to its place as the shank allows.

    Args:
        hip: `(N, 3)` metres.
        ankle: `(N, 3)` wanted.
        pelvis: `(N, 4)` rotation of the pelvis, in whose frame the hip's range is.
        left: `(N, 3)` direction to the left of the knee.
        held: `(N,)` the foot stands.
        side: 1 left, -1 right.
        reach: greatest share of the straight length.
        fold: least share of the straight length.
        limits: ranges of joints.
    """
    exact = limits.free_reach + (EXACT - limits.free_reach) * nearness(held)
    first, second, hinge, reached = bend(hip, ankle, THIGH_M, SHANK_M, -left, reach, fold, exact)
    axis = -hinge
    knee = limits.knee_flexion[1]
    ranges = np.radians((*limits.hip_flexion, *limits.hip_abduction, limits.soft_deg, limits.within_deg, knee))
    _limit(first, second, axis, reached, np.ascontiguousarray(hip), np.ascontiguousarray(pelvis), held, side, ranges)
    return from_axes(axis, -first, cross(axis, -first)), from_axes(axis, -second, cross(axis, -second)), reached


@njit(cache=True)
def nearness(held: NDArray[np.bool_]) -> Array:
    """How near in time each frame is to one in which the foot stands: 1 there, 0 from `LANDING_FRAMES` on."""
    n = held.size
    out = np.zeros(n)
    away = LANDING_FRAMES
    for i in range(n):
        away = 0 if held[i] else min(away + 1, LANDING_FRAMES)
        out[i] = 1.0 - away / LANDING_FRAMES
    away = LANDING_FRAMES
    for i in range(n - 1, -1, -1):
        away = 0 if held[i] else min(away + 1, LANDING_FRAMES)
        out[i] = max(out[i], 1.0 - away / LANDING_FRAMES)
    return out


def knees(hips: Array, foot: Array, side: float, limits: Limits) -> Array:
    """Where a knee points, `(N,)` radians: between hips and foot, hardly inwards, so that knees pass each other.

    Args:
        hips: `(N,)` direction of the hips.
        foot: `(N,)` direction of the foot.
        side: 1 left, -1 right.
        limits: how far in and out.
    """
    return _knees(hips, foot, side, limits.knee_share, np.radians((*limits.knee_turn, limits.soft_deg)))


@njit(cache=True)
def _knees(hips: Array, foot: Array, side: float, share: float, ranges: Array) -> Array:
    out = np.empty(hips.size)
    for i in range(hips.size):
        off = (foot[i] - hips[i] + np.pi) % (2.0 * np.pi) - np.pi
        out[i] = hips[i] + side * pressed(side * share * off, ranges[0], ranges[1], ranges[2])
    return out


@njit(cache=True)
def _limit(
    thigh: Array,
    shank: Array,
    axis: Array,
    ankle: Array,
    hip: Array,
    pelvis: Array,
    held: NDArray[np.bool_],
    side: float,
    ranges: Array,
) -> None:
    """Presses thighs into their range, in place."""
    soft, inside = ranges[4], ranges[5]
    for i in range(thigh.shape[0]):
        if held[i]:
            continue
        x, y, z, w = pelvis[i]
        lx, ly, lz = 1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y + z * w), 2.0 * (x * z - y * w)
        ux, uy, uz = 2.0 * (x * y - z * w), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z + x * w)
        ax, ay, az = 2.0 * (x * z + y * w), 2.0 * (y * z - x * w), 1.0 - 2.0 * (x * x + y * y)
        tx, ty, tz = thigh[i]
        down = -(tx * ux + ty * uy + tz * uz)
        front = tx * ax + ty * ay + tz * az
        aside = side * (tx * lx + ty * ly + tz * lz)
        flexed, apart = np.arctan2(front, down), np.arcsin(min(max(aside, -1.0), 1.0))
        flexion = pressed(flexed, ranges[0] + inside, ranges[1] - inside, soft)
        abduction = pressed(apart, ranges[2] + inside, ranges[3] - inside, soft)
        if flexion == flexed and abduction == apart:
            continue
        level, out = np.cos(abduction), side * np.sin(abduction)
        sine, cosine = level * np.sin(flexion), level * np.cos(flexion)
        tx = sine * ax - cosine * ux + out * lx
        ty = sine * ay - cosine * uy + out * ly
        tz = sine * az - cosine * uz + out * lz
        wx = ankle[i, 0] - hip[i, 0] - THIGH_M * tx
        wz = ankle[i, 2] - hip[i, 2] - THIGH_M * tz
        sy = min(max((ankle[i, 1] - hip[i, 1]) / SHANK_M - THIGH_M / SHANK_M * ty, -0.999), 0.999)
        across = np.sqrt(1.0 - sy * sy) / max(np.sqrt(wx * wx + wz * wz), 1e-9)
        sx, sz = wx * across, wz * across
        nx, ny, nz = ty * sz - tz * sy, tz * sx - tx * sz, tx * sy - ty * sx
        length = np.sqrt(nx * nx + ny * ny + nz * nz)
        if nx * axis[i, 0] + ny * axis[i, 1] + nz * axis[i, 2] < np.sin(LEAST_BEND) * 0.5 or length < 1e-6:
            along = axis[i, 0] * tx + axis[i, 1] * ty + axis[i, 2] * tz
            nx, ny, nz = axis[i, 0] - along * tx, axis[i, 1] - along * ty, axis[i, 2] - along * tz
            length = np.sqrt(nx * nx + ny * ny + nz * nz)
            nx, ny, nz = nx / length, ny / length, nz / length
            bent, straight = np.sin(LEAST_BEND), np.cos(LEAST_BEND)
            sx = straight * tx + bent * (ny * tz - nz * ty)
            sy = straight * ty + bent * (nz * tx - nx * tz)
            sz = straight * tz + bent * (nx * ty - ny * tx)
            length = 1.0
        folded = tx * sx + ty * sy + tz * sz
        least = np.cos(ranges[6] - inside)
        if folded < least:
            across = np.sqrt((1.0 - least * least) / max(1.0 - folded * folded, 1e-12))
            sx = least * tx + across * (sx - folded * tx)
            sy = least * ty + across * (sy - folded * ty)
            sz = least * tz + across * (sz - folded * tz)
        thigh[i] = tx, ty, tz
        shank[i] = sx, sy, sz
        axis[i] = nx / length, ny / length, nz / length
        ankle[i, 0] = hip[i, 0] + THIGH_M * tx + SHANK_M * sx
        ankle[i, 1] = hip[i, 1] + THIGH_M * ty + SHANK_M * sy
        ankle[i, 2] = hip[i, 2] + THIGH_M * tz + SHANK_M * sz


@njit(cache=True)
def pressed(angle: float, low: float, high: float, soft: float) -> float:
    """An angle within its range: itself, but for the last `soft` radians at both ends, over which it saturates."""
    over, under = angle - (high - soft), (low + soft) - angle
    out = angle
    if over > 0.0:
        out = high - soft * np.exp(-over / soft)
    elif under > 0.0:
        out = low + soft * np.exp(-under / soft)
    return out


REST = np.pi / 2.0 + np.arctan2(ANKLE_M - BALL_M, ANKLE_TO_BALL_M)
"""Between the shank and the way from ankle to ball, radians, of a foot that stands flat below an upright shank."""


def flexed(
    shank: Array,
    ankle: Array,
    yaw: Array,
    pitch: Array,
    floor: Array,
    held: NDArray[np.bool_],
    limits: Limits,
) -> Array:
    """Pitch of a foot, `(N,)` radians, with which its ankle is within its range, in the air and out of the ground.

    Args:
        shank: `(N, 4)` global rotation.
        ankle: `(N, 3)` metres.
        yaw: `(N,)` direction of the foot.
        pitch: `(N,)` as planned, positive lifts the heel.
        floor: `(N,)` height of the ground under it.
        held: `(N,)` the foot stands.
        limits: ranges of joints.
    """
    up = rotate(shank, np.array([0.0, 1.0, 0.0]))
    ranges = np.radians((*limits.ankle_dorsiflexion, limits.soft_deg, limits.within_deg))
    return _flexed(up, np.ascontiguousarray(ankle[:, 1]) - floor, yaw, pitch, held, ranges)


@njit(cache=True)
def _flexed(up: Array, height: Array, yaw: Array, pitch: Array, held: NDArray[np.bool_], ranges: Array) -> Array:
    out = pitch.copy()
    rise, run = ANKLE_M - BALL_M, ANKLE_TO_BALL_M
    length = np.sqrt(rise * rise + run * run)
    for i in range(pitch.size):
        if held[i]:
            continue
        for _ in range(2):
            sine, cosine = np.sin(out[i]), np.cos(out[i])
            ahead, down = run * cosine - rise * sine, rise * cosine + run * sine
            dot = (up[i, 0] * np.sin(yaw[i]) + up[i, 2] * np.cos(yaw[i])) * ahead - up[i, 1] * down
            bent = REST - np.arccos(min(max(dot / length, -1.0), 1.0))
            out[i] += bent - pressed(bent, ranges[0] + ranges[3], ranges[1] - ranges[3], ranges[2])
        if out[i] > pitch[i]:
            over = height[i] - BALL_M - rise * np.cos(pitch[i]) - run * np.sin(pitch[i])
            free = max(over, 0.0) / max(run * np.cos(pitch[i]) - rise * np.sin(pitch[i]), 0.02)
            out[i] = min(out[i], pitch[i] + free)
        elif out[i] < pitch[i]:
            over = height[i] - ANKLE_M * np.cos(pitch[i]) + HEEL_M * np.sin(pitch[i])
            free = max(over, 0.0) / max(ANKLE_M * np.sin(pitch[i]) + HEEL_M * np.cos(pitch[i]), 0.02)
            out[i] = max(out[i], pitch[i] - free)
    return out
