"""Death within three seconds, learned from the same features of both teams: one number to hold against others' work.

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
from configs.intents import load_intents
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


_OF_AN_ENEMY = (
    "enemy_angle_deg",
    "nearest_enemy_m",
    "speed_mps",
    "shots_1s",
    "since_damage_dealt_s",
    "since_damage_taken_s",
    "hp",
    "armor",
    "flashed_s",
)


def seen_of(case: Case) -> NDArray[np.float32]:
    """What death is foretold from: a player's own features, and what the enemies' features tell at the same instant.

    Of the nearest enemy, where the player is the nearest one to him too, so that his angle to his nearest enemy is how
    far he aims beside the player; and of all living enemies together.

    Returns:
        float32 (n, features), in the order of `case.features`; NaN where not known.
    """
    aimed_deg = load_intents().labels.rules.trade_fire.aim_deg  # on this one, not on somebody beside him
    side = pl.coalesce("team", "side").alias("ours")
    asked = case.features.select("round", "t_ms", side, "nearest_enemy_m")
    asked = asked.with_row_index("place").drop_nulls("ours")
    theirs = case.features.select(
        "round",
        "t_ms",
        side.alias("theirs"),
        pl.col("nearest_enemy_m").alias("apart"),
        *(pl.col(name).cast(pl.Float32).alias(f"their_{name}") for name in _OF_AN_ENEMY),
    ).drop_nulls("theirs")
    hostile = pl.col("ours") != pl.col("theirs")
    nearest = (
        asked.join(
            theirs, left_on=["round", "t_ms", "nearest_enemy_m"], right_on=["round", "t_ms", "apart"], nulls_equal=False
        )
        .filter(hostile)
        .unique("place", keep="first", maintain_order=True)
        .select("place", *(f"their_{name}" for name in _OF_AN_ENEMY))
    )
    together = (
        asked.select("place", "round", "t_ms", "ours")
        .join(theirs, on=["round", "t_ms"], nulls_equal=True)
        .filter(hostile)
        .group_by("place")
        .agg(
            pl.col("their_enemy_angle_deg").min().alias("least_angle"),
            pl.col("their_shots_1s").sum().alias("shots"),
            (pl.col("their_enemy_angle_deg") < aimed_deg).sum().cast(pl.Float32).alias("aiming"),
        )
    )
    places = pl.DataFrame({"place": pl.int_range(case.features.height, dtype=pl.UInt32, eager=True)})
    more = (
        places.join(nearest, on="place", how="left").join(together, on="place", how="left").sort("place").drop("place")
    )
    return np.ascontiguousarray(np.hstack([vectors(case.features).T, more.cast(pl.Float32).to_numpy()]))


def foretell(
    known: Sequence[Case], tested: Sequence[Case], config: DeathMeasure, *, seed: int
) -> tuple[list[Floats], float]:
    """Probability of death at each instant of the tested matches, and the threshold to call it one.

    The threshold is the one with the best F1 on the known matches, each foretold by trees of other series; where all
    are of one, of other matches; of a single match, by its own.

    Args:
        known: matches to learn from.
        tested: matches that none of those is kin to.
        config: trees and horizon.
        seed: of trees and sample.
    """
    from sklearn.metrics import precision_recall_curve

    seen = [seen_of(case) for case in known]
    died = [dies(case, config.horizon_ms) for case in known]
    rows = [_drawn(len(each), case, config, seed) for each, case in zip(died, known, strict=True)]
    places = range(len(known))
    kin = [case.series for case in known]
    if len(set(kin)) < 2:
        kin = [case.match_id for case in known]

    def grown(without: str | None) -> "Booster":
        chosen = [place for place in places if kin[place] != without] or list(places)
        return _grow(
            np.concatenate([seen[place][rows[place]] for place in chosen]),
            np.concatenate([died[place][rows[place]] for place in chosen]),
            config,
            seed,
        )

    boosters = {name: grown(name) for name in sorted(set(kin))}
    held = np.concatenate([_say(boosters[kin[place]], seen[place]) for place in places])
    precision, recall, thresholds = precision_recall_curve(np.concatenate(died), held)
    both = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    booster = grown(None)
    said = [_say(booster, seen_of(case)) for case in tested]
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
