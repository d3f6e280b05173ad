"""The body that moves: 22 joints, their rest pose, and where they are under given rotations.

Belongs here: names, order, parents, lengths, forward kinematics. Does not belong here: how a body moves (gait,
actions), its skin (mesh).

Joint names and order are those of the SMPL body; the lengths are our own, from the segment proportions of Drillis and
Contini (as tabulated by Winter, "Biomechanics and Motor Control of Human Movement") for a stature of 1.78 m. The rest
pose is a T: every rotation identity, arms along x, looking along +z, y up, the soles at y = 0.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.motion.rotations import Array, multiply, rotate

STATURE_M = 1.78

JOINTS: tuple[str, ...] = (
    "Pelvis",
    "L_Hip",
    "R_Hip",
    "Spine1",
    "L_Knee",
    "R_Knee",
    "Spine2",
    "L_Ankle",
    "R_Ankle",
    "Spine3",
    "L_Foot",
    "R_Foot",
    "Neck",
    "L_Collar",
    "R_Collar",
    "Head",
    "L_Shoulder",
    "R_Shoulder",
    "L_Elbow",
    "R_Elbow",
    "L_Wrist",
    "R_Wrist",
)
INDEX: dict[str, int] = {name: i for i, name in enumerate(JOINTS)}
PARENTS: tuple[int, ...] = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19)

THIGH_M = 0.245 * STATURE_M
SHANK_M = 0.246 * STATURE_M
UPPER_ARM_M = 0.163 * STATURE_M
FOREARM_M = 0.146 * STATURE_M
ANKLE_M = 0.043 * STATURE_M
"""Height of the ankle over the sole of a flat foot."""
BALL_M = 0.026
"""Height of the ball of the foot (the joints L_Foot, R_Foot) over the sole."""
ANKLE_TO_BALL_M = 0.132
HEEL_M = 0.055
"""How far the heel reaches behind the ankle."""
TOE_M = 0.072
"""How far the toes reach beyond the ball."""
HIP_WIDTH_M = 0.180
HIP_DROP_M = 0.065

_HALF = {
    "Hip": (0.5 * HIP_WIDTH_M, -HIP_DROP_M, 0.0),
    "Knee": (0.0, -THIGH_M, 0.0),
    "Ankle": (0.0, -SHANK_M, 0.0),
    "Foot": (0.0, BALL_M - ANKLE_M, ANKLE_TO_BALL_M),
    "Collar": (0.055, 0.085, 0.010),
    "Shoulder": (0.128, 0.022, -0.012),
    "Elbow": (UPPER_ARM_M, 0.0, 0.0),
    "Wrist": (FOREARM_M, 0.0, 0.0),
}
_CENTRE = {
    "Pelvis": (0.0, THIGH_M + SHANK_M + ANKLE_M + HIP_DROP_M, 0.0),
    "Spine1": (0.0, 0.105, -0.008),
    "Spine2": (0.0, 0.125, 0.004),
    "Spine3": (0.0, 0.085, 0.004),
    "Neck": (0.0, 0.170, -0.012),
    "Head": (0.0, 0.085, 0.018),
}


def _offsets() -> Array:
    rows = []
    for name in JOINTS:
        side, _, part = name.partition("_")
        x, y, z = _HALF[part] if part else _CENTRE[name]
        rows.append((-x if part and side == "R" else x, y, z))
    return np.array(rows)


OFFSETS: Array = _offsets()
"""Rest position of each joint relative to its parent, `(22, 3)` metres; the pelvis relative to the ground below it."""
OFFSETS.setflags(write=False)


def forward(rotations: Array, root: Array) -> tuple[Array, Array]:
    """Where every joint is, and how it is turned, in every frame.

    Args:
        rotations: local unit quaternions `(T, 22, 4)`.
        root: position of the pelvis `(T, 3)` in metres.

    Returns:
        Positions `(T, 22, 3)` in metres and global quaternions `(T, 22, 4)`.
    """
    positions = np.empty((*rotations.shape[:2], 3))
    turned = np.empty_like(rotations)
    positions[:, 0] = root
    turned[:, 0] = rotations[:, 0]
    for joint in range(1, len(JOINTS)):
        parent = PARENTS[joint]
        turned[:, joint] = multiply(turned[:, parent], rotations[:, joint])
        positions[:, joint] = positions[:, parent] + rotate(turned[:, parent], OFFSETS[joint])
    return positions, turned


def rest() -> Array:
    """Positions of the joints in the rest pose, `(22, 3)` metres, standing on the origin."""
    identity = np.zeros((1, len(JOINTS), 4))
    identity[..., 3] = 1.0
    result: Array = forward(identity, OFFSETS[None, 0])[0][0]
    return result


def locals_of(turned: Array) -> Array:
    """Local quaternions `(T, 22, 4)` of global ones: what each joint adds to its parent."""
    parents: NDArray[np.int64] = np.array(PARENTS[1:])
    out = turned.copy()
    conj = turned[:, parents] * np.array([-1.0, -1.0, -1.0, 1.0])
    out[:, 1:] = multiply(conj, turned[:, 1:])
    return out
