import hashlib
import logging
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.intents.model import PriorModel, vectors
from resources.errors import ResourceError
from resources.registry import (
    DamagedModel,
    ModelNotFound,
    ModelRegistry,
    NothingToRollBack,
    RegistryUnreachable,
    _create,
)


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
    kept = registry.register(made, {"log_loss": 0.7, "macro_f1": 0.5}, {"confusion.png": b"\x89PNG"})
    assert (kept.version, kept.champion, dict(kept.metrics)) == (
        made.version,
        False,
        {"log_loss": 0.7, "macro_f1": 0.5},
    )
    assert registry.promote(made.version).champion
    again = ModelRegistry(registry.tracking_uri, registry.artifact_root).champion()
    assert again.version == made.version
    assert again.probabilities(vectors(rows)).tobytes() == made.probabilities(vectors(rows)).tobytes()
    assert registry.get(made.version).files() == made.files()
    assert len(artefacts(tmp_path, "confusion.png")) == 1
    assert artefacts(tmp_path, "*.pkl") == artefacts(tmp_path, "MLmodel") == []


def test_the_same_manifest_twice_is_one_version(registry, model, tmp_path):
    first = registry.register(model(1), {"log_loss": 0.7})
    assert registry.register(model(1), {"log_loss": 0.9}) == first
    assert [each.version for each in registry.versions()] == [first.version]
    assert len(artefacts(tmp_path, "model.txt")) == 1


def test_a_model_that_is_only_registered_does_not_answer(registry, model):
    registry.register(model(1), {})
    assert registry.champion().version.startswith("prior")
    registry.promote(model(1).version)
    registry.register(model(2), {})
    assert registry.champion().version == model(1).version
    assert [each.champion for each in registry.versions()] == [True, False]


def test_a_rollback_goes_back_step_by_step_and_says_why(registry, model):
    versions = [registry.register(model(seed), {}).version for seed in (1, 2, 3)]
    for version in versions:
        registry.promote(version)
    assert registry.rollback("calls every peek a hold").version == versions[1]
    assert registry.champion().version == versions[1]
    assert [each.rolled_back for each in registry.versions()] == ["", "", "calls every peek a hold"]
    assert registry.rollback("that one too").version == versions[0]
    with pytest.raises(NothingToRollBack, match=f"none answered before {versions[0]}"):
        registry.rollback("again")
    assert registry.champion().version == versions[0]


def test_a_model_that_was_rolled_back_can_be_promoted_by_hand(registry, model):
    old, new = (registry.register(model(seed), {}).version for seed in (1, 2))
    registry.promote(old)
    registry.promote(new)
    registry.rollback("a mistake")
    assert registry.promote(new).rolled_back == ""
    assert registry.champion().version == new


def test_with_no_model_there_is_nothing_to_roll_back(registry):
    with pytest.raises(NothingToRollBack, match="no model answers"):
        registry.rollback("why not")


def test_whoever_has_the_champion_keeps_it_and_whoever_asks_next_gets_the_new_one(registry, model):
    old, new = (registry.register(model(seed), {}).version for seed in (1, 2))
    registry.promote(old)
    elsewhere = ModelRegistry(registry.tracking_uri, registry.artifact_root)
    running = elsewhere.champion()
    registry.promote(new)
    assert (running.version, elsewhere.champion().version) == (old, new)
    registry.rollback("slow")
    assert elsewhere.champion().version == old


def test_promoting_twice_still_rolls_back_to_the_one_before(registry, model):
    old, new = (registry.register(model(seed), {}).version for seed in (1, 2))
    for version in (old, new, new):
        registry.promote(version)
    assert registry.rollback("").version == old


def test_a_damaged_model_is_not_promoted_and_not_rolled_back_to(registry, model, tmp_path):
    old, new = (registry.register(model(seed), {}).version for seed in (1, 2))
    registry.promote(old)
    registry.promote(new)
    for path in artefacts(tmp_path, "model.txt"):
        if hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(model(1).files()["model.txt"]).digest():
            path.write_bytes(b"")
    with pytest.raises(DamagedModel):
        registry.rollback("")
    with pytest.raises(DamagedModel):
        registry.promote(old)
    assert registry.champion().version == new


def test_a_verdict_is_kept_with_its_version(registry, model):
    version = registry.register(model(1), {}).version
    registry.judge(version, "worse: f1_plant falls")
    assert [each.verdict for each in registry.versions()] == ["worse: f1_plant falls"]


def test_an_unknown_version_is_named_with_those_there_are_and_what_to_do(registry, model):
    kept = registry.register(model(1), {})
    with pytest.raises(ModelNotFound, match=f"no model zzz.*{kept.version}.*gridmotion train"):
        registry.get("zzz")


@pytest.mark.parametrize("name", ["model.txt", "calibration.json", "manifest.json"])
def test_a_changed_or_missing_artefact_is_an_error_that_names_it(registry, model, tmp_path, name):
    registry.promote(registry.register(model(1), {}).version)
    registry = ModelRegistry(registry.tracking_uri, registry.artifact_root)  # one that has loaded nothing yet
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
