"""From labelled matches to a model with its measures.

Belongs here: which rows are trained, calibrated and judged on, the manifest that names a training, and the baselines.
Does not belong here: the trees (`model`), the measures (`evaluation`), where a model is kept (`resources.registry`).
"""

import hashlib
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from configs.base import config_hash
from configs.evaluation import load_evaluation
from configs.intents import IntentsConfig, TrainingConfig, load_intents
from pipeline.errors import PipelineError
from pipeline.features.definition import NAMES
from pipeline.intents import evaluation, prediction
from pipeline.intents.evaluation import Reliability, Scores
from pipeline.intents.explanation import importance
from pipeline.intents.heuristics import Rules
from pipeline.intents.kinship import Kin
from pipeline.intents.model import BoosterModel, Manifest, PriorModel, classes, train, vectors
from pipeline.intents.vocabulary import INTENTS
from pipeline.versions import code_version

logger = logging.getLogger(__name__)

KEYS = ("match_id", "series", "game", "round", "player", "t_ms")
ORDER = ("match_id", "player", "t_ms")
SERIES, MATCH, ROUND = "series", "matches", "rounds"
TRAIN, TEST = "train", "test"
_LEAST = {SERIES: 2, MATCH: 2, ROUND: 3}  # a round more, so that two are left to train and calibrate on


class NothingToTrain(PipelineError):
    """No labelled row, or too few matches and rounds to hold any back."""


@dataclass(frozen=True)
class Trained:
    """A model and what it was found to be worth.

    Attributes:
        model: the trees, calibrated.
        scores: agreement with the labels on rows held out from everything: `hybrid` (rules, then the model; what
            predicts), `model`, `heuristics` (rules, then the prior), `majority`.
        reliability: on the same rows, what `hybrid` and `model` promised of each intent and what came.
        metrics: all measures by name.
        parts: number of labelled rows used to train and to judge.
    """

    model: BoosterModel
    scores: Mapping[str, Scores]
    reliability: Mapping[str, Mapping[str, Reliability]]
    metrics: Mapping[str, float]
    parts: Mapping[str, int]

    @property
    def figures(self) -> dict[str, bytes]:
        """Pictures by file name: confusion and reliability of rules with model and of the model alone, importance."""
        titles = {"hybrid": "rules, then model", "model": "model alone"}
        curves = {
            title: {intent: _reliability(each) for intent, each in self.reliability[who].items()}
            for who, title in titles.items()
        }
        return {
            "confusion.png": evaluation.confusion_figure({titles[who]: self.scores[who] for who in titles}),
            "reliability.png": evaluation.reliability_figure(curves),
            "importance.png": evaluation.importance_figure(importance(self.model)),
        }


def _reliability(found: Reliability) -> dict[str, Any]:
    error = found.overall
    return {"ece": {"value": error if math.isfinite(error) else None}, "curve": found.curve}


def samples(features: pl.DataFrame, labels: pl.DataFrame, kin: Kin | None = None) -> pl.DataFrame:
    """Labelled rows with their features; those where the rules abstain are left out.

    Args:
        features: table `features` of one match.
        labels: table `labels` of the same.
        kin: whose kin the match is, see `kinship.kin`; nobody's if None.

    Returns:
        `match_id`, `series`, `game`, `round`, `player`, `t_ms`, the features and `intent`, sorted by match, player and
        time.
    """
    named = labels.filter(pl.col("intent").is_not_null()).select("match_id", "player", "t_ms", "intent")
    joined = features.join(named, on=["match_id", "player", "t_ms"], how="inner")
    series, game = (pl.col("match_id"),) * 2 if kin is None else (pl.lit(kin.series), pl.lit(kin.game))
    joined = joined.with_columns(series=series, game=game)
    return joined.select(*KEYS, *NAMES, pl.col("intent").cast(pl.String)).sort(*ORDER)


def fit(labelled: pl.DataFrame, config: IntentsConfig | None = None) -> Trained:
    """Trains on some series, calibrating on each in turn, and judges on the rest.

    Args:
        labelled: what `samples` returns, of all matches together.
        config: training settings and rules; `configs/intents.yaml` if None.

    Raises:
        NothingToTrain: if there are too few rows, rounds or matches.
    """
    config = config or load_intents()
    parts = split(labelled.sort(*ORDER), config.training)
    if (level := held_by(labelled)) != SERIES:
        logger.warning("all rows are of one series, so whole %s are held out: the figures flatter", level)
    elif (series := labelled["series"].n_unique()) < config.training.calibration.folds + 1:
        logger.warning("%d series: one is held out, and the others are too few to calibrate by series", series)
    learned, held = (parts.filter(pl.col("part") == part) for part in (TRAIN, TEST))
    model = learn(learned, planned(labelled, config), config)
    said, truth = answers(model, parts, config), classes(held["intent"])
    scores = {who: evaluation.score(found, truth) for who, found in said.items()}
    together = np.zeros(held.height, dtype=np.int64)
    reliability = {
        who: evaluation.reliabilities(said[who], truth, together, 1, load_evaluation()) for who in ("hybrid", "model")
    }
    metrics = {name: value for who, found in scores.items() for name, value in found.metrics(who).items()}
    metrics |= {
        f"{who}_calibration_error_{intent}_vs_labels": found.overall
        for who, by_intent in reliability.items()
        for intent, found in by_intent.items()
        if math.isfinite(found.overall)
    }
    rows = {TRAIN: cap(learned, config.training).height, TEST: held.height}
    return Trained(model, scores, reliability, metrics, rows)


def learn(labelled: pl.DataFrame, named: Manifest, config: IntentsConfig) -> BoosterModel:
    """A model of all these rows, of which at most the configured number of each match counts.

    Args:
        labelled: what `samples` returns; all of it is learned from.
        named: what names the training.
        config: training settings.
    """
    rows = cap(labelled.sort(*ORDER), config.training)
    return train(rows, folds(rows, config.training), Rules.configured(config), named, config.training)


def units(labelled: pl.DataFrame, level: str) -> pl.Series:
    """What each row is held back with: the name of its series, of its match, or of its round (`match/round`).

    The games of a series share teams and day; two recordings of one match are one match.
    """
    name = {
        SERIES: pl.col("series"),
        MATCH: pl.col("game"),
        ROUND: pl.format("{}/{}", "game", pl.col("round").fill_null(0)),
    }[level]
    return labelled.select(name.alias("unit"))["unit"]


def split(labelled: pl.DataFrame, config: TrainingConfig) -> pl.DataFrame:
    """The rows with their `part`: `train` or `test`.

    Whole series are held out. Where all rows are of one series it is whole matches, and where they are of one match
    whole rounds: the figures then flatter.

    A unit is held out if the digest of its name and the seed says so, so mostly the same ones are, however many matches
    come. Not always: while the digest holds none out, the unit with the least does it, until one comes that the digest
    picks; and a series that is known by another name since, or the first other series, draws anew. So a unit may be
    judged on that an earlier model learned from: who compares models leaves it out (`promotion.unseen`).

    Raises:
        NothingToTrain: if there is one match only, with fewer than three rounds.
    """
    level = held_by(labelled)
    unit = units(labelled, level)
    names = sorted(unit.unique(), key=lambda name: draw(config.seed, name))
    if len(names) < _LEAST[level]:
        raise NothingToTrain(
            f"{labelled.height} labelled rows of {len(names)} rounds: training, calibration and test need three"
        )
    held = sum(draw(config.seed, name) < config.test_share for name in names)
    tested = names[: min(max(1, held), len(names) - _LEAST[level] + 1)]
    return labelled.with_columns(
        pl.when(unit.is_in(tested)).then(pl.lit(TEST)).otherwise(pl.lit(TRAIN)).alias("part"), unit.alias("unit")
    )


def held_by(labelled: pl.DataFrame) -> str:
    """What is held out as a whole: series, or matches, or rounds, the first of which there are two."""
    levels = (level for level in (SERIES, MATCH) if units(labelled, level).n_unique() >= _LEAST[level])
    return next(levels, ROUND)


def draw(seed: int, name: str) -> float:
    """A number from 0 to below 1 that the name and the seed decide."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8]) / 2**64


def folds(labelled: pl.DataFrame, config: TrainingConfig) -> NDArray[np.int64]:
    """Which rows are calibrated on together, int64 (n,): those of a unit, units dealt out to the configured number.

    A unit is a series, or a match, or a round, the first of which there are as many as folds: with fewer, the trees of
    a fold would be grown on so much less than the model's own that its calibration suits them and not it.
    """
    count = config.calibration.folds
    levels = (level for level in (SERIES, MATCH) if units(labelled, level).n_unique() >= count)
    unit = units(labelled, next(levels, ROUND))
    names = sorted(unit.unique(), key=lambda name: draw(config.seed, name))
    fold = {name: place % count for place, name in enumerate(names)}
    return unit.replace_strict(fold, return_dtype=pl.Int64).to_numpy()


def cap(labelled: pl.DataFrame, config: TrainingConfig) -> pl.DataFrame:
    """The rows with at most the configured number of each match, drawn by seed and match id."""
    kept = np.ones(labelled.height, dtype=np.bool_)
    for match_id in labelled["match_id"].unique().sort():
        rows = np.flatnonzero((labelled["match_id"] == match_id).to_numpy())
        digest = hashlib.sha256(f"{config.seed}:{match_id}".encode()).digest()
        order = np.random.default_rng(int.from_bytes(digest[:8])).permutation(len(rows))
        kept[rows[order[config.rows_per_match :]]] = False
    return labelled.filter(pl.Series(kept))


def planned(labelled: pl.DataFrame, config: IntentsConfig) -> Manifest:
    """The manifest of the training that `fit` would do; its version tells whether that was done before.

    Raises:
        NothingToTrain: as `fit`.
    """
    held = split(labelled, config.training).filter(pl.col("part") == TEST)
    names = held["match_id" if held_by(labelled) == MATCH else "unit"]  # a match may be there under two ids
    return manifest(labelled, config, held_out=tuple(names.unique().sort()))


def manifest(labelled: pl.DataFrame, config: IntentsConfig, *, held_out: tuple[str, ...] = ()) -> Manifest:
    """Everything that a training on these rows depends on; their order is not part of it.

    Args:
        labelled: what `samples` returns.
        config: of training and labels.
        held_out: the units that are not trained on.
    """
    labelled = labelled.sort(*ORDER)
    digest = hashlib.sha256(vectors(labelled).tobytes())
    for name in (*KEYS, "intent"):
        digest.update("\0".join(map(str, labelled[name].to_list())).encode())
    return Manifest(
        matches=tuple(labelled["match_id"].unique().sort()),
        rows=labelled.height,
        rows_sha256=digest.hexdigest(),
        features=NAMES,
        intents=INTENTS,
        config_hash=config_hash(config.training.learning, config.labels, *config.heuristics),
        label_version=code_version("intents/labels"),
        code_version=code_version(
            "features",
            *(
                f"intents/{name}.py"
                for name in ("calibration", "heuristics", "hybrid", "kinship", "model", "training", "trees")
            ),
        ),
        seed=config.training.seed,
        series=tuple(labelled.unique("match_id").sort("match_id")["series"]),
        libraries={name: version(name) for name in ("lightgbm", "scikit-learn", "scipy")},
        held_out=held_out,
    )


def answers(model: BoosterModel, parts: pl.DataFrame, config: IntentsConfig) -> dict[str, NDArray[np.float64]]:
    """Probabilities on the rows of part `test`, float64 (n, 9), of the model and of the baselines it must beat."""
    held = parts.filter(pl.col("part") == TEST)
    seen, rules = vectors(held), Rules.configured(config)
    common = evaluation.majority(classes(parts.filter(pl.col("part") == TRAIN)["intent"]), held.height)
    (hybrid, *_), (ruled, *_) = (
        prediction.answers(each, seen, rules) for each in (model, PriorModel.configured(config))
    )
    return {"hybrid": hybrid, "model": model.probabilities(seen), "heuristics": ruled, "majority": common}
