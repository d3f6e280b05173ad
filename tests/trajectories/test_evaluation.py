"""Measures and baselines say of made-up cases what is known of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from configs.scenes import ScenesConfig
from configs.trajectories import TrajectoriesConfig
from pipeline.trajectories.baselines import constant_velocity, damped_velocity, recalled, stay_put
from pipeline.trajectories.batches import Batch, framed
from pipeline.trajectories.corpus import STORY, Corpus, Unusable, opened
from pipeline.trajectories.evaluation import WHOLE, Judgement, errors, gains, interval, judged, static
from pipeline.trajectories.recall import meant, nothing
from pipeline.trajectories.recognition import Recogniser, looks
from pipeline.trajectories.report import Outcome, goals, met, page
from resources.training import history


def _straight(corpus: Corpus, config: TrajectoriesConfig, scenes: ScenesConfig) -> Batch:
    """One who runs at 5 m/s along x, of which two seconds are known."""
    samples = corpus.samples(corpus.where("train")[:1])
    way = np.stack([0.2 * np.arange(250), np.zeros(250)], axis=1)[None].astype(np.float32)
    return framed(replace(samples, position=way), np.array([50]), np.array([False]),
                  np.zeros((1, corpus.vectors.shape[1]), np.float32), np.array([False]),
                  nothing(1, config.recall), config, scenes)  # fmt: skip


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


def test_what_is_recalled_is_gone_by_as_far_as_anything_is(
    corpus: Corpus, config: TrajectoriesConfig, scenes: ScenesConfig
) -> None:
    batch, least = _straight(corpus, config, scenes), config.recall.least
    assert np.allclose(recalled(batch, 2.0, least), damped_velocity(batch, 2.0))
    alike = np.ones_like(batch.alike)
    ways = np.zeros_like(batch.recalled)
    ways[..., 1] = 3.0
    after = np.where(batch.seen, 0.0, batch.after)
    found = recalled(replace(batch, alike=alike, came=meant(ways, alike, after, config.recall)), 2.0, least)
    assert np.allclose(found[0, :50], batch.way[0, :50])
    assert found[0, -1, 1] == pytest.approx(3.0, rel=0.02)
    assert abs(found[0, -1, 0]) < 0.02 * damped_velocity(batch, 2.0)[0, -1, 0]


def test_a_horizon_beyond_the_sample_is_left_out() -> None:
    way = np.zeros((2, 30, 2), np.float32)
    assert set(errors(way, way, 10, 25, (0.5, 1.0))) == {"0.5", WHOLE}


def test_gains_are_against_the_best_of_the_plain_baselines(config: TrajectoriesConfig) -> None:
    ades = {"stay_put": 3.0, "constant_velocity": 1.5, "damped_velocity": 2.0, "nearest_prompt": 0.1, "model": 1.2}
    rows = [("matches", 5, method, "1", ade, ade, 0.1, 0.3) for method, ade in ades.items()]
    names = ["part", "samples", "method", "horizon", "ade_m", "fde_m", "low", "high"]
    found = gains(pl.DataFrame(rows, names, orient="row"), config)
    (row,) = found.rows(named=True)
    assert row["best"] == "constant_velocity"
    assert row["gain"] == pytest.approx(0.2)
    assert row["met"]
    assert (row["low"], row["high"]) == (0.1, 0.3)


@pytest.mark.parametrize(("low", "words"), [(0.1, "yes, within its interval"), (0.16, "yes"), (None, "yes")])
def test_a_goal_that_is_met_within_its_interval_is_told_apart(
    config: TrajectoriesConfig, low: float | None, words: str
) -> None:
    row = ("matches", "1", "damped_velocity", 0.2, low, 0.3, 0.15, True)
    none = pl.DataFrame(schema={"part": pl.String, "motion": pl.String, "measure": pl.String, "value": pl.Float64})
    found = Judgement(none, _gain(row), none, none)
    (line,) = [each for each in met(found, config).splitlines() if each.startswith("| forecasts")]
    assert line.endswith(f"| {words} |")
    missed = replace(found, gains=_gain((*row[:3], 0.1, 0.05, 0.3, 0.15, False)))
    assert "**no**" in met(missed, config)
    assert "within" not in met(missed, config).lower()


def test_speeds_are_held_to_the_table_on_every_part_and_a_miss_says_why(config: TrajectoriesConfig) -> None:
    kinds = {"part": pl.String, "action": pl.String, "frames": pl.Int64, "mps": pl.Float64, "table_mps": pl.Float64,
             "off": pl.Float64}  # fmt: skip
    offs = {"test": 0.04, "paraphrase": -0.062, "theme": -0.257}
    speeds = pl.DataFrame([(part, "run", 9, 5.0, 5.0, off) for part, off in offs.items()], kinds, orient="row")
    done = [(part, "model", "done", 0.5) for part in offs]
    motions = pl.DataFrame(done, ["part", "motion", "measure", "value"], orient="row")
    row = ("matches", "1", "damped_velocity", 0.2, 0.16, 0.3, 0.15, True)
    found = Judgement(pl.DataFrame(), _gain(row), motions, speeds)
    text = met(found, config)
    assert "stories it has not met | 4.0% | 5% | yes |" in text
    assert "a wording it has not met | 6.2% | 5% | **no** |" in text
    assert "a theme it has not met | 25.7% | 5% | **no** |" in text
    assert "test 50%, paraphrase 50%, theme 50%" in text
    assert "Speeds are off" not in met(replace(found, speeds=speeds.head(1)), config)


def _gain(row: tuple[object, ...]) -> pl.DataFrame:
    names = ["part", "horizon", "best", "gain", "low", "high", "goal", "met"]
    floats = {"low": pl.Float64, "high": pl.Float64}
    return pl.DataFrame([row], names, schema_overrides=floats, orient="row")


def test_a_gain_is_as_sure_as_its_stretches_are_many(config: TrajectoriesConfig) -> None:
    rng = np.random.default_rng(3)
    plain = rng.uniform(0.5, 1.5, (3, 400))
    own = 0.8 * plain.min(axis=0)
    each, few = np.arange(400), np.arange(400) // 100
    low, high = interval(own, plain[:1], each, config.evaluation)
    assert low < 1.0 - own.mean() / plain[0].mean() < high
    assert interval(0.8 * plain[0], plain[:1], few, config.evaluation) == pytest.approx((0.2, 0.2))
    wide = interval(own + (few == 0), plain[:1], few, config.evaluation)
    assert wide[1] - wide[0] > high - low


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

    fewer = config.evaluation.model_copy(update={"samples": 24, "windows": 48, "draws": 50})
    few = config.model_copy(update={"evaluation": fewer})
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
    assert value["finished", "bone_variation"] < 0.001
    assert value["model", "bone_variation"] < 0.001
    assert 0.0 <= value["model", "done"] <= 1.0
    assert value["true", "recognised"] > 0.6
    apart = found.forecasts.filter(pl.col("method") == "recalled")["part"].unique()
    assert {part.split(":")[0] for part in apart} == {"matches", "matches, who move"}
    text = page(Outcome(model, corpus, history(trained), found), few)
    for words in (
        "not from design",
        "# Movement that is learned",
        "constant velocity",
        "before: limbs move",
        "## Goals",
    ):
        assert words in text
    assert f"{model.shape.parameters:,} parameters" in text
    assert "| large | 384 × 6 × 8 | 5 | 50 | " in text
    assert "that pose, on that way" in text
    assert "scripted gait" not in text
    related = replace(
        Outcome(model, corpus, history(trained), found), series=dict.fromkeys(corpus.matches("test"), "s")
    )
    assert "Forecasts of strangers" not in page(related, few)
    taught = {**related.series, corpus.matches("train")[0]: "s"}
    assert f"with `{corpus.matches('train')[0]}`" in page(replace(related, series=taught), few)
    assert "no intent" in text
    gain = found.gains.filter(pl.col("part") == "matches", pl.col("horizon") == "1").row(0, named=True)
    assert gain["low"] - 1e-9 <= gain["gain"] <= gain["high"] + 1e-9
    assert f"[{gain['low']:+.1%}, {gain['high']:+.1%}]" in text
    told = {name: (bones, good) for name, bones, _, good in goals(found, few) if name.startswith("variation of bone")}
    assert told["variation of bone lengths, as found"] == (value["model", "bone_variation"], True)
    assert told["variation of bone lengths, as films show it"][1]


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
