import polars as pl
import pytest

from configs.intents import Bound, Heuristic, IntentsConfig
from pipeline.intents.heuristics import Rules, UnusableRule
from pipeline.intents.model import vectors

FIRES = {
    "defusing": {"since_defuse_start_s": 2.0, "speed_mps": 0.0},
    "planting": {"since_plant_start_s": 1.0, "speed_mps": 0.0},
    "defender_still_at_planted_bomb": {"is_attacker": 0, "since_plant_s": 9.0, "bomb_m": 0.9, "speed_mps": 0.0},
    "carrier_still_at_site": {"has_bomb": 1, "in_site": 1, "speed_mps": 0.0},
    "aims_at_killer": {
        "since_teammate_death_s": 1.0,
        "killer_m": 8.0,
        "nearest_enemy_m": 8.0,
        "enemy_angle_deg": 3.0,
    },
    "hits_and_aims": {
        "damage_dealt_4s": 60,
        "shots_4s": 4,
        "kills_4s": 0,
        "nearest_enemy_m": 14.0,
        "enemy_angle_deg": 2.0,
    },
    "attacker_runs_to_site": {
        "is_attacker": 1,
        "objective_closing_4s_mps": 4.2,
        "straightness_4s": 0.97,
        "speed_mps": 4.6,
        "shots_4s": 0,
        "nearest_enemy_m": 45.0,
    },
    "stands_still": {
        "path_4s_m": 0.0,
        "speed_max_4s_mps": 0.0,
        "shots_4s": 0,
        "damage_taken_4s": 0,
        "sample_count": 32,
    },
}


def decide(features: pl.DataFrame, config: IntentsConfig) -> list[int]:
    return Rules.configured(config).decide(vectors(features)).tolist()


@pytest.fixture
def only(config):
    """The configuration with that one rule."""
    return lambda rule: config.model_copy(update={"heuristics": (rule,)})


def test_every_rule_has_an_example(config):
    assert [rule.name for rule in config.heuristics] == list(FIRES)


@pytest.mark.parametrize("name", FIRES)
def test_a_rule_fires_on_its_example_and_on_nothing_less(name, config, only, instants):
    place = [rule.name for rule in config.heuristics].index(name)
    rule, example = config.heuristics[place], FIRES[name]
    assert decide(instants(**example), config) == [place]
    for feature, bound in rule.when.items():
        if not bound.known:
            assert decide(instants(**{**example, feature: 1}), only(rule)) == [-1], f"{feature} known"
            continue
        unknown = instants(**{**example, feature: None}) if feature != "sample_count" else instants()
        assert decide(unknown, only(rule)) == [-1], f"{feature} unknown"
        outside = bound.max + 1000 if bound.max is not None else bound.min - 1000
        count = feature == "sample_count"
        assert decide(instants(**{**example, feature: 0 if count else outside}), only(rule)) == [-1], feature


def test_rows_of_which_nothing_is_known_are_decided_by_no_rule(config, instants):
    assert decide(instants(3), config) == [-1, -1, -1]
    assert decide(instants(3)[:0], config) == []


def test_the_first_rule_in_order_decides(config, instants):
    both = {**FIRES["planting"], **FIRES["stands_still"]}
    assert config.heuristics[decide(instants(**both), config)[0]].name == "planting"


def test_a_value_at_its_bound_satisfies_it_as_a_double(only, instants):
    at = instants(3, speed_mps=[0.5, 0.1, 0.7])
    bound = Bound(min=0.1, max=0.5)  # as float32, 0.1 is a little more than the double of that name
    assert decide(at, only(Heuristic(name="slow", intent="hold", probability=0.9, when={"speed_mps": bound}))) == [
        0,
        0,
        -1,
    ]
    exact = Heuristic(name="exact", intent="hold", probability=0.9, when={"speed_mps": Bound(max=0.1)})
    assert decide(at, only(exact)) == [-1, -1, -1]


def test_a_value_that_is_not_a_number_satisfies_nothing(only, instants):
    rule = Heuristic(name="fast", intent="advance", probability=0.9, when={"speed_mps": Bound(min=1)})
    frame = instants(2, speed_mps=[2.0, 2.0]).with_columns(pl.Series("speed_mps", [2.0, float("nan")]))
    assert decide(frame, only(rule)) == [0, -1]


def test_a_rule_can_ask_for_the_unknown_and_for_a_difference(only, instants):
    unplanted = Heuristic(name="a", intent="hold", probability=0.9, when={"since_plant_s": Bound(known=False)})
    assert decide(instants(2, since_plant_s=[None, 1.0]), only(unplanted)) == [0, -1]
    nearest = Bound(minus="nearest_enemy_m", max=0.5)
    rule = Heuristic(name="b", intent="trade", probability=0.9, when={"killer_m": nearest})
    rows = instants(3, killer_m=[8.0, 8.0, 8.0], nearest_enemy_m=[8.0, 2.0, None])
    assert decide(rows, only(rule)) == [0, -1, -1]


@pytest.mark.parametrize(("intent", "feature", "named"), [("hold", "charm", "charm"), ("dance", "speed_mps", "dance")])
def test_a_rule_that_names_what_does_not_exist_is_refused(only, intent, feature, named):
    rule = Heuristic(name="x", intent=intent, probability=0.9, when={feature: Bound(min=0)})
    with pytest.raises(UnusableRule, match=f"rule x.*{named}"):
        Rules.configured(only(rule))
