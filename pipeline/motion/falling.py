"""A death: the body falls from wherever it was in its stride, and lies.

Belongs here: the fall after a clip's last living frame. Does not belong here: who dies when (moments, scene), sizes and
times (configs/motion.yaml).

The joints pass from the last pose over buckling knees to a lying one; where the body is follows from what it stands on:
it is as high as its lowest point rests on the ground (or falls freely until it does), and what touches the ground stays
there, but for what is left of its speed.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from configs.motion import Falling
from pipeline.motion.clip import Clip
from pipeline.motion.headings import ease
from pipeline.motion.rotations import Array, about, between, body, conjugate, continuous, multiply, rotate, unit, wrap
from pipeline.motion.skeleton import HEEL_M, INDEX, JOINTS, PARENTS, TOE_M, forward

GRAVITY = 9.81
_POINTS = (
    *((name, name.split("_")[-1], (0.0, 0.0, 0.0)) for name in JOINTS),
    ("Head", "Head", (0.0, 0.10, 0.0)),
    ("L_Wrist", "Wrist", (0.13, 0.0, 0.0)),
    ("R_Wrist", "Wrist", (-0.13, 0.0, 0.0)),
    ("L_Foot", "Foot", (0.0, 0.0, TOE_M)),
    ("R_Foot", "Foot", (0.0, 0.0, TOE_M)),
    ("L_Ankle", "Foot", (0.0, -0.05, -HEEL_M)),
    ("R_Ankle", "Foot", (0.0, -0.05, -HEEL_M)),
)
"""Joint, whose flesh it has, and place in its frame of all that may touch the ground."""


_ARM = ("Shoulder", "Elbow", "Wrist")


def fall(clip: Clip, seed: int, config: Falling) -> Clip:
    """The clip, and after its last frame the fall and the lying body.

    Args:
        clip: until the death, of at least two frames.
        seed: decides the side that it falls to, where speed does not, and how it lies.
        config: times and sizes.
    """
    fps = clip.fps
    frames = round((config.seconds + config.still_s) * fps)
    u = np.minimum(np.arange(1, frames + 1) / (config.seconds * fps), 1.0)
    rng = np.random.default_rng((seed, len(JOINTS)))
    back = min(max(1, round(config.speed_s * fps)), clip.frames - 1)
    velocity = (clip.root[-1] - clip.root[-1 - back]) * fps / back
    heading = _heading(clip.rotations[-1, 0])
    going = float(np.hypot(velocity[0], velocity[2]))
    ahead = float(np.cos(wrap(np.array(np.arctan2(velocity[0], velocity[2]) - heading))))
    draws = rng.random(12)
    onto_face = ahead > 0.0 if going > config.forward_mps else bool(draws[0] < config.onto_face)
    rotations = _joints(clip.rotations[-1], heading, u, draws, config, onto_face=onto_face)
    root = _placed(rotations, clip.root[-1], velocity, float(clip.path[-1, 1]), fps, config)
    path = np.stack([root[:, 0], np.full(frames, clip.path[-1, 1]), root[:, 2]], axis=-1)
    return replace(
        clip,
        rotations=continuous(np.concatenate([clip.rotations, rotations])),
        root=np.concatenate([clip.root, root]),
        contacts=np.concatenate([clip.contacts, np.zeros((frames, 2), dtype=bool)]),
        path=np.concatenate([clip.path, path]),
        heading=np.concatenate([clip.heading, np.full(frames, clip.heading[-1])]),
        notes=clip.notes | {"dead_from_frame": float(clip.frames)},
    )


def _heading(pelvis: Array) -> float:
    """Direction of a pelvis about +y, 0 = +z."""
    x, y, z, w = pelvis
    return float(np.arctan2(2.0 * (x * z + y * w), 1.0 - 2.0 * (x * x + y * y)))


def _joints(begin: Array, heading: float, u: Array, draws: Array, config: Falling, *, onto_face: bool) -> Array:
    """Local rotations `(F, 22, 4)` of the fall: from the last pose, over the buckling, to the lying one."""
    lying = _lying(heading, draws, config, onto_face=onto_face)
    tilts, bends, trails, holds = (ease(u, *when) for when in (config.tilts, config.bends, config.trails, config.holds))
    tilts = tilts**config.tilts_late
    shares = np.repeat(bends[:, None], len(JOINTS), axis=1)
    shares[:, 0] = tilts
    for name in ("Neck", "Head", "L_Elbow", "R_Elbow"):
        shares[:, INDEX[name]] = trails
    for name in ("L_Shoulder", "R_Shoulder", "L_Wrist", "R_Wrist"):  # what is held must not go before into the ground
        shares[:, INDEX[name]] = holds
    out = between(begin[None], lying[None], shares[..., None])
    hump = np.sin(np.pi * np.clip(u / config.buckles, 0.0, 1.0)) ** 2
    hip, knee = np.radians(config.buckle_forward_deg if onto_face else config.buckle_back_deg)
    least, most = config.buckle_share
    for side, share in (("L", least + (most - least) * draws[1]), ("R", least + (most - least) * draws[2])):
        for part, angle in (("Hip", hip), ("Knee", knee), ("Ankle", -config.buckle_ankle * knee)):
            joint = INDEX[f"{side}_{part}"]
            out[:, joint] = multiply(out[:, joint], about(0, share * angle * hump))
    return out


def _lying(heading: float, draws: Array, config: Falling, *, onto_face: bool) -> Array:
    """Local rotations `(22, 4)` of the body on the ground."""
    out = np.zeros((len(JOINTS), 4))
    out[:, 3] = 1.0
    spread = 2.0 * draws[3:12] - 1.0
    turn, roll = np.radians(config.turn_deg) * spread[0], np.radians(config.roll_deg) * spread[1]
    quarter = 0.5 * np.pi
    flat = body(np.array(heading + turn), np.array(quarter if onto_face else -quarter), np.zeros(()))
    out[0] = multiply(flat, about(1, np.array(roll)))

    def bent(name: str, x_deg: float, y_deg: float, z_deg: float) -> None:
        turns = [about(axis, np.array(np.radians(angle))) for axis, angle in ((1, y_deg), (2, z_deg), (0, x_deg))]
        out[INDEX[name]] = multiply(multiply(turns[0], turns[1]), turns[2])

    how = config.face if onto_face else config.back
    for name in ("Spine1", "Spine2", "Spine3"):
        bent(name, how.spine_deg, config.spine_turn_deg * spread[2], config.spine_bend_deg * spread[3])
    aside = np.sign(spread[4]) if onto_face else spread[4]  # nobody lies on the nose
    bent("Head", how.head_deg[0], how.head_deg[1] * aside, 0.0)
    bent("Neck", 0.0, how.neck_deg * aside, 0.0)
    for k, (side, sign) in enumerate((("L", 1.0), ("R", -1.0))):
        loose = spread[5 + k]
        leg = how.drawn_up if spread[7] * sign > 0.0 else how.straight
        flexed, out_deg, apart = leg.hip_deg
        if onto_face:  # thighs are turned out: feet lie on their sides, and a drawn-up knee bends along the ground
            apart_q, out_q = (about(axis, np.array(np.radians(sign * v))) for axis, v in ((2, apart), (1, out_deg)))
            out[INDEX[f"{side}_Hip"]] = multiply(apart_q, out_q)
        else:
            bent(f"{side}_Hip", flexed, sign * out_deg, sign * apart)
        bent(f"{side}_Knee", leg.knee_deg[0] + (leg.knee_deg[1] - leg.knee_deg[0]) * draws[0], 0.0, 0.0)
        bent(f"{side}_Ankle", how.ankle_deg, 0.0, 0.0)
        raised = loose > config.arm_raised or (onto_face and side == "R")  # with what it holds ahead of it
        shoulder, elbow = config.raised_deg if raised else config.lowered_deg
        bent(f"{side}_Shoulder", 0.0, 0.0, sign * shoulder)
        bent(f"{side}_Elbow", 0.0, 0.0, sign * elbow)
    for side in "LR":
        _laid_down(out, side, config)
    return out


def _laid_down(lying: Array, side: str, config: Falling) -> None:
    """Turns an arm at its shoulder until the hand rests on the ground that the trunk lies on."""
    upper, wrist = INDEX[f"{side}_Shoulder"], INDEX[f"{side}_Wrist"]
    trunk = [k for k, (name, _, _) in enumerate(_POINTS) if not name.endswith(_ARM)]
    for _ in range(3):
        positions, turned = forward(lying[None], np.zeros((1, 3)))
        floor = float(_touching(lying[None], config)[0, trunk, 1].min())
        arm = positions[0, wrist] - positions[0, upper]
        over = positions[0, wrist, 1] - floor - config.flesh_m["Wrist"] - config.hand_m
        length = float(np.linalg.norm(arm))
        angle = np.arcsin(np.clip(arm[1] / length, -1.0, 1.0)) - np.arcsin(np.clip((arm[1] - over) / length, -1.0, 1.0))
        axis = unit(np.array([-arm[2], 0.0, arm[0]]))
        down = np.array([*(-np.sin(0.5 * angle) * axis), np.cos(0.5 * angle)])
        parent = turned[0, PARENTS[upper]]
        lying[upper] = multiply(conjugate(parent), multiply(down, turned[0, upper]))


def _placed(rotations: Array, begin: Array, velocity: Array, floor: float, fps: int, config: Falling) -> Array:
    """The pelvis `(F, 3)`: as high as its lowest point rests on the ground, and held where it touches."""
    frames = rotations.shape[0]
    points = _touching(rotations, config)
    lowest = points[..., 1].min(axis=1)
    free = begin[1] + velocity[1] * (t := np.arange(1, frames + 1) / fps) - 0.5 * GRAVITY * t * t
    height = np.maximum(floor - lowest, free)
    slide = velocity[[0, 2]] * np.exp(-t / config.slide_s)[:, None] / fps
    root = np.empty((frames, 3))
    root[:, 1] = height
    at = begin[[0, 2]].copy()
    for i in range(frames):
        if i:
            above = np.maximum(points[i, :, 1] + height[i] - floor, points[i - 1, :, 1] + height[i - 1] - floor)
            weight = np.exp(-above / config.touch_m)
            moved = (points[i] - points[i - 1])[:, [0, 2]]
            held: NDArray[np.float64] = np.sum(weight[:, None] * moved, axis=0) / (np.sum(weight) + config.loose)
            at = at - held
        at = at + slide[i]
        root[i, [0, 2]] = at
    return root


def _touching(rotations: Array, config: Falling) -> Array:
    """The lowest point of the flesh at all that may touch the ground, `(F, n, 3)`, from the pelvis."""
    positions, turned = forward(rotations, np.zeros((rotations.shape[0], 3)))
    out = np.empty((rotations.shape[0], len(_POINTS), 3))
    for k, (name, flesh, place) in enumerate(_POINTS):
        joint = INDEX[name]
        out[:, k] = positions[:, joint] + rotate(turned[:, joint], np.array(place))
        out[:, k, 1] -= config.flesh_m.get(flesh, config.other_flesh_m)
    return out
