"""What a network is built like, and how many parameters that makes; known without building one.

Belongs here: sizes. Does not belong here: layers (network).
"""

from typing import Self

from pydantic import Field

from configs.base import Config
from configs.trajectories import Position, TrajectoriesConfig
from pipeline.errors import PipelineError
from pipeline.tables import SAMPLE_FRAMES, SAMPLE_JOINTS
from pipeline.trajectories.batches import CONDITIONS

POSE = 2 * SAMPLE_JOINTS


class UnknownSize(PipelineError):
    """There is no size of this name; the message lists those that there are."""


class Shape(Config):
    """A network, and what its numbers mean; kept with its weights.

    Attributes:
        name: of the size.
        width: of a token.
        layers: of the transformer.
        heads: of its attention.
        patch: frames of a token.
        frames: of a sample.
        fps: frames a second.
        feed_forward: times the width.
        dropout: in training.
        position: what the position head says; see the YAML.
        velocity: whether there is a velocity head.
        ground: cells of the ground ahead.
        levels: of how much a cell is trodden.
        text: dimension of the vectors of texts.
        encoder: who makes these.
        damping_s: of the velocity that positions are added to, where it is a damped one.
        velocity_s: over which the last known velocity is taken.
        head_m: from hips to head of a figure of scale 1.
        seed: of the first weights.
    """

    name: str
    width: int
    layers: int
    heads: int
    patch: int = Field(gt=0)
    frames: int = SAMPLE_FRAMES
    fps: int
    feed_forward: int
    dropout: float
    position: Position
    velocity: bool
    ground: int
    levels: int
    text: int = Field(gt=0)
    encoder: str
    damping_s: float
    velocity_s: float
    head_m: float
    seed: int

    @classmethod
    def of(cls, name: str, config: TrajectoriesConfig, *, text: int, encoder: str, fps: int, head_m: float) -> Self:
        """The network of a size in the configuration, for vectors of texts of some dimension.

        Raises:
            UnknownSize: if there is no such size, or its patches don't divide a sample or what is known of it.
        """
        if name not in config.sizes:
            raise UnknownSize(f"no size {name!r}: {', '.join(config.sizes)}")
        size, network = config.sizes[name], config.network
        for what, frames in (("a sample", SAMPLE_FRAMES), ("what is known", round(config.known.seconds * fps))):
            if frames % size.patch:
                raise UnknownSize(f"size {name}: patches of {size.patch} frames don't divide {what} of {frames} frames")
        return cls(
            name=name, **size.model_dump(), **network.model_dump(), ground=config.ground.cells,
            levels=len(config.ground.visits), fps=fps, text=text, encoder=encoder,
            damping_s=config.evaluation.damping_s, velocity_s=config.known.velocity_s, head_m=head_m,
            seed=config.training.seed,
        )  # fmt: skip

    @property
    def tokens(self) -> int:
        """Patches of a sample."""
        return self.frames // self.patch

    @property
    def token_inputs(self) -> int:
        """Values of a token: poses, steps and looks of its frames, and whether each of them is known."""
        return self.patch * (POSE + 4) + 3

    @property
    def parameters(self) -> int:
        """How many parameters the network has."""
        d, p = self.width, self.patch
        layer = (
            _linear(d, 3 * d) + _linear(d, d) + _linear(d, self.feed_forward * d) + _linear(self.feed_forward * d, d)
        )
        layer += 4 * d  # two norms
        inputs = _linear(self.token_inputs, d) + _linear(self.text, d) + _linear(CONDITIONS, d) + (self.tokens + 3) * d
        inputs += _linear(2 * self.ground, d)
        heads = _linear(d, d) + _linear(d, p * POSE)
        heads += (1 + self.velocity) * (_linear(d, d // 2) + _linear(d // 2, 2 * p))
        return inputs + self.layers * layer + 2 * d + heads


def _linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs
