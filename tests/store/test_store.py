"""The store on a folder and on a real S3 server: atomic, stamped, reused, loud."""

import errno
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from botocore.exceptions import ClientError

from pipeline.tables import TABLES, SchemaViolation, empty
from resources.files import FileStands
from resources.parquet import Stamp
from resources.store import PartDamaged, PartMissing, Store, StoreError

STAMP = Stamp("code", "config", "input")


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return Store(str(tmp_path / "store"))
    endpoint = request.getfixturevalue("s3_server")
    return Store(f"s3://gridmotion/{uuid.uuid4().hex}", {"endpoint_url": endpoint})


@pytest.fixture
def rounds() -> pl.DataFrame:
    return TABLES["rounds"].create_empty().vstack(
        pl.DataFrame(
            {"match_id": ["m1"], "round": [1], "start_ms": [0], "live_ms": [10], "end_ms": [20], "sides": [[]],
             "winner": ["terrorists"], "reason": [None]},
            schema=TABLES["rounds"].create_empty().schema,
        )
    )  # fmt: skip


def test_a_table_comes_back_as_it_was_written(store: Store, rounds: pl.DataFrame) -> None:
    part = store.write_table("rounds", "m1", rounds, STAMP)
    assert store.read_table("rounds", "m1").equals(rounds)
    assert store.keys("rounds") == ["m1"]
    assert store.keys("events") == []
    assert store.part("rounds", "m1").digest == part.digest
    assert store.part("rounds", "m1").stamp == STAMP


def test_the_same_rows_and_stamp_give_the_same_bytes(store: Store, rounds: pl.DataFrame) -> None:
    first = store.write_table("rounds", "m1", rounds, STAMP).digest
    assert store.write_table("rounds", "m1", rounds, STAMP).digest == first
    assert store.write_table("rounds", "m1", rounds, Stamp("other", "config", "input")).digest != first


def test_an_equal_stamp_reuses_the_part_and_another_replaces_it(store: Store, rounds: pl.DataFrame) -> None:
    computed = []

    def compute() -> pl.DataFrame:
        computed.append(1)
        return rounds

    assert not store.ensure("rounds", "m1", STAMP, compute).reused
    assert store.ensure("rounds", "m1", STAMP, compute).reused
    assert len(computed) == 1
    assert not store.ensure("rounds", "m1", Stamp("newer", "config", "input"), compute).reused
    assert len(computed) == 2


def test_a_damaged_part_is_named_and_computed_anew(store: Store, rounds: pl.DataFrame) -> None:
    store.write(store.part_path("rounds", "m1"), b"PAR1 this is not Parquet")
    with pytest.raises(PartDamaged, match="match_id=m1"):
        store.read_table("rounds", "m1")
    assert not store.ensure("rounds", "m1", STAMP, lambda: rounds).reused
    assert store.read_table("rounds", "m1").equals(rounds)


def test_a_frame_that_breaks_its_declaration_is_refused_and_nothing_is_written(
    store: Store, rounds: pl.DataFrame
) -> None:
    with pytest.raises(SchemaViolation, match="rounds"):
        store.write_table("rounds", "m1", rounds.with_columns(match_id=pl.lit("not an id!")), STAMP)
    with pytest.raises(PartMissing):
        store.read_table("rounds", "m1")


def test_names_that_would_leave_the_store_are_refused(store: Store) -> None:
    for key in ("../m1", "a/b", "", "x" * 101, "m 1"):
        with pytest.raises(StoreError):
            store.part_path("rounds", key)
    for path in ("../outside", "/etc/passwd", "a/../../b"):
        with pytest.raises(StoreError):
            store.write(path, b"")


def test_files_are_listed_copied_and_deleted(store: Store, tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_bytes(b"line\n")
    store.put(tmp_path / "log.jsonl", "landing/log.jsonl")
    assert [(path, size) for path, size, _ in store.files("landing")] == [("landing/log.jsonl", 5)]
    with store.local_copy("landing/log.jsonl") as local:
        assert local.read_bytes() == b"line\n"
    store.delete("landing/log.jsonl")
    store.delete("landing/log.jsonl")
    assert store.files("landing") == []
    assert not store.exists("landing/log.jsonl")


def test_a_store_that_cannot_be_reached_says_so(tmp_path: Path) -> None:
    dead = {"endpoint_url": "http://127.0.0.1:1", "config_kwargs": {"retries": {"total_max_attempts": 1}}}
    store = Store("s3://gridmotion/x", {**dead, "key": "k", "secret": "s"})
    for attempt in (lambda: store.read("file"), lambda: store.write("file", b""), lambda: store.files()):
        with pytest.raises(StoreError, match="s3://gridmotion/x"):
            attempt()


def test_what_fails_while_rows_are_made_is_not_told_of_the_part(store: Store) -> None:
    def rows() -> Iterator[pl.DataFrame]:
        yield empty("quarantine")
        raise FileNotFoundError("a temporary file is gone")

    with pytest.raises(FileNotFoundError, match="a temporary file is gone"):
        store.write_table("quarantine", "m1", rows(), STAMP)
    assert store.keys("quarantine") == []


@pytest.mark.parametrize("size", [200, 200_000], ids=["at the end", "at once"])
def test_a_file_that_grows_too_large_for_its_place_is_named(tmp_path: Path, size: int) -> None:
    store = Store(str(tmp_path))
    before, ignored = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
        with pytest.raises(StoreError, match=r"cannot write .*name.*File too large"):
            store.write("name", bytes(size))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert not list((tmp_path / ".tmp").iterdir()) and not store.exists("name")


def test_a_store_that_refuses_says_where(s3_server: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="s3://no-such-bucket-here/x/file"):
        Store(
            "s3://no-such-bucket-here/x",
            {"endpoint_url": s3_server, "config_kwargs": {"retries": {"total_max_attempts": 1}}},
        ).read("file")
    blocked = tmp_path / "file"
    blocked.write_text("a file where a folder should be")
    with pytest.raises(StoreError, match="cannot write"):
        Store(str(blocked / "store")).write("x", b"")


@pytest.fixture
def killed_in_the_middle_of_a_write(tmp_path: Path) -> Iterator[Path]:
    """A store in which a process was killed after half of its second write."""
    script = f"""
import os, signal
from resources.store import Store
store = Store({str(tmp_path / "store")!r})
store.write("file", b"first")
with store._files.writing("file") as file:
    file.write(b"sec"); file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -signal.SIGKILL
    yield tmp_path / "store"


def test_a_killed_write_leaves_the_old_content_and_its_leftover_is_swept(killed_in_the_middle_of_a_write: Path) -> None:
    assert len(list((killed_in_the_middle_of_a_write / ".tmp").iterdir())) == 1
    store = Store(str(killed_in_the_middle_of_a_write))
    assert store.read("file") == b"first"
    assert list((killed_in_the_middle_of_a_write / ".tmp").iterdir()) == []


def test_of_several_that_write_a_new_part_at_once_one_succeeds(store: Store, rounds: pl.DataFrame) -> None:
    stamps = [Stamp(f"code {number}", "config", "input") for number in range(8)]
    ready = threading.Barrier(len(stamps))

    def write(stamp: Stamp) -> Stamp | None:
        ready.wait()
        try:
            return store.write_table("rounds", "m1", rounds, stamp, new=True).stamp
        except FileStands:
            return None

    with ThreadPoolExecutor(len(stamps)) as threads:
        written = [stamp for stamp in threads.map(write, stamps) if stamp]
    assert len(written) == 1
    assert store.part("rounds", "m1").stamp == written[0]
    with pytest.raises(FileStands, match="match_id=m1"):
        store.write_table("rounds", "m1", rounds, STAMP, new=True)
    assert store.write_table("rounds", "m1", rounds, STAMP).stamp == STAMP


@pytest.mark.parametrize("end", ["alone", "another came first", "in conflict for ever"])
def test_a_new_file_that_s3_finds_in_conflict_is_tried_once_more(
    s3_server: str, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    store = Store(f"s3://gridmotion/{uuid.uuid4().hex}", {"endpoint_url": s3_server})
    real, asked = store._files._s3.put_file, []

    def put_file(*arguments: Any, **options: Any) -> None:
        asked.append(options["mode"])
        if len(asked) == 1 or end == "in conflict for ever":
            if end == "another came first":
                store.write("file", b"theirs")
            fault = ClientError({"Error": {"Code": "ConditionalRequestConflict"}}, "PutObject")
            raise OSError(errno.EBUSY, "conflict") from fault
        real(*arguments, **options)

    monkeypatch.setattr(store._files._s3, "put_file", put_file)
    refusal = {"alone": nullcontext(), "another came first": pytest.raises(FileStands)}
    with (
        refusal.get(end, pytest.raises(StoreError, match="cannot write")),
        store._files.writing("file", new=True) as file,
    ):
        file.write(b"mine")
    assert asked == ["create", "create"]
    monkeypatch.undo()
    left = {"alone": b"mine", "another came first": b"theirs"}
    assert [store.read("file")] == [left[end]] if end in left else not store.exists("file")


@pytest.mark.parametrize("size", [200, 200_000], ids=["at the end", "at once"])
def test_a_full_disk_before_a_put_is_named(s3_server: str, size: int) -> None:
    files = Store(f"s3://gridmotion/{uuid.uuid4().hex}", {"endpoint_url": s3_server})._files
    before, ignored = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
        with (
            pytest.raises(StoreError, match=r"cannot write s3://.*name.*File too large"),
            files.writing("name") as file,
        ):
            file.write(bytes(size))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert not files.exists("name")


def test_a_leftover_that_cannot_be_swept_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".tmp").mkdir()
    (tmp_path / ".tmp" / "another user's").touch()

    def refuse(*_: Any) -> int:
        raise PermissionError("not yours")

    monkeypatch.setattr(os, "open", refuse)
    Store(str(tmp_path))
    monkeypatch.undo()
    assert len(list((tmp_path / ".tmp").iterdir())) == 1


@pytest.mark.parametrize("while_it", ["writes", "reads"])
def test_what_a_killed_process_had_of_s3_is_swept_by_the_next(
    s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, while_it: str
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    url, options = f"s3://gridmotion/{uuid.uuid4().hex}", {"endpoint_url": s3_server}
    alive = Store(url, options)
    alive.write("file.gz", b"first")
    opening = {"writes": "store._files.writing('file.gz')", "reads": "store.local_copy('file.gz')"}
    script = f"""
import os, signal
from resources.store import Store
store = Store({url!r}, {options!r})
with {opening[while_it]}:
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -signal.SIGKILL
    (folder,) = tmp_path.iterdir()
    assert len(list(folder.iterdir())) == 1
    with alive.local_copy("file.gz") as mine:
        assert Store(url, options).read("file.gz") == b"first"
        assert [each.name for each in folder.iterdir()] == [mine.parent.name]
        assert mine.read_bytes() == b"first"
    assert list(folder.iterdir()) == []


def test_a_part_that_was_packed_in_another_way_is_made_anew(store: Store, rounds: pl.DataFrame) -> None:
    before = Stamp("code", "config", "input", layout="older")
    store.write_table("rounds", "m1", rounds, before)
    assert before != STAMP
    assert not store.ensure("rounds", "m1", STAMP, lambda: rounds).reused
    assert store.ensure("rounds", "m1", STAMP, lambda: rounds).reused


def test_a_stamp_of_before_there_was_a_layout_has_none() -> None:
    assert Stamp.from_json(b'{"code_version":"c","config_hash":"c","input_hash":"i"}').layout == ""
