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
LEAST_SERIES = 3
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
        parts: number of labelled rows used to train, to calibrate and to judge.
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
    """Trains on some matches, calibrates on others, judges on the rest.

    Args:
        labelled: what `samples` returns, of all matches together.
        config: training settings and rules; `configs/intents.yaml` if None.

    Raises:
        NothingToTrain: if there are too few rows, rounds or matches.
    """
    config = config or load_intents()
    parts = split(labelled.sort(*ORDER), config.training)
    model = train(cap(parts, config.training), manifest(labelled, config), config.training)
    scores = judge(model, parts, config)
    counts = {part: parts.filter(pl.col("part") == part).height for part in ("train", "calibration", "test")}
    metrics = {name: value for who, found in scores.items() for name, value in found.metrics(who).items()}
    metrics["temperature"] = model.calibration.temperature
    return Trained(model, scores, metrics, counts)


def split(labelled: pl.DataFrame, config: TrainingConfig) -> pl.DataFrame:
    """The rows with their `part`: `train`, `calibration` or `test`.

    Whole series are held back where there are three or more (the games of a GRID series share teams and day), else
    whole rounds. Which ones, the digest of their name and the seed decides, so it does not change with the order of
    the rows.

    Raises:
        NothingToTrain: if there are fewer than three of either.
    """
    series = labelled.select(pl.col("match_id").map_elements(series_of, return_dtype=pl.String).alias("unit"))["unit"]
    if series.n_unique() < LEAST_SERIES:
        series = labelled.select(pl.format("{}/{}", "match_id", pl.col("round").fill_null(0)).alias("unit"))["unit"]
    units = sorted(series.unique(), key=lambda unit: hashlib.sha256(f"{config.seed}:{unit}".encode()).digest())
    if len(units) < LEAST_SERIES:
        raise NothingToTrain(
            f"{labelled.height} labelled rows of {len(units)} rounds: training, calibration and test need three"
        )
    tests = max(1, round(config.test_share * len(units)))
    held = max(1, round(config.calibration_share * len(units)))
    part = dict.fromkeys(units, "train")
    part |= dict.fromkeys(units[:tests], "test") | dict.fromkeys(units[tests : tests + held], "calibration")
    return labelled.with_columns(series.replace_strict(part, return_dtype=pl.String).alias("part"))


def series_of(match_id: str) -> str:
    """The series of a match: what stands before the game number in GRID's ids, else the match itself."""
    found = _GRID_MATCH.match(match_id)
    return found[1] if found else match_id


def cap(parts: pl.DataFrame, config: TrainingConfig) -> pl.DataFrame:
    """The rows with at most the configured number of training rows of each match, drawn by seed and match id."""
    kept = np.ones(parts.height, dtype=np.bool_)
    in_training = (parts["part"] == "train").to_numpy()
    for match_id in parts["match_id"].unique().sort():
        rows = np.flatnonzero(in_training & (parts["match_id"] == match_id).to_numpy())
        digest = hashlib.sha256(f"{config.seed}:{match_id}".encode()).digest()
        order = np.random.default_rng(int.from_bytes(digest[:8])).permutation(len(rows))
        kept[rows[order[config.rows_per_match :]]] = False
    return parts.filter(pl.Series(kept))


def manifest(labelled: pl.DataFrame, config: IntentsConfig) -> Manifest:
    """Everything that this training depends on; the order of the rows is not part of it."""
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
        libraries={"lightgbm": version("lightgbm")},
    )


def judge(model: BoosterModel, parts: pl.DataFrame, config: IntentsConfig) -> dict[str, Scores]:
    """Agreement with the labels on part `test`, of the model and of the baselines it must beat."""
    held = parts.filter(pl.col("part") == "test")
    truth = classes(held["intent"])
    seen, rules = vectors(held), Rules.configured(config)
    rule = rules.decide(seen)
    alone = model.probabilities(seen)
    common = evaluation.majority(classes(parts.filter(pl.col("part") == "train")["intent"]), held.height)
    prior = PriorModel.configured(config).probabilities(seen)
    ways = {"hybrid": blend(alone, rule, rules), "model": alone, "heuristics": blend(prior, rule, rules)}
    return {who: evaluation.score(found, truth) for who, found in {**ways, "majority": common}.items()}
