import numpy as np
import polars as pl
import pytest

from pipeline.features.definition import NAMES
from pipeline.intents.drift import drift, stability_index
from pipeline.intents.vocabulary import INTENTS


def test_the_index_is_zero_for_the_same_shares_symmetric_and_as_defined():
    before, after = np.array([400.0, 600.0]), np.array([40.0, 60.0])
    assert stability_index(before, after) == pytest.approx(0, abs=1e-4)
    moved = np.array([500_000.0, 500_000.0])
    fixed = np.array([400_000.0, 600_000.0])
    assert stability_index(fixed, moved) == pytest.approx(0.1 * np.log(5 / 4) + -0.1 * np.log(5 / 6), rel=1e-3)
    assert stability_index(fixed, moved) == pytest.approx(stability_index(moved, fixed))
    assert np.isfinite(stability_index(np.array([10.0, 0.0]), np.array([0.0, 10.0])))


def test_matches_of_the_same_kind_do_not_drift(labelled, config):
    found = drift(labelled[:1200], labelled[1200:], config.training.drift)
    assert set(found["name"]) == {*NAMES, *(f"intent: {intent}" for intent in INTENTS)}
    assert found["index"].max() < config.training.drift.warn


def test_a_feature_that_moved_and_one_that_was_lost_come_first(labelled, config):
    moved = labelled[1200:].with_columns(pl.col("hp") + 2, pl.lit(None, pl.Float64).alias("bomb_m"))
    found = drift(labelled[:1200], moved, config.training.drift)
    assert set(found["name"][:2]) == {"hp", "bomb_m"}
    assert found["index"][1] > config.training.drift.warn
    told = found.row(by_predicate=pl.col("name") == "hp", named=True)
    assert told["after"] - told["before"] == pytest.approx(2, abs=0.3)
    assert found.row(by_predicate=pl.col("name") == "bomb_m", named=True)["after"] is None


def test_an_intent_that_became_common_is_found(labelled, config):
    more = labelled[1200:].with_columns(
        intent=pl.when(pl.col("t_ms") % 500 == 0).then(pl.lit("rotate")).otherwise("intent")
    )
    found = drift(labelled[:1200], more, config.training.drift)
    assert found["name"][0] == "intent: rotate"


@pytest.mark.parametrize("share", [0.95, 1.0, 0.05, 0.0])
def test_a_feature_of_zeros_and_ones_drifts_whichever_is_common(labelled, config, share):
    rows = labelled[:1200].with_columns(
        has_bomb=(pl.int_range(pl.len()) % 100 < 100 * share).cast(labelled.schema["has_bomb"])
    )
    turned = rows.with_columns(has_bomb=pl.lit(round(1 - share), labelled.schema["has_bomb"]))
    found = drift(rows, turned, config.training.drift)
    assert found["name"][0] == "has_bomb" and found["index"][0] > 10 * config.training.drift.warn
    assert found["index"][1] == pytest.approx(0)
