"""The ten joints of a stick figure: their order, and which of them make an arm or a leg.

Belongs here: names and places of joints in the arrays `(…, 10, 2)` of poses. Does not belong here: where they are
(figure), how long bones are (`human` in the configuration).
"""

from typing import Any

from numpy.typing import NDArray

from configs.scenes import Human

JOINTS = (
    "hips", "head", "left_elbow", "left_hand", "right_elbow", "right_hand",
    "left_knee", "left_foot", "right_knee", "right_foot",
)  # fmt: skip
HIPS, HEAD, LEFT_ELBOW, LEFT_HAND, RIGHT_ELBOW, RIGHT_HAND, LEFT_KNEE, LEFT_FOOT, RIGHT_KNEE, RIGHT_FOOT = range(10)

LEFT_ARM, RIGHT_ARM = ARMS = ((LEFT_ELBOW, LEFT_HAND), (RIGHT_ELBOW, RIGHT_HAND))
LEFT_LEG, RIGHT_LEG = LEGS = ((LEFT_KNEE, LEFT_FOOT), (RIGHT_KNEE, RIGHT_FOOT))
"""The middle and the end of each limb, left before right."""
ELBOWS, HANDS = (LEFT_ELBOW, RIGHT_ELBOW), (LEFT_HAND, RIGHT_HAND)
KNEES, FEET = (LEFT_KNEE, RIGHT_KNEE), (LEFT_FOOT, RIGHT_FOOT)
BONES = ((HIPS, HEAD), *ARMS, *((HIPS, knee) for knee in KNEES), *LEGS)
"""Joints that a bone connects, each after the one that it hangs on; upper arms hang on the shoulders, no joint."""

_MIRRORED = [HIPS, HEAD, *RIGHT_ARM, *LEFT_ARM, *RIGHT_LEG, *LEFT_LEG]


def shoulder(joints: NDArray[Any], human: Human) -> NDArray[Any]:
    """The shoulders `(…, 2)`, which lie on the line from the hips to the head."""
    share = human.shoulder / human.head
    at: NDArray[Any] = joints[..., HIPS, :] + share * (joints[..., HEAD, :] - joints[..., HIPS, :])
    return at


def bones(human: Human) -> dict[tuple[int, int], float]:
    """Lengths in metres of `BONES`, for a human of scale 1."""
    lengths = (human.head, *2 * (human.forearm,), *2 * (human.thigh,), *2 * (human.shank,))
    return dict(zip(BONES, lengths, strict=True))


def mirrored(joints: NDArray[Any]) -> NDArray[Any]:
    """Left and right exchanged; the figure itself looks the same from its other side."""
    return joints[..., _MIRRORED, :]
