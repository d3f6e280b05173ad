"""How wrong the network is: position, pose, velocity and standing feet, each by itself.

Belongs here: losses of a batch. Does not belong here: measures for people (evaluation).
"""

import torch
from torch import Tensor
from torch.nn import functional

from configs.trajectories import Losses
from pipeline.scenes.figure import FEET
from pipeline.trajectories.network import Found, Network, Shown

_TINY = 1e-4  # m², so that the root of an error of zero has a slope


def losses(network: Network, given: Shown, found: Found, config: Losses, contact_m: float) -> dict[str, Tensor]:
    """Each loss, and their weighted sum as `total`.

    - `position`: metres between where somebody is and where it is found to be, over frames that are not known; an
      error `horizon_s` ahead counts half.
    - `pose`: Huber, in standard deviations.
    - `velocity`: m/s between the true velocity and that of the found positions, and that of the velocity head.
    - `foot`: m/s of found feet over the ground where the true ones stand.

    Args:
        network: whose mean pose is meant.
        given: the batch, with what is to be found.
        found: by the network.
        config: weights.
        contact_m: height below which a foot stands.
    """
    wanted = ~given.seen
    ahead = wanted & (given.after > 0)
    weight = ahead / (1.0 + given.after / config.horizon_s)
    off = torch.sqrt((found.way - given.way).square().sum(-1) + _TINY) - _TINY**0.5
    position = (off * weight).sum() / weight.sum().clamp(min=1.0)

    posed = wanted & given.has_pose[:, None]
    truth = (given.pose - network.pose_mean) / network.pose_spread
    wrong = functional.smooth_l1_loss(found.pose, truth, reduction="none").mean(-1)
    pose = (wrong * posed).sum() / posed.sum().clamp(min=1)

    fps = network.shape.fps
    true_velocity = torch.diff(given.way, dim=1) * fps
    moved = torch.diff(found.way, dim=1) * fps
    between = ahead[:, 1:]
    error = (moved - true_velocity).abs().sum(-1)
    if found.velocity is not None:
        error = error + (found.velocity[:, 1:] - true_velocity).abs().sum(-1)
    velocity = (error * between).sum() / between.sum().clamp(min=1)

    foot = _slide(network, given, found, moved, between & given.has_pose[:, None], contact_m)
    out = {"position": position, "pose": pose, "velocity": velocity, "foot": foot}
    out["total"] = sum(
        (getattr(config, name) * value for name, value in out.items()), torch.zeros((), device=off.device)
    )
    return out


def _slide(network: Network, given: Shown, found: Found, moved: Tensor, these: Tensor, contact_m: float) -> Tensor:
    b, n, _ = found.pose.shape
    true_joints = given.pose.reshape(b, n, -1, 2)
    joints = (found.pose * network.pose_spread + network.pose_mean).reshape(b, n, -1, 2)
    scale = torch.exp(given.condition[:, 0])[:, None, None]
    ahead = torch.stack([torch.cos(given.heading), -torch.sin(given.heading)], dim=-1)
    total, count = found.way.new_zeros(()), these.new_zeros((), dtype=torch.float32)
    for foot in FEET:
        low = true_joints[:, :, foot, 1] < contact_m
        stands = low[:, 1:] & low[:, :-1] & these
        reach = joints[:, :, foot, :1] * scale * ahead
        over = moved + torch.diff(reach, dim=1) * network.shape.fps
        total = total + (torch.sqrt(over.square().sum(-1) + _TINY) * stands).sum()
        count = count + stands.sum()
    return total / count.clamp(min=1)
