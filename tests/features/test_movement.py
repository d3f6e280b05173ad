"""How movement is told over both windows, and how fast players and the bomb come nearer."""

import pytest

A, B, C = "player:a", "player:b", "player:c"


def _at(t, player=A, x=0, z=0, y=0, **details):
    return {"player": player, "t_ms": t, "x_mm": x, "y_mm": y, "z_mm": z, **details}


def _last(frame, player=A):
    return frame.filter(player=player).row(-1, named=True)


def test_the_short_window_tells_of_the_last_second_only(rows):
    """Two seconds at 4 m/s, then one at 1 m/s."""
    xs = [*range(0, 8001, 1000), *range(8250, 9001, 250)]
    row = _last(rows([], [_at(250 * n, x=x) for n, x in enumerate(xs)]))
    assert (row["speed_mean_1s_mps"], row["speed_max_1s_mps"], row["displacement_1s_m"]) == (1.0, 1.0, 0.75)
    assert (row["speed_mean_4s_mps"], row["speed_max_4s_mps"], row["displacement_4s_m"]) == (3.0, 4.0, 9.0)


def test_the_short_window_is_empty_where_no_position_lies_in_it(rows):
    tracks = [_at(0), _at(500, x=1000), _at(0, B), _at(2000, B)]
    row = rows([], tracks).filter(player=A, t_ms=2000).row(0, named=True)
    short = [name for name in row if "_1s" in name and not name.startswith(("shots", "damage", "kills"))]
    assert len(short) == 7 and {row[name] for name in short} == {None}
    assert row["speed_max_4s_mps"] == 2.0


def test_acceleration_is_the_change_of_speed_between_the_middles_of_two_steps(rows):
    speeding = [_at(0), _at(250, x=250), _at(500, x=1000)]
    row = _last(rows([], speeding))
    assert row["acceleration_1s_mps2"] == row["acceleration_4s_mps2"] == pytest.approx((3 - 1) / 0.25)
    assert _last(rows([], speeding[:2]))["acceleration_1s_mps2"] is None
    slowing = _last(rows([], [_at(0), _at(200, x=800), _at(300, x=900), _at(700, x=900)]))
    assert slowing["acceleration_1s_mps2"] == pytest.approx((0 - 4) / 0.4)
    jumped = [*speeding, _at(750, x=90_000), _at(1000, x=90_000)]
    assert _last(rows([], jumped))["acceleration_4s_mps2"] is None


def test_turns_of_heading_add_up_whether_or_not_one_stops_between(rows):
    square = [_at(0), _at(250, x=1000), _at(500, x=1000), _at(750, x=1000, z=1000), _at(1000, z=1000)]
    row = _last(rows([], square))
    assert (row["heading_turn_4s_deg"], row["heading_turn_1s_deg"]) == (180.0, 180.0)
    still = _last(rows([], [_at(0), _at(250, x=1), _at(500, z=1)]))
    assert still["heading_turn_4s_deg"] == 0.0
    over_a_gap = _last(rows([], [_at(0), _at(250, x=1000), _at(2250, x=1000), _at(2500)]))
    assert over_a_gap["heading_turn_4s_deg"] == 0.0


def test_turns_of_view_add_up_the_shorter_way(rows):
    yaws = (170_000, -170_000, -160_000, None, 0)
    tracks = [_at(250 * n, yaw_mdeg=yaw) for n, yaw in enumerate(yaws)]
    assert _last(rows([], tracks))["view_turn_4s_deg"] == 30.0
    assert _last(rows([], tracks[2:]))["view_turn_4s_deg"] is None


def test_climbing_is_height_gained_and_unknown_on_a_plane(rows):
    assert _last(rows([], [_at(0, y=500), _at(250), _at(500, y=-500)]))["climb_4s_m"] == -1.0
    assert _last(rows([], [_at(0, y=None), _at(250, y=100)]))["climb_4s_m"] is None


def test_two_who_run_towards_each_other_close_at_the_sum_of_their_speeds(rows):
    towards = [_at(0, team="x"), _at(250, x=500, team="x"), _at(0, B, x=9000, team="y"), _at(200, B, x=8400, team="y")]
    frame = rows([], towards)
    for who in (A, B):
        assert _last(frame, who)["nearest_enemy_closing_mps"] == pytest.approx(2 + 3)
        assert _last(frame, who)["nearest_teammate_closing_mps"] is None
    away = [_at(0, team="x"), _at(250, z=300, team="x"), _at(0, B, x=400, team="x"), _at(250, B, x=400, team="x")]
    assert _last(rows([], away))["nearest_teammate_closing_mps"] == pytest.approx(-1.2 * 0.3 / 0.5)


def test_nobody_closes_in_without_two_positions_of_both(rows):
    tracks = [_at(0, team="x"), _at(250, x=500, team="x"), _at(250, B, x=9000, team="y")]
    row = _last(rows([], tracks))
    assert (row["nearest_enemy_m"], row["nearest_enemy_closing_mps"]) == (8.5, None)
    same_place = [*tracks, _at(0, C, x=500, team="x"), _at(250, C, x=500, team="x")]
    assert _last(rows([], same_place))["nearest_teammate_closing_mps"] is None


def test_of_two_equally_near_the_one_who_closes_in_fastest_counts(rows):
    for slow, fast in ((B, C), (C, B)):
        tracks = [_at(t, team="x") for t in (0, 250)]
        tracks += [_at(0, slow, x=2250, team="y"), _at(250, slow, x=2000, team="y")]
        tracks += [_at(0, fast, z=3000, team="y"), _at(250, fast, z=2000, team="y")]
        assert _last(rows([], tracks))["nearest_enemy_closing_mps"] == 4.0


def test_a_bomb_that_lies_is_approached_by_the_own_steps_alone(rows):
    drop = {"t_ms": 0, "event_type": "BOMB_DROPPED", "actor": A, "x_mm": 5000, "y_mm": 0, "z_mm": 0}
    assert _last(rows([drop], [_at(0), _at(250, x=1000)]))["bomb_closing_mps"] == 4.0
    carried = [_at(t, B, x=5000 + 4 * t, has_bomb=True) for t in (0, 250)]
    frame = rows([], [_at(0), _at(250, x=500), *carried])
    assert (_last(frame)["bomb_closing_mps"], _last(frame, B)["bomb_closing_mps"]) == (-2.0, None)


def test_enemies_and_teammates_are_counted_by_distance(rows):
    tracks = [_at(0, team="x"), *(_at(0, f"player:e{x}", x=x, team="y") for x in (5000, 5001, 10_000, 20_001))]
    tracks += [_at(0, f"player:m{x}", z=x, team="x") for x in (1, 15_000)]
    row = _last(rows([], tracks))
    assert [row[f"enemies_within_{r}m"] for r in (5, 10, 20)] == [1, 3, 3]
    assert [row[f"teammates_within_{r}m"] for r in (5, 10, 20)] == [1, 1, 2]
    late = rows([], [*tracks, _at(2500, team="x")])
    assert {_last(late)[name] for name in ("enemies_within_5m", "teammates_within_20m", "nearest_enemy_m")} == {None}
