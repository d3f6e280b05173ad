"""The newest label that could be known at an instant.

Belongs here: what the labels' rules say as time passes. Does not belong here: the rules (`pipeline.intents.labels`),
how far the newest label is to be trusted (`baselines`).

Only evaluation may import this: labels look ahead, and here it is counted how long one has to wait for them.
"""

from collections.abc import Mapping

import numpy as np
import polars as pl

from configs.intents import LabelsConfig
from pipeline.intents.evaluation.resampling import Ints
from pipeline.intents.labels import probabilities
from pipeline.intents.labels.hindsight import KEYS, Hindsight
from pipeline.intents.labels.rules import RULES, findings, heard


def told_within(
    events: pl.DataFrame, tracks: pl.DataFrame, features: pl.DataFrame, config: LabelsConfig
) -> dict[int, Ints]:
    """What the labels' rules would say of each instant if they looked no farther ahead than each of their horizons.

    A label as it stands in the end tells more than its own rule's horizon: that no rule that looks farther spoke
    against it. Here a horizon's answer is given by the rules that have seen enough by then, and by no others.

    Args:
        events: table `events` of a match.
        tracks: table `tracks`.
        features: table `features`.
        config: thresholds, weights and horizons.

    Returns:
        By horizon in ms, int64 (n,) in the order of the features: place in INTENTS, -1 where nothing is said.
    """
    rows = features.select(*KEYS).with_row_index("place").sort("player", "round", "t_ms", nulls_last=False)
    if rows.is_empty():
        return {}
    found = findings(Hindsight(events, tracks, rows.drop("place"), config), config.rules)
    horizons = np.array([getattr(config.rules, rule.name).horizon_ms for rule in RULES])
    answers: dict[int, Ints] = {}
    for horizon in np.unique(horizons).tolist():
        votes = heard(found & (horizons <= horizon))
        probability = probabilities(votes, config)
        speaks = votes.any(axis=1) & (probability.max(axis=1) >= config.least_probability)
        answers[horizon] = np.empty(len(rows), dtype=np.int64)
        answers[horizon][rows["place"].to_numpy()] = np.where(speaks, probability.argmax(axis=1), -1)
    return answers


def newest_known(rows: pl.DataFrame, told: Mapping[int, Ints]) -> Ints:
    """The newest answer about the player's round that is known at each instant.

    Args:
        rows: `match_id`, `player`, `round`, `t_ms`.
        told: what `told_within` returns: an answer is known once its horizon has passed. Of several about one instant
            the one that looked farthest counts.

    Returns:
        int64 (n,) in the order of the rows: place in INTENTS, -1 where none is known yet.
    """
    keys = ["match_id", "player", "round"]
    frame = rows.select(*keys[:2], pl.col("round").fill_null(0), "t_ms").with_row_index("place")
    asked = frame.sort("t_ms")
    about, said = np.full(rows.height, np.iinfo(np.int64).min), np.full(rows.height, -1, dtype=np.int64)
    for horizon in sorted(told):
        known = (
            frame.with_columns(pl.Series("said", told[horizon]), about="t_ms", t_ms=pl.col("t_ms") + horizon)
            .filter(pl.col("said") >= 0)
            .sort("t_ms")
            .drop("place")
        )
        found = asked.join_asof(known, on="t_ms", by=keys, check_sortedness=False).sort("place")
        when = found["about"].fill_null(np.iinfo(np.int64).min).to_numpy()
        newer = found["said"].is_not_null().to_numpy() & (when >= about)
        about[newer], said[newer] = when[newer], found["said"].fill_null(-1).to_numpy()[newer]
    return said
