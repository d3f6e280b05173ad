import contextlib
import hashlib
import logging
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException

from pipeline.intents.model import PriorModel, vectors
from resources.errors import ResourceError
from resources.registry import (
    NOBODY,
    ChampionChanged,
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
    with pytest.raises(DamagedModel, match=f"{name} is missing"):
        registry.champion()


@pytest.mark.parametrize("error", [MlflowException("503"), TimeoutError("timed out"), PermissionError("not yours")])
@pytest.mark.parametrize("step", ["list_artifacts", "download_artifacts"])
def test_files_that_cannot_be_fetched_say_nothing_of_the_model(registry, model, monkeypatch, step, error):
    registry.promote(registry.register(model(1), {}).version)
    registry = ModelRegistry(registry.tracking_uri, registry.artifact_root)

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(registry._client, step, fail)
    with pytest.raises(RegistryUnreachable, match=str(error)):
        registry.champion()


def test_a_disk_that_is_not_mounted_is_no_damage(registry, model, tmp_path):
    registry.promote(registry.register(model(1), {}).version)
    (tmp_path / "models").rename(tmp_path / "elsewhere")
    with pytest.raises(RegistryUnreachable, match="none of its files is there"):
        ModelRegistry(registry.tracking_uri, registry.artifact_root).champion()


def test_a_rollback_never_brings_back_what_was_rolled_back(registry, model):
    first, second = (registry.register(model(seed), {}).version for seed in (1, 2))
    for version in (first, second, first):
        registry.promote(version)
    assert registry.rollback("worse than the other").version == second
    with pytest.raises(NothingToRollBack, match=f"none answered before {second} that was not rolled back"):
        registry.rollback("and this one")
    assert registry.champion().version == second


def test_a_rollback_passes_over_what_was_rolled_back_to_what_answered_before(registry, model):
    versions = [registry.register(model(seed), {}).version for seed in (1, 2, 3)]
    for version in versions:
        registry.promote(version)
    registry.promote(versions[1])
    registry.rollback("worse than the third")  # the third answers, and names the second as the one before it
    assert registry.champion().version == versions[2]
    assert registry.rollback("that one too").version == versions[0]


def test_a_promotion_holds_only_against_the_champion_it_was_decided_against(registry, model):
    first, second, third = (registry.register(model(seed), {}).version for seed in (1, 2, 3))
    assert registry.answering() == NOBODY
    registry.promote(first, instead_of=NOBODY)
    assert registry.answering() == first
    with pytest.raises(ChampionChanged, match=f"judged against none, but by now {first} answers"):
        registry.promote(second, instead_of=NOBODY)
    registry.promote(second, instead_of=first)
    assert registry.promote(second, instead_of=first).champion  # as a run that is tried again
    with pytest.raises(ChampionChanged):
        registry.promote(third, instead_of=first)
    registry.rollback("sees peeks everywhere")
    with pytest.raises(ChampionChanged, match="rolled back since it was judged: sees peeks everywhere"):
        registry.promote(second, instead_of=first)
    assert registry.champion().version == first
    assert registry.promote(second).champion  # by hand


@pytest.mark.parametrize("change", ["promote", "rollback"])
@pytest.mark.parametrize("writes", [0, 1, 2])
def test_a_process_killed_between_two_writes_leaves_no_rolled_back_model_without_its_mark(
    registry, model, monkeypatch, change, writes
):
    first, second = (registry.register(model(seed), {}).version for seed in (1, 2))
    registry.promote(first)
    registry.promote(second)
    if change == "promote":
        registry.rollback("slow")
    left = [writes]

    def dying(real: Callable[..., None]) -> Callable[..., None]:
        def write(*given: str) -> None:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            real(*given)

        return write

    for name in ("set_model_version_tag", "set_registered_model_alias"):
        monkeypatch.setattr(registry._client, name, dying(getattr(registry._client, name)))
    with contextlib.suppress(KeyboardInterrupt):
        registry.promote(second) if change == "promote" else registry.rollback("slow")
    after = ModelRegistry(registry.tracking_uri, registry.artifact_root)
    known = {each.version: each for each in after.versions()}
    assert known[second].champion != bool(known[second].rolled_back)
    assert not known[first].rolled_back
    after.promote(second)
    after.promote(first)  # a mark that was left on what answered is gone once another one does
    assert not any(each.rolled_back for each in after.versions())
    assert after.rollback("").version == second


def test_a_version_that_another_training_registered_meanwhile_is_not_registered_twice(registry, model, monkeypatch):
    real, looks = registry._find, []

    def late(version: str) -> object:
        looks.append(version)
        if len(looks) == 1:
            ModelRegistry(registry.tracking_uri, registry.artifact_root).register(model(1), {})
            return None
        return real(version)

    monkeypatch.setattr(registry, "_find", late)
    kept = registry.register(model(1), {})
    assert [each.number for each in registry.versions()] == [kept.number] == [1]
    assert not registry._client.search_runs([registry._experiment()], "attributes.status = 'RUNNING'")


def test_a_second_training_waits_for_the_first(registry):
    waiting = f"""
from resources.registry import ModelRegistry
with ModelRegistry({registry.tracking_uri!r}, {str(registry.artifact_root)!r}).training():
    print("alone")
"""
    with registry.training():
        other = subprocess.Popen([sys.executable, "-c", waiting], stdout=subprocess.PIPE, text=True)
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(3)
    assert other.communicate(timeout=60)[0] == "alone\n"


def test_a_rollback_passes_over_a_version_that_was_deleted(registry, model):
    first, second, third = (registry.register(model(seed), {}) for seed in (1, 2, 3))
    for each in (first, second, third):
        registry.promote(each.version)
    registry._client.delete_model_version("intent", str(second.number))
    assert registry.rollback("slow").version == first.version
    registry.promote(third.version)
    registry._client.delete_model_version("intent", str(first.number))
    with pytest.raises(NothingToRollBack):
        registry.rollback("slow")


def test_a_registry_that_cannot_be_opened_is_an_error_not_the_prior(tmp_path):
    (tmp_path / "mlflow.db").write_text("no database")
    with pytest.raises(RegistryUnreachable, match="MLFLOW_TRACKING_URI") as caught:
        ModelRegistry(f"sqlite:///{tmp_path}/mlflow.db", tmp_path).champion()
    assert isinstance(caught.value, ResourceError)


@pytest.mark.parametrize("address", ["http://user:secret@127.0.0.1:9", "http://127.0.0.1:9/?password=secret"])
def test_a_server_that_is_down_is_an_error_without_its_password(monkeypatch, address):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    registry = ModelRegistry(address)
    with pytest.raises(RegistryUnreachable) as caught:
        registry.champion()
    assert "secret" not in str(caught.value) + str(registry)
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
