from datetime import UTC, datetime

import polars as pl
import pytest

from pipeline.intents.evaluation import alarms, protocol

DAY = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def matches(lone_case):
    named = {"900-1": "de_a", "900-2": "de_b", "cup-x-a": "de_a", "cup-x-c": "de_c", "lone": "de_b"}
    return [lone_case(match_id, map_name) for match_id, map_name in named.items()]


def test_no_match_of_a_tested_series_is_trained_on(matches):
    series = {case.match_id: case.series for case in matches}
    found = protocol.folds(matches, lambda case: case.series)
    assert sorted(name for fold in found for name in fold.tested) == sorted(series)
    assert len(found) == 3
    for fold in found:
        assert not {series[name] for name in fold.tested} & {series[name] for name in fold.trained}


def test_a_held_out_map_leaves_out_the_series_too(matches):
    found = {name: fold for fold in protocol.folds(matches, lambda case: case.map) for name in fold.tested}
    assert found["900-1"].trained == ("cup-x-c", "lone")
    assert found["cup-x-c"].trained == ("900-1", "900-2", "lone")


def test_one_series_alone_trains_and_all_others_test(matches):
    found = {fold.name: fold for fold in protocol.single_series(matches)}
    assert found["900"].trained == ("900-1", "900-2")
    assert found["900"].tested == ("cup-x-a", "cup-x-c", "lone")


def test_a_held_out_team_is_in_no_match_that_is_trained_on(lone_case):
    games = [lone_case(name, teams=list(teams)) for name, teams in (("7-1", "ab"), ("8-1", "ac"), ("9-1", "cd"))]
    found = {fold.tested: (fold.trained, fold.name) for fold in protocol.by_team(games)}
    assert found == {("7-1",): (("9-1",), "a b"), ("9-1",): (("7-1",), "c d")}  # nobody is left to train for 8-1
    sisters = [lone_case("7-1", teams=["a", "b"]), lone_case("7-2", teams=["x", "y"]), lone_case("8-1", teams=["z"])]
    assert [fold.trained for fold in protocol.by_team(sisters)] == [("8-1",), ("7-1", "7-2")]


def test_by_time_only_earlier_series_train_and_an_unknown_time_trains_nobody(lone_case):
    dated = [lone_case(name, started_at=DAY.replace(hour=hour)) for name, hour in (("7-1", 1), ("8-1", 5), ("7-2", 3))]
    assert [(fold.tested, fold.trained) for fold in protocol.forward(dated)] == [(("8-1",), ("7-1", "7-2"))]
    assert protocol.forward([*dated, lone_case("9-1")]) == []


def test_a_series_that_was_not_over_when_another_began_does_not_train_for_it(lone_case):
    def game(name, hour, hours=1):
        lasts = pl.DataFrame({"t_ms": [0, hours * 3_600_000]})
        return lone_case(name, started_at=DAY.replace(hour=hour), features=lasts)

    overlapping = [game("7-1", 1), game("7-2", 9), game("8-1", 5)]
    assert protocol.forward(overlapping) == []
    assert protocol.forward([game("7-1", 1, hours=5), game("8-1", 5)]) == []
    assert [fold.trained for fold in protocol.forward([game("7-1", 1, hours=3), game("8-1", 5)])] == [("7-1",)]


def test_a_cut_in_a_match_is_at_a_round_and_keeps_its_distance(lone_case):
    features = pl.DataFrame(
        {"round": [1] * 40 + [2] * 40, "t_ms": [*range(0, 40_000, 1000), *range(60_000, 100_000, 1000)]}
    )
    case = lone_case("m", features=features, labels=features)
    before, after = protocol.cut(case, 0.5, purge_ms=25_000, embargo_ms=3_000)
    assert before.features["t_ms"].max() == 34_000  # 60 000 less 25 000, not one more
    assert after.features["t_ms"].min() == 63_000
    assert before.labels.equals(before.features) and after.labels.equals(after.features)


def test_a_cut_leaves_no_act_of_the_one_part_in_the_other(lone_case, measures):
    features = pl.DataFrame(
        {"round": [1] * 10 + [2] * 10, "player": ["p"] * 20, "t_ms": list(range(0, 200_000, 10_000))}
    ).with_columns(has_kit=pl.lit(0))
    planted = pl.DataFrame({"event_type": ["BOMB_PLANTED"] * 2, "actor": ["p"] * 2, "round": [1, 2]})
    events = planted.with_columns(t_ms=pl.Series([50_000, 150_000]))
    case = lone_case("m", features=features, labels=features, events=events, tracks=features.select("t_ms"))
    for part, rounds in zip(protocol.cut(case, 0.5, purge_ms=0, embargo_ms=0), ([1], [2]), strict=True):
        assert alarms.acts(part, "plant", measures.alarms)["round"].to_list() == rounds
        assert part.tracks["t_ms"].to_list() == part.features["t_ms"].to_list()


def test_one_round_is_cut_by_time_and_still_keeps_its_distance(lone_case):
    features = pl.DataFrame({"round": [1] * 101, "t_ms": list(range(0, 101_000, 1000))})
    before, after = protocol.cut(
        lone_case("m", features=features, labels=features), 0.2, purge_ms=5000, embargo_ms=2000
    )
    assert (before.features["t_ms"].max(), after.features["t_ms"].min()) == (74_000, 82_000)


def test_the_games_of_one_series_are_split_by_when_they_began(lone_case):
    games = [lone_case(name, started_at=DAY.replace(hour=hour)) for name, hour in (("7-1", 9), ("7-2", 3), ("7-3", 5))]
    ((known, later),) = protocol.by_time(games, 0.3)
    assert [case.match_id for case in known] == ["7-2", "7-3"]
    assert [case.match_id for case in later] == ["7-1"]


def test_purge_and_embargo_are_at_least_the_longest_horizon_and_window(simulated):
    from configs.features import load_features
    from configs.intents import load_intents

    rules = load_intents().labels.rules
    horizons = [getattr(rules, name).horizon_ms for name in type(rules).model_fields]
    assert len(horizons) == 16 and protocol.purge_ms(simulated.folder.cases) == max(horizons)
    windows = load_features()
    assert protocol.embargo_ms() == max(
        windows.short_window_ms, windows.long_window_ms, windows.plant_ms, windows.defuse_ms, windows.teammate_death_ms
    )
