"""Why a model said what it said, in words.

Belongs here: contributions of features to one answer, their weight in the whole model, the sentence.
Does not belong here: what a feature means (`pipeline.features.definition`), who asks (`assets/model_commands.py`).

A contribution is a Shapley value of the raw score (Lundberg et al. 2020, From local explanations to global
understanding with explainable AI for trees), as LightGBM computes it, so it explains the trees and not the calibration
after them, which mixes the scores of the nine a little. What a feature adds to every intent alike changes no
probability, so what spoke for one intent is what it adds to that less what it adds to the nine in the mean. It explains
the model, where a rule decided the rule's name explains the rest.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.features.definition import FEATURES, Feature
from pipeline.intents.model import BoosterModel, vectors
from pipeline.intents.vocabulary import INTENTS

_BY_NAME = {feature.name: feature for feature in FEATURES}


def contributions(model: BoosterModel, features: pl.DataFrame) -> NDArray[np.float64]:
    """What each feature adds to each intent's raw score, float64 (n, 9, features).

    Args:
        model: the model.
        features: rows of table `features`.
    """
    import lightgbm

    booster = lightgbm.Booster(model_str=model.text)
    rows = np.ascontiguousarray(vectors(features).T)
    shaped = np.asarray(booster.predict(rows, pred_contrib=True, num_threads=1), dtype=np.float64)
    return shaped.reshape(len(rows), len(INTENTS), -1)[:, :, :-1]  # the last one is the intent's mean score


def reasons(model: BoosterModel, features: pl.DataFrame, intent: str, *, most: int = 3) -> list[str]:
    """What spoke most for an intent over a stretch of instants, in words; the strongest first.

    Args:
        model: the model.
        features: the stretch's rows of table `features`, at least one.
        intent: what was said.
        most: at most this many features; fewer where fewer spoke for it.
    """
    added = contributions(model, features)
    mean = (added[:, INTENTS.index(intent)] - added.mean(axis=1)).mean(axis=0)
    names = model.manifest.features
    strongest = [place for place in np.argsort(-mean, kind="stable")[:most] if mean[place] > 0]
    return [_words(_BY_NAME[names[place]], features[names[place]], mean[place]) for place in strongest]


def importance(model: BoosterModel) -> pl.DataFrame:
    """Share of each feature in what the trees gained by their splits: `feature`, `share`, `meaning`; greatest first."""
    import lightgbm

    gained = lightgbm.Booster(model_str=model.text).feature_importance("gain")
    shares = gained / max(float(gained.sum()), 1e-12)
    meanings = [_BY_NAME[name].meaning for name in model.manifest.features]
    frame = pl.DataFrame({"feature": model.manifest.features, "share": shares, "meaning": meanings})
    return frame.sort("share", "feature", descending=[True, False])


def _words(feature: Feature, values: pl.Series, weight: float) -> str:
    known = values.drop_nulls()
    unit = "" if feature.unit in ("1", "0/1", "count") else f" {feature.unit}"
    value = "not known" if known.is_empty() else f"{float(known.median()):.3g}{unit}"  # type: ignore[arg-type]
    return f"{feature.name} is {value} ({feature.meaning}), {weight:+.2f}"
