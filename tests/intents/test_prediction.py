import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from configs.features import load_features
from pipeline.events.reader import read_log
from pipeline.events.sources.simulator import simulate, write
from pipeline.features.carry import Carry
from pipeline.features.definition import NAMES
from pipeline.features.match import frame
from pipeline.features.pack import cast_of, pack
from pipeline.intents.heuristics import Rules
from pipeline.intents.model import BoosterModel, PriorModel, vectors
from pipeline.intents.prediction import Predictor, blend, predict
from pipeline.intents.vocabulary import INTENTS, PROBABILITIES
from pipeline.tables import empty


@pytest.fixture
def trained(learned) -> BoosterModel:
    return learned


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
    found = blend(sure, np.array([place]), Rules.configured(config))
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


def test_a_table_and_its_vectors_in_any_chunks_get_the_same_bits(config, instants, labelled, trained):
    """What live asks, instant by instant, is what batch asks for a whole match."""
    told = labelled[:500].select(pl.col("speed_mps", "bomb_m", "objective_m").cast(pl.Float32))
    defuses = [1.0 if row % 3 else None for row in range(500)]
    rows = instants(500, since_defuse_start_s=defuses).with_columns(told)
    table, predictor, seen = predict(rows, trained, config), Predictor(trained, config), vectors(rows)
    assert table["decided_by"].n_unique() > 1
    for size in (1, 10, 333):
        chunks = [predictor.predict(seen[:, start : start + size]) for start in range(0, 500, size)]
        probabilities = np.concatenate([chunk.probabilities for chunk in chunks])
        assert probabilities.tobytes() == table.select(PROBABILITIES).to_numpy().tobytes(order="C")
        assert [INTENTS[place] for chunk in chunks for place in chunk.intent] == table["intent"].to_list()
        assert [predictor.deciders[place] for chunk in chunks for place in chunk.decider] == table[
            "decided_by"
        ].to_list()
        assert np.concatenate([chunk.confidence for chunk in chunks]).tolist() == table["confidence"].to_list()


def test_live_asks_with_the_rows_of_the_kernel_as_they_are(tmp_path):
    log = write(tmp_path, simulate(rounds=1, seed=2))[0]
    (match,) = read_log(log, log_id="m").matches.values()
    cast = cast_of(match.match, match.events.read(), match.tracks.read())
    rows = Carry(cast, load_features()).advance(pack(cast, match.events.read(), match.tracks.read()))
    assert np.array_equal(vectors(frame(rows, cast, "m")), rows.values, equal_nan=True)
    assert np.isnan(rows.values).any()
    assert rows.values.dtype == np.float32


def test_a_vector_has_the_features_in_order_and_no_number_where_nothing_is_known(instants):
    found = vectors(instants(2, speed_mps=[1.5, None], hp=[100, None]))
    assert (found.shape, found.dtype) == ((len(NAMES), 2), np.float32)
    assert found[NAMES.index("speed_mps")].tolist() == [1.5, pytest.approx(np.nan, nan_ok=True)]
    assert found[NAMES.index("hp")].tolist() == [100, pytest.approx(np.nan, nan_ok=True)]
    assert found[NAMES.index("sample_count")].tolist() == [32, 32]


def test_no_rows_are_no_rows_and_no_rules_leave_the_model(config, instants):
    prior = PriorModel.configured(config)
    assert predict(empty("features"), prior, config).is_empty()
    bare = config.model_copy(update={"heuristics": ()})
    assert predict(instants(since_plant_start_s=1.0), prior, bare)["decided_by"].item().startswith("model:")


def test_nothing_that_predicts_loads_what_looks_ahead_or_what_trains(trained, tmp_path):
    for name, content in trained.files().items():
        (tmp_path / name).write_bytes(content)
    code = (
        "import sys, pathlib, pipeline.intents.segments\n"
        "from pipeline.intents.model import FILES, BoosterModel\n"
        "from pipeline.intents.prediction import predict\n"
        "from pipeline.tables import empty\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "model = BoosterModel.from_files({name: (folder / name).read_bytes() for name in FILES})\n"
        "assert predict(empty('features'), model).is_empty()\n"
        "unwanted = ('pipeline.intents.labels', 'pipeline.intents.training', 'lightgbm', 'matplotlib', 'mlflow')\n"
        "print([name for name in sys.modules if name.startswith(unwanted)])"
    )
    ran = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
