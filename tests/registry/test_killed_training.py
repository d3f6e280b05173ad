"""A training that is killed, on a real MLflow over SQLite files and over a PostgreSQL server."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from pipeline.intents.model import BoosterModel
from resources.registry import ModelRegistry

TRAINING = """
import os, signal, sys
from pathlib import Path
import polars as pl
from configs.intents import BoosterConfig, load_intents
from pipeline.intents.training import learn, manifest
from resources import registry
from resources.registry import ModelRegistry

moment, rows, uri, root = sys.argv[1:]

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def dying(owner, name, calls=1):
    real, left = getattr(owner, name), [calls]
    def wrapped(*given, **named):
        left[0] -= 1
        if not left[0]:
            die()
        return real(*given, **named)
    setattr(owner, name, wrapped)

trees = BoosterConfig(rounds=3, leaves=4, learning_rate=0.3, least_rows_in_leaf=5, l2=1.0)
training = load_intents().training.model_copy(update={"booster": trees, "seed": 2})
config = load_intents().model_copy(update={"training": training})
labelled = pl.read_parquet(rows)
models = ModelRegistry(uri, root)
if moment == "between two trees":
    import pipeline.intents.model as model
    dying(model, "_grow", calls=2)
elif moment == "after the first file":
    dying(models._client, "log_artifact", calls=2)
elif moment == "before it is registered":
    dying(models._client, "create_model_version")
elif moment == "before it answers":
    dying(models._client, "set_registered_model_alias")
made = learn(labelled, manifest(labelled, config), config)
models.register(made, {"log_loss": 0.5}, {"card.md": b"# card"})
models.promote(made.version)
"""

MOMENTS = ["between two trees", "after the first file", "before it is registered", "before it answers"]


def train(moment: str, rows: Path, models: ModelRegistry) -> int:
    command = [sys.executable, "-c", TRAINING, moment, str(rows), models.tracking_uri, str(models.artifact_root)]
    return subprocess.run(command, check=False, capture_output=True).returncode


def survives(models: ModelRegistry, model: Callable[[int], BoosterModel], rows: Path, moment: str) -> None:
    """Kills a training at a moment, and trains again."""
    champion, challenger = model(1), model(2)
    models.promote(models.register(champion, {"log_loss": 0.7}).version)
    assert train(moment, rows, models) == -signal.SIGKILL
    after = ModelRegistry(models.tracking_uri, models.artifact_root)
    assert after.champion().version == champion.version
    whole = [each.version for each in after.versions()]
    assert whole == [champion.version, challenger.version] if moment == MOMENTS[-1] else [champion.version]
    assert all(after.get(version).version == version for version in whole)
    assert train("never", rows, models) == 0
    assert [each.version for each in after.versions()] == [champion.version, challenger.version]
    assert after.champion().version == challenger.version
    assert after.get(challenger.version).files() == challenger.files()  # to the byte what it would have been
    unfinished = after._client.search_runs([after._experiment()], "attributes.status = 'RUNNING'")
    assert not unfinished
    assert after.rollback("").version == champion.version


@pytest.fixture
def stored(rows: pl.DataFrame, tmp_path: Path) -> Path:
    rows.write_parquet(tmp_path / "rows.parquet")
    return tmp_path / "rows.parquet"


@pytest.mark.parametrize(
    "moment", [MOMENTS[0], *(pytest.param(moment, marks=pytest.mark.slow) for moment in MOMENTS[1:-1]), MOMENTS[-1]]
)
def test_a_training_that_is_killed_leaves_the_champion_and_the_next_one_ends_as_if_nothing_had_been(
    registry, model, stored, moment
):
    survives(registry, model, stored, moment)


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_the_same_with_mlflow_on_a_postgresql_server(postgres_server, model, stored, tmp_path, moment):
    import sqlalchemy

    database = f"mlflow_{MOMENTS.index(moment)}"
    with sqlalchemy.create_engine(postgres_server, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(sqlalchemy.text(f"CREATE DATABASE {database}"))
    address = sqlalchemy.make_url(postgres_server).set(database=database).render_as_string(hide_password=False)
    survives(ModelRegistry(address, tmp_path / "models"), model, stored, moment)
