"""How far a figure would move with other matches: the bootstrap over matches and the rounds within them.

Belongs here: weights and intervals. Does not belong here: what is measured (`measures`, `alarms`).

A *unit* is a round of a match. Every figure is a function of weighted sums over units, so a replicate is nothing but
another row of weights, and the difference of two figures under the same weights is paired by construction.
"""

import math
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval.

    Attributes:
        value: on the rows as they are.
        low: lower end of the interval.
        high: upper end.
    """

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside the interval; false where there is none."""
        return self.low > 0 or self.high < 0

    def plain(self) -> dict[str, float | None]:
        """Its three numbers, None where not defined."""
        return {name: value if math.isfinite(value) else None for name, value in asdict(self).items()}


def weights(match_of_unit: Ints, *, resamples: int, seed: int) -> Floats:
    """How often each unit counts in each replicate: matches drawn with replacement, then rounds within each.

    The two stages widen the interval against drawing matches alone, which with few matches is too narrow (Davison and
    Hinkley 1997, Bootstrap Methods, 3.8). A match drawn c times gives c independent draws of its rounds.

    Args:
        match_of_unit: number of each unit's match, int64 (units,).
        resamples: number of replicates.
        seed: the same seed gives the same weights.

    Returns:
        float64 (1 + resamples, units); the first row is the sample itself, all ones.
    """
    random = np.random.default_rng(seed)
    matches = np.unique(match_of_unit)
    drawn = random.multinomial(len(matches), np.full(len(matches), 1 / max(1, len(matches))), size=resamples)
    found = np.ones((1 + resamples, len(match_of_unit)))
    for place, match in enumerate(matches):
        units = np.flatnonzero(match_of_unit == match)
        even = np.full(len(units), 1 / len(units))
        found[1:, units] = random.multinomial(drawn[:, place] * len(units), even)
    return found


def estimate(replicates: Floats, *, interval: float, basic: bool = False) -> Estimate:
    """A figure with its interval from its replicates.

    Args:
        replicates: float64 (1 + resamples,), the first on the sample itself; NaN where not defined.
        interval: coverage.
        basic: reflect the percentiles at the figure, and at zero at the least. For sums of absolute errors, which
            resampling only ever makes greater, so that percentiles would lie above the figure itself.
    """
    value, rest = float(replicates[0]), replicates[1:]
    rest = rest[np.isfinite(rest)]
    if not np.isfinite(value) or not len(rest):
        return Estimate(value, float("nan"), float("nan"))
    low, high = (float(each) for each in np.quantile(rest, [(1 - interval) / 2, (1 + interval) / 2]))
    if basic:
        low, high = max(0.0, 2 * value - high), max(0.0, 2 * value - low)
    return Estimate(value, low, high)


def summed(unit: Ints, units: int, values: NDArray[np.generic]) -> Floats:
    """Sums of the rows' values by unit, float64 (units,)."""
    return np.bincount(unit, values.astype(np.float64), minlength=units).astype(np.float64)
