"""From a sentence to a film and to 3D."""

from pathlib import Path

import numpy as np
import pytest

from configs.scenes import ScenesConfig
from pipeline.motion.gltf import glb
from pipeline.motion.synthesizer import synthesize
from pipeline.scenes.joints import bones
from pipeline.trajectories.bodies import boned
from pipeline.trajectories.corpus import Encoder, Unusable
from pipeline.trajectories.generation import Generated, TooShort, Wordless, asked, clip_requests, completed, generated
from pipeline.trajectories.model import Motions, TrajectoryModel

pytest.importorskip("torch")

PROMPT = "two runners race to the spaceship"


@pytest.fixture(scope="module")
def model(trained: Path) -> TrajectoryModel:
    return TrajectoryModel.load(trained / "best.safetensors")


@pytest.fixture(scope="module")
def made(model: TrajectoryModel, words: Encoder) -> Generated:
    return generated(model, words, PROMPT, seed=3, seconds=2.0)


def test_a_sentence_says_how_many_and_what_stands_there(scenes: ScenesConfig) -> None:
    what = asked(PROMPT, scenes)
    assert (what.actors, what.things, what.theme, what.ground) == (2, ("spaceship",), "space", "moon")
    assert asked("somebody waves", scenes).actors == 1
    assert asked("a runner runs four metres, then waits two seconds", scenes).actors == 1
    assert asked("three walkers go five metres", scenes).actors == 3
    assert asked("five people sit on chairs", scenes).things == ("chair",)
    for empty in ("", "  ", "!!", "42"):
        with pytest.raises(Wordless):
            asked(empty, scenes)


def test_what_a_sentence_leaves_open_is_drawn_and_what_it_says_is_not() -> None:
    rng = np.random.default_rng(1)
    assert "metres to the " in completed("a batter runs the bases.", rng)
    assert completed("a man walks ten metres to the left", rng) == "a man walks ten metres to the left"
    assert completed("a man walks to the left", rng).endswith(" metres")
    assert completed("a woman sits and types", rng) == "a woman sits and types"


def test_a_story_has_the_actors_and_things_that_the_sentence_names(made: Generated, scenes: ScenesConfig) -> None:
    assert len(made.cast) == 2
    assert [thing.kind for thing in made.scene.objects] == ["spaceship"]
    assert made.scene.duration == 2.0
    for each in made.cast:
        assert each.joints.shape == (50, 10, 2)
        for (a, b), length in bones(scenes.human).items():
            assert np.linalg.norm(each.joints[:, a] - each.joints[:, b], axis=-1) == pytest.approx(length, rel=1e-6)
    apart = made.cast[0].movement.position[0] - made.cast[1].movement.position[0]
    assert np.hypot(*apart) == pytest.approx(1.4, abs=1e-3)


def test_the_same_sentence_and_seed_give_the_same_story(
    model: TrajectoryModel, words: Encoder, made: Generated
) -> None:
    again = generated(model, words, PROMPT, seed=3, seconds=2.0)
    other = generated(model, words, PROMPT, seed=4, seconds=2.0)
    assert again.scene == made.scene
    assert np.array_equal(again.cast[1].joints, made.cast[1].joints)
    assert not np.array_equal(other.cast[1].movement.position, made.cast[1].movement.position)


def test_a_film_shows_the_pose_and_the_way_that_the_model_found(
    model: TrajectoryModel, words: Encoder, scenes: ScenesConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Motions] = []
    from_text = TrajectoryModel.from_text

    def kept(self: TrajectoryModel, vectors: np.ndarray, scale: np.ndarray) -> Motions:
        found.append(from_text(self, vectors, scale))
        return found[-1]

    monkeypatch.setattr(TrajectoryModel, "from_text", kept)
    (actor,) = generated(model, words, "a runner runs 20 metres to the right", seed=3).cast
    (pose,), (way,) = found[0].joints, found[0].position
    assert actor.joints == pytest.approx(boned(pose, 1.0, scenes.human), abs=1e-6)
    assert np.hypot(*(actor.movement.position - (way - way[0])).T).mean() < 0.3


def test_less_than_two_frames_are_no_film(model: TrajectoryModel, words: Encoder) -> None:
    with pytest.raises(TooShort, match=r"at least"):
        generated(model, words, PROMPT, seconds=0.05)
    assert generated(model, words, PROMPT, seconds=0.08).scene.duration == 0.08


def test_a_film_is_an_mp4_of_its_length(made: Generated) -> None:
    import io

    import av

    with av.open(io.BytesIO(made.film())) as film:
        assert film.streams.video[0].frames == 50


def test_each_actor_becomes_a_3d_clip_on_its_way(made: Generated) -> None:
    requests = clip_requests(made, "advance")
    assert len(requests) == 2
    clip = synthesize(requests[0])
    assert glb(clip, {"prompt": PROMPT})[:4] == b"glTF"
    assert requests[0].segment_id != requests[1].segment_id
    assert requests[0].model_version.startswith("model tiny-")


def test_a_model_refuses_texts_that_another_encoder_read(model: TrajectoryModel) -> None:
    class Other:
        name, dimension = "other-96", 96

        def encode(self, texts: list[str]) -> np.ndarray:
            raise AssertionError("it is not asked")

    with pytest.raises(Unusable, match="train anew with this one"):
        generated(model, Other(), PROMPT)  # type: ignore[arg-type]
