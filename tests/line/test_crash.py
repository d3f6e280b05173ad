"""A killed process costs nothing: run again, and every byte is as if nothing had happened."""

import contextlib
import hashlib
import itertools
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.events.sources.simulator import simulate, write

CLIPS = 3
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["assets.definitions"])


def _run_the_line(folder: str, log: str, die_at: int | None, writes: Any) -> None:
    """Scan and analyse in a process of its own, which kills itself around its `die_at`-th change of the store."""
    import dagster as dg

    from assets.definitions import build_defs, open_store
    from resources import files as module
    from resources.clips import ClipStudio
    from resources.motion_backends.local import LocalBackend
    from resources.settings import Settings

    changes = iter(range(1_000_000))

    def passed() -> None:
        number = next(changes)
        writes.value = number + 1
        if number == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    fsync, replacing, delete = os.fsync, module.Folder.writing, module.Folder.delete

    def dying_fsync(descriptor: int) -> None:
        passed()  # written, not yet under its name
        fsync(descriptor)

    @contextlib.contextmanager
    def dying_writing(self: Any, path: str, *, new: bool = False) -> Any:
        with replacing(self, path, new=new) as file:
            yield file
        passed()  # under its name, nothing after it yet

    def dying_delete(self: Any, path: str) -> None:
        passed()
        delete(self, path)
        passed()

    module.os.fsync, module.Folder.writing, module.Folder.delete = dying_fsync, dying_writing, dying_delete
    home = Path(folder) / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    environment = Settings(gridmotion_store=f"{folder}/store")
    store = open_store(environment)
    definitions = build_defs(environment, store=store, studio=ClipStudio(store, LocalBackend(), budget=CLIPS))
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        landed = f"landing/{Path(log).name}"
        if not store.keys("logs") or store.exists(landed):
            store.put(Path(log), landed)
            config = {"ops": {"scanned_log": {"config": {"path": landed}}}}
            definitions.resolve_job_def("scan_log").execute_in_process(instance=instance, run_config=config)
        (match_id,) = store.keys("matches")
        instance.add_dynamic_partitions("match_id", [match_id])
        definitions.resolve_job_def("analyse_match").execute_in_process(instance=instance, partition_key=match_id)


def _start(folder: Path, log: Path, die_at: int | None = None) -> tuple[Any, Any]:
    writes = _processes.Value("i", 0)
    process = _processes.Process(target=_run_the_line, args=(str(folder), str(log), die_at, writes))
    process.start()
    return process, writes


def _finish(process: Any) -> int:
    process.join(120)
    return process.exitcode


def _tree(folder: Path) -> dict[str, str]:
    store = folder / "store"
    return {
        path.relative_to(store).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(store.rglob("*"))
        if path.is_file() and path.relative_to(store).parts[0] not in ("mlflow", "reviews")
    }


@pytest.fixture(scope="module")
def short_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One round: enough for every change of the store that a longer match makes, and for its clips."""
    return write(tmp_path_factory.mktemp("short"), simulate(rounds=1, seed=11))[0]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, short_log: Path) -> tuple[dict[str, str], int, float]:
    """What an undisturbed run leaves, in how many changes of the store, and how long it took."""
    trees = []
    for run in ("first", "second"):  # the second finds the imports done, as those that are killed do
        folder = tmp_path_factory.mktemp(run)
        begin = time.monotonic()
        process, writes = _start(folder, short_log)
        assert _finish(process) == 0
        trees.append(_tree(folder))
    tree = trees[0]
    assert trees[1] == tree
    assert sum(path.startswith("motion/") for path in tree) == 5 * CLIPS  # GLB, NPZ, still, preview and what made them
    assert not [path for path in tree if path.startswith((".tmp", "landing"))]
    return tree, writes.value, time.monotonic() - begin


def _killed_then_run_again(folder: Path, log: Path, die_at: int) -> dict[str, str]:
    process, _ = _start(folder, log, die_at)
    assert _finish(process) == -signal.SIGKILL
    process, _ = _start(folder, log)
    assert _finish(process) == 0
    return _tree(folder)


def test_killed_around_some_writes_and_run_again_gives_the_same_bytes(
    undisturbed: tuple[dict[str, str], int, float], short_log: Path, tmp_path: Path
) -> None:
    tree, changes, _ = undisturbed
    for die_at in random.Random(1).sample(range(changes), 4):
        assert _killed_then_run_again(tmp_path / str(die_at), short_log, die_at) == tree, f"change {die_at}"


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_killed_around_every_write_and_run_again_gives_the_same_bytes(
    undisturbed: tuple[dict[str, str], int, float], short_log: Path, tmp_path: Path
) -> None:
    tree, changes, _ = undisturbed
    for die_at in range(changes):
        assert _killed_then_run_again(tmp_path / str(die_at), short_log, die_at) == tree, f"change {die_at}"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_killed_at_twenty_seeded_moments_and_run_again_gives_the_same_bytes(
    undisturbed: tuple[dict[str, str], int, float], short_log: Path, tmp_path: Path
) -> None:
    tree, _, seconds = undisturbed
    moments = random.Random(2)
    killed = 0
    for number in itertools.count():
        if killed == 20:
            break
        folder = tmp_path / str(number)
        process, _ = _start(folder, short_log)
        time.sleep(moments.uniform(0, seconds))
        process.kill()
        if _finish(process) != -signal.SIGKILL:
            seconds *= 0.8  # it was quicker than the undisturbed one
            continue
        killed += 1
        process, _ = _start(folder, short_log)
        assert _finish(process) == 0
        assert _tree(folder) == tree, f"moment {number}"
