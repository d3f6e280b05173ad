"""Compiled: positions of a title to millimetres.

Belongs here: one pass over coordinates. Does not belong here: which units and axes (`pipeline.events.units`).
"""

# mypy: allow-untyped-defs, allow-untyped-calls

import numpy as np
from numba import njit


@njit(cache=True)
def millimetres(positions, axes, units_m, max_m, mm):
    """Fills `mm` by `rint(coordinate × unit × 1000)`; NaN where a coordinate is not finite or not believable.

    Args:
        positions: (n, 3); NaN in the one that becomes y for a planar position.
        axes: which column becomes x, which y, which z.
        units_m: of each of these three the length of a unit, metres; below 0 where it points the other way.
        max_m: largest believable coordinate, metres.
        mm: (n, 3) to be filled; y is NaN for a planar position.
    """
    for row in range(positions.shape[0]):
        believed = True
        for k in range(3):
            metres = positions[row, axes[k]] * units_m[k]
            believed = believed and (abs(metres) <= max_m or (k == 1 and np.isnan(metres)))
            mm[row, k] = np.rint(metres * 1000)
        if not believed:
            mm[row, :] = np.nan
