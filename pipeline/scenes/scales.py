"""How large things are: the only place where units become metres.

Belongs here: look-ups in the one table of `configs/scenes.yaml`. Does not belong here: shapes (render).
"""

from configs.scenes import ScenesConfig


def metres(config: ScenesConfig, units: float) -> float:
    """Units as metres."""
    return units * config.unit_m


def height_m(config: ScenesConfig, kind: str, scale: float = 1.0) -> float:
    """Height in metres of an object that is `scale` times the usual one of its kind.

    Raises:
        KeyError: if there is no such kind.
    """
    return metres(config, config.objects[kind].height) * scale


def radius_m(config: ScenesConfig, kind: str, scale: float = 1.0) -> float:
    """Radius in metres of the ground under it that nobody walks through; 0 if it stands in nobody's way."""
    return metres(config, config.objects[kind].radius) * scale


def allowed(config: ScenesConfig, kind: str) -> tuple[float, float]:
    """The least and the greatest scale of a kind."""
    size = config.objects[kind]
    return size.range[0] / size.height, size.range[1] / size.height
