import numpy as np
import polars as pl
import pytest

from pipeline.intents import evaluation, training
from pipeline.intents.card import card
from pipeline.intents.model import classes
from pipeline.intents.training import NothingToTrain, cap, fit, folds, learn, planned, samples, split


def test_rows_on_which_the_rules_abstain_are_not_trained_on(instants):
    features = instants(3, speed_mps=[1.0, 2.0, 3.0])
    labels = features.select("match_id", "player", "t_ms").with_columns(intent=pl.Series(["hold", None, "peek"]))
    found = samples(features, labels)
    assert found.select("speed_mps", "intent").rows() == [(1.0, "hold"), (3.0, "peek")]


def test_a_match_is_in_one_part_only_and_the_order_of_rows_changes_none(labelled, quick):
    found = split(labelled, quick.training)
    assert found.group_by("match_id").agg(pl.col("part").n_unique())["part"].to_list() == [1] * 6
    shuffled = split(labelled.sample(fraction=1, shuffle=True, seed=0), quick.training)
    assert shuffled.sort("match_id", "t_ms").equals(found.sort("match_id", "t_ms"))


def test_what_was_trained_on_is_never_judged_on_however_many_matches_come(labelled, quick):
    def parts(matches: int) -> dict[str, str]:
        named = [dict.fromkeys(("match_id", "series", "game"), pl.lit(f"n{number}")) for number in range(matches)]
        rows = pl.concat([labelled[:4].with_columns(**names) for names in named])
        return dict(split(rows, quick.training).select("match_id", "part").rows())

    few, many = parts(30), parts(90)
    assert few.items() <= many.items()
    assert 5 < sum(part == "test" for part in many.values()) < 35
    assert set(parts(3).values()) == {"train", "test"}  # the least of them is held out where the digest holds out none


def in_series(labelled: pl.DataFrame, size: int) -> pl.DataFrame:
    """The six matches as games of series of so many."""
    return labelled.with_columns(series=pl.format("s{}", pl.col("match_id").str.slice(1).cast(pl.Int32) // size))


def apart(frame: pl.DataFrame, column: str, within: str) -> list[int]:
    """How many values of a column there are within each of another."""
    return frame.group_by(within).agg(pl.col(column).n_unique())[column].to_list()


def test_the_games_of_a_series_stay_together(labelled, quick):
    found = split(in_series(labelled, 2), quick.training)
    assert apart(found, "part", "series") == [1] * 3
    assert apart(found.with_columns(fold=pl.Series(folds(found, quick.training))), "fold", "series") == [1] * 3


@pytest.mark.parametrize(
    ("size", "within", "units", "said"), [(3, "series", 2, "too few"), (6, "match_id", 6, "flatt")]
)
def test_with_few_series_no_match_is_torn_and_somebody_is_told(labelled, quick, caplog, size, within, units, said):
    games = in_series(labelled, size)
    trained = fit(games, quick)
    found = split(games, quick.training)
    assert apart(found, "part", within) == [1] * units
    assert set(found["part"]) == {"train", "test"}
    learned = found.filter(pl.col("part") == "train")
    assert apart(learned.with_columns(fold=pl.Series(folds(learned, quick.training))), "fold", "match_id") == [1] * (
        learned["match_id"].n_unique()
    )
    assert said in caplog.text
    held = set(found.filter(pl.col("part") == "test")[within])
    assert set(trained.model.manifest.held_out) == held
    caplog.clear()
    fit(in_series(labelled, 1), quick)
    assert not caplog.text


def test_two_recordings_of_a_match_are_never_on_both_sides(labelled, quick):
    twins = labelled.with_columns(game=pl.col("match_id").replace("m5", "m0"), series=pl.lit("s"))
    found = split(twins, quick.training)
    assert apart(found, "part", "game") == [1] * 5
    assert apart(found.with_columns(fold=pl.Series(folds(found, quick.training))), "fold", "game") == [1] * 5


def test_a_margin_of_promotion_gives_no_new_model_and_what_is_learned_from_does(labelled, quick):
    def version(**changed: object) -> str:
        training = quick.training.model_copy(update=changed)
        return planned(labelled, quick.model_copy(update={"training": training})).version

    same = planned(labelled, quick).version
    promotion = quick.training.promotion.model_copy(update={"macro_f1": 0.5})
    drift = quick.training.drift.model_copy(update={"warn": 9.0})
    assert version(promotion=promotion) == version(drift=drift) == same
    assert version(seed=1) != same
    rules = quick.heuristics[0].model_copy(update={"probability": 0.6}), *quick.heuristics[1:]
    assert planned(labelled, quick.model_copy(update={"heuristics": rules})).version != same
    assert planned(in_series(labelled, 2), quick).version != same


def test_one_match_is_split_by_whole_rounds(labelled, quick):
    found = split(labelled.filter(pl.col("match_id") == "m0"), quick.training)
    assert found.group_by("round").agg(pl.col("part").n_unique())["part"].to_list() == [1] * 8
    assert set(found["part"]) == {"train", "test"}
    assert all("/" in name for name in planned(labelled.filter(pl.col("match_id") == "m0"), quick).held_out)


def test_one_round_is_too_little_and_so_is_none(labelled, quick):
    with pytest.raises(NothingToTrain, match="1 rounds"):
        split(labelled.filter((pl.col("match_id") == "m0") & (pl.col("round") == 1)), quick.training)
    with pytest.raises(NothingToTrain, match="0 labelled rows"):
        fit(labelled[:0], quick)


def test_at_most_so_many_rows_of_a_match_are_trained_on(labelled, quick):
    kept = cap(labelled, quick.training.model_copy(update={"rows_per_match": 30}))
    assert kept.group_by("match_id").len()["len"].to_list() == [30] * 6
    assert kept.equals(cap(labelled, quick.training.model_copy(update={"rows_per_match": 30})))


def test_a_trained_model_beats_the_majority_and_says_against_what_it_was_judged(labelled, fitted):
    trained = fitted
    assert sum(trained.parts.values()) == labelled.height
    assert trained.parts["test"] == 400 * len(trained.model.manifest.held_out) > 0
    assert trained.metrics["model_macro_f1_vs_labels"] > 2 * trained.metrics["majority_macro_f1_vs_labels"]
    assert trained.metrics["model_log_loss_vs_labels"] < trained.metrics["majority_log_loss_vs_labels"]
    assert all(name.endswith("_vs_labels") for name in trained.metrics)
    assert set(trained.scores) == {"hybrid", "model", "heuristics", "majority"}
    assert set(trained.figures) == {"confusion.png", "reliability.png", "importance.png"}
    assert all(png.startswith(b"\x89PNG") for png in trained.figures.values())


def test_how_far_probabilities_keep_their_promise_is_measured_as_in_the_evaluation(labelled, quick, fitted):
    from sklearn.calibration import calibration_curve

    trained = fitted
    parts = split(labelled, quick.training)
    said = training.answers(trained.model, parts, quick)["hybrid"][:, 0]
    is_advance = classes(parts.filter(pl.col("part") == "test")["intent"]) == 0
    shown = said >= 0.05
    share, promised = calibration_curve(is_advance[shown], said[shown], n_bins=15, strategy="quantile")
    curve = trained.reliability["hybrid"]["advance"].curve
    assert sum(rows for *_, rows in curve) == shown.sum()
    assert [point[0] for point in curve] == pytest.approx(promised.tolist(), abs=0.1)  # equal ones are cut elsewhere
    assert [point[1] for point in curve] == pytest.approx(share.tolist(), abs=0.2)
    error = sum(rows * abs(came - said) for said, came, rows in curve) / shown.sum()
    assert trained.metrics["hybrid_calibration_error_advance_vs_labels"] == pytest.approx(error)


def test_only_rows_that_were_trained_on_are_counted_as_such(labelled, quick):
    few = quick.model_copy(update={"training": quick.training.model_copy(update={"rows_per_match": 100})})
    trained = fit(labelled, few)
    assert trained.parts["train"] == 100 * (6 - len(trained.model.manifest.held_out))
    assert f"{trained.parts['train']:,} rows of {labelled.height:,} labelled ones of 6 matches" in card(trained)


def test_rules_that_are_right_make_the_hybrid_better_than_the_model(labelled, quick):
    from configs.intents import Bound, Heuristic

    told = labelled.with_columns(shots_4s=pl.when(pl.col("intent") == "trade").then(99).otherwise(0))
    rule = Heuristic(name="told", intent="trade", probability=0.99, when={"shots_4s": Bound(min=99)})
    config = quick.model_copy(update={"heuristics": (rule,)})
    parts = split(told, config.training)
    ignorant = parts.filter((pl.col("part") == "train") & (pl.col("intent") != "trade"))
    blind = learn(ignorant, training.manifest(told, config), config)  # never sees the rows that the rule decides
    truth = classes(parts.filter(pl.col("part") == "test")["intent"])
    scores = {who: evaluation.score(said, truth) for who, said in training.answers(blind, parts, config).items()}
    assert scores["hybrid"].macro_f1 > scores["model"].macro_f1
    assert scores["hybrid"].log_loss < scores["model"].log_loss


def test_measures_of_a_known_confusion():
    truth = np.array([0, 0, 0, 2, 2])
    said = np.eye(9)[[0, 0, 2, 2, 1]] * 0.9 + 0.1 / 9
    found = evaluation.score(said, truth)
    assert found.f1[0] == pytest.approx(0.8)  # 2 of 3 found, nothing else called it
    assert found.f1[2] == pytest.approx(0.5)
    assert found.f1[1] == 0  # called once, never labelled
    assert np.isnan(found.f1[5])
    assert found.macro_f1 == pytest.approx(0.65)
    assert found.accuracy == pytest.approx(0.6)
    assert "x_f1_plant_vs_labels" not in found.metrics("x")
    assert np.isnan(evaluation.score(said[:0], truth[:0]).macro_f1)


def test_the_order_in_which_matches_are_read_changes_neither_version_nor_bytes(labelled, quick, fitted):
    shuffled = fit(labelled.sample(fraction=1, shuffle=True, seed=2), quick).model
    assert shuffled.files() == fitted.model.files()
