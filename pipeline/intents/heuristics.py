"""Named rules that answer where they are certain.

Belongs here: how a rule's bounds become a decision over feature vectors. Does not belong here: the rules themselves
(`configs/intents.yaml`), what the model says where none decides (`prediction`).

A rule sees only the instant it decides, so it knows nothing of what comes after. A feature that is not known satisfies
no bound, except the one that asks for exactly that.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
# numba infers the types of compiled helpers; annotations would be decoration that nothing checks.

import hashlib
import json
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numba import njit
from numpy.typing import NDArray

from configs.intents import Heuristic, IntentsConfig, load_intents
from pipeline.errors import PipelineError
from pipeline.features.definition import NAMES
from pipeline.intents.vocabulary import INTENTS

_NOTHING = -1


class UnusableRule(PipelineError):
    """A configured rule names a feature or an intent that does not exist."""


@dataclass(frozen=True)
class Rules:
    """The configured rules in order of priority, as arrays.

    Attributes:
        names: of the rules.
        intents: int64 (rules,), what each decides, by place in INTENTS.
        probabilities: float64 (rules,), how sure each is.
        starts: int64 (rules + 1,), each rule's first bound.
        features: int64 (bounds, 2): the feature that is bounded, and the one to subtract first, or -1.
        limits: float64 (bounds, 2): least and greatest value; NaN where the value must be unknown.
        digests: name, of each rule, of which rows it decides and for what: its bounds, and those of all before it.
    """

    names: tuple[str, ...]
    intents: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    starts: NDArray[np.int64]
    features: NDArray[np.int64]
    limits: NDArray[np.float64]
    digests: tuple[str, ...]

    @classmethod
    def configured(cls, config: IntentsConfig | None = None) -> "Rules":
        """The rules of `configs/intents.yaml`, or of the given configuration.

        Raises:
            UnusableRule: if a rule names an unknown feature or intent.
        """
        rules = (config or load_intents()).heuristics
        for rule in rules:
            _check(rule)
        bounds = [(name, bound) for rule in rules for name, bound in rule.when.items()]
        places = {name: place for place, name in enumerate(NAMES)}
        features = [(places[name], places[bound.minus] if bound.minus else _NOTHING) for name, bound in bounds]
        limits = [
            (-np.inf if bound.min is None else bound.min, np.inf if bound.max is None else bound.max)
            if bound.known
            else (np.nan, np.nan)
            for _, bound in bounds
        ]
        return cls(
            tuple(rule.name for rule in rules),
            np.array([INTENTS.index(rule.intent) for rule in rules], dtype=np.int64),
            np.array([rule.probability for rule in rules], dtype=np.float64),
            np.cumsum([0, *(len(rule.when) for rule in rules)], dtype=np.int64),
            np.array(features, dtype=np.int64).reshape(-1, 2),
            np.array(limits, dtype=np.float64).reshape(-1, 2),
            tuple(accumulate((_digest(rule) for rule in rules), lambda before, own: _short(before + own))),
        )

    def decide(self, vectors: NDArray[np.float32]) -> NDArray[np.int64]:
        """Which rule decides each instant: the first in order of priority whose bounds all hold.

        Args:
            vectors: float32 (features, n), as `model.vectors` gives them.

        Returns:
            int64 (n,): the rule's place, or -1 where none decides.
        """
        return np.asarray(_decide(np.ascontiguousarray(vectors), self.starts, self.features, self.limits))


def _digest(rule: Heuristic) -> str:
    bounds = {name: bound.model_dump(mode="json") for name, bound in rule.when.items()}
    return _short(json.dumps([rule.intent, bounds], sort_keys=True))


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _check(rule: Heuristic) -> None:
    named = {*rule.when, *(bound.minus for bound in rule.when.values() if bound.minus)}
    if unknown := sorted(named - set(NAMES)):
        raise UnusableRule(f"rule {rule.name}: no feature is called {', '.join(unknown)}")
    if rule.intent not in INTENTS:
        raise UnusableRule(f"rule {rule.name}: no intent is called {rule.intent}")


@njit(cache=True)
def _decide(vectors, starts, features, limits):
    decided = np.full(vectors.shape[1], -1, np.int64)
    for row in range(vectors.shape[1]):
        for rule in range(starts.shape[0] - 1):
            holds = True
            for bound in range(starts[rule], starts[rule + 1]):
                value = np.float64(vectors[features[bound, 0], row])
                if features[bound, 1] >= 0:
                    value -= np.float64(vectors[features[bound, 1], row])
                low, high = limits[bound]
                if not (np.isnan(value) if np.isnan(low) else low <= value <= high):
                    holds = False
                    break
            if holds:
                decided[row] = rule
                break
    return decided
