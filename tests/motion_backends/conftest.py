"""Requests, foreign motions, and real servers that behave as asked: over real HTTP, as motion servers do and fail."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from configs.backends import BackendsConfig, load_backends
from pipeline.motion.clip import Clip, ClipRequest
from pipeline.motion.npz import axis_angle
from pipeline.motion.synthesizer import synthesize
from resources.motion_backends.patience import Patience


@dataclass
class Seen:
    """A request that a server got."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Reply:
    """What a server sends, and how badly."""

    status: int = 200
    body: Any = None
    kind: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    manner: str = "whole"

    def data(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


Answers = Callable[[Seen], Reply]


class Served:
    """A server on a port of its own, what it is asked, and what it says."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.seen: list[Seen] = []
        self.over = threading.Event()
        served = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                return

            def _do(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                text = self.rfile.read(length)
                seen = Seen(self.command, self.path, dict(self.headers.items()), json.loads(text) if text else None)
                served.seen.append(seen)
                with suppress(BrokenPipeError, ConnectionResetError):
                    self._send(served.answers(seen))
                self.close_connection = True

            def _send(self, reply: Reply) -> None:
                if reply.manner == "hang":
                    served.over.wait(30)
                    return
                data = reply.data()
                self.send_response(reply.status)
                self.send_header("Content-Type", reply.kind)
                self.send_header("Connection", "close")
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                if reply.manner == "endless":
                    self.end_headers()
                    until = time.monotonic() + 30
                    while time.monotonic() < until and not served.over.is_set():
                        self.wfile.write(b" " * 65536)
                    return
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if reply.manner == "half":
                    self.wfile.write(data[: len(data) // 2])
                    return
                if reply.manner == "dribble":
                    for k in range(len(data)):
                        self.wfile.write(data[k : k + 1])
                        self.wfile.flush()
                        if served.over.wait(0.05):
                            return
                    return
                self.wfile.write(data)

            do_GET = do_POST = _do

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def count(self, path: str) -> int:
        return sum(seen.path.partition("?")[0] == path for seen in self.seen)

    def close(self) -> None:
        self.over.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[[Answers], Served]]:
    """Starts servers that answer as a function says."""
    running: list[Served] = []

    def start(answers: Answers) -> Served:
        running.append(Served(answers))
        return running[-1]

    yield start
    for served in running:
        served.close()


@pytest.fixture(scope="session")
def nobody() -> str:
    """An address at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture(scope="session")
def request_on(request_on: Callable[..., ClipRequest]) -> Callable[..., ClipRequest]:
    """Builds a request on a planar path that says what it was decided by."""
    told = {"segment_id": "0123456789abcdef", "model_version": "0a1b2c3d", "features_hash": "fedcba9876543210"}
    return lambda way, **changes: request_on(way, **{"height": None, **told, **changes})


@pytest.fixture(scope="session")
def line() -> Callable[..., np.ndarray]:
    """Positions at a constant speed in a direction (radians from +x to +z), 8 Hz."""

    def build(speed: float, seconds: float = 5.5, direction: float = 0.0) -> np.ndarray:
        way = np.arange(int(seconds * 8)) * speed / 8.0
        return np.stack([way * np.cos(direction), way * np.sin(direction)], axis=-1)

    return build


@pytest.fixture(scope="session")
def walk(request_on: Any, line: Any) -> ClipRequest:
    return request_on(line(1.3))


@pytest.fixture(scope="session")
def walked(walk: ClipRequest) -> Clip:
    """Somebody who walks: what a model is made to have answered with."""
    return synthesize(walk)


@pytest.fixture(scope="session")
def smplh(walked: Clip) -> dict[str, np.ndarray]:
    """The walk as HY-Motion writes it: 52 joints, the root apart."""
    turns = axis_angle(walked.rotations)
    poses = np.zeros((walked.frames, 52, 3))
    poses[:, 1:22] = turns[:, 1:]
    return {"poses": poses.reshape(walked.frames, 156), "trans": walked.root + 0.2, "Rh": turns[:, 0]}


def _updated(config: Any, changes: dict[str, Any]) -> Any:
    inner = {
        name: _updated(getattr(config, name), value) if isinstance(value, dict) else value
        for name, value in changes.items()
    }
    return config.model_copy(update=inner)


@pytest.fixture(scope="session")
def settled() -> Callable[..., BackendsConfig]:
    """The configuration with the licence accepted, short patience, and changes."""

    def build(**changes: Any) -> BackendsConfig:
        base = {
            "licence": {"accepted": True, "territory": "US"},
            "limits": {"request_s": 60.0, "connect_s": 30.0},
            "mmcp": {"model": "walker"},
            "hymotion": {"poll_s": 0.0, "task_s": 60.0, "cli_s": 60.0, "cli_grace_s": 0.3},
        }
        return _updated(_updated(load_backends(), base), changes)

    return build


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def patience(settled: Any, pauses: list[float]) -> Patience:
    """Patience that notes its pauses and doesn't wait."""
    return Patience(settled().retries, pauses.append)


@pytest.fixture(scope="session")
def reply() -> type[Reply]:
    return Reply


@pytest.fixture(scope="session")
def people(smplh: dict[str, np.ndarray]) -> list[Any]:
    """The walk as frames of people, as the page of the task server holds it."""
    poses, trans, root = (smplh[name].tolist() for name in ("poses", "trans", "Rh"))
    return [
        [{"id": 0, "gender": "neutral", "Rh": [r], "Th": [t], "poses": [p], "shapes": [[0.0] * 16]}]
        for p, t, r in zip(poses, trans, root, strict=True)
    ]


@pytest.fixture(scope="session")
def page(people: list[Any]) -> str:
    """The page on which the task server draws a motion."""
    return f"<!doctype html><script>const frames = {json.dumps(people)};</script><p>A person walks.</p>"


@pytest.fixture(scope="session")
def streaming(smplh: dict[str, np.ndarray]) -> Callable[..., Answers]:
    """The server that answers at once; `faults` replace the answer at a path."""

    def build(**faults: Callable[[Seen], Reply]) -> Answers:
        data = {name: values.reshape(-1).tolist() for name, values in smplh.items()}
        data |= {"frameCount": smplh["trans"].shape[0], "fps": 30, "betas": [0.0] * 16, "gender": "neutral"}

        def answers(seen: Seen) -> Reply:
            path = seen.path.partition("?")[0]
            if path.strip("/") in faults:
                return faults[path.strip("/")](seen)
            if path == "/health":
                return Reply(body={"status": "ok", "runtime_loaded": True, "gpu_available": False, "gpu_count": 0})
            if path == "/generate" and seen.method == "POST":
                return Reply(body={"success": True, "message": "made", "data": data})
            return Reply(404, {"detail": "Not Found"})

        return answers

    return build


@pytest.fixture(scope="session")
def tasks(page: str) -> Callable[..., Answers]:
    """The server that keeps tasks, done at the third look; `faults` replace the answer at a path's first part."""

    def build(**faults: Callable[[Seen], Reply]) -> Answers:
        looks: dict[str, int] = {}

        def answers(seen: Seen) -> Reply:
            parts = seen.path.partition("?")[0].strip("/").split("/")
            name = "task" if parts[0] == "tasks" and len(parts) == 2 else parts[0]
            if name in faults:
                return faults[name](seen)
            if name == "openapi.json":
                return Reply(body={"paths": {"/tasks": {}, "/download/{task_id}": {}, "/health": {}}})
            if name == "tasks":
                return Reply(202, {"task_id": "550e8400-e29b-41d4-a716-446655440000", "status": "pending"})
            if name == "task":
                looks[parts[1]] = looks.get(parts[1], 0) + 1
                status = ("pending", "running", "completed")[min(looks[parts[1]], 3) - 1]
                return Reply(body={"task_id": parts[1], "status": status, "result": None, "error": None})
            if name == "download":
                return Reply(body=page.encode(), kind="text/html; charset=utf-8")
            return Reply(404, {"detail": "Not Found"})

        return answers

    return build


@pytest.fixture(scope="module")
def uvicorn_of() -> Iterator[Callable[..., str]]:
    """Runs ASGI applications on ports of their own, until the module's tests are done; gives their addresses."""
    import uvicorn

    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(app: Any, **options: Any) -> str:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1, **options))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        running.append((server, thread))
        deadline = time.monotonic() + 20
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.02)
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for server, _ in running:
        server.should_exit = True
    for _, thread in running:
        thread.join(10)
