"""From a title's own coordinates to millimetres with y up.

Belongs here: units and axes, by `configs/titles.yaml`. Does not belong here: canonical logs, in metres already.
"""

import math

from configs.titles import Title


def title_mm(title: Title, x: float, y: float, z: float | None, *, max_m: float) -> tuple[int, int | None, int] | None:
    """A position of a title as `(x_mm, y_mm, z_mm)`, `rint(units × unit length × 1000)`.

    Args:
        title: whose units and axes.
        x: along its first axis, in its units.
        y: along its second axis.
        z: along its third; None for a planar position, whose height is then None too.
        max_m: largest believable coordinate, metres.

    Returns:
        None where a coordinate is not finite or not believable.
    """
    source = {"x": x, "y": y, "z": z}
    metres: list[float | None] = []
    for axis in title.axes:
        value = source[axis[-1]]
        if value is None:
            metres.append(None)
            continue
        value = value * title.unit_m * (-1.0 if axis.startswith("-") else 1.0)
        if not math.isfinite(value) or abs(value) > max_m:
            return None
        metres.append(value)
    across, up, along = metres
    if across is None or along is None:
        return None
    return round(across * 1000), None if up is None else round(up * 1000), round(along * 1000)
