"""The chain as a whole: what a call gives, rests, ends, snapshots and refusals."""

import polars as pl
import pytest

from configs.features import load_features
from pipeline.features.match import SpanTooLong
from pipeline.features.pack import NotOneMatch
from pipeline.features.snapshot import SnapshotMismatch
from pipeline.live.features import LiveFeatures
from pipeline.live.ordering import TooManyHeld


@pytest.fixture
def match(bounds):
    return LiveFeatures("m", live=bounds)


def _instants(match, rows):
    return match.table(rows).select("t_ms", "player").rows()


def test_rows_come_as_soon_as_the_watermark_reaches_their_instant(match, arrive, moves):
    assert _instants(match, match.take(arrive(moves("a", 0), moves("b", 0))).rows) == []
    assert _instants(match, match.take(arrive(moves("a", 340), moves("b", 340))).rows) == [
        *((0, "player:a"), (0, "player:b")),
    ]
    assert _instants(match, match.take(arrive(moves("a", 350), moves("b", 350))).rows) == [
        *((250, "player:a"), (250, "player:b")),
    ]


def test_a_lone_event_has_its_row_when_the_match_ends(match, arrive, moves):
    assert _instants(match, match.take(arrive(moves("a", 100_000))).rows) == []
    assert _instants(match, match.finish()) == [(100_000, "player:a")]


def test_the_end_evaluates_through_the_next_instant(match, arrive, moves):
    match.take(arrive(moves("a", 100)))
    assert _instants(match, match.finish()) == [(250, "player:a")]


def test_an_idle_match_is_evaluated_up_to_its_front_and_may_go_on(match, arrive, moves):
    match.take(arrive(moves("a", 500), moves("b", 500)))
    assert _instants(match, match.rest(999)) == []
    assert [t_ms for t_ms, _ in _instants(match, match.rest(1000))] == [500, 500]
    taken = match.take(arrive(moves("a", 500), moves("a", 501)))
    assert taken.is_accepted.tolist() == [False, True]


def test_an_idle_match_does_not_run_after_one_fast_clock(match, arrive, moves):
    match.take(arrive(moves("a", 500), moves("b", 500), moves("c", 3_600_000)))
    assert max(t_ms for t_ms, _ in _instants(match, match.rest(10_000))) == 500
    assert match.take(arrive(moves("a", 625), moves("b", 625))).is_accepted.all()


def test_a_player_who_joins_late_has_rows_from_then_on(match, arrive, moves):
    parts = [match.take(arrive(moves("b", t_ms), moves("c", t_ms))).rows for t_ms in range(0, 1000, 125)]
    parts += [match.take(arrive(*(moves(p, t_ms) for p in "abc"))).rows for t_ms in range(1000, 2000, 125)]
    rows = match.table(*parts, match.finish())
    assert rows.filter(pl.col("player") == "player:a")["t_ms"].min() == 1000
    assert rows.filter(pl.col("t_ms") == 1500)["player"].to_list() == ["player:a", "player:b", "player:c"]


def test_objectives_count_from_the_match_started_that_tells_them(match, arrive, moves):
    told = '{"objectives":[{"id":"a","pos":[1.0,0.0,0.0]}]}'
    other = '{"objectives":[{"id":"z","pos":[99.0,0.0,0.0]}]}'
    opening = [("MATCH_STARTED", t_ms, "match:m", {"payload": p}) for t_ms, p in ((400, told), (600, other))]
    taken = match.take(arrive(moves("a", 0), *opening, moves("a", 500), moves("a", 1000)))
    rows = match.table(taken.rows, match.finish())
    assert rows.select("t_ms", pl.col("objective_m").round(3)).rows() == [
        *((0, None), (250, None), (500, 0.5), (750, 0.5), (1000, 0.0)),
    ]


def test_events_of_another_match_are_refused(match, arrive, moves):
    with pytest.raises(NotOneMatch, match="other"):
        match.take(arrive(moves("a", 0), match_id="other"))


def test_more_held_events_than_configured_raise(match, arrive, moves):
    with pytest.raises(TooManyHeld):
        match.take(arrive(moves("a", 0), moves("b", 0), *(moves("a", 200 + n) for n in range(9))))


def test_a_match_longer_than_configured_is_refused(match, arrive, moves):
    far = load_features().max_span_ms + 1000
    with pytest.raises(SpanTooLong, match="m: events from 0"):
        match.take(arrive(moves("a", 0), moves("a", far), moves("b", far)))


def test_a_feed_that_opens_long_before_its_match_changes_nothing(match, bounds, arrive, moves):
    feed = ("OTHER", -load_features().max_span_ms, "grid:grid")
    early = match.table(match.take(arrive(feed, moves("a", 0), moves("a", 400))).rows, match.finish())
    plain = LiveFeatures("m", live=bounds)
    assert early.equals(plain.table(plain.take(arrive(moves("a", 0), moves("a", 400))).rows, plain.finish()))


def test_a_snapshot_goes_on_as_the_match_would(match, bounds, arrive, moves):
    match.take(arrive(moves("a", 0), moves("b", 0), moves("a", 125), moves("b", 60)))
    other = LiveFeatures.from_bytes(match.to_bytes(), live=bounds)
    assert other.to_bytes() == match.to_bytes() and (other.held, other.watermark_ms) == (4, -40)
    for going in (match, other):
        going.take(arrive(moves("a", 400), moves("b", 60), ids=["x", "e60-3"]))
    assert match.counts == other.counts and match.counts.duplicate == 1
    assert match.table(match.finish()).equals(other.table(other.finish()))


def test_damaged_and_foreign_snapshots_are_refused(match, bounds, arrive, moves):
    match.take(arrive(moves("a", 0)))
    snapshot = match.to_bytes()
    for damaged in (b"", snapshot[:-1], snapshot[:80] + b"x" + snapshot[81:], snapshot + b"x"):
        with pytest.raises(SnapshotMismatch, match="no whole snapshot"):
            LiveFeatures.from_bytes(damaged, live=bounds)
    with pytest.raises(SnapshotMismatch, match="config"):
        LiveFeatures.from_bytes(snapshot, live=bounds.model_copy(update={"lateness_ms": 7}))
