"""From a training set to a trained model, its examination and films: the assets and the commands of the same."""

import json
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from typer.testing import CliRunner

from assets import trajectories
from assets.commands import app
from configs.scenes import ScenesConfig
from configs.trajectories import TrajectoriesConfig
from pipeline.intents.kinship import series_of_match
from pipeline.tables import empty
from pipeline.trajectories.corpus import Corpus, Encoder, Unusable
from pipeline.trajectories.plan import read_plan
from resources.parquet import Stamp
from resources.settings import Settings
from resources.store import Store
from resources.training import LATEST, NoModel, NothingLearned, Shelf, has_learned, home

pytest.importorskip("torch")
run = CliRunner().invoke


@pytest.fixture(scope="module")
def store(rows: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with a training set, as `gridmotion scenes dataset` leaves it."""
    store = Store(str(tmp_path_factory.mktemp("store")))
    store.write_table("trajectories", "stories-1-00000", rows, Stamp("x", "x", "x", ""))
    return store


@pytest.fixture(scope="module")
def made(store: Store, words: Encoder, config: TrajectoriesConfig) -> Callable[[], dg.ExecuteInProcessResult]:
    def make() -> dg.ExecuteInProcessResult:
        with pytest.MonkeyPatch.context() as patch:
            training = config.training.model_copy(update={"validate_every": 10, "log_every": 5, "warmup": 5,
                                                          "validation": 64, "learning_rate": 1e-3})  # fmt: skip
            few = config.model_copy(update={
                "training": training, "evaluation": config.evaluation.model_copy(update={"samples": 16})
            })  # fmt: skip
            for module in ("assets.trajectories", "pipeline.trajectories.evaluation", "pipeline.trajectories.report"):
                patch.setattr(f"{module}.load_trajectories", lambda: few)
            return dg.materialize(
                [trajectories.trajectory_model, trajectories.trajectory_evaluation, trajectories.text_films],
                resources={"store": store, "environment": Settings(gridmotion_store=store.url), "text_reader": words},
                run_config={"ops": {
                    "models__trajectory": {"config": {"size": "tiny", "steps": 100, "threads": 1}},
                    "text_films": {"config": {"prompts": ["a runner runs"]}},
                }},
            )  # fmt: skip

    return make


@pytest.mark.slow
def test_the_assets_go_from_a_training_set_to_films_and_a_finished_training_is_reused(
    made: Callable[[], dg.ExecuteInProcessResult], store: Store
) -> None:
    with pytest.raises(NoModel, match="gridmotion trajectories train"):
        Shelf(store).latest()
    first = made()
    assert first.success
    (model,) = first.asset_materializations_for_node("models__trajectory")
    assert model.metadata["step"].value == model.metadata["steps"].value == 100
    checks = {check.check_name: check for check in first.get_asset_check_evaluations()}
    assert checks[trajectories.LEARNS_CHECK].passed
    assert checks[trajectories.GOALS_CHECK].severity == dg.AssetCheckSeverity.WARN
    (judged,) = first.asset_materializations_for_node("models__trajectory_evaluation")
    assert "## From text alone" in str(judged.metadata["report"].value)
    assert store.read(f"{trajectories.FILMS}/00.mp4")[4:8] == b"ftyp"
    assert json.loads(store.read(f"{trajectories.FILMS}/00.json"))["model"] == Shelf(store).latest().version
    folder = home(Settings(gridmotion_store=store.url)) / str(model.metadata["model_version"].value)
    before = (folder / "history.jsonl").stat().st_mtime_ns
    assert made().success
    assert (folder / "history.jsonl").stat().st_mtime_ns == before


def test_a_model_is_not_judged_on_what_it_did_not_learn_from(
    trained: Path, words: Encoder, rows: pl.DataFrame, tmp_path: Path
) -> None:
    store = Store(str(tmp_path / "store"))
    store.write_table("trajectories", "stories-1-00000", rows.head(40), Stamp("x", "x", "x", ""))
    Shelf(store).put(trained)
    with pytest.raises(Unusable, match="may have learned"):
        trajectories.examined(store, Settings(gridmotion_store=store.url), words)


def test_a_model_that_learned_nothing_stays_off_the_shelf(trained: Path, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    Shelf(store).put(trained)
    before = store.read(LATEST)
    worse = tmp_path / "worse"
    worse.mkdir()
    for name in ("plan.json", "best.safetensors"):
        (worse / name).write_bytes((trained / name).read_bytes())
    said = [{"kind": "validation", "step": k, "steps": 30, "error_m": error} for k, error in ((0, 2.0), (20, 2.5))]
    (worse / "history.jsonl").write_text("".join(json.dumps(each) + "\n" for each in said))
    assert has_learned(trained)
    with pytest.raises(NothingLearned, match="no better than before its first step"):
        Shelf(store).put(worse)
    assert store.read(LATEST) == before


def test_the_asset_of_a_model_that_learned_nothing_fails_its_check_and_leaves_the_shelf(
    store: Store, words: Encoder, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {"kind": "validation", "step": 0, "steps": 30, "error_m": 2.0}
    (tmp_path / "history.jsonl").write_text(json.dumps(said) + "\n")
    (tmp_path / "best.safetensors").write_bytes((trained / "best.safetensors").read_bytes())
    plan = read_plan(trained)
    plan.save(tmp_path)
    monkeypatch.setattr(trajectories, "train", lambda *_: (plan, tmp_path))
    empty = Store(str(tmp_path / "store"))
    done = dg.materialize(
        [trajectories.trajectory_model],
        resources={"store": empty, "environment": Settings(gridmotion_store=empty.url), "text_reader": words},
        raise_on_error=False,
    )
    (check,) = done.get_asset_check_evaluations()
    assert not check.passed
    assert not empty.exists(LATEST)


def test_a_match_that_is_forbidden_after_its_samples_were_made_is_not_learned_from(
    rows: pl.DataFrame,
    words: Encoder,
    scenes: ScenesConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = Store(str(tmp_path))
    parts = {"stories-1-00000": rows.head(20)}
    for first, name in ((20, "m1"), (25, "m2")):
        parts[f"match-{name}"] = rows.slice(first, 5).with_columns(
            source=pl.lit("match").cast(rows.schema["source"]), source_id=pl.lit(name)
        )
    for key, part in parts.items():
        store.write_table("trajectories", key, part, Stamp("x", "x", "x", ""))

    def learned() -> set[str]:
        found = set(trajectories.gathered(store, words).ids)
        return {key for key, part in parts.items() if found & set(part["sample_id"])}

    assert learned() == set(parts)
    own = scenes.dataset.model_copy(update={"untrainable_matches": {"m1": "research only"}})
    monkeypatch.setattr("pipeline.scenes.matches.load_scenes", lambda: scenes.model_copy(update={"dataset": own}))
    assert learned() == {"stories-1-00000", "match-m2"}


@pytest.mark.slow
def test_generate_writes_films_and_clips_and_says_what_it_cannot_do(
    made: Callable[[], dg.ExecuteInProcessResult],
    store: Store,
    words: Encoder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("resources.settings.settings", lambda: Settings(gridmotion_store=store.url))
    monkeypatch.setattr("assets.definitions.open_encoder", lambda environment: words)
    if not store.exists("models/trajectory/latest.json"):
        made()
    done = run(app, ["generate", "two runners run", "--out", str(tmp_path / "a" / "clip.glb"), "--seconds", "3"])
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["clip-1.glb", "clip-2.glb"]
    done = run(app, ["generate", "a runner", "--out", str(tmp_path / "clip.mp4"), "--seconds", "0.4"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "clip.mp4").read_bytes()[4:8] == b"ftyp"
    assert run(app, ["generate", "x", "--out", "clip.avi"]).exit_code == 2
    assert run(app, ["generate", "x", "--out", "clip.glb", "--intent", "fly"]).exit_code == 2
    wordless = run(app, ["generate", "!!", "--out", str(tmp_path / "b.mp4")])
    assert wordless.exit_code == 1
    assert "no word" in wordless.output


def test_training_without_a_training_set_or_with_an_unknown_size_says_what_to_do(
    store: Store, words: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assets.definitions.open_encoder", lambda environment: words)
    monkeypatch.setattr("resources.settings.settings", lambda: Settings(gridmotion_store=str(tmp_path)))
    done = run(app, ["trajectories", "train", "--size", "tiny"])
    assert done.exit_code == 1
    assert "gridmotion scenes dataset" in done.output
    assert run(app, ["generate", "a runner", "--out", str(tmp_path / "x.mp4")]).exit_code == 1
    monkeypatch.setattr("resources.settings.settings", lambda: Settings(gridmotion_store=store.url))
    done = run(app, ["trajectories", "train", "--size", "vast"])
    assert done.exit_code == 1
    assert "tiny, small, base" in done.output


def test_the_page_is_told_of_what_series_a_match_is_by_its_id_and_map(corpus: Corpus, tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    judged = corpus.matches("test")[0]
    assert trajectories.series_told(store, corpus) == {}
    row = {"match_id": judged, "map": "de_dust2", "source_kind": "canonical", "log_id": judged, "log_uri": "log",
           "log_blake3": "0", "duration_ms": 1, "teams": [], "players": [], "objectives": [], "score": []}  # fmt: skip
    matches = pl.DataFrame([row], schema=empty("matches").schema)
    store.write_table("matches", judged, matches, Stamp("x", "x", "x", ""))
    assert trajectories.series_told(store, corpus) == {judged: series_of_match(judged, "de_dust2")}
