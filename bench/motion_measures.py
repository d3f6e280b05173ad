"""What is measured on a motion, whoever moved: ours read back from its file, or a recorded person.

Belongs here: measures that need a skeleton in space and no more, limits of joints, gait. Does not belong here: reading
(`bench.gltf_motion`, `bench.mocap`), which clips (`bench.motion_clips`), the page (`bench.motion_quality`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from configs.motion import load_motion
from pipeline.motion.measures import contact_slip, ground_error, skating_ratio, smoothness
from pipeline.motion.skeleton import INDEX

Array = NDArray[np.float64]

LIMITS_DEG: dict[str, tuple[float, float]] = {
    name.replace("_", " "): value
    for name, value in load_motion().limits
    if isinstance(value, tuple) and name != "knee_turn"
}
"""Range of motion in degrees; sources are in `configs/motion.yaml`."""
CLEAR_M = 0.055
"""Shins and feet are about as thick as this: nearer axes of left and right leg go through each other."""


@dataclass(frozen=True)
class Motion:
    """A moving skeleton of our 22 joints.

    Attributes:
        positions: `(T, 22, 3)` metres.
        turned: `(T, 22, 3, 3)`, or None where only positions are known.
        contacts: `(T, 2)` balls of the feet that stand.
        lowest: `(T, 2)` height of the lowest known point of each foot.
        floor: `(T, 2)` height of the ground under each foot.
        fps: frames a second.
    """

    positions: Array
    turned: Array | None
    contacts: NDArray[np.bool_]
    lowest: Array
    floor: Array
    fps: int


def measures(motion: Motion) -> dict[str, float]:
    """Every measure that needs no path: names end in their unit."""
    angles = joint_angles(motion)
    outside = {
        name: np.maximum(LIMITS_DEG[name][0] - values, values - LIMITS_DEG[name][1]).max()
        for name, values in angles.items()
    }
    worst = max(outside, key=lambda name: outside[name])
    broken = np.zeros(motion.positions.shape[0], dtype=bool)
    for name, values in angles.items():
        low, high = LIMITS_DEG[name]
        broken |= np.any(((values < low - 1.0) | (values > high + 1.0)).reshape(broken.size, -1), axis=1)
    root = motion.positions[:, 0]
    moved = np.diff(root, axis=0)
    return {
        "skating_ratio": skating_ratio(motion.positions, motion.floor, motion.fps),
        **contact_slip(motion.positions, motion.contacts, motion.fps),
        **ground_error(motion.lowest, motion.floor, motion.contacts),
        **smoothness(motion.positions, motion.fps),
        "speed_mps": float(np.hypot(moved[:, 0], moved[:, 2]).mean() * motion.fps),
        "limit_frames": float(broken.mean()),
        "limit_excess_deg": float(max(outside[worst], 0.0)),
        "crossing_frames": float((leg_distance(motion.positions) < CLEAR_M).mean()),
        "bob_m": float(np.ptp(root[:, 1])),
    }


def _unit(v: Array) -> Array:
    result: Array = v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-9)
    return result


def _between(a: Array, b: Array) -> Array:
    """Degrees between directions."""
    result: Array = np.degrees(np.arccos(np.clip(np.sum(_unit(a) * _unit(b), axis=-1), -1.0, 1.0)))
    return result


def joint_angles(motion: Motion) -> dict[str, Array]:
    """Degrees `(T, …)` of each joint angle that positions (and rotations, where known) tell.

    A knee's or elbow's flexion has no sign in positions; with rotations it is that of the hinge.
    """
    at = {name: motion.positions[:, index] for name, index in INDEX.items()}
    left = _unit(at["L_Hip"] - at["R_Hip"])
    up = at["Spine1"] - at["Pelvis"]
    if motion.turned is not None:
        left, up = motion.turned[:, 0, :, 0], motion.turned[:, 0, :, 1]
    up = _unit(up - np.sum(up * left, axis=-1, keepdims=True) * left)
    ahead = np.cross(left, up)
    out: dict[str, list[Array]] = {name: [] for name in LIMITS_DEG}
    for side, sign in (("L", 1.0), ("R", -1.0)):
        thigh = at[f"{side}_Knee"] - at[f"{side}_Hip"]
        shank = at[f"{side}_Ankle"] - at[f"{side}_Knee"]
        foot = at[f"{side}_Foot"] - at[f"{side}_Ankle"]
        knee = _between(thigh, shank)
        if motion.turned is not None:
            hinge = motion.turned[:, INDEX[f"{side}_Hip"], :, 0]
            knee = knee * np.sign(np.sum(np.cross(thigh, shank) * hinge, axis=-1) + 1e-12)
        out["knee flexion"].append(knee)
        down, front, aside = (np.sum(_unit(thigh) * axis, axis=-1) for axis in (-up, ahead, left))
        out["hip flexion"].append(np.degrees(np.arctan2(front, down)))
        out["hip abduction"].append(np.degrees(np.arcsin(np.clip(sign * aside, -1.0, 1.0))))
        rest = 90.0 + np.degrees(np.arctan2(0.043 * 1.78 - 0.026, 0.132))
        out["ankle dorsiflexion"].append(rest - _between(-shank, foot))
        upper, fore = at[f"{side}_Elbow"] - at[f"{side}_Shoulder"], at[f"{side}_Wrist"] - at[f"{side}_Elbow"]
        out["elbow flexion"].append(_between(upper, fore))
    if motion.turned is not None:
        for part, lower, upper_joint in (("trunk", "Pelvis", "Spine3"), ("neck", "Spine3", "Head")):
            relative = np.swapaxes(motion.turned[:, INDEX[lower]], 1, 2) @ motion.turned[:, INDEX[upper_joint]]
            out[f"{part} rotation"].append(np.degrees(np.arctan2(relative[:, 0, 2], relative[:, 2, 2])))
            out[f"{part} flexion"].append(np.degrees(np.arcsin(np.clip(-relative[:, 1, 2], -1.0, 1.0))))
            if part == "trunk":
                out["trunk side bend"].append(np.degrees(np.arctan2(-relative[:, 0, 1], relative[:, 1, 1])))
    return {name: np.stack(values, axis=-1) for name, values in out.items() if values}


def leg_distance(positions: Array) -> Array:
    """Least distance `(T,)` between the left and the right leg below the knee, as bones without thickness."""
    legs = [[positions[:, INDEX[f"{side}_{part}"]] for part in ("Knee", "Ankle", "Foot")] for side in ("L", "R")]
    share = np.linspace(0.0, 1.0, 9)[None, :, None]
    points = [
        np.concatenate([leg[k][:, None] * (1 - share) + leg[k + 1][:, None] * share for k in (0, 1)], axis=1)
        for leg in legs
    ]
    away = np.linalg.norm(points[0][:, :, None] - points[1][:, None], axis=-1)
    result: Array = away.min(axis=(1, 2))
    return result


def gait(motion: Motion) -> tuple[float, float] | None:
    """Median stride length (m) and period (s) of someone who goes on evenly; None where there are no two strides.

    A stride is the time between two passings of the left ankle by the right one, along the way.
    """
    root = motion.positions[:, 0][:, [0, 2]]
    way = _unit(root[-1] - root[0])
    velocity = np.gradient(root, 1.0 / motion.fps, axis=0)
    kernel = np.ones(9) / 9.0
    padded = np.pad(velocity, ((4, 4), (0, 0)), mode="edge")
    heading = _unit(np.stack([np.convolve(padded[:, k], kernel, mode="valid") for k in (0, 1)], axis=-1))
    heading = np.where(np.linalg.norm(heading, axis=-1, keepdims=True) > 0.5, heading, way)
    apart = motion.positions[:, INDEX["L_Ankle"]] - motion.positions[:, INDEX["R_Ankle"]]
    along = np.sum(apart[:, [0, 2]] * heading, axis=-1)
    i = np.flatnonzero((along[:-1] <= 0.0) & (along[1:] > 0.0))
    if i.size < 2:
        return None
    at = i + along[i] / (along[i] - along[i + 1])
    t = at / motion.fps
    gone = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(root, axis=0).T))])
    strides = np.diff(np.interp(at, np.arange(gone.size), gone))
    return float(np.median(strides)), float(np.median(np.diff(t)))
