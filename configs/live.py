"""The typed form of `live.yaml`: how long a running match is waited for, and how much may wait.

Belongs here: bounds of order and time. Does not belong here: windows of features (`configs.features`), streams and
shards (where they are read).
"""

from pydantic import Field

from configs.base import Config, load


class LiveConfig(Config):
    """Bounds of order and time.

    Attributes:
        lateness_ms: how far behind the front of its match an event may arrive and still count. At least 1, since events
            of one millisecond arrive one by one.
        idle_flush_ms: how long (wall clock) nothing may arrive until what is known is evaluated without waiting longer.
        max_held_events: most events that wait for their turn; more raise an error.
    """

    lateness_ms: int = Field(ge=1)
    idle_flush_ms: int = Field(ge=1)
    max_held_events: int = Field(ge=1)


def load_live() -> LiveConfig:
    """The bounds of `configs/live.yaml`.

    Raises:
        ConfigError: if the file is missing or a value is refused.
    """
    return load("live", LiveConfig)
