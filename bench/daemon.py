"""Dagster's own backfill, as the UI starts it: a real server and daemon, asked by GraphQL.

Belongs here: starting, asking and stopping them. Does not belong here: what is done with the figures.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assets.analysis import TABLES
from bench.processes import watched

ROOT = Path(__file__).parents[1]
_LAUNCH = """mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
_STATUS = """query($id: String!) { partitionBackfillOrError(backfillId: $id) {
  ... on PartitionBackfill { status error { message } runs(limit: 1000) { creationTime endTime } } } }"""


class DaemonFailed(Exception):
    """The server or the backfill ended otherwise than it should."""


@dataclass(frozen=True)
class Backfilled:
    """How long a backfill took.

    Attributes:
        waiting_s: s from the request until the daemon looked for one, which it does twice a minute.
        total_s: s from the request to the end of its last run, which every match is told of before.
        cpu_s: s of processor that all processes of the server took from the request until the daemon called it done.
    """

    waiting_s: float
    total_s: float
    cpu_s: float


def own_backfill(folder: Path, match_ids: list[str], environment: dict[str, str]) -> Backfilled:
    """Launches a backfill of everything up to segments and waits for its end.

    Args:
        folder: for the server's log.
        match_ids: partitions, known to the instance or not.
        environment: of the server; names the store and the instance.

    Raises:
        DaemonFailed: if the server does not answer or a match fails.
    """
    environment = {**os.environ, **environment}
    _register(match_ids, environment)
    port = _free_port()
    command = [Path(sys.executable).with_name("dagster"), "dev", "-m", "assets.definitions", "-p", str(port)]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, preexec_fn=_interruptible)
        try:
            ask = f"http://127.0.0.1:{port}/graphql"
            _wait(ask, server)
            begin, runs = time.time(), list[dict[str, float]]()
            cpu = watched(server, lambda: runs.extend(_backfilled(ask, match_ids)))
            created, ended = min(run["creationTime"] for run in runs), max(run["endTime"] for run in runs)
            return Backfilled(created - begin, ended - begin, cpu)
        finally:
            server.send_signal(signal.SIGINT)
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _backfilled(address: str, match_ids: list[str]) -> list[dict[str, float]]:
    params = {"assetSelection": [{"path": [table]} for table in TABLES], "partitionNames": match_ids}
    launched = _graphql(address, _LAUNCH, params=params)["launchPartitionBackfill"]
    if "backfillId" not in launched:
        raise DaemonFailed(json.dumps(launched))
    while True:
        time.sleep(1)
        told = _graphql(address, _STATUS, id=launched["backfillId"])["partitionBackfillOrError"]
        if told["status"] not in ("REQUESTED", "CANCELING", "FAILING"):
            break
    if told["status"] != "COMPLETED_SUCCESS":
        raise DaemonFailed(json.dumps(told))
    return list(told["runs"])


def _register(match_ids: list[str], environment: dict[str, str]) -> None:
    code = (
        "import json, sys, dagster as dg; from assets.partitions import register\n"
        "with dg.DagsterInstance.get() as instance: register(instance, json.load(sys.stdin))"
    )
    subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(match_ids), text=True, check=True, cwd=ROOT, env=environment
    )


def _graphql(address: str, query: str, **variables: Any) -> Any:
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        told = json.load(answer)
    if told.get("errors"):
        raise DaemonFailed(json.dumps(told["errors"]))
    return told["data"]


def _wait(address: str, server: "subprocess.Popen[bytes]", seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and server.poll() is None:
        try:
            _graphql(address, "{ version }")
            return
        except OSError:
            time.sleep(0.5)
    raise DaemonFailed(f"the server did not answer (exit code {server.poll()})")


def _interruptible() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what a script starts in the background ignores it


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
