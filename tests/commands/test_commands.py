"""The command line as people call it: a process of its own, in a folder of its own."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

LONE_EVENT = (
    '{"event_id":"evt_1","match_id":"m1","event_type":"POSITION_UPDATE","actor":"player:p1",'
    '"timestamp":"2026-01-01T12:00:00Z",'
    '"payload":{"pos":[12.4,0.0,8.9],"objective_pos":[10.0,0.0,10.0],"ts":100.0}}\n'
)


@pytest.fixture
def gridmotion(gridmotion_in, tmp_path: Path):  # type: ignore[no-untyped-def]
    return partial(gridmotion_in, tmp_path)


def _script(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The same by the script that was installed."""
    keep = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "OMP_NUM_THREADS")}
    command = [Path(sys.executable).parent / "gridmotion", *arguments]
    environment = keep | {"COLUMNS": "160"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_log_is_ingested_analysed_and_listed(gridmotion, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "lone.jsonl").write_text(LONE_EVENT)
    ingested = _script("ingest", "lone.jsonl", folder=tmp_path)
    assert ingested.returncode == 0, ingested.stderr
    assert "gridmotion run m1" in ingested.stdout
    ran = gridmotion("run", "m1")
    assert ran.returncode == 0, ran.stderr
    assert "feature rows │ 1" in ran.stdout
    assert "Traceback" not in ran.stdout + ran.stderr
    assert (tmp_path / "data" / "intents" / "match_id=m1" / "part-0.parquet").exists()
    assert not list((tmp_path / "data" / "ingest").iterdir())


def test_another_log_of_a_match_is_refused_aloud_and_words_of_a_log_are_no_markup(gridmotion, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "lone.jsonl").write_text(LONE_EVENT)
    (tmp_path / "odd[b]name.jsonl").write_text(LONE_EVENT.replace("12.4", "13.4"))
    (tmp_path / "bad.jsonl").write_text(LONE_EVENT.replace("[12.4,0.0,8.9]", '"here"'))
    done = gridmotion("ingest", "lone.jsonl", "odd[b]name.jsonl", "bad.jsonl")
    assert done.returncode == 1
    assert "failed: odd[b]name.jsonl: m1 stands from another log (--replace)" in done.stdout
    assert "payload.pos: must be [x, y, z]" in done.stdout
    assert gridmotion("ingest", "--replace", "odd[b]name.jsonl").returncode == 0


def test_what_fails_is_named_in_one_line_and_the_exit_code_says_so(gridmotion, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "lone.jsonl").write_text(LONE_EVENT)
    mixed = gridmotion("ingest", "empty.jsonl", "lone.jsonl")
    assert mixed.returncode == 1
    assert "empty.jsonl" in mixed.stdout.partition("failed")[2]
    assert "gridmotion run m1" in mixed.stdout
    unknown = gridmotion("run", "nothing")
    assert unknown.returncode == 1
    assert "ingest its log first" in unknown.stdout
    for done in (mixed, unknown, gridmotion("clips", "nothing")):
        assert "Traceback" not in done.stdout + done.stderr


def test_the_same_seed_simulates_the_same_bytes(gridmotion, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for folder in ("a", "b"):
        done = gridmotion("simulate", "--rounds", "1", "--seed", "5", "--out", folder)
        assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert len(names) == 3
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.slow
def test_moments_are_embedded_and_found_by_words(gridmotion, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    assert gridmotion("search", "a defender").returncode == 1
    assert gridmotion("simulate", "--rounds", "2", "--seed", "5", "--out", "logs").returncode == 0
    (log,) = (tmp_path / "logs").glob("*.jsonl.gz")
    ingested = gridmotion("ingest", str(log))
    match_id = ingested.stdout.rpartition("gridmotion run ")[2].split()[0]
    assert gridmotion("backfill", match_id, "--processes", "1").returncode == 0
    embedded = gridmotion("embed")
    assert embedded.returncode == 0, embedded.stdout + embedded.stderr
    assert "EMBEDDING_ENCODER is not set" in embedded.stdout
    found = gridmotion("search", "a defender waits", "--limit", "3", "--json")
    assert found.returncode == 0, found.stdout + found.stderr
    hits = [json.loads(line) for line in found.stdout.splitlines()]
    assert len(hits) == 3
    assert "defender" in hits[0]["text"]
    assert hits[0]["next"].startswith(f"gridmotion clips {match_id} --segment ")
    assert "embedded_now 0" in gridmotion("embed").stdout
