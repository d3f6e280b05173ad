"""Training, calibration and explanation on recorded matches."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipeline.events.reader import read_log
from pipeline.features.match import match_features
from pipeline.intents.calibration import Calibration, log_loss
from pipeline.intents.evaluation.measures import Reliability
from pipeline.intents.explanation import reasons
from pipeline.intents.labels import label
from pipeline.intents.model import classes, vectors
from pipeline.intents.training import learn, manifest, samples
from pipeline.intents.vocabulary import INTENTS


def recorded(shared_data: Path, name: str) -> pl.DataFrame:
    (found,) = read_log(shared_data / "cs2" / f"{name}.jsonl.gz", log_id=name).matches.values()
    events, tracks = found.events.read(), found.tracks.read()
    features = match_features(found.match, events, tracks)
    return samples(features, label(events, tracks, features))


def errors(said: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Calibration error of each intent."""
    unit, one = np.zeros(len(truth), dtype=np.int64), np.ones((1, 1))
    found = [
        Reliability.of(said[:, place], truth == place, unit, 1, bins=15, least=0.05, seed=0).error(one)
        for place in range(len(INTENTS))
    ]
    return np.concatenate(found)


@pytest.mark.slow
def test_probabilities_for_a_series_that_was_never_seen_mean_what_they_say(shared_data, config):
    learned = pl.concat([recorded(shared_data, f"cs2-{name}") for name in ("sf-dust2", "sf-mirage", "vf-overpass")])
    held = recorded(shared_data, "cs2-am-inferno")
    model = learn(learned, manifest(learned, config), config)
    truth, scores = classes(held["intent"]), model.scores(vectors(held))
    said = model.probabilities(vectors(held))
    plain = Calibration.plain(model.calibration.log_weights).probabilities(scores)
    assert log_loss(said, truth) < log_loss(plain, truth)
    assert errors(said, truth).mean() < 0.65 * errors(plain, truth).mean()
    planting = held.filter(pl.col("intent") == "plant")[:8]
    told = reasons(model, planting, "plant")
    assert any(name in " ".join(told) for name in ("since_plant_start_s", "in_site", "has_bomb", "objective_m"))
