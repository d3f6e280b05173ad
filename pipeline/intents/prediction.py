"""What every player means now: rules first, then the model.

Belongs here: how a rule's answer and the model's become one row of table `intents`.
Does not belong here: the rules (`heuristics`), the models (`model`), stretches of one intent (`segments`).
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from configs.intents import IntentsConfig
from pipeline.intents.heuristics import Rules
from pipeline.intents.model import BoosterModel, IntentModel, vectors
from pipeline.intents.vocabulary import INTENTS, PROBABILITIES
from pipeline.tables import conform

RULE, MODEL = "rule:", "model:"


@dataclass(frozen=True)
class Prediction:
    """What is predicted of n instants.

    Attributes:
        probabilities: float32 (n, 9), in the order of INTENTS.
        intent: the most probable, by place in INTENTS, int64 (n,).
        decider: who decided, by place in `Predictor.deciders`, int64 (n,).
        against: how sure the model alone is of another intent where a rule decided and it differs, else NaN,
            float32 (n,).
    """

    probabilities: NDArray[np.float32]
    intent: NDArray[np.int64]
    decider: NDArray[np.int64]
    against: NDArray[np.float32]

    @property
    def confidence(self) -> NDArray[np.float32]:
        """Probability of the most probable intent, float32 (n,)."""
        return np.asarray(self.probabilities.max(axis=1, initial=0))


class Predictor:
    """The rules and a model, ready to be asked; whole matches and live instants ask it alike.

    A deciding rule gives its intent the rule's own probability, which a trained model has learned to raise and lower;
    the others share the rest in the model's proportions. The answer for an instant depends on that instant alone, so
    any batching gives the same bits.

    Attributes:
        model: answers where no rule does.
        rules: what answers first.
        deciders: everything that `decided_by` can say: the rules in order of priority, then the model.
    """

    def __init__(self, model: IntentModel, config: IntentsConfig | None = None) -> None:
        self.model = model
        self.rules = Rules.configured(config)
        self.deciders = deciders(self.rules, model.version)

    def predict(self, vectors: NDArray[np.float32]) -> Prediction:
        """Nine probabilities, the most probable intent and who decided it, for every instant.

        Args:
            vectors: float32 (features, n), as `model.vectors` gives them.
        """
        found, own, rule = answers(self.model, vectors, self.rules)
        probabilities = found.astype(np.float32)
        decider = np.where(rule < 0, len(self.rules.names), rule)
        return Prediction(probabilities, probabilities.argmax(axis=1), decider, _against(own, rule, self.rules))


def predict(features: pl.DataFrame, model: IntentModel, config: IntentsConfig | None = None) -> pl.DataFrame:
    """What every player of a match means at every instant.

    Args:
        features: table `features`.
        model: answers where no rule does.
        config: the rules; `configs/intents.yaml` if None.

    Returns:
        Table `intents`, in the order of the features.
    """
    predictor = Predictor(model, config)
    found = predictor.predict(vectors(features))
    return conform(
        "intents",
        features.select("match_id", "round", "player", "t_ms").with_columns(
            *(pl.Series(name, found.probabilities[:, column]) for column, name in enumerate(PROBABILITIES)),
            pl.Series("intent", INTENTS, dtype=pl.Enum(INTENTS)).gather(found.intent),
            pl.Series("confidence", found.confidence),
            pl.Series("decided_by", predictor.deciders).gather(found.decider),
            pl.Series("model_against", found.against).fill_nan(None),
        ),
    )


def deciders(rules: Rules, model_version: str) -> list[str]:
    """Everything that `decided_by` can say: the rules in order of priority, then the model."""
    return [*(f"{RULE}{name}" for name in rules.names), f"{MODEL}{model_version}"]


def _against(own: NDArray[np.float64], rule: NDArray[np.int64], rules: Rules) -> NDArray[np.float32]:
    decided = np.flatnonzero(rule >= 0)
    said = own[decided]
    against = np.full(len(own), np.nan, np.float32)
    against[decided] = np.where(said.argmax(axis=1) != rules.intents[rule[decided]], said.max(axis=1), np.nan)
    return against


def answers(
    model: IntentModel, vectors: NDArray[np.float32], rules: Rules
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """What rules and model say together, what the model says, and which rule decides.

    Args:
        model: a trained one knows how far each rule is to be trusted.
        vectors: float32 (features, n), as `model.vectors` gives them.
        rules: what answers first.

    Returns:
        The answer, float64 (n, 9); the model's own, float64 (n, 9), where no rule decides calibrated for such rows;
        the place of the deciding rule, or -1, int64 (n,).
    """
    rule = rules.decide(vectors)
    if not isinstance(model, BoosterModel):
        own = model.probabilities(vectors)
        return blend(own, rule, rules), own, rule
    own, decided = model.beside(vectors, rule), np.flatnonzero(rule >= 0)
    return blend(own, rule, rules, model.hybrid.sure(own[decided], rule[decided], rules)), own, rule


def blend(
    probabilities: NDArray[np.float64],
    rule: NDArray[np.int64],
    rules: Rules,
    sure: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """The model's probabilities, and where a rule decides, that rule's with the rest shared in their proportions.

    Args:
        probabilities: the model's, (n, 9).
        rule: place of the deciding rule, or -1, (n,).
        rules: what the places mean.
        sure: how sure the rule is on each row that one decides; as configured if None.
    """
    decided = np.flatnonzero(rule >= 0)
    chosen = rules.intents[rule[decided]]
    own = rules.probabilities[rule[decided]] if sure is None else sure
    others = probabilities[decided]
    others[np.arange(len(decided)), chosen] = 0
    total = others[:, 0].copy()
    for column in range(1, others.shape[1]):  # in this order whatever the number of rows
        total += others[:, column]
    even = np.full_like(others, 1 / (len(INTENTS) - 1))
    shares = np.where(total[:, None] > 0, others / np.where(total > 0, total, 1)[:, None], even)
    shares *= (1 - own)[:, None]
    shares[np.arange(len(decided)), chosen] = own
    blended = probabilities.copy(order="K")
    blended[decided] = shares
    return blended
