"""`gridmotion review` as scripts use it: JSON on one line, exit codes."""

import json
from types import SimpleNamespace

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from assets.review_commands import NOTHING, app
from resources.errors import ResourceError
from resources.reviews import AlreadyDecided, Decision, JobUnknown, LeaseLost, Reviews
from resources.settings import settings


@pytest.fixture
def call(monkeypatch, url):
    """Calls a command with the database in the environment."""
    monkeypatch.setenv("DATABASE_URL", url)
    settings.cache_clear()

    def run(*arguments: str, ok: int = 0) -> Result:
        result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})
        assert result.exit_code == ok, result.output
        return result

    yield run
    settings.cache_clear()


def test_a_script_takes_a_job_decides_it_and_is_told_when_there_is_no_other(call, reviews, asked):
    reviews.open("m", asked())
    claim = json.loads(call("next", "--reviewer", "ann", "--json").stdout)
    assert claim["job"]["intent"] == "hold"
    assert claim["expires_at"].endswith("+00:00")
    decide = ["decide", claim["job"]["job_id"], "correct", "--intent", "peek", "--token", str(claim["token"])]
    decide += ["--reviewer", "ann", "--json"]
    assert json.loads(call(*decide).stdout)["new"]
    assert not json.loads(call(*decide).stdout)["new"]
    call("next", "--reviewer", "ann", "--json", ok=NOTHING)
    assert reviews.decisions()["intent"].to_list() == ["peek"]


def test_a_person_is_told_what_to_look_at_and_what_to_call(call, reviews, asked):
    reviews.open("m", asked())
    shown = call("next", "--reviewer", "ann").stdout
    assert "player:a" in shown
    (job_id,) = asked()["job_id"]
    assert f"gridmotion review decide {job_id} accept --reviewer ann" in shown
    decide = ["decide", job_id, "accept", "--reviewer", "ann"]
    assert call(*decide).stdout.startswith(f"Recorded. Job {job_id} is closed: accept hold.")
    assert "Known already" in call(*decide).stdout
    changed = call("decide", job_id, "reject", "--reviewer", "ann", ok=1)
    assert isinstance(changed.exception, AlreadyDecided)
    unclaimed = call("decide", job_id, "accept", "--reviewer", "bob", ok=1)
    assert "next --job" in str(unclaimed.exception)
    assert "nothing to review" in call("next", "--reviewer", "ann", ok=NOTHING).stdout


def test_a_refusal_is_json_with_exit_code_1_or_an_error_for_the_entry_point(call, reviews, asked):
    reviews.open("m", asked())
    refused = call("decide", asked()["job_id"][0], "accept", "--token", "5", "--reviewer", "ann", "--json", ok=1)
    assert json.loads(refused.stdout)["error"] == "LeaseLost"
    plain = call("decide", asked()["job_id"][0], "accept", "--token", "5", "--reviewer", "ann", ok=1)
    assert isinstance(plain.exception, LeaseLost)
    assert isinstance(plain.exception, ResourceError)
    call("decide", asked()["job_id"][0], ok=2)
    nowhere = call("decide", "feed", "accept", "--reviewer", "ann", ok=1)
    assert isinstance(nowhere.exception, JobUnknown)


def test_jobs_go_out_and_come_back_by_files(call, reviews, asked, tmp_path):
    reviews.open("m", asked(2))
    path, interface = tmp_path / "tasks.json", tmp_path / "interface.xml"
    call("export", str(path), "--interface", str(interface))
    tasks = json.loads(path.read_text())
    assert json.loads(call("export", "-").stdout) == tasks
    assert interface.read_text().startswith("<View>")
    assert sorted(file.name for file in tmp_path.glob("*.*")) == ["interface.xml", "tasks.json"]
    tasks[0]["annotations"] = [{"id": 1, "completed_by": 4, "result": tasks[0]["predictions"][0]["result"]}]
    path.write_text(json.dumps(tasks))
    assert json.loads(call("import", str(path), "--json").stdout) == {"new": 1, "known": 0, "refused": []}
    assert "1 known already" in call("import", str(path)).stdout
    assert reviews.decisions()["reviewer"].to_list() == ["label-studio:4"]
    tasks[0]["data"]["job_id"] = "feed"
    path.write_text(json.dumps(tasks))
    assert "refused: task 0" in call("import", str(path), ok=1).stdout
    path.write_text("[")
    assert json.loads(call("import", str(path), "--json", ok=1).stdout)["error"] == "UnreadableTasks"


def test_status_counts_and_tells_how_far_reviewers_agree(call, url, asked):
    reviews = Reviews(url)
    nothing = {"jobs": {}, "decisions": 0, "judged_by_people": 0, "judged_in_audit": 0, "kappa": None, "pairs": []}
    assert json.loads(call("status", "--json").stdout) == nothing
    reviews.open("m", asked(2, wanted=2))
    for _ in range(2):
        for who in ("ann", "bob"):
            claim = json.loads(call("next", "--reviewer", who, "--json").stdout)
            job = claim["job"]
            verdict = ["accept"] if job["from_ms"] == 0 else ["correct", "--intent", "peek"]
            call("decide", job["job_id"], *verdict, "--token", str(claim["token"]), "--reviewer", who)
    told = json.loads(call("status", "--json").stdout)
    assert (told["jobs"], told["decisions"], told["kappa"]) == ({"closed": 2}, 4, 1.0)
    shown = call("status").stdout
    assert "ann and bob: 2 jobs, 100% agreed, kappa 1.00" in shown
    assert "predicted right: 50% of 2 segments that people agree on" in shown


def test_what_is_final_is_told_and_written_as_people_corrected_it(
    call, reviews, asked, match, config, tmp_path, monkeypatch
):
    segments, _ = match(("hold", 4, 0.9, None), ("peek", 4, 0.4, None), ("advance", 4, 0.4, None))
    store = SimpleNamespace(read_table=lambda table, match_id: segments)
    monkeypatch.setattr("assets.definitions.open_store", lambda environment: store)
    spans = segments["segment_id"].to_list(), segments["from_ms"].to_list(), segments["to_ms"].to_list()
    ids, begins, ends = (list(each[1:]) for each in spans)
    reviews.open(
        "m",
        asked(2, segment_id=ids, from_ms=begins, to_ms=ends, intent=["peek", "advance"], required=[True, True]),
    )
    told = json.loads(call("final", "m", "--json").stdout)
    assert (told["segments"], told["final"], told["waiting"]) == (3, 1, 2)
    assert "gridmotion review next --match m" in call("final", "m").stdout
    first = reviews.next("ann")
    reviews.decide(Decision(first.job["job_id"], "ann", "correct", "trade", token=first.token))
    out = tmp_path / "final.parquet"
    told = json.loads(call("final", "m", "--out", str(out), "--json").stdout)
    assert (told["final"], told["waiting"], told["reviewed"]) == (2, 1, 1)
    assert pl.read_parquet(out).select("intent", "reviewed").rows() == [("hold", False), ("trade", True)]


def test_a_reviewer_is_told_how_to_ask_what_spoke_for_a_models_answer(call, reviews, asked):
    reviews.open("m", asked(2, priority=[0.9, 0.1], decided_by=["model:v1", "rule:planting"]))
    segment = reviews.next("ann").job["segment_id"]
    assert f"gridmotion models explain m {segment}" in call("next", "--reviewer", "ann").stdout
    assert "models explain" not in call("next", "--reviewer", "bob").stdout
