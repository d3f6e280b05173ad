"""Typed form of `demo.yaml`."""

from typing import Any

from pydantic import Field

from configs.base import Config, load


class SimulatedGame(Config):
    """A simulated match by its seed and number of rounds."""

    seed: int = Field(ge=0)
    rounds: int = Field(ge=1)


class Movement(Config):
    """The model of movement that the demo trains.

    Attributes:
        steps: of its training.
        film: the sentence that it makes a film of.
        changes: values of `trajectories.yaml` that are others here, by section.
    """

    steps: int = Field(ge=1)
    film: str
    changes: dict[str, dict[str, Any]]


class DemoConfig(Config):
    """The matches of the demo: one that is shown, and those its model is trained on.

    Attributes:
        clips: of the match that is shown.
        samples: of stories, for its training set.
        movement: learns from that.
        search: what is looked for by words.
    """

    analysed: SimulatedGame
    training: tuple[SimulatedGame, ...] = Field(min_length=2)
    clips: int = Field(ge=1)
    samples: int = Field(ge=1)
    movement: Movement
    search: str


def load_demo() -> DemoConfig:
    """The configuration of `gridmotion demo`."""
    return load("demo", DemoConfig)
