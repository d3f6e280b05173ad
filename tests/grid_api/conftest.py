"""A server that behaves as GRID's does, with faults on order; and clients that do not really wait."""

import io
import json
import logging
import threading
import time
import zipfile
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from configs.grid import GridConfig, load_grid
from resources.grid_api import GridApi

KEY = "k3y-that-nobody-may-see"
Fault = Callable[["Handler"], bool]


@dataclass
class Hosted:
    """A file on the server."""

    data: bytes
    etag: str = '"v1"'
    modified: str = "Mon, 01 Jun 2026 12:00:00 GMT"
    ranges: bool = True


@dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class FakeGrid:
    """GRID's APIs on this machine.

    Attributes:
        hosted: files by path; those of a series are put there by `put`.
        statuses: `{series: {file: status}}` of the listing.
        pages: answers of Central Data, in order; the last one stands.
        faults: what happens to the next requests of a path instead of, or before, the true answer.
        seen: every request.
    """

    hosted: dict[str, Hosted] = field(default_factory=dict)
    statuses: dict[str, dict[str, str]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    pages: list[Any] = field(default_factory=list)
    faults: dict[str, deque[Fault]] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    url: str = ""

    def put(self, series: str, events: bytes | None = None, end_state: bytes | None = None) -> None:
        for name, path, data in (
            ("events-grid", events_path(series), events),
            ("state-grid", end_state_path(series), end_state),
        ):
            self.statuses.setdefault(series, {})[name] = "ready" if data is not None else "processing"
            if data is not None:
                self.hosted[path] = Hosted(data)

    def fail(self, path: str, *faults: Fault) -> None:
        self.faults.setdefault(path, deque()).extend(faults)

    def asked(self, path: str) -> list[Seen]:
        return [seen for seen in self.seen if seen.path.partition("?")[0] == path]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    grid: FakeGrid

    def do_GET(self) -> None:
        self._handle(None)

    def do_POST(self) -> None:
        self._handle(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _handle(self, body: Any) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.grid.seen.append(Seen(self.command, self.path, headers, body))
        path = self.path.partition("?")[0]
        faults = self.grid.faults.get(path)
        if faults and faults.popleft()(self):
            return
        if path in self.grid.hosted:
            self.send_file(self.grid.hosted[path])
        elif path.startswith("/file-download/list/"):
            self._list(path.rpartition("/")[2])
        elif path == "/central-data/graphql":
            page = self.grid.pages.pop(0) if len(self.grid.pages) > 1 else self.grid.pages[0]
            self.send_json(200, page)
        else:
            self.send_json(404, {"message": "not found"})

    def _list(self, series: str) -> None:
        if series not in self.grid.statuses:
            self.send_json(404, {"message": "no such series"})
            return
        files = [
            {
                "id": name,
                "description": "",
                "status": status,
                "fileName": name,
                "fullURL": f"https://elsewhere.invalid/{name}",
                **({"fileSize": self.grid.sizes[name]} if name in self.grid.sizes else {}),
            }
            for name, status in self.grid.statuses[series].items()
        ]
        self.send_json(200, {"files": files})

    def send_json(self, status: int, answer: Any, **headers: str) -> None:
        self.send_data(status, json.dumps(answer).encode(), {"Content-Type": "application/json", **headers})

    def send_file(self, hosted: Hosted, stop: int | None = None) -> None:
        start, wanted = 0, self.headers.get("Range")
        same = self.headers.get("If-Range") in (None, hosted.etag, hosted.modified)
        if wanted and hosted.ranges and same:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
        total = len(hosted.data)
        headers = {"ETag": hosted.etag, "Last-Modified": hosted.modified}
        headers = {name: value for name, value in headers.items() if value}
        if start >= total > 0 and start:
            self.send_data(416, b"", {"Content-Range": f"bytes */{total}"})
        elif start:
            headers["Content-Range"] = f"bytes {start}-{total - 1}/{total}"
            self.send_data(206, hosted.data[start:], headers, stop)
        else:
            self.send_data(200, hosted.data, headers, stop)

    def send_data(self, status: int, data: bytes, headers: dict[str, str], stop: int | None = None) -> None:
        """A response; one that stops early breaks the connection there."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[:stop])
        if stop is not None:
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass


def events_path(series: str) -> str:
    return f"/file-download/events/grid/series/{series}"


def end_state_path(series: str) -> str:
    return f"/file-download/end-state/grid/series/{series}"


# -- faults ----------------------------------------------------------------------------------------------------------


def answers(status: int, answer: Any = None, **headers: str) -> Fault:
    """Another answer."""

    def fault(handler: Handler) -> bool:
        handler.send_json(status, answer or {}, **{name.replace("_", "-"): value for name, value in headers.items()})
        return True

    return fault


def breaks_after(count: int) -> Fault:
    """The connection breaks after so many bytes of the file."""

    def fault(handler: Handler) -> bool:
        handler.send_file(handler.grid.hosted[handler.path.partition("?")[0]], stop=count)
        return True

    return fault


def hangs(seconds: float) -> Fault:
    """Silence before the answer."""

    def fault(handler: Handler) -> bool:
        time.sleep(seconds)
        handler.close_connection = True
        return True

    return fault


def first(change: Callable[[FakeGrid], None]) -> Fault:
    """Something changes on the server before it answers truly."""

    def fault(handler: Handler) -> bool:
        change(handler.grid)
        return False

    return fault


# -- fixtures --------------------------------------------------------------------------------------------------------


@pytest.fixture
def faults() -> dict[str, Callable[..., Fault]]:
    return {"answers": answers, "breaks_after": breaks_after, "hangs": hangs, "first": first}


@pytest.fixture
def hosted() -> type[Hosted]:
    return Hosted


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """A client that goes away in the middle is part of the tests."""


def _serve(grid: FakeGrid) -> ThreadingHTTPServer:
    server = _Server(("127.0.0.1", 0), type("Bound", (Handler,), {"grid": grid}))
    grid.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    return server


@pytest.fixture
def grid() -> Iterator[FakeGrid]:
    """The server."""
    fake = FakeGrid()
    server = _serve(fake)
    yield fake
    server.shutdown()
    server.server_close()


@pytest.fixture
def storage() -> Iterator[FakeGrid]:
    """Another host, as the file storage that GRID redirects to."""
    fake = FakeGrid()
    server = _serve(fake)
    yield fake
    server.shutdown()
    server.server_close()


@pytest.fixture
def config() -> GridConfig:
    return load_grid()


@pytest.fixture
def changed() -> Callable[..., GridConfig]:
    """The configuration with other values, by area."""

    def change(**areas: Any) -> GridConfig:
        wire = load_grid().model_dump()
        for area, values in areas.items():
            wire[area] = {**wire[area], **values} if isinstance(values, dict) else values
        return GridConfig.model_validate(wire)

    return change


@pytest.fixture
def waits() -> list[float]:
    """Seconds that clients would have waited."""
    return []


@pytest.fixture
def open_api(grid: FakeGrid, waits: list[float]) -> Iterator[Callable[..., GridApi]]:
    """Makes clients of the server, which note their waits instead of waiting."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "*")
        yield lambda **options: GridApi(**{"key": SecretStr(KEY), "url": grid.url, "sleep": waits.append, **options})


@pytest.fixture
def api(open_api: Callable[..., GridApi]) -> Iterator[GridApi]:
    with open_api().connected() as opened:
        yield opened


@pytest.fixture(autouse=True)
def the_key_stays_secret(caplog: pytest.LogCaptureFixture, grid: FakeGrid, storage: FakeGrid) -> Iterator[None]:
    """After each test: the key is in no log line and no address, and no other host has seen it."""
    loggers = [logging.getLogger(name) for name in (None, "httpx", "httpcore", "resources.grid_api")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
    assert KEY not in caplog.text
    assert not [seen.path for seen in (*grid.seen, *storage.seen) if KEY in seen.path]
    assert not [seen for seen in storage.seen if "x-api-key" in seen.headers]


def zipped(text: bytes, name: str = "events.jsonl") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(name), text)
    return buffer.getvalue()


@pytest.fixture
def zip_of() -> Callable[..., bytes]:
    return zipped


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    (tmp_path / "spool").mkdir()
    return tmp_path / "spool"
