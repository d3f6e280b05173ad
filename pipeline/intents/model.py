"""The models that answer where no rule does.

Belongs here: what a model is, the prior, the gradient-boosted trees, their files and their name.
Does not belong here: which rows they learn from (`training`), where they are kept (`resources.registry`).

A trained model is three plain files: `model.txt` (LightGBM's own text), `calibration.json` and `manifest.json`.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from configs.intents import IntentsConfig, TrainingConfig, load_intents
from pipeline.errors import PipelineError
from pipeline.features.definition import NAMES
from pipeline.intents import calibration, hybrid
from pipeline.intents.calibration import Calibration
from pipeline.intents.heuristics import Rules
from pipeline.intents.hybrid import Hybrid
from pipeline.intents.trees import MOST_THRESHOLDS, Trees, UnreadableTrees
from pipeline.intents.vocabulary import INTENTS

Floats = NDArray[np.float64]
Vectors = NDArray[np.float32]
Ints = NDArray[np.int64]

MODEL, CALIBRATION, MANIFEST = FILES = ("model.txt", "calibration.json", "manifest.json")


class UnusableModel(PipelineError):
    """The files of a model are missing, damaged, or made for other features than this code computes."""


class IntentModel(Protocol):
    """Anything that gives every instant a probability for each intent."""

    @property
    def version(self) -> str:
        """Names the training, so that the same training has the same name."""

    def probabilities(self, vectors: Vectors) -> Floats:
        """Probabilities in the order of INTENTS, float64 (n, 9); an instant's depend on that instant alone.

        Args:
            vectors: float32 (features, n), as the function `vectors` gives them.
        """


@dataclass(frozen=True)
class PriorModel:
    """Says the same of every instant: how common each intent is. Stands in while no model is trained.

    Attributes:
        prior: probability of each intent, in the order of INTENTS.
    """

    prior: tuple[float, ...]

    @classmethod
    def configured(cls, config: IntentsConfig | None = None) -> "PriorModel":
        """The prior of `configs/intents.yaml`, or of the given configuration."""
        prior = (config or load_intents()).prior
        if set(prior) != set(INTENTS):
            raise UnusableModel(f"the prior must name exactly {', '.join(INTENTS)}")
        return cls(tuple(prior[intent] for intent in INTENTS))

    @property
    def version(self) -> str:
        """`prior-` and twelve hex digits that name its values."""
        return f"prior-{hashlib.sha256(json.dumps(self.prior).encode()).hexdigest()[:12]}"

    def probabilities(self, vectors: Vectors) -> Floats:
        """The prior, once per instant."""
        return np.tile(np.array(self.prior), (vectors.shape[1], 1))


@dataclass(frozen=True)
class Manifest:
    """Everything that a training depends on; its hash is the model's version.

    Attributes:
        matches: ids of the matches, sorted.
        rows: number of labelled rows given.
        rows_sha256: digest of those rows.
        features: the feature vector, in order.
        intents: the classes, in order.
        config_hash: of the training and labelling configuration.
        label_version: of the labelling code.
        code_version: of the training and feature code.
        seed: of row sample and trees.
        libraries: versions of the libraries that fit trees and calibration.
        held_out: the series, matches or rounds (`match/round`) among them that were judged on and never learned from.
        series: the series of each match, in the order of the matches.
    """

    matches: tuple[str, ...]
    rows: int
    rows_sha256: str
    features: tuple[str, ...]
    intents: tuple[str, ...]
    config_hash: str
    label_version: str
    code_version: str
    seed: int
    libraries: Mapping[str, str]
    held_out: tuple[str, ...] = ()
    series: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """Sixteen hex digits that name this training."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]

    @property
    def text(self) -> str:
        """Canonical JSON."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True)
class BoosterModel:
    """Gradient-boosted trees with calibrated probabilities.

    Attributes:
        text: the trees in LightGBM's own text format.
        calibration: scores to probabilities.
        hybrid: the same, where rules decide first.
        manifest: what it was trained on.
    """

    text: str
    calibration: Calibration
    hybrid: Hybrid
    manifest: Manifest

    @property
    def version(self) -> str:
        """The manifest's version."""
        return self.manifest.version

    @cached_property
    def trees(self) -> Trees:
        """The trees, ready to be evaluated.

        Raises:
            UnusableModel: if the text is damaged, of a kind that is not evaluated, or of other features or classes.
        """
        try:
            trees = Trees.from_text(self.text)
        except UnreadableTrees as error:
            raise UnusableModel(f"model {self.version}: {MODEL}: {error}") from error
        if trees.features != self.manifest.features or trees.outputs != len(self.manifest.intents):
            raise UnusableModel(f"model {self.version}: {MODEL} has other features or classes than {MANIFEST}")
        return trees

    def scores(self, vectors: Vectors) -> Floats:
        """Raw scores of instants, float64 (n, 9), to the bit those of LightGBM."""
        return self.trees.scores(vectors)

    def probabilities(self, vectors: Vectors) -> Floats:
        """Calibrated probabilities in the order of INTENTS, float64 (n, 9)."""
        return self.calibration.probabilities(self.scores(vectors))

    def beside(self, vectors: Vectors, rule: Ints) -> Floats:
        """The same, where it is known whether a rule decides: where none does, calibrated for such rows.

        Args:
            vectors: float32 (features, n).
            rule: place of the deciding rule, or -1, int64 (n,).
        """
        scores, free = self.scores(vectors), rule < 0
        found = np.empty(scores.shape)
        found[~free] = self.calibration.probabilities(scores[~free])
        found[free] = self.hybrid.undecided.probabilities(scores[free])
        return found

    def files(self) -> dict[str, bytes]:
        """Its three files by name."""
        calibrated = {
            "alone": asdict(self.calibration),
            "hybrid": asdict(self.hybrid),
            "model_sha256": hashlib.sha256(self.text.encode()).hexdigest(),
        }
        return {
            MODEL: self.text.encode(),
            CALIBRATION: (json.dumps(calibrated, sort_keys=True, indent=1) + "\n").encode(),
            MANIFEST: (json.dumps(asdict(self.manifest), sort_keys=True, indent=1) + "\n").encode(),
        }

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> "BoosterModel":
        """A model from its three files, ready to be asked.

        Raises:
            UnusableModel: if a file is missing or damaged, or the model was made for other features.
        """
        try:
            calibrated = json.loads(files[CALIBRATION])
            fields = json.loads(files[MANIFEST])
            text = files[MODEL].decode()
            digest = calibrated["model_sha256"]
            alone, ruled = _calibration(calibrated["alone"]), calibrated["hybrid"]
            trust = {rule: (float(level), float(slope)) for rule, (level, slope) in ruled["trust"].items()}
            together = Hybrid(_calibration(ruled["undecided"]), trust)
            manifest = Manifest(
                **fields
                | {name: tuple(fields[name]) for name in ("matches", "features", "intents", "held_out", "series")},
            )
        except KeyError as error:
            raise UnusableModel(f"model files: {error} is missing") from error
        except (ValueError, TypeError, AttributeError) as error:
            raise UnusableModel(f"model files: {CALIBRATION}, {MANIFEST} or {MODEL} is damaged: {error}") from error
        if hashlib.sha256(files[MODEL]).hexdigest() != digest:
            raise UnusableModel(f"model {manifest.version}: {MODEL} is not the file that {CALIBRATION} was made for")
        if manifest.features != NAMES or manifest.intents != INTENTS:
            changed = sorted(set(manifest.features) ^ set(NAMES)) or ["their order"]
            raise UnusableModel(f"model {manifest.version} was made for other features: {', '.join(changed)}; retrain")
        model = cls(text, alone, together, manifest)
        _ = model.trees
        return model


def vectors(features: pl.DataFrame) -> Vectors:
    """The feature vector of every row of table `features` as rules and models see it: float32 (features, n).

    A value not known is NaN. It is what the kernel itself writes (`pipeline.features.carry.Rows.values`), so that live
    asks with the kernel's own rows.
    """
    return features.select(pl.col(NAMES).cast(pl.Float32)).to_numpy(order="fortran").T


def classes(intents: pl.Series) -> Ints:
    """Place of each intent in INTENTS, int64 (n,)."""
    places = {intent: place for place, intent in enumerate(INTENTS)}
    return intents.cast(pl.String).replace_strict(places, return_dtype=pl.Int64).to_numpy()


def _numbers(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(map(float, values))


def _calibration(told: Mapping[str, Any]) -> Calibration:
    return Calibration(
        _numbers(told["log_weights"]),
        tuple(map(_numbers, told["matrix"])),
        _numbers(told["shift"]),
        tuple((_numbers(before), _numbers(after)) for before, after in told["curves"]),
    )


def train(samples: pl.DataFrame, folds: Ints, rules: Rules, manifest: Manifest, config: TrainingConfig) -> BoosterModel:
    """Fits the trees on all rows, and the calibration on scores of trees that had not seen the rows they score.

    Single-threaded and seeded: the same rows in the same order give the same bytes.

    Args:
        samples: the features and `intent` (no nulls).
        folds: of each row, int64 (n,): the trees that score a fold for the calibration are fitted on all others, so
            every row calibrates and none is lost to it. Rows that know of each other belong into one fold.
        rules: what answers first when the model predicts.
        manifest: what names this training.
        config: trees, class weights, calibration.

    Raises:
        UnusableModel: if there is nothing to train on, or only one class.
    """
    seen, truth = vectors(samples), classes(samples["intent"])
    counts = np.bincount(truth, minlength=len(INTENTS))
    if (counts > 0).sum() < 2:
        raise UnusableModel(f"cannot train on {len(truth)} labelled rows of {(counts > 0).sum()} intents")
    text, weights = _grow(seen, truth, config)
    plain = Calibration.plain(weights)
    model = BoosterModel(text, plain, Hybrid(plain), manifest)
    chosen = np.sort(np.random.default_rng(config.seed).permutation(len(truth))[: config.calibration.rows])
    scores, judged = [], list[Ints]()
    for fold in np.unique(folds):
        rest, held = np.flatnonzero(folds != fold), chosen[folds[chosen] == fold]
        if len(np.unique(truth[rest])) < 2 or not len(held):
            continue
        text, own = _grow(seen[:, rest], truth[rest], config)
        found = replace(model, text=text).scores(seen[:, held])
        scores.append(found - np.array(own) + np.array(weights))
        judged.append(held)
    if not scores:
        return model
    said, rows = np.concatenate(scores), np.concatenate(judged)
    caution, least = config.calibration.caution, config.calibration.least
    alone = calibration.fit(said, truth[rows], weights, caution=caution, least=least)
    together = hybrid.fit(
        said,
        truth[rows],
        rules.decide(seen[:, rows]),
        alone,
        rules,
        caution=caution,
        least=least,
        trust_caution=config.calibration.trust_caution,
    )
    return replace(model, calibration=alone, hybrid=together)


def _grow(seen: Vectors, truth: Ints, config: TrainingConfig) -> tuple[str, tuple[float, ...]]:
    """Trees as LightGBM's text, and the logarithm of the weight that each class had."""
    import lightgbm

    counts = np.bincount(truth, minlength=len(INTENTS))
    weights = np.where(counts > 0, (counts.sum() / np.maximum(counts, 1)) ** config.weight_power, 1.0)
    weights /= (weights * counts).sum() / counts.sum()
    booster = lightgbm.train(
        _parameters(config),
        lightgbm.Dataset(np.ascontiguousarray(seen.T), label=truth, weight=weights[truth], feature_name=list(NAMES)),
        num_boost_round=config.booster.rounds,
    )
    return booster.model_to_string(), tuple(np.log(weights).tolist())


def _parameters(config: TrainingConfig) -> dict[str, object]:
    trees = config.booster
    return {
        "objective": "multiclass",
        "num_class": len(INTENTS),
        "num_leaves": trees.leaves,
        "max_bin": MOST_THRESHOLDS + 1,
        "learning_rate": trees.learning_rate,
        "min_data_in_leaf": trees.least_rows_in_leaf,
        "lambda_l2": trees.l2,
        "seed": config.seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbosity": -1,
    }
