"""Sentences on moments, and how well they are found."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from configs.encoders import EncodersConfig
from pipeline.embeddings import retrieval
from pipeline.embeddings.moments import described, place_words
from pipeline.embeddings.retrieval import Question, index_recall, measures
from pipeline.intents.vocabulary import INTENTS
from pipeline.tables import conform


def test_a_sentence_tells_who_what_how_where_after_what_and_what_came_of_it(told: dict[str, pl.DataFrame]) -> None:
    rows = described(*told.values())
    assert conform("moments", rows).height == 4
    texts = dict(zip(rows["segment_id"].str.slice(15), rows["text"], strict=True))
    assert texts["0"] == (
        "A defender falls back quickly from middle to CT spawn, after losing a teammate and after being hit"
    )
    assert texts["1"] == "An attacker fights, and kills an opponent"
    assert texts["2"] == "A defender holds at top of mid, and dies"
    assert texts["3"] == "An attacker rotates slowly towards site A, after the bomb was planted"
    assert described(told["matches"], told["segments"].head(0), told["tracks"], told["events"]).is_empty()


def test_who_kills_a_teammate_or_themselves_kills_no_opponent(told: dict[str, pl.DataFrame]) -> None:
    rows = described(*told.values())
    killer = rows.filter(pl.col("text").str.contains("kills an opponent"))
    assert killer.height == 1
    of_one_team = told["tracks"].with_columns(team=pl.lit("team:one").cast(told["tracks"].schema["team"]))
    told |= {"tracks": of_one_team}
    assert not any("opponent" in text for text in described(*told.values())["text"])


def test_what_is_long_ago_or_in_another_round_is_not_told(told: dict[str, pl.DataFrame]) -> None:
    late = told["events"].with_columns(t_ms=pl.col("t_ms") - 6500)
    assert "after" not in described(told["matches"], told["segments"], told["tracks"], late)["text"][2]
    other = told["events"].with_columns(round=pl.lit(2, pl.Int32))
    assert not any(
        "after" in text for text in described(told["matches"], told["segments"], told["tracks"], other)["text"]
    )


def test_a_segment_without_positions_has_a_sentence_as_well(told: dict[str, pl.DataFrame]) -> None:
    rows = described(told["matches"], told["segments"], told["tracks"].head(0), told["events"])
    assert rows["text"].to_list()[0] == "A defender holds, and dies"
    assert rows.height == 4


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("TopofMid", "top of mid"),
        ("CTSpawn", "CT spawn"),
        ("BombsiteA", "bombsite A"),
        ("Middle", "middle"),
        (None, ""),
    ],
)
def test_callouts_are_words(name: str | None, words: str) -> None:
    assert place_words(name) == words


def test_measures_are_1_where_everything_is_found_and_chance_where_nothing_is_known() -> None:
    vectors = np.eye(40, dtype=np.float32)
    question = Question(
        tuple(f"q{k}" for k in range(40)), tuple(f"d{k}" for k in range(40)), tuple(frozenset({k}) for k in range(40))
    )
    found = measures(question, vectors, vectors)
    assert found["recall@1"] == found["recall@10"] == found["precision@10"] == 1.0
    assert found["chance@1"] == pytest.approx(1 / 40)
    blind = measures(question, np.ones((40, 40), np.float32), vectors)
    assert blind["recall@1"] == pytest.approx(1 / 40)
    assert blind["recall@10"] == pytest.approx(10 / 40)


def test_questions_have_an_answer_and_never_hold_it_themselves(encoders: EncodersConfig) -> None:
    few = encoders.model_copy(update={"retrieval": encoders.retrieval.model_copy(update={"seeds": 1})})
    for question in (retrieval.paraphrases(few), retrieval.prompts(few)):
        assert len(question.queries) == len(question.right) > 8
        assert len(set(question.documents)) == len(question.documents)
        assert all(question.right)
        assert set(question.queries).isdisjoint(question.documents)
    assert retrieval.paraphrases(few) == retrieval.paraphrases(few)
    moments = pl.DataFrame({"text": ["A player holds", "A player retreats"], "intent": ["hold", "retreat"]})
    asked = retrieval.intents(moments, encoders)
    assert len(asked.queries) == 6  # of two intents; nobody can find the others
    assert set(encoders.retrieval.ways) == set(INTENTS)


def test_the_recall_of_an_index_is_the_share_of_the_true_nearest() -> None:
    documents = np.eye(4, dtype=np.float32)
    queries = np.array([[0.9, 0.4, 0.1, 0.0]], np.float32)
    assert index_recall([[0, 1]], queries, documents) == 1.0
    assert index_recall([[0, 3]], queries, documents) == 0.5


def test_moments_of_a_real_match_tell_places_and_losses(shared_data: Path) -> None:
    from pipeline.events.reader import read_log
    from pipeline.features.match import match_features
    from pipeline.intents.model import PriorModel
    from pipeline.intents.prediction import predict
    from pipeline.intents.segments import segment

    (reading,) = read_log(shared_data / "cs2" / "cs2-sf-mirage.jsonl.gz", log_id="log").matches.values()
    events, tracks = reading.events.read(), reading.tracks.read()
    early = pl.col("round") <= 3
    events, tracks = events.filter(early), tracks.filter(early)
    features = match_features(reading.match, events, tracks)
    model = PriorModel.configured()
    segments = segment(predict(features, model), features, model_version=model.version, review_threshold=0.6)
    rows = described(reading.match, segments, tracks, events)
    assert rows.height == segments.height > 20
    assert conform("moments", rows).height == rows.height
    share = rows["text"].str.contains("at |from ").mean()
    assert share is not None
    assert share > 0.9
    assert rows["text"].str.contains("after ").any()
    assert (
        rows["text"].str.contains("and dies").sum() <= events.filter(pl.col("event_type") == "PLAYER_KILLED").height * 2
    )
