"""Dagster's own daemon killed between a tick and the runs that it requests: each run is there once."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import dagster as dg
import pytest
import redis.asyncio as redis

from assets.definitions import build_defs
from configs.live import load_agent
from resources.replay import replay
from resources.settings import Settings
from resources.stream import Shard, Streams

ROOT = Path(__file__).parents[2]
PATIENCE_S = 200

# The loop of `dagster-daemon` for its sensors, with Dagster's own places to die at.
DAEMON = """
import logging, signal, sys, time
import dagster as dg
from dagster._core.test_utils import create_test_daemon_workspace_context
from dagster._core.workspace.load_target import ModuleTarget
from dagster._daemon.sensor import execute_sensor_iteration

point, sensor = sys.argv[1:]
flags = {sensor: {point: signal.SIGKILL}} if point else None
target = ModuleTarget("assets.definitions", None, None, "gridmotion")
with dg.DagsterInstance.get() as instance, create_test_daemon_workspace_context(target, instance) as workspace:
    while True:
        for _ in execute_sensor_iteration(workspace, logging.getLogger("daemon"), None, None, debug_crash_flags=flags):
            pass
        time.sleep(0.5)
"""


class Daemon:
    """A process group of its own: the code server that a killed daemon leaves ends with it."""

    def __init__(self, home, environment):
        self._environment = {**os.environ, **environment, "DAGSTER_HOME": str(home), "PYTHONPATH": str(ROOT)}

    def start(self, point=""):
        self.process = subprocess.Popen(
            [sys.executable, "-c", DAEMON, point, "live_sensor"],
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def end(self):
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        return self.process.wait(PATIENCE_S)


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "home"
    folder.mkdir()
    shutil.copy(ROOT / "dagster.yaml", folder)
    return folder


def _until(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, "too slow"
        time.sleep(0.2)
    return found


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("point", ["RUN_IDS_RESERVED", "RUN_CREATED", "RUN_LAUNCHED"])
def test_a_daemon_that_dies_between_tick_and_run_requests_each_run_once(redis_server, simulated, tmp_path, home, point):
    lines = [(n, simulated.match_id, line) for n, line in enumerate(simulated.lines)]

    def on_server(work):
        async def connected():
            client = redis.from_url(redis_server)
            try:
                return await work(client)
            finally:
                await client.aclose()

        return asyncio.run(connected())

    async def send(client):
        await client.flushall()
        return await replay(Streams(client, load_agent()), lines, shards=1, speed=None)

    on_server(send)
    environment = {"GRIDMOTION_STORE": str(tmp_path / "store"), "REDIS_URL": redis_server}
    daemon = Daemon(home, environment)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        try:
            daemon.start(point)
            assert daemon.process.wait(PATIENCE_S) == -signal.SIGKILL
            daemon.end()
            before = instance.get_runs(dg.RunsFilter(job_name="follow_live"))
            assert len(before) == (point != "RUN_IDS_RESERVED")
            daemon.start()
            (state,) = [s for s in instance.all_instigator_state() if s.name == "live_sensor"]

            def ticked():
                ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id)
                return [tick for tick in ticks if tick.status.value in ("SUCCESS", "SKIPPED")][1:]  # and one more

            _until(ticked)
        finally:
            daemon.end()
        (run,) = instance.get_runs(dg.RunsFilter(job_name="follow_live"))
        assert not before or run.run_id == before[0].run_id
        assert run.status == dg.DagsterRunStatus.QUEUED
        definitions = build_defs(Settings(gridmotion_store=str(tmp_path / "store"), redis_url=redis_server))
        job = definitions.resolve_job_def("follow_live")
        with dg.DagsterInstance.ephemeral() as other:
            assert job.execute_in_process(instance=other, run_config=run.run_config).success
    rank = on_server(lambda client: client.hget(Shard(0, 1).key("checkpoint"), "rank"))
    assert int(rank) == len(lines)
