"""The assets `scenes` and `trajectories`, and the commands of the same."""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from typer.testing import CliRunner

from assets import scene_commands, scenes
from pipeline.scenes.validation import CHECKS
from resources.settings import Settings
from resources.store import Store


def _made(tmp_path: Path, samples: int, seed: int = 1) -> dg.ExecuteInProcessResult:
    environment = Settings(gridmotion_store=str(tmp_path))
    return dg.materialize(
        [scenes.trajectories],
        resources={"store": Store(str(tmp_path)), "environment": environment},
        run_config={"ops": {"trajectories": {"config": {"samples": samples, "seed": seed, "processes": 1}}}},
    )


def test_the_training_set_is_made_once_and_every_check_blocks(tmp_path: Path) -> None:
    first = _made(tmp_path, 60)
    assert first.success
    (stands,) = first.asset_materializations_for_node("trajectories")
    checks = {check.check_name: check for check in first.get_asset_check_evaluations()}
    assert set(checks) == {"schema", *CHECKS}
    assert all(check.passed and check.blocking for check in checks.values())
    assert stands.metadata["dagster/row_count"].value == 60
    assert "baseball" in str(stands.metadata["themes"].value)
    shown = {name: _records(stands.metadata[name].value) for name in ("actions", "metres gone in a sample")}
    (walks,) = [row for row in shown["actions"] if row["action"] == "walk"]
    assert 0.5 < float(walks["p50 m/s"]) <= float(walks["p95 m/s"]) < 1.5
    (stands_still,) = [row for row in shown["actions"] if row["action"] == "sit"]
    assert float(stands_still["p95 m/s"]) == 0
    spread = [[float(row[f"p{q}"]) for q in (0, 5, 50, 95, 100)] for row in shown["metres gone in a sample"]]
    assert all(row == sorted(row) and row[-1] <= 130 for row in spread)
    assert max(row[-1] for row in spread) > 5
    (again,) = _made(tmp_path, 60).asset_materializations_for_node("trajectories")
    assert (stands.metadata["reused"].value, again.metadata["reused"].value) == (0, 1)


def _records(markdown: str) -> list[dict[str, Any]]:
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in markdown.splitlines())
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_another_seed_replaces_the_shards_of_the_first(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    _made(tmp_path, 30)
    assert store.keys("trajectories") == ["stories-1-00000"]
    _made(tmp_path, 20, seed=2)
    assert store.keys("trajectories") == ["stories-2-00000"]


def test_matches_kept_from_training_stay_out_of_the_training_set_and_of_what_is_learned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from assets.trajectories import recordings
    from configs.scenes import load_scenes

    store = Store(str(tmp_path))
    for table in ("matches", "tracks", "intents"):
        for match_id in ("mine", "theirs"):
            store.write(store.part_path(table, match_id), b"never read")
    config = load_scenes()
    own = config.dataset.model_copy(update={"untrainable_matches": {"the*": "research only"}})
    monkeypatch.setattr("pipeline.scenes.matches.load_scenes", lambda: config.model_copy(update={"dataset": own}))
    assert [shard.match_id for shard in scenes.match_shards(store)] == ["mine"]
    assert scenes.analysed_matches(store) == (["mine"], {"theirs": "research only"})
    read: list[str] = []
    monkeypatch.setattr("resources.store.Store.read_table", lambda self, table, key: read.append(key))
    monkeypatch.setattr("assets.trajectories.recorded_windows", lambda match_id, *_: match_id)
    assert list(recordings(store)) == ["mine"]
    assert set(read) == {"mine"}


def test_a_damaged_shard_is_made_anew_and_equals_what_it_was(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    (shard,) = scenes.story_shards(20, 3)
    made = scenes.make_shard(store, shard)
    before = store.read_table("trajectories", shard.key)
    store.write(store.part_path("trajectories", shard.key), b"torn")
    assert not scenes.make_shard(store, shard).reused
    assert store.read_table("trajectories", shard.key).equals(before)
    assert made.rows == 20


SHARDS = [scenes.Shard(f"stories-4-{number:05d}", 4, number, 12) for number in range(3)]


def test_a_data_set_that_was_interrupted_goes_on_where_it_was(tmp_path: Path) -> None:
    store, environment = Store(str(tmp_path)), Settings(gridmotion_store=str(tmp_path))
    making = scenes.make_shards(SHARDS, environment, store, processes=1)
    first = next(making)
    assert isinstance(making, Generator)
    making.close()
    assert store.keys("trajectories") == [first.key]
    made = list(scenes.make_shards(SHARDS, environment, store, processes=1))
    assert [shard.reused for shard in made] == [True, False, False]


@pytest.mark.slow
def test_two_processes_make_the_bytes_of_one(tmp_path: Path) -> None:
    digests = []
    for processes in (1, 2):
        folder = str(tmp_path / str(processes))
        store = Store(folder)
        made = list(scenes.make_shards(SHARDS, Settings(gridmotion_store=folder), store, processes=processes))
        assert not any(shard.reused for shard in made)
        digests.append([store.part("trajectories", shard.key).digest for shard in SHARDS])
    assert digests[0] == digests[1]


def test_films_come_with_a_check_of_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.scenes.render.film", lambda scene, kind: b"film")
    store = Store(str(tmp_path))
    done = dg.materialize(
        [scenes.scenes], resources={"store": store}, run_config={"ops": {"scenes": {"config": {"themes": ["park"]}}}}
    )
    assert done.success
    (check,) = done.get_asset_check_evaluations()
    assert check.passed
    assert check.blocking
    assert store.exists("scenes/park-1.webp")
    assert store.exists("scenes/park-1.json")


def test_render_writes_a_film_and_refuses_an_ending_or_a_theme_it_does_not_know(tmp_path: Path) -> None:
    run = CliRunner().invoke
    film = tmp_path / "a" / "office.gif"
    done = run(scene_commands.app, ["render", "--theme", "office", "--seconds", "1", "--out", str(film)])
    assert done.exit_code == 0, done.output
    assert film.read_bytes()[:4] == b"GIF8"
    assert "desks" in done.output
    assert run(scene_commands.app, ["render", "--out", "film.avi"]).exit_code == 2
    unknown = run(scene_commands.app, ["render", "--theme", "opera", "--out", str(tmp_path / "x.mp4")])
    assert unknown.exit_code == 1
    assert "opera" in unknown.output


def test_dataset_tells_what_it_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.settings.settings", lambda: Settings(gridmotion_store=str(tmp_path)))
    done = CliRunner().invoke(scene_commands.app, ["dataset", "--samples", "15", "--processes", "1"])
    assert done.exit_code == 0, done.output
    assert "15 samples in 1 shards (0 reused)" in done.output
    rows = Store(str(tmp_path)).read_table("trajectories", "stories-1-00000")
    assert rows["trainable"].all()
    assert isinstance(rows, pl.DataFrame)
