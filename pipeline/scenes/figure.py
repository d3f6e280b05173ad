"""A stick figure of ten joints in its own plane: forward and up.

Belongs here: gait, postures, two-bone limbs. Does not belong here: where the figure is (kinematics), what it looks like
(render).

Joints are metres, `(forward, up)` of the point on the ground under the hips. Bones have constant lengths. Feet that
stand are fixed at a place of the way: the gait's phase is driven by the distance gone, never by time.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs.scenes import Human, Posture, ScenesConfig
from pipeline.scenes import speeds
from pipeline.scenes.kinematics import Movement

Array = NDArray[np.float64]

JOINTS = (
    "hips", "head", "left_elbow", "left_hand", "right_elbow", "right_hand",
    "left_knee", "left_foot", "right_knee", "right_foot",
)  # fmt: skip
HIPS, HEAD, LEFT_ELBOW, LEFT_HAND, RIGHT_ELBOW, RIGHT_HAND, LEFT_KNEE, LEFT_FOOT, RIGHT_KNEE, RIGHT_FOOT = range(10)
FEET = (LEFT_FOOT, RIGHT_FOOT)
_CHANNELS = ("lean", "hip", "left", "left_elbow", "right", "right_elbow", "stride", "seat")


def shoulder(joints: Array, human: Human) -> Array:
    """The shoulders `(…, 2)`, which lie on the line from the hips to the head."""
    share = human.shoulder / human.head
    at: Array = joints[..., HIPS, :] + share * (joints[..., HEAD, :] - joints[..., HIPS, :])
    return at


def bones(human: Human) -> dict[tuple[int, int], float]:
    """Lengths in metres between joints that a bone connects, for a human of scale 1."""
    return {
        (HIPS, HEAD): human.head,
        (LEFT_ELBOW, LEFT_HAND): human.forearm,
        (RIGHT_ELBOW, RIGHT_HAND): human.forearm,
        (HIPS, LEFT_KNEE): human.thigh,
        (LEFT_KNEE, LEFT_FOOT): human.shank,
        (HIPS, RIGHT_KNEE): human.thigh,
        (RIGHT_KNEE, RIGHT_FOOT): human.shank,
    }


def mirrored(joints: NDArray[Any]) -> NDArray[Any]:
    """Left and right exchanged; the figure itself looks the same from its other side."""
    order = [HIPS, HEAD, RIGHT_ELBOW, RIGHT_HAND, LEFT_ELBOW, LEFT_HAND, RIGHT_KNEE, RIGHT_FOOT, LEFT_KNEE, LEFT_FOOT]
    return joints[..., order, :]


def posed(movement: Movement, config: ScenesConfig, *, scale: float = 1.0, gravity: float = 9.81) -> Array:
    """Joints `(n, 10, 2)` of a figure that moves so.

    Args:
        movement: by frame.
        config: gait, postures, lengths.
        scale: of the figure; its strides grow with it, and its gait is that of a human at the same speed by its size.
        gravity: m/s²; where it is low, strides are flights.
    """
    human, fps = config.human, config.fps
    gone, speed = movement.distance / scale, movement.speed / scale
    still, going = _channels(movement, config), _weight(speed, fps)
    gait = {name: np.interp(speed, config.gait.speed_mps, getattr(config.gait, name)) for name in _GAIT}
    phase = _phase(gone, speed, gait["stride_m"], config)
    swing = np.sin(2.0 * np.pi * phase)
    drop = max(config.themes.earth_mps2 / gravity - 1.0, 0.0)

    lean = np.radians(still["lean"] * (1.0 - going) + gait["lean_deg"] * going)
    hip = human.leg * (still["hip"] * (1.0 - going) + gait["hip"] * going)
    hip = hip + gait["bob_m"] * np.cos(4.0 * np.pi * phase)
    flight = config.gait.float_per_gravity * drop * 0.2 * going
    rest = speed <= _REST_MPS
    forward, up, stands = [], [], []
    for side in (0, 1):
        aside = (0.5 - side) * still["stride"] + still["seat"] * (0.9 * human.thigh + 0.05 * (0.5 - side))
        step = _foot(phase + 0.5 * side, gone, rest, aside, gait)
        along = step.along - gone
        raised = _stepping(along, movement.heading, config) + _sidling(step.aside, rest & step.stands, config)
        forward.append(along)
        up.append(step.up + raised)
        stands.append(step.stands & (raised < 1e-3))
    if drop:
        rise = flight * (1.0 - np.cos(4.0 * np.pi * (phase + 0.125)))
        hip, up = hip + rise, [height + rise for height in up]
        stands = [stand & (rise < 1e-3) for stand in stands]
    for side in (0, 1):  # a standing foot is within reach: the hips come down to it
        reach = np.sqrt(np.maximum((0.995 * human.leg) ** 2 - forward[side] ** 2, 0.04))
        hip = np.where(stands[side] | (going < 0.99), np.minimum(hip, up[side] + reach), hip)
    joints = np.zeros((len(gone), 10, 2))
    joints[:, HIPS, 1] = hip
    for side, (knee, foot) in enumerate(((LEFT_KNEE, LEFT_FOOT), (RIGHT_KNEE, RIGHT_FOOT))):
        joints[:, knee], joints[:, foot] = _leg(hip, forward[side], up[side], human)
    joints[:, HEAD] = joints[:, HIPS] + human.head * np.stack([np.sin(lean), np.cos(lean)], axis=-1)
    at = shoulder(joints, human)
    for side, (name, elbow, hand) in enumerate((("left", LEFT_ELBOW, LEFT_HAND), ("right", RIGHT_ELBOW, RIGHT_HAND))):
        beat = swing * (1.0 if side == 0 else -1.0)
        upper = still[name] * (1.0 - going) + gait["arm_deg"] * beat * going
        bent = still[f"{name}_elbow"] * (1.0 - going) + gait["elbow_deg"] * (1.0 + 0.15 * beat) * going
        upper, lower = np.radians(upper), np.radians(upper + bent)
        joints[:, elbow] = at + human.upper_arm * np.stack([np.sin(upper), -np.cos(upper)], axis=-1)
        joints[:, hand] = joints[:, elbow] + human.forearm * np.stack([np.sin(lower), -np.cos(lower)], axis=-1)
    return joints * scale


_REST_MPS = 0.02  # of a figure that stays
_GAIT = ("stride_m", "duty", "hip", "bob_m", "lift_m", "lean_deg", "arm_deg", "elbow_deg")


def _weight(speed: Array, fps: int) -> Array:
    """How much of the gait is in a posture: none at rest, all from half a walk on, blended in time."""
    share = np.clip(speed / 0.5, 0.0, 1.0)
    return _blended(share * share * (3.0 - 2.0 * share), 0.2 * fps)


def _phase(gone: Array, speed: Array, stride: Array, config: ScenesConfig) -> Array:
    """Strides gone; at each rest a whole number of steps, so that both feet are under the hips there."""
    steps = np.diff(gone, prepend=gone[0])
    raw = np.cumsum(steps / stride)
    rest = speed <= _REST_MPS
    begins = np.flatnonzero(rest & ~np.concatenate([[False], rest[:-1]]))
    if not rest[0]:
        begins = np.concatenate([[0], begins])
    known = [raw[begins[0]]]
    whole = [0.0]
    for at in begins[1:]:
        span = raw[at] - known[-1]
        ways = gone[at] - gone[begins[len(known) - 1]] if len(known) <= len(begins) else 0.0
        steps_gone = max(round(2.0 * span), 1 if ways > config.gait.least_move_m else 0)
        known.append(raw[at])
        whole.append(whole[-1] + 0.5 * steps_gone)
    out = np.interp(raw, known, whole)
    after: Array = np.where(raw > known[-1], whole[-1] + raw - known[-1], out)
    return after


@dataclass(frozen=True)
class _Foot:
    """A foot by frame `(n,)`: where on the way, how high, what of where is posture, and whether it stands."""

    along: Array
    up: Array
    aside: Array
    stands: NDArray[np.bool_]


def _foot(phase: Array, gone: Array, rest: NDArray[np.bool_], aside: Array, gait: dict[str, Array]) -> _Foot:
    """A foot that stands at places of the way and swings from each to the next.

    It stands about each whole phase, where the hips are in the middle of that, and wherever its figure rests: who comes
    to rest with this foot in the air sets it down beside the other, and sets out from there by half a stride.

    Args:
        phase: its own, in strides.
        gone: metres.
        rest: whether its figure stays.
        aside: how far from under the hips the posture of a figure that stays has it. A foot that stands keeps that
            until it is lifted.
        gait: stride, duty and lift.
    """
    begins, ends, places = _contacts(phase, gone, rest, gait)
    k = np.clip(np.searchsorted(begins, phase + 1e-9, side="right") - 1, 0, len(begins) - 2)
    stands = phase <= ends[k] + 1e-9
    u = np.clip((phase - ends[k]) / np.maximum(begins[k + 1] - ends[k], 1e-6), 0.0, 1.0)
    ease = np.clip((u - _LIFTED) / (_LOWERED - _LIFTED), 0.0, 1.0)
    ease = ease * ease * (3.0 - 2.0 * ease)
    first, last = np.zeros(len(begins)), np.zeros(len(begins))
    frames = np.flatnonzero(rest & stands)
    last[k[frames]], first[k[frames[::-1]]] = aside[frames], aside[frames[::-1]]
    seen = np.full(len(begins), len(phase))
    np.minimum.at(seen, k[frames], frames)
    held = np.where(np.arange(len(phase)) < seen[k], first[k], last[k])
    beside = np.where(rest & stands, aside, held + ease * (first[k + 1] - held))
    known, index = np.unique(phase, return_index=True)
    lift = np.interp(0.5 * (ends[:-1] + begins[1:]), known, gait["lift_m"][index])[k]
    up = np.where(stands, 0.0, lift * np.sin(np.pi * u**0.8))
    return _Foot(places[k] + ease * (places[k + 1] - places[k]) + beside, up, beside, stands)


_LIFTED, _LOWERED = 0.04, 0.90
"""Shares of a swing in which a foot is off the ground, and goes: it is set down without a swing left in it."""


def _contacts(phase: Array, gone: Array, rest: NDArray[np.bool_], gait: dict[str, Array]) -> tuple[Array, Array, Array]:
    """When a foot stands as `[begin, end]` in strides, and where on the way, in order; the last lies beyond the end."""
    whole = np.arange(np.floor(phase[0]) - 1, np.ceil(phase[-1]) + 3)
    known, index = np.unique(phase, return_index=True)
    place = np.interp(whole, known, gone[index])
    strides = (float(gait["stride_m"][0]), float(gait["stride_m"][-1]))  # beyond the ends, as if it went on
    place = np.where(whole < phase[0], gone[0] - (phase[0] - whole) * strides[0], place)
    place = np.where(whole > phase[-1], gone[-1] + (whole - phase[-1]) * strides[1], place)
    half = 0.5 * np.interp(whole, known, gait["duty"][index])
    stops = np.flatnonzero(rest & ~np.concatenate([[False], rest[:-1]]))
    stops = stops[np.abs(phase[stops] - np.rint(phase[stops])) > 0.25]  # in the air
    at, where = np.unique(phase[stops], return_index=True)
    begins, ends = np.concatenate([whole - half, at]), np.concatenate([whole + half, at])
    order = np.argsort(begins, kind="stable")
    return begins[order], ends[order], np.concatenate([place, gone[stops[where]]])[order]


def _stepping(forward: Array, heading: Array, config: ScenesConfig) -> Array:
    """How high a foot is lifted because its figure turns: one that stands aside of the hips would be wrung.

    Nobody turns round on two feet that stand; who does it at once leaps. `forward` of the hips in metres, `heading` in
    radians, by frame.
    """
    gait, fps = config.gait, config.fps
    swept = np.abs(forward * np.gradient(heading) * fps)
    share = np.clip((swept - gait.wring_mps) / gait.wring_mps, 0.0, 1.0)
    return gait.wring_lift_m * _blended(share * share * (3.0 - 2.0 * share), 0.06 * fps)


def _sidling(aside: Array, stays: NDArray[np.bool_], config: ScenesConfig) -> Array:
    """How high a foot of a figure that stays is lifted for another posture; `aside` as above, metres."""
    gait, fps = config.gait, config.fps
    swept = np.where(stays, np.abs(np.gradient(aside)) * fps, 0.0)
    return gait.wring_lift_m * np.clip(_blended(np.clip(swept / gait.sidle_mps, 0.0, 1.0), 0.06 * fps), 0.0, 1.0)


def _leg(hip: Array, forward: Array, up: Array, human: Human) -> tuple[Array, Array]:
    """Knee and foot `(n, 2)` by two bones that reach for the foot; the knee bends forward."""
    foot = np.stack([forward, up], axis=-1)
    top = np.stack([np.zeros_like(hip), hip], axis=-1)
    way = foot - top
    size = np.hypot(way[:, 0], way[:, 1])
    least, most = abs(human.thigh - human.shank) + 0.05, human.leg * 0.9995
    reach = np.clip(size, least, most)
    way = way / np.maximum(size, 1e-9)[:, None]
    foot = top + way * reach[:, None]
    along = (human.thigh**2 - human.shank**2 + reach**2) / (2.0 * reach)
    aside = np.sqrt(np.maximum(human.thigh**2 - along**2, 0.0))
    knee = top + way * along[:, None] + np.stack([-way[:, 1], way[:, 0]], axis=-1) * aside[:, None]
    return knee, foot


def _channels(movement: Movement, config: ScenesConfig) -> dict[str, Array]:
    """What the postures of the actions say, by frame, each blended into the next."""
    rest = config.postures["rest"]
    postures = [config.postures.get(action.posture, rest) for action in config.actions.values()]
    base = np.array([_base(posture) for posture in postures])[movement.actions]
    beat = np.array([(*posture.beat, posture.hz) for posture in postures])[movement.actions]
    wave = np.sin(2.0 * np.pi * beat[:, 4] * movement.since)
    base[:, 2:6] += beat[:, :4] * wave[:, None]
    if (movement.actions != movement.actions[0]).any():
        base = np.stack([_blended(column, 0.5 * config.posture_blend_s * config.fps) for column in base.T], axis=1)
    return dict(zip(_CHANNELS, base.T, strict=True))


def _base(posture: Posture) -> tuple[float, ...]:
    return (posture.lean, posture.hip, *posture.left, *posture.right, posture.stride, float(posture.seated))


def _blended(values: Array, frames: float) -> Array:
    """Mean over a Hann window of about so many frames either way."""
    reach = max(round(frames), 1)
    weights = np.hanning(2 * reach + 3)[1:-1]
    padded = np.concatenate([np.full(reach, values[0]), values, np.full(reach, values[-1])])
    out: Array = np.convolve(padded, weights / weights.sum(), mode="valid")
    return out


__all__ = ["FEET", "JOINTS", "Array", "bones", "mirrored", "posed", "shoulder", "speeds"]
