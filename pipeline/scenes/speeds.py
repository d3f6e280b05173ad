"""How fast each action is, in m/s.

Belongs here: look-ups in the one table of `configs/scenes.yaml`. Does not belong here: how a body reaches that speed
(kinematics).
"""

import numpy as np
from numpy.typing import NDArray

from configs.scenes import ScenesConfig

Array = NDArray[np.float64]


def names(config: ScenesConfig) -> tuple[str, ...]:
    """All actions; an action's code is its place here."""
    return tuple(config.actions)


def speed_of(config: ScenesConfig, action: str) -> float:
    """Its speed in m/s; 0 of an action that stays.

    Raises:
        KeyError: if there is no such action.
    """
    return config.actions[action].speed


def table(config: ScenesConfig) -> Array:
    """Speeds in m/s by code."""
    return np.array([action.speed for action in config.actions.values()])


def recognised(config: ScenesConfig, speed: Array) -> NDArray[np.uint8]:
    """Codes of the actions that recorded speeds (m/s) look like."""
    codes = {name: code for code, name in enumerate(names(config))}
    limits = np.array([band.below for band in config.recognised[:-1]])
    found = np.array([codes[band.action] for band in config.recognised], np.uint8)
    return found[np.searchsorted(limits, speed, side="right")]
