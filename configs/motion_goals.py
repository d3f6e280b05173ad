"""The typed form of `motion_goals.yaml`.

Belongs here: fields and what must hold among them. Does not belong here: how a figure is measured
(`pipeline.motion.measures`, `bench.motion_measures`), how clips are judged (`pipeline.motion.goals`).
"""

from typing import Literal

from pydantic import Field, model_validator

from configs.base import Config, load

Over = Literal["mean", "p95", "max", "all"]


class Goal(Config):
    """A figure of clips, what of it is judged, and within what: in the unit that is shown."""

    name: str
    unit: str
    key: str
    over: Over
    at_most: float
    at_least: float | None = None
    scale: float = Field(default=1.0, gt=0)
    published: str = ""

    @model_validator(mode="after")
    def _ordered(self) -> "Goal":
        if self.at_least is not None and self.at_least > self.at_most:
            raise ValueError(f"{self.name}: at_least is above at_most")
        return self


class People(Config):
    """What recorded people do at a speed: `factor × speed ^ exponent`."""

    from_mps: float = Field(gt=0)
    jitter_mps3: tuple[float, float]
    acceleration_mps2: tuple[float, float]


class MotionGoals(Config):
    """Everything in `motion_goals.yaml`."""

    figures: tuple[Goal, ...]
    feasible_share: float = Field(ge=0, le=1)
    people: People


def load_motion_goals() -> MotionGoals:
    """The configuration in `motion_goals.yaml`.

    Raises:
        ConfigError: if it is missing or a value is refused.
    """
    return load("motion_goals", MotionGoals)
