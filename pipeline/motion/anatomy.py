"""What a body can do: how far its joints bend, and that its legs don't go through each other.

Belongs here: angles of joints, their ranges, distances of limbs. Does not belong here: where the ranges come from
(configs/motion.yaml), the motion itself.
"""

import numpy as np

from configs.motion import load_motion
from pipeline.motion.rotations import Array
from pipeline.motion.skeleton import INDEX

LIMITS_DEG: dict[str, tuple[float, float]] = {
    name.replace("_", " "): value
    for name, value in load_motion().limits
    if isinstance(value, tuple) and name != "knee_turn"
}
"""Range of motion in degrees; sources are in `configs/motion.yaml`."""
CLEAR_M = 0.055
"""Shins and feet are about as thick as this: nearer axes of left and right leg go through each other."""


def unit_of(v: Array) -> Array:
    """Directions of vectors along the last axis, also of those that have hardly any length."""
    result: Array = v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-9)
    return result


def _between(a: Array, b: Array) -> Array:
    """Degrees between directions."""
    result: Array = np.degrees(np.arccos(np.clip(np.sum(unit_of(a) * unit_of(b), axis=-1), -1.0, 1.0)))
    return result


def joint_angles(positions: Array, turned: Array | None) -> dict[str, Array]:
    """Degrees `(T, …)` of each joint angle that positions (and rotations, where known) tell.

    A knee's or elbow's flexion has no sign in positions; with rotations it is that of the hinge.

    Args:
        positions: joints `(T, 22, 3)`.
        turned: their rotations as matrices `(T, 22, 3, 3)`, or None.
    """
    at = {name: positions[:, index] for name, index in INDEX.items()}
    left = unit_of(at["L_Hip"] - at["R_Hip"])
    up = at["Spine1"] - at["Pelvis"]
    if turned is not None:
        left, up = turned[:, 0, :, 0], turned[:, 0, :, 1]
    up = unit_of(up - np.sum(up * left, axis=-1, keepdims=True) * left)
    ahead = np.cross(left, up)
    out: dict[str, list[Array]] = {name: [] for name in LIMITS_DEG}
    for side, sign in (("L", 1.0), ("R", -1.0)):
        thigh = at[f"{side}_Knee"] - at[f"{side}_Hip"]
        shank = at[f"{side}_Ankle"] - at[f"{side}_Knee"]
        foot = at[f"{side}_Foot"] - at[f"{side}_Ankle"]
        knee = _between(thigh, shank)
        if turned is not None:
            hinge = turned[:, INDEX[f"{side}_Hip"], :, 0]
            knee = knee * np.sign(np.sum(np.cross(thigh, shank) * hinge, axis=-1) + 1e-12)
        out["knee flexion"].append(knee)
        down, front, aside = (np.sum(unit_of(thigh) * axis, axis=-1) for axis in (-up, ahead, left))
        out["hip flexion"].append(np.degrees(np.arctan2(front, down)))
        out["hip abduction"].append(np.degrees(np.arcsin(np.clip(sign * aside, -1.0, 1.0))))
        rest = 90.0 + np.degrees(np.arctan2(0.043 * 1.78 - 0.026, 0.132))
        out["ankle dorsiflexion"].append(rest - _between(-shank, foot))
        upper, fore = at[f"{side}_Elbow"] - at[f"{side}_Shoulder"], at[f"{side}_Wrist"] - at[f"{side}_Elbow"]
        out["elbow flexion"].append(_between(upper, fore))
    if turned is not None:
        for part, lower, upper_joint in (("trunk", "Pelvis", "Spine3"), ("neck", "Spine3", "Head")):
            relative = np.swapaxes(turned[:, INDEX[lower]], 1, 2) @ turned[:, INDEX[upper_joint]]
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


def beyond_limits(positions: Array, turned: Array | None) -> tuple[float, float]:
    """Share of the frames in which a joint is more than a degree beyond its limits, and by how many degrees at most.

    Args:
        positions: joints `(T, 22, 3)`.
        turned: their rotations as matrices `(T, 22, 3, 3)`, or None.
    """
    broken, excess = np.zeros(positions.shape[0], dtype=bool), 0.0
    for name, values in joint_angles(positions, turned).items():
        low, high = LIMITS_DEG[name]
        off = np.maximum(low - values, values - high).reshape(broken.size, -1).max(axis=1)
        broken |= off > 1.0
        excess = max(excess, float(off.max()))
    return float(broken.mean()), excess
