"""From a match to a question, from its answer to a better model and to a clip that had to wait: nothing is faked."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

import configs.base
from assets.definitions import build_defs, open_store
from assets.intents import gold_labels
from assets.reviews import accepted_sensor, decisions_sensor, open_reviews
from pipeline.events.sources.simulator import simulate, write
from pipeline.intents.review import standing
from pipeline.motion.clip import Clip, ClipRequest
from resources.clips import ClipStudio
from resources.motion_backends.local import LocalBackend
from resources.reviews import Decision, Reviews
from resources.settings import Settings
from resources.store import Store

SENSITIVE = "plant"
BUDGET = 3


class Watched(LocalBackend):
    """The local synthesizer, and what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def generate(self, request: ClipRequest) -> Clip:
        self.asked.append(request.intent)
        return super().generate(request)


@dataclass
class Team:
    """A store, an instance, a review database, a motion backend that is watched."""

    store: Store
    instance: dg.DagsterInstance
    reviews: Reviews
    backend: Watched
    definitions: dg.Definitions
    match_id: str = field(default="")

    def run(self, job: str, **options: Any) -> dg.ExecuteInProcessResult:
        runnable = self.definitions.resolve_job_def(job)
        return runnable.execute_in_process(instance=self.instance, raise_on_error=False, **options)

    def look(self, sensor: Any) -> list[dg.RunRequest]:
        resources = {"reviews": self.reviews}
        return list(sensor(dg.build_sensor_context(instance=self.instance, resources=resources)).run_requests)

    def decide(self, who: str, verdict: str, intent: str | None = None) -> dict[str, Any]:
        claim = self.reviews.next(who)
        self.reviews.decide(Decision(claim.job["job_id"], who, verdict, intent, token=claim.token))
        return dict(claim.job)

    def clips(self) -> pl.DataFrame:
        return self.store.read_table("clips", self.match_id)


@pytest.fixture
def cautious(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An operator who calls planting sensitive, wants one opinion of each, and a quick training every two decisions."""
    folder = Path(shutil.copytree(configs.base.FOLDER, tmp_path / "configs", ignore=shutil.ignore_patterns("*.py")))
    text = (folder / "review.yaml").read_text()
    for old, new in {
        "sensitive: []": f"sensitive: [{SENSITIVE}]",
        "every_decisions: 50": "every_decisions: 2",
        "second_review_share: 0.1": "second_review_share: 0",
    }.items():
        assert old in text
        text = text.replace(old, new)
    (folder / "review.yaml").write_text(text)
    intents = (folder / "intents.yaml").read_text()
    assert "rounds: 33" in intents
    (folder / "intents.yaml").write_text(intents.replace("rounds: 33", "rounds: 8"))
    monkeypatch.setattr(configs.base, "FOLDER", folder)
    configs.base._read.cache_clear()
    yield
    configs.base._read.cache_clear()


@pytest.fixture
def team(tmp_path: Path, url: str, cautious: None, blank_mlflow: Path) -> Iterator[Team]:
    environment = Settings(gridmotion_store=str(tmp_path / "store"), database_url=url)
    store, backend, reviews = open_store(environment), Watched(), open_reviews(environment)
    studio = ClipStudio(store, backend, budget=BUDGET)
    environment.mlflow_home.mkdir(parents=True)
    shutil.copy(blank_mlflow, environment.mlflow_home / "mlflow.db")
    with dg.DagsterInstance.ephemeral() as instance:
        yield Team(
            store, instance, reviews, backend, build_defs(environment, store=store, studio=studio, reviews=reviews)
        )


def _ingest(team: Team, folder: Path) -> None:
    log = write(folder / "log", simulate(rounds=4, seed=12))[0]
    team.store.put(log, f"landing/{log.name}")
    config = {"ops": {"scanned_log": {"config": {"path": f"landing/{log.name}"}}}}
    assert team.run("scan_log", run_config=config).success
    (team.match_id,) = team.store.keys("matches")
    team.instance.add_dynamic_partitions("match_id", [team.match_id])


def _failure(result: dg.ExecuteInProcessResult) -> str:
    (failed,) = (event for event in result.all_events if event.is_step_failure)
    return str(failed.step_failure_data.user_failure_data.description)


@pytest.mark.parametrize("url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True)
def test_what_people_say_of_a_match_trains_the_next_model_and_lets_a_sensitive_clip_be_made(
    team: Team, tmp_path: Path
) -> None:
    _ingest(team, tmp_path)
    assert team.run("analyse_match", partition_key=team.match_id).success
    segments = team.store.read_table("segments", team.match_id)
    plants = segments.filter(pl.col("intent") == SENSITIVE)["segment_id"].to_list()
    assert len(plants) >= 2
    assert len(team.backend.asked) == team.clips().height == BUDGET
    assert SENSITIVE not in team.backend.asked
    stood = standing(segments, team.reviews.reviews(team.match_id))
    assert stood.filter(pl.col("standing") == "waiting")["segment_id"].to_list() == plants
    assert team.run("retrain").asset_materializations_for_node("models__intent")
    assert team.look(decisions_sensor) == team.look(accepted_sensor) == []

    def ask(segment_id: str) -> dg.ExecuteInProcessResult:
        config = {"ops": {"clips": {"config": {"also": [segment_id]}}}}
        return team.run("make_clips", partition_key=team.match_id, run_config=config)

    assert "waits for its review: gridmotion review next --job" in _failure(ask(plants[0]))
    assert SENSITIVE not in team.backend.asked

    accepted = team.decide("ann", "accept")
    assert (accepted["intent"], accepted["required"]) == (SENSITIVE, True)
    others = [job for job in _jobs(team) if not job["required"]]
    claim = team.reviews.next("bob", job_id=others[0]["job_id"])
    corrected = dict(claim.job)
    right = "trade" if corrected["intent"] != "trade" else "hold"
    team.reviews.decide(Decision(corrected["job_id"], "bob", "correct", right, token=claim.token))

    (training,) = team.look(decisions_sensor)
    assert training.run_key == "2-decisions"
    before = team.store.read_table("labels", team.match_id)
    after = gold_labels(team.store, team.match_id, team.reviews.gold())
    judged = after.filter(pl.col("rules").list.contains("gold"))
    assert set(judged["intent"]) == {SENSITIVE, right}
    assert judged.height < before.height == after.height
    trained = team.run("retrain", tags=training.tags).asset_materializations_for_node("models__intent")[0].metadata
    assert (trained["reused"].value, trained["judged_by_people"].value) == (False, 2)
    assert trained["right_by_people"].value == 0.5

    (clips,) = team.look(accepted_sensor)
    assert team.run("make_clips", partition_key=clips.partition_key).success
    assert team.backend.asked[BUDGET:].count(SENSITIVE) == 1
    made = team.clips()
    assert made.filter(pl.col("intent") == SENSITIVE)["segment_id"].to_list() == [accepted["segment_id"]]

    refused = team.decide("ann", "reject")
    assert refused["intent"] == SENSITIVE
    assert "did not accept it" in _failure(ask(refused["segment_id"]))
    assert team.run("make_clips", partition_key=team.match_id).success
    assert team.clips().equals(made)
    final = standing(segments, team.reviews.reviews(team.match_id)).filter(pl.col("standing") == "final")
    assert accepted["segment_id"] in set(final["segment_id"])
    assert refused["segment_id"] not in set(final["segment_id"])


def _jobs(team: Team) -> list[dict[str, Any]]:
    return team.reviews.reviews(team.match_id).filter(pl.col("state") == "open").to_dicts()


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_without_the_review_database_nothing_is_animated(team: Team, tmp_path: Path) -> None:
    dead = open_reviews(Settings(database_url="postgresql://nobody@127.0.0.1:1/none"))
    environment = Settings(gridmotion_store=team.store.url)
    studio = ClipStudio(team.store, team.backend, budget=BUDGET)
    team.definitions = build_defs(environment, store=team.store, studio=studio, reviews=dead)
    _ingest(team, tmp_path)
    result = team.run("analyse_match", partition_key=team.match_id)
    (failed,) = (event for event in result.all_events if event.is_step_failure)
    assert failed.step_key == "clips"
    assert "DatabaseUnusable" in str(failed.step_failure_data.error)
    assert team.store.keys("segments") == [team.match_id]
    assert team.backend.asked == []
