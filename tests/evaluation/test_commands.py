import json
import shutil

import polars as pl
import pytest
from typer.testing import CliRunner

from assets import evaluation_commands
from assets.commands import app
from assets.definitions import open_registry
from pipeline.intents.training import learn, manifest, samples
from resources.settings import settings


@pytest.fixture
def few(monkeypatch, measures, quick):
    """The command with small trees and few resamples."""
    from pipeline.intents.evaluation import examination

    monkeypatch.setattr(examination, "load_evaluation", lambda: measures)
    monkeypatch.setattr(examination, "load_intents", lambda: quick)


def _run(*arguments):
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)], env={"COLUMNS": "200"})


def test_logs_never_seen_are_judged_without_a_registered_model(few, simulated, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the registry of an empty workspace: the prior answers
    logs = simulated.path / "match0"  # one match in both formats
    done = _run("--matches", logs, "--out", tmp_path / "report")
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "report" / "evaluation.json").read_text())
    assert found["model_version"].startswith("prior-")
    assert [each["source"] for each in found["by_series"]["matches"]] == ["canonical"]  # a match counts once
    (sparse,) = found["recorded_twice"]
    assert f"- `{sparse}`: a sparser recording of" in (tmp_path / "report" / "evaluation.md").read_text()
    assert (tmp_path / "report" / "evaluation.md").read_text().startswith("# How good the intents are")
    assert (tmp_path / "report" / "evaluation" / "reliability.png").exists()


@pytest.mark.parametrize("source", ["canonical", "grid"])
def test_a_registered_model_judges_a_map_that_it_never_saw_in_either_format(
    few, simulated, quick, blank_mlflow, tmp_path, monkeypatch, source
):
    judged, *others = simulated.matches
    known = {match.match_id for match in others}
    labelled = pl.concat(
        [samples(case.features, case.labels, case.kin) for case in simulated.folder.cases if case.match_id in known]
    )
    model = learn(labelled, manifest(labelled, quick), quick)
    lines = judged.canonical_lines() if source == "canonical" else judged.grid_lines()
    name = judged.recording.arena.config.name
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.jsonl").write_text("\n".join(lines).replace(f'"{name}"', '"de_nowhere"'))
    monkeypatch.chdir(tmp_path)
    settings().mlflow_home.mkdir(parents=True, exist_ok=True)
    shutil.copy(blank_mlflow, settings().mlflow_home / "mlflow.db")
    open_registry(settings()).register(model, {})
    done = _run("--matches", tmp_path / "logs", "--model", model.version, "--out", tmp_path)
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "evaluation.json").read_text())
    (match,) = found["by_series"]["matches"]
    assert (match["map"], match["source"], match["model_version"]) == ("de_nowhere", source, model.version)
    assert (found["seen_in_training"], sorted(match["trained_on"])) == ([], sorted(known))
    assert match["labelled"] > 0 and match["hybrid_macro_f1"] > match["majority_macro_f1"]
    assert f"All matches are judged by model `{model.version}`" in (tmp_path / "evaluation.md").read_text()


def test_a_version_that_is_not_registered_is_refused(few, simulated, tmp_path, monkeypatch):
    from resources.registry import ModelNotFound

    monkeypatch.chdir(tmp_path)
    done = _run("--matches", simulated.path / "match0", "--model", "nothing")
    assert isinstance(done.exception, ModelNotFound)
    assert not (tmp_path / evaluation_commands.NAME).exists()


def test_training_is_judged_by_training_and_takes_no_model(few, simulated, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert _run("--matches", simulated.path, "--cross-validate", "--model", "x").exit_code == 2
    done = _run("--matches", simulated.path / "match1", "--cross-validate")
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "evaluation" / "evaluation.json").read_text())["kind"] == "cross-validation"
