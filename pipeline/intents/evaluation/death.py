"""Death within three seconds, learned from the same features: one number to hold against others' work.

Belongs here: the target, the trees, the threshold. Does not belong here: intents, and anything that is deployed: this
is a side task that tells what the features hold.
"""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from configs.evaluation import DeathMeasure
from pipeline.intents.evaluation.cases import Case
from pipeline.intents.evaluation.resampling import Bools, Floats, Ints
from pipeline.intents.model import vectors

if TYPE_CHECKING:
    from lightgbm import Booster


def dies(case: Case, horizon_ms: int) -> Bools:
    """Whether each instant's player is killed, by anyone, in `(t, t + horizon]` of the same round; bool (n,)."""
    deaths = (
        case.events.filter((pl.col("event_type") == "PLAYER_KILLED") & pl.col("target").is_not_null())
        .select(pl.col("round").fill_null(0), player="target", t_ms="t_ms", death_ms="t_ms")
        .sort("t_ms")
    )
    asked = case.features.select(pl.col("round").fill_null(0), "player", pl.col("t_ms") + 1).with_row_index("place")
    ahead = asked.sort("t_ms").join_asof(
        deaths, on="t_ms", by=["player", "round"], strategy="forward", check_sortedness=False
    )
    within = ahead.sort("place").select(pl.col("death_ms") - pl.col("t_ms") + 1 <= horizon_ms).to_series()
    return np.asarray(within.fill_null(False).to_numpy(), dtype=np.bool_)


def foretell(
    known: Sequence[Case], tested: Sequence[Case], config: DeathMeasure, *, seed: int
) -> tuple[list[Floats], float]:
    """Probability of death at each instant of the tested matches, and the threshold to call it one.

    The threshold is the one with the best F1 on the known matches, each foretold by trees of the others; of a single
    match, by its own.

    Args:
        known: matches to learn from.
        tested: matches that none of those is kin to.
        config: trees and horizon.
        seed: of trees and sample.
    """
    from sklearn.metrics import precision_recall_curve

    seen = [np.ascontiguousarray(vectors(case.features).T) for case in known]
    died = [dies(case, config.horizon_ms) for case in known]
    rows = [_drawn(len(each), case, config, seed) for each, case in zip(died, known, strict=True)]
    places = range(len(known))

    def grown(without: int | None) -> "Booster":
        chosen = [place for place in places if place != without] or list(places)
        return _grow(
            np.concatenate([seen[place][rows[place]] for place in chosen]),
            np.concatenate([died[place][rows[place]] for place in chosen]),
            config,
            seed,
        )

    held = np.concatenate([_say(grown(place), seen[place]) for place in places])
    precision, recall, thresholds = precision_recall_curve(np.concatenate(died), held)
    both = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    booster = grown(None)
    said = [_say(booster, np.ascontiguousarray(vectors(case.features).T)) for case in tested]
    return said, float(thresholds[int(both[:-1].argmax())])


def _drawn(count: int, case: Case, config: DeathMeasure, seed: int) -> Ints:
    digest = hashlib.sha256(f"{seed}:{case.match_id}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8])).permutation(count)[: config.rows_per_match]


def _grow(seen: NDArray[np.float32], died: Bools, config: DeathMeasure, seed: int) -> "Booster":
    import lightgbm

    parameters = {
        "objective": "binary",
        "num_leaves": config.leaves,
        "learning_rate": config.learning_rate,
        "min_data_in_leaf": config.least_rows_in_leaf,
        "feature_fraction": config.feature_share,
        "bagging_fraction": config.row_share,
        "bagging_freq": 1,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbosity": -1,
    }
    return lightgbm.train(parameters, lightgbm.Dataset(seen, label=died), num_boost_round=config.rounds)


def _say(booster: "Booster", seen: NDArray[np.float32]) -> Floats:
    return np.asarray(booster.predict(seen, num_threads=1), dtype=np.float64)
