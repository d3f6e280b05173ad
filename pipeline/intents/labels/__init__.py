"""What each player meant, in hindsight: rules that look at what happened next.

Belongs here: the labelling rules and how their votes become probabilities. This is the only part that may look past
the instant it describes; nothing that predicts may import it.
Does not belong here: thresholds (`configs/intents.yaml`), anything causal (`heuristics`).

A rule looks from an instant over its horizon, never past the player's death or the end of the round, and says
nothing where too little is left to see. Where no rule speaks, or none wins, the row is left unlabelled.
"""

import numpy as np
import polars as pl

from configs.intents import IntentsConfig, LabelsConfig, load_intents
from pipeline.intents.labels.hindsight import KEYS, Bools, Floats, Hindsight, Ints
from pipeline.intents.labels.rules import RULES, ballots
from pipeline.intents.vocabulary import INTENTS, PROBABILITIES
from pipeline.tables import conform

__all__ = ["RULES", "label", "probabilities"]


def label(
    events: pl.DataFrame, tracks: pl.DataFrame, features: pl.DataFrame, config: IntentsConfig | None = None
) -> pl.DataFrame:
    """What every feature row's player meant, judged by what happened next.

    Args:
        events: table `events` of one match.
        tracks: table `tracks` of that match.
        features: table `features` of that match; its keys, team, side and `is_attacker` are used.
        config: thresholds and weights; `configs/intents.yaml` if None.

    Returns:
        Table `labels`, one row per feature row, sorted by player and time. Probabilities and intent are null where
        the rules abstain; `rules` names those that voted; `horizon_ms` is how far ahead there was something to see,
        up to the longest horizon of any rule.
    """
    config = config or load_intents()
    rows = features.select(*KEYS).sort("player", "round", "t_ms", nulls_last=False)
    if rows.is_empty():
        return conform(
            "labels", _table(rows, np.zeros((0, len(RULES)), np.bool_), np.zeros(0, np.int64), config.labels)
        )
    after = Hindsight(events, tracks, rows, config.labels)
    votes = ballots(after, config.labels.rules)
    longest = max(getattr(config.labels.rules, rule.name).horizon_ms for rule in RULES)
    horizon = np.minimum(longest, after.left * after.step)
    return conform("labels", _table(rows, votes, horizon, config.labels).sort("player", "t_ms"))


def _table(rows: pl.DataFrame, votes: Bools, horizon: Ints, config: LabelsConfig) -> pl.DataFrame:
    """Votes as probabilities; null below the least one."""
    probability = probabilities(votes, config)
    decided = pl.Series(votes.any(axis=1) & (probability.max(axis=1, initial=0.0) >= config.least_probability))
    winner = pl.Series(probability.argmax(axis=1), dtype=pl.Int64)
    names = dict(enumerate(INTENTS))
    return rows.select("match_id", "round", "player", "t_ms").with_columns(
        *(pl.when(decided).then(pl.Series(probability[:, i])).alias(name) for i, name in enumerate(PROBABILITIES)),
        pl.when(decided).then(winner.replace_strict(names, return_dtype=pl.String)).alias("intent"),
        _voters(votes).alias("rules"),
        pl.Series("horizon_ms", horizon, dtype=pl.Int32),
    )


def probabilities(votes: Bools, config: LabelsConfig) -> Floats:
    """What the votes make of each row: for intent i, in proportion to e to the sum of the weights that speak for it.

    That is naive Bayes over rules that are right with the probability behind their weight (`labels.weights`) and else
    speak for any of the other eight as likely: Nitzan & Paroush 1982, Optimal decision rules in uncertain dichotomous
    choice situations, for nine choices.

    Args:
        votes: by row and rule, in the order of `RULES`.
        config: the weights.

    Returns:
        float64 (n, 9); rows without a vote are even.
    """
    sums = np.zeros((len(votes), len(INTENTS)))
    for column, rule in enumerate(RULES):
        sums[:, INTENTS.index(rule.intent)] += votes[:, column] * config.weights[rule.name]
    odds = np.exp(sums - sums.max(axis=1, keepdims=True))
    found: Floats = odds / odds.sum(axis=1, keepdims=True)
    return found


def _voters(votes: Bools) -> pl.Series:
    """Names of the rules that voted, per row; few sets of rules ever vote together, so each is spelt once."""
    sets, row = np.unique(votes @ (1 << np.arange(len(RULES))), return_inverse=True)
    names = [[rule.name for place, rule in enumerate(RULES) if chosen >> place & 1] for chosen in sets.tolist()]
    return pl.Series(names, dtype=pl.List(pl.String)).gather(row)
