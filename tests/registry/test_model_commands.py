"""`gridmotion models` on a real registry."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from typer.testing import CliRunner

from assets import commands, model_commands
from assets.models import CHAMPION_KEY
from resources.registry import ModelRegistry, NothingToRollBack


@pytest.fixture
def call(registry: ModelRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    home = tmp_path / "dagster"
    home.mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setattr(model_commands, "_registry", lambda: registry)
    return lambda *words: CliRunner().invoke(commands.app, ["models", *words])


def test_models_are_listed_promoted_and_rolled_back_by_hand_and_dagster_is_told(call, registry, model):
    assert "no model yet" in call("list").stdout
    old, new = (registry.register(model(seed), {"hybrid_macro_f1_vs_labels": 0.5}).version for seed in (1, 2))
    assert call("promote", old).exit_code == 0
    assert json.loads(call("promote", new, "--json").stdout)["champion"]
    assert f"{old} answers from the next match on" in call("rollback", "--reason", "sees peeks everywhere").stdout
    listed = json.loads(call("list", "--json").stdout)["models"]
    assert [(each["version"], each["champion"], each["rolled_back"]) for each in listed] == [
        (old, True, ""),
        (new, False, "sees peeks everywhere"),
    ]
    assert "rolled back" in call("list").stdout
    with dg.DagsterInstance.get() as instance:
        told = instance.get_latest_materialization_event(CHAMPION_KEY).asset_materialization
    assert told.metadata["model_version"].value == old
    assert "sees peeks everywhere" in told.metadata["verdict"].value


def test_what_cannot_be_done_is_refused(call, registry, model):
    registry.promote(registry.register(model(1), {}).version)
    assert isinstance(call("rollback").exception, NothingToRollBack)
    assert "no model zzz" in str(call("promote", "zzz").exception)
