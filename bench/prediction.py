"""Rules, trees and calibration: a match's rows, ten players' rows of one instant, and prediction's share of the line.

Belongs here: our evaluation of the trees beside LightGBM's own, with a model of the size that a match's 4 Hz affords.
Does not belong here: how good the predictions are (`pipeline.intents.evaluation`).
"""

import time
from collections.abc import Callable
from itertools import cycle

import lightgbm
import numpy as np
import polars as pl

from bench.measure import Figure, Goal, interleaved, medians, number, percentile, runs
from bench.workload import Workload, frames
from configs.intents import load_intents
from pipeline.features.match import match_features
from pipeline.intents.labels import label
from pipeline.intents.model import BoosterModel, Vectors, vectors
from pipeline.intents.prediction import Predictor, predict
from pipeline.intents.segments import segment
from pipeline.intents.training import learn, manifest, samples

LEAVES = 63  # the largest tree that is planned for; 297 of them
INSTANT = 10  # rows; the players of one instant
INSTANTS, QUICK_INSTANTS = 20_000, 2_000


def figures(load: Workload) -> list[Figure]:
    """Rates of our trees and LightGBM's, latency of one instant, shares of the line."""
    features = {name: _features(load, name) for name in load.names}
    labelled = pl.concat(_labelled(load, name, frame) for name, frame in features.items())
    name, frame = max(features.items(), key=lambda each: each[1].height)
    rows, amount = vectors(frame), float(frame.height)
    found, model = [], _trained(labelled, LEAVES)
    for each in (_trained(labelled, load_intents().training.booster.leaves), model):
        theirs = _lightgbm(each, rows)
        found.append(
            interleaved(
                f"raw scores, {_size(each)}",
                lambda each=each: each.scores(rows),  # type: ignore[misc]  # mypy infers no type for the default
                theirs,
                "LightGBM `Booster.predict`, one thread, same bits",
                amount,
                "rows",
                1.5,
            )
        )
    found.append(interleaved("features → intents", lambda: predict(frame, model), None, "", amount, "rows"))
    found += _instants(model, rows, QUICK_INSTANTS if load.quick else INSTANTS)
    return found + _shares(load, name, model, rows)


def _features(load: Workload, name: str) -> pl.DataFrame:
    tables = load.tables(name)
    return match_features(tables.match, tables.events, tables.tracks)


def _labelled(load: Workload, name: str, features: pl.DataFrame) -> pl.DataFrame:
    tables = load.tables(name)
    return samples(features, label(tables.events, tables.tracks, features))


def _trained(labelled: pl.DataFrame, leaves: int) -> BoosterModel:
    config = load_intents()
    booster = config.training.booster.model_copy(update={"leaves": leaves})
    config = config.model_copy(update={"training": config.training.model_copy(update={"booster": booster})})
    return learn(labelled, manifest(labelled, config), config)


def _size(model: BoosterModel) -> str:
    trees = model.trees
    most = int(np.diff(trees.starts).max()) + 1
    return f"{len(trees.leaves)} trees of {most} leaves or fewer, {len(trees.columns):,} splits"


def _lightgbm(model: BoosterModel, rows: Vectors) -> Callable[[], object]:
    """LightGBM's own way, given rows in the order and type that it reads fastest."""
    booster, matrix = lightgbm.Booster(model_str=model.text), np.ascontiguousarray(rows.T.astype(np.float64))
    if np.asarray(booster.predict(matrix, raw_score=True, num_threads=1)).tobytes() != model.scores(rows).tobytes():
        raise AssertionError("our trees and LightGBM's differ")
    return lambda: booster.predict(matrix, raw_score=True, num_threads=1)


def _instants(model: BoosterModel, rows: Vectors, count: int) -> list[Figure]:
    predictor, taken = Predictor(model), []
    starts = cycle(range(0, max(1, rows.shape[1] - INSTANT), INSTANT))
    for start in (next(starts) for _ in range(count)):
        instant = np.ascontiguousarray(rows[:, start : start + INSTANT])
        begin = time.perf_counter()
        predictor.predict(instant)
        taken.append(time.perf_counter() - begin)
    stage = f"{INSTANT} rows of one instant → probabilities"
    return [percentile(stage, taken, 50), percentile(stage, taken, 99, "ms", 0.5)]


def _shares(load: Workload, name: str, model: BoosterModel, rows: Vectors) -> list[Figure]:
    """Prediction's share of the time from a log to its segments, with our trees and with LightGBM's in their place."""
    log = load.canonical[load.names.index(name)]
    spent: list[tuple[float, float]] = []
    for _ in range(runs() + 1):
        begin = time.perf_counter()
        tables = frames(log)
        features = match_features(tables["match"], tables["events"], tables["tracks"])
        before = time.perf_counter()
        intents = predict(features, model)
        after = time.perf_counter()
        segment(intents, features, model_version=model.version, review_threshold=0.6)
        spent.append((after - before, time.perf_counter() - begin))
    prediction, line = (float(np.median(column)) for column in zip(*spent[1:], strict=True))
    ours, theirs = medians(lambda: model.scores(rows), _lightgbm(model, rows))
    slower = theirs - ours
    seconds = f"of {number(line)} s from log to segments"
    return [
        Figure(f"prediction {seconds}", 100 * prediction / line, "%", goal=Goal(at_most=40)),
        Figure("prediction with LightGBM in its place", 100 * (prediction + slower) / (line + slower), "%"),
    ]
