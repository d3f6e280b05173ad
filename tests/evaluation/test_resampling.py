import numpy as np
import pytest

from pipeline.intents.evaluation.resampling import Estimate, estimate, weights

MATCHES = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2])


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    first, again, other = (weights(MATCHES, resamples=50, seed=seed) for seed in (7, 7, 8))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_first_row_is_the_sample_itself_and_every_other_draws_whole_matches_first():
    found = weights(MATCHES, resamples=200, seed=7)
    assert found.shape == (201, 9)
    assert (found[0] == 1).all()
    drawn = np.stack([found[:, match == MATCHES].mean(axis=1) for match in range(3)], axis=1)
    assert np.array_equal(drawn, np.rint(drawn))  # a match drawn c times gives c × its rounds
    assert (drawn.sum(axis=1) == 3).all()
    assert (drawn == 0).any() and (drawn == 3).any()
    assert (found.std(axis=1)[1:] > 0).all()  # and within a match not each round counts alike


def test_one_match_alone_is_resampled_by_its_rounds():
    found = weights(np.zeros(5, np.int64), resamples=30, seed=1)
    assert (found.sum(axis=1) == 5).all()
    assert len(np.unique(found, axis=0)) > 1


def test_an_interval_holds_the_middle_of_the_replicates_and_leaves_out_what_is_not_defined():
    replicates = np.concatenate([[50.0], np.arange(101.0), [np.nan]])
    assert estimate(replicates, interval=0.9).plain() == pytest.approx({"value": 50.0, "low": 5.0, "high": 95.0})
    assert estimate(np.full(4, np.nan), interval=0.9).plain() == {"value": None, "low": None, "high": None}


def test_a_reflected_interval_lies_about_a_figure_that_resampling_can_only_raise():
    replicates = np.concatenate([[0.02], np.linspace(0.02, 0.05, 101)])
    plain, basic = (estimate(replicates, interval=0.9, basic=each) for each in (False, True))
    assert plain.low > plain.value
    assert basic.low == 0.0
    assert basic.low < basic.value
    assert np.isclose(basic.high, 0.0185)


def test_an_interval_excludes_zero_only_if_both_ends_are_on_one_side():
    assert Estimate(1.0, 0.1, 2.0).excludes_zero
    assert Estimate(-1.0, -2.0, -0.1).excludes_zero
    assert not Estimate(1.0, -0.1, 2.0).excludes_zero
    assert not Estimate(1.0, float("nan"), float("nan")).excludes_zero
