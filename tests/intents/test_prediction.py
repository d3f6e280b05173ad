import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from pipeline.intents.model import PriorModel
from pipeline.intents.prediction import blend, predict
from pipeline.intents.vocabulary import INTENTS, PROBABILITIES
from pipeline.tables import empty


def test_a_lone_instant_of_which_nothing_is_known_gets_the_prior(config, instants):
    prior = PriorModel.configured(config)
    found = predict(instants(), prior, config)
    assert found["decided_by"].to_list() == [f"model:{prior.version}"]
    assert found["intent"].to_list() == [max(config.prior, key=config.prior.__getitem__)]
    assert found["confidence"].item() == pytest.approx(max(config.prior.values()))


def test_a_deciding_rule_keeps_its_probability_and_the_others_share_the_rest_as_the_model_says(config, instants):
    planting = instants(2, since_plant_start_s=[1.0, None], speed_mps=0.0)
    found = predict(planting, PriorModel.configured(config), config)
    rule = next(rule for rule in config.heuristics if rule.name == "planting")
    assert found["decided_by"].to_list()[0] == "rule:planting"
    assert found["decided_by"].to_list()[1].startswith("model:prior")
    assert found["p_plant"][0] == pytest.approx(rule.probability)
    assert found["p_hold"][0] / found["p_peek"][0] == pytest.approx(
        config.prior["hold"] / config.prior["peek"], rel=1e-5
    )
    assert found.select(pl.sum_horizontal(PROBABILITIES))[0].item() == pytest.approx(1)


def test_where_the_model_leaves_nothing_to_the_others_they_share_evenly(config):
    place = next(number for number, rule in enumerate(config.heuristics) if rule.intent == "plant")
    sure = np.eye(9)[[INTENTS.index("plant")]]
    found = blend(sure, np.array([place], dtype=np.int32), config)
    assert found.sum() == pytest.approx(1)
    assert found[0, 0] == pytest.approx((1 - config.heuristics[place].probability) / 8)


def test_rows_predicted_one_by_one_are_those_predicted_together(config, instants):
    random = np.random.default_rng(3)
    rows = instants(
        60,
        since_defuse_start_s=[1.0 if known else None for known in random.random(60) < 0.3],
        speed_mps=random.uniform(0, 2, 60).tolist(),
    )
    prior = PriorModel.configured(config)
    whole = predict(rows, prior, config)
    assert pl.concat([predict(rows[row], prior, config) for row in range(rows.height)]).equals(whole)
    assert whole["decided_by"].n_unique() == 2


def test_no_rows_are_no_rows_and_no_rules_leave_the_model(config, instants):
    prior = PriorModel.configured(config)
    assert predict(empty("features"), prior, config).is_empty()
    bare = config.model_copy(update={"heuristics": ()})
    assert predict(instants(since_plant_start_s=1.0), prior, bare)["decided_by"].item().startswith("model:")


def test_nothing_that_predicts_loads_what_looks_ahead_or_what_trains():
    code = (
        "import sys, pipeline.intents.prediction, pipeline.intents.segments, pipeline.intents.model\n"
        "unwanted = ('pipeline.intents.labels', 'pipeline.intents.training', 'lightgbm', 'matplotlib', 'mlflow')\n"
        "print([name for name in sys.modules if name.startswith(unwanted)])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
