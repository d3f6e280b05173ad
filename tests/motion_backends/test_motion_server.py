"""Our synthesizer over MMCP, asked by the protocol's own client over real HTTP."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from motionmcp_client import client, gltf_parser
from pydantic import SecretStr
from typer.testing import CliRunner

from pipeline.motion.footfalls import LEFT
from pipeline.motion.foreign import Motion
from pipeline.motion.measures import contact_slip, skating_ratio
from pipeline.motion.skeleton import INDEX, JOINTS, forward
from resources.motion_backends.mmcp import motion_of, skeleton
from resources.motion_server import MODEL, Unsafe, application, listening

FPS = 30


@pytest.fixture
def url(uvicorn_of: Any) -> str:
    return str(uvicorn_of(application("127.0.0.1", None)))


def _asked(frames: int = 120, **changes: Any) -> dict[str, Any]:
    return {
        "protocol_version": "1.0",
        "model": MODEL,
        "skeleton": skeleton(),
        "segments": [{"type": "text", "prompt": "A person walks forward.", "duration_frames": frames}],
        "constraints": [],
        "options": {"seed": 3, "num_samples": 1},
        **changes,
    }


def _path(points: list[tuple[int, float, float]], headings: list[float] | None = None) -> dict[str, Any]:
    drawn: dict[str, Any] = {
        "type": "root_path",
        "frames": [frame for frame, _, _ in points],
        "positions_xz": [[x, z] for _, x, z in points],
    }
    return drawn | ({"heading_radians": headings} if headings is not None else {})


def _walk(frames: int) -> list[dict[str, Any]]:
    return [{"type": "text", "prompt": "walk", "duration_frames": frames}]


_HAND = {"type": "effector_target", "joint": "L_Wrist", "frames": [0], "positions": [[0, 0, 0]]}


def _motion(document: dict[str, Any], most: int = 1000) -> Motion:
    return motion_of(document, most, trainable=True)


def test_the_official_client_sees_what_is_served(url: str) -> None:
    found = client.get_capabilities(url, use_cache=False)
    assert found["protocol_version"] == "1.4"
    model = client.pick_model(found, wanted=MODEL)
    assert model["supported_constraints"] == ["root_path"] and model["fps"] == FPS
    assert [joint["name"] for joint in model["canonical_skeleton"]["joints"]] == list(JOINTS)
    assert model["limits"]["max_duration_seconds"] == 12.0
    assert client.probe_server(url).status == "online"


def test_a_body_goes_where_the_client_draws_and_holds_the_ground(url: str) -> None:
    corner = _path([(0, 2.0, 1.0), (60, 4.6, 1.0), (119, 4.6, 3.6)])
    document = client.generate(url, _asked(constraints=[corner]))
    (data,) = gltf_parser.parse_gltf_samples(document)
    assert data["joint_names"] == list(JOINTS) and data["num_frames"] == 120 and data["fps"] == pytest.approx(FPS)
    motion = _motion(document)
    wanted = np.stack(
        [np.interp(np.arange(120), corner["frames"], axis) for axis in np.transpose(corner["positions_xz"])]
    )
    away = np.hypot(*(motion.root[:, [0, 2]].T - wanted))
    assert away.mean() < 0.05 and away.max() < 0.2  # the corner is rounded as a person rounds it
    positions, _ = forward(motion.rotations, motion.root)
    assert motion.contacts is not None and 0.3 < motion.contacts[:, LEFT].mean() < 0.9
    assert contact_slip(positions, motion.contacts, FPS)["contact_slip_max_mps"] < 0.1
    assert skating_ratio(positions, np.zeros((120, 2)), FPS) <= 0.02
    assert positions[..., 1].min() > -0.01


def test_a_heading_is_where_the_body_looks(url: str) -> None:
    for heading in (0.0, 1.2, -2.0):
        there = _path([(0, 0.0, 0.0), (119, 0.0, 0.01)], [heading, heading])
        motion = _motion(client.generate(url, _asked(constraints=[there])))
        _, turned = forward(motion.rotations, motion.root)
        x, y, z, w = turned[60, INDEX["Head"]]
        looks = np.arctan2(2 * (x * z + w * y), 1 - 2 * (x * x + y * y))
        assert np.degrees(np.abs((looks - heading + np.pi) % (2 * np.pi) - np.pi)) < 15


def test_without_a_path_the_words_say_how_fast(url: str) -> None:
    ways = {}
    for word in ("walks", "runs", "stands"):
        segments = [{"type": "text", "prompt": f"A person {word}.", "duration_frames": 90}]
        motion = _motion(client.generate(url, _asked(segments=segments)))
        ways[word] = float(motion.root[-1, 2] - motion.root[0, 2])
    assert ways["runs"] > 2 * ways["walks"] > 4 and abs(ways["stands"]) < 0.3


def test_samples_differ_and_the_same_seed_gives_the_same(url: str) -> None:
    asked = _asked(options={"seed": 3, "num_samples": 3})
    first, again = client.generate(url, asked), client.generate(url, asked)
    assert first["animations"] == again["animations"] and first["buffers"] == again["buffers"]
    samples = gltf_parser.parse_gltf_samples(first)
    assert len(samples) == 3 and not np.array_equal(samples[0]["local_rot_mats"], samples[1]["local_rot_mats"])


def test_another_frame_rate_is_kept_to(url: str) -> None:
    slow = _motion(client.generate(url, _asked(60, timing={"fps": 15.0}, constraints=[_path([(0, 0, 0), (59, 0, 5)])])))
    assert slow.fps == pytest.approx(15.0) and slow.frames == 60 and slow.root[-1, 2] == pytest.approx(5.0, abs=0.05)


def test_a_batch_is_answered_item_by_item(url: str) -> None:
    body = {"protocol_version": "1.4", "requests": [_asked(), {**_asked(), "model": "nope"}]}
    good, bad = httpx.post(f"{url}/generate", json=body, timeout=30).json()["results"]
    assert "gltf" in good and bad["error"]["code"] == "unknown_model"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"model": "nope"}, "unknown_model"),
        ({"skeleton": {**skeleton(), "joints": skeleton()["joints"][:5]}}, "retargeting_unsupported"),
        ({"segments": _walk(3600)}, "invalid_options"),
        ({"segments": _walk(1200), "timing": {"fps": 200.0}}, "invalid_options"),
        ({"timing": {"fps": 1e9}}, "invalid_options"),
        ({"segments": _walk(1)}, "invalid_options"),
        ({"segments": [{"type": "text", "prompt": "x" * 501, "duration_frames": 30}]}, "invalid_options"),
        ({"options": {"num_samples": 5}}, "invalid_options"),
        ({"options": {"loop": True}}, "invalid_options"),
        ({"constraints": [_path([(0, 0, 0), (119, 900.0, 0)])]}, "invalid_request"),
        ({"constraints": [_path([(0, 0, 0), (119, 1e12, 0)])]}, "invalid_request"),
        ({"constraints": [_path([(0, 0, 0), (119, 1, 0)], [0.0, 1e9])]}, "invalid_request"),
        ({"constraints": [_path([(0, 0, 0), (500, 1, 0)])]}, "frame_out_of_range"),
        ({"constraints": [_HAND]}, "unsupported_constraint"),
        ({"constraints": [_path([(0, 0, 0)])] * 9}, "invalid_options"),
        ({"protocol_version": "2.0"}, "version_unsupported"),
        ({"unknown": 1}, "schema_validation"),
    ],
)  # fmt: skip
def test_what_is_not_served_is_refused_in_the_protocols_words(changes: dict[str, Any], code: str, url: str) -> None:
    with pytest.raises(client.MmcpError) as failure:
        client.generate(url, _asked(**changes))
    assert failure.value.code == code


def test_a_body_that_is_too_large_is_refused_before_it_is_read(url: str) -> None:
    for declared in (1_048_577, 10**15):
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
        connection.putrequest("POST", "/generate")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(declared))
        connection.endheaders()
        answer = connection.getresponse()
        assert (answer.status, json.load(answer)["error"]["code"]) == (413, "payload_too_large")
        connection.close()


def test_numbers_that_are_none_are_refused(url: str) -> None:
    for text in ('"positions_xz": [[NaN, 0.0], [1.0, 0.0]]', '"positions_xz": [[Infinity, 0.0], [1.0, 0.0]]'):
        constraint = f'[{{"type": "root_path", "frames": [0, 119], {text}}}]'
        body = re.sub(r'"constraints": \[\]', f'"constraints": {constraint}', json.dumps(_asked()))
        answer = httpx.post(f"{url}/generate", content=body, headers={"Content-Type": "application/json"}, timeout=30)
        assert answer.status_code == 400 and answer.json()["error"]["code"] == "invalid_request"


def test_with_a_token_nobody_else_is_let_in(uvicorn_of: Any) -> None:
    url = uvicorn_of(application("127.0.0.1", SecretStr("open sesame")))
    for token in (None, "open", "open sesame2"):
        with pytest.raises(client.MmcpError) as failure:
            client.generate(url, _asked(), access_token=token)
        assert failure.value.code == "auth_required"
        answer = httpx.get(f"{url}/capabilities", headers={"Authorization": f"Bearer {token}"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized")
        assert client.probe_server(url, access_token=token).status == "auth_required"
    assert client.generate(url, _asked(), access_token="open sesame")["animations"]


def test_a_page_that_was_led_here_by_its_name_is_refused(url: str) -> None:
    for host in ("evil.example", "evil.example:80", "user@evil.example"):
        answer = httpx.get(f"{url}/capabilities", headers={"Host": host})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
    assert httpx.get(f"{url}/capabilities", headers={"Host": "localhost:1"}).status_code == 200


def test_a_page_of_another_place_may_not_ask_unasked(url: str) -> None:
    body = json.dumps(_asked()).encode()
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        answer = httpx.post(f"{url}/generate", content=body, headers={"Content-Type": kind} if kind else {})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")
    for origin in ("https://evil.example", "null", "http://localhost.evil.example", "http://evil.example:80", ""):
        headers = {"Origin": origin, "Content-Type": "application/json"}
        answer = httpx.post(f"{url}/generate", content=body, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
    headers = {"Origin": "http://localhost:3000", "Content-Type": "application/json; charset=utf-8"}
    assert httpx.post(f"{url}/generate", content=body, headers=headers, timeout=60).status_code == 200


def test_silent_connections_lock_nobody_out_and_are_closed(uvicorn_of: Any, settled: Any) -> None:
    config = settled(server={"connections": 2, "idle_s": 0.3}).server
    url = uvicorn_of(application("127.0.0.1", SecretStr("sesame"), config), **listening(config))
    host, _, port = url.removeprefix("http://").partition(":")
    silent = [socket.create_connection((host, int(port))) for _ in range(70)]
    silent[0].sendall(b"GET /capabilities HTTP/1.1\r\n")  # begins and does not go on
    answer = httpx.get(f"{url}/capabilities", headers={"Authorization": "Bearer sesame"}, timeout=30)
    assert answer.status_code == 200
    for connection in silent:
        connection.settimeout(30)
        assert connection.recv(1) == b""
        connection.close()
    document = client.generate(url, _asked(), access_token="sesame")  # longer than a look
    assert _motion(document).frames == 120


def test_only_requests_with_the_token_take_a_place(uvicorn_of: Any, settled: Any) -> None:
    config = settled(server={"connections": 1}).server
    url = uvicorn_of(application("127.0.0.1", SecretStr("sesame"), config))
    host, _, port = url.removeprefix("http://").partition(":")
    head = "POST /generate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 100\r\n"
    ask = {"Authorization": "Bearer sesame"}
    with socket.create_connection((host, int(port))) as stranger, socket.create_connection((host, int(port))) as slow:
        stranger.sendall(f"{head}\r\n".encode())
        assert stranger.recv(100).startswith(b"HTTP/1.1 401")
        assert httpx.get(f"{url}/capabilities", headers=ask, timeout=30).status_code == 200
        slow.sendall(f"{head}Authorization: Bearer sesame\r\n\r\n".encode())
        deadline = time.monotonic() + 20
        while (status := httpx.get(f"{url}/capabilities", headers=ask, timeout=30).status_code) == 200:
            assert time.monotonic() < deadline
        assert status == 503
    assert httpx.get(f"{url}/capabilities").status_code == 401


def test_an_open_server_on_the_network_is_refused() -> None:
    for host in ("0.0.0.0", "192.0.2.1", "::", "gridmotion.example"):
        with pytest.raises(Unsafe, match="MOTION_SERVER_TOKEN"):
            application(host, None)
        assert application(host, SecretStr("token"))


def test_a_failure_of_ours_is_told_in_the_protocols_words(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("inner workings")

    monkeypatch.setattr("resources.motion_server.synthesize", broken)
    with pytest.raises(client.MmcpError, match="could not be made") as failure:
        client.generate(url, _asked())
    assert failure.value.code == "internal_error" and "inner" not in str(failure.value)


def test_too_many_at_once_are_told_to_come_again(uvicorn_of: Any, settled: Any) -> None:
    import concurrent.futures

    config = settled(server={"at_once": 1, "waiting": 1}).server
    url = uvicorn_of(application("127.0.0.1", None, config))
    with concurrent.futures.ThreadPoolExecutor(8) as many:
        body = _asked(360, options={"num_samples": 4})
        answers = list(many.map(lambda _: httpx.post(f"{url}/generate", json=body, timeout=60), range(8)))
    codes = sorted(answer.status_code for answer in answers)
    assert codes[0] == 200 and codes[-1] == 503
    assert {answer.json()["error"]["code"] for answer in answers if answer.status_code == 503} == {"resource_exhausted"}


@pytest.fixture
def command() -> list[str]:
    return [str(Path(sys.executable).with_name("gridmotion")), "motion-server"]


def test_the_command_serves_until_it_is_interrupted(command: list[str], nobody: str) -> None:
    port = int(nobody.rpartition(":")[2])
    environment = {**os.environ, "MOTION_SERVER_TOKEN": "secret-token"}
    with subprocess.Popen(
        [*command, "--port", str(port)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:  # fmt: skip
        try:
            while client.probe_server(nobody, access_token="secret-token").status == "unreachable":
                assert process.poll() is None
                time.sleep(0.1)
            assert _motion(client.generate(nobody, _asked(), access_token="secret-token")).frames == 120
            process.send_signal(signal.SIGINT)
            told = process.communicate(timeout=30)[0].decode()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    assert "asks for the token" in told and "secret-token" not in told


def test_the_command_refuses_to_be_open(monkeypatch: pytest.MonkeyPatch) -> None:
    from assets.commands import app
    from resources.settings import settings

    monkeypatch.delenv("MOTION_SERVER_TOKEN", raising=False)
    settings.cache_clear()
    done = CliRunner().invoke(app, ["motion-server", "--host", "0.0.0.0", "--port", "0"])
    settings.cache_clear()
    assert done.exit_code == 1 and "MOTION_SERVER_TOKEN is not set" in " ".join(done.output.split())
