"""Small models, and a real MLflow on SQLite in a temporary folder."""

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from configs.intents import BoosterConfig, load_intents
from pipeline.features.definition import NAMES
from pipeline.intents.model import BoosterModel
from pipeline.intents.training import learn, manifest
from resources.registry import ModelRegistry


@pytest.fixture(scope="session")
def rows() -> pl.DataFrame:
    """Labelled rows of a match."""
    random = np.random.default_rng(0)
    hold = random.random(200) < 0.5
    return pl.DataFrame({name: random.normal(size=200) + hold for name in NAMES}).with_columns(
        *(pl.lit("m").alias(name) for name in ("match_id", "series", "game")),
        pl.Series("round", np.arange(200) // 50, dtype=pl.Int32),
        pl.lit("player:a").alias("player"),
        pl.Series("t_ms", 250 * np.arange(200)),
        pl.Series("intent", np.where(hold, "hold", "advance").tolist()),
    )


@pytest.fixture(scope="session")
def model(rows: pl.DataFrame) -> Callable[[int], BoosterModel]:
    """A model trained with that seed."""
    trees = BoosterConfig(rounds=3, leaves=4, learning_rate=0.3, least_rows_in_leaf=5, l2=1.0)

    def make(seed: int) -> BoosterModel:
        training = load_intents().training.model_copy(update={"booster": trees, "seed": seed})
        config = load_intents().model_copy(update={"training": training})
        return learn(rows, manifest(rows, config), config)

    return cache(make)


@pytest.fixture
def registry(blank_mlflow: Path, tmp_path: Path) -> ModelRegistry:
    shutil.copy(blank_mlflow, tmp_path / "mlflow.db")
    return ModelRegistry(f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "models")
