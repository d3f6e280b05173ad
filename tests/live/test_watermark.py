"""How far a match has come: the second-fastest living clock, less the lateness bound."""

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
        *(900, 900, 900, 1150, 1150)
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
