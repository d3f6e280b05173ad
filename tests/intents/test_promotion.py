from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import pytest

from pipeline.intents.model import Manifest, classes
from pipeline.intents.promotion import BETTER, NO_BETTER, WORSE, compare, unseen
from pipeline.intents.training import learn, manifest, planned, split
from pipeline.intents.vocabulary import INTENTS


@dataclass(frozen=True)
class Says:
    """A model that says what it is told to, with that probability."""

    version: str
    said: np.ndarray
    sure: float = 0.8

    def probabilities(self, vectors: np.ndarray) -> np.ndarray:
        return np.eye(9)[self.said] * (self.sure - (1 - self.sure) / 8) + (1 - self.sure) / 8


@dataclass(frozen=True)
class Gives:
    """A model that gives these probabilities."""

    version: str
    given: np.ndarray

    def probabilities(self, vectors: np.ndarray) -> np.ndarray:
        return self.given


@pytest.fixture
def held(labelled: pl.DataFrame) -> pl.DataFrame:
    """Labelled rows on which no rule decides."""
    from pipeline.features.definition import NAMES

    return labelled.with_columns(pl.lit(None, pl.Float32).alias(name) for name in NAMES)


def wrong(truth: np.ndarray, share: float) -> np.ndarray:
    """The truth, but some of it another intent."""
    return np.where(np.random.default_rng(3).random(len(truth)) < share, (truth + 1) % 9, truth)


def test_a_challenger_that_is_right_more_often_is_promoted_with_the_reason(held, config):
    truth = classes(held["intent"])
    margins = config.training.promotion.model_copy(update={"calibration_error": 1.0})
    lenient = config.model_copy(update={"training": config.training.model_copy(update={"promotion": margins})})
    found = compare(Says("old", wrong(truth, 0.5)), Says("new", wrong(truth, 0.2)), held, lenient)
    assert (found.verdict, found.rows, len(found.matches)) == (BETTER, 2400, 6)
    assert "log-loss is better" in found.reasons[0]
    old, new, difference = found.measures["log_loss"]
    assert difference.value == pytest.approx(new - old)
    assert difference.high < 0
    assert found.table.filter(measure="macro_f1")["difference"].item() > 0.1


def test_the_same_again_and_a_hair_better_are_not_promoted(held, config):
    said = wrong(classes(held["intent"]), 0.3)
    other = said.copy()
    other[:2] = classes(held["intent"])[:2]
    for challenger in (said, other):
        found = compare(Says("old", said), Says("new", challenger), held, config)
        assert found.verdict == NO_BETTER
        assert "not better beyond its interval" in found.reasons[0]


def test_a_better_model_that_loses_an_intent_is_refused_and_the_intent_is_named(held, config):
    truth, defuse = classes(held["intent"]), INTENTS.index("defuse")
    champion, challenger = wrong(truth, 0.5), wrong(truth, 0.2)
    champion[truth == defuse] = defuse
    challenger[truth == defuse] = 0
    found = compare(Says("old", champion), Says("new", challenger), held, config)
    assert found.measures["log_loss"][2].high < 0  # it is better by what promotes
    assert found.verdict == WORSE
    assert any("f1_defuse falls" in reason for reason in found.reasons)
    assert not any("f1_hold" in reason for reason in found.reasons)


def test_a_better_model_that_is_less_calibrated_is_refused(held, config):
    said = wrong(classes(held["intent"]), 0.45)
    found = compare(Says("old", said, 0.15), Says("new", said, 0.85), held, config)
    assert found.measures["log_loss"][2].high < 0
    assert found.verdict == WORSE
    assert any("calibration_error_" in reason and " grows by " in reason for reason in found.reasons)


def test_one_round_is_no_sample_however_much_better_the_challenger_is(held, config):
    least = config.training.promotion.least_rounds
    for rounds, tells in ((1, False), (least - 1, False), (least, True)):
        rows = held.with_columns(
            match_id=pl.lit("m"), game=pl.lit("m"), round=pl.int_range(pl.len(), dtype=pl.Int32) % rounds
        )
        truth = classes(rows["intent"])
        better = compare(Says("old", wrong(truth, 0.5)), Says("new", truth, 0.99), rows, config)
        worse = compare(Says("old", truth, 0.99), Says("new", wrong(truth, 0.5)), rows, config)
        assert better.measures["log_loss"][2].high < 0  # the interval alone would promote it
        assert (better.verdict, worse.verdict) == ((BETTER, WORSE) if tells else (NO_BETTER, NO_BETTER))
        assert ("too few to tell" in better.reasons[0]) is not tells


def test_calibration_on_a_handful_of_rows_is_not_judged_and_the_intent_is_named(held, config):
    """All are 0.6 sure and right as often, but the challenger is overly sure of 30 rows that it calls defuse."""
    hold, defuse = INTENTS.index("hold"), INTENTS.index("defuse")
    rows = held.filter(~pl.col("intent").is_in(["defuse", "plant"]))
    said = classes(rows["intent"])
    sure = np.full((len(said), 9), 0.001)
    sure[np.arange(len(said)), said] = 0.992
    old, new = Gives("old", sure * 0.6 + 0.4 / 9), Gives("new", sure.copy())
    few = np.flatnonzero(said == hold)[:30]
    new.given[few, hold], new.given[few, defuse] = 0.7, 0.293
    old.given[:, defuse] = 0.001
    old.given[:] /= old.given.sum(axis=1, keepdims=True)
    found = compare(old, new, rows, config)
    assert found.measures["calibration_error_defuse"][1] > config.training.promotion.calibration_error
    assert found.verdict == BETTER
    assert found.reasons[-1].startswith("not judged, on too few rows: ")
    unjudged = found.reasons[-1].partition(": ")[2].split(", ")
    assert {"calibration_error_defuse", "f1_plant"} <= set(unjudged)
    assert "calibration_error_hold" not in unjudged
    assert "f1_hold" not in unjudged


def test_a_worse_model_is_refused(held, config):
    truth = classes(held["intent"])
    found = compare(Says("old", wrong(truth, 0.2)), Says("new", wrong(truth, 0.5)), held, config)
    assert found.verdict == WORSE
    assert any("log-loss is worse" in reason for reason in found.reasons)


def test_nothing_is_promoted_on_no_rows(held, config):
    found = compare(Says("old", np.zeros(0, int)), Says("new", np.zeros(0, int)), held[:0], config)
    assert (found.verdict, found.rows) == (NO_BETTER, 0)
    assert "no row" in found.reasons[0]


def test_both_are_judged_only_on_rows_that_neither_learned_from(labelled, quick):
    first = planned(labelled.filter(pl.col("match_id") < "m3"), quick)
    held = split(labelled, quick.training).filter(pl.col("part") == "test")
    known = set(first.matches) - set(first.held_out)
    assert set(unseen(held, first, labelled)["match_id"]) == set(held["match_id"]) - known
    rounds = replace(first, matches=("m0",), series=("m0",), held_out=("m0/3",))
    left = unseen(labelled, rounds, labelled)
    assert left.filter(match_id="m0")["round"].unique().to_list() == [3]
    assert left["match_id"].n_unique() == 6
    sisters = labelled.with_columns(series=pl.col("series").replace("m1", "m0"))
    assert set(unseen(sisters, rounds, sisters).filter(match_id="m1")["round"]) == set()
    names = tuple(f"m{n}" for n in range(6))
    assert unseen(labelled, replace(first, matches=names, series=names, held_out=()), labelled).is_empty()


def test_a_recording_that_comes_late_and_renames_the_series_does_not_hide_what_was_learned_from(labelled, quick):
    first = replace(planned(labelled.filter(pl.col("match_id") < "m3"), quick), held_out=("m2",))
    assert first.matches == first.series == ("m0", "m1", "m2")
    twin = pl.col("match_id").is_in(["m0", "m5"])
    named = {name: pl.when(twin).then(pl.lit("z")).otherwise(name) for name in ("series", "game")}
    assert set(unseen(labelled.with_columns(**named), first, labelled.with_columns(**named))["match_id"]) == {
        "m2", "m3", "m4"
    }  # fmt: skip
    held = labelled.with_columns(**named).filter(match_id="m5")  # the late one is held out, the other is not
    assert unseen(held, first, labelled.with_columns(**named)).is_empty()
    sisters = labelled.with_columns(series=pl.col("series").replace("m1", "m2"))  # the name of a series held out then
    assert set(unseen(sisters, first, sisters)["match_id"]) == {"m3", "m4", "m5"}


def test_two_recordings_of_a_match_weigh_as_one(held, config):
    truth = classes(held["intent"])
    twice = pl.concat([held, held.with_columns(match_id=pl.col("match_id") + "-again")])
    said = [wrong(truth, share) for share in (0.4, 0.35)]
    once = compare(Says("old", said[0]), Says("new", said[1]), held, config)
    both = compare(
        *(Says(name, np.tile(each, 2)) for name, each in zip(("old", "new"), said, strict=True)), twice, config
    )
    one, other = (found.measures["log_loss"][2] for found in (once, both))
    assert (other.low, other.high) == pytest.approx((one.low, one.high))
    assert len(both.matches) == 12


def test_the_same_rows_are_held_out_again_when_matches_are_added(labelled, quick):
    before: Manifest = planned(labelled.filter(pl.col("match_id") != "m5"), quick)
    after = planned(labelled, quick)
    held = split(labelled, quick.training).filter(pl.col("part") == "test")
    assert set(after.held_out) & set(before.held_out) or "m5" in after.held_out
    assert unseen(held, before, labelled).height > 0


def test_trained_models_are_compared_and_more_matches_are_no_worse(labelled, quick):
    held = labelled.filter(pl.col("match_id") == "m0")
    one = labelled.filter(pl.col("match_id") == "m1")[:80]
    many = labelled.filter(pl.col("match_id") > "m0")
    small, large = (learn(rows, manifest(rows, quick), quick) for rows in (one, many))
    assert compare(small, large, held, quick).measures["log_loss"][2].value < 0
    assert compare(large, small, held, quick).verdict != BETTER
