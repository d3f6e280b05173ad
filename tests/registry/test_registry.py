import logging
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.intents.model import PriorModel, vectors
from resources.errors import ResourceError
from resources.registry import GATE, DamagedModel, ModelNotFound, ModelRegistry, RegistryUnreachable, _create


def artefacts(tmp_path: Path, name: str) -> list[Path]:
    return sorted((tmp_path / "models").rglob(name))


def test_an_empty_registry_answers_with_the_prior_and_says_so(registry, caplog):
    with caplog.at_level(logging.WARNING, logger="resources.registry"):
        champion = registry.champion()
    assert champion == PriorModel.configured()
    assert "no trained model" in caplog.text
    assert "gridmotion train" in caplog.text
    assert registry.versions() == []


def test_a_registered_model_comes_back_with_the_same_bits(registry, model, rows, tmp_path):
    made = model(1)
    kept = registry.register(made, {GATE: 0.5, "temperature": 1.1}, {"confusion.png": b"\x89PNG"})
    assert (kept.version, kept.champion, kept.metrics["temperature"]) == (made.version, True, 1.1)
    again = ModelRegistry(registry.tracking_uri, registry.artifact_root).champion()
    assert again.version == made.version
    assert again.probabilities(vectors(rows)).tobytes() == made.probabilities(vectors(rows)).tobytes()
    assert registry.get(made.version).files() == made.files()
    assert len(artefacts(tmp_path, "confusion.png")) == 1
    assert artefacts(tmp_path, "*.pkl") == artefacts(tmp_path, "MLmodel") == []


def test_the_same_manifest_twice_is_one_version(registry, model, tmp_path):
    first = registry.register(model(1), {GATE: 0.5})
    assert registry.register(model(1), {GATE: 0.9}) == first
    assert [each.version for each in registry.versions()] == [first.version]
    assert len(artefacts(tmp_path, "model.txt")) == 1


def test_a_model_that_is_worse_is_kept_but_not_promoted(registry, model):
    first, worse, better = model(1), model(2), model(3)
    assert registry.register(first, {GATE: 0.5}).champion
    assert not registry.register(worse, {GATE: 0.4}).champion
    assert registry.champion().version == first.version
    assert registry.register(better, {GATE: 0.5}).champion
    assert [(each.version, each.champion) for each in registry.versions()] == [
        (first.version, False),
        (worse.version, False),
        (better.version, True),
    ]
    assert registry.get(worse.version).version == worse.version


def test_an_unknown_version_is_named_with_those_there_are_and_what_to_do(registry, model):
    kept = registry.register(model(1), {GATE: 0.5})
    with pytest.raises(ModelNotFound, match=f"no model zzz.*{kept.version}.*gridmotion train"):
        registry.get("zzz")


@pytest.mark.parametrize("name", ["model.txt", "calibration.json", "manifest.json"])
def test_a_changed_or_missing_artefact_is_an_error_that_names_it(registry, model, tmp_path, name):
    registry.register(model(1), {GATE: 0.5})
    (path,) = artefacts(tmp_path, name)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamagedModel, match=f"{name} is not the file that was registered.*train again"):
        registry.champion()
    path.unlink()
    with pytest.raises(DamagedModel, match="cannot be read"):
        registry.champion()


def test_a_registry_that_cannot_be_opened_is_an_error_not_the_prior(tmp_path):
    (tmp_path / "mlflow.db").write_text("no database")
    with pytest.raises(RegistryUnreachable, match="MLFLOW_TRACKING_URI") as caught:
        ModelRegistry(f"sqlite:///{tmp_path}/mlflow.db", tmp_path).champion()
    assert isinstance(caught.value, ResourceError)


def test_a_server_that_is_down_is_an_error_without_its_password(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(RegistryUnreachable) as caught:
        ModelRegistry("http://user:secret@127.0.0.1:9").champion()
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_importing_the_registry_loads_neither_mlflow_nor_trees():
    code = (
        "import sys, resources.registry; print([n for n in ('mlflow', 'lightgbm', 'sqlalchemy') if n in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_looking_into_an_empty_registry_creates_nothing(tmp_path):
    registry = ModelRegistry(f"sqlite:///{tmp_path}/mlflow/mlflow.db", tmp_path / "artifacts")
    assert registry.champion().version.startswith("prior")
    assert registry.versions() == []
    with pytest.raises(ModelNotFound):
        registry.get("none")
    assert list(tmp_path.iterdir()) == []


def test_a_process_killed_while_the_database_is_made_leaves_no_half_made_one(tmp_path):
    database = tmp_path / "mlflow.db"
    script = f"""
import os, signal, threading, time
from pathlib import Path
from resources.registry import _create
def watch():
    while not Path({str(database.with_suffix(".unfinished"))!r}).exists(): time.sleep(0.001)
    time.sleep(0.05); os.kill(os.getpid(), signal.SIGKILL)
threading.Thread(target=watch, daemon=True).start()
_create(Path({str(database)!r}))
time.sleep(60)
"""
    killed = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    assert not database.exists()
    _create(database)
    assert ModelRegistry(f"sqlite:///{database}", tmp_path / "artifacts").versions() == []
    assert not database.with_suffix(".unfinished").exists()
