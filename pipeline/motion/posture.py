"""Pelvis, trunk and head above planned feet.

Belongs here: the pelvis's place and turn, the spine, neck and head. Does not belong here: limbs (limbs, arms).

The pelvis follows the path; around it it bobs, sways, turns and drops with the stride, sinks for crouching, kneeling
and wherever a standing leg would have to be longer than it is.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numba import njit

from configs.motion import Body, Swing, Turning
from pipeline.motion.actions import Action
from pipeline.motion.feet import FootMotion, eased
from pipeline.motion.footfalls import Plan
from pipeline.motion.gait import Manner
from pipeline.motion.headings import Headings, ease, limit
from pipeline.motion.path import Path, smooth, within
from pipeline.motion.rotations import Array, body, rotate, wrap
from pipeline.motion.skeleton import INDEX, OFFSETS, SHANK_M, THIGH_M

STANDING_M = float(OFFSETS[0, 1])


@dataclass(frozen=True)
class Posture:
    """Trunk and head at every frame: positions `(N, 3)` metres, global quaternions `(N, 4)`.

    Attributes:
        root: the pelvis.
        pelvis: its rotation.
        spine: rotations of Spine1, Spine2 and Spine3.
        neck: its rotation.
        head: its rotation.
        feet: left and right, as the legs above them can follow.
    """

    root: Array
    pelvis: Array
    spine: tuple[Array, Array, Array]
    neck: Array
    head: Array
    feet: tuple[FootMotion, FootMotion]


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
    tiptoe: float,
    recoil: float,
    fps: int,
    turning: Turning,
    swing: Swing,
    limbs: Body,
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
        tiptoe: greatest distance from the hip to the ball of a foot behind, metres.
        recoil: chest pitch of a shot, radians.
        fps: frames a second.
        turning: how far trunk and neck turn.
        swing: how far ankles bend, how high a swinging foot comes.
        limbs: how the trunk goes with the stride and the path.
    """
    going = headings.going
    grounded = 1.0 - np.minimum(smooth(path.flying.astype(float), 0.08 * fps), 1.0)
    beat = going * grounded
    middle = np.pi * manner.duty
    twist = -manner.twist * np.cos(plan.stride) * beat
    drop = np.radians(limbs.drop_deg) * np.sin(plan.stride + np.radians(limbs.drop_phase_deg)) * beat

    aside = np.stack([np.cos(headings.hips), -np.sin(headings.hips)], axis=-1)
    lag = _lagging(path.ground, limbs, fps)
    trunk = manner.lean * beat + action.lean
    hips_lean = (limbs.pelvis_lean[0] + limbs.pelvis_lean[1] * beat * manner.run) * trunk
    hips_lean += np.radians(limbs.kneel_lean_deg) * action.kneel + limbs.lag_share * _along(lag, headings.hips)
    hips_tilt = drop + limbs.tilted[0] * action.tilt - limbs.lag_share * _beside(lag, headings.hips)
    hips = headings.hips + twist - limbs.bladed * action.blade * (1.0 - going)
    pelvis = body(hips, hips_lean, hips_tilt)

    support = [smooth(foot.contact.astype(float), limbs.loading_s * fps) for foot in feet]
    sway = (manner.sway * (support[0] - support[1])) * beat + action.shift
    root = np.empty((path.time.size, 3))
    root[:, 0] = path.ground[:, 0] + sway * aside[:, 0]
    root[:, 2] = path.ground[:, 1] + sway * aside[:, 1]
    # Highest over a standing leg when walking, in the air when running; between them as high, at a time between.
    bob = manner.bob * np.cos(2.0 * (plan.stride - middle) + np.pi * manner.run) * beat
    sink = limbs.sink_m + (manner.sink - limbs.sink_m) * beat
    root[:, 1] = path.floor + path.air + STANDING_M - sink - action.crouch - kneel_m * action.kneel + bob

    steepest = float(np.radians(limbs.heel_deg))
    longest = limbs.easy_reach * reach * (THIGH_M + SHANK_M)
    ankles = tuple(foot.ankle for foot in feet)
    around = max(1, round(limbs.sinking_s * fps))
    root[:, 1] = _within_reach(root, pelvis, ankles, feet, longest, tiptoe, headings.hips, around)
    moved = tuple(
        eased(foot, root + rotate(pelvis, OFFSETS[INDEX[hip]]), headings.hips, swing, longest, steepest, side)
        for foot, hip, side in zip(feet, ("L_Hip", "R_Hip"), (1.0, -1.0), strict=True)
    )

    chest = hips + limit(
        wrap(headings.chest - limbs.counter_twist * twist - action.blade - hips), np.radians(turning.trunk_limit_deg)
    )
    chest_lean = trunk + action.breath - recoil * action.recoil + _along(lag, chest)
    chest_tilt = limbs.tilted[1] * action.tilt - limbs.counter_drop * drop - _beside(lag, chest)
    spine = []
    turn = wrap(chest - hips)
    for share in (*limbs.spine, 1.0):
        spine.append(
            body(
                hips + share * turn,
                hips_lean + share * (chest_lean - hips_lean),
                hips_tilt + share * (chest_tilt - hips_tilt),
            )
        )
    gaze = headings.head + action.look
    nod = (
        np.clip(path.pitch, -limbs.nod_rad, limbs.nod_rad) * (1.0 - action.kneel)
        + action.kneel * limbs.kneel_nod_rad
        + limbs.lean_nod * action.lean
    )
    nod = chest_lean + limit(nod - chest_lean, np.radians(turning.nod_limit_deg))
    head_turn = limit(wrap(gaze - chest), np.radians(turning.neck_limit_deg))
    head = body(chest + head_turn, nod, limbs.head_tilt * chest_tilt + limbs.cheek * action.blade)
    neck = body(chest + 0.5 * head_turn, 0.5 * (chest_lean + nod), 0.6 * chest_tilt)
    return Posture(root, pelvis, (spine[0], spine[1], spine[2]), neck, head, (moved[0], moved[1]))


def _lagging(ground: Array, limbs: Body, fps: int) -> Array:
    """Lean of the trunk `(N, 2)`, radians towards +x and +z, with which the upper body follows the pelvis calmly.

    A trunk is an inverted pendulum over the pelvis: it leans to where it is going before the pelvis goes there, and
    back before that stops. So the neck follows a mean of the path, as far as a trunk may lean; somebody who goes on at
    one speed is upright, and a pelvis that goes to and fro has a head over it that hardly does.
    """
    neck = within(ground, limbs.lag_s * fps, limbs.lag_m * float(np.radians(limbs.lag_deg)), limbs.lag_aim)
    result: Array = (neck - ground) / limbs.lag_m
    return result


def _along(lean: Array, heading: Array) -> Array:
    """The part of a lean, radians towards +x and +z, that is ahead of who looks a way."""
    result: Array = lean[:, 0] * np.sin(heading) + lean[:, 1] * np.cos(heading)
    return result


def _beside(lean: Array, heading: Array) -> Array:
    """The part of a lean that is to the left of who looks a way."""
    result: Array = lean[:, 0] * np.cos(heading) - lean[:, 1] * np.sin(heading)
    return result


def _within_reach(
    root: Array,
    pelvis: Array,
    ankles: tuple[Array, ...],
    feet: tuple[FootMotion, FootMotion],
    longest: float,
    tiptoe: float,
    heading: Array,
    around: int,
) -> Array:
    """Height of the pelvis at which no standing leg is longer than `longest`, or behind, than `tiptoe` to the ball.

    The lowest limit within `around` frames, then its mean over the same frames: never above the limit, and smooth.
    """
    height = root[:, 1].copy()
    ceiling = np.full(height.size, np.inf)
    for ankle, foot, hip in zip(ankles, feet, ("L_Hip", "R_Hip"), strict=True):
        at = rotate(pelvis, OFFSETS[INDEX[hip]])
        across = np.hypot(root[:, 0] + at[:, 0] - ankle[:, 0], root[:, 2] + at[:, 2] - ankle[:, 2])
        rise = np.sqrt(np.maximum(longest**2 - across**2, 0.01))
        flat = ankle[:, 1] - at[:, 1] + rise
        way = foot.ball - root
        away = np.hypot(way[:, 0] - at[:, 0], way[:, 2] - at[:, 2])
        raised = foot.ball[:, 1] - at[:, 1] + np.sqrt(np.maximum(tiptoe**2 - away**2, 0.01))
        behind = ease(-(way[:, 0] * np.sin(heading) + way[:, 2] * np.cos(heading)), 0.05, 0.25)
        behind *= np.clip(foot.pitch * 20.0 + 1.0, 0.0, 1.0)
        highest_hip = flat + behind * np.maximum(raised - flat, 0.0)
        ceiling = np.minimum(ceiling, np.where(foot.contact, highest_hip, np.inf))
    return height - _eased_in(np.maximum(height - ceiling, 0.0), _hill(around))


@cache
def _hill(around: int) -> Array:
    """Weights over a frame and `around` of them on both sides, of a Hann window, summing to 1."""
    weights: Array = np.hanning(2 * around + 3)[1:-1]
    weights /= weights.sum()
    return weights


@njit(cache=True)
def _eased_in(excess: Array, weights: Array) -> Array:
    """The greatest of some frames around each, then a mean over the same: nowhere less than the excess, and smooth."""
    n, reach = excess.size, weights.size // 2
    highest, out = np.zeros(n), np.zeros(n)
    for i in range(n):
        for k in range(-reach, reach + 1):
            highest[i] = max(highest[i], excess[min(max(i + k, 0), n - 1)])
    for i in range(n):
        for k in range(-reach, reach + 1):
            out[i] += weights[k + reach] * highest[min(max(i + k, 0), n - 1)]
    return out
