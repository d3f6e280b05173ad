"""What a network is built like, and how many parameters that makes; known without building one.

Belongs here: sizes. Does not belong here: layers (network).
"""

import math
from typing import Self

from pydantic import Field

from configs.base import Config
from configs.scenes import ScenesConfig
from configs.trajectories import TrajectoriesConfig
from pipeline.errors import PipelineError
from pipeline.scenes import speeds
from pipeline.tables import SAMPLE_FRAMES, SAMPLE_JOINTS
from pipeline.trajectories.batches import CONDITIONS
from pipeline.trajectories.stance import MEASURES

POSE = 2 * SAMPLE_JOINTS
BONES = 9
ANGLES = 1 + 2 * BONES
"""What is found of a pose: how high the hips are, and the directions of its bones."""
POSITION, VELOCITY, CONTEXT = 4, 3, 3
"""Values of the position head and of the velocity head; tokens before those of the frames."""


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
        grain: frames from one finding of velocities and what is done to the next, between which they are straight.
        reader: width of what reads a text, or what is recalled.
        figure: width of what finds the pose of a frame.
        step_mps: velocities are shares of it.
        damping_s: of the velocity that forecasts are added to.
        actions: how many there are.
        moments: that are recalled.
        instants_s: at which it is known where they led.
        least: of alikeness, that nothing has.
        text: dimension of the vectors of texts.
        encoder: who makes these.
        bones: metres of a figure of scale 1: head, shoulder (both from the hips), upper arm, forearm, thigh, shank.
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
    grain: int
    reader: int
    figure: int
    step_mps: float
    damping_s: float
    actions: int
    moments: int
    instants_s: tuple[float, ...]
    least: float
    text: int = Field(gt=0)
    encoder: str
    bones: tuple[float, float, float, float, float, float]
    seed: int

    @classmethod
    def of(cls, name: str, config: TrajectoriesConfig, scenes: ScenesConfig, *, text: int, encoder: str) -> Self:
        """The network of a size in the configuration, for vectors of texts of some dimension.

        Raises:
            UnknownSize: if there is no such size, or its patches don't divide a sample or what is known of it.
        """
        if name not in config.sizes:
            raise UnknownSize(f"no size {name!r}: {', '.join(config.sizes)}")
        size, network, human = config.sizes[name], config.network, scenes.human
        for what, frames in (("a sample", SAMPLE_FRAMES), ("what is known", round(config.known.seconds * scenes.fps))):
            if frames % size.patch:
                raise UnknownSize(f"size {name}: patches of {size.patch} frames don't divide {what} of {frames} frames")
        return cls(
            name=name, **size.model_dump(), **network.model_dump(exclude={"grain"}),
            grain=math.gcd(size.patch, network.grain), actions=len(speeds.names(scenes)), fps=scenes.fps,
            moments=config.recall.moments, instants_s=config.recall.instants_s, least=config.recall.least, text=text,
            encoder=encoder,
            bones=(human.head, human.shoulder, human.upper_arm, human.forearm, human.thigh, human.shank),
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
    def readings(self) -> int:
        """How often a text, and what is recalled, is read: for each second, or for each token if these are longer."""
        return min(self.tokens, self.frames // self.fps)

    @property
    def recollections(self) -> int:
        """Values of what is recalled: its ways, their mean, how much alike they are."""
        return self.moments * (2 * len(self.instants_s) + 1) + 2 * len(self.instants_s)

    @property
    def reading_parameters(self) -> int:
        """How many of the parameters read texts and what is recalled, once a sample."""
        return sum(
            _linear(size, self.reader) + _linear(self.reader, self.readings * self.width)
            for size in (self.text, self.recollections)
        )

    @property
    def parameters(self) -> int:
        """How many parameters the network has."""
        d, p = self.width, self.patch // self.grain
        layer = (
            _linear(d, 3 * d) + _linear(d, d) + _linear(d, self.feed_forward * d) + _linear(self.feed_forward * d, d)
        )
        layer += 4 * d  # two norms
        inputs = _linear(self.token_inputs, d) + _linear(CONDITIONS, d) + (self.tokens + CONTEXT) * d
        inputs += self.reading_parameters
        heads = _linear(d, p * self.actions)
        heads += sum(_linear(d, d // 2) + _linear(d // 2, p * size) for size in (POSITION, VELOCITY))
        heads += _linear(d, self.figure) + _linear(self.actions + MEASURES, self.figure) + _linear(self.figure, ANGLES)
        return inputs + self.layers * layer + 2 * d + heads


def _linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs
