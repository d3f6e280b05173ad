"""How good a motion is, in the figures that motion research uses.

Belongs here: measures of joint positions, feet and path. Does not belong here: what is good enough (checks of the
assets).

Every measure works on joint positions, so it judges a clip read back from a file as well as one in memory.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.motion.anatomy import CLEAR_M, beyond_limits, leg_distance
from pipeline.motion.clip import Clip, ClipRequest
from pipeline.motion.rotations import Array, matrices, rotate
from pipeline.motion.skeleton import ANKLE_M, BALL_M, HEEL_M, INDEX, TOE_M, forward

BALLS = (INDEX["L_Foot"], INDEX["R_Foot"])
ANKLES = (INDEX["L_Ankle"], INDEX["R_Ankle"])
GMD_FPS = 20
GMD_HEIGHT_M = 0.05
GMD_SPEED_MPS = 0.5
TOLERANCE_M = 0.005


def measure(clip: Clip, request: ClipRequest) -> dict[str, float]:
    """All measures of a clip while its player lives; names end in their unit.

    Args:
        clip: the motion.
        request: what it had to follow.
    """
    living = slice(0, int(clip.notes.get("dead_from_frame", clip.frames)))  # the dead fall and lie as they do
    positions, turned = forward(clip.rotations[living], clip.root[living])
    path, contacts = clip.path[living], clip.contacts[living]
    floor = floor_under(path[:, 1], clip.fps, clip.footprints)
    t = request.from_ms / 1000.0 + np.arange(positions.shape[0]) / clip.fps
    raw = (
        np.stack([np.interp(t, request.t_ms / 1000.0, v / 1000.0) for v in (request.x_mm, request.z_mm)], axis=-1)
        - clip.origin[[0, 2]]
    )
    return {
        **path_error(positions[:, 0], path[:, [0, 2]], "path"),
        **path_error(positions[:, 0], raw, "raw_path"),
        **contact_slip(positions, contacts, clip.fps),
        "skating_ratio": skating_ratio(positions, floor, clip.fps),
        **ground_error(soles(positions, turned), floor, contacts),
        **smoothness(positions, clip.fps),
        "limit_frames": beyond_limits(positions, matrices(turned))[0],
        "crossing_frames": float((leg_distance(positions) < CLEAR_M).mean()),
        "speed_mean_mps": float(np.mean(np.hypot(*np.diff(path[:, [0, 2]], axis=0).T)) * clip.fps),
        **clip.notes,
    }


def path_error(root: Array, path: Array, name: str) -> dict[str, float]:
    """Mean, 95th percentile, greatest and last horizontal distance of the root to a time-aligned path, metres.

    Args:
        root: `(T, 3)`.
        path: `(T, 2)` x and z.
        name: prefix of the results.
    """
    away = np.hypot(root[:, 0] - path[:, 0], root[:, 2] - path[:, 1])
    return {
        f"{name}_ade_m": float(away.mean()),
        f"{name}_p95_m": float(np.percentile(away, 95)),
        f"{name}_max_m": float(away.max()),
        f"{name}_fde_m": float(away[-1]),
    }


def contact_slip(positions: Array, contacts: NDArray[np.bool_], fps: int) -> dict[str, float]:
    """Mean and greatest horizontal speed of the balls of the feet while their own contact flag is set, m/s.

    A frame counts when the flag is set in it and in the one before.

    Args:
        positions: joints `(T, 22, 3)`.
        contacts: `(T, 2)`.
        fps: frames a second.
    """
    moved = np.diff(positions[:, BALLS], axis=0)
    speed = np.hypot(moved[..., 0], moved[..., 2]) * fps
    held = contacts[1:] & contacts[:-1]
    slips = speed[held]
    return {
        "contact_slip_mps": float(slips.mean()) if slips.size else 0.0,
        "contact_slip_max_mps": float(slips.max()) if slips.size else 0.0,
    }


def skating_ratio(positions: Array, floor: Array, fps: int) -> float:
    """Share of frames in which a foot skates, as GMD and OmniControl define it.

    At 20 frames/s; contact is a ball of the foot lower than 5 cm in a frame and the next; it skates when it moves
    faster than 0.5 m/s there and on average over five frames.

    Args:
        positions: joints `(T, 22, 3)`.
        floor: `(T, 2)` height of the ground under each foot.
        fps: frames a second of the positions.
    """
    at = np.arange(0.0, (positions.shape[0] - 1) / fps + 1e-9, 1.0 / GMD_FPS) * fps
    if at.size < 3:
        return 0.0
    frame = np.minimum(at.astype(int), positions.shape[0] - 2)
    share = (at - frame)[:, None, None]
    feet = positions[:, BALLS]
    feet = feet[frame] * (1.0 - share) + feet[frame + 1] * share
    ground = floor[frame] * (1.0 - share[..., 0]) + floor[frame + 1] * share[..., 0]
    low = feet[..., 1] - ground < GMD_HEIGHT_M
    moved = np.diff(feet, axis=0)
    speed = np.hypot(moved[..., 0], moved[..., 2]) * GMD_FPS
    mean = np.stack([np.convolve(np.pad(s, 2, mode="edge"), np.ones(5) / 5.0, mode="valid") for s in speed.T], axis=-1)
    skates = low[1:] & low[:-1] & (speed > GMD_SPEED_MPS) & (mean > GMD_SPEED_MPS)
    return float(np.mean(np.any(skates, axis=1)))


def soles(positions: Array, turned: Array) -> Array:
    """Height of the lowest point of each sole, `(T, 2)`: heel, ball or tip of the toes.

    Args:
        positions: joints `(T, 22, 3)`.
        turned: global quaternions `(T, 22, 4)`.
    """
    lowest = np.empty((positions.shape[0], 2))
    for foot in (0, 1):
        ankle, ball = positions[:, ANKLES[foot]], positions[:, BALLS[foot]]
        points = [
            ankle + rotate(turned[:, ANKLES[foot]], np.array([0.0, -ANKLE_M, -HEEL_M])),
            ball + rotate(turned[:, BALLS[foot]], np.array([0.0, -BALL_M, 0.0])),
            ball + rotate(turned[:, BALLS[foot]], np.array([0.0, -BALL_M, TOE_M])),
        ]
        lowest[:, foot] = np.min(np.stack([p[:, 1] for p in points]), axis=0)
    return lowest


def ground_error(lowest: Array, floor: Array, contacts: NDArray[np.bool_]) -> dict[str, float]:
    """How far soles go into the ground, and how far standing ones float over it, mm beyond a tolerance of 5 mm.

    Args:
        lowest: `(T, 2)` height of the lowest point of each sole.
        floor: `(T, 2)` height of the ground under each foot.
        contacts: `(T, 2)`.
    """
    into = np.maximum(floor - lowest - TOLERANCE_M, 0.0) * 1000.0
    over = np.maximum(lowest - floor - TOLERANCE_M, 0.0)[contacts] * 1000.0
    return {
        "penetration_mm": float(into.mean()),
        "penetration_max_mm": float(into.max()),
        "floating_mm": float(over.mean()) if over.size else 0.0,
    }


def smoothness(positions: Array, fps: int) -> dict[str, float]:
    """Mean third difference (jitter, m/s³) and second difference (m/s²) over joints and frames."""

    def mean(order: int) -> float:
        moved = np.diff(positions, order, axis=0)
        return float(np.mean(np.sqrt(np.sum(moved * moved, axis=-1))) * fps**order) if moved.size else 0.0

    return {"jitter_mps3": mean(3), "acceleration_mps2": mean(2)}


def floor_under(path: Array, fps: int, footprints: Array) -> Array:
    """Height of the ground under each foot, `(T, 2)`: of its footprint; in the air, the lowest that it can be over.

    That is the lower of the footprints it is between and the ground under the body.

    Args:
        path: `(T,)` height of the ground under the body.
        fps: frames a second.
        footprints: as in `Clip`.
    """
    t = np.arange(path.size) / fps
    out = np.stack([path, path], axis=-1)
    for foot in (0, 1):
        own = footprints[footprints[:, 4] == foot]
        if own.size:
            last = np.clip(np.searchsorted(own[:, 5], t, side="right") - 1, 0, own.shape[0] - 1)
            following = np.minimum(last + (t > own[last, 6]), own.shape[0] - 1)
            stands = (t >= own[last, 5]) & (t <= own[last, 6])
            between = np.minimum(np.minimum(own[last, 1], own[following, 1]), path)
            out[:, foot] = np.where(stands, own[last, 1], between)
    return out
