"""A process that runs a match is killed, and another one goes on from its last snapshot to the same bytes."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

RUNNING = Path(__file__).with_name("running.py")
ROOT = Path(__file__).parents[2]
NEVER = 10**9


@pytest.fixture
def run(tmp_path, shuffled):
    """Runs a match to its end, killed at these numbers of events; gives its rows and how often it was killed."""

    def run(match, seed, deaths):
        match.stream[shuffled(match, seed)].write_parquet(tmp_path / "stream.parquet")
        ends = []
        for die_at in (*sorted(deaths), NEVER):
            command = [sys.executable, RUNNING, tmp_path / "stream.parquet", tmp_path, str(seed), str(die_at)]
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            ends.append(subprocess.run(command, env=environment, check=False, timeout=240).returncode)
        parts = [pl.read_parquet(part) for part in sorted(tmp_path.glob("rows-*.parquet"))]
        return pl.concat(parts), ends

    return run


def test_a_generated_match_killed_twice_ends_with_the_recorded_bytes(run, strange_match, written):
    match = strange_match(3)
    rows, ends = run(match, 3, random.Random(3).sample(range(len(match.arrived)), 2))
    assert ends == [-signal.SIGKILL] * 2 + [0]
    assert written(rows) == match.recorded


def test_a_real_match_killed_thrice_ends_with_the_recorded_bytes(run, shared_data, read_streamed, written):
    match = read_streamed(shared_data / "cs2" / "cs2-sf-mirage.jsonl.gz").cut(30_000)
    rows, ends = run(match, 5, random.Random(5).sample(range(30_000), 3))
    assert ends == [-signal.SIGKILL] * 3 + [0]
    assert written(rows) == match.recorded


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ["am-inferno", "sf-dust2", "sf-mirage", "vf-inferno", "vf-mirage", "vf-overpass"])
def test_a_real_match_killed_twenty_times_ends_with_the_recorded_bytes(run, shared_data, read_streamed, written, name):
    match = read_streamed(shared_data / "cs2" / f"cs2-{name}.jsonl.gz")
    rows, ends = run(match, 7, random.Random(name).sample(range(len(match.arrived)), 20))
    assert ends == [-signal.SIGKILL] * 20 + [0]
    assert written(rows) == match.recorded
