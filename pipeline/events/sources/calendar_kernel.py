"""The civil calendar, compiled.

Belongs here: arithmetic of dates. Does not belong here: reading one from the bytes of a line (the scanners' kernels).
"""

import numpy as np
from numba import njit

_MONTH_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], np.int64)


@njit(cache=True)
def days_of_month(year, month):  # type: ignore[no-untyped-def]
    """How many days a month from 1 to 12 has in that year."""
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return _MONTH_DAYS[month] + (1 if is_leap and month == 2 else 0)


@njit(cache=True)
def days_since_1970(year, month, day):  # type: ignore[no-untyped-def]
    """Days from 1970-01-01 to a day, years from March on (Hinnant, "chrono-Compatible Low-Level Date Algorithms")."""
    shifted = year - (1 if month <= 2 else 0)
    era = shifted // 400
    of_era = shifted - era * 400
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468
