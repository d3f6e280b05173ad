"""Arms that hold something: aimed, ready, carried on the run, or working low on the ground.

Belongs here: where hands go in each arm pose, and how they move with the stride. Does not belong here: which pose an
intent uses (configs/motion.yaml), the elbows (limbs).

Hands are placed around the middle between the shoulders, in a frame that looks where the weapon points: metres to the
left, up and ahead. Elbow directions are in the same frame.
"""

from dataclasses import dataclass

import numpy as np

from configs.motion import ArmPose, Poses
from pipeline.motion.actions import Action
from pipeline.motion.gait import Manner
from pipeline.motion.headings import limit
from pipeline.motion.limbs import arm
from pipeline.motion.posture import Posture
from pipeline.motion.rotations import Array, about, body, cross, from_axes, multiply, rotate, unit, wrap
from pipeline.motion.skeleton import FOREARM_M, INDEX, OFFSETS, UPPER_ARM_M

BETWEEN_SHOULDERS = np.array([0.0, 0.107, 0.0])
"""From Spine3, in its own frame."""


@dataclass(frozen=True)
class Arms:
    """Global quaternions `(N, 4)` of upper arm, forearm and hand, left then right."""

    upper: tuple[Array, Array]
    fore: tuple[Array, Array]
    hand: tuple[Array, Array]


def hold(
    pose: ArmPose,
    poses: Poses,
    posture: Posture,
    aim_heading: Array,
    aim_pitch: Array,
    chest_heading: Array,
    manner: Manner,
    stride: Array,
    beat: Array,
    action: Action,
    *,
    recoil_m: float,
) -> Arms:
    """Both arms at every frame.

    Args:
        pose: the intent's arm pose; the ready pose where the intent is not taken up.
        poses: where hands and elbows are in each pose.
        posture: for the chest they hang from.
        aim_heading: `(N,)` direction of the view.
        aim_pitch: `(N,)` of the view, positive downwards.
        chest_heading: `(N,)` direction of the chest.
        manner: for the swing of arms.
        stride: `(N,)` phase, 0 where the left foot lands.
        beat: `(N,)` 0 standing to 1 going.
        action: for how far the pose is taken up, recoil, and working hands.
        recoil_m: how far a shot kicks the hands back.
    """
    chest = posture.spine[2]
    spine3 = posture.root + _down_the_spine(posture)
    middle = spine3 + rotate(chest, BETWEEN_SHOULDERS)
    share = action.pose[:, None]
    ready, taken = poses.ready, getattr(poses, pose)
    aimed = ready.follows + (taken.follows - ready.follows) * action.pose
    heading = chest_heading + aimed * limit(wrap(aim_heading - chest_heading), np.radians(poses.reach_deg))
    level = body(
        heading,
        np.clip(aim_pitch, -poses.nod_rad, poses.nod_rad) * aimed + (1.0 - aimed) * poses.droop_rad,
        np.zeros(stride.size),
    )
    frame = _between(level, chest, action.kneel)
    places = [np.array(ready.hands[k]) * (1.0 - share) + np.array(taken.hands[k]) * share for k in (0, 1)]
    barrel = unit(rotate(frame, places[0] - places[1] + np.array(taken.rise) * share))

    uppers, fores, palms = [], [], []
    for k, side in ((0, 1), (1, -1)):
        to = np.array(ready.elbows[k]) * (1.0 - share) + np.array(taken.elbows[k]) * share
        at = places[k] + _moved(pose, k, manner, stride, beat, action, poses, recoil_m)
        collar = INDEX["L_Collar" if side > 0 else "R_Collar"]
        shoulder = spine3 + rotate(chest, OFFSETS[collar] + OFFSETS[INDEX["L_Shoulder" if side > 0 else "R_Shoulder"]])
        if pose == "carry" and k == 0:
            at, to = _swung(at, to, manner, stride, beat, action, poses)
        upper, fore, _ = arm(
            shoulder, middle + rotate(frame, at), UPPER_ARM_M, FOREARM_M, unit(rotate(frame, to)), side
        )
        uppers.append(upper)
        fores.append(fore)
        loose = multiply(fore, about(2, np.full(stride.size, -side * np.radians(poses.curl_deg))))
        palms.append(_between(_gripping(barrel, frame), loose, action.kneel) if side < 0 else loose)
    return Arms((uppers[0], uppers[1]), (fores[0], fores[1]), (palms[0], palms[1]))


def _gripping(barrel: Array, frame: Array) -> Array:
    """Rotation of a right hand whose fingers point along what it holds, thumb up."""
    up = rotate(frame, np.broadcast_to(np.array([0.0, 1.0, 0.0]), barrel.shape))
    back = unit(cross(barrel, up))
    return from_axes(-barrel, back, cross(-barrel, back))


def _between(a: Array, b: Array, share: Array) -> Array:
    """Rotations between two that are near each other: the normalised mean."""
    sign = np.where(np.sum(a * b, axis=-1, keepdims=True) < 0.0, -1.0, 1.0)
    return unit(a * (1.0 - share[:, None]) + sign * b * share[:, None])


def _down_the_spine(posture: Posture) -> Array:
    """From the pelvis to Spine3, as the spine is bent."""
    turns = (posture.pelvis, posture.spine[0], posture.spine[1])
    names = ("Spine1", "Spine2", "Spine3")
    parts = [rotate(turn, OFFSETS[INDEX[name]]) for turn, name in zip(turns, names, strict=True)]
    return parts[0] + parts[1] + parts[2]


def _moved(
    pose: ArmPose,
    k: int,
    manner: Manner,
    stride: Array,
    beat: Array,
    action: Action,
    poses: Poses,
    recoil_m: float,
) -> Array:
    """How the stride, a shot and work move a hand from its place."""
    size = beat * manner.swing / np.radians(poses.whole_swing_deg)
    across, up, ahead = poses.stride_m
    loose = 1.0 - poses.steadied * action.pose if pose == "aim" else np.ones(stride.size)
    out = np.empty((stride.size, 3))
    out[:, 0] = across * size * loose * np.cos(stride)
    out[:, 1] = up * size * loose * np.cos(2.0 * stride + 0.6) + poses.breath_m * action.breath
    out[:, 2] = (-ahead if k == 0 else ahead) * size * loose * np.cos(stride)
    if pose == "carry" and k == 1:
        out[:, 2] += poses.carried_m[0] * size * action.pose * np.cos(stride)
        out[:, 1] += poses.carried_m[1] * size * action.pose * np.cos(stride)
    out[:, 2] -= recoil_m * action.recoil
    out[:, 1] += poses.kick_up * recoil_m * action.recoil
    work = action.kneel * (1.0 if pose == "low" else 0.0)
    for axis, (most, beats, lag) in enumerate(poses.work):
        out[:, axis] += most * work * np.sin(beats * action.fiddle + lag * k)
    return out


def _swung(
    at: Array, to: Array, manner: Manner, stride: Array, beat: Array, action: Action, poses: Poses
) -> tuple[Array, Array]:
    """The free left arm of a runner: upper arm against the left leg, elbow near a right angle."""
    share = (beat * action.pose)[:, None]
    angle = -manner.swing * np.cos(stride) + np.radians(poses.free_deg[0])
    flex = np.radians(poses.free_deg[1]) + poses.free_bend * np.maximum(angle, 0.0)
    hand = np.empty_like(at)
    hand[:, 0] = poses.free_m[0] - poses.free_m[1] * (0.5 + 0.5 * np.sin(angle))
    hand[:, 1] = -UPPER_ARM_M * np.cos(angle) - FOREARM_M * np.cos(angle + flex)
    hand[:, 2] = UPPER_ARM_M * np.sin(angle) + FOREARM_M * np.sin(angle + flex)
    elbow = np.broadcast_to(np.array(poses.free_elbow), at.shape)
    return at * (1.0 - share) + hand * share, to * (1.0 - share) + elbow * share
