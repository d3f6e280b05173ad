"""What every player means now: rules first, then the model.

Belongs here: how a rule's answer and the model's become one row of table `intents`.
Does not belong here: the rules (`heuristics`), the models (`model`), stretches of one intent (`segments`).
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from configs.intents import IntentsConfig, load_intents
from pipeline.intents.heuristics import PREFIX as RULE
from pipeline.intents.heuristics import decide
from pipeline.intents.model import IntentModel
from pipeline.intents.vocabulary import INTENTS, PROBABILITIES
from pipeline.tables import conform

MODEL = "model:"


def predict(features: pl.DataFrame, model: IntentModel, config: IntentsConfig | None = None) -> pl.DataFrame:
    """Nine probabilities, the most probable intent and who decided it, for every feature row.

    A deciding rule gives its intent the rule's own probability; the others share the rest in the model's
    proportions. Each row's result depends on that row alone, so any batching gives the same bits.

    Args:
        features: table `features`.
        model: answers where no rule does.
        config: the rules; `configs/intents.yaml` if None.

    Returns:
        Table `intents`, in the order of the features.
    """
    config = config or load_intents()
    rule = decide(features, config).to_numpy()
    probabilities = blend(model.probabilities(features), rule, config).astype(np.float32)
    best = probabilities.argmax(axis=1)
    names = deciders(config, model.version)
    return conform(
        "intents",
        features.select("match_id", "round", "player", "t_ms").with_columns(
            *(pl.Series(name, probabilities[:, column]) for column, name in enumerate(PROBABILITIES)),
            pl.Series("intent", best).replace_strict(dict(enumerate(INTENTS)), return_dtype=pl.String),
            pl.Series("confidence", probabilities.max(axis=1, initial=0)),
            pl.Series("decided_by", rule).replace_strict(
                {**dict(enumerate(names[:-1])), -1: names[-1]},
                return_dtype=pl.String,
            ),
        ),
    )


def deciders(config: IntentsConfig, model_version: str) -> list[str]:
    """Everything that `decided_by` can say: the rules in order of priority, then the model."""
    return [*(f"{RULE}{each.name}" for each in config.heuristics), f"{MODEL}{model_version}"]


def blend(probabilities: NDArray[np.float64], rule: NDArray[np.int32], config: IntentsConfig) -> NDArray[np.float64]:
    """The model's probabilities, and where a rule decides, that rule's with the rest shared in their proportions.

    Args:
        probabilities: the model's, (n, 9).
        rule: place of the deciding rule, or -1, (n,).
        config: the rules.
    """
    if not config.heuristics:
        return probabilities
    decided = np.flatnonzero(rule >= 0)
    chosen = np.array([INTENTS.index(each.intent) for each in config.heuristics])[rule[decided]]
    own = np.array([each.probability for each in config.heuristics])[rule[decided]]
    others = probabilities[decided].copy()
    others[np.arange(len(decided)), chosen] = 0
    total = others[:, 0].copy()
    for column in range(1, others.shape[1]):  # in this order whatever the number of rows
        total += others[:, column]
    even = np.full_like(others, 1 / (len(INTENTS) - 1))
    shares = np.where(total[:, None] > 0, others / np.where(total > 0, total, 1)[:, None], even)
    shares *= (1 - own)[:, None]
    shares[np.arange(len(decided)), chosen] = own
    blended = probabilities.copy()
    blended[decided] = shares
    return blended
