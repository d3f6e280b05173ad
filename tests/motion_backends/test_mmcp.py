"""MMCP servers over real HTTP: the official one with several models, and ones that fail as servers fail."""

import json
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from motionmcp import Backbone, ModelSpec, MotionResult
from motionmcp.null_backbone import NullBackbone
from motionmcp.schemas import Skeleton
from motionmcp.server import build_app
from motionmcp_client import client, gltf_parser
from pydantic import SecretStr

from configs.backends import Mmcp, load_backends
from pipeline.motion.measures import measure
from pipeline.motion.prompts import every_prompt
from pipeline.motion.skeleton import JOINTS
from resources.motion_backends import child
from resources.motion_backends.errors import (
    BackendError,
    BadAnswer,
    Busy,
    Failed,
    NotAllowed,
    NotSetUp,
    Refused,
    TimedOut,
    TooLarge,
    Unauthorised,
    Unreachable,
)
from resources.motion_backends.mmcp import MmcpBackend, motion_of, skeleton
from resources.motion_server import application


class Walker(Backbone):
    """A model that answers with somebody who walks, wherever the path goes."""

    def __init__(self, clip: Any, model_id: str = "walker", **changes: Any) -> None:
        self.clip, self.asked = clip, []
        own = Skeleton.model_validate(skeleton())
        spec = ModelSpec(id=model_id, fps=30.0, supported_constraints=["root_path"], canonical_skeleton=own)
        self.spec = spec.model_copy(update=changes)

    def capabilities(self) -> ModelSpec:
        return self.spec

    def generate(self, request: Any) -> MotionResult:
        self.asked.append(request)
        at = np.rint(np.linspace(0, self.clip.frames - 1, request.total_frames)).astype(int)
        return MotionResult(
            rotations=self.clip.rotations[at][None].astype(np.float32),
            root_translations=self.clip.root[at][None].astype(np.float32),
        )


@pytest.fixture
def mmcp(settled: Any, patience: Any) -> Callable[..., MmcpBackend]:
    def build(served: Any, token: str | None = None, **changes: Any) -> MmcpBackend:
        url = served if isinstance(served, str) else served.url
        secret = None if token is None else SecretStr(token)
        return MmcpBackend(url, secret, settled(**changes), patience=patience)

    return build


def test_a_clip_of_any_model_is_put_on_the_path(uvicorn_of: Any, mmcp: Any, walk: Any, walked: Any) -> None:
    model = Walker(walked)
    clip = mmcp(uvicorn_of(build_app(model))).generate(walk)
    assert (clip.backend, clip.trainable, clip.made_with["model"]) == ("mmcp", False, "walker")
    found = measure(clip, walk)
    assert found["path_ade_m"] < 0.02 and found["contact_slip_max_mps"] < 0.1 and found["penetration_mm"] < 1
    (asked,) = model.asked
    assert asked.segments[0].prompt == clip.made_with["prompt"] and clip.made_with["prompt"] in every_prompt()
    (drawn,) = asked.constraints
    assert drawn.frames[0] == 0 and drawn.frames[-1] == asked.total_frames - 1 == 71
    np.testing.assert_allclose(drawn.positions_xz, clip.path[drawn.frames][:, [0, 2]], atol=1e-3)
    np.testing.assert_allclose(drawn.heading_radians, np.pi / 2, atol=0.05)  # along +x


def test_our_own_server_is_a_backend_like_any_other(uvicorn_of: Any, mmcp: Any, walk: Any, walked: Any) -> None:
    url = uvicorn_of(application("127.0.0.1", SecretStr("sesame")))
    clip = mmcp(url, "sesame", mmcp={"model": "gridmotion", "trainable_models": ("gridmotion",)}).generate(walk)
    assert clip.trainable is True
    found, own = measure(clip, walk), measure(walked, walk)
    assert found["path_ade_m"] < 0.02 and found["contact_slip_max_mps"] < 0.1
    assert found["warp_moved_m"] < 0.05 and found["jitter_mps3"] < 2 * own["jitter_mps3"]
    assert clip.contacts.mean() == pytest.approx(walked.contacts.mean(), abs=0.1)


def test_trainable_is_what_the_operator_says_of_a_model_and_never_of_hy_motion(
    uvicorn_of: Any, mmcp: Any, walk: Any, walked: Any
) -> None:
    url = uvicorn_of(build_app([Walker(walked, "ours"), Walker(walked, "HY-Motion-1.0")]))
    theirs = "HY-Motion-1.0"
    for model, allowed, expected in (("ours", ("ours",), True), ("ours", (), False), (theirs, (theirs,), False)):
        clip = mmcp(url, mmcp={"model": model, "trainable_models": allowed}).generate(walk)
        assert clip.trainable is expected
    with pytest.raises(NotAllowed, match="not accepted"):
        mmcp(url, mmcp={"model": "HY-Motion-1.0"}, licence={"accepted": False}).generate(walk)
    with pytest.raises(Refused, match="no model nope"):
        mmcp(url, mmcp={"model": "nope"}).generate(walk)


@pytest.mark.parametrize("name", ["HY Motion 1.0", "tencent/HY.Motion", "ｈｙｍｏｔｉｏｎ", "HYM-1.0-Lite", "混元动作"])
def test_hy_motion_is_known_by_any_of_its_names_wherever_a_server_says_it(
    name: str, played: Any, mmcp: Any, walk: Any, reply: Any
) -> None:
    served = played()
    found = json.loads(json.dumps(served.found))
    for place in ({"name": name}, {"labels": [{"maker": name}]}, {"id": name}):
        models = [{**found["models"][0], **place}]
        answering = played(capabilities=lambda _, models=models: reply(body={**found, "models": models}))
        known = models[0]["id"]
        clip = mmcp(answering, mmcp={"model": known, "trainable_models": (known,)}).generate(walk)
        assert clip.trainable is False
        asked = answering.count("/generate")
        with pytest.raises(NotAllowed, match="not accepted"):
            mmcp(answering, mmcp={"model": known}, licence={"accepted": False}).generate(walk)
        assert answering.count("/generate") == asked
    values = load_backends().mmcp.model_dump()
    with pytest.raises(ValueError, match="train no other model"):
        Mmcp(**{**values, "trainable_models": (name,)})
    assert Mmcp(**{**values, "trainable_models": ("gridmotion",)}).trainable_models == ("gridmotion",)


MALFORMED: dict[str, dict[str, Any]] = {
    "no id": {"id": None},
    "huge fps": {"fps": 10**400},
    "segments that are a number": {"supported_segments": 5},
    "constraints that are a number": {"supported_constraints": 5},
    "endless limits": {"limits": {"max_duration_seconds": -1e308}},
    "limits that are a list": {"limits": [1]},
    "a joint that is text": {"canonical_skeleton": {"joints": ["a", *skeleton()["joints"]]}},
    "a turn that is a number": {
        "canonical_skeleton": {"joints": [j | {"rest_rotation": 3} for j in skeleton()["joints"]]},
    },
}  # fmt: skip


@pytest.mark.parametrize("malformed", MALFORMED)
def test_capabilities_that_are_none_are_the_servers_trouble_and_count(
    malformed: str, played: Any, mmcp: Any, walk: Any, reply: Any
) -> None:
    served = played()
    entry = {**served.found["models"][0], **MALFORMED[malformed], "supports_retargeting": False}
    body = {**served.found, "models": [entry]}
    expected = Refused if malformed == "no id" else BadAnswer
    backend = mmcp(played(capabilities=lambda _: reply(body=body)), breaker={"failures": 1})
    with pytest.raises(expected):
        backend.generate(walk)
    assert backend.breaker.resting is (expected is BadAnswer)


def test_clips_are_kept_under_the_name_of_a_model(played: Any, mmcp: Any, walk: Any) -> None:
    served = played()
    with pytest.raises(NotSetUp, match=r"mmcp.model of backends.yaml is empty.*walker"):
        mmcp(served, mmcp={"model": ""}).generate(walk)
    assert served.count("/generate") == 0
    assert mmcp(served).identity != mmcp(served, mmcp={"model": "other"}).identity


def test_no_message_repeats_a_secret(mmcp: Any, nobody: str, serve: Any, reply: Any, walk: Any) -> None:
    echo = serve(
        lambda seen: reply(401, {"error": {"code": "unauthorized", "message": f"not {seen.headers['Authorization']}"}})
    )
    with pytest.raises(Unauthorised) as refused:
        mmcp(echo, "hunter2").model()
    for url in (nobody.replace("//", "//bob:hunter2@"), f"{nobody}/?key=hunter2"):
        with pytest.raises(BackendError) as failed:
            mmcp(url).model(seconds=5)
        assert "hunter2" not in str(failed.value) and "bob" not in str(failed.value)
    assert "hunter2" not in str(refused.value)
    for token in ("hunter2\nxx", "hunter2\r\nX: y", "hunter2’"):
        with pytest.raises(NotSetUp, match="MMCP_TOKEN") as bad:
            mmcp(nobody, token).model()
        assert "hunter2" not in str(bad.value)


def test_the_client_sees_no_secret_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MMCP_TOKEN", "GRID_API_KEY", "DATABASE_URL", "HF_TOKEN", "SENTRY_DSN", "REDIS_URL"):
        monkeypatch.setenv(name, "hidden")
    monkeypatch.setenv("SSL_CERT_FILE", "/certs")
    assert "hidden" not in child.environment(online=True).values()
    assert "SSL_CERT_FILE" in child.environment(online=True) and "SSL_CERT_FILE" not in child.environment()


def test_a_body_with_other_joints_needs_a_server_that_fits_its_motion(
    uvicorn_of: Any, mmcp: Any, walk: Any, walked: Any
) -> None:
    with pytest.raises(Refused, match="22 SMPL joints"):
        mmcp(uvicorn_of(build_app(NullBackbone())), mmcp={"model": "null"}).generate(walk)
    other = NullBackbone().capabilities().canonical_skeleton
    fitting = Walker(walked, supports_retargeting=True, canonical_skeleton=other)
    assert mmcp(uvicorn_of(build_app(fitting))).generate(walk).frames == 72
    turned = skeleton()
    turned["joints"][4]["rest_rotation"] = [1.0, 0.0, 0.0, 0.0]
    with pytest.raises(Refused, match="rest pose"):
        mmcp(uvicorn_of(build_app(Walker(walked, canonical_skeleton=Skeleton.model_validate(turned))))).generate(walk)


def test_a_model_without_paths_or_words_is_asked_for_what_it_has(
    uvicorn_of: Any, mmcp: Any, walk: Any, walked: Any
) -> None:
    blind = Walker(walked, supported_constraints=[])
    assert mmcp(uvicorn_of(build_app(blind))).generate(walk).frames == 72
    assert blind.asked[0].constraints == []
    with pytest.raises(Refused, match="no text"):
        mmcp(uvicorn_of(build_app(Walker(walked, supported_segments=["unconditioned"])))).generate(walk)


def test_a_motion_that_does_not_fit_is_the_backends_trouble(uvicorn_of: Any, mmcp: Any, walk: Any, walked: Any) -> None:
    class Short(Walker):
        def generate(self, request: Any) -> MotionResult:
            made = super().generate(request)
            return MotionResult(made.rotations[:, :10], made.root_translations[:, :10])

    with pytest.raises(BadAnswer, match="for a clip of"):
        mmcp(uvicorn_of(build_app(Short(walked)))).generate(walk)


@pytest.fixture(scope="module")
def official(uvicorn_of: Any, settled: Any, walk: Any, walked: Any) -> tuple[str, str]:
    """What the official server says it can do, and a motion of it, as JSON."""
    url = uvicorn_of(build_app(Walker(walked)))
    backend = MmcpBackend(url, None, settled())
    document = client.generate(url, backend._body(backend.model(), "A person walks.", walk))
    return json.dumps(client.get_capabilities(url, use_cache=False)), json.dumps(document)


@pytest.fixture
def played(official: tuple[str, str], serve: Any, reply: Any) -> Callable[..., Any]:
    """A plain server that plays an official answer back, its `generate` or `capabilities` replaced."""
    found, document = map(json.loads, official)

    def start(**faults: Callable[[Any], Any]) -> Any:
        def answers(seen: Any) -> Any:
            name = seen.path.strip("/")
            if name in faults:
                return faults[name](seen)
            return reply(body=found if name == "capabilities" else document, kind="model/gltf+json")

        served = serve(answers)
        served.document, served.found = document, found
        return served

    return start


FAULTS: dict[str, tuple[dict[str, Any], type[Exception]]] = {
    "internal_error": ({"status": 500, "body": {"error": {"code": "internal_error", "message": "no"}}}, Failed),
    "500 without words": ({"status": 500, "kind": "text/plain", "body": b"oops"}, Failed),
    "unauthorized": ({"status": 401, "body": {"error": {"code": "unauthorized", "message": "no"}}}, Unauthorised),
    "forbidden": ({"status": 403, "body": {"error": {"code": "forbidden", "message": "no"}}}, Unauthorised),
    "invalid_options": ({"status": 400, "body": {"error": {"code": "invalid_options", "message": "no"}}}, Refused),
    "too large a request": ({"status": 413, "body": {}}, Refused),
    "redirect": ({"status": 302, "headers": {"Location": "/elsewhere"}, "body": {}}, Refused),
    "hangs": ({"manner": "hang"}, TimedOut),
    "dribbles": ({"manner": "dribble", "body": b" " * 10_000}, TimedOut),
    "half a body": ({"manner": "half", "body": b'{"a": 1}' + b" " * 10_000}, Unreachable),
    "endless": ({"manner": "endless"}, TooLarge),
    "another type": ({"kind": "text/html", "body": b"<html>"}, BadAnswer),
    "empty": ({"body": b""}, BadAnswer),
    "no JSON": ({"body": b'{"asset": '}, BadAnswer),
    "another object": ({"body": []}, BadAnswer),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("place", ["capabilities", "generate"])
def test_each_fault_has_its_own_name_and_is_not_tried_again(
    fault: str, place: str, played: Any, mmcp: Any, reply: Any, walk: Any, pauses: Any
) -> None:
    said, expected = FAULTS[fault]
    served = played(**{place: lambda _: reply(**said)})
    seconds = 1.0 if expected is TimedOut else 60.0
    limits = {"request_s": seconds, "answer_bytes": 4_000_000}
    with pytest.raises(expected):  # a dribbling server is ended by the clock of the caller
        mmcp(served, "secret", limits=limits, mmcp={"starting_s": 2.0}).generate(walk)
    assert pauses == [] and served.count(f"/{place}") == 1 and served.count("/elsewhere") == 0


@pytest.mark.parametrize(("status", "code"), [(429, "rate_limited"), (503, "model_unavailable"), (504, "timeout")])
@pytest.mark.parametrize("place", ["capabilities", "generate"])
def test_a_busy_server_is_asked_again_with_the_same_key(
    status: int, code: str, place: str, played: Any, mmcp: Any, reply: Any, walk: Any, pauses: Any
) -> None:
    busy = reply(status, {"error": {"code": code, "message": "later"}}, headers={"Retry-After": "3"})
    served = played(**{place: lambda _: busy})
    with pytest.raises(Busy, match="later" if place == "generate" else str(status)):
        mmcp(served).generate(walk)
    assert pauses == [3.0, 3.0] and served.count(f"/{place}") == 3
    keys = {seen.headers["Idempotency-Key"] for seen in served.seen if seen.method == "POST"}
    assert len(keys) == (1 if place == "generate" else 0)


def test_a_job_is_waited_for(played: Any, mmcp: Any, reply: Any, walk: Any) -> None:
    looks: list[str] = []

    def job(_: Any) -> Any:
        looks.append("")
        return reply(202, {}) if len(looks) < 2 else reply(body=served.document)

    accepted = reply(202, {}, headers={"Location": "/jobs/1", "Retry-After": "0"})
    served = played(**{"generate": lambda _: accepted, "jobs/1": job})
    assert mmcp(served).generate(walk).frames == 72 and len(looks) == 2


def test_the_token_is_sent_to_the_server_alone_and_the_hashes_with_the_request(
    played: Any, mmcp: Any, walk: Any, caplog: Any
) -> None:
    served = played()
    with caplog.at_level(logging.DEBUG):
        mmcp(served, "very-secret").generate(walk)
    assert all(seen.headers["Authorization"] == "Bearer very-secret" for seen in served.seen)
    post = served.seen[-1]
    assert post.headers["X-Gridmotion-Segment"] == walk.segment_id
    assert post.headers["X-Gridmotion-Features"] == walk.features_hash
    told = json.dumps([[seen.path, seen.headers, seen.body] for seen in served.seen])
    assert "player:p" not in told and "very-secret" not in caplog.text


BROKEN: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no animation": lambda d: d.pop("animations"),
    "no joint": lambda d: d["nodes"][3].update(name="Tail"),
    "an accessor beyond the buffer": lambda d: d["accessors"][1].update(count=400),
    "too many frames": lambda d: d["accessors"][0].update(count=10**9),
    "no base64": lambda d: d["buffers"][0].update(uri="data:application/octet-stream;base64,%%%"),
    "a short buffer": lambda d: d["buffers"][0].update(uri="data:application/octet-stream;base64,AAAA"),
    "a file elsewhere": lambda d: d["buffers"][0].update(uri="file:///etc/passwd"),
    "a wild index": lambda d: d["animations"][0]["samplers"][0].update(output=-77),
    "a cycle": lambda d: (d["nodes"][1].update(children=[0]), d["nodes"].__setitem__(3, "x")),
    "another type": lambda d: d["accessors"][1].update(type="VEC3"),
    "text": lambda d: d.update(accessors="many"),
    "no quaternions": lambda d: d["animations"][0]["channels"].__delitem__(slice(0, 22)),
}  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN)
def test_a_document_that_is_no_motion_is_refused(broken: str, played: Any, mmcp: Any, reply: Any, walk: Any) -> None:
    served = played()
    document = json.loads(json.dumps(served.document))
    BROKEN[broken](document)
    with pytest.raises(BadAnswer):
        mmcp(played(generate=lambda _: reply(body=document))).generate(walk)


def test_nobody_at_the_address_and_no_address(mmcp: Any, nobody: str, walk: Any) -> None:
    with pytest.raises(Unreachable):
        mmcp(nobody).generate(walk)
    with pytest.raises(NotSetUp, match="MMCP_URL"):
        mmcp("").generate(walk)


def test_the_captured_exchange_is_read_as_its_server_sent_it(
    shared_data: Any, serve: Any, reply: Any, mmcp: Any, walk: Any
) -> None:
    folder = shared_data / "motion" / "mmcp"
    if not folder.is_dir():
        pytest.skip("no captured exchange")
    texts = {
        name: (folder / name).read_bytes()
        for name in ("capabilities.json", "generate_response.gltf", "error_unknown_model.json")
    }
    served = serve(lambda seen: reply(body=texts["capabilities.json"]))
    model = {"model": json.loads(texts["capabilities.json"])["models"][0]["id"]}
    with pytest.raises(Refused, match="22 SMPL joints"):  # its five joints are no body
        mmcp(served, mmcp=model).generate(walk)
    (sample,) = gltf_parser.parse_gltf_samples(json.loads(texts["generate_response.gltf"]))
    assert sample["num_frames"] == 30 and sample["joint_names"][0] == "Hips"
    with pytest.raises(BadAnswer, match="our joints"):
        motion_of(json.loads(texts["generate_response.gltf"]), 400, trainable=False)
    ours = json.loads(texts["capabilities.json"])
    ours["models"][0]["canonical_skeleton"] = skeleton()
    answers = {"/capabilities": (200, ours), "/generate": (400, json.loads(texts["error_unknown_model.json"]))}
    with pytest.raises(Refused, match="not registered with this server"):
        mmcp(serve(lambda seen: reply(*answers[seen.path])), mmcp=model).generate(walk)
    asked = json.loads((folder / "generate_request.json").read_text())
    mine = mmcp(served)._body({**ours["models"][0], "protocol_version": "1.4"}, "A person walks.", walk)
    assert set(asked) == set(mine) and set(asked["constraints"][0]) <= set(mine["constraints"][0])
    assert len(JOINTS) == len(mine["skeleton"]["joints"])
