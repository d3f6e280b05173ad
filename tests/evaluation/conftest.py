"""Small matches for the evaluation tests."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from configs.evaluation import EvaluationConfig, load_evaluation
from configs.intents import BoosterConfig, IntentsConfig, load_intents
from pipeline.events.sources.simulator import SimulatedMatch, simulate, write
from pipeline.intents.evaluation.cases import Case, Folder, read_folder
from pipeline.intents.kinship import Kin, series_of_match
from pipeline.tables import empty


@pytest.fixture(scope="session")
def measures() -> EvaluationConfig:
    """The configured protocol with few resamples and few trees for death."""
    config = load_evaluation()
    death = config.death.model_copy(update={"rounds": 5, "least_rows_in_leaf": 20})
    played = config.simulated.model_copy(update={"rounds": 2, "taught": (4, 5), "judged": (6,)})
    return config.model_copy(update={"resamples": 40, "death": death, "least_rows": 50, "simulated": played})


@pytest.fixture(scope="session")
def quick() -> IntentsConfig:
    """The configuration with few and small trees."""
    config = load_intents()
    trees = BoosterConfig(rounds=4, leaves=7, learning_rate=0.4, least_rows_in_leaf=20, l2=1.0)
    return config.model_copy(update={"training": config.training.model_copy(update={"booster": trees})})


@dataclass(frozen=True)
class Simulated:
    """Simulated matches, the folder of their logs, and what was read from it."""

    matches: tuple[SimulatedMatch, ...]
    path: Path
    folder: Folder


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    """Three short matches as canonical logs, the first of them as a GRID series as well."""
    path = tmp_path_factory.mktemp("logs")
    matches = tuple(simulate(rounds=3, seed=seed) for seed in (1, 2, 3))
    for place, match in enumerate(matches):
        for log in write(path / f"match{place}", match):
            grid = "grid" in log.name
            if (grid and place) or log.suffix == ".parquet":
                log.unlink()
    return Simulated(matches, path, read_folder(path))


@pytest.fixture(scope="session")
def lone_case() -> Callable[..., Case]:
    """A match without anything in it but its name, its map and the tables that a test gives."""

    def make(match_id: str, map_name: str = "de_a", **tables: Any) -> Case:
        match = pl.DataFrame(
            {"match_id": [match_id], "map": [map_name], "source_kind": ["canonical"]}
            | {"teams": [tables.pop("teams", [])], "started_at": [tables.pop("started_at", None)]}
        )
        names = ("rounds", "events", "tracks", "features", "labels")
        kin = Kin(series_of_match(match_id, map_name), match_id)
        return Case(match, **{name: tables.pop(name, empty(name)) for name in names}, kin=kin)

    return make
