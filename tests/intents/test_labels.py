import numpy as np
import polars as pl
import pytest

from configs.intents import load_intents
from pipeline.intents.labels import RULES, label
from pipeline.intents.vocabulary import INTENTS, PROBABILITIES
from pipeline.tables import conform, empty

STILL = [(0.0, 0.0)]


def walk(steps: int, metres: float, *, start: float = 0.0) -> list[tuple[float, float]]:
    """Along x, `metres` in `steps` instants."""
    return [(start + metres * step / steps, 0.0) for step in range(steps)]


def intents(labels: pl.DataFrame, player: str) -> list[str | None]:
    return labels.filter(pl.col("player") == f"player:{player}").sort("t_ms")["intent"].to_list()


def voters(labels: pl.DataFrame, player: str) -> list[list[str]]:
    return labels.filter(pl.col("player") == f"player:{player}").sort("t_ms")["rules"].to_list()


def test_a_plant_is_seen_from_its_start_to_its_end(scene):
    found = label(*scene({"a": STILL * 40}, ("BOMB_PLANTED", 5000, "a", None, {"x_mm": 0, "y_mm": 0, "z_mm": 0})))
    # 3200 ms back from 5000 is 1800, so the first instant inside is 2000
    assert [step * 250 for step, rules in enumerate(voters(found, "a")) if "plant" in rules] == list(
        range(2000, 5000, 250)
    )
    assert set(intents(found, "a")[8:20]) == {"plant"}
    assert "plant" not in intents(found, "a")[:8] + intents(found, "a")[20:]


def test_a_plant_does_not_begin_before_the_planter_arrives(scene):
    path = walk(12, 10.0) + [(10.0, 0.0)] * 20
    found = label(*scene({"a": path}, ("BOMB_PLANTED", 4500, "a", None, {"x_mm": 10000, "y_mm": 0, "z_mm": 0})))
    assert [step for step, rules in enumerate(voters(found, "a")) if "plant" in rules] == list(range(12, 18))


def test_a_logged_start_counts_until_it_is_broken_off(scene):
    path = STILL * 8 + walk(20, 30.0)
    found = label(*scene({"a": path}, ("BOMB_PLANT_STARTED", 1000, "a")))
    assert [step for step, rules in enumerate(voters(found, "a")) if "plant" in rules] == [4, 5, 6, 7, 8]


@pytest.mark.parametrize(("has_kit", "start_ms"), [(True, 7000), (False, 2000), (None, 7000)])
def test_a_defuse_is_as_long_as_the_kit_makes_it(scene, has_kit, start_ms):
    found = label(*scene({"A": STILL * 60}, ("BOMB_DEFUSED", 12000, "A"), has_kit=has_kit))
    seen = [250 * step for step, rules in enumerate(voters(found, "A")) if "defuse" in rules]
    assert (seen[0], seen[-1]) == (start_ms, 11750)
    assert intents(found, "A")[40] == "defuse"


def test_a_trade_lasts_from_the_death_to_the_answer(scene):
    paths = {"a": STILL * 5, "b": [(3.0, 0.0)] * 40, "A": [(20.0, 0.0)] * 13}
    kills = ("PLAYER_KILLED", 1250, "A", "a"), ("PLAYER_KILLED", 3250, "b", "A")
    found = label(*scene(paths, *kills))
    assert [step for step, name in enumerate(intents(found, "b")) if name == "trade"] == list(range(5, 13))


def test_a_kill_of_someone_else_or_too_late_is_no_trade(scene):
    paths = {"a": STILL * 5, "b": [(3.0, 0.0)] * 60, "A": [(20.0, 0.0)] * 60, "B": [(22.0, 0.0)] * 60}
    death = ("PLAYER_KILLED", 1250, "A", "a")
    other = label(*scene(paths, death, ("PLAYER_KILLED", 3250, "b", "B")))
    late = label(*scene(paths, death, ("PLAYER_KILLED", 9250, "b", "A")))
    assert "trade" not in intents(other, "b") + intents(late, "b")


def test_shots_at_the_killer_are_a_trade_and_shots_elsewhere_are_not(scene):
    paths = {"a": STILL * 5, "b": [(0.0, 0.0)] * 40, "A": [(20.0, 0.0)] * 40}
    events = ("PLAYER_KILLED", 1250, "A", "a"), ("WEAPON_FIRED", 3000, "b")
    at_killer = label(*scene(paths, *events, yaws={"b": 0.0}))
    elsewhere = label(*scene(paths, *events, yaws={"b": 90.0}))
    assert [step for step, rules in enumerate(voters(at_killer, "b")) if "trade_fire" in rules] == list(range(5, 12))
    assert not any("trade_fire" in rules for rules in voters(elsewhere, "b"))


def test_a_hit_on_the_killer_is_a_trade_and_a_hit_on_another_is_none(scene):
    paths = {"a": STILL * 5, "b": [(3.0, 0.0)] * 40, "A": [(20.0, 0.0)] * 40, "B": [(22.0, 0.0)] * 40}
    death = ("PLAYER_KILLED", 1250, "A", "a")
    tried = label(*scene(paths, death, ("PLAYER_DAMAGED", 3000, "b", "A")))
    other = label(*scene(paths, death, ("PLAYER_DAMAGED", 3000, "b", "B")))
    assert [step for step, rules in enumerate(voters(tried, "b")) if "trade_hit" in rules] == list(range(5, 12))
    assert not any("trade_hit" in rules for rules in voters(other, "b"))


def test_a_fight_is_around_its_hits_and_a_grenade_is_none(scene):
    paths = {"a": STILL * 40, "A": [(20.0, 0.0)] * 40}
    shot = label(*scene(paths, ("PLAYER_DAMAGED", 5000, "a", "A")))
    thrown = label(*scene(paths, ("PLAYER_DAMAGED", 5000, "a", "A", {"weapon": "hegrenade"})))
    assert [250 * step for step, name in enumerate(intents(shot, "a")) if name == "engage"] == [4500, 4750, 5000, 5250]
    assert "engage" not in intents(shot, "A") + intents(thrown, "a")


def test_aimed_fire_is_a_fight_and_fire_the_other_way_is_none(scene):
    paths = {"a": STILL * 40, "A": [(20.0, 0.0)] * 40}
    at_enemy = label(*scene(paths, ("WEAPON_FIRED", 5000, "a"), yaws={"a": 0.0}))
    away = label(*scene(paths, ("WEAPON_FIRED", 5000, "a"), yaws={"a": 180.0}))
    knife = label(*scene(paths, ("WEAPON_FIRED", 5000, "a", None, {"weapon": "knife_t"}), yaws={"a": 0.0}))
    assert [step for step, rules in enumerate(voters(at_enemy, "a")) if "engage_fire" in rules] == [18, 19, 20, 21, 22]
    assert not any("engage_fire" in rules for rules in voters(away, "a") + voters(knife, "a"))


OUT_AND_BACK = STILL * 8 + [(0.0, z) for z in (0.8, 1.6, 1.6, 0.8, 0.0)] + STILL * 8


def test_out_and_back_in_view_of_an_enemy_is_a_peek(scene):
    enemy = {"A": [(20.0, 0.0)] * 21}
    seen = label(*scene({"a": OUT_AND_BACK, **enemy}, yaws={"a": 0.0}))
    unseen = label(*scene({"a": OUT_AND_BACK, **enemy}, yaws={"a": 180.0}))
    # from the last instant on the spot to before it is back
    assert [step for step, name in enumerate(intents(seen, "a")) if name == "peek"] == [7, 8, 9, 10, 11]
    assert "peek" not in intents(unseen, "a")


def test_a_turn_on_the_way_is_no_peek(scene):
    enemy = {"A": [(20.0, 0.0)] * 21}
    wiggle = [(0.0, -0.8 * step) for step in range(8, 0, -1)] + OUT_AND_BACK[8:]  # comes running: no spot is left
    onward = OUT_AND_BACK[:12] + [(0.0, -0.8 * step) for step in range(9)]  # runs on past the spot
    for path in (wiggle, onward):
        found = label(*scene({"a": path, **enemy}, yaws={"a": 0.0}))
        assert not any("peek_return" in rules for rules in voters(found, "a"))


def test_a_creep_out_and_past_is_no_peek(scene):
    enemy = {"A": [(20.0, 0.0)] * 21}
    creeps = STILL * 8 + [(0.0, 0.3 * step) for step in (1, 2, 3, 2, 1)] + STILL * 8
    passes = OUT_AND_BACK[:12] + [(0.0, -0.3 * step) for step in range(9)]
    for path in (creeps, passes):
        found = label(*scene({"a": path, **enemy}, yaws={"a": 0.0}))
        assert not any("peek_return" in rules for rules in voters(found, "a"))


def test_a_step_out_into_a_fight_is_a_peek(scene):
    path = STILL * 8 + [(0.0, 0.5), (0.0, 1.0), (0.0, 1.5)] + [(0.0, 1.5)] * 9
    hit = ("PLAYER_DAMAGED", 2400, "A", "a")
    found = label(*scene({"a": path, "A": [(20.0, 0.0)] * 20}, hit))
    assert [step for step, rules in enumerate(voters(found, "a")) if "peek_step_out" in rules] == [7, 8, 9]
    standing = label(*scene({"a": STILL * 20, "A": [(20.0, 0.0)] * 20}, hit))
    assert not any("peek_step_out" in rules for rules in voters(standing, "a"))


def test_staying_is_holding_as_long_as_it_lasted(scene):
    stays = label(*scene({"a": STILL * 20 + walk(8, 8.0)}))
    brief = label(*scene({"a": walk(8, 8.0) + [(8.0, 0.0)] * 6 + walk(8, 8.0, start=9.0)}))
    assert intents(stays, "a")[:20] == ["hold"] * 20  # up to the step away
    assert "hold" not in intents(stays, "a")[22:] + intents(brief, "a")


@pytest.mark.parametrize(("metres", "expected"), [(40.0, "advance"), (2.0, None)])
def test_going_to_a_site_is_an_advance_and_creeping_is_not(scene, metres, expected):
    found = label(*scene({"a": walk(40, metres)}, sites=((60.0, 0.0),)))
    assert intents(found, "a")[5] == (expected or "hold")


def test_an_advance_begins_with_setting_off_and_ends_with_arriving(scene):
    path = STILL * 12 + walk(16, 20.0) + [(20.0, 0.0)] * 12
    found = label(*scene({"a": path}, sites=((21.0, 0.0),)))
    advances = [step for step, rules in enumerate(voters(found, "a")) if "advance_objective" in rules]
    assert advances == list(range(11, 28))  # half a second before it stands, half a second is no pace
    assert intents(found, "a")[:10] + intents(found, "a")[30:] == ["hold"] * 20


def test_leaving_a_site_is_no_advance_to_it(scene):
    found = label(*scene({"a": walk(24, 24.0)}, sites=((0.0, 5.0), (90.0, 5.0))))
    assert "advance_objective" not in voters(found, "a")[4]  # the site left is still the nearest at the end


@pytest.mark.parametrize("is_planar", [True, False])
def test_a_site_on_a_hill_is_no_farther_in_a_planar_source(scene, is_planar):
    events, tracks, features = scene({"a": walk(40, 40.0)})
    hill = '{"objectives": [{"id": "a", "pos": [12.0, 400.0, 0.0]}]}'
    events = events.with_columns(payload=pl.when(pl.col("event_type") == "MATCH_STARTED").then(pl.lit(hill)))
    if is_planar:
        tracks = tracks.with_columns(y_mm=pl.lit(None, dtype=pl.Int32))
    found = label(events, tracks, features)
    assert ("advance_objective" in voters(found, "a")[0]) is is_planar


def test_with_no_weapon_left_out_every_hit_is_a_fight(scene):
    config = load_intents()
    every = config.model_copy(update={"labels": config.labels.model_copy(update={"not_aimed": ()})})
    paths = {"a": STILL * 40, "A": [(20.0, 0.0)] * 40}
    match = scene(paths, ("PLAYER_DAMAGED", 5000, "a", "A", {"weapon": "hegrenade"}))
    assert "engage" in intents(label(*match, every), "a") and "engage" not in intents(label(*match), "a")


def test_only_own_movement_counts_as_going_to_or_from_an_enemy(scene):
    runs = label(*scene({"a": STILL * 40, "A": walk(40, -40.0, start=60.0)}))
    assert not any("advance_enemy" in rules for rules in voters(runs, "a"))
    assert "advance_enemy" in voters(runs, "A")[5]


def test_running_from_a_fight_is_a_retreat_and_without_one_is_not(scene):
    paths = {"a": walk(20, 25.0), "A": [(-10.0, 0.0)] * 20}
    hit = ("PLAYER_DAMAGED", 0, "A", "a", {"weapon": "hegrenade"})
    fled = label(*scene(paths, hit))
    left = label(*scene(paths))
    far = label(*scene({"a": walk(20, 25.0), "A": [(-80.0, 0.0)] * 20}, hit))
    assert intents(fled, "a")[2] == "retreat"
    assert not any("retreat_enemy" in rules for rules in voters(left, "a") + voters(far, "a"))


def test_a_defender_who_leaves_the_planted_bomb_saves_and_an_attacker_does_not(scene):
    planted = ("BOMB_PLANTED", 0, "a", None, {"x_mm": 0, "y_mm": 0, "z_mm": 0})
    found = label(*scene({"a": walk(30, 30.0), "A": walk(30, 30.0)}, planted))
    assert intents(found, "A")[4] == "retreat"
    assert not any("retreat_save" in rules for rules in voters(found, "a"))
    assert not any("retreat_save" in rules for rules in voters(label(*scene({"A": walk(30, 30.0)})), "A"))


def test_leaving_one_site_for_another_is_a_rotation(scene):
    sites = (0.0, 5.0), (60.0, 5.0)
    found = label(*scene({"A": STILL * 64 + walk(60, 60.0)}, sites=sites))
    assert intents(found, "A")[68] == "rotate" and "rotate" not in intents(found, "A")[:62]
    at_once = label(*scene({"A": walk(60, 60.0)}, sites=sites))  # the set-up of the round
    coming = label(*scene({"A": STILL * 64 + walk(60, 60.0)}, sites=((60.0, 5.0), (62.0, 30.0))))
    assert "rotate" not in intents(at_once, "A")[:50] + intents(coming, "A")


def test_a_far_defender_rotates_to_the_planted_bomb_and_an_attacker_advances(scene):
    planted = ("BOMB_PLANTED", 0, "b", None, {"x_mm": 60000, "y_mm": 0, "z_mm": 0})
    found = label(*scene({"a": walk(50, 55.0), "A": walk(50, 55.0), "b": [(60.0, 0.0)] * 50}, planted))
    assert intents(found, "A")[4] == "rotate"
    assert "rotate_to_bomb" not in voters(found, "A")[40]  # near the bomb it is the retake
    assert "rotate" not in intents(found, "a")
    assert "rotate" not in intents(label(*scene({"A": walk(50, 55.0)})), "A")


def test_what_comes_after_a_death_is_not_seen(scene):
    events, tracks, features = scene({"a": STILL * 12 + [(50.0, 0.0)] * 20}, sites=((50.0, 0.0),))
    found = label(events, tracks, features.filter(pl.col("t_ms") < 3000))
    assert found["intent"].to_list() == ["hold"] * 12
    assert found["horizon_ms"].to_list() == [250 * step for step in reversed(range(12))]
    short = label(events, tracks, features.filter(pl.col("t_ms") < 2000))  # too little to say that he stayed
    assert short["intent"].null_count() == short.height


def test_what_a_player_does_after_the_round_tells_nothing_of_it(scene):
    paths = {"a": STILL * 12, "A": [(20.0, 0.0)] * 12}  # ends at 3000
    for deed, rule in ((("PLAYER_DAMAGED", "A"), "engage_hit"), (("WEAPON_FIRED", None), "engage_fire")):
        for t, expected in ((2900, True), (3000, True), (3300, False)):
            found = label(*scene(paths, (deed[0], t, "a", deed[1]), yaws={"a": 0.0}))
            assert any(rule in rules for rules in voters(found, "a")) is expected


def test_a_shot_ends_the_handling_of_the_bomb(scene):
    began = ("BOMB_DEFUSE_STARTED", 1000, "A")
    found = label(*scene({"A": STILL * 40}, began, ("WEAPON_FIRED", 2600, "A")))
    assert [step for step, rules in enumerate(voters(found, "A")) if "defuse" in rules] == list(range(4, 11))
    unlogged = label(*scene({"A": STILL * 40}, ("WEAPON_FIRED", 6000, "A"), ("BOMB_DEFUSED", 8000, "A"), has_kit=False))
    assert [step for step, rules in enumerate(voters(unlogged, "A")) if "defuse" in rules] == list(range(24, 32))


def test_probabilities_sum_to_one_where_a_rule_won_and_are_null_where_none_did(scene, config):
    found = label(*scene({"a": STILL * 20 + walk(8, 2.5)}))
    sums = found.select(pl.sum_horizontal(pl.col(PROBABILITIES), ignore_nulls=False)).to_series()
    assert np.allclose(sums[:20].to_numpy(), 1)
    assert sums[-2:].null_count() == 2
    odds = np.exp(config.labels.weights["hold_stay"])
    assert found["p_hold"][0] == pytest.approx(odds / (odds + 8))


def weighed(config, **weights):
    labels = config.labels.model_copy(update={"weights": config.labels.weights | weights})
    return config.model_copy(update={"labels": labels})


def test_equal_votes_for_different_intents_are_an_abstention_that_names_both(scene, config):
    made = scene({"A": STILL * 12 + walk(8, 1.2) + walk(20, 30.0, start=1.2)}, sites=((40.0, 0.0),))
    both = ["hold_stay", "advance_objective"]
    at = voters(label(*made), "A").index(both)
    even = label(*made, weighed(config, advance_objective=3, hold_stay=3))
    assert intents(even, "A")[at] is None and voters(even, "A")[at] == both
    assert intents(label(*made, weighed(config, advance_objective=5, hold_stay=3)), "A")[at] == "advance"


def test_what_is_more_particular_silences_the_rest(scene):
    paths = {"a": STILL * 40, "A": [(20.0, 0.0)] * 40}
    found = label(*scene(paths, ("PLAYER_DAMAGED", 5000, "a", "A"), ("WEAPON_FIRED", 5000, "a"), yaws={"a": 0.0}))
    assert voters(found, "a")[19] == ["engage_hit"] and voters(found, "a")[10] == ["hold_stay"]
    ranks = {rule.name: rule.rank for rule in RULES}
    order = ["plant", "trade_kill", "engage_hit", "engage_fire", "rotate_sites", "hold_stay"]
    assert [ranks[name] for name in order] == sorted(set(ranks.values()))


def test_a_vote_too_weak_to_be_likely_right_is_an_abstention(scene, config):
    stays = scene({"a": STILL * 20})
    assert intents(label(*stays, weighed(config, hold_stay=2.0)), "a")[0] is None  # e^2 : 8
    assert intents(label(*stays, weighed(config, hold_stay=2.2)), "a")[0] == "hold"


def test_labels_have_a_row_per_feature_row_whatever_is_known(scene, instants):
    assert label(empty("events"), empty("tracks"), empty("features")).is_empty()
    lone = label(empty("events"), empty("tracks"), instants(3, round_=None))
    assert lone.height == 3
    assert lone["intent"].null_count() == 3
    conform("labels", lone)


def test_the_order_of_rows_changes_nothing(scene):
    made = scene({"a": walk(40, 40.0), "A": [(60.0, 0.0)] * 40}, ("PLAYER_DAMAGED", 5000, "a", "A"))
    events, tracks, features = (frame.sample(fraction=1, shuffle=True, seed=1) for frame in made)
    assert label(events, tracks, features).equals(label(*made))


def test_the_rules_speak_for_all_nine_intents(config):
    assert {rule.intent for rule in RULES} == set(INTENTS)
    assert {rule.name for rule in RULES} == set(type(config.labels.rules).model_fields)


def test_real_plants_and_defuses_are_labelled_where_the_log_says_so(shared_data):
    from pipeline.events.reader import read_log
    from pipeline.features.match import match_features

    reading = read_log(shared_data / "cs2" / "cs2-am-inferno.jsonl.gz", log_id="a")
    match = reading.matches["cs2-am-inferno"]
    events, tracks = match.events.read(), match.tracks.read()
    features = match_features(match.match, events, tracks)
    found = label(events, tracks, features)
    assert found.height == features.height
    for done, intent, within_ms in (("BOMB_PLANTED", "plant", 3000), ("BOMB_DEFUSED", "defuse", 4750)):
        for actor, t in events.filter(pl.col("event_type") == done).select("actor", "t_ms").iter_rows():
            inside = pl.col("t_ms").is_between(t - within_ms, t, closed="left")
            rows = found.filter((pl.col("player") == actor) & inside)
            assert rows.height >= within_ms // 250 - 1
            assert (rows["intent"] == intent).all()
            assert found.filter((pl.col("player") == actor) & (pl.col("t_ms") == t - t % 250 + 250))[
                "intent"
            ].to_list() != [intent]
