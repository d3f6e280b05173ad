"""Exchange with Label Studio: what it reads, what it writes, and nothing twice."""

import json
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from datetime import UTC, datetime

import pytest

from pipeline.intents.vocabulary import INTENTS
from resources.reviews import Decision, Reviews, UnreadableTasks
from resources.reviews.label_studio import LABELLING_INTERFACE, NONE

IMPORTS = """
import sys
from pathlib import Path
from resources.reviews import Reviews
Reviews(sys.argv[1]).import_tasks(Path(sys.argv[2]).read_bytes())
"""


def exported(reviews: Reviews, **options) -> list[dict]:
    return json.loads("".join(reviews.export(**options)))


def answered(task: dict, choice: str | None, **more) -> dict:
    """A task as Label Studio exports it once somebody has annotated it."""
    chosen = {"value": {"choices": [choice]}, "id": "aQ9", "from_name": "intent", "to_name": "segment",
              "type": "choices", "origin": "manual"}  # fmt: skip
    annotation = {
        "id": 7,
        "completed_by": {"id": 3, "email": "ann@example.org", "first_name": "", "last_name": ""},
        "result": [] if choice is None else [chosen],
        "was_cancelled": choice is None,
        "ground_truth": False,
        "created_at": "2026-03-09T22:16:08.728353Z",
        "updated_at": "2026-03-09T22:16:08.728378Z",
        "lead_time": 4.288,
        "task": 1,
        "import_id": None,
        "unique_id": None,
    }
    others = {"id": 1, "inner_id": 1, "file_upload": "1-a.json", "drafts": [], "meta": {}, "project": 83}
    return {**task, **others, "annotations": [annotation | more]}


def test_an_open_job_is_a_task_with_its_prediction(reviews, asked):
    reviews.open("m", asked(2))
    first, second = exported(reviews)
    assert first["data"]["job_id"] == asked(2)["job_id"][0]
    assert first["annotations"] == []
    (prediction,) = first["predictions"]
    assert (prediction["model_version"], prediction["score"]) == ("v1", 0.5)
    assert second["data"]["features"]["speed_mps"] == 0.1
    assert "player:a" in first["data"]["text"]
    assert exported(reviews, match_id="other") == []


def test_what_is_exported_fits_the_labelling_interface(reviews, asked):
    reviews.open("m", asked())
    (task,) = exported(reviews)
    view = ElementTree.fromstring(LABELLING_INTERFACE)
    text, choices = view.find("Text"), view.find("Choices")
    assert isinstance(task["data"][text.get("value").removeprefix("$")], str)
    assert [choice.get("value") for choice in choices] == [*INTENTS, NONE]
    (region,) = task["predictions"][0]["result"]
    assert (region["from_name"], region["to_name"]) == (choices.get("name"), text.get("name"))
    assert (region["type"], region["value"]) == ("choices", {"choices": ["hold"]})
    assert choices.get("toName") == text.get("name")


@pytest.mark.parametrize(
    ("choice", "verdict", "intent"),
    [("hold", "accept", "hold"), ("peek", "correct", "peek"), (NONE, "reject", None)],
)
def test_an_annotation_becomes_a_decision_once(reviews, asked, choice, verdict, intent):
    reviews.open("m", asked())
    data = json.dumps([answered(task, choice) for task in exported(reviews)]).encode()
    first, again = reviews.import_tasks(data), reviews.import_tasks(data)
    assert (first.new, first.known, first.refused) == (1, 0, [])
    assert (again.new, again.known, again.refused) == (0, 1, [])
    (said,) = reviews.decisions().to_dicts()
    assert (said["verdict"], said["intent"], said["reviewer"]) == (verdict, intent, "ann@example.org")
    assert (said["took_ms"], said["decided_at"]) == (4288, datetime(2026, 3, 9, 22, 16, 8, 728000, tzinfo=UTC))
    assert reviews.counts() == {"closed": 1}


def test_a_skipped_task_stays_open(reviews, asked):
    reviews.open("m", asked())
    data = json.dumps([answered(task, None) for task in exported(reviews)]).encode()
    assert reviews.import_tasks(data).new == 1
    assert reviews.decided() == 0
    assert reviews.counts() == {"open": 1}


def test_decisions_survive_the_way_into_another_database(reviews, asked, tmp_path):
    reviews.open("m", asked(4, wanted=2))
    for who, verdict, intent in (("ann", "accept", None), ("bob", "correct", "peek"), ("cy", "reject", None)):
        claim = reviews.next(who)
        reviews.decide(Decision(claim.job["job_id"], who, verdict, intent, claim.token))
    other = Reviews(f"sqlite:///{tmp_path / 'other.db'}")
    other.open("m", asked(4, wanted=2))
    data = "".join(reviews.export(every=True)).encode()
    assert other.import_tasks(data).new == 3
    assert other.decisions().equals(reviews.decisions())
    assert other.reviews("m").drop("job_id").sort("from_ms").equals(reviews.reviews("m").drop("job_id").sort("from_ms"))
    assert other.import_tasks(data).known == 3
    assert exported(other, every=True) == exported(reviews, every=True)


def test_our_decision_that_label_studio_gives_back_under_another_name_is_known(reviews, asked):
    reviews.open("m", asked())
    claim = reviews.next("ann")
    reviews.decide(Decision(claim.job["job_id"], "ann", "accept", token=claim.token))
    (task,) = exported(reviews, every=True)
    (ours,) = task["annotations"]
    back = answered(task, "hold", id=99, import_id=ours["id"], completed_by=1)
    assert reviews.import_tasks(json.dumps([back]).encode()).known == 1
    assert reviews.decided() == 1


def test_what_cannot_be_recorded_is_told_and_the_rest_is_recorded(reviews, asked):
    reviews.open("m", asked(3))
    first, second, third = exported(reviews)
    claim = reviews.next("ann@example.org", job_id=second["data"]["job_id"])
    reviews.decide(Decision(claim.job["job_id"], "ann@example.org", "reject", token=claim.token))
    unknown = answered({"data": {**first["data"], "job_id": "feed"}}, "hold")
    foreign = answered({"data": {"image": "a.png"}}, "hold")
    data = json.dumps([unknown, foreign, answered(second, "hold"), answered(third, "peek")]).encode()
    done = reviews.import_tasks(data)
    assert (done.new, done.known) == (1, 0)
    assert done.refused[0] == "task 0, annotation 0: there is no review job feed"
    assert "has decided" in done.refused[1]
    assert len(done.refused) == 2


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("nothing", "not JSON"),
        ("{}", "not a list of tasks"),
        ("[1]", "task 0: is not an object"),
        ('[{"data": {"job_id": 1}}]', "task 0: job_id"),
        ('[{"data": {"job_id": "a"}, "annotations": [{"result": []}]}]', "nothing is chosen"),
        (
            '[{"data": {"job_id": "a"}, "annotations": [{"result": '
            '[{"from_name": "intent", "value": {"choices": ["camp"]}}]}]}]',
            "camp",
        ),
        (
            '[{"data": {"job_id": "a"}, "annotations": [{"was_cancelled": true, "created_at": "soon"}]}]',
            "created_at",
        ),
    ],
)
def test_a_file_that_is_not_label_studios_is_refused_whole(tmp_path, data, message):
    reviews = Reviews(f"sqlite:///{tmp_path / 'reviews.db'}")
    with pytest.raises(UnreadableTasks, match=message):
        reviews.import_tasks(data.encode())
    assert not (tmp_path / "reviews.db").exists()


def test_an_import_that_is_killed_is_completed_by_the_next(url, reviews, asked, rows, tmp_path):
    count = 150
    reviews.open("m", asked(count))
    tasks = [answered(task, "peek", id=number) for number, task in enumerate(exported(reviews))]
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps(tasks))
    process = subprocess.Popen([sys.executable, "-c", IMPORTS, url, str(path)])
    deadline = time.monotonic() + 120
    while reviews.decided() < 3 and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.wait()
    before = reviews.decided()
    assert 3 <= before < count, "killed in the middle"
    done = reviews.import_tasks(path.read_bytes())
    assert (done.new, done.known, done.refused) == (count - before, before, [])
    assert reviews.decided() == count
    assert rows("SELECT count(*) FROM review_audit WHERE action = 'decided'") == [(count,)]
    assert reviews.counts() == {"closed": count}
