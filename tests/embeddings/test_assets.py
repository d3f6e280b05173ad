"""From moments to an index that is asked by words: assets, the index, and the commands."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from assets import embeddings, search_commands
from configs.encoders import EncodersConfig, load_encoders
from pipeline.scenes.dataset import story_shard
from resources.encoders import Encoders
from resources.moment_index import MomentIndex, NoIndex
from resources.settings import Settings
from resources.store import Store
from resources.text_vectors import TextVectors

ASSETS = [embeddings.moments, embeddings.embeddings, embeddings.moment_index, embeddings.encoder_retrieval]


class Fixed(Encoders):
    """Always this one."""

    def __init__(self, encoder: Any) -> None:
        super().__init__(Settings(), _few())
        self.encoder = encoder

    def open(self, name: str | None = None, **_: Any) -> Any:
        return self.encoder


def _few() -> EncodersConfig:
    config = load_encoders()
    return config.model_copy(update={"retrieval": config.retrieval.model_copy(update={"seeds": 1})})


@pytest.fixture
def analysed(store: Store, told: dict[str, pl.DataFrame], monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store with a match; its tables have only the columns that are looked at, so they are put there as they are."""
    import io

    from resources.parquet import STAMP_KEY, Stamp

    monkeypatch.setattr("assets.embeddings.load_encoders", _few)
    for table, frame in told.items():
        data = io.BytesIO()
        frame.write_parquet(data, metadata={STAMP_KEY.decode(): Stamp("c", "c", table).json.decode()})
        store.write(store.part_path(table, "m1"), data.getvalue())
    return store


def _run(store: Store, encoder: Any, selection: list[Any] = ASSETS[:3]) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        selection, resources={"store": store, "encoder_catalogue": Fixed(encoder)}, raise_on_error=False
    )


def _told(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    return {name: v.value for name, v in result.asset_materializations_for_node(asset)[0].metadata.items()}


def test_what_is_new_is_embedded_and_what_is_known_is_not(analysed: Store, words: Any) -> None:
    shard = story_shard(1, 0, 12)
    from assets.scenes import RECIPE

    analysed.write_table("trajectories", "stories-1-00000", shard, RECIPE.stamp("x"))
    first = _run(analysed, words, ASSETS)
    assert first.success
    assert {check.check_name for check in first.get_asset_check_evaluations()} == {"schema", "index_recall"}
    assert all(check.passed and check.blocking for check in first.get_asset_check_evaluations())
    assert _told(first, "moments")["dagster/row_count"] == 4
    made = _told(first, "embeddings")
    assert made["captions_and_prompts"] == len({*shard["caption"], *shard["prompt"]})
    assert made["sentences_of_moments"] == 4
    assert set(shard["caption"]) <= set(words.asked)
    assert len(set(words.asked)) == len(words.asked)
    assert "paraphrase → caption" in str(_told(first, "encoder_retrieval")["retrieval"])
    words.asked.clear()
    again = _run(analysed, words, ASSETS)
    assert not words.asked
    assert _told(again, "embeddings")["embedded_now"] == 0
    assert _told(again, "moments")["reused"] == 1


def test_measures_of_all_encoders_stand_side_by_side(analysed: Store, words: Any) -> None:
    _run(analysed, words, ASSETS)
    coarse = replace(words, dimension=2, asked=[])
    assert _run(analysed, coarse, ASSETS).success
    found = embeddings.compared(analysed).filter(pl.col("question") == "paraphrase → caption")
    assert found["encoder"].n_unique() == 2
    by = dict(zip(found["encoder"].str.contains("-2-"), found["recall@10"], strict=True))
    assert by[False] > by[True]
    assert set(_told(_run(analysed, coarse), "embeddings")["encoders_in_store"].split(", ")) == {
        words.identity.key,
        coarse.identity.key,
    }


def test_a_moment_is_found_by_its_words_and_by_match_and_intent(analysed: Store, words: Any) -> None:
    _run(analysed, words)
    index = MomentIndex(analysed, words.identity)
    asked = words.encode(["a defender falls back after losing a teammate"], "query")
    (best, *others) = index.find(asked, 4)
    assert best.moment["intent"] == "retreat"
    assert best.likeness > others[0].likeness >= others[-1].likeness
    assert best.clip is None
    assert [hit.moment["intent"] for hit in index.find(asked, 4, intent="hold")] == ["hold"]
    assert len(index.find(asked, 2, match_id="m1")) == 2
    with pytest.raises(NoIndex, match="m9 is not in the index"):
        index.find(asked, 2, match_id="m9")
    assert index.behind() == []


def test_an_index_that_is_missing_damaged_or_of_another_encoder_says_what_to_run(analysed: Store, words: Any) -> None:
    index = MomentIndex(analysed, words.identity)
    asked = np.ones((1, words.dimension), np.float32)
    with pytest.raises(NoIndex, match="gridmotion embed"):
        index.find(asked, 3)
    _run(analysed, words)
    other = replace(words, revision="words-2")
    with pytest.raises(NoIndex, match="there is no index"):
        MomentIndex(analysed, other.identity).find(asked, 3)
    analysed.write(f"search/{words.identity.key}.usearch", b"torn")
    with pytest.raises(NoIndex, match="damaged"):
        index.find(asked, 3)
    assert _run(analysed, words).success
    assert len(index.find(asked, 3)) == 3


def test_a_store_without_matches_has_an_index_in_which_nothing_is_found(store: Store, words: Any) -> None:
    assert _run(store, words).success
    assert MomentIndex(store, words.identity).find(np.ones((1, words.dimension), np.float32), 3) == []


def test_an_encoder_that_fails_fails_the_run_and_leaves_the_index_as_it_was(analysed: Store, words: Any) -> None:
    broken = replace(words, fails_after=0, asked=[])
    assert not _run(analysed, broken).success
    assert not analysed.files("search")
    assert not TextVectors(analysed, words).parts()


def test_search_answers_with_clips_or_how_to_make_them(
    analysed: Store, words: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _run(analysed, words)
    monkeypatch.setattr("resources.encoders.Encoders", lambda environment: Fixed(words))
    monkeypatch.setattr("resources.settings.settings", lambda: Settings(gridmotion_store=analysed.url))
    import typer

    app = typer.Typer()
    app.command()(search_commands.search)
    app.command(name="other")(lambda: None)
    run = CliRunner().invoke
    done = run(app, ["search", "defender falls back", "--json", "--limit", "2"])
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in done.output.splitlines()]
    assert lines[0]["intent"] == "retreat"
    assert lines[0]["next"] == f"gridmotion clips m1 --segment {'0' * 16}"
    monkeypatch.setattr(MomentIndex, "_clips", lambda self, matches: {"0" * 16: "store/motion/a.glb"})
    done = run(app, ["search", "defender falls back", "--limit", "1"], env={"COLUMNS": "250"})
    assert "store/motion/a.glb" in done.output
    assert "test/words" in done.output
    analysed.delete(analysed.part_path("moments", "m1"))
    done = run(app, ["search", "defender falls back"], env={"COLUMNS": "250"})
    assert "not in the index yet: m1" in done.output
    assert run(app, ["search", " "]).exit_code == 2
    assert run(app, ["search", "x", "--intent", "dance"]).exit_code == 2
