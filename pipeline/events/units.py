"""From a title's own coordinates to millimetres with y up.

Belongs here: units and axes, by `configs/titles.yaml`. Does not belong here: canonical logs, in metres already.
"""

import numpy as np
from numpy.typing import NDArray

from configs.titles import Title
from pipeline.events.units_kernel import millimetres


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
    columns = np.array(["xyz".index(axis[-1]) for axis in title.axes])
    units_m = np.array([-title.unit_m if axis.startswith("-") else title.unit_m for axis in title.axes])
    result = np.empty((len(positions), 3))
    millimetres(positions, columns, units_m, max_m, result)
    return result
