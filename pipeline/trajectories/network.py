"""The transformer: what is said and how it began in, pose and position of every frame out.

Belongs here: layers, and how the position head's output becomes positions. Does not belong here: losses, training.

Read from top to bottom. All frames are found at once: tokens are patches of frames and attend to each other both ways.
The text, the conditions and the ground ahead are tokens of their own before them, and are added to every token as well.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.trajectories.batches import CONDITIONS, Batch
from pipeline.trajectories.shape import POSE, Shape

STEP_MPS = 5.0
"""Steps are shown to the network as shares of a run's."""


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
    ground: Tensor
    condition: Tensor
    velocity: Tensor
    after: Tensor


class Found(NamedTuple):
    """What the network finds.

    Attributes:
        pose: `(b, n, 20)` in standard deviations from the mean pose.
        way: `(b, n, 2)` metres in the frame of reference.
        velocity: `(b, n, 2)` m/s of the head of its own, or None.
    """

    pose: Tensor
    way: Tensor
    velocity: Tensor | None


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
    """Text, and what is known of the beginning, to pose and position.

    Args:
        shape: what it is built like; the number of its parameters is held to what the shape says.
    """

    pose_mean: Tensor
    pose_spread: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        torch.manual_seed(shape.seed)
        d, p = shape.width, shape.patch
        self.shape = shape
        self.beginning = nn.Linear(shape.token_inputs, d)
        self.text = nn.Linear(shape.text, d)
        self.condition = nn.Linear(CONDITIONS, d)
        self.ground = nn.Linear(2 * shape.ground, d)
        self.place = nn.Parameter(0.02 * torch.randn(shape.tokens + 3, d))
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(d)
        self.pose = nn.Sequential(nn.Linear(d, d), nn.GELU(), nn.Linear(d, p * POSE))
        self.position = _head(d, 2 * p, shape.dropout)
        self.velocity = _head(d, 2 * p, shape.dropout) if shape.velocity else None
        self.register_buffer("pose_mean", torch.zeros(POSE))
        self.register_buffer("pose_spread", torch.ones(POSE))
        for parameter in self.position[-1].parameters():
            nn.init.zeros_(parameter)  # at first positions are those that the head's output is added to
        count = sum(parameter.numel() for parameter in self.parameters())
        if count != shape.parameters:
            raise AssertionError(f"size {shape.name} has {count} parameters, its shape says {shape.parameters}")

    def forward(self, given: Shown) -> Found:
        """What is found for a batch; frames that are not known change nothing of it."""
        shape = self.shape
        b = len(given.text)
        steps = torch.diff(given.way, dim=1, prepend=given.way[:, :1]) * (shape.fps / STEP_MPS)
        pose = (given.pose - self.pose_mean) / self.pose_spread * given.pose_seen[..., None]
        looks = torch.stack([torch.cos(given.heading), torch.sin(given.heading)], dim=-1) * given.look_seen[..., None]
        frames = torch.cat([pose, steps * given.seen[..., None], looks], dim=-1)
        tokens = frames.reshape(b, shape.tokens, -1)
        first = slice(None, None, shape.patch)
        known = (given.seen, given.pose_seen, given.look_seen)
        flags = torch.stack([each[:, first] for each in known], dim=-1).to(tokens.dtype)
        trodden = torch.cat([given.ground > 0, given.ground / shape.levels], dim=-1).to(tokens.dtype)
        context = torch.stack([self.text(given.text), self.condition(given.condition), self.ground(trodden)], dim=1)
        x = self.beginning(torch.cat([tokens, flags], dim=-1)) + context.sum(dim=1, keepdim=True)
        x = torch.cat([context, x], dim=1) + self.place
        for block in self.blocks:
            x = block(x)
        x = self.norm(x[:, 3:])
        found = self.pose(x).reshape(b, shape.frames, POSE)
        raw = self.position(x).reshape(b, shape.frames, 2).float()
        speed = None if self.velocity is None else self.velocity(x).reshape(b, shape.frames, 2).float()
        return Found(found.float(), self._way(raw, given), speed)

    def _way(self, raw: Tensor, given: Shown) -> Tensor:
        """Positions from the position head; those that are known stay as they are."""
        after, seen, tau = given.after[..., None], given.seen[..., None], self.shape.damping_s
        gone = after if self.shape.position == "constant" else tau * (1.0 - torch.exp(-after / tau))
        if self.shape.position == "step":
            rest = torch.cumsum(raw * (after > 0), dim=1) * (STEP_MPS / self.shape.fps)
        else:
            rest = after * raw  # what is wrong grows with time, and is nothing at first
        return torch.where(seen, given.way, given.velocity[:, None] * gone + rest)


def _head(d: int, outputs: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(d, d // 2), nn.GELU(), nn.Dropout(dropout), nn.Linear(d // 2, outputs))
