"""A stick figure of ten joints in its own plane: forward and up.

Belongs here: gait, postures, two-bone limbs. Does not belong here: where the figure is (kinematics), what it looks like
(render).

Joints are metres, `(forward, up)` of the point on the ground under the hips. Bones have constant lengths. Feet that
stand are fixed at a place of the way: the gait's phase is driven by the distance gone, never by time.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from configs.scenes import Human, Posture, ScenesConfig
from pipeline.scenes.joints import ELBOWS, FEET, HANDS, HEAD, HIPS, JOINTS, KNEES, shoulder
from pipeline.scenes.kinematics import Movement

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

_CHANNELS = ("lean", "hip", "left", "left_elbow", "right", "right_elbow", "stride", "seat")


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
    staying = 1.0 - going
    gait = {name: np.interp(speed, config.gait.speed_mps, getattr(config.gait, name)) for name in _GAIT}
    phase = _phase(gone, speed, gait["stride_m"], config)
    swing = np.sin(2.0 * np.pi * phase)
    drop = max(config.themes.earth_mps2 / gravity - 1.0, 0.0)

    lean = np.radians(still["lean"] * staying + gait["lean_deg"] * going)
    hip = human.leg * (still["hip"] * staying + gait["hip"] * going)
    hip = hip + gait["bob_m"] * np.cos(4.0 * np.pi * phase)
    rest = speed <= _REST_MPS
    forward, up, stands = np.empty((2, len(gone))), np.empty((2, len(gone))), np.empty((2, len(gone)), np.bool_)
    turning = np.abs(_gradient(movement.heading))
    for side in (0, 1):
        aside = (0.5 - side) * still["stride"] + still["seat"] * (0.9 * human.thigh + 0.05 * (0.5 - side))
        step = _foot(phase + 0.5 * side, gone, rest, aside, gait)
        along = step.along - gone
        raised = _stepping(along, turning, config) + _sidling(step.aside, rest & step.stands, config)
        forward[side], up[side], stands[side] = along, step.up + raised, step.stands & (raised < 1e-3)
    if drop:
        flight = config.gait.float_per_gravity * drop * 0.2 * going
        rise = flight * (1.0 - np.cos(4.0 * np.pi * (phase + 0.125)))
        hip, up = hip + rise, up + rise
        stands &= rise < 1e-3
    # A standing foot is within reach: the hips come down to it.
    reach = np.sqrt(np.maximum((0.995 * human.leg) ** 2 - forward**2, 0.04))
    for down in np.where(stands | (going < 0.99), up + reach, np.inf):
        hip = np.minimum(hip, down)
    joints = np.zeros((len(gone), len(JOINTS), 2))
    joints[:, HIPS, 1] = hip
    knee, foot = _leg(hip, forward, up, human)
    joints[:, KNEES], joints[:, FEET] = knee.swapaxes(0, 1), foot.swapaxes(0, 1)
    joints[:, HEAD] = joints[:, HIPS] + human.head * _polar(np.sin(lean), np.cos(lean))
    beat = np.stack([swing, -swing])
    posture = {part: np.stack([still[f"left{part}"], still[f"right{part}"]]) for part in ("", "_elbow")}
    upper = posture[""] * staying + gait["arm_deg"] * beat * going
    bent = posture["_elbow"] * staying + gait["elbow_deg"] * (1.0 + 0.15 * beat) * going
    angle = np.radians(np.stack([upper, upper + bent]))
    ways = _polar(np.sin(angle), -np.cos(angle)).swapaxes(1, 2)  # upper arms and forearms, by frame and side
    elbows = shoulder(joints, human)[:, None] + human.upper_arm * ways[0]
    joints[:, ELBOWS], joints[:, HANDS] = elbows, elbows + human.forearm * ways[1]
    return joints * scale


_REST_MPS = 0.02  # of a figure that stays
_GAIT = ("stride_m", "duty", "hip", "bob_m", "lift_m", "lean_deg", "arm_deg", "elbow_deg")


def _weight(speed: Array, fps: int) -> Array:
    """How much of the gait is in a posture: none at rest, all from half a walk on, blended in time."""
    return _blended(_eased(speed / 0.5), 0.2 * fps)


def _phase(gone: Array, speed: Array, stride: Array, config: ScenesConfig) -> Array:
    """Strides gone; at each rest a whole number of steps, so that both feet are under the hips there."""
    steps = np.diff(gone, prepend=gone[0])
    raw = np.cumsum(steps / stride)
    rest = speed <= _REST_MPS
    begins = _begins(rest)
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


def _begins(which: Flags) -> NDArray[np.int64]:
    """The first frame of each stretch."""
    begins = which.copy()
    begins[1:] &= ~which[:-1]
    return np.flatnonzero(begins)


@dataclass(frozen=True)
class _Foot:
    """A foot by frame `(n,)`: where on the way, how high, what of where is posture, and whether it stands."""

    along: Array
    up: Array
    aside: Array
    stands: Flags


def _foot(phase: Array, gone: Array, rest: Flags, aside: Array, gait: dict[str, Array]) -> _Foot:
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
    known, index = _different(phase)
    begins, ends, places = _contacts(phase, known, index, gone, rest, gait)
    k = np.minimum(np.maximum(np.searchsorted(begins, phase + 1e-9, side="right") - 1, 0), len(begins) - 2)
    end, swing = ends[k], np.maximum(begins[1:] - ends[:-1], 1e-6)[k]
    stands = phase <= end + 1e-9
    u = _share((phase - end) / swing)
    ease = _eased((u - _LIFTED) / (_LOWERED - _LIFTED))
    beside = _beside(k, ease, rest & stands, aside, len(begins))
    lift = np.interp(0.5 * (ends[:-1] + begins[1:]), known, gait["lift_m"][index])[k]
    up = np.where(stands, 0.0, lift * np.sin(np.pi * u**0.8))
    return _Foot(places[k] + ease * np.diff(places)[k] + beside, up, beside, stands)


def _beside(k: NDArray[np.int64], ease: Array, stays: Flags, aside: Array, contacts: int) -> Array:
    """What of a foot's place is posture: what that was when its figure last stayed on this contact, on to the next.

    Args:
        k: number of the last contact, by frame.
        ease: how much of the way to the next is gone.
        stays: whether the foot stands and its figure stays.
        aside: how far from under the hips the posture has it.
        contacts: how many there are.
    """
    frames = np.flatnonzero(stays)
    if not len(frames):
        return np.zeros(len(k))
    first, last = np.zeros(contacts), np.zeros(contacts)
    last[k[frames]], first[k[frames[::-1]]] = aside[frames], aside[frames[::-1]]
    seen = np.full(contacts, len(k))
    seen[k[frames[::-1]]] = frames[::-1]
    held = np.where(np.arange(len(k)) < seen[k], first[k], last[k])
    return np.where(stays, aside, held + ease * (first[k + 1] - held))


_LIFTED, _LOWERED = 0.04, 0.90
"""Shares of a swing in which a foot is off the ground, and goes: it is set down without a swing left in it."""


def _different(phase: Array) -> tuple[Array, NDArray[np.int64]]:
    """Phases without those that are there already, in order, and the first frame of each."""
    steps = np.diff(phase)
    if (steps < 0.0).any():  # by rounding
        return np.unique(phase, return_index=True)
    index = np.concatenate([[0], np.flatnonzero(steps) + 1])
    return phase[index], index


def _contacts(
    phase: Array, known: Array, index: NDArray[np.int64], gone: Array, rest: Flags, gait: dict[str, Array]
) -> tuple[Array, Array, Array]:
    """When a foot stands as `[begin, end]` in strides, and where on the way, in order; the last lies beyond the end."""
    whole = np.arange(np.floor(phase[0]) - 1, np.ceil(phase[-1]) + 3)
    place = np.interp(whole, known, gone[index])
    strides = (float(gait["stride_m"][0]), float(gait["stride_m"][-1]))  # beyond the ends, as if it went on
    place = np.where(whole < phase[0], gone[0] - (phase[0] - whole) * strides[0], place)
    place = np.where(whole > phase[-1], gone[-1] + (whole - phase[-1]) * strides[1], place)
    half = 0.5 * np.interp(whole, known, gait["duty"][index])
    stops = _begins(rest)
    stops = stops[np.abs(phase[stops] - np.rint(phase[stops])) > 0.25]  # in the air
    if not len(stops):
        return whole - half, whole + half, place
    at, where = np.unique(phase[stops], return_index=True)
    begins, ends = np.concatenate([whole - half, at]), np.concatenate([whole + half, at])
    order = np.argsort(begins, kind="stable")
    return begins[order], ends[order], np.concatenate([place, gone[stops[where]]])[order]


def _stepping(forward: Array, turning: Array, config: ScenesConfig) -> Array:
    """How high a foot is lifted because its figure turns: one that stands aside of the hips would be wrung.

    Nobody turns round on two feet that stand; who does it at once leaps. `forward` of the hips in metres, `turning` in
    radians a frame, by frame.
    """
    gait, fps = config.gait, config.fps
    swept = np.abs(forward) * turning * fps
    lifted = _eased((swept - gait.wring_mps) / gait.wring_mps)
    return gait.wring_lift_m * _blended(lifted, 0.06 * fps) if lifted.any() else lifted


def _sidling(aside: Array, stays: Flags, config: ScenesConfig) -> Array:
    """How high a foot of a figure that stays is lifted for another posture; `aside` as above, metres."""
    gait, fps = config.gait, config.fps
    swept = np.where(stays, np.abs(_gradient(aside)) * fps, 0.0)
    if not swept.any():
        return swept
    return gait.wring_lift_m * _share(_blended(_share(swept / gait.sidle_mps), 0.06 * fps))


def _share(values: Array) -> Array:
    """Values, and the ends of 0 to 1 for those beyond."""
    return np.minimum(np.maximum(values, 0.0), 1.0)


def _eased(values: Array) -> Array:
    """Shares that begin and end without a jolt."""
    share = _share(values)
    return share * share * (3.0 - 2.0 * share)


def _gradient(values: Array) -> Array:
    """What `np.gradient` finds of `(n,)` values."""
    out = np.empty_like(values)
    out[1:-1] = (values[2:] - values[:-2]) / 2.0
    out[0], out[-1] = values[1] - values[0], values[-1] - values[-2]
    return out


def _polar(forward: Array, up: Array) -> Array:
    """Points `(…, 2)` of their coordinates."""
    out = np.empty((*forward.shape, 2))
    out[..., 0], out[..., 1] = forward, up
    return out


def _leg(hip: Array, forward: Array, up: Array, human: Human) -> tuple[Array, Array]:
    """Knees and feet `(2, n, 2)` by two bones that reach for the foot; the knee bends forward."""
    top = _polar(np.zeros_like(hip), hip)
    way = _polar(forward, up - hip)
    size = np.hypot(way[..., 0], way[..., 1])
    least, most = abs(human.thigh - human.shank) + 0.05, human.leg * 0.9995
    reach = np.minimum(np.maximum(size, least), most)
    way = way / np.maximum(size, 1e-9)[..., None]
    along = (human.thigh**2 - human.shank**2 + reach**2) / (2.0 * reach)
    aside = np.sqrt(np.maximum(human.thigh**2 - along**2, 0.0))
    across = _polar(-way[..., 1], way[..., 0])
    return top + way * along[..., None] + across * aside[..., None], top + way * reach[..., None]


def _channels(movement: Movement, config: ScenesConfig) -> dict[str, Array]:
    """What the postures of the actions say, by frame, each blended into the next."""
    rest, actions = config.postures["rest"], list(config.actions.values())
    codes = np.flatnonzero(np.bincount(movement.actions))
    at = np.searchsorted(codes, movement.actions)
    postures = [config.postures.get(actions[code].posture, rest) for code in codes]
    base = np.array([_base(posture) for posture in postures])[at]
    beat = np.array([(*posture.beat, posture.hz) for posture in postures])[at]
    if beat.any():
        wave = np.sin(2.0 * np.pi * beat[:, 4] * movement.since)
        base[:, 2:6] += beat[:, :4] * wave[:, None]
    if len(codes) > 1:
        base = np.stack([_blended(column, 0.5 * config.posture_blend_s * config.fps) for column in base.T], axis=1)
    return dict(zip(_CHANNELS, base.T, strict=True))


def _base(posture: Posture) -> tuple[float, ...]:
    return (posture.lean, posture.hip, *posture.left, *posture.right, posture.stride, float(posture.seated))


def _blended(values: Array, frames: float) -> Array:
    """Mean over a Hann window of about so many frames either way."""
    reach = max(round(frames), 1)
    padded = np.concatenate([np.full(reach, values[0]), values, np.full(reach, values[-1])])
    out: Array = np.convolve(padded, _hann(reach), mode="valid")
    return out


@cache
def _hann(reach: int) -> Array:
    weights = np.hanning(2 * reach + 3)[1:-1]
    weights /= weights.sum()
    weights.setflags(write=False)
    return weights


__all__ = ["posed"]
