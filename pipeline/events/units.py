"""From a title's own coordinates to millimetres with y up.

Belongs here: units and axes, by `configs/titles.yaml`. Does not belong here: canonical logs, in metres already.
"""

import numpy as np
from numpy.typing import NDArray

from configs.titles import Title


def title_mm(title: Title, positions: NDArray[np.float64], *, max_m: float) -> NDArray[np.float64]:
    """Positions of a title as whole millimetres, `rint(units × unit length × 1000)`.

    Args:
        title: whose units and axes.
        positions: (n, 3) along the title's own axes, in its units; NaN in the third for a planar position.
        max_m: largest believable coordinate, metres.

    Returns:
        (n, 3) x, y (up), z in millimetres; y is NaN for a planar position, and all three are where a coordinate is
        not finite or not believable.
    """
    columns = []
    for axis in title.axes:
        sign = -1.0 if axis.startswith("-") else 1.0
        columns.append(positions[:, "xyz".index(axis[-1])] * title.unit_m * sign)
    metres = np.stack(columns, axis=1)
    believed: NDArray[np.bool_] = np.less_equal(np.abs(metres), max_m)
    believed[:, 1] |= np.isnan(metres[:, 1])
    result: NDArray[np.float64] = np.rint(np.where(believed.all(axis=1, keepdims=True), metres, np.nan) * 1000)
    return result
