"""What rules and a trained model say together, calibrated as that.

Belongs here: the model's calibration where no rule decides, how far a deciding rule is to be trusted where the model is
sure of it or not, and how both are fitted. Does not belong here: the rules (`heuristics`), the model's calibration by
itself (`calibration`), how a rule's answer and the model's become one (`prediction`).

A rule decides the easy rows, so those that it leaves are harder than a model thinks that knows of no rule; and where a
rule decides, it is right more often if the model agrees. Why this and not rules with one probability each:
`docs/decisions/014-rules-and-model-are-calibrated-together.md`.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
# numba infers the types of compiled helpers; annotations would be decoration that nothing checks.

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.intents import calibration
from pipeline.intents.calibration import Calibration
from pipeline.intents.heuristics import Rules

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_LEAST_TRUSTED = 1e-4  # probability that the model gives a rule's intent; one further off tells no more
_DIGITS = 6


@dataclass(frozen=True)
class Hybrid:
    """Calibration of rules and model together.

    Attributes:
        undecided: raw scores to probabilities where no rule decides.
        trust: by digest of a rule (`Rules.digests`): level and slope. Where it decides, the log-odds of its intent are
            level + slope × the log-odds that the model gives that intent. A rule that is not in it has its configured
            probability.
    """

    undecided: Calibration
    trust: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def sure(self, own: Floats, rule: Ints, rules: Rules) -> Floats:
        """How sure each deciding rule is, float64 (n,); of each row by itself.

        Args:
            own: the model's probabilities where a rule decides, float64 (n, 9).
            rule: place of the rule, int64 (n,).
            rules: what the places mean.
        """
        known = [self.trust.get(digest) for digest in rules.digests]
        level, slope = (np.array([each[part] if each else np.nan for each in known]) for part in (0, 1))
        chosen = own[np.arange(len(rule)), rules.intents[rule]]
        return np.asarray(_sure(chosen, rule, level, slope, rules.probabilities, _LEAST_TRUSTED))


@njit(cache=True)
def _sure(probability, rule, level, slope, configured, least):
    found = np.empty(rule.shape[0], np.float64)
    for row in range(rule.shape[0]):
        place = rule[row]
        if np.isnan(level[place]):
            found[row] = configured[place]
            continue
        likely = min(max(probability[row], least), 1 - least)
        found[row] = 1 / (1 + np.exp(-(level[place] + slope[place] * np.log(likely / (1 - likely)))))
    return found


def fit(
    scores: Floats,
    truth: Ints,
    rule: Ints,
    alone: Calibration,
    rules: Rules,
    *,
    caution: float,
    least: float,
    trust_caution: float,
) -> Hybrid:
    """The calibration of rules and model on rows that the scores' model was not trained on.

    Args:
        scores: raw scores, float64 (n, classes).
        truth: true class of each row, int64 (n,).
        rule: place of the rule that decides each row, -1 where none does, int64 (n,).
        alone: the calibration of the model by itself.
        rules: what the places mean.
        caution: see `calibration.fit`.
        least: see `calibration.fit`.
        trust_caution: rows that speak against each squared unit by which a rule's level departs from its configured
            log-odds, and its slope from 0.
    """
    free = rule < 0
    left = calibration.fit(scores[free], truth[free], alone.log_weights, caution=caution, least=least)
    trust: dict[str, tuple[float, float]] = {}
    for place, digest in enumerate(rules.digests):
        mine, intent = rule == place, rules.intents[place]
        if mine.any():
            said = alone.probabilities(scores[mine])[:, intent]
            trust[digest] = _trust(said, truth[mine] == intent, rules.probabilities[place], trust_caution)
    return Hybrid(left, trust)


def _trust(said: Floats, right: NDArray[np.bool_], configured: float, caution: float) -> tuple[float, float]:
    """Logistic regression of being right on the log-odds, drawn towards what is configured; L-BFGS from there."""
    from scipy.optimize import minimize

    likely = np.clip(said, _LEAST_TRUSTED, 1 - _LEAST_TRUSTED)
    odds = np.log(likely / (1 - likely))
    start = np.array([np.log(configured / (1 - configured)), 0.0])

    def loss(both: Floats) -> tuple[float, Floats]:
        told, pull = both[0] + both[1] * odds, both - start
        apart = 0.5 * (1 + np.tanh(told / 2)) - right  # the logistic function, without overflow
        value = (np.logaddexp(0, told) - right * told).sum() + caution * (pull**2).sum()
        return float(value), np.array([apart.sum(), (apart * odds).sum()]) + 2 * caution * pull

    level, slope = np.round(minimize(loss, start, jac=True, method="L-BFGS-B").x, _DIGITS).tolist()
    return level, slope
