"""The transformer: what is said, how it began and what is recalled in, the way and the pose of every frame out.

Belongs here: layers, how the heads' outputs become ways and poses. Does not belong here: losses, training.

Read from top to bottom. All frames are found at once: tokens are patches of frames and attend to each other both ways.
The text and what is recalled are read for each second by wide layers, once a sample, and added to the tokens of that
second; with the conditions they are tokens of their own before them, too.

The velocity head says how fast and whither apart, so that not knowing whither makes nobody slow; a way that a text
alone tells of is the sum of these. Where a beginning is known, the position head says how much to go by that, by where
earlier moments led and by a velocity that dies away, and what to add. The pose head finds directions of bones, and a
figure of constant bones is built of them.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.scenes.joints import ARMS, HEAD, HIPS, LEGS
from pipeline.trajectories.batches import CONDITIONS, Batch
from pipeline.trajectories.shape import ANGLES, BONES, CONTEXT, POSE, POSITION, VELOCITY, Shape
from pipeline.trajectories.stance import MEASURES

_RECALLED, _TOLD, _PACE = -1.0, -3.0, -3.0
"""Where the heads begin: a forecast goes by what is recalled a little, by the velocity head hardly, and that stays."""


class Shown(NamedTuple):
    """A batch as tensors; see `pipeline.trajectories.batches.Batch`."""

    pose: Tensor
    way: Tensor
    heading: Tensor
    seen: Tensor
    pose_seen: Tensor
    look_seen: Tensor
    has_pose: Tensor
    text: Tensor
    recalled: Tensor
    alike: Tensor
    came: Tensor
    actions: Tensor
    stance: Tensor
    condition: Tensor
    velocity: Tensor
    after: Tensor


class Found(NamedTuple):
    """What the network finds.

    Attributes:
        pose: `(b, n, 20)` metres of a figure of the usual size, for the stances that were shown; zeros where none is to
            be found.
        way: `(b, n, 2)` metres in the frame of reference.
        velocity: `(b, n, 2)` m/s of the velocity head.
        actions: `(b, n, actions)` logits of what is done.
        tokens: `(b, tokens, d)`, of which poses for other stances are found.
    """

    pose: Tensor
    way: Tensor
    velocity: Tensor
    actions: Tensor
    tokens: Tensor


def shown(batch: Batch, device: torch.device | str = "cpu") -> Shown:
    """A batch on a device."""
    return Shown(*(torch.from_numpy(getattr(batch, name)).to(device) for name in Shown._fields))


class Block(nn.Module):
    """Attention and a feed-forward part, each after a norm and added to what came in."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        d = shape.width
        self.heads, self.dropout = shape.heads, shape.dropout
        self.before, self.between = nn.LayerNorm(d), nn.LayerNorm(d)
        self.asked = nn.Linear(d, 3 * d)
        self.answer = nn.Linear(d, d)
        self.wide = nn.Linear(d, shape.feed_forward * d)
        self.narrow = nn.Linear(shape.feed_forward * d, d)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens `(b, n, d)` to tokens."""
        b, n, d = x.shape
        q, k, v = self.asked(self.before(x)).view(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout if self.training else 0.0)
        x = x + functional.dropout(self.answer(mixed.transpose(1, 2).reshape(b, n, d)), self.dropout, self.training)
        inner = functional.gelu(self.wide(self.between(x)))
        return x + functional.dropout(self.narrow(inner), self.dropout, self.training)


class Network(nn.Module):
    """Text, what is known of the beginning and what is recalled, to way and pose.

    Args:
        shape: what it is built like; the number of its parameters is held to what the shape says.
    """

    pose_mean: Tensor
    pose_spread: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        torch.manual_seed(shape.seed)
        d, p = shape.width, shape.patch // shape.grain
        self.shape = shape
        self.beginning = nn.Linear(shape.token_inputs, d)
        self.text = _reader(shape.text, shape)
        self.recalled = _reader(shape.recollections, shape)
        self.condition = nn.Linear(CONDITIONS, d)
        self.place = nn.Parameter(0.02 * torch.randn(shape.tokens + CONTEXT, d))
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(d)
        self.position = _head(d, p * POSITION, shape.dropout)
        self.velocity = _head(d, p * VELOCITY, shape.dropout)
        self.actions = nn.Linear(d, p * shape.actions)
        self.mind, self.stance = nn.Linear(d, shape.figure), nn.Linear(shape.actions + MEASURES, shape.figure)
        self.angles = nn.Linear(shape.figure, ANGLES)
        self.register_buffer("pose_mean", torch.zeros(POSE))
        self.register_buffer("pose_spread", torch.ones(POSE))
        for parameter in self.position[-1].parameters():
            nn.init.zeros_(parameter)  # at first forecasts are those that the head's output is added to
        count = sum(parameter.numel() for parameter in self.parameters())
        if count != shape.parameters:
            raise AssertionError(f"size {shape.name} has {count} parameters, its shape says {shape.parameters}")

    def forward(self, given: Shown) -> Found:
        """What is found for a batch; frames that are not known change nothing of it but by their stances the pose."""
        shape = self.shape
        x = self._tokens(given)
        raw = self._frames(self.velocity(x), VELOCITY)
        pace = functional.softplus(raw[..., :1] + _PACE) * shape.step_mps
        velocity = pace * functional.normalize(raw[..., 1:], dim=-1, eps=1e-3)
        way = self._way(self._frames(self.position(x), POSITION), velocity, given)
        pose = x.new_zeros((*way.shape[:2], POSE), dtype=torch.float32)
        pose[given.has_pose] = self.pose(x[given.has_pose], given.stance[given.has_pose])
        return Found(pose, way, velocity, self._frames(self.actions(x), shape.actions), x)

    def pose(self, tokens: Tensor, stance: Tensor) -> Tensor:
        """Poses `(b, n, 20)` in metres of a figure of the usual size, for stances `(b, n, s)`."""
        b = len(tokens)
        mind = self.mind(tokens)[:, :, None]
        seen = self.stance(stance).reshape(b, self.shape.tokens, self.shape.patch, self.shape.figure)
        angles = self.angles(functional.gelu(mind + seen)).reshape(b, self.shape.frames, ANGLES).float()
        return self._built(angles)

    def _tokens(self, given: Shown) -> Tensor:
        shape, b = self.shape, len(given.text)
        steps = torch.diff(given.way, dim=1, prepend=given.way[:, :1]) * (shape.fps / shape.step_mps)
        pose = (given.pose - self.pose_mean) / self.pose_spread * given.pose_seen[..., None]
        looks = torch.stack([torch.cos(given.heading), torch.sin(given.heading)], dim=-1) * given.look_seen[..., None]
        frames = torch.cat([pose, steps * given.seen[..., None], looks], dim=-1)
        first = slice(None, None, shape.patch)
        flags = torch.stack([each[:, first] for each in (given.seen, given.pose_seen, given.look_seen)], dim=-1)
        text = self.text(given.text * shape.text**0.5).reshape(b, shape.readings, shape.width)
        recalled = self.recalled(self._recollections(given)).reshape(b, shape.readings, shape.width)
        condition = self.condition(given.condition)
        context = torch.stack([text.mean(dim=1), condition, recalled.mean(dim=1)], dim=1)
        tokens = torch.cat([frames.reshape(b, shape.tokens, -1), flags.to(frames.dtype)], dim=-1)
        x = self.beginning(tokens) + condition[:, None] + self._spread(text) + self._spread(recalled)
        x = torch.cat([context, x], dim=1) + self.place
        for block in self.blocks:
            x = block(x)
        normed: Tensor = self.norm(x[:, CONTEXT:])
        return normed

    def _spread(self, readings: Tensor) -> Tensor:
        """Readings `(b, readings, d)` as of the time of each token `(b, tokens, d)`."""
        at = torch.arange(self.shape.tokens, device=readings.device) * self.shape.readings // self.shape.tokens
        return readings[:, at]

    def _recollections(self, given: Shown) -> Tensor:
        """Ways that are recalled, and their mean, as shares of the way of a run."""
        b, shape = len(given.text), self.shape
        ways = given.recalled / (shape.step_mps * given.way.new_tensor(shape.instants_s))[:, None]
        weight = given.alike[..., None, None]
        mean = (ways * weight).sum(dim=1) / (weight.sum(dim=1) + shape.least)
        return torch.cat([ways.reshape(b, -1), mean.reshape(b, -1), given.alike], dim=1)

    def _frames(self, raw: Tensor, size: int) -> Tensor:
        """What a head says of each grain `(b, tokens, grains * size)`, drawn straight to frames `(b, n, size)`."""
        shape = self.shape
        grains = raw.reshape(len(raw), shape.frames // shape.grain, size).float().transpose(1, 2)
        return functional.interpolate(grains, size=shape.frames, mode="linear").transpose(1, 2)

    def _way(self, raw: Tensor, velocity: Tensor, given: Shown) -> Tensor:
        """Positions; those that are known stay as they are."""
        shape, after, seen = self.shape, given.after[..., None], given.seen[..., None]
        own = torch.cumsum(velocity * (after > 0), dim=1) / shape.fps
        rest = torch.cumsum(raw[..., :2] * (after > 0), dim=1) * (shape.step_mps / shape.fps)
        damped = given.velocity[:, None] * (shape.damping_s * (1.0 - torch.exp(-after / shape.damping_s)))
        remembers = given.alike.sum(dim=1)[:, None, None] > 0
        trust = torch.sigmoid(raw[..., 2:3] + _RECALLED) * remembers
        told = torch.sigmoid(raw[..., 3:] + _TOLD)
        going = torch.lerp(torch.lerp(damped, given.came, trust), own, told) + rest
        began = given.seen.any(dim=1)[:, None, None]
        return torch.where(seen, given.way, torch.where(began, going, own))

    def _built(self, angles: Tensor) -> Tensor:
        """Figures of constant bones: hips so high, bones that point so."""
        head, shoulder, upper_arm, forearm, thigh, shank = self.shape.bones
        way = functional.normalize(
            angles[..., 1:].reshape(*angles.shape[:-1], BONES, 2) + self._rest(angles), dim=-1, eps=1e-3
        )
        joints: list[Tensor] = [angles.new_zeros(())] * (POSE // 2)
        high = thigh + shank + 0.1 * angles[..., 0]
        hips = joints[HIPS] = torch.stack([torch.zeros_like(high), high], dim=-1)
        joints[HEAD] = hips + head * way[..., 0, :]
        top = hips + shoulder * way[..., 0, :]
        for k, (elbow, hand) in enumerate(ARMS):
            joints[elbow] = top + upper_arm * way[..., 1 + 2 * k, :]
            joints[hand] = joints[elbow] + forearm * way[..., 2 + 2 * k, :]
        for k, (knee, foot) in enumerate(LEGS):
            joints[knee] = hips + thigh * way[..., 5 + 2 * k, :]
            joints[foot] = joints[knee] + shank * way[..., 6 + 2 * k, :]
        return torch.cat(joints, dim=-1)

    @staticmethod
    def _rest(angles: Tensor) -> Tensor:
        """The directions of somebody who stands upright: the head up, all else down."""
        rest = angles.new_zeros(BONES, 2)
        rest[0, 1], rest[1:, 1] = 1.0, -1.0
        return rest


def _reader(inputs: int, shape: Shape) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, shape.reader),
        nn.GELU(),
        nn.Dropout(shape.dropout),
        nn.Linear(shape.reader, shape.readings * shape.width),
    )


def _head(d: int, outputs: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(d, d // 2), nn.GELU(), nn.Dropout(dropout), nn.Linear(d // 2, outputs))
