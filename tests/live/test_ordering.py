"""What arrives leaves in total order, once; what comes too late is counted and changes nothing."""

import numpy as np
import pytest

from pipeline.live.ordering import Held, Reorder, TooManyHeld
from pipeline.live.watermark import NEVER


@pytest.fixture
def hold():
    """Takes in `(t_ms, id)` while the watermark stands still; gives which are accepted."""

    def hold(reorder, *events, watermark=NEVER):
        arrived = [Held(t_ms, 0, 5, event_id, b"", None) for t_ms, event_id in events]
        marks = np.full(len(arrived), watermark, dtype=np.int64)
        return reorder.hold(arrived, marks, marks).tolist()

    return hold


def _ids(events):
    return [event.event_id for event in events]


def test_events_leave_in_total_order_up_to_the_watermark(hold):
    reorder = Reorder(9)
    hold(reorder, (30, "c"), (10, "b"), (10, "a"), (20, "d"))
    assert _ids(reorder.release(20)) == ["a", "b", "d"]
    assert _ids(reorder.release(29)) == []
    assert _ids(reorder.release(30)) == ["c"]


def test_order_goes_by_time_then_seq_then_type_then_id():
    keys = [(0, 1, 5, "a"), (0, 1, 5, "b"), (0, 1, 8, "A"), (0, 2, 0, "y"), (1, 0, 0, "x")]
    reorder, marks = Reorder(9), np.full(5, NEVER, dtype=np.int64)
    reorder.hold([Held(*key, b"", None) for key in reversed(keys)], marks, marks)
    assert [event[:4] for event in reorder.release(1)] == keys


def test_an_event_at_the_watermark_is_late_and_one_after_it_is_not(hold):
    reorder = Reorder(9)
    assert hold(reorder, (100, "a"), (101, "b"), watermark=100) == [False, True]
    assert (reorder.counts.accepted, reorder.counts.late_or_duplicate) == (1, 1)


def test_a_duplicate_is_told_from_a_late_event_as_long_as_its_event_waits(hold):
    reorder = Reorder(9)
    assert hold(reorder, (10, "a"), (10, "a"), watermark=0) == [True, False]
    assert (reorder.counts.duplicate, reorder.counts.late_or_duplicate) == (1, 0)
    assert _ids(reorder.release(10)) == ["a"]
    assert hold(reorder, (10, "a"), (9, "z"), watermark=10) == [False, False]
    assert (reorder.counts.duplicate, reorder.counts.late_or_duplicate) == (1, 2)
    assert len(reorder) == 0


def test_of_two_events_with_one_id_the_first_stands(hold):
    reorder = Reorder(9)
    assert hold(reorder, (10, "a"), (20, "a")) == [True, False]
    assert [event.t_ms for event in reorder.release(99)] == [10]


def test_ids_of_what_left_are_forgotten(hold):
    reorder = Reorder(3)
    for t_ms in range(1, 500):
        hold(reorder, (t_ms, f"e{t_ms}"), watermark=t_ms - 1)
        reorder.release(t_ms)
    assert reorder.counts.accepted == 499
    assert reorder.state()["held"] == [] and len(reorder._times) == 0


def test_more_events_than_may_wait_raise_and_name_the_limit(hold):
    reorder = Reorder(2)
    with pytest.raises(TooManyHeld, match=r"3 events from 1 to 3 ms .* max_held_events = 2"):
        hold(reorder, (1, "a"), (2, "b"), (3, "c"))


def test_what_leaves_within_the_call_does_not_count_as_waiting():
    reorder = Reorder(2)
    events = [Held(t_ms, 0, 5, f"e{t_ms}", b"", None) for t_ms in range(1, 100)]
    after = np.array([event.t_ms - 1 for event in events], dtype=np.int64)
    reorder.hold(events, after - 1, after)
    assert len(reorder.release(98)) == 98
    with pytest.raises(TooManyHeld):
        Reorder(2).hold(events, after - 5, after - 2)


def test_a_restored_buffer_goes_on_as_the_first_would(hold):
    first = Reorder(9)
    hold(first, (30, "c"), (10, "b"), watermark=5)
    second = Reorder.restored(first.state(), 9)
    for reorder in (first, second):
        assert hold(reorder, (30, "c"), (20, "x"), (4, "y"), watermark=5) == [False, True, False]
    assert first.counts == second.counts and first.latest_ms == second.latest_ms == 30
    assert first.release(99) == second.release(99)
