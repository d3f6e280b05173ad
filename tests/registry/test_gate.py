"""The gate between a trained model and the champion, in a run of Dagster on a real registry."""

import logging
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import pytest
from mlflow.exceptions import MlflowException

from assets.intents import intent_model
from assets.models import (
    CHAMPION_KEY,
    DRIFT_CHECK,
    GATE_CHECK,
    MODEL_KEY,
    PROMOTED,
    champion_model,
    judge,
    likeness,
    standing,
)
from assets.reports import INLINE
from pipeline.features.definition import NAMES
from pipeline.intents.training import split
from pipeline.tables import empty
from resources.registry import DamagedModel, ModelRegistry, RegistryUnreachable

PNG = b"\x89PNG"


@dataclass
class Labelled:
    """A store that knows nothing but features and labels."""

    rows: pl.DataFrame
    read: list[str] = field(default_factory=list)

    def keys(self, table: str) -> list[str]:
        return self.rows["match_id"].unique().sort().to_list()

    def read_table(self, table: str, match_id: str) -> pl.DataFrame:
        if table in ("matches", "events"):
            return empty(table).clear(1 if table == "matches" else 0).with_columns(match_id=pl.lit(match_id))
        rows = self.rows.filter(pl.col("match_id") == match_id)
        self.read.append(match_id)
        labels = rows.select("match_id", "player", "t_ms", "intent", rules=pl.lit(None, pl.List(pl.String)))
        return rows.drop("intent") if table == "features" else labels


class Nobody:
    """Reviewers who never decided anything."""

    def gold(self) -> pl.DataFrame:
        schema = {"match_id": pl.String, "predicted": pl.String, "intent": pl.String, "reasons": pl.List(pl.String)}
        return pl.DataFrame(schema=schema)


def played(matches: int, *, right: float = 1.0) -> pl.DataFrame:
    """Labelled rows of matches of 15 rounds in which all features tell hold from advance; so many labels are right."""
    frames = []
    for number in range(matches):
        random = np.random.default_rng(number)
        hold = random.random(150) < 0.5
        frames.append(
            pl.DataFrame({name: random.normal(size=150) + hold for name in NAMES}).with_columns(
                *(pl.lit(f"match-{number}").alias(name) for name in ("match_id", "series", "game")),
                pl.Series("round", np.arange(150) // 10 + 1, dtype=pl.Int32),
                pl.lit("player:a").alias("player"),
                pl.Series("t_ms", 250 * np.arange(150)),
                pl.Series("intent", np.where(hold, "hold", "advance").tolist()),
                pl.Series("is_right", random.random(150) < right),
            )
        )
    rows = pl.concat(frames)
    from configs.intents import load_intents

    learned = split(rows, load_intents().training)["part"] == "train"
    other = pl.when(pl.col("intent") == "hold").then(pl.lit("advance")).otherwise(pl.lit("hold"))
    wrong = learned & ~rows["is_right"]
    return rows.with_columns(intent=pl.when(wrong).then(other).otherwise("intent")).drop("is_right")


@pytest.fixture
def night(registry: ModelRegistry, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A nightly training on such rows; no rule decides, so that the models alone are compared."""
    from configs.intents import load_intents

    alone = load_intents().model_copy(update={"heuristics": load_intents().heuristics[:1]})
    for module in ("assets.intents", "assets.models", "pipeline.intents.training", "pipeline.intents.promotion"):
        monkeypatch.setattr(f"{module}.load_intents", lambda: alone)
    monkeypatch.setattr(
        "assets.intents.gold_labels", lambda store, match_id, gold: store.read_table("labels", match_id)
    )

    for figure in ("confusion_figure", "reliability_figure", "importance_figure"):  # a second each
        monkeypatch.setattr(f"pipeline.intents.evaluation.{figure}", lambda *_: PNG)

    def run(
        rows: pl.DataFrame, instance: dg.DagsterInstance | None = None, models: ModelRegistry = registry
    ) -> dg.ExecuteInProcessResult:
        return dg.materialize(
            [intent_model, champion_model, dg.AssetSpec("features"), dg.AssetSpec("labels")],
            resources={"store": Labelled(rows), "models": models, "reviews": Nobody()},
            raise_on_error=False,
            instance=instance,
        )

    return run


def check(result: dg.ExecuteInProcessResult, name: str) -> dg.AssetCheckEvaluation:
    return next(each for each in result.get_asset_check_evaluations() if each.check_name == name)


def told(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    materialization = result.asset_materializations_for_node("models__intent")[0]
    return {name: value.value for name, value in materialization.metadata.items()}


def test_the_first_model_answers_and_the_same_matches_are_not_trained_on_again(night, registry):
    first = night(played(6))
    assert first.success
    assert check(first, GATE_CHECK).passed
    assert registry.champion().version == told(first)["model_version"]
    again = night(played(6))
    assert (told(first)["reused"], told(again)["reused"]) == (False, True)
    assert told(again)["verdict"] == "answers already"
    assert len(registry.versions()) == 1


def test_the_page_says_what_is_new_since_the_last_training_and_keeps_its_pictures(night, registry):
    with dg.DagsterInstance.ephemeral() as instance:
        first = told(night(played(6), instance=instance))
        assert first["since_the_last_training"] == "There was no training before this one."
        assert "only rules and the prior answered before it" in first["why"]
        more = told(night(played(24), instance=instance))
        again = told(night(played(24), instance=instance))
    assert first["who_answers"] == f"{first['model_version']}, this one, as soon as models/champion has run"
    assert "new matches (18): match-10" in more["since_the_last_training"]
    assert f"The last training made {first['model_version']}, which was found: first" in more["since_the_last_training"]
    assert "changed: " not in more["since_the_last_training"]  # neither settings nor code
    assert "| macro f1 |" in more["figures_then_and_now"]
    assert "| ECE hold |" in more["calibration_then_and_now"]
    assert all(len(more[f"{name}_then_and_now"]) < INLINE for name in ("figures", "calibration"))
    assert "no match, label, setting or code has changed" in again["since_the_last_training"]
    assert "figures_then_and_now" not in again
    assert again["reliability"] == more["reliability"] != ""  # kept in the registry, not drawn again
    assert f"# Intent model {more['model_version']}" in again["card"]


def _refused_promoted_and_rolled_back(night: Any, registry: ModelRegistry) -> None:
    assert night(played(6, right=0.7)).success
    before = registry.champion().version
    better = night(played(6))
    assert (better.success, told(better)["verdict"]) == (True, "better")
    champion = registry.champion().version
    assert champion == told(better)["model_version"] != before
    assert "| log loss |" in told(better)["against_the_champion"]
    assert len(told(better)["against_the_champion"]) < INLINE
    assert check(better, GATE_CHECK).metadata["against_the_champion"].value == told(better)["against_the_champion"]

    worse = night(played(6, right=0.6))
    assert not worse.success
    assert not check(worse, GATE_CHECK).passed
    assert check(worse, GATE_CHECK).severity == dg.AssetCheckSeverity.ERROR
    assert worse.asset_materializations_for_node("models__champion") == []
    assert told(worse)["who_answers"].startswith(f"{champion} goes on answering")
    assert registry.champion().version == champion
    refused = registry.describe(told(worse)["model_version"])
    assert (refused.champion, refused.verdict.partition(":")[0]) == (False, "worse")

    registry.rollback("an analyst did not trust it")
    assert registry.champion().version == before
    back = night(played(6))  # the night after: the same matches again
    assert (back.success, told(back)["verdict"]) == (True, "rolled back")
    assert check(back, GATE_CHECK).severity == dg.AssetCheckSeverity.WARN
    assert registry.champion().version == before
    metadata = back.asset_materializations_for_node("models__champion")[0].metadata
    assert (metadata["promoted"].value, metadata["model_version"].value) == (False, before)


def test_a_worse_model_blocks_the_champion_in_the_same_run_and_a_better_one_passes(night, registry):
    _refused_promoted_and_rolled_back(night, registry)


@pytest.mark.slow
def test_the_same_with_mlflow_on_a_postgresql_server(postgres_server, night, tmp_path):
    import sqlalchemy

    with sqlalchemy.create_engine(postgres_server, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(sqlalchemy.text("CREATE DATABASE mlflow_gate"))
    address = sqlalchemy.make_url(postgres_server).set(database="mlflow_gate").render_as_string(hide_password=False)
    models = ModelRegistry(address, tmp_path / "models")
    _refused_promoted_and_rolled_back(partial(night, models=models), models)


def test_new_matches_are_named_and_told_of_when_they_are_unlike_those_before(night, registry):
    assert night(played(6)).success
    more = played(24).with_columns(
        speed_mps=pl.when(pl.col("match_id").is_in([f"match-{n}" for n in range(6)]))
        .then("speed_mps")
        .otherwise(pl.col("speed_mps") + 3)
    )
    champion = registry.champion()
    assert likeness(champion, played(24)).metadata["drifted"].value == "none"
    found = night(more)
    drifted = check(found, DRIFT_CHECK)
    assert "new matches (18)" in told(found)["since_the_last_training"]
    assert "match-23" in told(found)["since_the_last_training"]
    assert not drifted.passed
    assert drifted.severity == dg.AssetCheckSeverity.WARN
    assert drifted.metadata["drifted"].value == "speed_mps"


def test_a_champion_made_for_other_features_leaves_its_place_to_whatever_is_trained(
    night, registry, monkeypatch, caplog
):
    assert night(played(6)).success
    assert standing(registry) is not None
    monkeypatch.setattr("pipeline.intents.model.NAMES", (*NAMES[:-1], "charm"))
    reopened = ModelRegistry(registry.tracking_uri, registry.artifact_root)
    with pytest.raises(DamagedModel, match="made for other features"):
        reopened.champion()
    with caplog.at_level(logging.WARNING, logger="assets.models"):
        assert standing(reopened) is None
    assert "made for other features" in caplog.text
    monkeypatch.undo()
    version = reopened.versions()[0].version
    assert judge(reopened, version, None, played(6)).word in PROMOTED


def test_a_first_model_that_is_worse_than_the_prior_is_refused(night, registry):
    found = night(played(6, right=0.0))
    assert not found.success
    assert told(found)["verdict"] == "worse"
    assert "the prior is better" in told(found)["why"]
    assert check(found, GATE_CHECK).severity == dg.AssetCheckSeverity.ERROR
    assert registry.answering() == "none"
    assert night(played(6)).success
    assert registry.answering() != "none"


def test_one_worse_than_the_prior_takes_no_damaged_champions_place(night, registry, tmp_path):
    assert night(played(6)).success
    damaged = registry.champion().version
    (file,) = (tmp_path / "models").rglob("model.txt")
    file.write_bytes(b"")
    registry._champions.clear()  # as in a new process
    found = night(played(7, right=0.0))
    assert (found.success, told(found)["verdict"], registry.answering()) == (False, "worse", damaged)


def test_a_champion_whose_files_are_damaged_leaves_its_place_to_the_next_training(night, registry, tmp_path):
    assert night(played(6)).success
    damaged = registry.champion().version
    (file,) = (tmp_path / "models").rglob("model.txt")
    file.write_bytes(b"")
    registry._champions.clear()  # as in a new process
    found = night(played(7))
    assert (found.success, told(found)["verdict"], told(found)["champion_before"]) == (True, "first", damaged)
    assert registry.champion().version == told(found)["model_version"] != damaged


def test_a_store_of_files_that_does_not_answer_fails_the_training_and_costs_no_champion_its_place(
    night, registry, monkeypatch
):
    assert night(played(6)).success
    reopened = ModelRegistry(registry.tracking_uri, registry.artifact_root)

    def timed_out(*_: Any) -> None:
        raise MlflowException("Connection to the bucket timed out")

    monkeypatch.setattr(reopened._client, "download_artifacts", timed_out)
    with pytest.raises(RegistryUnreachable, match="timed out"):
        standing(reopened)


def test_what_was_rolled_back_is_not_promoted_even_where_no_model_answers(night, registry):
    assert night(played(6, right=0.7)).success
    better = told(night(played(6)))["model_version"]
    registry.rollback("an analyst did not trust it")
    assert judge(registry, better, None, played(6)).word == "rolled back"


@pytest.mark.parametrize("meanwhile", ["rolled back", "another one answers"])
def test_a_verdict_counts_only_while_the_champion_is_the_one_it_was_judged_against(night, registry, meanwhile):
    assert night(played(6, right=0.7)).success
    answers = registry.champion().version
    other = told(night(played(6, right=0.6)))["model_version"]
    with dg.DagsterInstance.ephemeral() as instance:
        better = told(night(played(6), instance=instance))["model_version"]
        assert registry.champion().version == better
        if meanwhile == "rolled back":
            registry.rollback("an analyst did not trust it")
        else:
            answers = registry.promote(other).version
        late = dg.materialize(
            [champion_model, dg.AssetSpec(MODEL_KEY)], instance=instance, resources={"models": registry}
        )
        metadata = late.asset_materializations_for_node("models__champion")[0].metadata
        assert (metadata["promoted"].value, metadata["model_version"].value) == (False, answers)
        assert registry.champion().version == answers


def test_a_champion_that_answers_already_is_promoted_again_without_a_word(night, registry):
    with dg.DagsterInstance.ephemeral() as instance:
        version = told(night(played(6), instance=instance))["model_version"]
        again = dg.materialize(
            [champion_model, dg.AssetSpec(MODEL_KEY)], instance=instance, resources={"models": registry}
        )
        metadata = again.asset_materializations_for_node("models__champion")[0].metadata
        assert (metadata["promoted"].value, metadata["model_version"].value) == (True, version)


def test_the_graph_has_the_gate_between_training_and_champion():
    assert champion_model.asset_deps[CHAMPION_KEY] == {MODEL_KEY}
    (spec,) = (spec for spec in intent_model.check_specs if spec.name == GATE_CHECK)
    assert spec.blocking
