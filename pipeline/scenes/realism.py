"""What is true of a story in which actors move, beside the same one animated in place: limbs move, positions don't.

Belongs here: measures of a story that is played. Does not belong here: the limits that samples are held to
(validation), films of both (render).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from configs.scenes import ScenesConfig
from pipeline.scenes import speeds
from pipeline.scenes.joints import FEET
from pipeline.scenes.kinematics import Movement
from pipeline.scenes.paths import direction_of, heading_of
from pipeline.scenes.render import Played

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Realism:
    """How true stories are, over all their actors.

    Attributes:
        speed_share: speed over the ground as a share of the action's in the table, mean of frames whose action moves.
        way_share: metres gone as a share of those that strides tell of.
        slide_mps: mean speed over the ground of feet that stand, of those who stride.
        reach_m: how far from where it began somebody comes who strides, mean.
        faces_share: share of strides' frames in which a figure goes where it looks, within the limit of the check.
    """

    speed_share: float
    way_share: float
    slide_mps: float
    reach_m: float
    faces_share: float


def realism(stories: Sequence[Sequence[Played]], config: ScenesConfig) -> Realism:
    """Measures of stories as they are played.

    Args:
        stories: the actors of each with all of their frames, as `render.played` gives them, static or not; somebody in
            one of them strides.
        config: speeds, frame rate, limits.
    """
    table, fps = speeds.table(config), config.fps
    shown, gone, told, slid, stood, reach, facing = [], 0.0, 0.0, 0.0, 0, [], []
    for each in (actor for story in stories for actor in story):
        movement = each.movement
        ways = np.diff(movement.position, axis=0)
        steps = np.hypot(ways[:, 0], ways[:, 1])
        wanted = table[movement.actions[1:]]
        strides = wanted > 0
        if not strides.any():
            continue
        reach.append(float(np.linalg.norm(movement.position - movement.position[0], axis=1).max()))
        shown.append(steps[strides] * fps / wanted[strides])
        gone, told = gone + float(steps.sum()), told + float(movement.distance[-1] - movement.distance[0])
        off = np.abs((heading_of(ways) - movement.heading[1:] + np.pi) % (2.0 * np.pi) - np.pi)
        limit = np.radians(config.limits.facing_deg)
        facing.append(((off < limit) & (steps * fps > config.limits.facing_from_mps))[strides])
        slides, count = _slides(movement, each.joints, config)
        slid, stood = slid + slides, stood + count
    return Realism(
        speed_share=float(np.concatenate(shown).mean()),
        way_share=gone / told,
        slide_mps=slid / max(stood, 1),
        reach_m=float(np.mean(reach)),
        faces_share=float(np.concatenate(facing).mean()),
    )


def _slides(movement: Movement, joints: Array, config: ScenesConfig) -> tuple[float, int]:
    """Sum of speeds over the ground of feet that stand in two frames in a row, and how many those are."""
    total, count = 0.0, 0
    ahead = direction_of(movement.heading)
    for foot in FEET:
        low = joints[:, foot, 1] < config.limits.contact_m
        stands = low[1:] & low[:-1]
        at = movement.position + joints[:, foot, :1] * ahead
        way = np.diff(at, axis=0)
        speed = np.hypot(way[:, 0], way[:, 1])[stands] * config.fps
        total, count = total + float(speed.sum()), count + int(stands.sum())
    return total, count


__all__ = ["Realism", "realism"]
