"""Which segments are looked at and why, and what decisions come to: no database."""

import json

import polars as pl
import pytest

from configs.review import ReasonsConfig, ReviewConfig
from pipeline.features.definition import NAMES
from pipeline.intents.agreement import NotPaired, agreement, cohens_kappa
from pipeline.intents.review import (
    BadDecision,
    Settled,
    UnknownIntent,
    animated,
    answer,
    chance,
    is_sensitive_intent,
    jobs,
    published,
    reasons,
    settle,
)
from pipeline.tables import empty


def _reasons(config: ReviewConfig, **changes: object) -> ReasonsConfig:
    return config.reasons.model_copy(update={"audit_share": 0.0, **changes})


def _why(match, config, *spans, threshold=0.6, **changes) -> list[list[str]]:
    return reasons(*match(*spans), threshold=threshold, config=_reasons(config, **changes)).to_list()


def test_a_segment_below_the_threshold_is_doubtful_and_one_at_it_is_not(match, config):
    assert _why(match, config, ("hold", 4, 0.5, None), ("peek", 4, 0.6, None), threshold=0.6) == [
        ["low_confidence"],
        [],
    ]


def test_sensitive_intents_are_those_an_operator_lists(match, config):
    assert _why(match, config, ("plant", 4, 0.9, None), ("hold", 4, 0.9, None), sensitive=("plant",)) == [
        ["sensitive_intent"],
        [],
    ]
    assert is_sensitive_intent("plant", _reasons(config, sensitive=("plant",)))
    assert not is_sensitive_intent("plant", config.reasons)
    with pytest.raises(UnknownIntent, match="camp"):
        is_sensitive_intent("plant", _reasons(config, sensitive=("camp",)))


def test_rule_and_model_disagree_where_the_model_was_sure_of_another_intent_for_most_of_the_segment(match, config):
    spans = ("hold", 4, 0.9, 0.7), ("hold", 4, 0.9, 0.5), ("hold", 4, 0.9, None)
    assert _why(match, config, *spans) == [["disagreement"], [], []]
    segments, intents = match(("hold", 4, 0.9, 0.7))
    first = intents.with_columns(pl.when(pl.col("t_ms") < 250).then("model_against").alias("model_against"))
    assert reasons(segments, first, threshold=0, config=_reasons(config)).to_list() == [[]]


def test_the_audit_is_the_same_share_of_segments_whoever_draws_it(match, config):
    names = [f"{number:016x}" for number in range(20_000)]
    drawn = [name for name in names if chance("audit", name) < 0.01]
    assert 150 < len(drawn) < 250
    second = [name for name in names if chance("second", name) < 0.1]
    assert 12 <= len(set(drawn) & set(second)) <= 32  # a tenth of those drawn: independent of each other
    segments, intents = match(("hold", 4, 0.9, None))
    segments = segments.with_columns(pl.lit(drawn[0]).alias("segment_id"))
    assert reasons(segments, intents, threshold=0, config=config.reasons).to_list() == [["audit"]]


def test_no_segments_are_no_reasons_and_no_jobs(config):
    nothing = reasons(empty("segments"), empty("intents"), threshold=0.6)
    assert nothing.to_list() == []
    assert nothing.dtype == pl.List(pl.String)
    assert jobs(empty("segments"), empty("intents"), empty("features")).is_empty()


def _features(*instants: int) -> pl.DataFrame:
    types = empty("features").schema
    rows = [{"match_id": "m", "player": "player:a", "t_ms": t, "speed_mps": t / 1000} for t in instants]
    return pl.DataFrame(rows, schema=types)


def test_a_job_carries_what_was_known_of_the_segment(match, config):
    segments, intents = match(("hold", 4, 0.5, None), ("peek", 4, 0.5, None))
    segments = segments.with_columns(pl.Series("review_reasons", [["low_confidence"], []]))
    (job,) = jobs(segments, intents, _features(0, 250, 500, 750, 1000)).to_dicts()
    assert (job["segment_id"], job["from_ms"], job["to_ms"], job["intent"]) == ("0" * 16, 0, 1000, "hold")
    looked = json.loads(job["features"])
    assert (looked["t_ms"], looked["speed_mps"]) == (500, 0.5)
    assert set(looked) == {"t_ms", *NAMES}
    said = json.loads(job["prediction"])
    assert said["hold"] == 0.5
    assert said["peek"] == pytest.approx(0.0625)
    assert not job["required"]


def test_a_clip_that_could_not_be_made_is_a_reason_of_its_own(match, config):
    segments, intents = match(("hold", 4, 0.9, None), ("peek", 4, 0.9, None))
    made = pl.DataFrame(
        {
            "segment_id": segments["segment_id"],
            "feasible": [False, True],
            "preview_uri": pl.Series([None, "a.png"], dtype=pl.String),
        }
    )
    (job,) = jobs(segments, intents, _features(0), made).to_dicts()
    assert (job["intent"], job["reasons"]) == ("hold", ["motion_failed"])


def test_what_is_required_comes_first_then_the_weightier_reason_then_the_less_sure(match, config):
    segments, intents = match(*(("hold", 4, sure, None) for sure in (0.5, 0.4, 0.9, 0.9)))
    why = [["low_confidence"], ["low_confidence"], ["disagreement"], ["sensitive_intent"]]
    found = jobs(segments.with_columns(pl.Series("review_reasons", why)), intents, empty("features"))
    assert found["from_ms"].to_list() == [3000, 2000, 1000, 0]
    assert found["required"].to_list() == [True, False, False, False]


def test_a_share_of_the_jobs_wants_two_people(match, config):
    segments, intents = match(*(("hold", 1, 0.5, None) for _ in range(500)))
    segments = segments.with_columns(pl.Series("review_reasons", [["audit"]] * 500))
    wanted = jobs(segments, intents, empty("features"))["wanted"].value_counts()
    by = dict(wanted.iter_rows())
    assert by[1] + by[2] == 500
    assert 25 <= by[2] <= 80


@pytest.mark.parametrize(
    ("verdict", "intent", "stands_for"),
    [("accept", None, "hold"), ("accept", "hold", "hold"), ("correct", "peek", "peek"), ("reject", None, None)],
)
def test_a_verdict_stands_for_an_intent_or_for_none(verdict, intent, stands_for):
    assert answer(verdict, "hold", intent) == stands_for


@pytest.mark.parametrize(
    ("verdict", "intent", "error"),
    [
        ("correct", None, BadDecision),
        ("correct", "hold", BadDecision),
        ("accept", "peek", BadDecision),
        ("reject", "peek", BadDecision),
        ("perhaps", None, BadDecision),
        ("correct", "camp", UnknownIntent),
    ],
)
def test_a_decision_that_says_two_things_or_nothing_is_refused(verdict, intent, error):
    with pytest.raises(error):
        answer(verdict, "hold", intent)


@pytest.mark.parametrize(
    ("answers", "wanted", "settled"),
    [
        ([], 1, Settled("open", 1)),
        (["hold"], 1, Settled("closed", 1, "accept", "hold")),
        (["hold"], 2, Settled("open", 2)),
        (["peek", "peek"], 2, Settled("closed", 2, "correct", "peek")),
        ([None], 1, Settled("closed", 1, "reject", None)),
        (["hold", "peek"], 2, Settled("open", 3)),
        (["hold", None, None], 3, Settled("closed", 3, "reject", None)),
        (["hold", "peek", None], 3, Settled("closed", 3, "disputed", None)),
    ],
)
def test_most_votes_win_and_a_tie_asks_a_third(answers, wanted, settled):
    assert settle("hold", answers, wanted) == settled


def _said(segments: pl.DataFrame, *verdicts: tuple[str | None, str | None]) -> pl.DataFrame:
    told = pl.DataFrame(verdicts, schema={"verdict": pl.String, "verdict_intent": pl.String}, orient="row")
    return segments.select("segment_id", "to_ms").head(told.height).hstack(told)


def test_what_waits_for_a_required_review_is_not_final_and_what_people_say_is(match, config):
    segments, _ = match(*(("hold", 4, 0.9, None) for _ in range(6)))
    sensitive = ["sensitive_intent"]
    segments = segments.with_columns(
        pl.Series("review_reasons", [sensitive, sensitive, sensitive, sensitive, ["low_confidence"], []])
    )
    said = _said(segments, (None, None), ("accept", "hold"), ("correct", "peek"), ("reject", None))
    final = published(segments, said)
    assert final.select("from_ms", "intent", "reviewed").rows() == [
        (1000, "hold", True),
        (2000, "peek", True),
        (4000, "hold", False),
        (5000, "hold", False),
    ]
    assert final.drop("reviewed").schema == segments.schema


def test_a_verdict_counts_for_the_stretch_that_was_judged_whichever_model_cut_it(match):
    segments, _ = match(("hold", 4, 0.9, None))
    said = _said(segments, ("reject", None))
    assert published(segments, said).is_empty()
    assert published(segments, said.with_columns(pl.col("to_ms") + 250)).height == 1


def test_no_motion_is_made_of_a_sensitive_segment_before_it_is_accepted(match, config):
    segments, _ = match(*(("plant", 4, 0.9, None) for _ in range(4)), ("hold", 4, 0.9, None))
    said = _said(segments, (None, None), ("accept", "plant"), ("reject", None), ("disputed", None))
    allowed = animated(segments, said, _reasons(config, sensitive=("plant",)))
    assert allowed["from_ms"].to_list() == [1000, 4000]
    assert animated(segments, said, config.reasons).height == 5


def test_kappa_is_that_of_the_textbook_example():
    # Two readers, 50 proposals: both yes 20, both no 15, only the first yes 5, only the second yes 10; kappa 0.4.
    first = ["y"] * 25 + ["n"] * 25
    second = ["y"] * 20 + ["n"] * 5 + ["y"] * 10 + ["n"] * 15
    assert cohens_kappa(first, second) == pytest.approx(0.4)
    assert cohens_kappa(["a", "b"], ["a", "b"]) == 1
    assert cohens_kappa(["a", "b"], ["b", "a"]) == -1
    assert str(cohens_kappa(["a", "a"], ["a", "a"])) == "nan"
    assert str(cohens_kappa([], [])) == "nan"
    with pytest.raises(NotPaired):
        cohens_kappa(["a"], [])


def test_agreement_is_told_of_each_pair_over_the_jobs_that_both_judged():
    said = pl.DataFrame(
        [
            ("j1", "ann", "hold"),
            ("j1", "bob", "hold"),
            ("j2", "bob", None),
            ("j2", "ann", "peek"),
            ("j3", "cy", "hold"),
        ],
        schema=["job_id", "reviewer", "intent"],
        orient="row",
    )
    assert agreement(said).to_dicts() == [
        {"first": "ann", "second": "bob", "jobs": 2, "agreed": 0.5, "kappa": pytest.approx(1 / 3)}
    ]
    assert agreement(said.clear()).is_empty()
