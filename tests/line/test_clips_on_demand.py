"""A clip that somebody asked for is made by a run, stands in the table, and stays there."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from assets.motion import ON_DEMAND
from assets.summary import UnknownSegment, whole_segment_id
from resources.clips import ClipStudio
from resources.motion_backends.local import LocalBackend
from resources.store import Store


@contextmanager
def _opened(open_workspace_at: Any, folder: Path) -> Iterator[Any]:
    studio = ClipStudio(Store(str(folder / "store")), LocalBackend(), budget=2)
    with open_workspace_at(folder, studio=studio) as workspace:
        yield workspace


@pytest.fixture(scope="module")
def two_clips(line: Any, copy_of_line: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    studio = ClipStudio(Store(str(folder / "store")), LocalBackend(), budget=2)
    with copy_of_line(line, folder, "clips", "motion", studio=studio) as workspace:
        assert workspace.run("make_clips", partition_key=line.match_id).success
    return folder / "store"


@pytest.fixture
def analysed(open_workspace_at: Any, two_clips: Path, tmp_path: Path) -> Iterator[Any]:
    shutil.copytree(two_clips, tmp_path / "store")
    with _opened(open_workspace_at, tmp_path) as workspace:
        (workspace.match_id,) = workspace.store.keys("matches")
        workspace.instance.add_dynamic_partitions("match_id", [workspace.match_id])
        yield workspace


def _ask(workspace: Any, *segments: str) -> Any:
    config = {"ops": {"clips": {"config": {"also": list(segments)}}}}
    return workspace.run("make_clips", partition_key=workspace.match_id, run_config=config)


def _hits(result: Any) -> int:
    assert result.success
    hits: int = result.asset_materializations_for_node("clips")[0].metadata["cache_hits"].value
    return hits


def _left(workspace: Any) -> list[str]:
    segments = workspace.store.read_table("segments", workspace.match_id)
    made = workspace.store.read_table("clips", workspace.match_id)["segment_id"]
    length = pl.col("to_ms") - pl.col("from_ms")
    return (
        segments.filter(~pl.col("segment_id").is_in(made.implode()) & (length > 1500))["segment_id"].head(2).to_list()
    )


def test_a_clip_asked_for_is_added_to_the_table_and_survives_the_next_analysis(analysed: Any) -> None:
    before = analysed.store.read_table("clips", analysed.match_id)
    first, second = _left(analysed)
    assert _hits(_ask(analysed, first)) == before["feasible"].sum()  # those that were chosen are not made again
    assert _hits(_ask(analysed, second)) > before["feasible"].sum()
    assert _hits(_ask(analysed, second)) == 0  # and now nobody was asked for any
    clips = analysed.store.read_table("clips", analysed.match_id)
    assert clips.head(before.height).equals(before)
    wished = clips.filter(pl.col("interest") == ON_DEMAND)
    assert set(wished["segment_id"]) == {first, second}
    for uri in wished.filter("feasible")["uri"]:
        assert analysed.store.read(uri)[:4] == b"glTF"
    tree = analysed.tree()
    assert analysed.analyse(analysed.match_id).success
    assert analysed.tree() == tree


def test_asking_twice_or_for_what_was_chosen_anyway_changes_nothing(analysed: Any) -> None:
    chosen = analysed.store.read_table("clips", analysed.match_id)["segment_id"][0]
    tree = analysed.tree()
    assert _ask(analysed, chosen).success
    assert analysed.tree() == tree
    wish = _left(analysed)[0]
    assert _ask(analysed, wish).success
    tree = analysed.tree()
    assert _ask(analysed, wish).success
    assert analysed.tree() == tree


def test_a_segment_that_does_not_exist_fails_and_leaves_the_table_alone(analysed: Any) -> None:
    tree = analysed.tree()
    assert not _ask(analysed, "0" * 32).success
    assert analysed.tree() == tree
    with pytest.raises(UnknownSegment, match="0 segments"):
        whole_segment_id(analysed.store, analysed.match_id, "zzz")
    whole = analysed.store.read_table("segments", analysed.match_id)["segment_id"][0]
    assert whole_segment_id(analysed.store, analysed.match_id, whole[:20]) == whole


def test_a_wish_whose_segment_is_gone_is_forgotten(analysed: Any) -> None:
    wish = _left(analysed)[0]
    _ask(analysed, wish)
    part = analysed.store.part("segments", analysed.match_id)
    segments = analysed.store.read_table("segments", analysed.match_id)
    analysed.store.write_table("segments", analysed.match_id, segments.filter(pl.col("segment_id") != wish), part.stamp)
    assert analysed.run("make_clips", partition_key=analysed.match_id).success
    assert wish not in set(analysed.store.read_table("clips", analysed.match_id)["segment_id"])
