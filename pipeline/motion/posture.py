"""Pelvis, trunk and head above planned feet.

Belongs here: the pelvis's place and turn, the spine, neck and head. Does not belong here: limbs (limbs, arms).

The pelvis follows the path; around it it bobs, sways, turns and drops with the stride, sinks for crouching, kneeling
and wherever a standing leg would have to be longer than it is.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.motion.actions import Action
from pipeline.motion.feet import FootMotion
from pipeline.motion.footfalls import Plan
from pipeline.motion.gait import Manner
from pipeline.motion.headings import Headings, limit
from pipeline.motion.path import Path, smooth
from pipeline.motion.rotations import Array, body, rotate, wrap
from pipeline.motion.skeleton import ANKLE_M, ANKLE_TO_BALL_M, BALL_M, INDEX, OFFSETS, SHANK_M, THIGH_M

STANDING_M = float(OFFSETS[0, 1])
ANKLE_FROM_BALL = np.array([0.0, ANKLE_M - BALL_M, -ANKLE_TO_BALL_M])
GRAVITY = 9.81


@dataclass(frozen=True)
class Posture:
    """Trunk and head at every frame: positions `(N, 3)` metres, global quaternions `(N, 4)`.

    Attributes:
        root: the pelvis.
        pelvis: its rotation.
        spine: rotations of Spine1, Spine2 and Spine3.
        neck: its rotation.
        head: its rotation.
        ankles: left and right, where the feet put them.
        feet: rotations of left and right foot at the ankle.
    """

    root: Array
    pelvis: Array
    spine: tuple[Array, Array, Array]
    neck: Array
    head: Array
    ankles: tuple[Array, Array]
    feet: tuple[Array, Array]


def stand(
    path: Path,
    headings: Headings,
    manner: Manner,
    plan: Plan,
    feet: tuple[FootMotion, FootMotion],
    action: Action,
    *,
    kneel_m: float,
    reach: float,
    recoil: float,
    fps: int,
) -> Posture:
    """The trunk over its feet.

    Args:
        path: what the pelvis follows.
        headings: directions of hips, chest and head.
        manner: sizes of the gait's oscillations.
        plan: phase of the stride.
        feet: where the feet are.
        action: the intent's own movement.
        kneel_m: pelvis below standing on one knee.
        reach: greatest share of a leg's straight length.
        recoil: chest pitch of a shot, radians.
        fps: frames a second.
    """
    going = headings.going
    grounded = 1.0 - np.minimum(smooth(path.flying.astype(float), 0.08 * fps), 1.0)
    beat = going * grounded
    middle = np.pi * manner.duty
    twist = -manner.twist * np.cos(plan.stride) * beat
    drop = np.radians(3.2) * np.sin(plan.stride + np.radians(25.0)) * beat

    acceleration = smooth(np.gradient(smooth(path.velocity, 0.10 * fps), 1.0 / fps, axis=0), 0.06 * fps)
    ahead = np.stack([np.sin(headings.hips), np.cos(headings.hips)], axis=-1)
    aside = np.stack([np.cos(headings.hips), -np.sin(headings.hips)], axis=-1)
    push = limit(0.55 * np.sum(acceleration * ahead, axis=-1) / GRAVITY, 0.22)
    bank = -limit(0.55 * np.sum(acceleration * aside, axis=-1) / GRAVITY, 0.24)

    trunk = manner.lean * beat + action.lean + push
    hips_lean = 0.35 * trunk + 0.10 * action.kneel
    hips_tilt = 0.5 * bank + drop + 0.25 * action.tilt
    hips = headings.hips + twist - 0.3 * action.blade * (1.0 - going)
    pelvis = body(hips, hips_lean, hips_tilt)

    support = [smooth(foot.contact.astype(float), 0.07 * fps) for foot in feet]
    sway = (manner.sway * (support[0] - support[1])) * beat + action.shift
    root = np.empty((path.time.size, 3))
    root[:, 0] = path.ground[:, 0] + sway * aside[:, 0]
    root[:, 2] = path.ground[:, 1] + sway * aside[:, 1]
    bob = manner.bob * (1.0 - 2.0 * manner.run) * np.cos(2.0 * (plan.stride - middle)) * beat
    sink = 0.012 + (manner.sink - 0.012) * beat
    root[:, 1] = path.floor + path.air + STANDING_M - sink - action.crouch - kneel_m * action.kneel + bob

    ankle_turn = tuple(body(foot.yaw, foot.pitch, np.zeros(foot.yaw.size)) for foot in feet)
    ankles = tuple(foot.ball + rotate(turn, ANKLE_FROM_BALL) for foot, turn in zip(feet, ankle_turn, strict=True))
    root[:, 1] = _within_reach(root, pelvis, ankles, feet, 0.988 * reach * (THIGH_M + SHANK_M))

    chest = headings.chest - 0.9 * twist - action.blade
    chest_lean = trunk + action.breath - recoil * action.recoil
    chest_tilt = 0.9 * bank - 0.6 * drop + action.tilt
    spine = []
    turn = wrap(chest - hips)
    for share in (0.30, 0.65, 1.0):
        spine.append(
            body(
                hips + share * turn,
                hips_lean + share * (chest_lean - hips_lean),
                hips_tilt + share * (chest_tilt - hips_tilt),
            )
        )
    gaze = headings.head + action.look
    nod = np.clip(path.pitch, -0.9, 0.9) * (1.0 - action.kneel) + action.kneel * 0.75 + 0.10 * action.lean
    head_turn = wrap(gaze - headings.chest)
    head = body(headings.chest + head_turn, nod, 0.25 * chest_tilt + 0.35 * action.blade)
    neck = body(chest + 0.5 * head_turn, 0.5 * (chest_lean + nod), 0.6 * chest_tilt)
    return Posture(
        root, pelvis, (spine[0], spine[1], spine[2]), neck, head, (ankles[0], ankles[1]), (ankle_turn[0], ankle_turn[1])
    )


def _within_reach(
    root: Array, pelvis: Array, ankles: tuple[Array, ...], feet: tuple[FootMotion, FootMotion], longest: float
) -> Array:
    """Height of the pelvis at which no standing leg is longer than `longest`.

    The lowest limit within two frames, then its mean over the same two frames: never above the limit, and smooth.
    """
    height = root[:, 1].copy()
    ceiling = np.full(height.size, np.inf)
    for ankle, foot, hip in zip(ankles, feet, ("L_Hip", "R_Hip"), strict=True):
        at = rotate(pelvis, OFFSETS[INDEX[hip]])
        across = np.hypot(root[:, 0] + at[:, 0] - ankle[:, 0], root[:, 2] + at[:, 2] - ankle[:, 2])
        rise = np.sqrt(np.maximum(longest**2 - across**2, 0.01))
        ceiling = np.minimum(ceiling, np.where(foot.contact, ankle[:, 1] - at[:, 1] + rise, np.inf))
    excess = np.maximum(height - ceiling, 0.0)
    widest = 3
    padded = np.pad(excess, widest, mode="edge")
    highest = np.max(np.stack([padded[k : k + excess.size] for k in range(2 * widest + 1)]), axis=0)
    padded = np.pad(highest, widest, mode="edge")
    weights = np.array([1.0, 3.0, 5.0, 6.0, 5.0, 3.0, 1.0])
    return height - np.convolve(padded, weights / weights.sum(), mode="valid")
