import json

import pytest
from typer.testing import CliRunner

from assets import evaluation_commands
from assets.commands import app


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
