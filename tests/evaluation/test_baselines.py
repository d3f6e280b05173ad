import numpy as np
import polars as pl

from pipeline.intents.evaluation import baselines


def _labels(*said, round_=1, player="a"):
    return pl.DataFrame(
        {
            "match_id": ["m"] * len(said),
            "round": [round_] * len(said),
            "player": [player] * len(said),
            "t_ms": [250 * place for place in range(len(said))],
            "intent": list(said),
        },
        schema_overrides={"intent": pl.String},
    )


def test_the_newest_label_that_could_be_known_is_a_horizon_old_or_older():
    found = baselines.newest_known(_labels("hold", None, "peek", None, None), 500)
    assert found.tolist() == [-1, -1, 2, 2, 3]


def test_a_label_of_another_round_or_player_is_not_known():
    labels = pl.concat(
        [
            _labels("hold", "hold", "hold"),
            _labels("peek", "peek", "peek", player="b"),
            _labels(None, None, None, round_=2).with_columns(pl.col("t_ms") + 10_000),
        ]
    )
    assert baselines.newest_known(labels, 250).tolist() == [-1, 2, 2, -1, 3, 3, -1, -1, -1]


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
