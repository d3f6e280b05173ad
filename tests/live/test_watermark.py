"""How far a match has come: the second-fastest living clock, less the lateness bound."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.live.features import LiveFeatures
from pipeline.live.watermark import NEVER

KILL = "PLAYER_KILLED"


@pytest.fixture
def marks(arrive, bounds):
    """The watermark after all of these events, and after each of them in a call of its own."""

    def marks(*events):
        arrived, whole, single = arrive(*events), LiveFeatures("m", live=bounds), LiveFeatures("m", live=bounds)
        whole.take(arrived)
        each = []
        for place in range(len(arrived)):
            single.take(arrived[place : place + 1])
            each.append(single.watermark_ms)
        assert whole.watermark_ms == each[-1]
        return each

    return marks


def test_an_only_player_sets_the_watermark_alone(marks, moves):
    assert marks(moves("a", 1000), moves("a", 1200)) == [900, 1100]


def test_of_several_players_the_second_fastest_sets_it(marks, moves):
    assert marks(moves("a", 0), moves("b", 1000), moves("c", 2000))[-1] == 900


def test_one_fast_clock_moves_nothing(marks, moves):
    hour = 3_600_000
    assert marks(moves("a", 1000), moves("b", 1000), moves("c", hour), moves("a", 1250), moves("b", 1250)) == [
        *(900, 900, 900, 900, 1150)
    ]


def test_two_fast_clocks_move_it(marks, moves):
    assert marks(moves("a", 1000), moves("b", 9000), moves("c", 8000))[-1] == 7900


def test_events_of_the_match_move_nothing(marks, moves):
    assert marks(moves("a", 1000), ("ROUND_STARTED", 90_000, "round:2"), ("OTHER", 95_000, "player:z"))[-1] == 900


def test_it_never_goes_back_when_a_slow_player_joins(marks, moves):
    assert marks(moves("a", 1000), moves("b", 200)) == [900, 900]


def test_a_dead_player_is_not_waited_for(marks, moves):
    start = (moves("a", 0), moves("b", 0), moves("c", 0))
    assert marks(*start, moves("a", 5000))[-1] == -100
    assert marks(*start, (KILL, 100, "player:a", {"target": "player:c"}), moves("a", 5000))[-1] == -100
    dead = ((KILL, 100, "player:a", {"target": player}) for player in ("player:b", "player:c"))
    assert marks(*start, *dead, moves("a", 5000))[-1] == 4900


def test_the_dead_are_back_with_the_next_round_or_a_sign_of_life(marks, moves):
    start = (moves("a", 0), moves("b", 0), (KILL, 100, "player:a", {"target": "player:b"}))
    assert marks(*start, moves("a", 5000))[-1] == 4900
    assert marks(*start, ("ROUND_STARTED", 200, "round:2"), moves("a", 5000))[-1] == 0
    assert marks(*start, moves("b", 300), moves("a", 5000))[-1] == 200


def test_a_grenade_that_hurts_after_its_throwers_death_revives_nobody(marks, moves):
    burnt = ("PLAYER_DAMAGED", 400, "player:b", {"target": "player:a", "amount": 5})
    start = (moves("a", 0), moves("b", 0), (KILL, 100, "player:a", {"target": "player:b"}))
    assert marks(*start, burnt, moves("a", 5000))[-1] == 4900


def test_when_all_are_dead_all_are_asked(marks, moves):
    kills = ((KILL, 100, "player:a", {"target": f"player:{name}"}) for name in "ab")
    late_shots = (("PLAYER_DAMAGED", 900, f"player:{name}", {"target": "player:a"}) for name in "ab")
    assert marks(moves("a", 0), moves("b", 0), *kills, *late_shots)[-1] == 800


def test_without_any_player_there_is_none(marks):
    assert marks(("ROUND_STARTED", 0, "round:1"), ("MATCH_ENDED", 9000, "match:m")) == [NEVER, NEVER]


@given(
    steps=st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 2000), st.booleans()), min_size=1, max_size=40),
    fast=st.integers(0, 40),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_a_fast_player_never_makes_an_event_of_another_late(arrive, bounds, steps, fast):
    """Whatever one clock says, an event no older than the front of the others is taken."""
    match, t_ms = LiveFeatures("m", live=bounds.model_copy(update={"max_held_events": 100})), 0
    match.take(arrive(("POSITION_UPDATE", 0, "player:y"), ("POSITION_UPDATE", 0, "player:z")))
    for place, (name, step, dies) in enumerate(steps):
        t_ms += step
        if place == fast:
            match.take(arrive(("POSITION_UPDATE", t_ms + 10_000_000, "player:fast")))
        kind = (KILL, t_ms, f"player:{name}", {"target": "player:y"}) if dies else None
        taken = match.take(arrive(kind or ("POSITION_UPDATE", t_ms, f"player:{name}"), ids=[f"s{place}"]))
        assert taken.is_accepted.all()


HOUR = 3_600_000


def _walk(names, start, stop, step=125, **skews):
    """A position of each of these players at each step, by clocks that may be wrong; events are told in true order."""
    return [("POSITION_UPDATE", t + skews.get(p, 0), f"player:{p}") for t in range(start, stop, step) for p in names]


@pytest.fixture
def hear(arrive, bounds):
    """These events in one call, one by one restored in between, and in random calls: the same; what came of them."""

    def hear(*events):
        arrived, live = arrive(*events), bounds.model_copy(update={"max_held_events": 500})
        found, dice = [], random.Random(len(events))
        for sizes, restored in (((10**6,), 0.0), ((1,), 0.2), ((1, 3, 40), 0.5)):
            match, place, parts, accepted = LiveFeatures("m", live=live), 0, [], []
            while place < len(arrived):
                taken = match.take(arrived[place : place + (size := dice.choice(sizes))])
                place, parts, accepted = place + size, [*parts, taken.rows], [*accepted, *taken.is_accepted.tolist()]
                if dice.random() < restored:
                    match = LiveFeatures.from_bytes(match.to_bytes(), live=live)
            found.append((accepted, match.counts, match.watermark_ms, match._watermark.state(), match.table(*parts)))
        (accepted, counts, mark, state, rows), *others = found
        assert all(other[:4] == (accepted, counts, mark, state) and other[4].equals(rows) for other in others)
        assert counts.ahead + counts.late_or_duplicate == accepted.count(False)
        return accepted, counts, mark

    return hear


def test_of_an_only_survivor_one_event_ahead_is_refused_and_makes_nothing_late(hear, moves):
    kills = [(KILL, 1000, "player:a", {"target": f"player:{p}"}) for p in "bc"]
    before, after = [*_walk("abc", 0, 1000), *kills], _walk("a", 1000, 3000)
    accepted, counts, mark = hear(*before, moves("a", HOUR), *after)
    assert accepted.index(False) == len(before) and accepted.count(False) == counts.ahead == 1
    assert mark == 2775


def test_one_event_ahead_is_forgotten_when_its_player_is_left_alone(hear, moves):
    kills = [(KILL, 2000, "player:a", {"target": f"player:{p}"}) for p in "bc"]
    accepted, counts, mark = hear(*_walk("abc", 0, 1000), moves("a", HOUR), *_walk("abc", 1000, 2000), *kills)
    assert (accepted.count(False), counts.ahead, mark) == (1, 1, 1900)


def test_two_events_ahead_that_were_refuted_don_t_agree(hear, moves):
    early, late = _walk("abc", 0, 5000), _walk("abc", 5000, 9000)
    accepted, counts, mark = hear(*early, moves("a", HOUR), *late, moves("b", HOUR), *_walk("abc", 9000, 12_000))
    assert (accepted.count(False), counts.ahead, mark) == (2, 2, 11_775)


def test_two_events_ahead_that_are_far_apart_don_t_agree(hear, moves):
    ahead = (moves("a", HOUR), moves("b", 2 * HOUR))
    accepted, counts, mark = hear(*_walk("abc", 0, 1000), *ahead, *_walk("abc", 1000, 2000))
    assert (accepted.count(False), counts.ahead, mark) == (2, 2, 1775)


def test_one_event_ahead_does_not_hand_the_match_to_the_fastest_of_the_rest(hear, moves):
    accepted, counts, mark = hear(
        *_walk("abcd", 0, 1000, d=10_000), moves("a", HOUR), *_walk("abcd", 1000, 9000, d=10_000)
    )
    assert (accepted.count(False), counts.ahead, mark) == (1, 1, 8775)


def test_who_sent_an_event_ahead_can_be_reported_dead(hear, moves):
    alive = [*_walk("abc", 0, 1000), moves("a", HOUR), *_walk("abc", 1000, 2000)]
    for killed, expected in (("a", 1775), ("ab", 4900)):
        kills = [(KILL, 2000, "player:c", {"target": f"player:{p}"}) for p in killed]
        accepted, _, mark = hear(*alive, *kills, moves("c", 5000))
        assert (accepted.count(False), mark) == (1, expected)


def test_neither_a_death_nor_a_round_that_lies_ahead_is_taken_notice_of(hear, moves):
    ahead = ((KILL, HOUR, "player:a", {"target": "player:b"}), ("ROUND_STARTED", HOUR, "round:2"))
    dead = (KILL, 1000, "player:a", {"target": "player:c"})
    accepted, counts, mark = hear(*_walk("abc", 0, 1000), *ahead, dead, *_walk("ab", 1000, 2000), moves("a", 5000))
    assert (accepted.count(False), counts.ahead, mark) == (2, 2, 1775)


def test_a_clock_that_stays_ahead_is_not_waited_for_until_it_is_right_again(hear):
    start, wrong = _walk("ab", 0, 1000), _walk("ab", 1000, 5000, a=HOUR)
    accepted, counts, mark = hear(*start, *wrong)
    assert (counts.ahead, mark) == (len(wrong) // 2, 4775)
    assert [n for n, is_accepted in enumerate(accepted) if not is_accepted] == [len(start) + n for n in range(0, 64, 2)]
    accepted, counts, mark = hear(*start, *wrong, *_walk("ab", 5000, 6000))
    assert (accepted.count(False), counts.ahead, mark) == (len(wrong) // 2, len(wrong) // 2, 5775)


def test_two_players_who_agree_move_the_match_and_what_one_alone_told_does_not_count(hear, moves):
    start, on = _walk("abc", 0, 1000), _walk("abc", HOUR, HOUR + 2000)
    accepted, counts, mark = hear(*start, ("ROUND_STARTED", HOUR, "round:2"), moves("a", HOUR), *on)
    assert [n - len(start) for n, is_accepted in enumerate(accepted) if not is_accepted] == [0, 1, 2]
    assert (counts.ahead, mark) == (3, HOUR + 1775)


def test_an_only_survivor_is_not_heard_beyond_a_gap_until_another_player_speaks_there(hear):
    """Were it heard, one clock could make all others late; after `abandoned_ms` of silence its match is over anyway."""
    kills = [(KILL, 1000, "player:a", {"target": f"player:{p}"}) for p in "bc"]
    before, alone = [*_walk("abc", 0, 1000), *kills], _walk("a", HOUR, HOUR + 3000)
    together = [("ROUND_STARTED", HOUR + 3000, "round:2"), *_walk("abc", HOUR + 3000, HOUR + 5000)]
    accepted, counts, mark = hear(*before, *alone)
    assert (accepted.count(False), counts.ahead, mark) == (len(alone), len(alone), 900)
    accepted, counts, mark = hear(*before, *alone, *together)
    refused = [n - len(before) for n, is_accepted in enumerate(accepted) if not is_accepted]
    assert refused == [*range(len(alone) + 2)] and counts.ahead == len(refused)  # and the round, and its first word
    assert mark == HOUR + 4775


def test_an_only_survivor_is_heard_beyond_a_pause_no_longer_than_a_match_may_be_silent(hear, bounds):
    kills = [(KILL, 1000, "player:a", {"target": f"player:{p}"}) for p in "bc"]
    pause = bounds.max_ahead_ms
    accepted, counts, mark = hear(*_walk("abc", 0, 1000), *kills, *_walk("a", 1000 + pause, 3000 + pause))
    assert (accepted.count(False), counts.ahead, mark) == (0, 0, 2775 + pause)


def test_an_only_player_ever_heard_moves_the_match_by_saying_so_for_longer_than_events_are_waited_for(hear, moves):
    accepted, counts, mark = hear(*_walk("a", 0, 1000), *[moves("a", HOUR)] * 2, *_walk("a", HOUR + 100, HOUR + 2000))
    assert (accepted[8:12], counts.ahead, mark) == ([False, False, False, True], 3, HOUR + 1875)
    accepted, counts, mark = hear(*_walk("a", 0, 1000), moves("a", HOUR), moves("a", 3 * HOUR), *_walk("a", 1000, 2000))
    assert (accepted.count(False), counts.ahead, mark) == (2, 2, 1775)
