"""Trainings of several machines that share one MLflow, which knows no conditional write: SQLite and PostgreSQL."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from pipeline.intents.model import BoosterModel
from resources.registry import ModelRegistry


def _elsewhere(registry: ModelRegistry) -> ModelRegistry:
    """The same MLflow as another machine knows it: no file is locked in common."""
    return ModelRegistry(registry.tracking_uri, registry.artifact_root)


def _at_once(registries: list[ModelRegistry], model: BoosterModel) -> list[int]:
    """Registers a model from all of them, each having seen that nobody has before any of them creates it."""
    barrier = Barrier(len(registries))

    def waiting(real: Callable[..., Any]) -> Callable[..., Any]:
        def create(*given: Any, **named: Any) -> Any:
            barrier.wait(60)
            return real(*given, **named)

        return create

    for each in registries:
        each._client.create_model_version = waiting(each._client.create_model_version)
    with ThreadPoolExecutor(len(registries)) as pool:
        return list(pool.map(lambda each: each.register(model, {"log_loss": 0.5}).number, registries))


def _one_stands(registry: ModelRegistry, model: BoosterModel) -> None:
    registry.versions()
    registry._ensure_registered_model()
    numbers = _at_once([_elsewhere(registry) for _ in range(3)], model)
    (kept,) = registry.versions()
    assert set(numbers) == {kept.number}
    assert len(registry._client.search_model_versions("name = 'intent'")) == 1
    assert registry.promote(model.version).champion
    assert _elsewhere(registry).champion().files() == model.files()


def test_of_one_training_on_several_machines_at_once_one_version_stands(registry, model):
    _one_stands(registry, model(1))


@pytest.mark.slow
def test_the_same_with_mlflow_on_a_postgresql_server(postgres_server, model, tmp_path: Path):
    import sqlalchemy

    with sqlalchemy.create_engine(postgres_server, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(sqlalchemy.text("CREATE DATABASE mlflow_machines"))
    address = sqlalchemy.make_url(postgres_server).set(database="mlflow_machines")
    _one_stands(ModelRegistry(address.render_as_string(hide_password=False), tmp_path / "models"), model(1))


def test_a_machine_that_dies_before_it_takes_its_own_back_leaves_one_that_is_seen(registry, model, monkeypatch):
    first, late = _elsewhere(registry), _elsewhere(registry)
    real = late._client.create_model_version

    def overtaken(*given: Any, **named: Any) -> Any:
        first.register(model(1), {"log_loss": 0.5})
        return real(*given, **named)

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(late._client, "create_model_version", overtaken)
    monkeypatch.setattr(late._client, "delete_model_version", die)
    with pytest.raises(KeyboardInterrupt):
        late.register(model(1), {"log_loss": 0.5})
    assert len(registry._client.search_model_versions("name = 'intent'")) == 2
    (seen,) = registry.versions()
    assert registry.promote(seen.version).number == seen.number == 1
    assert [each.champion for each in registry.versions()] == [True]


def test_of_two_trainings_judged_against_one_champion_only_the_first_is_promoted(registry, model):
    from resources.registry import ChampionChanged

    versions = [registry.register(model(seed), {}).version for seed in (1, 2, 3)]
    registry.promote(versions[0])
    _elsewhere(registry).promote(versions[1], instead_of=versions[0])
    with pytest.raises(ChampionChanged, match=f"judged against {versions[0]}, but by now {versions[1]} answers"):
        _elsewhere(registry).promote(versions[2], instead_of=versions[0])
    assert registry.champion().version == versions[1]
