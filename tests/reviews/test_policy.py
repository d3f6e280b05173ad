"""Which segments are looked at and why, and what decisions come to: no database."""

import json

import polars as pl
import pytest
from pydantic import ValidationError

from configs.review import JobsConfig, ReasonsConfig, ReviewConfig
from pipeline.features.definition import NAMES
from pipeline.intents.agreement import NotPaired, agreement, cohens_kappa, with_people
from pipeline.intents.review import (
    BadDecision,
    Settled,
    UnknownIntent,
    animated,
    answer,
    chance,
    doubtful,
    is_sensitive_intent,
    jobs,
    reasons,
    settle,
    standing,
    with_gold,
)
from pipeline.intents.vocabulary import INTENTS, PROBABILITIES
from pipeline.tables import conform, empty


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


def test_a_match_asks_no_more_than_people_can_judge_but_all_that_must_be_judged_and_the_whole_audit(match, config):
    segments, intents = match(*(("hold", 1, 0.5, None) for _ in range(40)))
    why = [["low_confidence"]] * 20 + [["disagreement"]] * 4 + [["audit"]] * 9 + [["sensitive_intent"]] * 7
    segments = segments.with_columns(pl.Series("review_reasons", why))

    def found(most: int) -> dict[str, int]:
        few = config.model_copy(update={"jobs": config.jobs.model_copy(update={"optional_per_match": most})})
        asked = jobs(segments, intents, empty("features"), config=few)
        return dict(asked["reasons"].list.first().value_counts().iter_rows())

    assert found(0) == {"audit": 9, "sensitive_intent": 7}
    assert found(5) == {"audit": 9, "sensitive_intent": 7, "disagreement": 4, "low_confidence": 1}
    assert found(24) == {"audit": 9, "sensitive_intent": 7, "disagreement": 4, "low_confidence": 20}
    assert doubtful(segments).height == 40


def test_what_is_sensitive_is_always_asked_about(config):
    values = config.jobs.model_dump()
    with pytest.raises(ValidationError, match="sensitive_intent"):
        JobsConfig.model_validate(values | {"required": ["audit"]})


def _said(segments: pl.DataFrame, *verdicts: tuple[str | None, str | None]) -> pl.DataFrame:
    told = pl.DataFrame(verdicts, schema={"verdict": pl.String, "verdict_intent": pl.String}, orient="row")
    standing = told.select(
        pl.when(pl.col("verdict").is_null()).then(pl.lit("open")).otherwise(pl.lit("closed")).alias("state"),
        pl.lit(False).alias("required"),
    )
    return segments.select("segment_id", "to_ms").head(told.height).hstack(told).hstack(standing)


def _final(segments: pl.DataFrame, said: pl.DataFrame) -> pl.DataFrame:
    return standing(segments, said).filter(pl.col("standing") == "final")


def test_what_waits_for_a_required_review_is_not_final_and_what_people_say_is(match, config):
    segments, _ = match(*(("hold", 4, 0.9, None) for _ in range(6)))
    sensitive = ["sensitive_intent"]
    segments = segments.with_columns(
        pl.Series("review_reasons", [sensitive, sensitive, sensitive, sensitive, ["low_confidence"], []])
    )
    said = _said(segments, (None, None), ("accept", "hold"), ("correct", "peek"), ("reject", None))
    final = _final(segments, said)
    assert final.select("from_ms", "intent", "reviewed").rows() == [
        (1000, "hold", True),
        (2000, "peek", True),
        (4000, "hold", False),
        (5000, "hold", False),
    ]
    assert final.drop("reviewed", "standing").schema == segments.schema


def test_what_keeps_a_segment_from_being_final_is_told(match, config):
    segments, _ = match(*(("hold", 4, 0.9, None) for _ in range(5)))
    sensitive = ["sensitive_intent"]
    reasons = pl.Series("review_reasons", [sensitive, sensitive, [], [], []])
    said = _said(segments, (None, None), ("disputed", None), ("reject", None), ("disputed", None), (None, None))
    stood = standing(segments.with_columns(reasons), said)
    assert stood["standing"].to_list() == ["waiting", "disputed", "rejected", "final", "final"]
    failed_clip = said.with_columns(pl.Series("required", [False] * 4 + [True]))
    assert standing(segments.with_columns(reasons), failed_clip)["standing"].to_list()[3:] == ["final", "waiting"]
    assert standing(segments.clear(), said.clear()).is_empty()


def test_a_verdict_counts_for_the_stretch_that_was_judged_whichever_model_cut_it(match):
    segments, _ = match(("hold", 4, 0.9, None))
    said = _said(segments, ("reject", None))
    assert _final(segments, said).is_empty()
    assert _final(segments, said.with_columns(pl.col("to_ms") + 250)).height == 1


def test_no_motion_is_made_of_a_sensitive_segment_before_it_is_accepted(match, config):
    segments, _ = match(*(("plant", 4, 0.9, None) for _ in range(4)), ("hold", 4, 0.9, None))
    said = _said(segments, (None, None), ("accept", "plant"), ("reject", None), ("disputed", None))
    allowed = animated(segments, said, _reasons(config, sensitive=("plant",)))
    assert allowed["from_ms"].to_list() == [1000, 4000]
    assert animated(segments, said, config.reasons).height == 5


def test_what_people_correct_to_a_sensitive_intent_is_not_animated_either(match, config):
    segments, _ = match(*(("hold", 4, 0.9, None) for _ in range(2)))
    said = _said(segments, ("correct", "plant"), ("correct", "peek"))
    allowed = animated(segments, said, _reasons(config, sensitive=("plant",)))
    assert allowed["from_ms"].to_list() == [1000]


def _labels(*intents: str | None) -> pl.DataFrame:
    rows = [
        {"match_id": "m", "player": "player:a", "t_ms": 250 * i, "intent": said, "rules": ["r"], "horizon_ms": 0}
        | ({} if said is None else {"p_hold": 0.7, "p_peek": 0.3})
        for i, said in enumerate(intents)
    ]
    return conform("labels", pl.DataFrame(rows, schema=empty("labels").schema))


def _gold(*said: tuple[int, int, str | None, int]) -> pl.DataFrame:
    rows = [("player:a", start, end, intent, at) for start, end, intent, at in said]
    types = {"player": pl.String, "from_ms": pl.Int64, "to_ms": pl.Int64, "intent": pl.Enum(INTENTS), "at": pl.Int64}
    frame = pl.DataFrame(rows, schema=types, orient="row")
    return frame.with_columns(pl.from_epoch("at", "ms").dt.replace_time_zone("UTC").alias("decided_at"))


def test_gold_stands_in_place_of_what_rules_say_and_none_of_the_nine_is_no_label():
    labels = _labels("hold", "hold", None, "hold", "hold")
    found = with_gold(labels, _gold((250, 750, "peek", 1), (750, 1000, None, 1)))
    assert conform("labels", found)["intent"].to_list() == ["hold", "peek", "peek", None, "hold"]
    assert found["rules"].to_list() == [["r"], ["gold"], ["gold"], ["gold"], ["r"]]
    assert found.row(1, named=True)["p_peek"] == 1
    assert sum(found.row(1, named=True)[name] for name in PROBABILITIES) == 1
    assert found.select(PROBABILITIES).row(3) == (None,) * 9
    untouched = found.filter(pl.col("rules").list.first() == "r")
    assert untouched.equals(labels.filter(pl.col("t_ms").is_in([0, 1000])))
    assert with_gold(labels, _gold()).equals(labels)


def test_of_overlapping_gold_what_was_decided_last_counts():
    labels = _labels("hold", "hold", "hold")
    found = with_gold(labels, _gold((0, 750, "peek", 5), (250, 500, "trade", 9), (500, 750, "rotate", 2)))
    assert found["intent"].to_list() == ["peek", "trade", "peek"]


def test_agreement_with_people_is_that_of_the_audit_apart_from_the_doubtful():
    gold = pl.DataFrame(
        [
            ("hold", "hold", ["audit"]),
            ("hold", None, ["audit", "low_confidence"]),
            ("peek", "hold", ["low_confidence"]),
        ],
        schema={"predicted": pl.String, "intent": pl.String, "reasons": pl.List(pl.String)},
        orient="row",
    )
    told = with_people(gold)
    assert (told["judged_by_people"], told["judged_in_audit"]) == (3, 2)
    assert (told["right_by_people"], told["right_in_audit"]) == (pytest.approx(1 / 3), 0.5)
    assert with_people(gold.clear()) == {"judged_by_people": 0, "judged_in_audit": 0}


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
