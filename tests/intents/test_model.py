import hashlib
import json

import numpy as np
import polars as pl
import pytest

from pipeline.intents import calibration
from pipeline.intents.calibration import Calibration
from pipeline.intents.model import (
    CALIBRATION,
    MANIFEST,
    MODEL,
    BoosterModel,
    PriorModel,
    UnusableModel,
    vectors,
)
from pipeline.intents.training import learn, manifest
from pipeline.intents.vocabulary import INTENTS


def trained(labelled: pl.DataFrame, config) -> BoosterModel:
    return learn(labelled, manifest(labelled, config), config)


def test_the_prior_says_the_same_of_every_row(config, instants):
    prior = PriorModel.configured(config)
    found = prior.probabilities(vectors(instants(3)))
    assert found.shape == (3, 9)
    assert found.sum(axis=1) == pytest.approx(1)
    assert dict(zip(INTENTS, found[1], strict=True)) == config.prior
    assert prior.version.startswith("prior")


def test_the_same_manifest_is_the_same_model_to_the_byte(labelled, quick, learned):
    second = trained(labelled.clone(), quick)
    assert learned.version == second.version
    assert learned.files() == second.files()


def test_another_row_seed_or_setting_is_another_version(labelled, quick):
    version = manifest(labelled, quick).version
    seeded = quick.model_copy(update={"training": quick.training.model_copy(update={"seed": 1})})
    moved = labelled.with_columns(pl.col("speed_mps") + (pl.col("t_ms") == 0))
    relabelled = labelled.with_columns(intent=pl.when(pl.col("t_ms") == 0).then(pl.lit("hold")).otherwise("intent"))
    others = (
        manifest(labelled, seeded),
        manifest(moved, quick),
        manifest(relabelled, quick),
        manifest(labelled[1:], quick),
    )
    assert len({version, *(other.version for other in others)}) == 5


def test_a_reloaded_model_predicts_the_same_bits_in_any_batching(labelled, learned):
    again = BoosterModel.from_files(learned.files())
    seen = vectors(labelled)
    whole = learned.probabilities(seen)
    assert whole.sum(axis=1) == pytest.approx(1)
    assert again.version == learned.version
    assert again.probabilities(seen).tobytes() == whole.tobytes()
    for size in (1, 7, 300):
        parts = [again.probabilities(seen[:, start : start + size]) for start in range(0, labelled.height, size)]
        assert np.concatenate(parts).tobytes() == whole.tobytes()
    assert again.probabilities(seen[:, :0]).shape == (0, 9)


def test_an_unknown_value_reaches_the_trees_as_not_a_number(labelled):
    assert np.isnan(vectors(labelled)).sum() == labelled["bomb_m"].null_count() > 0


@pytest.mark.parametrize("damaged", [MODEL, CALIBRATION, MANIFEST])
@pytest.mark.parametrize(
    "damage", [lambda content: None, lambda content: content[:-40], lambda content: b"\xff" + content]
)
def test_a_missing_or_damaged_file_is_named(learned, damaged, damage):
    files = learned.files()
    content = damage(files.pop(damaged))
    with pytest.raises(UnusableModel, match=damaged.replace(".", r"\.")):
        BoosterModel.from_files(files if content is None else files | {damaged: content})


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ("num_tree_per_iteration=9", "num_tree_per_iteration=3", "other features or classes"),
        ("feature_names=speed_mps", "feature_names=charm", "other features or classes"),
        ("num_cat=0", "num_cat=1", "tree 0 has categorical splits"),
        ("left_child=", "left_child=0 ", r"tree 0 is damaged: \d+ of \d+ left_child"),
    ],
)
def test_trees_that_are_not_ours_are_refused_with_a_reason(learned, before, after, why):
    files = learned.files()
    assert before.encode() in files[MODEL]
    text = files[MODEL].replace(before.encode(), after.encode())
    calibrated = json.loads(files[CALIBRATION]) | {"model_sha256": hashlib.sha256(text).hexdigest()}
    with pytest.raises(UnusableModel, match=rf"model\.txt.*{why}"):
        BoosterModel.from_files(files | {MODEL: text, CALIBRATION: json.dumps(calibrated).encode()})


def test_a_model_for_other_features_is_refused(learned):
    files = learned.files()
    fields = json.loads(files[MANIFEST])
    fields["features"][0] = "charm"
    with pytest.raises(UnusableModel, match="charm, speed_mps; retrain"):
        BoosterModel.from_files(files | {MANIFEST: json.dumps(fields).encode()})


def test_one_intent_alone_cannot_be_trained(labelled, quick):
    with pytest.raises(UnusableModel, match="1 intents"):
        trained(labelled.with_columns(intent=pl.lit("hold")), quick)


def drawn(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Right log-probabilities, and classes that were drawn from them."""
    random = np.random.default_rng(seed)
    scores = random.normal(size=(count, 9)) * 2
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return scores, (probabilities.cumsum(axis=1) < random.random((count, 1))).sum(axis=1).clip(max=8)


def calibrated(scores: np.ndarray, truth: np.ndarray) -> Calibration:
    return calibration.fit(scores, truth, (0.0,) * 9, caution=60, least=1e-4)


@pytest.mark.parametrize("sharpness", [0.3, 1.0, 3.0])
def test_calibration_takes_back_what_scores_are_too_sure_of_on_rows_it_never_saw(sharpness):
    fitted = calibrated(*(each if each.ndim == 1 else each * sharpness for each in drawn(20_000, 0)))
    scores, truth = drawn(20_000, 1)
    right = calibration.log_loss(Calibration.plain((0.0,) * 9).probabilities(scores), truth)
    found = fitted.probabilities(scores * sharpness)
    assert found.sum(axis=1) == pytest.approx(1)
    assert calibration.log_loss(found, truth) < right + 0.03
    plain = calibration.log_loss(Calibration.plain((0.0,) * 9).probabilities(scores * sharpness), truth)
    assert sharpness == 1 or plain > right + 0.1


def test_calibration_undoes_a_shift_of_one_intent_into_another():
    scores, truth = drawn(20_000, 0)
    swapped = np.where(np.random.default_rng(2).random(len(truth)) < 0.5, np.where(truth == 0, 3, truth), truth)
    found = calibrated(scores, swapped).probabilities(scores)
    assert found[:, 0].mean() == pytest.approx((swapped == 0).mean(), abs=0.015)
    assert found[:, 3].mean() == pytest.approx((swapped == 3).mean(), abs=0.015)


def test_few_rows_move_the_linear_map_little_and_none_leave_the_scores_alone():
    few = np.array(calibrated(*drawn(30, 0)).matrix)
    assert np.abs(few - np.eye(9)).max() < 0.2
    scores, truth = drawn(0, 0)
    assert calibrated(scores, truth) == Calibration.plain((0.0,) * 9)


def test_an_instant_is_calibrated_alike_in_any_company():
    scores, truth = drawn(2_000, 0)
    fitted = calibrated(scores, truth)
    whole = fitted.probabilities(scores)
    assert np.concatenate([fitted.probabilities(row[None]) for row in scores[:50]]).tobytes() == whole[:50].tobytes()


def test_class_weights_leave_rare_intents_at_their_natural_rate(labelled, learned):
    rate = (labelled["intent"] == "defuse").mean()
    column = INTENTS.index("defuse")
    corrected = learned.probabilities(vectors(labelled))[:, column].mean()
    weighted = Calibration.plain((0.0,) * 9).probabilities(learned.scores(vectors(labelled)))[:, column].mean()
    assert abs(corrected - rate) < abs(weighted - rate)
    assert corrected == pytest.approx(rate, abs=0.01)
