import numpy as np
import polars as pl

from configs.intents import load_intents
from pipeline.intents.evaluation import baselines, newest
from pipeline.intents.evaluation.cases import truth


def _rows(count, *, round_=1, player="a", start_ms=0):
    t = [start_ms + 250 * place for place in range(count)]
    return pl.DataFrame({"match_id": ["m"] * count, "round": [round_] * count, "player": [player] * count, "t_ms": t})


def test_the_newest_known_answer_is_as_old_as_its_own_horizon():
    told = {500: np.array([2, -1, 3, -1, -1])}
    assert newest.newest_known(_rows(5), told).tolist() == [-1, -1, 2, 2, 3]


def test_an_answer_of_a_farther_look_amends_the_one_about_its_instant_but_no_newer_one():
    told = {250: np.array([2, -1, -1, 3, -1, -1]), 750: np.array([4, 5, -1, -1, -1, -1])}
    assert newest.newest_known(_rows(6), told).tolist() == [-1, 2, 2, 4, 3, 3]


def test_an_answer_about_another_round_or_player_is_not_known():
    rows = pl.concat([_rows(3), _rows(3, player="b"), _rows(3, round_=2, start_ms=10_000)])
    told = {250: np.array([2, 2, 2, 3, 3, 3, -1, -1, -1])}
    assert newest.newest_known(rows, told).tolist() == [-1, 2, 2, -1, 3, 3, -1, -1, -1]


def test_with_the_longest_horizon_the_labels_rules_say_what_the_label_says(simulated):
    case, config = simulated.folder.cases[0], load_intents().labels
    told = newest.told_within(case.events, case.tracks, case.features, config)
    assert min(told) == 500 and max(told) == 10_250
    assert told[10_250].tolist() == truth(case.labels).to_list()
    assert (told[500] >= 0).sum() < (told[2000] >= 0).sum() < (told[10_250] >= 0).sum()


def test_nothing_that_happens_later_changes_what_is_known(simulated):
    case, config = simulated.folder.cases[0], load_intents().labels
    at = int(case.features["t_ms"].quantile(0.6)) // 250 * 250
    short = [frame.filter(pl.col("t_ms") <= at) for frame in (case.events, case.tracks, case.features)]
    known = newest.newest_known(short[2], newest.told_within(*short, config))
    whole = newest.newest_known(case.features, newest.told_within(case.events, case.tracks, case.features, config))
    earlier = (case.features["t_ms"] <= at).to_numpy()
    assert (whole[earlier] >= 0).sum() > 1000
    assert np.array_equal(whole[earlier], known)


def test_a_label_that_tells_nothing_gets_no_weight_and_one_that_tells_all_gets_all():
    random = np.random.default_rng(1)
    truth = random.integers(0, 9, 4000)
    even = np.full(9, 1 / 9)
    assert baselines.keeping(truth, truth, even) == 0.99
    assert baselines.keeping(random.integers(0, 9, 4000), truth, even) < 0.05
    assert baselines.keeping(np.full(10, -1), truth[:10], even) == 0.0


def test_persistence_says_the_known_label_and_the_shares_where_there_is_none():
    prior = np.array([0.5, 0.5, *[0.0] * 7])
    found = baselines.persistence(np.array([1, -1]), 0.4, prior)
    assert np.allclose(found, [[0.3, 0.7, *[0] * 7], prior])
    assert np.allclose(found.sum(axis=1), 1)
