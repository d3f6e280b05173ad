"""A recorded match: what people are asked about it, and what waits for them."""

import json

import polars as pl
import pytest

from configs.review import load_review
from pipeline.events.reader import read_log
from pipeline.features.match import match_features
from pipeline.intents.labels import label
from pipeline.intents.model import PriorModel
from pipeline.intents.prediction import predict
from pipeline.intents.review import animated, doubtful, jobs, with_gold
from pipeline.intents.segments import segment
from pipeline.tables import conform
from resources.reviews import Decision, Reviews


@pytest.fixture(scope="module")
def recorded(shared_data):
    """Events, tracks, features, intents and segments of a recorded match, by rules and prior model."""
    reading = read_log(shared_data / "cs2" / "cs2-sf-mirage.jsonl.gz", log_id="a")
    (match,) = reading.matches.values()
    events, tracks = match.events.read(), match.tracks.read()
    features = match_features(match.match, events, tracks)
    model = PriorModel.configured()
    intents = predict(features, model)
    cautious = load_review().reasons.model_copy(update={"sensitive": ("plant",)})
    cut = segment(intents, features, model_version=model.version, review_threshold=0.6, review=cautious)
    return events, tracks, features, intents, cut, cautious


def test_of_a_real_match_people_are_asked_no_more_than_its_budget_and_about_each_plant(recorded):
    _, _, features, intents, segments, _ = recorded
    config = load_review().jobs
    asked, plants = jobs(segments, intents, features), segments.filter(pl.col("intent") == "plant")
    assert doubtful(segments).height > asked.height
    assert set(asked.filter("required")["segment_id"]) == set(plants["segment_id"]) != set()
    optional = asked.filter(~pl.col("required") & ~pl.col("reasons").list.contains("audit"))
    assert optional.height == config.optional_per_match
    for looked, said in asked.select("features", "prediction").iter_rows():
        assert json.loads(looked)["sample_count"] > 0
        assert sum(json.loads(said).values()) == pytest.approx(1, abs=1e-5)


def test_what_people_say_of_a_real_match_frees_a_clip_and_becomes_its_label(recorded, tmp_path):
    events, tracks, features, intents, segments, cautious = recorded
    plants = segments.filter(pl.col("intent") == "plant")
    reviews = Reviews(f"sqlite:///{tmp_path / 'reviews.db'}")
    (match_id,) = segments["match_id"].unique()
    one_opinion = jobs(segments, intents, features).with_columns(pl.lit(1, pl.Int32).alias("wanted"))
    reviews.open(match_id, one_opinion)
    withheld = animated(segments, reviews.reviews(match_id), cautious)
    assert withheld.equals(segments.filter(pl.col("intent") != "plant"))
    claim = reviews.next("ann")
    assert claim.job["segment_id"] in set(plants["segment_id"])
    reviews.decide(Decision(claim.job["job_id"], "ann", "accept", token=claim.token))
    allowed = animated(segments, reviews.reviews(match_id), cautious)
    assert allowed.height == withheld.height + 1
    doubted = reviews.next("ann", job_id=one_opinion.filter(~pl.col("required"))["job_id"][0])
    reviews.decide(Decision(doubted.job["job_id"], "ann", "reject", token=doubted.token))

    labels = label(events, tracks, features)
    found = conform("labels", with_gold(labels, reviews.gold()))
    gold = found.filter(pl.col("rules").list.contains("gold"))
    told = {
        name: gold.filter(
            pl.col("player") == job["player"], pl.col("t_ms").is_between(job["from_ms"], job["to_ms"], closed="left")
        )
        for name, job in (("plant", claim.job), (None, doubted.job))
    }
    assert gold.height == sum(rows.height for rows in told.values())
    for intent, rows in told.items():
        assert rows.height == pytest.approx((rows["t_ms"].max() - rows["t_ms"].min()) / 250 + 1)
        assert rows["intent"].unique().to_list() == [intent]
    rest = found.filter(~pl.col("rules").list.contains("gold"))
    assert rest.equals(labels.join(gold, on=["player", "t_ms"], how="anti", maintain_order="left"))
