"""Fewer keys for the same motion: those that interpolation reproduces are left out.

Belongs here: which frames a channel keeps. Does not belong here: how much may be lost (configs/motion.yaml), files
(gltf).
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from configs.motion import Export
from pipeline.motion.clip import Clip
from pipeline.motion.rotations import Array, between, rotate
from pipeline.motion.skeleton import INDEX, JOINTS, PARENTS, forward, rest

_LEGS = frozenset((INDEX["Pelvis"], *(INDEX[f"{side}_{part}"] for side in "LR" for part in ("Hip", "Knee", "Ankle"))))


def _lever() -> Array:
    """Metres from each joint to the furthest point that it moves: its descendants and 10 cm of flesh beyond."""
    at = rest()
    far = np.full(len(JOINTS), 0.10)
    for joint in range(len(JOINTS) - 1, 0, -1):
        up = joint
        while up >= 0:
            far[up] = max(far[up], float(np.linalg.norm(at[joint] - at[up])) + 0.10)
            up = PARENTS[up]
    return far


LEVER_M = _lever()
LONGEST_RUN = 40
"""Frames between two keys of a channel that moves at all: bounds the search."""


def keep(clip: Clip, config: Export) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """Frames to keep of the root's translation, and of each joint's rotation.

    A dropped rotation differs from its interpolation by less than the tolerance over the joint's lever; the joints that
    carry the feet have a tolerance of their own, so that a standing foot stays where it is.

    Args:
        clip: the motion, of at least two frames.
        config: tolerances in metres.
    """
    root = _kept_points(clip.root, config.contact_tolerance_m)
    joints = []
    for joint in range(len(JOINTS)):
        tolerance = config.contact_tolerance_m if joint in _LEGS else config.rotation_tolerance_m
        joints.append(_kept_rotations(np.ascontiguousarray(clip.rotations[:, joint]), tolerance / LEVER_M[joint]))
    return root, joints


@njit(cache=True)
def _kept_points(values: Array, tolerance: float) -> NDArray[np.int64]:
    n = values.shape[0]
    kept = np.empty(n, dtype=np.int64)
    if np.max(np.abs(values - values[0])) <= 0.5 * tolerance:
        kept[0], kept[1] = 0, n - 1
        return kept[:2]
    kept[0], count, first = 0, 1, 0
    while first < n - 1:
        last = first + 1
        while last + 1 < n and last - first < LONGEST_RUN:
            span, fits = last + 1 - first, True
            for i in range(first + 1, last + 1):
                w = (i - first) / span
                away = 0.0
                for k in range(values.shape[1]):
                    away += (values[first, k] + w * (values[last + 1, k] - values[first, k]) - values[i, k]) ** 2
                if away > tolerance * tolerance:
                    fits = False
                    break
            if not fits:
                break
            last += 1
        kept[count], count, first = last, count + 1, last
    return kept[:count]


@njit(cache=True)
def _kept_rotations(q: Array, tolerance: float) -> NDArray[np.int64]:
    n = q.shape[0]
    kept = np.empty(n, dtype=np.int64)
    if 2.0 * np.max(np.abs(q - q[0])) <= 0.5 * tolerance:
        kept[0], kept[1] = 0, n - 1
        return kept[:2]
    kept[0], count, first = 0, 1, 0
    while first < n - 1:
        last = first + 1
        while last + 1 < n and last - first < LONGEST_RUN:
            dot = 0.0
            for k in range(4):
                dot += q[first, k] * q[last + 1, k]
            angle = np.arccos(min(abs(dot), 1.0))
            fits = True
            for i in range(first + 1, last + 1):
                w = (i - first) / (last + 1 - first)
                if angle > 1e-6:
                    a, b = np.sin((1.0 - w) * angle) / np.sin(angle), np.sin(w * angle) / np.sin(angle)
                else:
                    a, b = 1.0 - w, w
                if dot < 0.0:
                    b = -b
                away = 0.0
                for k in range(4):
                    away += (a * q[first, k] + b * q[last + 1, k] - q[i, k]) ** 2
                if 4.0 * away > tolerance * tolerance:
                    fits = False
                    break
            if not fits:
                break
            last += 1
        kept[count], count, first = last, count + 1, last
    return kept[:count]


VERTEX_M = 0.03
"""A virtual vertex lies this far off its joint along each of its axes: how far the skin lies off the bones."""


def loss(clip: Clip, root: NDArray[np.int64], joints: list[NDArray[np.int64]], rotations: Array) -> Array:
    """What the keys lose, in object space: how far each joint's virtual vertices are off, `(T, 22)` metres.

    The measure of ACL (Frechette): a vertex some way off the bone sees errors of the joint's own turn and of all above
    it, as the skin does. Of the three vertices of a joint, one along each axis, the one furthest off counts.

    Args:
        clip: the motion.
        root: frames kept of the root's translation.
        joints: frames kept of each joint's rotation.
        rotations: `(T, 22, 4)` as the file stores them, at least at the kept frames.
    """
    clock = np.arange(clip.frames, dtype=np.float64)
    line = np.stack([np.interp(clock, root, clip.root[root, axis]) for axis in range(3)], axis=-1)
    turned = np.empty_like(clip.rotations)
    for joint, kept in enumerate(joints):
        i = np.clip(np.searchsorted(kept, clock, side="right") - 1, 0, kept.size - 2)
        w = (clock - kept[i]) / (kept[i + 1] - kept[i])
        turned[:, joint] = between(rotations[kept[i], joint], rotations[kept[i + 1], joint], w[:, None])
    (at, turns), (was_at, was_turns) = forward(turned, line), forward(clip.rotations, clip.root)
    out = np.zeros(at.shape[:2])
    for axis in np.eye(3) * VERTEX_M:
        vertex = np.broadcast_to(axis, at.shape)
        away = at + rotate(turns, vertex) - was_at - rotate(was_turns, vertex)
        out = np.maximum(out, np.sqrt(np.sum(away * away, axis=-1)))
    return out
