"""Measures and baselines say of made-up cases what is known of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from configs.scenes import ScenesConfig
from configs.trajectories import TrajectoriesConfig
from pipeline.trajectories.baselines import constant_velocity, damped_velocity, stay_put
from pipeline.trajectories.batches import Batch, Batches
from pipeline.trajectories.corpus import STORY, Corpus, Unusable, opened
from pipeline.trajectories.evaluation import WHOLE, errors, gains, judged, static
from pipeline.trajectories.ground import Trodden, mirrored, offsets
from pipeline.trajectories.recognition import Recogniser, looks
from pipeline.trajectories.report import Outcome, goals, page
from resources.training import history


def _straight(corpus: Corpus, config: TrajectoriesConfig, scenes: ScenesConfig) -> Batch:
    """One who runs at 5 m/s along x, of which two seconds are known."""
    batches = Batches(corpus, config, scenes.human.head, 5, 1)
    samples = corpus.samples(corpus.where("train")[:1])
    way = np.stack([0.2 * np.arange(250), np.zeros(250)], axis=1)[None].astype(np.float32)
    return batches._framed(replace(samples, position=way), np.array([50]), np.array([False]),
                           np.zeros((1, corpus.vectors.shape[1]), np.float32), np.array([False]),
                           np.zeros((1, config.ground.cells), np.uint8))  # fmt: skip


def test_baselines_do_as_their_names_say(corpus: Corpus, config: TrajectoriesConfig, scenes: ScenesConfig) -> None:
    batch = _straight(corpus, config, scenes)
    told = config.evaluation.horizons_s
    stay, constant = (errors(f(batch), batch.way, 50, 25, told) for f in (stay_put, constant_velocity))
    assert constant["4"] == pytest.approx((0.0, 0.0), abs=1e-3)
    assert stay["1"] == pytest.approx((2.6, 5.0), abs=0.01)
    assert stay["4"][1] == pytest.approx(20.0, abs=0.01)
    damped = errors(damped_velocity(batch, 2.0), batch.way, 50, 25, told)
    assert damped["2"][1] == pytest.approx(10.0 - 10.0 * (1 - np.exp(-1.0)), abs=0.01)
    assert set(stay) == {"0.5", "1", "2", "4", WHOLE}


def test_a_horizon_beyond_the_sample_is_left_out() -> None:
    way = np.zeros((2, 30, 2), np.float32)
    assert set(errors(way, way, 10, 25, (0.5, 1.0))) == {"0.5", WHOLE}


def test_gains_are_against_the_best_of_the_plain_baselines(config: TrajectoriesConfig) -> None:
    ades = {"stay_put": 3.0, "constant_velocity": 1.5, "damped_velocity": 2.0, "nearest_prompt": 0.1, "model": 1.2}
    rows = [("matches", 5, method, "1", ade, ade) for method, ade in ades.items()]
    found = gains(pl.DataFrame(rows, ["part", "samples", "method", "horizon", "ade_m", "fde_m"], orient="row"), config)
    (row,) = found.rows(named=True)
    assert row["best"] == "constant_velocity"
    assert row["gain"] == pytest.approx(0.2)
    assert row["met"]


def test_the_ground_shows_where_somebody_went_before_and_not_what_comes_later(config: TrajectoriesConfig) -> None:
    ground = config.ground
    t = np.arange(0, 4000, 125)
    tracks = pl.DataFrame({"t_ms": t, "x_mm": (t * 5).astype(np.int64), "z_mm": np.full(len(t), 700)})
    trodden = Trodden(tracks, ground)
    here, ahead = np.array([[0.1, 0.7]]), np.array([0.0])
    early, late, never = (trodden.around(here, ahead, np.array([at]))[0] for at in (1000, 5000, 0))
    along, across = offsets(ground)
    assert set(along[late > 0]) >= {0.0, 6.0, 12.0, 18.0}
    assert along[early > 0].max() < 6.0
    assert np.abs(across[late > 0]).max() <= ground.cell_m
    assert not never.any()
    behind = trodden.around(np.array([[18.1, 0.7]]), np.array([np.pi]), np.array([5000]))[0]
    assert behind[(along == 18.0) & (across == 0.0)].all()
    assert np.array_equal(mirrored(mirrored(late[None], ground), ground)[0], late)


def test_the_classifier_knows_running_from_waving(corpus: Corpus, scenes: ScenesConfig) -> None:
    at = corpus.where("train", STORY)
    half = len(at) // 2
    features, actions = looks(corpus.samples(at[:half]), scenes.human.head)
    judge = Recogniser.learned(features, actions, most=3000)
    features, actions = looks(corpus.samples(at[half:]), scenes.human.head)
    assert (judge.recognised(features) == actions).mean() > 0.6  # of 19 that there are


def test_a_model_is_judged_on_all_parts_and_the_page_tells_of_it(
    trained: Path, corpus: Corpus, config: TrajectoriesConfig, scenes: ScenesConfig
) -> None:
    pytest.importorskip("torch")
    from pipeline.trajectories.model import TrajectoryModel

    few = config.model_copy(update={"evaluation": config.evaluation.model_copy(update={"samples": 24})})
    model = TrajectoryModel.load(trained / "best.safetensors")
    found = judged(model, corpus, few, scenes)
    assert set(found.forecasts["part"]) >= {
        "matches",
        "matches, who move",
        "stories",
        "stories, told",
        "held-out theme",
    }
    assert found.forecasts["ade_m"].is_finite().all()
    value = {
        (r["motion"], r["measure"]): r["value"] for r in found.motions.filter(pl.col("part") == "test").rows(named=True)
    }
    assert value["true", "ade_m"] == 0
    assert value["static", "way_ratio"] == 0
    assert value["static", "foot_slide_mps"] > value["true", "foot_slide_mps"]
    assert value["finished", "bone_variation"] < 0.001 < value["model", "bone_variation"]
    assert value["true", "recognised"] > 0.6
    text = page(Outcome(model, corpus, history(trained), found), few)
    for words in ("# Movement that is learned", "constant velocity", "before: limbs move", "## Goals"):
        assert words in text
    assert f"{model.shape.parameters:,} parameters" in text
    assert "scripted gait" in text
    assert "the model of intents may have been trained on matches that are held out here" in text
    told = {name: (bones, good) for name, bones, _, good in goals(found, few) if name.startswith("variation of bone")}
    assert told["variation of bone lengths, as found"] == (value["model", "bone_variation"], False)
    assert told["variation of bone lengths, as films show it, which sets them"][1]


def test_a_corpus_that_the_model_did_not_learn_from_is_refused(trained: Path, corpus: Corpus) -> None:
    pytest.importorskip("torch")
    from pipeline.trajectories.model import TrajectoryModel

    model = TrajectoryModel.load(trained / "best.safetensors")
    model.ensure_learned_from(corpus)
    model.ensure_learned_from(opened(trained / "corpus"))
    other = replace(corpus, split=np.roll(corpus.split, 1))
    with pytest.raises(Unusable, match="train anew"):
        model.ensure_learned_from(other)


def test_static_motion_goes_nowhere(corpus: Corpus) -> None:
    samples = static(corpus.samples(corpus.where("train", STORY)[:2]))
    assert not samples.position.any()
    assert samples.joints.any()
