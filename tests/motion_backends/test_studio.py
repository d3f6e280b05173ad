"""Who makes a clip when the first doesn't, what is said of it, and what may train on it."""

import dataclasses
import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from bench.gltf_motion import read
from configs.backends import Licence, load_backends
from pipeline.motion import npz
from pipeline.tables import SchemaViolation, conform, empty
from resources.clips import ClipStudio, NotTrainable
from resources.health import examine
from resources.motion_backends.configured import preferred
from resources.motion_backends.hymotion_rest import HyMotionRest
from resources.motion_backends.local import LocalBackend
from resources.motion_backends.mmcp import MmcpBackend
from resources.settings import Settings
from resources.store import Store


@pytest.fixture
def moment(walk: Any) -> tuple[pl.DataFrame, pl.DataFrame]:
    """A segment in which somebody walks, and the track."""
    segment = {
        "segment_id": walk.segment_id, "match_id": "m1", "round": None, "player": walk.player, "team": None,
        "side": None, "from_ms": walk.from_ms, "to_ms": walk.to_ms, "intent": "advance", "confidence": 0.9,
        "decided_by": "model:x", "model_version": "x1", "review_reasons": [], "interest": "advance",
    }  # fmt: skip
    n = walk.t_ms.size
    tracks = empty("tracks")
    rows = pl.DataFrame(
        {
            "match_id": ["m1"] * n, "player": [walk.player] * n, "t_ms": walk.t_ms,
            "x_mm": walk.x_mm, "z_mm": walk.z_mm,
        }
    )  # fmt: skip
    return pl.DataFrame([segment]), pl.concat([tracks, rows.match_to_schema(tracks.schema, missing_columns="insert")])


@pytest.fixture
def studio(tmp_path: Path) -> Callable[..., ClipStudio]:
    def build(*backends: Any) -> ClipStudio:
        return ClipStudio(Store(str(tmp_path / "store")), LocalBackend(), 5, backends)

    return build


def _make(studio: ClipStudio, moment: Any, said: list[str] | None = None) -> dict[str, Any]:
    frame = studio.make(*moment, log=(said if said is not None else []).append, features_hash="f" * 16)
    (row,) = frame.to_dicts()
    return row


def test_a_segment_that_ends_in_a_death_is_another_clip_and_a_longer_one(studio: Any, moment: Any) -> None:
    alive = _make(studio(), moment)
    (segment,) = moment[0].to_dicts()
    told = studio().make(*moment, log=print, deaths={segment["player"]: [segment["to_ms"]], "another": [1]})
    (dead,) = told.to_dicts()
    frames = [npz.read(studio().store.read(row["npz_uri"])).root.shape[0] for row in (alive, dead)]
    assert dead["clip_key"] != alive["clip_key"] and dead["to_ms"] == alive["to_ms"] and frames[1] > frames[0] + 30


def test_the_first_that_makes_a_clip_is_named_on_it(
    studio: Any, moment: Any, serve: Any, streaming: Any, settled: Any, read_extras: Any
) -> None:
    row = _make(studio(HyMotionRest(serve(streaming()).url, None, settled())), moment)
    assert (row["backend"], row["fallback"], row["trainable"]) == ("hymotion_rest", None, False)
    extras = read_extras(studio, row)
    assert extras["backend"] == "hymotion_rest" and extras["trainable"] is False and extras["fallback"] == []
    assert extras["made_with"]["model"] == "HY-Motion 1.0" and extras["made_with"]["prompt"].startswith("A person")
    assert extras["made_with"]["licence"] == "accepted for US"


@pytest.fixture
def read_extras() -> Callable[..., dict[str, Any]]:
    def extras(studio: Any, row: dict[str, Any]) -> dict[str, Any]:
        data = studio().store.read(row["uri"])
        length = int.from_bytes(data[12:16], "little")
        found: dict[str, Any] = json.loads(data[20 : 20 + length])["asset"]["extras"]
        assert read(data) is not None
        return found

    return extras


def test_each_fallback_is_logged_counted_and_recorded_on_the_clip(
    studio: Any,
    moment: Any,
    serve: Any,
    streaming: Any,
    reply: Any,
    settled: Any,
    nobody: str,
    read_extras: Any,
    caplog: Any,
) -> None:
    ill = serve(streaming(generate=lambda _: reply(500, {"detail": "CUDA"})))
    made = studio(MmcpBackend(nobody, None, settled()), HyMotionRest(ill.url, None, settled()))
    said: list[str] = []
    with caplog.at_level(logging.WARNING):
        row = _make(made, moment, said)
    fallback = [{"backend": "mmcp", "trouble": "unreachable"}, {"backend": "hymotion_rest", "trouble": "failed"}]
    assert (row["backend"], row["trainable"], json.loads(row["fallback"])) == ("local", True, fallback)
    assert dict(made.fallbacks) == {("mmcp", "unreachable"): 1, ("hymotion_rest", "failed"): 1}
    assert sum("made no clip" in line for line in said) == 2
    assert "mmcp made no clip (unreachable)" in caplog.text and "CUDA" in caplog.text
    assert read_extras(studio, row)["fallback"] == fallback
    manifest = json.loads(made.store.read(row["manifest_uri"]))
    assert (
        manifest["fallback"] == fallback and manifest["model_version"] == "x1" and manifest["features_hash"] == "f" * 16
    )
    assert (row["model_version"], row["features_hash"], row["segment_id"]) == (
        "x1",
        "f" * 16,
        moment[0]["segment_id"][0],
    )


def test_what_was_made_is_not_asked_for_again_and_a_stand_in_is_replaced_when_the_first_answers(
    studio: Any, moment: Any, serve: Any, streaming: Any, reply: Any, settled: Any
) -> None:
    good, ill = streaming(), [True]
    served = serve(streaming(generate=lambda seen: reply(500, {}) if ill[0] else good(seen)))

    def again() -> dict[str, Any]:
        return _make(studio(HyMotionRest(served.url, None, settled())), moment)

    first, second = again(), again()
    assert first == second and first["backend"] == "local" and served.count("/generate") == 2
    ill[0] = False
    third, fourth = again(), again()
    assert third == fourth and third["backend"] == "hymotion_rest" and served.count("/generate") == 3
    assert third["clip_key"] != first["clip_key"] != _make(studio(), moment)["clip_key"]


def test_the_local_clip_is_the_same_whoever_else_is_configured(
    studio: Any, moment: Any, settled: Any, nobody: str
) -> None:
    alone = _make(studio(), moment)
    after = _make(studio(MmcpBackend(nobody, None, settled())), moment)
    store = studio().store
    mine, theirs = (npz.read(store.read(row["npz_uri"])) for row in (alone, after))
    assert (mine.rotations == theirs.rotations).all() and alone["uri"] != after["uri"]
    assert alone["backend"] == "local" and alone["fallback"] is None


def test_an_infeasible_moment_is_nobodys_fault_and_asks_nobody(
    studio: Any, moment: Any, serve: Any, streaming: Any, settled: Any
) -> None:
    segment, tracks = moment
    torn = tracks.with_columns(
        pl.when(pl.col("t_ms") > 2500).then(pl.col("x_mm") + 90_000).otherwise("x_mm").alias("x_mm")
    )
    served = serve(streaming())
    made = studio(HyMotionRest(served.url, None, settled()))
    row = _make(made, (segment, torn))
    assert row["feasible"] is False and "teleport" in row["reason"] and served.seen == [] and not made.fallbacks


def test_only_clips_that_may_train_are_read_for_training(
    studio: Any, moment: Any, serve: Any, streaming: Any, settled: Any, tmp_path: Path
) -> None:
    own = _make(studio(), moment)
    assert studio().training_motion(own).trainable is True
    config = settled()
    theirs = _make(studio(HyMotionRest(serve(streaming()).url, None, config)), moment)
    doctored = {**theirs, "trainable": True}
    renamed = {**doctored, "backend": "local"}
    for row in (theirs, doctored, renamed, {**own, "npz_uri": theirs["npz_uri"]}, {**own, "npz_uri": None}):
        with pytest.raises(NotTrainable, match="may not train"):
            studio().training_motion(row)
    # Whoever also rewrites the record still has the file's own word against them.
    record = tmp_path / "store" / theirs["npz_uri"].replace(".npz", ".json")
    record.write_text(json.dumps({**json.loads(record.read_text()), "trainable": True}))
    with pytest.raises(NotTrainable):
        studio().training_motion(doctored)


def test_a_clip_of_a_licence_that_was_withdrawn_is_not_served_from_the_cache(
    studio: Any, moment: Any, serve: Any, streaming: Any, settled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve(streaming())
    made = studio(HyMotionRest(served.url, None, settled()))
    assert _make(made, moment)["backend"] == "hymotion_rest"
    monkeypatch.setattr(HyMotionRest, "identity", "the same")  # also where a key doesn't tell
    assert _make(studio(HyMotionRest(served.url, None, settled())), moment)["backend"] == "hymotion_rest"
    for withdrawn in ({"accepted": False}, {"territory": "DE"}):
        row = _make(studio(HyMotionRest(served.url, None, settled(licence=withdrawn))), moment)
        assert row["backend"] == "local"
        assert json.loads(row["fallback"]) == [{"backend": "hymotion_rest", "trouble": "not allowed"}]


def test_the_stamp_of_a_studio_names_its_licence(studio: Any, settled: Any) -> None:
    licences = ({}, {"accepted": False}, {"territory": "JP"}, {"territory": "US", "excluded": ("US",)})
    for backend in (HyMotionRest, MmcpBackend):
        found = {studio(backend("http://127.0.0.1:1", None, settled(licence=it))).identity for it in licences}
        assert len(found) == 4


def test_the_table_holds_no_clip_of_hy_motion_that_may_train(
    studio: Any, moment: Any, serve: Any, streaming: Any, settled: Any
) -> None:
    row = _make(studio(HyMotionRest(serve(streaming()).url, None, settled())), moment)
    frame = pl.DataFrame([row], schema=empty("clips").schema)
    assert conform("clips", frame).height == 1
    for backend in ("hymotion_rest", "hymotion_cli"):
        with pytest.raises(SchemaViolation, match="licensed"):
            conform("clips", frame.with_columns(pl.lit(backend).alias("backend"), pl.lit(True).alias("trainable")))


def test_the_order_is_the_configured_one_then_the_command_then_ourselves(settled: Any, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    shutil.copy(Path(__file__).with_name("local_infer.py"), tmp_path)
    environment = Settings(
        mmcp_url="http://127.0.0.1:1", hy_motion_api_url="http://127.0.0.1:1", hy_motion_home=str(tmp_path),
        hy_motion_model=str(tmp_path / "model"),
    )  # fmt: skip

    def names(environment: Settings, **changes: Any) -> list[str]:
        return [backend.name for backend in preferred(environment, settled(**changes))]

    assert names(environment) == []  # local alone is the default, whatever the environment holds
    assert load_backends().backend == "local" and load_backends().licence.accepted is False
    assert names(environment, backend="mmcp") == ["mmcp", "hymotion_cli"]
    assert names(environment, backend="hymotion_rest") == ["hymotion_rest", "hymotion_cli"]
    assert names(environment, backend="hymotion_cli") == ["hymotion_cli"]
    assert names(environment, backend="hymotion_rest", licence={"accepted": False}) == ["hymotion_rest"]
    assert names(Settings(), backend="hymotion_rest") == ["hymotion_rest"]


def test_a_backends_identity_changes_with_what_it_makes_and_not_with_its_patience(settled: Any) -> None:
    def identity(url: str = "http://127.0.0.1:1", **changes: Any) -> str:
        return HyMotionRest(url, None, settled(**changes)).identity

    same = identity()
    assert (
        same
        == identity(limits={"request_s": 1.0})
        == identity(retries={"attempts": 9})
        == identity(hymotion={"poll_s": 3.0})
    )
    others = [
        identity("http://127.0.0.1:2"),
        identity(hymotion={"cfg_scale": 4.0}),
        identity(warp={"smoothing_s": 0.1}),
    ]
    assert len({same, *others}) == 4
    assert "pw" not in identity("http://user:pw@127.0.0.1:1")


def test_a_licence_names_a_territory_by_its_code() -> None:
    for bad in ("us", "USA", "Germany"):
        with pytest.raises(ValueError, match="two capital letters"):
            Licence(accepted=True, territory=bad, excluded=())
    assert Licence(accepted=True, territory="JP", excluded=("DE",)).refusal is None
    assert len(load_backends().licence.excluded) == 29


@dataclasses.dataclass
class _Registry:
    version: str = "x"

    def champion(self) -> "_Registry":
        return self


@pytest.fixture
def doctor(tmp_path: Path, settled: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    def look(environment: Settings, **changes: Any) -> Any:
        monkeypatch.setattr("resources.health.load_backends", lambda: settled(**changes))
        found = list(examine(environment, Store(str(tmp_path / "store")), _Registry()))  # type: ignore[arg-type]
        return {finding.service: finding for finding in found if finding.service.startswith("motion")}

    return look


def test_the_doctor_says_what_is_configured_and_what_answers(
    doctor: Any, serve: Any, streaming: Any, uvicorn_of: Any, nobody: str, tmp_path: Path
) -> None:
    from resources.motion_server import application

    alone = doctor(Settings())["motion backend"]
    assert (alone.configured, alone.state) == ("local", "ok")
    rest = doctor(Settings(hy_motion_api_url=serve(streaming()).url), backend="hymotion_rest")["motion backend"]
    assert rest.state == "ok" and "streaming" in rest.detail
    mmcp = doctor(
        Settings(mmcp_url=uvicorn_of(application("127.0.0.1", None))), backend="mmcp", mmcp={"model": "gridmotion"}
    )["motion backend"]
    assert mmcp.state == "ok" and "gridmotion" in mmcp.detail and "1.4" in mmcp.detail
    down = doctor(Settings(mmcp_url=nobody), backend="mmcp")["motion backend"]
    assert down.state == "failed" and "unreachable" in down.detail
    off = doctor(Settings(hy_motion_api_url=nobody), backend="hymotion_rest", licence={"accepted": False})[
        "motion backend"
    ]
    assert off.state == "failed" and "not accepted" in off.detail
    unset = doctor(Settings(), backend="hymotion_rest")["motion backend"]
    assert unset.state == "failed" and "HY_MOTION_API_URL" in unset.detail
    idle = doctor(Settings(hy_motion_api_url=nobody))["motion backend"]
    assert idle.state == "ok" and "HY_MOTION_API_URL is set but backends.yaml names local" in idle.detail
    cli = doctor(Settings(hy_motion_home=str(tmp_path)), backend="hymotion_cli")["motion backend"]
    assert cli.state == "failed" and "local_infer.py" in cli.detail
    server = doctor(Settings())["motion server"]
    assert server.state == "ok" and "MOTION_SERVER_TOKEN not set" in server.configured
