import numpy as np
import polars as pl
import pytest

from pipeline.features.definition import NAMES
from pipeline.intents.explanation import contributions, explained, importance, reasons
from pipeline.intents.model import BoosterModel, vectors
from pipeline.intents.vocabulary import INTENTS


@pytest.fixture
def model(learned) -> BoosterModel:
    return learned


def test_contributions_and_an_intents_mean_add_up_to_its_score(model, labelled):
    rows = labelled[:40]
    rest = model.scores(vectors(rows)) - contributions(model, rows).sum(axis=2)
    assert rest.std(axis=0) == pytest.approx(np.zeros(9), abs=1e-9)  # the same for every row: the mean


def test_what_tells_an_intent_is_named_in_words_with_its_unit(model, labelled):
    hold = labelled.filter((pl.col("intent") == "hold") & pl.col("speed_mps").is_between(1.8, 2.2))[:5]
    first, *others = reasons(model, hold, "hold")
    assert first.startswith("speed_mps is 2 m/s (speed over the newest step), +") or any(
        "speed_mps" in o for o in others
    )
    assert len([first, *others]) <= 3
    assert all(", -" not in each for each in (first, *others))


def test_a_value_that_is_not_known_is_said_to_be(model, labelled):
    unknown = labelled.filter(pl.col("bomb_m").is_null())[:1]
    told = reasons(model, unknown, INTENTS[0], most=len(NAMES)) + reasons(model, unknown, INTENTS[2], most=len(NAMES))
    assert any("bomb_m is not known" in each for each in told)


def test_importance_names_what_the_labels_were_made_of(model):
    found = importance(model)
    assert set(found["feature"][:3]) == {"speed_mps", "objective_m", "bomb_m"}
    assert found["share"].sum() == pytest.approx(1)


def test_what_speaks_for_every_intent_alike_is_no_reason(model, labelled, monkeypatch):
    from pipeline.intents import explanation

    common, telling = NAMES.index("hp"), NAMES.index("speed_mps")

    def added(*_):
        found = np.zeros((1, 9, len(NAMES)))
        found[:, :, common] = 5.0
        found[:, INTENTS.index("hold"), telling] = 0.9
        return found

    monkeypatch.setattr(explanation, "contributions", added)
    (only,) = reasons(model, labelled[:1], "hold")
    assert only.startswith("speed_mps") and only.endswith("+0.80")


def test_each_segment_has_reasons_of_its_own_instants(model, labelled):
    match = labelled.filter(pl.col("match_id") == "m0")
    spans = pl.DataFrame(
        {
            "segment_id": ["a", "b", "c"],
            "player": ["player:a", "player:a", "player:nobody"],
            "from_ms": [0, 1000, 0],
            "to_ms": [1000, 3000, 1000],
            "intent": ["hold", "advance", "hold"],
        }
    )
    found = explained(model, spans, match, most=2)
    assert found["segment_id"].to_list() == ["a", "b", "c"]
    assert found["reasons"][0].to_list() == reasons(model, match[:4], "hold", most=2)
    assert found["reasons"][1].to_list() == reasons(model, match[4:12], "advance", most=2)
    assert found["reasons"][2].to_list() == []
    assert explained(model, spans.clear(), match).schema == found.schema


def test_a_yes_or_no_is_said_as_one():
    from pipeline.intents.explanation import _BY_NAME, _words

    assert _words(_BY_NAME["has_bomb"], pl.Series([1, 1, 0]), 0.5).startswith("has_bomb is yes (carries the bomb")
    assert _words(_BY_NAME["has_bomb"], pl.Series([0, None]), 0.5).startswith("has_bomb is no (")
