"""From labelled matches to a model with its measures.

Belongs here: which rows are trained, calibrated and judged on, the manifest that names a training, and the baselines.
Does not belong here: the trees (`model`), the measures (`evaluation`), where a model is kept (`resources.registry`).
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import polars as pl
from numpy.typing import NDArray

from configs.base import config_hash
from configs.intents import IntentsConfig, TrainingConfig, load_intents
from pipeline.errors import PipelineError
from pipeline.features.definition import NAMES
from pipeline.intents import evaluation
from pipeline.intents.evaluation import Scores
from pipeline.intents.heuristics import Rules
from pipeline.intents.model import BoosterModel, Manifest, PriorModel, classes, train, vectors
from pipeline.intents.prediction import blend
from pipeline.intents.vocabulary import INTENTS
from pipeline.versions import code_version

KEYS = ("match_id", "round", "player", "t_ms")
ORDER = ("match_id", "player", "t_ms")
LEAST_UNITS = 3
TRAIN, TEST = "train", "test"
_GRID_MATCH = re.compile(r"^(\d+)-\d+$")


class NothingToTrain(PipelineError):
    """No labelled row, or too few matches and rounds to hold any back."""


@dataclass(frozen=True)
class Trained:
    """A model and what it was found to be worth.

    Attributes:
        model: the trees, calibrated.
        scores: agreement with the labels on rows held out from everything: `hybrid` (rules, then the model; what
            predicts), `model`, `heuristics` (rules, then the prior), `majority`.
        metrics: all measures by name.
        parts: number of labelled rows used to train and to judge.
    """

    model: BoosterModel
    scores: Mapping[str, Scores]
    metrics: Mapping[str, float]
    parts: Mapping[str, int]

    @property
    def figures(self) -> dict[str, bytes]:
        """Pictures by file name: the confusion matrix of rules with model, and of the model alone."""
        shown = {"rules, then model": self.scores["hybrid"], "model alone": self.scores["model"]}
        return {"confusion.png": evaluation.confusion_figure(shown)}


def samples(features: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """Labelled rows with their features; those where the rules abstain are left out.

    Args:
        features: table `features` of one or more matches.
        labels: table `labels` of the same.

    Returns:
        `match_id`, `round`, `player`, `t_ms`, the features and `intent`, sorted by match, player and time.
    """
    named = labels.filter(pl.col("intent").is_not_null()).select("match_id", "player", "t_ms", "intent")
    joined = features.join(named, on=["match_id", "player", "t_ms"], how="inner")
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
    learned, held = (parts.filter(pl.col("part") == part) for part in (TRAIN, TEST))
    model = learn(learned, planned(labelled, config), config)
    scores = judge(model, parts, config)
    metrics = {name: value for who, found in scores.items() for name, value in found.metrics(who).items()}
    return Trained(model, scores, metrics, {TRAIN: cap(learned, config.training).height, TEST: held.height})


def learn(labelled: pl.DataFrame, named: Manifest, config: IntentsConfig) -> BoosterModel:
    """A model of all these rows, of which at most the configured number of each match counts.

    Args:
        labelled: what `samples` returns; all of it is learned from.
        named: what names the training.
        config: training settings.
    """
    rows = cap(labelled.sort(*ORDER), config.training)
    return train(rows, folds(rows, config.training), named, config.training)


def units(labelled: pl.DataFrame) -> pl.Series:
    """What each row is held back with: its series, or its match, or its round, the first of which there are three.

    The games of a GRID series share teams and day. A round is named `match/round`.
    """
    for name in (
        pl.col("match_id").map_elements(series_of, return_dtype=pl.String),
        pl.col("match_id"),
        pl.format("{}/{}", "match_id", pl.col("round").fill_null(0)),
    ):
        found = labelled.select(name.alias("unit"))["unit"]
        if found.n_unique() >= LEAST_UNITS:
            break
    return found


def split(labelled: pl.DataFrame, config: TrainingConfig) -> pl.DataFrame:
    """The rows with their `part`: `train` or `test`.

    A unit is held out if the digest of its name and the seed says so, whatever other units there are: what was held out
    last night still is tonight, and what was trained on is never judged on, however many matches come. While the
    digest holds none out, the unit with the least does it.

    Raises:
        NothingToTrain: if there are fewer than three series, matches and rounds.
    """
    unit = units(labelled)
    names = sorted(unit.unique(), key=lambda name: draw(config.seed, name))
    if len(names) < LEAST_UNITS:
        raise NothingToTrain(
            f"{labelled.height} labelled rows of {len(names)} rounds: training, calibration and test need three"
        )
    held = sum(draw(config.seed, name) < config.test_share for name in names)
    tested = names[: min(max(1, held), len(names) - LEAST_UNITS + 1)]
    return labelled.with_columns(
        pl.when(unit.is_in(tested)).then(pl.lit(TEST)).otherwise(pl.lit(TRAIN)).alias("part"), unit.alias("unit")
    )


def draw(seed: int, name: str) -> float:
    """A number from 0 to below 1 that the name and the seed decide."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8]) / 2**64


def folds(labelled: pl.DataFrame, config: TrainingConfig) -> NDArray[np.int64]:
    """Which rows are calibrated on together, int64 (n,): those of a unit, units dealt out to the configured number."""
    unit = units(labelled)
    names = sorted(unit.unique(), key=lambda name: draw(config.seed, name))
    fold = {name: place % config.calibration.folds for place, name in enumerate(names)}
    return unit.replace_strict(fold, return_dtype=pl.Int64).to_numpy()


def series_of(match_id: str) -> str:
    """The series of a match: what stands before the game number in GRID's ids, else the match itself."""
    found = _GRID_MATCH.match(match_id)
    return found[1] if found else match_id


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
    held = split(labelled, config.training).filter(pl.col("part") == TEST)["unit"].unique().sort()
    return manifest(labelled, config, held_out=tuple(held))


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
        config_hash=config_hash(config.training, config.labels),
        label_version=code_version("intents/labels"),
        code_version=code_version(
            "features", *(f"intents/{name}.py" for name in ("calibration", "model", "training", "trees"))
        ),
        seed=config.training.seed,
        libraries={name: version(name) for name in ("lightgbm", "scikit-learn", "scipy")},
        held_out=held_out,
    )


def judge(model: BoosterModel, parts: pl.DataFrame, config: IntentsConfig) -> dict[str, Scores]:
    """Agreement with the labels on part `test`, of the model and of the baselines it must beat."""
    held = parts.filter(pl.col("part") == TEST)
    truth = classes(held["intent"])
    seen, rules = vectors(held), Rules.configured(config)
    rule = rules.decide(seen)
    alone = model.probabilities(seen)
    common = evaluation.majority(classes(parts.filter(pl.col("part") == TRAIN)["intent"]), held.height)
    prior = PriorModel.configured(config).probabilities(seen)
    ways = {"hybrid": blend(alone, rule, rules), "model": alone, "heuristics": blend(prior, rule, rules)}
    return {who: evaluation.score(found, truth) for who, found in {**ways, "majority": common}.items()}
