"""Which rows exist: when a round begins, when it is live, and when a silent player is gone."""

import pytest

A, B = "player:a", "player:b"


def _at(t, player=A, x=0):
    return {"player": player, "t_ms": t, "x_mm": x, "y_mm": 0, "z_mm": 0}


def _event(t, event_type, actor=None, **details):
    return {"t_ms": t, "event_type": event_type, "actor": actor, **details}


def _times(frame, player=A):
    return frame.filter(player=player)["t_ms"].to_list()


@pytest.mark.parametrize("numbers", [(1, 2), (None, None)])
def test_a_log_that_tells_only_of_live_and_end_revives_its_dead(rows, numbers):
    marks = [
        _event(0, "ROUND_LIVE", round=numbers[0]),
        _event(400, "PLAYER_KILLED", B, target=A),
        _event(1000, "ROUND_ENDED", round=numbers[0]),
        _event(2000, "ROUND_LIVE", round=numbers[1]),
    ]
    frame = rows(marks, [_at(t, who) for t in range(0, 2501, 250) for who in (A, B)])
    assert _times(frame) == [0, 250, 2000, 2250, 2500]
    assert _times(frame, B) == [0, 250, 500, 750, 2000, 2250, 2500]
    assert frame.filter(player=A, t_ms=2000)["sample_count"].item() == 1


def test_a_round_goes_live_twice_if_it_is_the_same_and_begins_anew_if_it_is_another(rows):
    def samples(number):
        marks = [_event(0, "ROUND_STARTED", round=1), _event(500, "ROUND_LIVE", round=1)]
        frame = rows([*marks, _event(1000, "ROUND_LIVE", round=number)], [_at(t) for t in range(0, 1500, 250)])
        return frame.filter(t_ms=1250).select("round", "sample_count", "round_s").row(0)

    assert samples(1) == (1, 6, 0.25) and samples(None) == (1, 6, 0.25)
    assert samples(2) == (2, 2, 0.25)


def test_a_live_round_whose_start_was_lost_takes_nothing_over_from_the_one_before(rows):
    marks = [_event(0, "ROUND_STARTED", round=1), _event(250, "PLAYER_KILLED", B, target=A)]
    frame = rows([*marks, _event(500, "ROUND_LIVE", round=2)], [_at(t) for t in (0, 600)])
    assert (frame["round"].to_list(), _times(frame)) == ([2], [750])


def test_without_freeze_time_a_round_is_live_from_its_start_and_else_only_when_told(rows):
    marks = [_event(0, "ROUND_STARTED", round=1), _event(1000, "ROUND_ENDED", round=1)]
    tracks = [_at(t) for t in range(0, 1500, 250)]
    quick = rows(marks, tracks, title="no freeze")
    assert _times(quick) == [0, 250, 500, 750] and quick["round_s"].to_list() == [0.0, 0.25, 0.5, 0.75]
    for title in ("cs2", "never heard of", None):
        assert rows(marks, tracks, title=title).is_empty()


def test_a_title_is_known_from_where_the_match_opens(rows):
    marks = [_event(0, "ROUND_STARTED", round=1), _event(500, "MATCH_STARTED"), _event(1000, "ROUND_STARTED", round=2)]
    frame = rows(marks, [_at(t) for t in range(0, 1500, 250)], title="no freeze")
    assert _times(frame) == [1000, 1250]


def test_a_silent_player_has_rows_until_absent_and_again_from_the_next_position(rows, limits):
    back = limits.absent_ms + 10_000
    frame = rows([], [_at(0), _at(back)])
    assert _times(frame) == [*range(0, limits.absent_ms + 1, limits.grid_ms), back]
    assert frame["position_age_ms"].max() == limits.absent_ms


def test_two_events_a_day_apart_cost_no_day_of_rows(rows, limits):
    day = limits.max_span_ms
    frame = rows([], [_at(0), _at(1, B), _at(day)])
    assert frame.height == 2 * (limits.absent_ms // limits.grid_ms) + 2
    assert frame["t_ms"].max() == day


def test_an_absent_enemy_is_still_alive(rows, limits):
    moving = [{**_at(t), "team": "x"} for t in range(0, limits.absent_ms + 1001, 1000)]
    row = rows([], [*moving, {**_at(0, B), "team": "y"}]).filter(player=A).row(-1, named=True)
    assert (row["alive_enemies"], row["nearest_enemy_m"]) == (1, None)
