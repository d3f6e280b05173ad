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
    classes,
    train,
    vectors,
)
from pipeline.intents.training import cap, manifest, split
from pipeline.intents.vocabulary import INTENTS


def trained(labelled: pl.DataFrame, config) -> BoosterModel:
    return train(cap(split(labelled, config.training), config.training), manifest(labelled, config), config.training)


def test_the_prior_says_the_same_of_every_row(config, instants):
    prior = PriorModel.configured(config)
    found = prior.probabilities(vectors(instants(3)))
    assert found.shape == (3, 9)
    assert found.sum(axis=1) == pytest.approx(1)
    assert dict(zip(INTENTS, found[1], strict=True)) == config.prior
    assert prior.version.startswith("prior")


def test_the_same_manifest_is_the_same_model_to_the_byte(labelled, quick):
    first, second = trained(labelled, quick), trained(labelled.clone(), quick)
    assert first.version == second.version
    assert first.files() == second.files()


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


def test_a_reloaded_model_predicts_the_same_bits_in_any_batching(labelled, quick):
    model = trained(labelled, quick)
    again = BoosterModel.from_files(model.files())
    seen = vectors(labelled)
    whole = model.probabilities(seen)
    assert whole.sum(axis=1) == pytest.approx(1)
    assert again.version == model.version
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
def test_a_missing_or_damaged_file_is_named(labelled, quick, damaged, damage):
    files = trained(labelled, quick).files()
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
def test_trees_that_are_not_ours_are_refused_with_a_reason(labelled, quick, before, after, why):
    files = trained(labelled, quick).files()
    assert before.encode() in files[MODEL]
    text = files[MODEL].replace(before.encode(), after.encode())
    calibrated = json.loads(files[CALIBRATION]) | {"model_sha256": hashlib.sha256(text).hexdigest()}
    with pytest.raises(UnusableModel, match=rf"model\.txt.*{why}"):
        BoosterModel.from_files(files | {MODEL: text, CALIBRATION: json.dumps(calibrated).encode()})


def test_a_model_for_other_features_is_refused(labelled, quick):
    files = trained(labelled, quick).files()
    fields = json.loads(files[MANIFEST])
    fields["features"][0] = "charm"
    with pytest.raises(UnusableModel, match="charm, speed_mps; retrain"):
        BoosterModel.from_files(files | {MANIFEST: json.dumps(fields).encode()})


def test_one_intent_alone_cannot_be_trained(labelled, quick):
    with pytest.raises(UnusableModel, match="1 intents"):
        trained(labelled.with_columns(intent=pl.lit("hold")), quick)


def test_calibration_is_never_worse_on_the_rows_it_was_fitted_on(labelled, quick):
    model = trained(labelled, quick)
    held = split(labelled, quick.training).filter(pl.col("part") == "calibration")
    scores, truth = model.scores(vectors(held)), classes(held["intent"])
    for sharpness in (0.2, 1.0, 5.0):
        fitted = calibration.fit(scores * sharpness, truth, model.calibration.log_weights)
        plain = Calibration(1.0, model.calibration.log_weights)
        losses = [calibration.log_loss(each.probabilities(scores * sharpness), truth) for each in (fitted, plain)]
        assert losses[0] <= losses[1]


def test_calibration_finds_how_much_too_sure_the_scores_are():
    random = np.random.default_rng(0)
    scores = random.normal(size=(20_000, 9)) * 2
    truth = np.array([random.choice(9, p=row) for row in calibration.softmax(scores)])
    assert calibration.fit(scores * 3, truth, (0.0,) * 9).temperature == pytest.approx(3, rel=0.05)
    assert calibration.fit(scores[:0], truth[:0], (0.0,) * 9).temperature == 1


def test_class_weights_leave_rare_intents_at_their_natural_rate(labelled, quick):
    model = trained(labelled, quick)
    rate = (labelled["intent"] == "defuse").mean()
    column = INTENTS.index("defuse")
    corrected = model.probabilities(vectors(labelled))[:, column].mean()
    weighted = calibration.softmax(model.scores(vectors(labelled)))[:, column].mean()
    assert abs(corrected - rate) < abs(weighted - rate)
    assert corrected == pytest.approx(rate, abs=0.01)
