"""What is measured on a motion, whoever moved: ours read back from its file, or a recorded person.

Belongs here: measures that need a skeleton in space and no more, gait. Does not belong here: reading
(`bench.gltf_motion`, `bench.mocap`), which clips (`bench.motion_clips`), the page (`bench.motion_quality`).
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline.motion.anatomy import CLEAR_M, beyond_limits, leg_distance, unit_of
from pipeline.motion.measures import contact_slip, ground_error, skating_ratio, smoothness
from pipeline.motion.skeleton import INDEX

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Motion:
    """A moving skeleton of our 22 joints.

    Attributes:
        positions: `(T, 22, 3)` metres.
        turned: `(T, 22, 3, 3)`, or None where only positions are known.
        contacts: `(T, 2)` balls of the feet that stand.
        lowest: `(T, 2)` height of the lowest known point of each foot.
        floor: `(T, 2)` height of the ground under each foot.
        fps: frames a second.
    """

    positions: Array
    turned: Array | None
    contacts: NDArray[np.bool_]
    lowest: Array
    floor: Array
    fps: int


def measures(motion: Motion) -> dict[str, float]:
    """Every measure that needs no path: names end in their unit."""
    limit_frames, limit_excess = beyond_limits(motion.positions, motion.turned)
    root = motion.positions[:, 0]
    moved = np.diff(root, axis=0)
    return {
        "skating_ratio": skating_ratio(motion.positions, motion.floor, motion.fps),
        **contact_slip(motion.positions, motion.contacts, motion.fps),
        **ground_error(motion.lowest, motion.floor, motion.contacts),
        **smoothness(motion.positions, motion.fps),
        "speed_mps": float(np.hypot(moved[:, 0], moved[:, 2]).mean() * motion.fps),
        "limit_frames": limit_frames,
        "limit_excess_deg": limit_excess,
        "crossing_frames": float((leg_distance(motion.positions) < CLEAR_M).mean()),
    }


def gait(motion: Motion) -> tuple[float, float] | None:
    """Median stride length (m) and period (s) of someone who goes on evenly; None where there are no two strides."""
    at = strides(motion)
    if at.size < 2:
        return None
    root = motion.positions[:, 0][:, [0, 2]]
    gone = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(root, axis=0).T))])
    lengths = np.diff(np.interp(at, np.arange(gone.size), gone))
    return float(np.median(lengths)), float(np.median(np.diff(at / motion.fps)))


def strides(motion: Motion) -> Array:
    """When strides begin, `(n,)` frames and parts of them: at each passing of the left ankle by the right one."""
    root = motion.positions[:, 0][:, [0, 2]]
    way = unit_of(root[-1] - root[0])
    velocity = np.gradient(root, 1.0 / motion.fps, axis=0)
    kernel = np.ones(9) / 9.0
    padded = np.pad(velocity, ((4, 4), (0, 0)), mode="edge")
    heading = unit_of(np.stack([np.convolve(padded[:, k], kernel, mode="valid") for k in (0, 1)], axis=-1))
    heading = np.where(np.linalg.norm(heading, axis=-1, keepdims=True) > 0.5, heading, way)
    apart = motion.positions[:, INDEX["L_Ankle"]] - motion.positions[:, INDEX["R_Ankle"]]
    along = np.sum(apart[:, [0, 2]] * heading, axis=-1)
    i = np.flatnonzero((along[:-1] <= 0.0) & (along[1:] > 0.0))
    result: Array = i + along[i] / (along[i] - along[i + 1])
    return result


def bob(motion: Motion) -> float | None:
    """Rise and fall of the pelvis in a stride, m: the median over strides, each level from end to end.

    None without a stride. Over a whole clip it would be that of getting up and down as well.
    """
    at = np.rint(strides(motion)).astype(int)
    if at.size < 2:
        return None
    height = motion.positions[:, 0, 1]
    rises = [height[a : b + 1] - np.linspace(height[a], height[b], b + 1 - a) for a, b in pairwise(at)]
    return float(np.median([np.ptp(rise) for rise in rises]))
