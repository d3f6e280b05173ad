"""Snapshots, order, and rings that never forget."""

import pytest

from pipeline.features.carry import Carry, CarrySpent, OutOfOrder, RingFull, SnapshotMismatch
from pipeline.features.match import SpanTooLong, match_features
from pipeline.features.pack import NotOneMatch


def _positions(*times, player="player:p1", **details):
    return [{"player": player, "t_ms": t, "x_mm": t, "z_mm": 0, **details} for t in times]


def test_a_full_ring_of_positions_raises_and_names_player_and_limit(frames, limits):
    tight = limits.model_copy(update={"max_samples_per_s": 2})
    fits, too_many = (frames("m1", [], _positions(*range(0, 400 * n, 400))) for n in (8, 30))
    assert match_features(fits.match, fits.events, fits.tracks, tight).height > 0
    with pytest.raises(RingFull, match=r"player:p1 at .*max_samples_per_s = 2"):
        match_features(too_many.match, too_many.events, too_many.tracks, tight)


def test_a_full_ring_of_combat_events_raises_and_names_who_is_hit(frames, limits):
    hit = {"event_type": "PLAYER_DAMAGED", "actor": "player:p2", "target": "player:p1", "amount": 1}
    log = frames("m1", [{**hit, "t_ms": t} for t in range(9)], [])
    tight = limits.model_copy(update={"max_combat_events_per_s": 2})
    with pytest.raises(RingFull, match=r"player:p1 at 8 ms.*max_combat_events_per_s = 2"):
        match_features(log.match, log.events, log.tracks, tight)
    shots = frames("m1", [{"event_type": "WEAPON_FIRED", "actor": "player:p2", "t_ms": t} for t in range(9)], [])
    with pytest.raises(RingFull, match="player:p2 at 8 ms"):
        match_features(shots.match, shots.events, shots.tracks, tight)


def test_two_positions_of_one_millisecond_take_one_place_in_the_ring(frames, limits):
    tight = limits.model_copy(update={"max_samples_per_s": 1})
    log = frames("m1", [], _positions(*[0] * 50, *[900] * 50))
    assert match_features(log.match, log.events, log.tracks, tight)["sample_count"].max() == 2


def test_an_event_older_than_the_newest_is_refused(random_match, packed, limits):
    match = packed(random_match(1))
    carry = Carry(match.cast, limits)
    carry.advance(match.batch[50:60])
    with pytest.raises(OutOfOrder, match="ms are decided"):
        carry.advance(match.batch[:1])


def test_a_refused_order_changes_nothing_even_in_the_middle_of_a_call(random_match, packed, at_once, digest, limits):
    match = packed(random_match(1))
    carry, half = Carry(match.cast, limits), len(match.batch) // 2
    parts = [carry.advance(match.batch[:half])]
    before = carry.to_bytes()
    swapped = match.batch[half:]
    for refused in (match.batch[:half], type(swapped)(swapped.t_ms[::-1].copy(), swapped.events)):
        with pytest.raises(OutOfOrder):
            carry.advance(refused)
    assert carry.to_bytes() == before
    parts.append(carry.advance(swapped, until_ms=match.until_ms))
    assert digest(*parts) == at_once(match)


def test_a_carry_is_spent_after_a_failure_and_its_snapshot_from_before_is_not(frames, packed, limits):
    tight = limits.model_copy(update={"max_samples_per_s": 2})
    match = packed(frames("m1", [], _positions(*range(0, 400 * 30, 400))))
    carry = Carry(match.cast, tight)
    carry.advance(match.batch[:2])
    snapshot = carry.to_bytes()
    with pytest.raises(RingFull):
        carry.advance(match.batch[2:])
    with pytest.raises(CarrySpent):
        carry.advance(match.batch[:0])
    with pytest.raises(CarrySpent):
        carry.to_bytes()
    assert len(Carry.from_bytes(snapshot, tight).advance(match.batch[2:4])) > 0


def test_an_event_at_a_decided_instant_is_refused_and_the_next_one_is_not(frames, packed, limits):
    match = packed(frames("m1", [], _positions(100, 1000, 1001)))
    for event, is_late in ((1, True), (2, False)):
        carry = Carry(match.cast, limits)
        carry.advance(match.batch[:1], until_ms=1000)
        if is_late:
            with pytest.raises(OutOfOrder):
                carry.advance(match.batch[event : event + 1])
        else:
            assert carry.advance(match.batch[event : event + 1]).keys.shape[0] == 0


def test_a_snapshot_holds_only_what_is_in_use(random_match, packed, limits):
    match = packed(random_match(2))
    carry = Carry(match.cast, limits)
    carry.advance(match.batch)
    assert len(carry.to_bytes()) < 64_000


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-8], lambda b: b[:60] + b"x" + b[61:], lambda b: b"", lambda b: b + b"x"]
)
def test_damaged_snapshots_are_refused(random_match, packed, limits, damage):
    match = packed(random_match(2))
    carry = Carry(match.cast, limits)
    carry.advance(match.batch)
    with pytest.raises(SnapshotMismatch, match="no whole snapshot"):
        Carry.from_bytes(damage(carry.to_bytes()), limits)


def test_a_snapshot_taken_with_other_limits_is_refused(random_match, packed, limits):
    snapshot = Carry(packed(random_match(2)).cast, limits).to_bytes()
    with pytest.raises(SnapshotMismatch, match="config"):
        Carry.from_bytes(snapshot, limits.model_copy(update={"site_mm": 1}))


def test_a_match_longer_than_a_day_is_refused(frames, limits):
    log = frames("m1", [], _positions(0, limits.max_span_ms + 1))
    with pytest.raises(SpanTooLong, match="m1"):
        match_features(log.match, log.events, log.tracks)


def test_a_feed_that_opens_a_day_before_its_match_changes_no_row(frames, limits):
    opening = [{"event_type": "OTHER", "t_ms": -limits.max_span_ms, "actor": "grid:grid"}]
    early, plain = (frames("m1", events, _positions(0, 125, 400)) for events in (opening, []))
    rows = match_features(early.match, early.events, early.tracks)
    assert rows.height == 3 and rows.equals(match_features(plain.match, plain.events, plain.tracks))
    alone = frames("m1", opening, [])
    assert match_features(alone.match, alone.events, alone.tracks).is_empty()


def test_events_of_another_match_are_refused(frames):
    one, other = frames("m1", [], _positions(0)), frames("m2", [], _positions(0))
    with pytest.raises(NotOneMatch, match=r"tracks holds .*m2"):
        match_features(one.match, one.events, other.tracks)
    with pytest.raises(NotOneMatch, match="got 0"):
        match_features(one.match.clear(), one.events, one.tracks)
