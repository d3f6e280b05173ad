"""`gridmotion models` on a real registry."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from typer.testing import CliRunner

from assets import commands, model_commands
from assets.models import CHAMPION_KEY
from configs.intents import load_intents
from pipeline.tables import empty
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


@dataclass
class Stored:
    """A store of labelled matches and one segment of each."""

    rows: pl.DataFrame
    model_version: str

    def keys(self, table: str) -> list[str]:
        return self.rows["match_id"].unique().sort().to_list()

    def read_table(self, table: str, match_id: str) -> pl.DataFrame:
        if table in ("matches", "events"):
            return empty(table).clear(1 if table == "matches" else 0).with_columns(match_id=pl.lit(match_id))
        rows = self.rows.filter(match_id=match_id)
        if table == "segments":
            common = {"player": "player:a", "round": 1, "intent": "hold", "decided_by": "model"}
            return pl.DataFrame(
                [
                    common
                    | {
                        "segment_id": name,
                        "from_ms": begin,
                        "to_ms": begin + 2000,
                        "confidence": sure,
                        "model_version": version,
                    }
                    for name, begin, sure, version in (
                        ("00ff", 0, 0.8, self.model_version),
                        ("11ff", 2000, 0.3, self.model_version),
                        ("22ff", 4000, 0.5, "prior-0"),
                    )
                ]
            )
        labels = rows.select("match_id", "player", "t_ms", "intent", rules=pl.lit(None, pl.List(pl.String)))
        return rows.drop("intent") if table == "features" else labels


class Nobody:
    """Reviewers who never decided anything."""

    def gold(self) -> None:
        return None


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch, rows: pl.DataFrame, registry: ModelRegistry, model: Any) -> list[str]:
    """Two models, the first answering, and three matches that neither knows."""
    versions = [registry.register(model(seed), {}).version for seed in (1, 2)]
    registry.promote(versions[0])
    store = Stored(pl.concat([rows.with_columns(match_id=pl.lit(name)) for name in ("a", "b", "c")]), versions[0])
    alone = load_intents().model_copy(update={"heuristics": load_intents().heuristics[:1]})
    monkeypatch.setattr("pipeline.intents.promotion.load_intents", lambda: alone)
    monkeypatch.setattr("assets.definitions.open_store", lambda environment: store)
    monkeypatch.setattr("assets.reviews.open_reviews", lambda environment: Nobody())
    monkeypatch.setattr("assets.intents.gold_labels", lambda store, name, gold: store.read_table("labels", name))
    return versions


def test_two_models_are_compared_in_json_that_any_program_can_read(call, stored):
    def refuse(name: str) -> None:
        raise ValueError(f"{name} is not JSON")

    said = call("compare", stored[1], "--json")
    assert said.exit_code == 0, said.exception
    found = json.loads(said.stdout, parse_constant=refuse)
    assert (found["champion"], found["challenger"]) == tuple(stored)
    assert found["rows"] == 200
    measures = {each["measure"]: each for each in found["measures"]}
    assert measures["log_loss"]["difference"] == pytest.approx(
        measures["log_loss"]["challenger"] - measures["log_loss"]["champion"]
    )
    assert measures["f1_trade"]["difference"] is None  # nobody trades in these rows
    assert found["verdict"] == "no better"
    told = call("compare", stored[1], stored[0])
    assert "no better: 4 rounds are too few to tell" in told.stdout
    assert "log_loss" in told.stdout


def test_a_segment_is_explained_by_the_model_that_decided_it(call, stored):
    found = json.loads(call("explain", "a", "00", "--most", "2", "--json").stdout)
    assert (found["segment_id"], found["intent"], found["confidence"]) == ("00ff", "hold", 0.8)
    assert 1 <= len(found["reasons"]) <= 2
    told = call("explain", "a", "00", "--most", "2").stdout
    assert "00ff: hold, 0.80, decided by model" in told
    assert all(reason in told for reason in found["reasons"])


def test_the_least_sure_segments_of_a_match_are_explained_where_none_is_named(call, stored):
    found = json.loads(call("explain", "a", "--segments", "2", "--json").stdout)["segments"]
    assert [each["segment_id"] for each in found] == ["11ff", "22ff"]
    assert found[0]["reasons"]
    assert found[1]["reasons"] is None  # the prior looks at nothing
    assert "no trained model decided" in call("explain", "a", "22").stdout


def test_what_cannot_be_done_is_refused(call, registry, model):
    registry.promote(registry.register(model(1), {}).version)
    assert isinstance(call("rollback").exception, NothingToRollBack)
    assert "no model zzz" in str(call("promote", "zzz").exception)


def test_a_card_is_printed_and_its_pictures_are_written_where_somebody_wants_them(call, registry, model, tmp_path):
    documents = {"card.md": "# Modell für Absichten".encode(), "reliability.png": b"\x89PNG"}
    registry.promote(registry.register(model(1), {}, documents).version)
    bare = registry.register(model(2), {}).version
    assert call("card", "--out", str(tmp_path / "out")).stdout.startswith("# Modell für Absichten\n")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == documents
    assert "no card was kept" in call("card", bare).stdout
    assert "no model zzz" in str(call("card", "zzz").exception)
