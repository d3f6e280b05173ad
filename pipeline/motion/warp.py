"""A motion that was made without our path, put on it: the root follows the real path, the feet hold the real ground.

Belongs here: the warp, and a foreign motion as a clip of its own. Does not belong here: how a path is planned (path),
how our own bodies move (synthesizer).

What is slower than a stride in the foreign root is its travel: the path takes its place, and the difference between its
heading and the direction our hips would look turns the whole body. What is faster is gait, and stays, up to a bound.
Then every foot that stood in the foreign motion is held where the warped motion has it in the middle of that time; in
between, the correction runs from one place to the next, and the legs are solved again. Only the root, the legs and
their feet change: arms, spine and head are the foreign motion's, turned with the body.
"""

from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from configs.backends import Warp, load_backends
from configs.motion import MotionConfig, load_motion
from pipeline.errors import PipelineError
from pipeline.intents.vocabulary import Intent
from pipeline.motion import headings, path
from pipeline.motion.clip import Clip, ClipRequest
from pipeline.motion.falling import fall
from pipeline.motion.foreign import Motion, resampled
from pipeline.motion.limbs import leg
from pipeline.motion.rotations import Array, about, continuous, multiply, rotate, unit
from pipeline.motion.skeleton import (
    ANKLE_M,
    BALL_M,
    HEEL_M,
    INDEX,
    OFFSETS,
    SHANK_M,
    THIGH_M,
    TOE_M,
    forward,
    locals_of,
)
from pipeline.motion.smoothing import smoothed

LEGS = tuple(tuple(INDEX[f"{side}_{part}"] for part in ("Hip", "Knee", "Ankle", "Foot")) for side in "LR")
_SOLE = (
    (2, np.array([0.0, -ANKLE_M, -HEEL_M])),
    (3, np.array([0.0, -BALL_M, 0.0])),
    (3, np.array([0.0, -BALL_M, TOE_M])),
)
"""Lowest points of a foot: heel under the ankle, ball and toes under the ball."""
_BALL_OFF = OFFSETS[INDEX["L_Foot"]]
_MOST_SINE = 0.9
_FLOOR_SHARE = 2.0
"""The floor of a foreign motion is this percentile of the heights of its soles: single frames go through it."""
_HELD_M = 0.002
"""A leg reaches its place where it comes this near."""


class Unfit(PipelineError):
    """The motion cannot be put on this path: too long, too short, or its legs don't reach."""


def course(request: ClipRequest, config: MotionConfig | None = None) -> tuple[path.Path, headings.Headings]:
    """The path of a request and where a body looks on it, margins included.

    Args:
        request: the moment.
        config: defaults to `configs/motion.yaml`.

    Raises:
        Infeasible: when the samples hold a teleport, a gap, or too little.
    """
    config = config or load_motion()
    way = path.plan(request, config.clips, config.path)
    how = getattr(config.acting, request.intent)
    still = config.gait.still_mps
    # Whether a foreign body is down on a knee, its maker decides: no instant is known at which its hips could not turn.
    free = np.zeros(way.time.size, dtype=bool)
    look = headings.directions(way, config.clips.fps, still, config.turning, chest=how.chest, head=how.head, fixed=free)
    return way, look


def warp(
    motion: Motion,
    request: ClipRequest,
    *,
    backend: str,
    trainable: bool,
    config: Warp | None = None,
    motion_config: MotionConfig | None = None,
) -> Clip:
    """The motion on the requested path.

    Args:
        motion: as its maker gave it, from the clip's first instant to its last.
        request: the moment.
        backend: who made it.
        trainable: whether it may train other models; a motion that may not stays so.
        config: defaults to the section `warp` of `configs/backends.yaml`.
        motion_config: defaults to `configs/motion.yaml`.

    Returns:
        A clip of as many frames as the synthesizer would give. Its root is the path's but for the foreign sway.
        Who dies at the end of the request falls as our own bodies do.

    Raises:
        Infeasible: when the samples hold a teleport, a gap, or too little.
        Unfit: when the motion's length or its legs don't fit.
    """
    config, shape = config or load_backends().warp, motion_config or load_motion()
    fps = shape.clips.fps
    way, look = course(request, shape)
    frames = way.clip.stop - way.clip.start
    wanted_s = (frames - 1) / fps
    stretch = max(motion.seconds / wanted_s, wanted_s / motion.seconds)
    if stretch > config.most_stretch:
        raise Unfit(f"a motion of {motion.seconds:.2f} s for a clip of {wanted_s:.2f} s")
    own = _on_its_floor(_calmed(resampled(motion, frames, fps), shape))
    contacts = own.contacts if own.contacts is not None else stands(own, config)

    ground = np.stack([way.ground[:, 0], way.floor + way.air, way.ground[:, 1]], axis=-1)[way.clip]
    travel = _slow(own.root[:, [0, 2]], config.smoothing_s * fps)
    delta = look.hips[way.clip] - _slow(facing(own.rotations[:, 0]), config.smoothing_s * fps)
    turn = about(1, delta)
    beside = np.zeros((frames, 3))
    beside[:, [0, 2]] = own.root[:, [0, 2]] - travel
    beside = _bounded(rotate(turn, beside), config.sway_bound_m)
    root = ground + beside
    root[:, 1] = ground[:, 1] + own.root[:, 1]
    rotations = own.rotations.copy()
    rotations[:, 0] = multiply(turn, own.rotations[:, 0])
    floor = (way.floor + way.air)[way.clip]
    warped = Motion(continuous(unit(rotations)), root, float(fps), contacts)
    relocked, root, held, prints = _relock(warped, floor, contacts & ~way.flying[way.clip, None], config)
    planted = contacts.sum()
    if planted and held.sum() < config.least_feasible * planted:
        raise Unfit(f"the legs reach {held.sum()} of {planted} planted frames")
    clip = Clip(
        rotations=relocked,
        root=root,
        contacts=held,
        fps=fps,
        path=ground,
        heading=way.view[way.clip],
        footprints=prints,
        origin=way.origin,
        intent=request.intent,
        attacker=request.attacker,
        backend=backend,
        trainable=trainable and motion.trainable,
        notes={
            "path_deviation_max_m": float(way.deviation.max()),
            "path_deviation_mean_m": float(way.deviation.mean()),
            "path_bound_m": shape.path.bound_m,
            "samples": float(np.sum((request.t_ms >= request.from_ms) & (request.t_ms <= request.to_ms))),
            "warp_stretch": float(motion.seconds / wanted_s),
            "warp_moved_m": float(np.linalg.norm((root - own.root)[-1, [0, 2]] - (root - own.root)[0, [0, 2]])),
            "warp_held_share": float(held.sum() / planted) if planted else 1.0,
        },
    )
    return fall(clip, request.seed, shape.falling) if request.dies else clip


def _calmed(motion: Motion, config: MotionConfig) -> Motion:
    """A motion without tremor; its feet are locked anew afterwards."""
    rotations, root = smoothed(motion.rotations, motion.root, *config.export.smoothing)
    return replace(motion, rotations=rotations, root=root)


def as_clip(
    motion: Motion,
    *,
    intent: Intent,
    backend: str = "import",
    config: Warp | None = None,
    motion_config: MotionConfig | None = None,
) -> Clip:
    """A foreign motion as a clip that goes where it goes itself: what an imported file looks like.

    Args:
        motion: any length.
        intent: what it is filed under.
        backend: who made it.
        config: when a foot stands; defaults to the section `warp` of `configs/backends.yaml`.
        motion_config: frame rate; defaults to `configs/motion.yaml`.
    """
    config, fps = config or load_backends().warp, (motion_config or load_motion()).clips.fps
    own = _on_its_floor(resampled(motion, max(2, round(motion.seconds * fps) + 1), fps))
    contacts = own.contacts if own.contacts is not None else stands(own, config)
    positions, _ = forward(own.rotations, own.root)
    travel = _slow(own.root[:, [0, 2]], config.smoothing_s * fps)
    flat = np.zeros((own.frames, 3))
    flat[:, [0, 2]] = travel
    prints = [
        (*_place(positions[a:b, LEGS[foot][3]]), 0.0, float(foot), a / fps, (b - 1) / fps)
        for foot in (0, 1)
        for a, b in _runs(contacts[:, foot])
    ]
    return Clip(
        rotations=own.rotations,
        root=own.root,
        contacts=contacts,
        fps=fps,
        path=flat,
        heading=facing(own.rotations[:, 0]),
        footprints=np.array([(x, 0.0, z, *rest) for x, _, z, *rest in prints], dtype=np.float64).reshape(-1, 7),
        origin=np.zeros(3),
        intent=intent,
        attacker=None,
        backend=backend,
        trainable=motion.trainable,
    )


def stands(motion: Motion, config: Warp) -> NDArray[np.bool_]:
    """Whether each foot stands, `(T, 2)`: low over the motion's floor (y = 0) and slow, for long enough."""
    positions, turned = forward(motion.rotations, motion.root)
    speed = np.hypot(*np.gradient(motion.root[:, [0, 2]], 1.0 / motion.fps, axis=0).T)
    slow = np.maximum(config.contact_speed_mps, config.contact_share * speed)
    out = np.zeros((motion.frames, 2), dtype=bool)
    for foot in (0, 1):
        ball = positions[:, LEGS[foot][3]]
        moved = np.hypot(*np.gradient(ball[:, [0, 2]], 1.0 / motion.fps, axis=0).T)
        low = _soles(positions, turned, foot) < config.contact_height_m
        out[:, foot] = low & (moved < slow)
        for a, b in _runs(out[:, foot]):
            if (b - a) / motion.fps < config.contact_s:
                out[a:b, foot] = False
    return out


def facing(pelvis: Array) -> Array:
    """Where the pelvis looks, radians about +y, 0 = +z, unwrapped, of quaternions `(T, 4)`."""
    ahead = rotate(pelvis, np.array([0.0, 0.0, 1.0]))
    left = rotate(pelvis, np.array([1.0, 0.0, 0.0]))
    # Lying or bent double, the front looks at the ground: the left side still tells the direction.
    across = np.stack([-left[:, 2], left[:, 0]], axis=-1)
    flat = np.stack([ahead[:, 0], ahead[:, 2]], axis=-1) + across
    return np.unwrap(np.arctan2(flat[:, 0], flat[:, 1]))


def _on_its_floor(motion: Motion) -> Motion:
    """The same motion with its floor at y = 0 and its start over the origin."""
    positions, turned = forward(motion.rotations, motion.root)
    lowest = np.minimum(_soles(positions, turned, 0), _soles(positions, turned, 1))
    root = motion.root - np.array([motion.root[0, 0], np.percentile(lowest, _FLOOR_SHARE), motion.root[0, 2]])
    return Motion(motion.rotations, root, motion.fps, motion.contacts, motion.trainable)


def _soles(positions: Array, turned: Array, foot: int) -> Array:
    """Height of the lowest point of a sole, `(T,)`."""
    points = [(positions[:, LEGS[foot][k]] + rotate(turned[:, LEGS[foot][k]], below))[:, 1] for k, below in _SOLE]
    lowest: Array = np.min(np.stack(points), axis=0)
    return lowest


def _relock(
    warped: Motion, floor: Array, contacts: NDArray[np.bool_], config: Warp
) -> tuple[Array, Array, NDArray[np.bool_], Array]:
    """Legs solved onto held feet: rotations, root, where feet are really held, and footprints."""
    positions, turned = forward(warped.rotations, warped.root)
    time = np.arange(warped.frames) / warped.fps
    ankles, prints = np.empty((2, warped.frames, 3)), []
    feet, toes = np.empty((2, warped.frames, 4)), np.empty((2, warped.frames, 4))
    for foot in (0, 1):
        _, _, ankle, ball = LEGS[foot]
        shift = np.zeros((warped.frames, 3))
        twist = np.zeros(warped.frames)
        runs = _runs(contacts[:, foot])
        look = facing(turned[:, ankle])
        for a, b in runs:
            middle = (a + b - 1) // 2
            place = positions[middle, ball].copy()
            place[1] = floor[middle] + BALL_M
            shift[a:b] = place - positions[a:b, ball]
            twist[a:b] = look[middle] - look[a:b]
            prints.append((place[0], floor[middle], place[2], look[middle], float(foot), time[a], time[b - 1]))
        _between(shift, runs)
        _between(twist, runs)
        spin = about(1, twist)
        feet[foot] = multiply(spin, turned[:, ankle])
        toes[foot] = multiply(spin, turned[:, ball])
        target = positions[:, ball] + shift
        feet[foot], toes[foot] = _levelled(target[:, 1] - floor, feet[foot], toes[foot])
        raised = _lift(target, feet[foot], toes[foot], OFFSETS[ball], floor, contacts[:, foot])
        target[:, 1] += raised
        ankles[foot] = target - rotate(feet[foot], OFFSETS[ball])
    root = warped.root.copy()
    root[:, 1] -= _drop(root, turned[:, 0], ankles, contacts, warped.fps, config)
    held = np.zeros_like(contacts)
    for foot in (0, 1):
        hip, knee, ankle, ball = LEGS[foot]
        at = root + rotate(turned[:, 0], OFFSETS[hip])
        left = rotate(turned[:, hip], np.array([1.0, 0.0, 0.0]))
        thigh, shank, reached = leg(at, ankles[foot], THIGH_M, SHANK_M, left, config.most_reach)
        held[:, foot] = contacts[:, foot] & (np.max(np.abs(reached - ankles[foot]), axis=-1) < _HELD_M)
        for joint, value in ((hip, thigh), (knee, shank), (ankle, feet[foot]), (ball, toes[foot])):
            turned[:, joint] = value
    table = np.array(sorted(prints, key=lambda row: (row[4], row[5])), dtype=np.float64).reshape(-1, 7)
    return continuous(unit(locals_of(turned))), root, held, table


def _between(values: Array, runs: list[tuple[int, int]]) -> None:
    """Fills the frames outside runs: from the end of one to the start of the next with level ends, held at the ends."""
    if not runs:
        return
    values[: runs[0][0]] = values[runs[0][0]]
    values[runs[-1][1] :] = values[runs[-1][1] - 1]
    for (_, end), (begin, _) in pairwise(runs):
        u = np.linspace(0.0, 1.0, begin - end + 2)[1:-1]
        w = u * u * (3.0 - 2.0 * u)
        w = w if values.ndim == 1 else w[:, None]
        values[end:begin] = values[end - 1] + w * (values[begin] - values[end - 1])


def _levelled(height: Array, feet: Array, toes: Array) -> tuple[Array, Array]:
    """Feet and toes turned about the ball, as far as heels and toes would be in the ground.

    Args:
        height: of the ball over the ground, `(T,)`.
        feet: global quaternions of the foot `(T, 4)`.
        toes: of its toes.
    """
    heel = rotate(feet, _SOLE[0][1] - _BALL_OFF)
    tip = rotate(toes, _SOLE[2][1])
    raise_heel = np.arcsin(np.clip(-(height + heel[:, 1]) / np.linalg.norm(_SOLE[0][1] - _BALL_OFF), 0.0, _MOST_SINE))
    raise_tip = np.arcsin(np.clip(-(height + tip[:, 1]) / np.linalg.norm(_SOLE[2][1]), 0.0, _MOST_SINE))
    return multiply(feet, about(0, raise_heel)), multiply(toes, about(0, -raise_tip))


def _lift(target: Array, feet: Array, toes: Array, ball_below: Array, floor: Array, held: NDArray[np.bool_]) -> Array:
    """How far a foot in the air must rise so that no point of its sole is in the ground, `(T,)`; a held one stays."""
    ankle = target - rotate(feet, ball_below)
    lowest = np.min(
        np.stack([((ankle if k == 2 else target) + rotate(feet if k == 2 else toes, b))[:, 1] for k, b in _SOLE]),
        axis=0,
    )
    return np.where(held, 0.0, np.maximum(floor - lowest, 0.0))


def _drop(root: Array, pelvis: Array, ankles: Array, contacts: NDArray[np.bool_], fps: float, config: Warp) -> Array:
    """How far the pelvis is lowered so that standing legs reach, `(T,)` metres, smooth and bounded."""
    longest = config.most_reach * config.easy_reach * (THIGH_M + SHANK_M)
    need = np.zeros(root.shape[0])
    for foot in (0, 1):
        hip = root + rotate(pelvis, OFFSETS[LEGS[foot][0]])
        away = np.hypot(hip[:, 0] - ankles[foot, :, 0], hip[:, 2] - ankles[foot, :, 2])
        height = np.sqrt(np.maximum(longest**2 - away**2, 0.0))
        reachable = contacts[:, foot] & (away < longest)
        need = np.maximum(need, np.where(reachable, hip[:, 1] - ankles[foot, :, 1] - height, 0.0))
    need = np.clip(need, 0.0, config.most_drop_m)
    radius = max(1, round(config.sink_s * fps))
    padded = np.pad(need, 2 * radius, mode="edge")
    widest = np.max(np.lib.stride_tricks.sliding_window_view(padded, 2 * radius + 1), axis=-1)
    kernel = np.hanning(2 * radius + 3)[1:-1]
    lowered: Array = np.convolve(widest, kernel / kernel.sum(), mode="valid")
    return lowered


def _place(balls: Array) -> Array:
    middle: Array = balls[(balls.shape[0] - 1) // 2]
    return middle


def _slow(values: Array, sigma_frames: float) -> Array:
    return path.smooth(values, sigma_frames)


def _bounded(offset: Array, bound: float) -> Array:
    """Horizontal offsets pressed smoothly into a circle; nearly themselves up to half of it."""
    length = np.hypot(offset[:, 0], offset[:, 2])
    share = np.where(length > 1e-9, bound * np.tanh(length / bound) / np.maximum(length, 1e-9), 1.0)
    pressed: Array = offset * np.stack([share, np.ones_like(share), share], axis=-1)
    return pressed


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First frame and the one after the last of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
