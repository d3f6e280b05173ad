"""What only the demo does: compiling ahead, and a model that learns in seconds."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from assets import demo
from configs.demo import load_demo
from configs.scenes import load_scenes
from configs.trajectories import load_trajectories
from pipeline.trajectories.plan import planned
from pipeline.trajectories.shape import Shape
from resources.clips import ClipStudio
from resources.motion_backends.local import LocalBackend
from resources.settings import Settings
from resources.store import Store
from resources.training import NoModel, Shelf


def test_the_demos_changes_are_of_sections_and_names_that_there_are() -> None:
    before, changes = load_trajectories(), load_demo().movement.changes
    after = demo.changed(before, changes)
    assert after.training.batch == changes["training"]["batch"]
    assert after.training.seed == before.training.seed
    assert after.sizes == before.sizes
    with pytest.raises(ValidationError, match="patience"):
        demo.changed(before, {"training": {"patience": 3}})
    with pytest.raises(ValidationError, match="weather"):
        demo.changed(before, {"weather": {"rain": 1}})


def test_the_process_that_compiles_ahead_ends_with_what_it_is_ahead_of(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Any] = []
    popen = demo.subprocess.Popen

    def start(command: list[str], **options: Any) -> Any:
        begun.append(popen([command[0], "-c", "import time; time.sleep(60)"], **options))
        return begun[-1]

    monkeypatch.setattr(demo.subprocess, "Popen", start)
    monkeypatch.setattr(demo, "cores", lambda: 2)
    with demo.compiling_ahead():
        assert begun[0].poll() is None
    assert begun[0].poll() is not None
    monkeypatch.setattr(demo, "cores", lambda: 1)
    with demo.compiling_ahead():
        assert len(begun) == 1


@pytest.mark.slow
def test_what_is_compiled_ahead_is_the_line_to_its_clips(tmp_path: Path) -> None:
    demo.compile_ahead(tmp_path)
    assert len(list(tmp_path.rglob("*.glb"))) == 2


def test_a_studio_with_another_budget_makes_the_same_clips(tmp_path: Path) -> None:
    studio = ClipStudio(Store(str(tmp_path)), LocalBackend(), 40)
    assert (studio.with_budget(3).budget, studio.budget) == (3, 40)
    assert studio.with_budget(3).identity == studio.identity


def _training(folder: Path, size: str, errors: list[dict[str, float]]) -> str:
    """The files of a training that has ended; names its version."""
    shape = Shape.of(size, load_trajectories(), load_scenes(), text=8, encoder="none")
    plan = planned(shape, load_trajectories(), load_scenes(), corpus="x", steps=10)
    plan.save(folder)
    (folder / "best.safetensors").write_bytes(b"weights")
    said = [{"kind": "validation", "step": step, "steps": 10, **told} for step, told in enumerate(errors)]
    (folder / "history.jsonl").write_text("".join(json.dumps(each) + "\n" for each in said))
    return plan.version


def test_the_demos_model_does_not_take_the_place_of_one_that_learned_longer(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    errors = [{"error_m": 3.0, "story_text": 5.0}, {"error_m": 2.0, "story_text": 4.0}]
    tiny, small = _training(tmp_path / "tiny", "tiny", errors), _training(tmp_path / "small", "small", errors)
    alone = demo.put(tmp_path / "tiny", store, "10 steps")
    assert alone.version == Shelf(store).latest_version() == tiny
    assert "4.0 m off on average, 5.0 m before its first step" in alone.said
    assert "stays" not in alone.said
    Shelf(store).put(tmp_path / "small")
    beside = demo.put(tmp_path / "tiny", store, "10 steps")
    assert beside.version == tiny
    assert Shelf(store).latest_version() == small
    assert f"stays {small}" in beside.said
    assert store.exists(f"models/trajectory/{tiny}.safetensors")
    with pytest.raises(NoModel, match="leave the version out"):
        Shelf(store).version("tiny-none")


@pytest.mark.parametrize("errors", [[], [{"error_m": 3.0, "story_text": 5.0}, {"error_m": 2.0}]])
def test_the_demo_says_nothing_of_errors_that_were_not_validated(
    tmp_path: Path, errors: list[dict[str, float]]
) -> None:
    _training(tmp_path / "tiny", "tiny", errors)
    said = demo.put(tmp_path / "tiny", Store(str(tmp_path / "store")), "10 steps").said
    assert "10 steps. It is tiny" in said


@pytest.mark.slow
def test_the_tiny_model_learns_to_go_where_a_sentence_says(tmp_path: Path) -> None:
    from assets.definitions import open_encoder
    from assets.scenes import make_shard, story_shards
    from pipeline.trajectories.generation import generated

    environment = Settings(gridmotion_store=str(tmp_path / "store"))
    store, config = Store(str(tmp_path / "store")), load_demo()
    for shard in story_shards(config.samples, 1):
        make_shard(store, shard)
    with demo.tiny_model(store, environment, config.movement) as moves:
        moved = moves()
    assert "It is tiny" in moved.said
    assert "before its first step" in moved.said
    assert Shelf(store).latest_version() == moved.version
    made = generated(Shelf(store).version(moved.version), open_encoder(environment), config.movement.film, seed=1)
    ways = [each.movement.position[-1] - each.movement.position[0] for each in made.cast]
    assert len(ways) == 2
    assert all(abs(way[0]) > 3.0 for way in ways)
