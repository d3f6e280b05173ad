"""Frames come back as they were put away, wherever they wait."""

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from configs.events import PiecesConfig, load_events
from pipeline.events.spool import Shelf, Spool

PIECES, LARGE = PiecesConfig(rows=4, columns=1), load_events().lines.pieces


def frame(rows: int, start: int = 0) -> pl.DataFrame:
    numbers = pl.Series("n", range(start, start + rows), dtype=pl.Int64)
    texts = pl.Series(
        "text", [None if n % 3 else f"a text of more than twelve bytes {n}" for n in numbers], dtype=pl.String
    )
    return pl.DataFrame([numbers, texts])


@pytest.mark.parametrize("held_rows", [0, 5, 11, 100])
def test_a_frame_comes_back_wherever_it_waits(held_rows):
    shelf, frames = Shelf(held_rows, PIECES), [frame(rows, rows) for rows in (1, 10, 4, 9)]
    assert [shelf.put(each) for each in frames] == [0, 1, 2, 3]
    for place in (2, 0, 3, 1, 3):
        assert_frame_equal(shelf.get(place), frames[place])


def test_what_does_not_fit_into_memory_waits_on_disk_as_a_whole():
    shelf = Shelf(10, LARGE)
    shelf.put(frame(10))
    assert len(shelf) == 1 and not shelf._disk.heights
    shelf.put(frame(1))
    assert len(shelf) == 2 and not shelf._held and shelf._disk.heights == [10, 1]


def test_a_spool_gives_its_rows_in_the_order_of_their_adding():
    rows = Spool(8, LARGE, held_rows=12)
    for start in range(0, 60, 5):
        rows.add(frame(5, start))
    assert rows.heights == [10, 10, 10, 10, 10, 10]
    assert_frame_equal(pl.concat([rows[place] for place in range(len(rows))]), frame(60))
    with pytest.raises(IndexError):
        rows[6]


def test_frames_of_a_spool_are_smaller_on_disk_than_in_memory():
    rows = Spool(8, PIECES, held_rows=20)
    rows.add(frame(10))
    rows.add(frame(10, 10))
    assert rows.heights == [10, 10]
    rows.add(frame(9, 20))
    rows.add(frame(3, 29))
    assert rows.heights == [4, 4, 2, 4, 4, 2, 3, 3, 3, 3]
    assert_frame_equal(pl.concat([rows[place] for place in range(len(rows))]), frame(32))


def test_rows_that_are_put_away_make_room_and_stay_before_all_others():
    rows = Spool(8, LARGE, held_rows=100)
    rows.add(frame(5))
    rows.put_away()
    assert rows._disk.heights == [5] and not rows._held and not rows._last
    rows.add(frame(9, 5))
    rows.put_away()
    rows.put_away()
    rows.add(frame(2, 14))
    assert rows.heights == [5, 9, 2]
    assert_frame_equal(pl.concat([rows[place] for place in range(len(rows))]), frame(16))
