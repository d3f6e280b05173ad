"""The ways to predict that are compared, each on every instant of a match.

Belongs here: what a way may know, and its probabilities. Does not belong here: how good they are (`judgement`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from configs.evaluation import EvaluationConfig
from configs.intents import IntentsConfig
from pipeline.intents import training
from pipeline.intents.evaluation import baselines, cases
from pipeline.intents.evaluation.cases import Case
from pipeline.intents.evaluation.resampling import Floats, Ints
from pipeline.intents.heuristics import Rules
from pipeline.intents.model import BoosterModel, IntentModel, PriorModel, classes, vectors
from pipeline.intents.prediction import predict
from pipeline.intents.segments import segment
from pipeline.intents.vocabulary import PROBABILITIES

HYBRID, MODEL, HEURISTICS, PERSISTENCE, MAJORITY = WAYS = ("hybrid", "model", "heuristics", "persistence", "majority")
KEEP_UNTRAINED = 0.5  # how much a known label is worth where no match may be learned from


@dataclass(frozen=True)
class Knowledge:
    """Everything that the ways were given before they saw a match that they are judged on.

    Attributes:
        model: the trained model.
        prior: how common each intent is, float64 (9,).
        keep: how much the newest known label is worth, 0 to 1.
        rules: the configured rules, each with the probability it showed where it was learned from.
        trained: ids of the matches that any of it was learned from.
    """

    model: IntentModel
    prior: Floats
    keep: float
    rules: IntentsConfig
    trained: tuple[str, ...]


@dataclass(frozen=True)
class Judged:
    """A match with what each way says of each of its instants.

    Attributes:
        case: the match.
        rows: keys, label and groups of each instant, and who decided the hybrid's answer (`decided_by`).
        truth: place of the label in INTENTS, -1 where the labels abstain; int64 (n,).
        ways: float64 (n, 9) by way.
        said: the class that each way answers, int64 (n,); the most probable one but for persistence, which says again
            what was said, however little that is worth.
        segments: table `segments` of the hybrid.
        knowledge: what the ways knew.
    """

    case: Case
    rows: pl.DataFrame
    truth: Ints
    ways: Mapping[str, Floats]
    said: Mapping[str, Ints]
    segments: pl.DataFrame
    knowledge: Knowledge

    @cached_property
    def round(self) -> Ints:
        """Number of each instant's round, 0 where there is none."""
        return self.rows["round"].fill_null(0).to_numpy().astype(np.int64)


def learn(known: Sequence[Case], config: IntentsConfig) -> Knowledge:
    """Trains on some matches; what is estimated for the baselines is estimated on the same rows.

    Args:
        known: the matches that may be learned from.
        config: of rules, labels and training.

    Raises:
        NothingToTrain: if none of them has a labelled row.
    """
    labelled = pl.concat([training.samples(case.features, case.labels, case.kin) for case in known])
    if labelled.is_empty():
        raise training.NothingToTrain(f"no labelled row in {', '.join(case.match_id for case in known)}")
    config = remeasured(labelled, config)
    model = training.learn(labelled, training.manifest(labelled, config), config)
    return _knowledge(model, known, classes(labelled["intent"]), config)


def given(model: IntentModel, config: IntentsConfig) -> Knowledge:
    """What a finished model brings; the baselines know the configured prior, and no match.

    Args:
        model: the model.
        config: with the prior and the rules' probabilities.
    """
    prior = np.array(PriorModel.configured(config).prior)
    return Knowledge(model, prior, KEEP_UNTRAINED, config, _learned_from(model))


def _learned_from(model: IntentModel) -> tuple[str, ...]:
    """The matches of which a model has seen any row: those of its manifest but the ones held out whole."""
    if not isinstance(model, BoosterModel):
        return ()
    made = model.manifest
    named = zip(made.matches, made.series, strict=True)
    return tuple(name for name, series in named if not {name, series} & set(made.held_out))


def remeasured(labelled: pl.DataFrame, config: IntentsConfig) -> IntentsConfig:
    """The rules with the probabilities that these rows give them, as the configured ones saw the matches to be judged.

    A probability is the share of the rows that a rule decides whose label agrees, with one row more that is right as
    often as the rules are in the mean: few rows are no certainty, and a rule that decides none of these rows, as where
    their logs don't tell when a plant begins, is taken to be as good as the others.

    Args:
        labelled: what `training.samples` returns.
        config: the rules.
    """
    place = Rules.configured(config).decide(vectors(labelled))
    said = labelled["intent"].to_numpy()
    decided = [said[place == number] == rule.intent for number, rule in enumerate(config.heuristics)]
    rows, right = (np.array([count(each) for each in decided]) for count in (len, np.count_nonzero))
    common = ((right + 0.5) / (rows + 1))[rows > 0].mean() if rows.any() else 0.5
    measured = (right + common) / (rows + 1)
    return config.model_copy(
        update={
            "heuristics": tuple(
                rule.model_copy(update={"probability": float(probability)})
                for rule, probability in zip(config.heuristics, measured, strict=True)
            )
        }
    )


def _knowledge(model: IntentModel, known: Sequence[Case], fitted: Ints, rules: IntentsConfig) -> Knowledge:
    prior = baselines.shares(fitted)
    newest = np.concatenate([case.labels["newest"].to_numpy() for case in known])
    keep = baselines.keeping(newest, np.concatenate([cases.truth(case.labels).to_numpy() for case in known]), prior)
    return Knowledge(model, prior, keep, rules, tuple(sorted(case.match_id for case in known)))


def judged(case: Case, knowledge: Knowledge, config: IntentsConfig, protocol_config: EvaluationConfig) -> Judged:
    """What each way says of a match.

    Args:
        case: the match, none of its series among those learned from.
        knowledge: what the ways know, the rules among it.
        config: how segments are cut.
        protocol_config: how instants are grouped.
    """
    model, prior = knowledge.model, knowledge.prior
    intents = predict(case.features, model, knowledge.rules)
    segments = segment(
        intents,
        case.features,
        model_version=model.version,
        config=config,
        review_threshold=0.0,
    )
    shares = PriorModel(tuple(prior.tolist()))
    rows = cases.rows(case, protocol_config).with_columns(intents["decided_by"])
    known = case.labels.select("player", "t_ms", "newest")
    newest = rows.join(known, on=["player", "t_ms"], how="left", maintain_order="left")["newest"].to_numpy()
    found = {
        HYBRID: _probabilities(intents),
        MODEL: model.probabilities(vectors(case.features)),
        HEURISTICS: _probabilities(predict(case.features, shares, knowledge.rules)),
        PERSISTENCE: baselines.persistence(newest, knowledge.keep, prior),
        MAJORITY: np.tile(prior, (rows.height, 1)),
    }
    said = {name: each.argmax(axis=1) for name, each in found.items()}
    said[PERSISTENCE] = np.where(newest >= 0, newest, said[PERSISTENCE])
    return Judged(case, rows, cases.truth(rows).to_numpy(), found, said, segments, knowledge)


def _probabilities(intents: pl.DataFrame) -> Floats:
    return np.asarray(intents.select(PROBABILITIES).to_numpy(), dtype=np.float64)
