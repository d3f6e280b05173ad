import numpy as np
import polars as pl
import pytest

from configs.intents import Bound, Heuristic
from pipeline.intents import hybrid
from pipeline.intents.calibration import Calibration
from pipeline.intents.heuristics import Rules
from pipeline.intents.hybrid import Hybrid
from pipeline.intents.model import PriorModel, vectors
from pipeline.intents.prediction import Predictor, answers
from pipeline.intents.training import learn, manifest
from pipeline.intents.vocabulary import INTENTS

HOLD, PLANT = INTENTS.index("hold"), INTENTS.index("plant")


@pytest.fixture(scope="module")
def ruled(quick):
    """One rule, that whoever has fired nine shots plants."""
    rule = Heuristic(name="nine_shots", intent="plant", probability=0.9, when={"shots_4s": Bound(min=9)})
    return quick.model_copy(update={"heuristics": (rule,)})


@pytest.fixture(scope="module")
def rows(labelled):
    """Rows of which the rule decides 300; they plant where speed tells so, in some three of four."""
    random = np.random.default_rng(1)
    decided = np.zeros(labelled.height, dtype=np.bool_)
    decided[random.choice(labelled.height, 300, replace=False)] = True
    plants = decided & (random.random(labelled.height) < 0.75)
    fast = labelled["speed_mps"] * 0 + pl.Series(np.where(plants, 20.0, 1.0) + random.normal(size=labelled.height))
    return labelled.with_columns(
        shots_4s=pl.Series(np.where(decided, 9.0, 0.0)),
        speed_mps=pl.when(pl.Series(decided)).then(fast).otherwise("speed_mps"),
        intent=pl.when(pl.Series(decided)).then(
            pl.Series(np.where(plants, "plant", "hold"))).otherwise("intent"),
    )  # fmt: skip


def test_a_deciding_rule_is_the_surer_the_more_the_model_agrees(rows, ruled):
    model, rules = learn(rows, manifest(rows, ruled), ruled), Rules.configured(ruled)
    found, own, rule = answers(model, vectors(rows), rules)
    decided = rule >= 0
    right = (rows["intent"] == "plant").to_numpy()[decided]
    sure = found[decided, PLANT]
    assert decided.sum() == 300
    assert sure[right].mean() > 0.9 > 0.3 > sure[~right].mean()
    assert sure.mean() == pytest.approx(right.mean(), abs=0.03)
    assert np.allclose(found.sum(axis=1), 1)
    assert (found[~decided] == own[~decided]).all()
    others = np.delete(found[decided], PLANT, axis=1) / np.delete(own[decided], PLANT, axis=1)
    assert np.allclose(others, others[:, :1])  # the rest is shared in the model's proportions


def test_where_no_rule_decides_the_model_is_calibrated_on_such_rows_alone(rows, ruled):
    model = learn(rows, manifest(rows, ruled), ruled)
    seen, rule = vectors(rows), Rules.configured(ruled).decide(vectors(rows))
    beside, alone = model.beside(seen, rule), model.probabilities(seen)
    assert (beside[rule >= 0] == alone[rule >= 0]).all()
    assert not (beside[rule < 0] == alone[rule < 0]).all()


def test_a_rule_that_the_model_does_not_know_has_its_configured_probability(rows, ruled):
    model = learn(rows, manifest(rows, ruled), ruled)
    moved = ruled.heuristics[0].model_copy(update={"when": {"shots_4s": Bound(min=8)}, "probability": 0.7})
    other = Rules.configured(ruled.model_copy(update={"heuristics": (moved,)}))
    found, _, rule = answers(model, vectors(rows), other)
    assert found[rule >= 0, PLANT] == pytest.approx(0.7)
    renamed = ruled.heuristics[0].model_copy(update={"name": "other", "probability": 0.7})
    same = Rules.configured(ruled.model_copy(update={"heuristics": (renamed,)}))
    assert not np.allclose(answers(model, vectors(rows), same)[0][rule >= 0, PLANT], 0.7)
    prior, _, rule = answers(PriorModel.configured(ruled), vectors(rows), other)
    assert (prior[rule >= 0, PLANT] == 0.7).all()


def test_a_digest_names_a_rules_bounds_and_those_of_the_rules_before_it(config):
    rules = Rules.configured(config).digests
    assert len(set(rules)) == len(config.heuristics)
    less = Rules.configured(config.model_copy(update={"heuristics": config.heuristics[1:]})).digests
    assert not set(less) & set(rules)
    assert Rules.configured(config.model_copy(update={"heuristics": config.heuristics[:-1]})).digests == rules[:-1]


def test_few_rows_move_a_rule_little_from_what_is_configured(ruled):
    rules, plain = Rules.configured(ruled), Calibration.plain((0.0,) * 9)
    for count, near in ((2, 0.05), (4000, 0.45)):
        truth = np.where(np.arange(count) % 2 == 0, PLANT, HOLD)
        told = hybrid.fit(
            np.zeros((count, 9)), truth, np.zeros(count, np.int64), plain, rules, caution=1, least=1e-4, trust_caution=5
        )
        sure = told.sure(np.full((1, 9), 1 / 9), np.zeros(1, np.int64), rules)
        assert 0.9 - sure[0] == pytest.approx(near, abs=0.06)


def test_any_batching_gives_the_same_bits(rows, ruled):
    predictor = Predictor(learn(rows, manifest(rows, ruled), ruled), ruled)
    seen = vectors(rows)
    whole = predictor.predict(seen)
    parts = [predictor.predict(seen[:, start : start + 7]) for start in range(0, 420, 7)]
    for name in ("probabilities", "against"):
        assert np.concatenate([getattr(part, name) for part in parts]).tobytes() == getattr(whole, name)[:420].tobytes()


def test_without_a_rule_known_nothing_is_trusted(ruled):
    assert Hybrid(Calibration.plain((0.0,) * 9)).sure(
        np.full((2, 9), 1 / 9), np.zeros(2, np.int64), Rules.configured(ruled)
    ).tolist() == [0.9, 0.9]
