import polars as pl
import pytest

from configs.intents import Bound, Heuristic
from pipeline.intents.heuristics import UnusableRule, decide, holds
from pipeline.intents.vocabulary import INTENTS

FIRES = {
    "defusing": {"since_defuse_start_s": 2.0, "speed_mps": 0.0},
    "planting": {"since_plant_start_s": 1.0, "speed_mps": 0.0},
    "defender_still_at_planted_bomb": {"is_attacker": 0, "since_plant_s": 9.0, "bomb_m": 0.9, "speed_mps": 0.0},
    "carrier_still_at_site": {"has_bomb": 1, "objective_m": 4.0, "speed_mps": 0.0},
    "aims_at_killer": {
        "since_teammate_death_s": 1.0,
        "killer_m": 8.0,
        "nearest_enemy_m": 8.0,
        "enemy_angle_deg": 3.0,
    },
    "hits_and_aims": {"damage_dealt": 60, "shots": 4, "kills": 0, "nearest_enemy_m": 14.0, "enemy_angle_deg": 2.0},
    "runs_with_back_to_enemy": {
        "speed_mps": 5.0,
        "straightness": 0.9,
        "enemy_angle_deg": 170.0,
        "nearest_enemy_m": 14.0,
    },
    "defender_runs_after_plant": {
        "is_attacker": 0,
        "since_plant_s": 3.0,
        "bomb_m": 50.0,
        "speed_mean_mps": 4.8,
        "straightness": 0.95,
        "nearest_enemy_m": 40.0,
    },
    "attacker_runs_to_site": {
        "is_attacker": 1,
        "objective_closing_mps": 4.2,
        "straightness": 0.97,
        "speed_mps": 4.6,
        "shots": 0,
        "nearest_enemy_m": 45.0,
    },
    "strafes_in_view": {
        "path_m": 5.0,
        "displacement_m": 0.4,
        "straightness": 0.08,
        "speed_mps": 2.0,
        "speed_max_mps": 4.0,
        "nearest_enemy_m": 15.0,
        "enemy_angle_deg": 5.0,
        "shots": 0,
    },
    "stands_still": {"path_m": 0.0, "speed_max_mps": 0.0, "shots": 0, "damage_taken": 0, "sample_count": 32},
}


def test_every_intent_has_a_rule_and_every_rule_an_example(config):
    assert {rule.intent for rule in config.heuristics} == set(INTENTS)
    assert [rule.name for rule in config.heuristics] == list(FIRES)


@pytest.mark.parametrize("name", FIRES)
def test_a_rule_fires_on_its_example_and_on_nothing_less(name, config, instants):
    place = [rule.name for rule in config.heuristics].index(name)
    rule, example = config.heuristics[place], FIRES[name]
    assert decide(instants(**example), config).to_list() == [place]
    for feature, bound in rule.when.items():
        unknown = instants(**{**example, feature: None}) if feature != "sample_count" else instants()
        assert not unknown.select(holds(rule)).item(), f"{feature} unknown"
        outside = bound.max + 1000 if bound.max is not None else bound.min - 1000
        count = feature == "sample_count"
        assert not instants(**{**example, feature: 0 if count else outside}).select(holds(rule)).item(), feature


def test_rows_of_which_nothing_is_known_are_decided_by_no_rule(config, instants):
    assert decide(instants(3), config).to_list() == [-1, -1, -1]


def test_the_first_rule_in_order_decides(config, instants):
    both = {**FIRES["planting"], **FIRES["stands_still"]}
    assert config.heuristics[decide(instants(**both), config).item()].name == "planting"


def test_a_value_that_is_not_a_number_satisfies_nothing(instants):
    rule = Heuristic(name="fast", intent="advance", probability=0.9, when={"speed_mps": Bound(min=1)})
    frame = instants(2, speed_mps=[2.0, 2.0]).with_columns(pl.Series("speed_mps", [2.0, float("nan")]))
    assert frame.select(holds(rule)).to_series().to_list() == [True, False]


def test_a_rule_can_ask_for_the_unknown_and_for_a_difference(instants):
    unplanted = Heuristic(name="a", intent="hold", probability=0.9, when={"since_plant_s": Bound(known=False)})
    assert instants(2, since_plant_s=[None, 1.0]).select(holds(unplanted)).to_series().to_list() == [True, False]
    nearest = Bound(minus="nearest_enemy_m", max=0.5)
    rule = Heuristic(name="b", intent="trade", probability=0.9, when={"killer_m": nearest})
    rows = instants(3, killer_m=[8.0, 8.0, 8.0], nearest_enemy_m=[8.0, 2.0, None])
    assert rows.select(holds(rule)).to_series().to_list() == [True, False, False]


@pytest.mark.parametrize(("intent", "feature", "named"), [("hold", "charm", "charm"), ("dance", "speed_mps", "dance")])
def test_a_rule_that_names_what_does_not_exist_is_refused(intent, feature, named):
    with pytest.raises(UnusableRule, match=f"rule x.*{named}"):
        holds(Heuristic(name="x", intent=intent, probability=0.9, when={feature: Bound(min=0)}))
