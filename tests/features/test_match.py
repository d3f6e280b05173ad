"""What single features mean, and that nothing is invented where a source tells little."""

import polars as pl
import pytest

from pipeline.features.carry import ValueTooBig
from pipeline.features.definition import FEATURES
from pipeline.features.match import match_features
from pipeline.tables import empty

A, B, C = "player:a", "player:b", "player:c"


def _at(t, player=A, x=0, z=0, y=0, **details):
    return {"player": player, "t_ms": t, "x_mm": x, "y_mm": y, "z_mm": z, **details}


def _event(t, event_type, actor=None, **details):
    return {"t_ms": t, "event_type": event_type, "actor": actor, **details}


def _round(number=1, *, start=0, live=0, end=None):
    marks = [("ROUND_STARTED", start), ("ROUND_LIVE", live), ("ROUND_ENDED", end)]
    return [_event(t, kind, f"round:{number}", round=number) for kind, t in marks if t is not None]


def _last(frame: pl.DataFrame, player: str = A) -> dict:
    return frame.filter(pl.col("player") == player).row(-1, named=True)


@pytest.mark.parametrize(("t_ms", "instant"), [(100_000, 100_000), (99_990, 100_000), (1, 250), (0, 0)])
def test_a_lone_position_has_one_row_that_claims_nothing_but_itself(rows, t_ms, instant):
    here = {"x": 12_400, "z": 8900, "objective_x_mm": 10_000, "objective_y_mm": 0, "objective_z_mm": 10_000}
    (row,) = rows([], [_at(t_ms, **here)]).to_dicts()
    told = {f.name: row[f.name] for f in FEATURES if row[f.name] is not None}
    assert row["t_ms"] == instant
    assert told == {
        "objective_m": pytest.approx((2.4**2 + 1.1**2) ** 0.5),
        "sample_count": 1,
        "max_gap_ms": 4000 - (instant - t_ms),
        "position_age_ms": instant - t_ms,
    }


def test_a_log_without_positions_has_no_rows(rows):
    assert rows([_event(0, "WEAPON_FIRED", A), *_round()], []).equals(empty("features"))
    assert rows([], []).equals(empty("features"))


def test_rows_go_from_live_until_before_the_end_of_the_round(rows):
    times = rows(_round(start=0, live=1000, end=2000), [_at(t) for t in range(0, 3000, 125)])["t_ms"]
    assert times.to_list() == [1000, 1250, 1500, 1750]


def test_a_round_that_never_ends_is_flushed_through_the_instant_after_the_last_event(rows):
    assert rows(_round(live=1000), [_at(1010), _at(1260)])["t_ms"].to_list() == [1250, 1500]


def test_a_player_is_there_from_the_first_own_position_until_killed_and_again_in_the_next_round(rows):
    events = [*_round(1, end=5000), _event(1100, "PLAYER_KILLED", B, target=A), *_round(2, start=6000, live=6000)]
    frame = rows(events, [_at(t) for t in (600, 900, 1400, 7000, 7100)] + [_at(0, B)])
    assert frame.filter(player=A)["t_ms"].to_list() == [750, 1000, 7000, 7250]
    assert frame.filter(player=B)["t_ms"].to_list() == list(range(0, 5000, 250))


def test_the_window_begins_anew_with_the_round(rows):
    frame = rows([*_round(1), *_round(2, start=500, live=500)], [_at(t, x=t) for t in (0, 250, 600)])
    assert _last(frame)["sample_count"] == 1
    assert _last(frame)["speed_mps"] is None


def test_movement_is_measured_over_steps_inside_the_window(rows):
    row = _last(rows([], [_at(0), _at(1000, x=4000), _at(2000, x=4000, z=3000), _at(4000, x=4000, z=3000)]))
    assert (row["sample_count"], row["max_gap_ms"], row["position_age_ms"]) == (3, 2000, 0)
    assert (row["path_4s_m"], row["speed_mean_4s_mps"], row["speed_max_4s_mps"]) == (3.0, 3.0, 3.0)
    assert row["displacement_4s_m"] == 3.0
    assert (row["speed_mps"], row["straightness_4s"]) == (None, None)


def test_a_straight_run_is_straight_and_a_turn_is_less(rows):
    straight = _last(rows([], [_at(t, x=5 * t) for t in range(0, 2001, 250)]))
    assert (straight["straightness_4s"], straight["speed_mps"]) == (1.0, 5.0)
    assert _last(rows([], [_at(0), _at(500, x=2000), _at(1000, x=2000, z=2000)]))["straightness_4s"] < 0.75
    assert _last(rows([], [_at(0), _at(500, x=200)]))["straightness_4s"] is None


def test_no_speed_is_invented_over_a_long_gap_or_from_an_old_position(rows):
    assert _last(rows([], [_at(0), _at(1501, x=3000)]))["speed_mps"] is None
    assert _last(rows([], [_at(0), _at(1500, x=3000)]))["speed_mps"] == 2.0
    aged = rows([_event(4000, "OTHER")], [_at(1000), _at(1500, x=500)]).filter(t_ms=3750)
    assert (aged["speed_mps"].item(), aged["speed_mean_4s_mps"].item()) == (None, 1.0)


def test_a_planar_source_measures_in_the_plane(rows):
    row = _last(rows([], [_at(0, y=None), _at(250, x=300, z=400, y=9000), _at(500, x=300, z=400, y=None)]))
    assert (row["path_4s_m"], row["displacement_4s_m"]) == (0.5, 0.5)


def test_of_two_positions_in_one_millisecond_the_later_one_counts(rows):
    row = _last(rows([], [_at(0), _at(250, x=9000), _at(250, x=1000)]))
    assert (row["sample_count"], row["path_4s_m"], row["speed_max_4s_mps"]) == (2, 1.0, 4.0)


def test_enemies_and_teammates_are_told_by_team_and_unknown_ones_are_neither(rows):
    tracks = [_at(0, team="x"), _at(0, B, x=9000, team="y"), _at(0, C, x=3000, team="x"), _at(0, "player:d", x=100)]
    row = _last(rows([], tracks))
    assert (row["nearest_enemy_m"], row["nearest_teammate_m"]) == (9.0, 3.0)
    assert (row["alive_enemies"], row["alive_teammates"], row["enemies_within_10m"]) == (1, 1, 1)
    lone = _last(rows([], tracks), "player:d")
    assert {lone[n] for n in ("nearest_enemy_m", "nearest_teammate_m", "alive_enemies", "alive_teammates")} == {None}


def test_an_enemy_whose_position_is_old_is_alive_but_nowhere(rows):
    tracks = [_at(0, B, x=5000, team="y"), *(_at(t, team="x") for t in range(0, 3000, 250))]
    frame = rows([], tracks).filter(player=A)
    fresh, old = (frame.filter(t_ms=t).row(0, named=True) for t in (2000, 2250))
    assert (fresh["nearest_enemy_m"], fresh["enemies_within_10m"], fresh["alive_enemies"]) == (5.0, 1, 1)
    assert (old["nearest_enemy_m"], old["enemies_within_10m"], old["alive_enemies"]) == (None, None, 1)


@pytest.mark.parametrize(
    ("yaw_mdeg", "angle"), [(0, 90.0), (90_000, 0.0), (-90_000, 180.0), (450_000, 0.0), (45_000, 45.0)]
)
def test_yaw_turns_from_x_towards_minus_z(rows, yaw_mdeg, angle):
    row = _last(rows([], [_at(0, team="x", yaw_mdeg=yaw_mdeg), _at(0, B, z=-2000, team="y")]))
    assert row["enemy_angle_deg"] == pytest.approx(angle)


def test_the_order_of_equally_near_enemies_does_not_show(rows):
    for first, second in ((B, C), (C, B)):
        tracks = [_at(0, team="x", yaw_mdeg=0), _at(0, first, x=2000, team="y"), _at(0, second, z=2000, team="y")]
        assert _last(rows([], tracks))["enemy_angle_deg"] == 0.0


def test_the_nearest_objective_of_the_map_is_approached_and_a_planar_one_is_flat(rows):
    sites = [{"id": "a", "x_mm": 90_000, "y_mm": 0, "z_mm": 0}, {"id": "b", "x_mm": 10_000, "y_mm": None, "z_mm": 0}]
    row = _last(rows([], [_at(0, y=500), _at(2000, x=4000)], objectives=sites))
    assert (row["objective_m"], row["objective_closing_4s_mps"]) == (6.0, 2.0)
    assert _last(rows([], [_at(0), _at(2000, x=4000)]))["objective_m"] is None


def test_the_bomb_is_where_it_was_dropped_until_someone_picks_it_up(rows):
    events = [
        _event(100, "BOMB_DROPPED", A, x_mm=3000, y_mm=0, z_mm=0),
        _event(600, "BOMB_PICKED_UP", B),
        _event(1100, "BOMB_PLANTED", B, x_mm=0, y_mm=0, z_mm=1000),
    ]
    frame = rows(events, [_at(t, who, has_bomb=None) for t in range(0, 1501, 250) for who in (A, B)])
    own = frame.filter(player=A)
    assert own["bomb_m"].to_list() == [None, 3.0, 3.0, 0.0, 0.0, 1.0, 1.0]
    assert own["bomb_planted"].to_list() == [None, 0, 0, 0, 0, 1, 1]
    assert own["since_plant_s"].to_list()[4:] == [None, pytest.approx(0.15), pytest.approx(0.4)]
    assert frame.filter(player=B)["has_bomb"].to_list() == [None, 0, 0, 1, 1, 0, 0]


def test_the_bomb_is_with_its_only_living_carrier_and_nowhere_with_two(rows):
    def bomb_m(*events, b=True, c=False):
        tracks = [_at(0), _at(0, B, x=4000, has_bomb=b), _at(0, C, x=7000, has_bomb=c), _at(250)]
        return _last(rows(list(events), tracks))["bomb_m"]

    assert (bomb_m(), bomb_m(c=True), bomb_m(b=False), bomb_m(b=None)) == (4.0, None, None, None)
    assert bomb_m(_event(100, "PLAYER_KILLED", None, target=B)) is None
    assert bomb_m(_event(100, "BOMB_DROPPED", B, x_mm=9000, y_mm=0, z_mm=0)) == 9.0
    assert bomb_m(_event(100, "BOMB_DROPPED", B)) is None


def test_who_has_the_bomb_has_picked_it_up_unless_it_is_planted(rows):
    tracks = [_at(0), _at(0, B, x=4000), _at(300), _at(300, B, x=5000, has_bomb=True)]
    dropped, planted = (
        _last(rows([_event(100, kind, B, x_mm=9000, y_mm=0, z_mm=0)], tracks))["bomb_m"]
        for kind in ("BOMB_DROPPED", "BOMB_PLANTED")
    )
    assert (dropped, planted) == (5.0, 9.0)


def test_a_site_is_around_an_objective_of_the_map(rows, limits):
    sites = [{"id": "a", "x_mm": 0, "y_mm": 0, "z_mm": 0}]
    edge = limits.site_mm
    assert [_last(rows([], [_at(0, x=x)], objectives=sites))["in_site"] for x in (0, edge, edge + 1)] == [1, 1, 0]
    named = {"objective_x_mm": 0, "objective_y_mm": 0, "objective_z_mm": 0}
    row = _last(rows([], [_at(0, x=1, **named)]))
    assert row["in_site"] is None and row["objective_m"] is not None


def test_planting_ends_with_a_shot_a_drop_the_plant_or_the_time_it_takes(rows):
    tracks = [_at(t) for t in range(0, 5001, 250)]
    start = _event(0, "BOMB_PLANT_STARTED", A)
    alone = rows([start], tracks)["since_plant_start_s"].to_list()
    assert alone[12:14] == [3.0, None]
    for end in ("WEAPON_FIRED", "BOMB_DROPPED", "BOMB_PLANTED"):
        assert rows([start, _event(600, end, A)], tracks)["since_plant_start_s"].to_list()[2:4] == [0.5, None]


def test_one_player_defuses_at_a_time(rows):
    events = [
        _event(0, "BOMB_DEFUSE_STARTED", A),
        _event(600, "BOMB_DEFUSE_STARTED", B),
        _event(1100, "BOMB_DEFUSED", B),
    ]
    frame = rows(events, [_at(t, who) for t in range(0, 1501, 250) for who in (A, B)])
    assert frame.filter(player=A)["since_defuse_start_s"].is_null().to_list() == [False] * 3 + [True] * 4
    assert frame.filter(player=B)["since_defuse_start_s"].is_null().to_list() == [True] * 3 + [False] * 2 + [True] * 2


def test_damage_and_kills_count_against_enemies_only_but_hurt_from_anyone(rows):
    def hit(t, actor, target, amount):
        return _event(t, "PLAYER_DAMAGED", actor, target=target, amount=amount)

    tracks = [_at(0, team="x"), _at(0, B, team="y"), _at(0, C, team="x")]
    events = [hit(10, A, B, 30), hit(20, A, C, 40), hit(30, A, A, 5), hit(40, None, A, 7), hit(50, C, A, 11)]
    events += [_event(60, "PLAYER_KILLED", A, target=B), _event(70, "PLAYER_KILLED", A, target=C)]
    row = _last(rows(events, tracks))
    assert (row["damage_dealt_4s"], row["damage_taken_4s"], row["kills_4s"]) == (30, 23, 1)
    assert (row["alive_enemies"], row["alive_teammates"], row["shots_4s"]) == (0, 0, None)


def test_counts_leave_with_the_window(rows):
    frame = rows([_event(t, "WEAPON_FIRED", A) for t in (0, 10)], [_at(t) for t in range(0, 5000, 250)])
    assert frame["shots_4s"].to_list()[:2] == [1, 2]
    assert frame.filter(pl.col("t_ms").is_in([3750, 4000, 4250]))["shots_4s"].to_list() == [2, 1, 0]


def test_a_teammates_death_by_an_enemy_is_remembered_for_a_while_and_by_others_not(rows):
    tracks = [_at(t, p, x=x, team=team) for t in range(0, 12_001, 500) for p, x, team in ((A, 0, "x"), (B, 7000, "y"))]
    tracks.append(_at(0, C, team="x"))
    by_enemy = rows([_event(250, "PLAYER_KILLED", B, target=C)], tracks).filter(player=A)
    first, last, after = (by_enemy.filter(t_ms=t).row(0, named=True) for t in (250, 10_250, 10_500))
    assert (first["since_teammate_death_s"], first["killer_m"]) == (0.0, 7.0)
    assert (last["since_teammate_death_s"], last["killer_m"]) == (10.0, 7.0)
    assert (after["since_teammate_death_s"], after["killer_m"]) == (None, None)
    avenged = [_event(250, "PLAYER_KILLED", B, target=C), _event(900, "PLAYER_KILLED", A, target=B)]
    after = rows(avenged, tracks).filter(player=A, t_ms=1000)
    assert (after["since_teammate_death_s"].item(), after["killer_m"].item()) == (0.75, None)
    by_self = rows([_event(250, "PLAYER_KILLED", C, target=C)], tracks).filter(player=A)
    assert by_self["since_teammate_death_s"].null_count() == by_self.height


def test_sides_decide_who_attacks_and_other_words_decide_nothing(rows):
    for side, attacks in (("terrorists", 1), ("defender", 0), ("radiant", None), (None, None)):
        row = _last(rows([], [_at(0, side=side)]))
        assert (row["side"], row["is_attacker"]) == (side, attacks)


def test_the_order_of_input_rows_of_one_millisecond_does_not_matter_to_other_players(frames, random_match):
    log = random_match(11)
    shuffled = log.tracks.sort(pl.col("player").rank(descending=True), "t_ms", "seq", maintain_order=True)
    assert match_features(log.match, log.events, shuffled).equals(match_features(log.match, log.events, log.tracks))


def test_a_jump_is_no_movement_and_hides_what_the_window_spans_until_it_has_left(rows):
    sites = [{"id": "a", "x_mm": 0, "y_mm": 0, "z_mm": 0}]
    frame = rows([], [_at(t, x=t if t < 500 else 50_000 + t) for t in range(0, 5001, 250)], objectives=sites)
    assert frame["speed_mps"].to_list()[1:4] == [1.0, None, 1.0]
    assert frame["speed_max_4s_mps"].max() == 1.0
    for name in ("displacement_4s_m", "straightness_4s", "objective_closing_4s_mps"):
        assert frame.filter(pl.col("t_ms").is_between(500, 4000))[name].is_null().all()
        assert frame.filter(t_ms=4250)[name].item() is not None


def test_absurdly_far_positions_overflow_nothing(rows):
    far = 2**31 - 1
    row = _last(rows([], [_at(0, x=-far, y=-far, z=-far), _at(250, x=far, y=far, z=far)]))
    assert (row["sample_count"], row["path_4s_m"]) == (2, None)
    apart = _last(rows([], [_at(0, x=-far, y=-far, z=-far, team="x"), _at(0, B, x=far, y=far, z=far, team="y")]))
    assert apart["nearest_enemy_m"] == pytest.approx(2 * far * 3**0.5 / 1000)


def test_both_windows_count_and_the_short_one_forgets_first(rows):
    frame = rows([_event(0, "WEAPON_FIRED", A), _event(0, "GRENADE_THROWN", A)], [_at(t) for t in range(0, 4251, 250)])
    told = frame.filter(pl.col("t_ms").is_in([750, 1000, 3750, 4000])).select(
        "shots_1s", "shots_4s", "utility_thrown_4s"
    )
    assert told.rows() == [(1, 1, 1), (0, 1, 1), (0, 1, 1), (0, 0, 0)]
    untold = _last(rows([], [_at(0)]))
    assert {untold[name] for name in ("shots_1s", "utility_thrown_4s", "flashed_s", "bomb_planted")} == {None}


def test_the_last_hit_given_and_taken_is_remembered_through_the_round(rows):
    hit = _event(0, "PLAYER_DAMAGED", A, target=B, amount=30)
    tracks = [_at(t, who, team=who[-1]) for t in range(0, 9001, 500) for who in (A, B)]
    frame = rows([hit], tracks).filter(t_ms=9000)
    told = frame.select("player", "since_damage_dealt_s", "since_damage_taken_s").rows()
    assert told == [(A, 9.0, None), (B, None, 9.0)]


def test_a_flash_lasts_as_long_as_the_longest_told(rows):
    flashes = [
        _event(0, "PLAYER_BLINDED", B, target=A, amount=700),
        _event(100, "PLAYER_BLINDED", B, target=A, amount=100),
    ]
    frame = rows(flashes, [_at(t, who) for t in range(0, 1001, 250) for who in (A, B)])
    left = [0.7, 0.45, 0.2, 0.0, 0.0]
    assert frame.filter(player=A)["flashed_s"].to_list() == pytest.approx(left)
    assert set(frame.filter(player=B)["flashed_s"]) == {0.0}


def test_state_is_as_last_told_and_numbers_are_compared(rows):
    tracks = [_at(0, team="x", hp=80, armor=50, has_kit=True), _at(0, B, team="y"), _at(0, C, team="y")]
    row = _last(rows([], [*tracks, _at(250, team="x", armor=40)]))
    assert (row["hp"], row["armor"], row["has_kit"], row["advantage"]) == (80, 40, 1, -1)
    assert _last(rows([], tracks), B)["hp"] is None


def test_damage_beyond_what_a_row_holds_is_refused(rows):
    hits = [_event(t, "PLAYER_DAMAGED", None, target=A, amount=2**31 - 1) for t in (0, 1)]
    with pytest.raises(ValueTooBig, match="beyond 16777216"):
        rows(hits, [_at(0)])
