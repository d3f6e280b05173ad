"""Samples: what they hold, how they part, what their checks find, and what may not be learned from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from configs.scenes import ScenesConfig
from pipeline.scenes import speeds
from pipeline.scenes.captions import STYLES, Phrase, caption
from pipeline.scenes.dataset import Source, plan, story_shard
from pipeline.scenes.joints import bones
from pipeline.scenes.matches import NothingToTell, NotTrainable, admit, match_samples, retell, source_of
from pipeline.scenes.validation import CHECKS, findings
from pipeline.tables import SchemaViolation, conform, empty
from pipeline.trajectories.samples import Samples, Unlearnable, augmented, faster, mirrored_samples, of_rows


@pytest.fixture(scope="module")
def shard(config: ScenesConfig) -> pl.DataFrame:
    return story_shard(5, 0, 160, config)


@pytest.fixture(scope="module")
def samples(shard: pl.DataFrame, config: ScenesConfig) -> Samples:
    return of_rows(shard, speeds.names(config))


def test_a_shard_is_what_its_table_declares_and_the_same_each_time(shard: pl.DataFrame, config: ScenesConfig) -> None:
    assert conform("trajectories", shard).height == 160
    assert story_shard(5, 0, 160, config).equals(shard)
    assert story_shard(5, 0, 40, config).equals(shard.head(40))
    assert set(story_shard(5, 1, 20, config)["sample_id"]).isdisjoint(shard["sample_id"])
    assert plan(2500, config) == [1000, 1000, 500]


def test_windows_of_one_story_never_part_and_the_held_out_wording_is_no_training(
    shard: pl.DataFrame, config: ScenesConfig
) -> None:
    by_story = shard.with_columns(pl.col("split").cast(pl.String).replace("paraphrase", "train"))
    assert by_story.group_by("seed").agg(pl.col("split").n_unique())["split"].max() == 1
    held = shard.filter(pl.col("template").str.ends_with(f"/{config.dataset.held_out_style}"))
    assert held.height > 0
    assert "train" not in held["split"].cast(pl.String).to_list()
    assert "paraphrase" not in shard.filter(~pl.col("sample_id").is_in(held["sample_id"].to_list()))["split"].cast(
        pl.String
    )


def test_true_samples_pass_every_check(shard: pl.DataFrame, config: ScenesConfig) -> None:
    found = findings(shard, config)
    assert [finding.check for finding in found] == list(CHECKS)
    assert all(finding.passed for finding in found), found


@pytest.mark.parametrize("check", CHECKS)
def test_each_check_finds_what_it_is_for(check: str, shard: pl.DataFrame, config: ScenesConfig) -> None:
    rows, n = shard.head(60), config.window
    joints = rows["joints_m"].to_numpy().reshape(-1, n, 10, 2).copy()
    position = rows["position_m"].to_numpy().reshape(-1, n, 2).copy()
    heading = rows["heading_rad"].to_numpy().copy()
    if check == "speeds":
        position *= 0.5
    elif check == "teleports":
        position[3, 100:] += 2.0
    elif check == "facing":
        heading += 1.0
    elif check == "bone_lengths":
        joints[7, 30, 1, 1] += 0.05
    else:
        position += np.linspace(0.0, 4.0, n)[None, :, None]
    kinds = empty("trajectories").schema
    spoiled = rows.with_columns(
        pl.Series("joints_m", joints.reshape(len(joints), -1), kinds["joints_m"]),
        pl.Series("position_m", position.reshape(len(position), -1), kinds["position_m"]),
        pl.Series("heading_rad", heading, kinds["heading_rad"]),
    )
    failed = {finding.check for finding in findings(spoiled, config) if not finding.passed}
    assert check in failed


@pytest.mark.parametrize("column", ["joints_m", "position_m", "heading_rad", "speed_mps"])
def test_what_is_no_number_passes_not_every_check(column: str, shard: pl.DataFrame, config: ScenesConfig) -> None:
    rows = shard.head(20)
    values = rows[column].to_numpy().copy()
    values[3, :40] = np.nan
    spoiled = rows.with_columns(pl.Series(column, values, empty("trajectories").schema[column]))
    assert not all(finding.passed for finding in findings(spoiled, config))


def test_what_may_not_be_learned_from_is_refused_wherever_it_comes(shard: pl.DataFrame, config: ScenesConfig) -> None:
    derived = Source("match", "m", "match", 1, licence="HY-Motion 1.0", trainable=False)
    with pytest.raises(NotTrainable, match="HY-Motion"):
        admit(derived)
    forbidden = shard.head(2).with_columns(trainable=pl.lit(False), licence=pl.lit("HY-Motion 1.0"))
    with pytest.raises(SchemaViolation, match="may_be_learned"):
        conform("trajectories", forbidden)
    with pytest.raises(Unlearnable, match="HY-Motion"):
        of_rows(forbidden, speeds.names(config))


def test_a_match_that_its_operator_keeps_from_training_is_refused_by_id_or_pattern(config: ScenesConfig) -> None:
    kept = {"m1": "research only", "2578928-*": "GRID terms"}
    own = config.model_copy(update={"dataset": config.dataset.model_copy(update={"untrainable_matches": kept})})
    with pytest.raises(NotTrainable, match=r"m1.*research only"):
        match_samples(*_recorded(), config=own)
    assert source_of("2578928-3", own).licence == "GRID terms"
    assert not source_of("2578928-3", own).trainable
    assert source_of("2578929-3", own).trainable
    rows = match_samples(*_recorded(), config=config)
    assert rows["licence"].unique().to_list() == [config.dataset.match_licence]
    assert rows["trainable"].all()


def test_augmented_samples_are_true_as_well(samples: Samples, config: ScenesConfig) -> None:
    out = augmented(samples, np.random.default_rng(3), scale=0.0)
    again = augmented(samples, np.random.default_rng(3), scale=0.0)
    assert (out.position == again.position).all()
    assert not np.allclose(out.position, samples.position)
    for (a, b), size in bones(config.human).items():
        assert np.allclose(np.linalg.norm(out.joints[:, :, a] - out.joints[:, :, b], axis=-1), size, atol=1e-4)
    ways = np.diff(out.position.astype(float), axis=1)
    fast = np.hypot(ways[..., 0], ways[..., 1]) * out.fps > 0.5
    off = np.arctan2(-ways[..., 1], ways[..., 0]) - out.heading[:, 1:]
    assert np.percentile(np.abs((off + np.pi) % (2 * np.pi) - np.pi)[fast], 98) < 0.2


def test_a_mirror_turns_ways_and_words_round(samples: Samples) -> None:
    told = replace(samples, captions=("A runner runs 9 metres to the left",) * len(samples))
    out = mirrored_samples(told, np.ones(len(samples), bool))
    assert out.captions[0] == "A runner runs 9 metres to the right"
    assert (out.position[..., 0] == -samples.position[..., 0]).all()
    assert (out.position[..., 1] == samples.position[..., 1]).all()
    twice = mirrored_samples(out, np.ones(len(samples), bool))
    assert twice.captions == told.captions
    assert (twice.joints == samples.joints).all()


def test_twice_as_fast_is_twice_as_far_in_the_same_time(samples: Samples) -> None:
    out = faster(samples, np.full(len(samples), 2.0))
    assert np.allclose(out.position[:, 50], samples.position[:, 100])
    assert np.allclose(out.position[:, -1], samples.position[:, -1], atol=1e-5)
    assert out.speed[:, -1].max() == 0.0


def test_each_way_of_wording_says_everything() -> None:
    phrases = [Phrase("walk", "9 metres"), Phrase("plant", is_intent=True)]
    said = {caption("attacker", phrases, style) for style in range(STYLES)}
    assert len(said) == STYLES
    assert all("9 metres" in text and "plant" in text and "attacker" in text for text in said)
    assert caption("attacker", phrases, 0) == "An attacker walks 9 metres, then plants the bomb"
    with pytest.raises(ValueError, match="no style"):
        caption("attacker", phrases, STYLES)


def _recorded(seconds: float = 30.0) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """A match in which one player runs east at 4 m/s for half the time and then holds."""
    t = np.arange(0, round(seconds * 1000), 125)
    x = np.minimum(t, 500 * seconds) * 4.0
    tracks = pl.DataFrame({"t_ms": t, "x_mm": np.rint(x).astype(np.int32)}).with_columns(
        player=pl.lit("player:a"), round=pl.lit(1, pl.Int32), side=pl.lit("terrorists"), team=pl.lit("team:a"),
        z_mm=pl.lit(0, pl.Int32),
    )  # fmt: skip
    intents = pl.DataFrame({"t_ms": t[::2]}).with_columns(
        player=pl.lit("player:a"),
        intent=pl.when(pl.col("t_ms") < 500 * seconds).then(pl.lit("rotate")).otherwise(pl.lit("hold")),
    )
    site = {"id": "bombsite_b", "x_mm": 70_000, "y_mm": 0, "z_mm": 0}
    match = pl.DataFrame({"match_id": ["m1"], "map": ["de_test"], "objectives": [[site]]})
    return match, tracks, intents


def test_a_recorded_player_becomes_samples_with_its_intents_as_caption(config: ScenesConfig) -> None:
    rows = match_samples(*_recorded(), config=config)
    assert conform("trajectories", rows).height == rows.height >= 3
    words = rows.sort("from_ms")["caption"].to_list()
    assert "towards site B" in words[0]
    assert any("hold" in text for text in words)
    assert rows["theme"].unique().to_list() == ["match"]
    assert all(finding.passed for finding in findings(rows, config))
    moving = rows.sort("from_ms")["speed_mps"].to_numpy()[0]
    assert np.median(moving) == pytest.approx(4.0, abs=0.1)


def test_a_player_that_respawns_far_away_is_no_path_and_an_empty_round_no_story(config: ScenesConfig) -> None:
    match, tracks, intents = _recorded()
    jumped = tracks.with_columns(x_mm=pl.when(pl.col("t_ms") > 15_000).then(pl.lit(90_000)).otherwise("x_mm"))
    assert match_samples(match, jumped, intents, config=config).height == 0
    with pytest.raises(NothingToTell, match="round 9"):
        retell(match, tracks, intents, round_number=9, config=config)


def test_a_round_retold_moves_as_it_was_recorded(config: ScenesConfig) -> None:
    from pipeline.scenes.render import played

    scene = retell(*_recorded(), round_number=1, seconds=20.0, config=config)
    (player,) = played(scene, config)
    assert player.movement.position[250, 0] == pytest.approx(40.0, abs=0.1)
    assert scene.objects[0].kind == "site"
    assert player.actor.color.startswith("#")


def test_a_real_match_becomes_samples_that_pass_every_check(shared_data: Path, config: ScenesConfig) -> None:
    from pipeline.events.reader import read_log

    (reading,) = read_log(shared_data / "cs2" / "cs2-sf-mirage.jsonl.gz", log_id="log").matches.values()
    tracks = reading.tracks.read().filter(pl.col("round") <= 2)
    intents = tracks.select(pl.col("player").cast(pl.String), "t_ms", intent=pl.lit("advance"))
    rows = match_samples(reading.match, tracks.cast({"player": pl.String}), intents, config=config)
    assert rows.height > 50
    failed = [finding for finding in findings(rows, config) if not finding.passed]
    assert not failed
