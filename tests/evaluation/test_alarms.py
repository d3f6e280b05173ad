import numpy as np
import polars as pl
import pytest

from configs.evaluation import load_evaluation
from pipeline.intents.evaluation import alarms
from pipeline.tables import conform, empty

CONFIG = load_evaluation().alarms


def _rows(seconds: int, *, round_: int = 1, player: str = "p") -> pl.DataFrame:
    t = list(range(0, seconds * 1000, 250))
    return pl.DataFrame({"round": [round_] * len(t), "player": [player] * len(t), "t_ms": t})


def _act(start_s: float, end_s: float, player: str = "p", round_: int = 1) -> pl.DataFrame:
    start, end = int(start_s * 1000), int(end_s * 1000)
    return pl.DataFrame({"round": [round_], "player": [player], "on_ms": [start], "start_ms": [start], "end_ms": [end]})


def _said(rows: pl.DataFrame, *stretches: tuple[float, float]) -> np.ndarray:
    t = rows["t_ms"].to_numpy() / 1000
    return np.where(np.any([(t >= low) & (t < high) for low, high in stretches], axis=0), 0.8, 0.1)


def _warned(said: np.ndarray, rows: pl.DataFrame, act: pl.DataFrame) -> alarms.Warnings:
    return alarms.warnings(rows, said, act, np.array([0.5]), CONFIG)


def test_an_alarm_four_seconds_ahead_is_right_and_leads_by_four_seconds():
    rows = _rows(60)
    found = _warned(_said(rows, (26, 32)), rows, _act(30, 33))
    assert found.lead_ms.tolist() == [[4000.0]]
    assert found.false.tolist() == [[0.0]]


def test_an_alarm_during_the_act_is_right_but_late_and_one_after_it_is_false():
    rows = _rows(60)
    assert _warned(_said(rows, (31, 33)), rows, _act(30, 33)).lead_ms.tolist() == [[-1000.0]]
    after = _warned(_said(rows, (34, 36)), rows, _act(30, 33))
    assert np.isnan(after.lead_ms).all()
    assert after.false.tolist() == [[1.0]]


def test_an_alarm_that_is_always_on_is_false_and_warns_of_nothing():
    rows = _rows(60)
    found = _warned(_said(rows, (0, 60)), rows, _act(30, 33))
    assert np.isnan(found.lead_ms).all()
    assert found.false.tolist() == [[1.0]]


def test_a_flicker_is_one_alarm_and_a_pause_makes_two():
    rows = _rows(60)
    assert _warned(_said(rows, (5, 6), (7.5, 8)), rows, _act(40, 43)).false.tolist() == [[1.0]]
    assert _warned(_said(rows, (5, 6), (9, 10)), rows, _act(40, 43)).false.tolist() == [[2.0]]


def test_the_alarm_of_another_player_or_round_warns_of_nothing():
    rows = pl.concat([_rows(60), _rows(60, player="q"), _rows(60, round_=2, player="r")])
    said = np.where((rows["player"] == "q").to_numpy() & (rows["t_ms"] == 28_000).to_numpy(), 0.8, 0.1)
    found = _warned(said, rows, _act(30, 33))
    assert np.isnan(found.lead_ms).all()
    assert found.rounds.tolist() == [1, 2]
    assert found.false.tolist() == [[1.0], [0.0]]


def _found(lead, *false):
    """Two acts and as many rounds as there are rows of false alarms, by threshold."""
    return alarms.Warnings(np.array([1, 1]), np.array([lead, lead]), np.arange(len(false)), np.array(false))


def test_the_threshold_is_the_lowest_that_warns_of_most_within_the_budget():
    even = _found([5.0, 3.0, 1.0, float("nan")], [9.0, 1.0, 0.0, 0.0], [9.0, 1.0, 0.0, 0.0])
    assert alarms.operating_point([[even]], CONFIG, 0.95) == 1
    late = _found([-1.0, 1.0], [0.0, 0.0], [0.0, 0.0])
    assert alarms.operating_point([[late]], CONFIG, 0.95) == 1  # too late is no warning
    assert alarms.operating_point([[_found([1.0, 1.0], [9.0, 8.0])]], CONFIG, 0.95) == 1  # none within: the highest


def test_each_other_series_must_keep_the_budget_with_its_interval_and_so_must_all_thresholds_above():
    lead = [4.0, 3.0, 2.0]
    calm, wild = _found(lead, [0.0] * 3, [0.0] * 3), _found(lead, [1.2, 0.0, 0.0], [1.2, 0.0, 0.0])
    assert alarms.operating_point([[calm, wild]], CONFIG, 0.5) == 0  # 0.6 on the mean
    assert alarms.operating_point([[calm], [wild]], CONFIG, 0.5) == 1
    uneven = _found(lead, [1.8, 0.0, 0.0], [0.0, 0.0, 0.0])  # 0.9 a round, but of how many?
    assert alarms.operating_point([[uneven]], CONFIG, 0.01) == 0
    assert alarms.operating_point([[uneven]], CONFIG, 0.95) == 1
    dip = _found(lead, [0.0, 5.0, 0.0], [0.0, 5.0, 0.0])
    assert alarms.operating_point([[dip]], CONFIG, 0.95) == 2


def test_thresholds_are_probabilities_that_were_said_and_dense_at_the_top():
    said = np.linspace(0, 1, 10_001)
    found = alarms.thresholds(said, 50)
    assert np.isin(found, said).all()
    assert found[-1] == 1.0 and found[-2] > 0.999
    assert (np.diff(found) > 0).all()
    assert len(alarms.thresholds(said[:0], 50)) == 0


def _events(*rows: dict) -> pl.DataFrame:
    common = {"match_id": "m", "seq": 0, "source_line": 1, "round": 1, "payload": "{}"}
    full = [common | {"event_id": f"e{place}"} | row for place, row in enumerate(rows)]
    return conform("events", pl.DataFrame(full, schema=dict(empty("events").schema), strict=False))


def _features(**teams: str) -> pl.DataFrame:
    known = {"player": list(teams), "team": list(teams.values()), "t_ms": [0] * len(teams), "has_kit": [0] * len(teams)}
    return pl.DataFrame(known)


def test_a_plant_starts_where_the_log_says_else_as_long_before_as_configured(lone_case):
    planted = {"event_type": "BOMB_PLANTED", "actor": "p", "t_ms": 50_000}
    features = _features(p="T")
    told = lone_case(
        "m",
        features=features,
        events=_events({"event_type": "BOMB_PLANT_STARTED", "actor": "p", "t_ms": 47_000}, planted),
    )
    untold = lone_case("m", features=features, events=_events(planted))
    broken_off = lone_case(
        "m",
        features=features,
        events=_events({"event_type": "BOMB_PLANT_STARTED", "actor": "p", "t_ms": 20_000}, planted),
    )
    assert alarms.acts(told, "plant", CONFIG)["start_ms"].to_list() == [47_000]
    assert alarms.acts(untold, "plant", CONFIG)["start_ms"].to_list() == [46_880]
    assert alarms.acts(broken_off, "plant", CONFIG)["start_ms"].to_list() == [46_880]


@pytest.mark.parametrize(("kit", "start_ms"), [(0, 40_000), (1, 45_000), (None, 45_000)])
def test_a_defuse_without_a_kit_takes_longer(lone_case, kit, start_ms):
    features = _features(p="CT").with_columns(pl.lit(kit, dtype=pl.Int32).alias("has_kit"))
    defused = _events({"event_type": "BOMB_DEFUSED", "actor": "p", "t_ms": 50_000})
    assert alarms.acts(lone_case("m", features=features, events=defused), "defuse", CONFIG)["start_ms"].to_list() == [
        start_ms
    ]


def test_a_trade_is_the_kill_of_who_just_killed_a_teammate_and_nothing_else(lone_case):
    def kill(t_ms, actor, target, round_=1):
        return {"event_type": "PLAYER_KILLED", "actor": actor, "target": target, "t_ms": t_ms, "round": round_}

    events = _events(
        kill(1_000, "x", "a"),  # x kills a …
        kill(3_000, "b", "x"),  # … and b answers
        kill(10_000, "y", "b"),
        kill(16_000, "c", "y"),  # too late
        kill(20_000, "z", "z"),  # by own hand
        kill(21_000, "c", "z"),
        kill(30_000, "w", "c", 2),
        kill(31_000, "d", "w", 3),  # another round
    )
    features = _features(a="A", b="A", c="A", d="A", x="X", y="X", z="X", w="X")
    found = alarms.acts(lone_case("m", features=features, events=events), "trade", CONFIG)
    assert found.rows() == [(1, "b", 1_000, 3_000, 3_000)]
    rows = _rows(5, player="b")
    assert rows["t_ms"].filter(pl.Series(alarms.is_on(rows, found))).to_list() == list(range(1_000, 3_000, 250))


def test_every_act_that_a_simulated_log_tells_of_is_found(simulated):
    for case in simulated.folder.cases:
        for intent, kind in (("plant", "BOMB_PLANTED"), ("defuse", "BOMB_DEFUSED")):
            found = alarms.acts(case, intent, CONFIG)
            assert found.height == case.events.filter(pl.col("event_type") == kind).height
            assert (found["end_ms"] > found["start_ms"]).all()
