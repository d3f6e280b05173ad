"""Named rules that answer where they are certain.

Belongs here: how a rule's bounds become a decision over feature rows. Does not belong here: the rules themselves
(`configs/intents.yaml`), what the model says where none decides (`prediction`).

A rule sees only the feature row it decides, so it knows nothing of what comes after. A feature that is not known
satisfies no bound, except the one that asks for exactly that.
"""

import polars as pl

from configs.intents import Bound, Heuristic, IntentsConfig, load_intents
from pipeline.errors import PipelineError
from pipeline.features.definition import NAMES
from pipeline.intents.vocabulary import INTENTS

PREFIX = "rule:"


class UnusableRule(PipelineError):
    """A configured rule names a feature or an intent that does not exist."""


def decide(features: pl.DataFrame, config: IntentsConfig | None = None) -> pl.Series:
    """Which rule decides each row: the first in order of priority whose bounds all hold.

    Args:
        features: rows with the columns of table `features`.
        config: the rules; `configs/intents.yaml` if None.

    Returns:
        `rule`, int32 (n,): the rule's place in the configuration, or -1 where none decides.

    Raises:
        UnusableRule: if a rule names an unknown feature or intent.
    """
    rules = (config or load_intents()).heuristics
    decision = pl.lit(-1, dtype=pl.Int32)
    for place, rule in reversed(list(enumerate(rules))):
        decision = pl.when(holds(rule)).then(pl.lit(place, dtype=pl.Int32)).otherwise(decision)
    # a frame of one literal would have one row, whatever the number of features
    return features.with_columns(decision.alias("rule"))["rule"]


def holds(rule: Heuristic) -> pl.Expr:
    """Whether all bounds of a rule hold, as an expression over feature columns that is never null.

    Raises:
        UnusableRule: if the rule names an unknown feature or intent.
    """
    named = {*rule.when, *(bound.minus for bound in rule.when.values() if bound.minus)}
    if unknown := sorted(named - set(NAMES)):
        raise UnusableRule(f"rule {rule.name}: no feature is called {', '.join(unknown)}")
    if rule.intent not in INTENTS:
        raise UnusableRule(f"rule {rule.name}: no intent is called {rule.intent}")
    return pl.all_horizontal(_satisfies(name, bound) for name, bound in rule.when.items())


def _satisfies(name: str, bound: Bound) -> pl.Expr:
    value = _value(name)
    if not bound.known:
        return value.is_null()
    if bound.minus is not None:
        value = value - _value(bound.minus)
    met = value.is_not_null()
    if bound.min is not None:
        met &= value >= bound.min
    if bound.max is not None:
        met &= value <= bound.max
    return met.fill_null(False)


def _value(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.Float64).fill_nan(None)
