"""The rows of players in states are the same ones, whether they stand in memory or on disk."""

import numpy as np
import pytest

from pipeline.events.sources.grid_snapshots import Columns, Rows


def columns(first: int, count: int) -> Columns:
    numbers = np.arange(first, first + count)
    return Columns(
        np.stack([numbers * 1.5 + k for k in range(6)], axis=1), (numbers % 3 - 1).astype(np.int8), numbers % 2 > 0
    )


def same(one: Columns, other: Columns) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.fixture(params=[0, 7, 1000])
def rows(request):
    """Fifty rows in pieces of various sizes, one of them added in two steps, and so many of them may be held."""
    grown = Rows(held_rows=request.param)
    for first, count in ((0, 10), (10, 1), (11, 9)):
        assert grown.add(columns(first, count)) == first
    both = columns(0, 40)
    assert grown.add(both, 20, 25) == 20
    assert grown.add(both, 25, 40) == 25
    whole = columns(40, 10)
    assert [grown.whole(whole), grown.whole(whole)] == [40, 40]
    return grown


def test_rows_that_were_added_together_come_back_together(rows):
    for first, count in ((0, 10), (3, 4), (10, 1), (12, 0), (20, 20), (24, 3), (41, 9)):
        assert same(rows.part(first, count), columns(first, count))


def test_rows_are_taken_in_any_order(rows):
    places = np.random.default_rng(3).integers(0, 50, 200)
    expected = columns(0, 50)
    assert same(rows.take(places), Columns(*(values[places] for values in expected)))
    assert len(rows.take(np.empty(0, np.int64)).values) == 0
    assert same(rows.take(np.arange(50)), expected)
