import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from pipeline.intents import training
from pipeline.intents.evaluation import death, examination, judgement, ways
from pipeline.intents.evaluation.cases import Case, Folder
from pipeline.intents.evaluation.judgement import Pool
from pipeline.intents.evaluation.report import markdown
from pipeline.intents.heuristics import Rules
from pipeline.intents.model import PriorModel, vectors
from pipeline.intents.vocabulary import INTENTS


@pytest.fixture(scope="module")
def crossed(simulated, quick, measures):
    return examination.cross_validate(simulated.folder, intents=quick, evaluation=measures)


def test_no_match_is_judged_by_a_model_that_saw_its_series_or_its_other_recording(crossed, simulated):
    found = crossed.document["by_series"]["matches"]
    sparse, dense = next(iter(crossed.document["recorded_twice"].items()))
    assert {each["match"] for each in found} == {match.match_id for match in simulated.matches}
    for each in found:
        assert each["match"] not in each["trained_on"]
        assert sparse not in each["trained_on"]
    transfer = crossed.document["transfer"][sparse]
    assert dense not in transfer["trained_on"] and sparse not in transfer["trained_on"]


def test_all_ways_are_judged_on_the_same_rows_and_differences_are_theirs(crossed):
    found = crossed.document["by_series"]
    for name, apart in found["differences"].items():
        for measure in ("macro_f1", "log_loss"):
            expected = found["ways"]["hybrid"][measure]["value"] - found["ways"][name][measure]["value"]
            assert np.isclose(apart[measure]["value"], expected)
    assert np.sum(found["confusion"]["hybrid"]) == np.sum(found["confusion"]["model"]) == found["labelled"]
    assert sum(found["support"]) == found["labelled"]


def test_the_same_matches_give_the_same_figures(crossed, simulated, quick, measures):
    knowledge = ways.learn(simulated.folder.cases[:2], quick)
    first, again = (
        judgement.ways(Pool([ways.judged(simulated.folder.cases[-1], knowledge, quick, measures)], measures))
        for _ in range(2)
    )
    assert first == again
    other = measures.model_copy(update={"seed": measures.seed + 1})
    moved = judgement.ways(Pool([ways.judged(simulated.folder.cases[-1], knowledge, quick, measures)], other))
    assert moved["hybrid"]["macro_f1"]["value"] == pytest.approx(first["hybrid"]["macro_f1"]["value"], rel=1e-12)
    assert any(
        moved["hybrid"][name]["low"] != first["hybrid"][name]["low"] for name in ("macro_f1", "log_loss", "brier")
    )


def test_a_match_judged_by_two_models_is_one_match_to_the_bootstrap(simulated, quick, measures):
    case = simulated.folder.cases[-1]
    one = ways.judged(case, ways.given(PriorModel.configured(quick), quick), quick, measures)
    single, double = Pool([one], measures), Pool([one, one], measures)
    assert np.array_equal(single.match_of_unit, double.match_of_unit)
    assert judgement.ways(single)["model"]["log_loss"] == pytest.approx(judgement.ways(double)["model"]["log_loss"])


def test_the_report_tells_every_part_and_the_json_holds_every_figure(crossed):
    text = markdown(crossed.document, "evaluation")
    for part in ("Goals", "Protocol", "Matches", "Against simpler ways", "Class by class", "Calibration", "Warnings",
                 "Rules",
                 "Flips", "Death within 3 s", "Where the error lies", "Held out otherwise", "Transfer",
                 "Against true intent, simulated", "Limits",
                 "Versions"):  # fmt: skip
        assert f"\n## {part}" in text, part
    assert all(f"\n| {intent} |" in text for intent in INTENTS)
    assert "nan" not in text.lower().replace("nan.", "")
    assert json.loads(json.dumps(crossed.document, allow_nan=False))["kind"] == "cross-validation"
    assert set(crossed.figures) == {"confusion.png", "reliability.png", "ways.png", "alarms.png"}
    assert all(png.startswith(b"\x89PNG") for png in crossed.figures.values())


def test_labels_and_predictions_are_held_against_what_simulated_players_truly_meant(crossed):
    found = crossed.document["simulated"]
    assert not set(found["taught"]) & set(found["judged"])
    assert 0.5 < found["coverage"] < 1
    assert set(found["spoken"]) - set(found["every"]) == {"labels"}  # where they abstain they say nothing
    assert found["spoken"]["labels"]["accuracy"]["value"] > found["spoken"]["majority"]["accuracy"]["value"]


def test_a_model_that_saw_a_match_is_told_on(simulated, quick, measures):
    model = ways.learn(simulated.folder.cases[-1:], quick).model
    found = examination.examine(simulated.folder, model, intents=quick, evaluation=measures)
    assert found.document["seen_in_training"] == [simulated.folder.cases[-1].match_id]
    assert "These figures flatter" in markdown(found.document, "evaluation")
    innocent = Folder(simulated.folder.cases[:-1], {})
    other = examination.examine(innocent, model, intents=quick, evaluation=measures)
    assert other.document["seen_in_training"] == []
    assert "These figures flatter" not in markdown(other.document, "evaluation")


def test_kin_of_what_a_model_saw_are_told_by_series_and_so_is_the_other_recording(simulated, quick, measures):
    game = PriorModel.configured(quick)
    found = examination.examine(simulated.folder, game, intents=quick, evaluation=measures)
    sparse, dense = next(iter(found.document["recorded_twice"].items()))
    judged = [each["match"] for each in found.document["by_series"]["matches"]]
    assert dense in judged and sparse not in judged
    other = next(each for each in simulated.folder.cases if each.match_id == sparse)
    saw_sparse = ways.learn([other], quick).model
    again = examination.examine(simulated.folder, saw_sparse, intents=quick, evaluation=measures)
    assert again.document["seen_in_training"] == [dense]


def test_a_rule_is_worth_what_it_showed_on_the_matches_trained_on(simulated, quick):
    known, other = simulated.folder.cases[1:2], simulated.folder.cases[-1:]
    rows = [training.samples(each[0].features, each[0].labels) for each in (known, other)]
    mine, theirs = (ways.remeasured(each, quick).heuristics for each in rows)
    assert ways.learn(known, quick).rules.heuristics == mine != theirs
    place = [rule.name for rule in quick.heuristics].index("stands_still")
    decided = rows[0].filter(pl.Series(Rules.configured(quick).decide(vectors(rows[0])) == place))
    right = (decided["intent"] == "hold").sum()
    assert right > 30 and right <= mine[place].probability * (decided.height + 1) <= right + 1
    few = [ways.remeasured(rows[0].filter(pl.col("intent") == "hold"), quick), ways.remeasured(rows[0].clear(), quick)]
    assert few[0].heuristics[place].probability > 0.98
    assert {rule.probability for rule in few[1].heuristics} == {0.5}
    assert [rule.when for rule in mine] == [rule.when for rule in quick.heuristics]


def test_a_rule_is_right_where_the_label_is_its_intent_whatever_was_answered(simulated, quick, measures):
    knowledge = ways.learn(simulated.folder.cases[:2], quick)
    judged = ways.judged(simulated.folder.cases[-1], knowledge, quick, measures)
    other = (INTENTS.index("hold") + 1) % len(INTENTS)
    elsewhere = replace(judged, said=judged.said | {"hybrid": np.full_like(judged.truth, other)})
    labelled = judged.rows.filter(pl.col("intent").is_not_null())
    found = {each["rule"]: each for each in judgement.rules(Pool([elsewhere], measures), quick)}
    assert found["stands_still"]["labelled"] > 0
    for rule, each in found.items():
        right = labelled.filter(pl.col("decided_by") == f"rule:{rule}")["intent"].cast(pl.String) == each["intent"]
        assert (right.len(), right.mean()) == (each["labelled"], pytest.approx(each["right"]["value"]))


def test_a_match_alone_has_an_interval_over_its_rounds(crossed):
    for each in crossed.document["by_series"]["matches"]:
        for way in ("hybrid", "majority"):
            for measure in ("macro_f1", "log_loss"):
                told = each[way][measure]
                assert told["value"] == pytest.approx(each[f"{way}_{measure}"])
                assert told["low"] <= told["value"] <= told["high"] and told["low"] < told["high"]


def test_the_threshold_of_an_alarm_is_never_chosen_on_its_own_series(simulated, quick, measures, monkeypatch):
    cases = [case for case in simulated.folder.cases if case.source_kind == "canonical"]
    knowledge = ways.given(PriorModel.configured(quick), quick)
    judged = [ways.judged(case, knowledge, quick, measures) for case in cases]
    asked = []
    monkeypatch.setattr(Case, "series", property(lambda case: "one" if case is not cases[-1] else "two"))
    monkeypatch.setattr(
        judgement.alarms, "operating_point", lambda others, *_: asked.append([len(each) for each in others]) or 0
    )
    found = judgement.warned(Pool(judged, measures))
    assert found["plant"]["threshold_from"] == "other series"
    assert asked[:3] == [[1], [1], [2]]


def test_games_of_one_series_are_split_by_time(simulated, quick, measures):
    found = examination.cross_validate(Folder(simulated.folder.cases[1:2], {}), intents=quick, evaluation=measures)
    (only,) = found.document["by_series"]["matches"]
    assert found.document["by_time"]
    assert only["rounds"] < 3
    assert "By time, as all matches are of one series" in markdown(found.document, "evaluation")


def test_flips_are_changes_of_one_players_intent_within_a_round(simulated, quick, measures):
    case = simulated.folder.cases[-1]
    judged = ways.judged(case, ways.given(PriorModel.configured(quick), quick), quick, measures)
    frame = judged.rows.with_columns(said=judged.ways["hybrid"].argmax(axis=1))
    changes = pairs = labelled = moved = 0
    for _, each in frame.group_by("player", "round"):
        said, t = each["said"].to_list(), each["t_ms"].to_list()
        changes += sum(a != b and u - s == 250 for (a, b), (s, u) in zip(pairwise(said), pairwise(t), strict=True))
        pairs += sum(u - s == 250 for s, u in pairwise(t))
        known = [(a, b) for a, b in pairwise(each["intent"]) if a and b]
        labelled, moved = labelled + len(known), moved + sum(a != b for a, b in known)
    found = judgement.flips(Pool([judged], measures))
    assert changes > 0 and 0 < labelled < pairs
    assert np.isclose(found["before"]["value"], changes / (pairs / 240))
    assert np.isclose(found["labels"]["value"], moved / (labelled / 240))
    assert found["after"]["value"] < found["before"]["value"]


def test_death_is_foretold_only_for_the_seconds_before_it(simulated):
    case = simulated.folder.cases[-1]
    died = death.dies(case, 3000)
    killed = case.events.filter(case.events["event_type"] == "PLAYER_KILLED")
    deaths = {(who, round_): t for who, round_, t in killed.select("target", "round", "t_ms").iter_rows()}
    expected = [
        t < deaths.get((who, round_), -1) <= t + 3000
        for who, round_, t in case.features.select("player", "round", "t_ms").iter_rows()
    ]
    assert died.tolist() == expected
    assert 0 < died.mean() < 0.5


def test_death_is_foretold_from_how_far_the_nearest_enemy_aims_beside_too(simulated):
    case = simulated.folder.cases[-1]
    found, own = death.seen_of(case), vectors(case.features).T
    assert np.array_equal(found[:, : own.shape[1]], own, equal_nan=True)
    near = case.features.select("player", "team", "t_ms", "round", "nearest_enemy_m", "enemy_angle_deg")
    expected = {}
    for row in near.drop_nulls("nearest_enemy_m").iter_rows(named=True):
        expected.setdefault((row["round"], row["t_ms"], row["nearest_enemy_m"]), []).append(row)
    checked = 0
    for place, row in enumerate(near.iter_rows(named=True)):
        pair = expected.get((row["round"], row["t_ms"], row["nearest_enemy_m"]), [])
        other = [each for each in pair if each["team"] != row["team"]]
        angle = found[place, own.shape[1]]
        if len(pair) == 2 and other and other[0]["enemy_angle_deg"] is not None:
            checked += 1
            assert angle == np.float32(other[0]["enemy_angle_deg"])
        elif not other:
            assert np.isnan(angle)
    assert checked > 100


def test_what_people_say_is_held_against_ways_and_rules_apart_from_the_labels(simulated, quick, measures):
    case = next(each for each in simulated.folder.cases if each.source_kind == "canonical")
    spoken = case.labels.filter(case.labels["intent"].is_not_null() & (case.labels["intent"].cast(str) != "peek"))
    rows = spoken.gather_every(50)[:8]
    says = [*rows["intent"].cast(str).to_list()[:6], "peek", None]
    gold = rows.select("match_id", "player", from_ms="t_ms").with_columns(
        to_ms=rows["t_ms"] + 250,
        intent=pl.Series(says),
        reasons=pl.Series([["audit"]] * 3 + [["low_confidence"]] * 5),
        decided_at=pl.Series(range(8)),
    )
    game = PriorModel.configured(quick)
    found = examination.examine(simulated.folder, game, intents=quick, evaluation=measures, gold=gold).document
    judged, audit = (found["by_series"]["people"][name] for name in ("judged", "audit"))
    assert (judged["segments"], judged["rows"], judged["rows_of_none"], audit["rows"]) == (8, 7, 1, 3)
    assert judged["labels_right"]["value"] == pytest.approx(6 / 7)
    assert audit["labels_right"]["value"] == 1.0
    assert set(judged["ways"]) == set(ways.WAYS)
    text = markdown(found, "evaluation")
    assert "## Agreement with people" in text and "8 segments, 7 instants with an intent and 1 that" in text
    without = examination.examine(simulated.folder, game, intents=quick, evaluation=measures)
    assert "Agreement with people" not in markdown(without.document, "evaluation")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_on_real_matches_the_hybrid_beats_every_baseline_beyond_the_interval(shared_data, quick, measures):
    from pipeline.intents.evaluation.cases import read_folder

    folder = read_folder(shared_data)
    found = examination.cross_validate(folder, intents=quick, evaluation=measures)
    document = found.document
    assert document["recorded_twice"] == {"9100001-1": "cs2-sf-mirage"}
    assert {each["series"] for each in document["by_series"]["matches"]} == {"cs2-am", "cs2-sf", "cs2-vf"}
    for each in document["by_series"]["matches"]:
        assert not [name for name in each["trained_on"] if name.startswith(each["series"])]
    for name in ("heuristics", "persistence", "majority"):
        apart = document["by_series"]["differences"][name]["macro_f1"]
        assert apart["low"] > 0, name
        assert document["by_series"]["differences"][name]["log_loss"]["high"] < 0, name
    inputs = document["transfer"]["9100001-1"]["inputs"]
    dense, sparse = (inputs[f"{kind} input, dense labels"] for kind in ("dense", "sparse"))
    assert dense["labelled"] == sparse["labelled"]
    assert dense["ways"]["hybrid"]["macro_f1"]["value"] > sparse["ways"]["hybrid"]["macro_f1"]["value"]
    assert document["by_series"]["warned"]["plant"]["acts"] == 72
