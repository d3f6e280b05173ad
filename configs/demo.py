"""Typed form of `demo.yaml`."""

from pydantic import Field

from configs.base import Config, load


class SimulatedGame(Config):
    """A simulated match by its seed and number of rounds."""

    seed: int = Field(ge=0)
    rounds: int = Field(ge=1)


class DemoConfig(Config):
    """The matches of the demo: one that is shown, and those its model is trained on.

    Attributes:
        samples: of stories, for its training set.
        search: what is looked for by words.
    """

    analysed: SimulatedGame
    training: tuple[SimulatedGame, ...] = Field(min_length=2)
    samples: int = Field(ge=1)
    search: str


def load_demo() -> DemoConfig:
    """The configuration of `gridmotion demo`."""
    return load("demo", DemoConfig)
