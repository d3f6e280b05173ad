"""The compiled calendar is the standard library's."""

import calendar
from datetime import date

from pipeline.events.sources.calendar_kernel import days_of_month, days_since_1970


def test_every_month_is_as_long_as_it_is_and_follows_the_one_before():
    for year in (2, 1600, 1899, 1900, 1969, 1970, 1999, 2000, 2023, 2024, 2100, 2400, 9998):
        for month in range(1, 13):
            assert days_of_month(year, month) == calendar.monthrange(year, month)[1]
            for day in (1, days_of_month(year, month)):
                assert days_since_1970(year, month, day) == (date(year, month, day) - date(1970, 1, 1)).days


def test_february_of_a_full_century_is_short_but_every_fourth_is_not():
    assert [days_of_month(year, 2) for year in (1900, 2000, 2100)] == [28, 29, 28]
