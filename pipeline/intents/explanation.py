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

EXPLANATION: dict[str, pl.DataType | type[pl.DataType]] = {"segment_id": pl.String, "reasons": pl.List(pl.String)}
"""Columns of `explained`."""

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


def explained(model: BoosterModel, segments: pl.DataFrame, features: pl.DataFrame, *, most: int = 3) -> pl.DataFrame:
    """What spoke for the intent of each segment.

    Args:
        model: the model that decided.
        segments: rows of table `segments` of one match; 1 ms of work per instant in them.
        features: table `features` of it.
        most: at most this many features of each.

    Returns:
        EXPLANATION, in the order of the segments; reasons are sentences, the strongest first.
    """
    told = []
    for name, player, begin, end, intent in segments.select(
        "segment_id", "player", "from_ms", "to_ms", pl.col("intent").cast(pl.String)
    ).iter_rows():
        here = features.filter((pl.col("player") == player) & pl.col("t_ms").is_between(begin, end, closed="left"))
        told.append({"segment_id": name, "reasons": reasons(model, here, intent, most=most) if here.height else []})
    return pl.DataFrame(told, schema=EXPLANATION)


def importance(model: BoosterModel) -> pl.DataFrame:
    """Share of each feature in what the trees gained by their splits: `feature`, `share`, `meaning`; greatest first."""
    import lightgbm

    gained = lightgbm.Booster(model_str=model.text).feature_importance("gain")
    shares = gained / max(float(gained.sum()), 1e-12)
    meanings = [_BY_NAME[name].meaning for name in model.manifest.features]
    frame = pl.DataFrame({"feature": model.manifest.features, "share": shares, "meaning": meanings})
    return frame.sort("share", "feature", descending=[True, False])


def _words(feature: Feature, values: pl.Series, weight: float) -> str:
    return f"{feature.name} is {_value(feature, values.drop_nulls())} ({feature.meaning}), {weight:+.2f}"


def _value(feature: Feature, known: pl.Series) -> str:
    if known.is_empty():
        return "not known"
    middle = float(known.median())  # type: ignore[arg-type]  # polars types a median as any scalar
    if feature.unit == "0/1":
        return "yes" if middle > 0.5 else "no" if middle < 0.5 else "yes half the time"
    return f"{middle:.3g}" + ("" if feature.unit in ("1", "count") else f" {feature.unit}")
