"""How wrong the network is: positions, speeds, directions, what is done, poses and standing feet, each by itself.

Belongs here: losses of a batch. Does not belong here: measures for people (evaluation).
"""

import torch
from torch import Tensor
from torch.nn import functional

from configs.trajectories import Losses
from pipeline.scenes.joints import FEET
from pipeline.trajectories.network import Found, Network, Shown

_TINY = 1e-4  # m², so that the root of an error of zero has a slope


def losses(network: Network, given: Shown, found: Found, config: Losses, contact_m: float) -> dict[str, Tensor]:
    """Each loss, and their weighted sum as `total`.

    - `position`: metres between where somebody is and where it is found to be, over frames that are not known; an
      error `horizon_s` ahead counts half. Of samples of which a beginning is known.
    - `told`: the same where a text alone is known; all frames count alike.
    - `speed`, `direction`: m/s between the true speed and the found one; one less the cosine between true and found
      way, by the true speed. Of samples with poses: what somebody does has a speed, where an unknown way is best
      forecast too short.
    - `action`: cross entropy of what is done.
    - `pose`: Huber, in standard deviations.
    - `foot`: m/s of found feet over the ground where the true ones stand, on the true way.

    Args:
        network: whose mean pose is meant.
        given: the batch, with what is to be found.
        found: by the network.
        config: weights.
        contact_m: height below which a foot stands.
    """
    wanted = ~given.seen
    ahead = (wanted & (given.after > 0)).float()
    began = given.seen.any(dim=1)
    off = torch.sqrt((found.way - given.way).square().sum(-1) + _TINY) - _TINY**0.5
    near = ahead / (1.0 + given.after / config.horizon_s)
    weight = torch.where(began[:, None], near, ahead)
    each = (off * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1e-6)

    fps = network.shape.fps
    true, moved = (torch.diff(way, dim=1) * fps for way in (given.way, found.way))
    posed = wanted & given.has_pose[:, None]
    between = (ahead * given.has_pose[:, None])[:, 1:]
    fast, found_fast = (torch.sqrt(v.square().sum(-1) + _TINY) - _TINY**0.5 for v in (true, moved))
    alike = (true * moved).sum(-1) / ((fast + 1e-2) * (found_fast + 1e-2))

    truth = (given.pose - network.pose_mean) / network.pose_spread
    wrong = functional.smooth_l1_loss(
        (found.pose - network.pose_mean) / network.pose_spread, truth, reduction="none"
    ).mean(-1)
    does = functional.cross_entropy(found.actions.flatten(0, 1), given.actions.flatten(), reduction="none")
    out = {
        "position": _mean(each, began.float()),
        "told": _mean(each, (~began).float()),
        "speed": _mean((fast - found_fast).abs(), between),
        "direction": _mean(fast * (1.0 - alike), between),
        "action": _mean(does.reshape(wanted.shape), posed.float()),
        "pose": _mean(wrong, posed.float()),
        "foot": _slide(network, given, found, true, between, contact_m),
    }
    out["total"] = sum(
        (getattr(config, name) * value for name, value in out.items()), torch.zeros((), device=off.device)
    )
    return out


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp(min=1.0)


def _slide(network: Network, given: Shown, found: Found, true: Tensor, these: Tensor, contact_m: float) -> Tensor:
    b, n, _ = found.pose.shape
    true_joints, joints = (pose.reshape(b, n, -1, 2) for pose in (given.pose, found.pose))
    scale = torch.exp(given.condition[:, 0])[:, None, None]
    ahead = torch.stack([torch.cos(given.heading), -torch.sin(given.heading)], dim=-1)
    total, count = found.way.new_zeros(()), found.way.new_zeros(())
    for foot in FEET:
        low = true_joints[:, :, foot, 1] < contact_m
        stands = (low[:, 1:] & low[:, :-1]) * these
        over = true + torch.diff(joints[:, :, foot, :1] * scale * ahead, dim=1) * network.shape.fps
        total = total + (torch.sqrt(over.square().sum(-1) + _TINY) * stands).sum()
        count = count + stands.sum()
    return total / count.clamp(min=1.0)
