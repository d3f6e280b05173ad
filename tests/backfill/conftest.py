"""A store with a handful of simulated matches that were scanned and not yet analysed."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.analysis import TABLES
from assets.definitions import build_defs, open_store
from pipeline.events.sources.simulator import simulate, write
from resources.settings import Settings
from resources.store import Store

SEEDS = (1, 2, 3, 4)


@dataclass
class Season:
    """A folder with a store (`data`) and, once something ran, a Dagster instance (`.dagster`), as in a checkout."""

    folder: Path
    gridmotion_in: Callable[..., subprocess.CompletedProcess[str]]
    done: subprocess.CompletedProcess[str] | None = None

    @property
    def store(self) -> Store:
        return Store(str(self.folder / "data"))

    @property
    def matches(self) -> list[str]:
        return self.store.keys("matches")

    def damage(self, match_id: str) -> None:
        """Cuts the kept recording of a match short."""
        recording = self.folder / "data" / self.store.read_table("matches", match_id)["log_uri"].item()
        recording.write_bytes(b"\x1f\x8b\x08\x00not a log")

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "assets.commands", *arguments]

    @property
    def environment(self) -> dict[str, str]:
        keep = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "NUMBA_CACHE_DIR")}
        return keep | {"COLUMNS": "160", "PYTHONPATH": str(Path(__file__).parents[2])}

    def backfill(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.gridmotion_in(self.folder, "backfill", *arguments)

    def copy(self, folder: Path) -> "Season":
        """The same in another folder, with what Dagster knows of it."""
        shutil.copytree(self.folder, folder)
        return Season(folder, self.gridmotion_in)

    def instance(self) -> Any:
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("DAGSTER_HOME", str(self.folder / ".dagster"))
            return dg.DagsterInstance.get()

    def tables(self) -> dict[str, str]:
        """Every part that an analysis makes, with the hash of its bytes."""
        store = self.store
        paths = [path for table in TABLES for path, _, _ in store.files(table)]
        return {path: hashlib.sha256(store.read(path)).hexdigest() for path in paths}


@pytest.fixture(scope="session")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("season")
    environment = Settings(gridmotion_store=str(folder / "data"))
    store = open_store(environment)
    scan = build_defs(environment, store=store).resolve_job_def("scan_log")
    with dg.DagsterInstance.ephemeral() as instance:
        for seed in SEEDS:
            log = write(folder / "logs", simulate(rounds=1, seed=seed))[0]
            store.put(log, f"ingest/{log.name}")
            config = {"ops": {"scanned_log": {"config": {"path": f"ingest/{log.name}"}}}}
            assert scan.execute_in_process(instance=instance, run_config=config).success
    return folder


@pytest.fixture(scope="session")
def season_in(scanned: Path, gridmotion_in: Any) -> Callable[[Path], Season]:
    """A season of its own in a folder."""

    def season_in(folder: Path) -> Season:
        shutil.copytree(scanned / "data", folder / "data")
        return Season(folder, gridmotion_in)

    return season_in


@pytest.fixture
def season(season_in: Callable[[Path], Season], tmp_path: Path) -> Season:
    return season_in(tmp_path)


@pytest.fixture(scope="session")
def as_run(season_in: Callable[[Path], Season], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the ordinary job leaves for each match."""
    season = season_in(tmp_path_factory.mktemp("run"))
    environment = Settings(gridmotion_store=season.store.url)
    job = build_defs(environment, store=season.store).resolve_job_def("analyse_match")
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("match_id", season.matches)
        for match_id in season.matches:
            selection = [dg.AssetKey(table) for table in TABLES]
            assert job.execute_in_process(instance=instance, partition_key=match_id, asset_selection=selection).success
    return season.tables()


@pytest.fixture
def told() -> Callable[[dg.DagsterInstance], dict[tuple[str, str], int]]:
    """How often the instance was told of each table of each match."""

    def count(instance: dg.DagsterInstance) -> dict[tuple[str, str], int]:
        found: dict[tuple[str, str], int] = {}
        for table in TABLES:
            records = instance.fetch_materializations(dg.AssetKey(table), limit=1000).records
            for record in records:
                key = table, str(record.partition_key)
                found[key] = found.get(key, 0) + 1
        return found

    return count


@pytest.fixture
def opened(season: Season) -> Iterator[dg.DagsterInstance]:
    """An instance of its own, for runs in this process."""
    home = season.folder / ".dagster"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        instance.add_dynamic_partitions("match_id", season.matches)
        yield instance
