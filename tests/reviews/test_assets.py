"""The Dagster edge: jobs of a match, and the training that decisions ask for."""

import dagster as dg
import polars as pl
import pytest

from assets.reviews import accepted_sensor, decisions_sensor, due, news, open_reviews, review_jobs
from pipeline.tables import empty
from resources.registry import ModelRegistry
from resources.reviews import Decision, Reviews
from resources.settings import Settings
from resources.store import Stamp, Store

STAMP = Stamp("code", "config", "input", "v")


@pytest.fixture
def workspace(tmp_path, match) -> tuple[Store, Reviews]:
    """A match of three segments: one doubtful, one of which model and rule differ, one about which all is well."""
    store = Store(str(tmp_path / "store"))
    segments, intents = match(("hold", 4, 0.4, None), ("peek", 4, 0.9, 0.8), ("hold", 4, 0.9, None))
    reasons = pl.Series("review_reasons", [["low_confidence"], ["disagreement"], []])
    store.write_table("segments", "m", segments.with_columns(reasons), STAMP)
    store.write_table("intents", "m", intents, STAMP)
    store.write_table("features", "m", empty("features"), STAMP)
    return store, Reviews(f"sqlite:///{tmp_path / 'reviews.db'}")


def _materialize(store: Store, reviews: Reviews) -> dict:
    models = ModelRegistry(f"sqlite:///{store.url}/none/mlflow.db", f"{store.url}/none")
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("match_id", ["m"])
        done = dg.materialize(
            [review_jobs],
            instance=instance,
            partition_key="m",
            resources={"store": store, "reviews": reviews, "models": models},
        )
        metadata = done.asset_materializations_for_node("review_jobs")[0].metadata
    return {name: value.value for name, value in metadata.items()}


def test_the_jobs_of_a_match_are_opened_once_and_told(workspace):
    store, reviews = workspace
    first, again = _materialize(store, reviews), _materialize(store, reviews)
    assert (first["segments"], first["asked"], first["new"], again["new"], again["known"]) == (3, 2, 2, 0, 2)
    assert (first["not_opened"], first["final_segments"]) == (0, 3)
    assert first["reasons"] == {"disagreement": 1, "low_confidence": 1}
    lines = first["asked_first"].splitlines()
    assert (
        "| peek | 0.9 | rule:r | disagreement | not known: no trained model decided, or it cannot be had |" in lines[2]
    )
    assert len(lines) == 4
    assert reviews.next("ann").job["reasons"] == ["disagreement"]
    assert "kappa" not in first


def test_a_clip_that_cannot_be_made_asks_for_a_look(workspace):
    store, reviews = workspace
    _materialize(store, reviews)
    failed = {
        "clip_key": "0" * 32, "segment_id": f"{2:016x}", "match_id": "m", "round": 1, "player": "player:a",
        "intent": "hold", "from_ms": 2000, "to_ms": 3000, "interest": "hold", "backend": "local", "trainable": True,
        "feasible": False, "reason": "too few samples", "measures": "{}", "model_version": "v",
        "features_hash": "0" * 16,
    }  # fmt: skip
    store.write_table("clips", "m", pl.DataFrame([failed], schema=empty("clips").schema), STAMP)
    told = _materialize(store, reviews)
    assert (told["new"], told["known"]) == (1, 2)
    assert reviews.next("ann").job["reasons"] == ["motion_failed"]


def test_so_many_new_decisions_request_one_training_whoever_looks_and_however_often():
    assert due(49, None, 50) == (None, "0")
    key, cursor = due(50, "0", 50)
    assert (key, cursor) == ("50-decisions", "50")
    assert due(50, cursor, 50) == (None, "50")
    assert due(99, cursor, 50) == (None, "50")
    assert due(260, cursor, 50) == ("250-decisions", "250")
    assert due(260, None, 50) == due(251, cursor, 50), "a cursor that was lost asks for the same run"
    assert due(3, "250", 50) == (None, "0"), "another database begins anew"


def test_the_sensor_requests_a_training_once(tmp_path, asked):
    reviews = Reviews(f"sqlite:///{tmp_path / 'reviews.db'}")
    every = reviews.config.retraining.every_decisions
    reviews.open("m", asked(every))

    def look(cursor: str | None) -> dg.SensorResult:
        with dg.DagsterInstance.ephemeral() as instance:
            context = dg.build_sensor_context(instance=instance, resources={"reviews": reviews}, cursor=cursor)
            return decisions_sensor(context)

    assert look(None).run_requests == []
    for _ in range(every):
        claim = reviews.next("ann")
        reviews.decide(Decision(claim.job["job_id"], "ann", "accept", token=claim.token))
    first = look(None)
    assert [request.run_key for request in first.run_requests] == [f"{every}-decisions"]
    assert look(first.cursor).run_requests == []


def test_a_match_is_news_once_each_time_a_required_review_of_it_is_closed():
    first, cursor = news({"a": 1, "b": 2}, None)
    assert first == [("a", "a:1"), ("b", "b:2")]
    assert news({"a": 1, "b": 2}, cursor) == ([], cursor)
    assert news({"a": 1, "b": 3}, cursor)[0] == [("b", "b:3")]


def test_the_clips_of_a_match_are_requested_when_a_sensitive_segment_of_it_is_judged(url, asked, config):
    sensitive = config.reasons.model_copy(update={"sensitive": ("hold",)})
    reviews = Reviews(url, config.model_copy(update={"reasons": sensitive}))
    reviews.open("m", asked(2, required=[True, False], intent=["hold", "peek"]))

    def look(cursor: str | None, reviews: Reviews = reviews, match_id: str = "m") -> dg.SensorResult | dg.SkipReason:
        with dg.DagsterInstance.ephemeral() as instance:
            instance.add_dynamic_partitions("match_id", [match_id])
            context = dg.build_sensor_context(instance=instance, resources={"reviews": reviews}, cursor=cursor)
            return accepted_sensor(context)

    assert look(None).run_requests == []
    (required, optional) = asked(2)["job_id"]
    for job_id, requests in ((optional, []), (required, [("m", "m:1")])):
        claim = reviews.next("ann", job_id=job_id)
        reviews.decide(Decision(job_id, "ann", "accept", token=claim.token))
        found = look(None)
        assert [(each.partition_key, each.run_key) for each in found.run_requests] == requests
    assert look(found.cursor).run_requests == []
    assert look(None, match_id="another instance's").run_requests == []
    assert isinstance(look(None, Reviews(url)), dg.SkipReason)


def test_an_optional_review_that_ends_in_a_sensitive_intent_counts_from_then_on(url, asked, config):
    sensitive = config.reasons.model_copy(update={"sensitive": ("plant",)})
    reviews = Reviews(url, config.model_copy(update={"reasons": sensitive}))
    reviews.open("m", asked(2))
    held, planted = asked(2)["job_id"]
    for job_id, intent, closings in ((held, "peek", {}), (planted, "plant", {"m": 1})):
        claim = reviews.next("ann", job_id=job_id)
        reviews.decide(Decision(job_id, "ann", "correct", intent, token=claim.token))
        assert reviews.closings() == closings
    assert Reviews(url).closings() == {}  # where no intent is sensitive no clip waits


def test_the_database_lies_beside_the_store_unless_the_environment_names_one(tmp_path):
    assert str(open_reviews(Settings(gridmotion_store=str(tmp_path)))) == f"sqlite:///{tmp_path}/reviews/reviews.db"
    assert not (tmp_path / "reviews").exists()
    named = Settings(gridmotion_store=str(tmp_path), database_url="postgresql://ann:hunter2@h/x")
    assert str(open_reviews(named)) == "postgresql://h/x"
    on_s3 = str(open_reviews(Settings(gridmotion_store="s3://bucket/a")))
    assert on_s3 != str(open_reviews(Settings(gridmotion_store="s3://bucket/b")))
