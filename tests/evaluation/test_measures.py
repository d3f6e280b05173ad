import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, log_loss

from pipeline.intents.evaluation.measures import Agreement, Reliability, average_precision, macro_f1


@pytest.fixture(scope="module")
def drawn():
    random = np.random.default_rng(3)
    probabilities = random.dirichlet(np.ones(9), size=600)
    truth = np.where(random.random(600) < 0.5, probabilities.argmax(axis=1), random.integers(0, 9, 600))
    return probabilities, truth, random.integers(0, 6, 600)


def test_measures_are_those_of_scikit_learn(drawn):
    probabilities, truth, unit = drawn
    found = Agreement.of(probabilities, truth, unit, 6).measures(np.ones((1, 6)))
    said = probabilities.argmax(axis=1)
    assert np.isclose(found["macro_f1"][0], f1_score(truth, said, average="macro"))
    assert np.isclose(found["log_loss"][0], log_loss(truth, probabilities, labels=range(9)))
    assert np.isclose(found["brier"][0], ((probabilities - np.eye(9)[truth]) ** 2).sum(axis=1).mean())
    assert np.isclose(found["f1_plant"][0], f1_score(truth, said, labels=[4], average=None)[0])


def test_a_weight_of_a_unit_is_as_many_copies_of_its_rows(drawn):
    probabilities, truth, unit = drawn
    weights = np.array([[0.0, 2, 1, 0, 3, 1]])
    rows = np.repeat(np.arange(600), weights[0, unit].astype(int))
    weighted = Agreement.of(probabilities, truth, unit, 6).measures(weights)
    copied = Agreement.of(probabilities[rows], truth[rows], unit[rows] * 0, 1).measures(np.ones((1, 1)))
    for name, values in weighted.items():
        assert np.isclose(values[0], copied[name][0]), name
    score = probabilities[:, 2].round(1)  # many equal ones
    area = average_precision(score, truth == 2, unit, weights)
    assert np.isclose(area[0], average_precision_score(truth[rows] == 2, score[rows]))


def test_rows_on_which_the_labels_abstain_count_nowhere(drawn):
    probabilities, truth, unit = drawn
    blind = np.where(unit == 5, -1, truth)
    found = Agreement.of(probabilities, blind, unit, 6).measures(np.ones((1, 6)))
    kept = unit != 5
    alone = Agreement.of(probabilities[kept], truth[kept], unit[kept], 6).measures(np.ones((1, 6)))
    assert all(np.isclose(found[name][0], alone[name][0]) for name in found)


def test_a_class_that_nobody_labelled_does_not_count_towards_macro_f1():
    confusion = np.zeros((9, 9))
    confusion[0, 0], confusion[2, 2], confusion[2, 1] = 2, 1, 1
    assert np.isclose(macro_f1(confusion), (1 + 2 / 3) / 2)
    assert np.isnan(macro_f1(np.zeros((9, 9))))


def test_the_area_under_precision_and_recall_is_not_defined_without_a_row_of_the_class():
    assert np.isnan(average_precision(np.array([0.1, 0.2]), np.zeros(2, bool), np.zeros(2, int), np.ones((1, 1))))[0]


def test_calibration_error_by_hand():
    probability = np.array([0.2, 0.2, 0.2, 0.2, 0.8, 0.8, 0.8, 0.8, 0.01])
    came = np.array([0, 0, 0, 1, 1, 1, 0, 1, 1], dtype=bool)  # 0.25 and 0.75 come; the last is below the least
    found = Reliability.of(probability, came, np.zeros(9, np.int64), 1, bins=2, least=0.05, seed=0)
    assert np.isclose(found.error(np.ones((1, 1)))[0], 0.05)
    assert found.curve == [
        (pytest.approx(0.2), pytest.approx(0.25), 4),
        (pytest.approx(0.8), pytest.approx(0.75), 4),
    ]


def test_equal_probabilities_stay_in_one_bin_and_nothing_is_said_of_none():
    probability = np.full(40, 0.9)
    found = Reliability.of(probability, np.ones(40, bool), np.zeros(40, np.int64), 1, bins=15, least=0.05, seed=0)
    assert len(found.curve) == 1
    assert np.isclose(found.error(np.ones((1, 1)))[0], 0.1)
    none = Reliability.of(probability * 0, np.ones(40, bool), np.zeros(40, np.int64), 1, bins=15, least=0.05, seed=0)
    assert np.isnan(none.error(np.ones((1, 1)))[0]) and none.curve == []


def test_a_perfectly_calibrated_class_lies_at_its_floor():
    random = np.random.default_rng(5)
    probability = random.random(20_000)
    unit = np.zeros(20_000, np.int64)
    right = Reliability.of(probability, random.random(20_000) < probability, unit, 1, bins=15, least=0.05, seed=0)
    wrong = Reliability.of(probability, random.random(20_000) < probability**2, unit, 1, bins=15, least=0.05, seed=0)
    assert right.error(np.ones((1, 1)))[0] < 1.6 * right.floor
    assert wrong.error(np.ones((1, 1)))[0] > 10 * wrong.floor


def test_the_floor_of_rows_that_go_together_is_higher_and_of_independent_ones_the_same():
    random = np.random.default_rng(4)
    units, size = 400, 25

    def made(is_class, probability):
        unit = np.repeat(np.arange(units), size)
        return Reliability.of(probability, is_class, unit, units, bins=5, least=0.0, seed=0)

    probability = np.repeat(random.uniform(0.05, 0.95, units), size)
    apart = made(random.random(units * size) < probability, probability)
    together = made(np.repeat(random.random(units), size) < probability, probability)
    assert apart.floor_by_unit == pytest.approx(apart.floor, rel=0.25)
    assert together.floor_by_unit == pytest.approx(5 * together.floor, rel=0.25)  # the root of 25 rows a unit
    assert together.overall == pytest.approx(together.floor_by_unit, rel=0.6)  # every probability is right
    off = made(np.repeat(random.random(units), size) < probability / 2, probability)
    assert off.overall > 3 * off.floor_by_unit  # what is off is no part of the floor
    assert np.isnan(made(np.zeros(units * size, bool), probability * 0 - 1).floor_by_unit)
