"""A moment of a round with everyone in it, from the tables of an analysed match."""

import json
from typing import Any

import pytest

from assets.moments import NoSuchRound, cast_of, make_moment
from pipeline.motion.scene import NobodyThere
from resources.clips import ClipStudio
from resources.motion_backends.local import LocalBackend
from resources.store import Store


@pytest.fixture(scope="module")
def analysed(line: Any, copy_of_line: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("moments")
    studio = ClipStudio(Store(str(folder / "store")), LocalBackend(), budget=1)
    with copy_of_line(line, folder, "clips", "motion", studio=studio) as workspace:
        workspace.studio = studio
        yield workspace


def make(analysed: Any, number: int, from_s: float, to_s: float) -> dict[str, Any]:
    reviews = analysed.definitions.resources["reviews"]
    return make_moment(analysed.store, analysed.studio, reviews, analysed.match_id, number, from_s, to_s)


def test_a_moment_is_made_once_with_all_players_and_says_what_made_it(analysed: Any) -> None:
    made = make(analysed, 1, 3.0, 6.0)
    assert len(made["scene"]["actors"]) + len(made["scene"]["absent"]) == 10 and len(made["scene"]["actors"]) >= 8
    assert analysed.store.read(made["uri"])[:4] == b"glTF"
    preview = analysed.store.read(made["preview_uri"])
    assert preview[8:12] == b"WEBP"
    assert made["model_version"] and made["backend"] == "local" and len(made["clip_keys"]) >= 8
    assert make(analysed, 1, 3.0, 6.0) == made
    analysed.store.write(made["preview_uri"], b"torn")
    assert make(analysed, 1, 3.0, 6.0) == made and analysed.store.read(made["preview_uri"]) == preview


def test_a_round_that_is_not_there_and_a_moment_too_long_are_refused(analysed: Any) -> None:
    with pytest.raises(NoSuchRound, match="no round 9; it has 3"):
        make(analysed, 9, 0.0, 5.0)
    with pytest.raises(NobodyThere, match="possible are 1 to 12 s"):
        make(analysed, 1, 0.0, 60.0)


def test_a_moment_is_a_run_that_tells_of_its_files_and_says_why_there_is_none(analysed: Any) -> None:
    def run(number: int) -> Any:
        config = {"match_id": analysed.match_id, "round": number, "from_s": 2.0, "to_s": 4.0}
        return analysed.run("make_moment", run_config={"ops": {"made_moment": {"config": config}}})

    done = run(1)
    (told,) = done.asset_materializations_for_node("made_moment")
    record = json.loads(analysed.store.read(told.metadata["record"].value))
    assert told.asset_key.to_user_string() == "rendered_moments" and told.partition == analysed.match_id
    assert len(cast_of(record)) == len(record["scene"]["actors"]) and "image/webp" in told.metadata["moving"].value
    assert analysed.store.keys("moments") == []  # the table of that name is of moments in words
    failed = run(9)
    assert not failed.success and not failed.asset_materializations_for_node("made_moment")
