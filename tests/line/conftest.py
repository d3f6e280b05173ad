"""A workspace: a store, a Dagster instance and the code location over it, as the commands and the server use them."""

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.definitions import build_defs, open_store
from pipeline.events.sources.simulator import SimulatedMatch, simulate, write
from resources.clips import ClipStudio
from resources.motion_backends.local import LocalBackend
from resources.settings import Settings
from resources.store import Store


@dataclass
class Workspace:
    """One store with its instance; runs are the real jobs, in this process."""

    store: Store
    instance: dg.DagsterInstance
    definitions: dg.Definitions
    match_id: str = ""
    scanned: dg.ExecuteInProcessResult | None = None
    analysed: dg.ExecuteInProcessResult | None = None

    def run(self, job: str, **options: Any) -> dg.ExecuteInProcessResult:
        return self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance, raise_on_error=False, **options
        )

    def scan(self, log: Path, *, replace: bool = False) -> dg.ExecuteInProcessResult:
        self.store.put(log, f"landing/{log.name}")
        config = {"path": f"landing/{log.name}", "replace": replace}
        return self.run("scan_log", run_config={"ops": {"scanned_log": {"config": config}}})

    def at(self, store: Store, environment: Settings) -> "Workspace":
        """The same over another store."""
        definitions = build_defs(environment, store=store, studio=studio_of(store))
        return Workspace(store, self.instance, definitions)

    def analyse(self, match_id: str) -> dg.ExecuteInProcessResult:
        return self.run("analyse_match", partition_key=match_id)

    def tree(self) -> dict[str, str]:
        """Every file of the store but the databases of models and reviews, with the hash of its bytes."""
        return {
            path: hashlib.sha256(self.store.read(path)).hexdigest()
            for path, _, _ in self.store.files()
            if not path.startswith(("mlflow/", "reviews/"))
        }


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with open_workspace(tmp_path) as opened:
        yield opened


@pytest.fixture(scope="session")
def open_workspace_at() -> Callable[..., Any]:
    return open_workspace


def studio_of(store: Store) -> ClipStudio:
    """What makes clips, of fewer moments than in earnest: each takes a quarter of a second."""
    return ClipStudio(store, LocalBackend(), budget=8)


@contextmanager
def open_workspace(folder: Path, **overrides: Any) -> Iterator[Workspace]:
    environment = Settings(gridmotion_store=str(folder / "store"), _env_file=None)
    store = open_store(environment)
    overrides.setdefault("studio", studio_of(store))
    with dg.DagsterInstance.ephemeral() as instance:
        yield Workspace(store, instance, build_defs(environment, store=store, **overrides))


@pytest.fixture(scope="session")
def simulated() -> SimulatedMatch:
    return simulate(rounds=3, seed=11)


@pytest.fixture(scope="session")
def simulated_logs(simulated: SimulatedMatch, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The canonical log and the GRID log of the same simulated match."""
    return write(tmp_path_factory.mktemp("simulated"), simulated)[:2]


@pytest.fixture(scope="session")
def line(simulated_logs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A workspace whose match was scanned and analysed, for reading; `analysed` is a copy of the test's own."""
    with open_workspace(tmp_path_factory.mktemp("line")) as workspace:
        workspace.scanned = workspace.scan(simulated_logs[0])
        (workspace.match_id,) = workspace.store.keys("matches")
        workspace.analysed = workspace.analyse(workspace.match_id)
        assert workspace.scanned.success and workspace.analysed.success
        yield workspace


@contextmanager
def copy_of(line: Workspace, folder: Path, *without: str, **overrides: Any) -> Iterator[Workspace]:
    """A workspace over a copy of what the line left, but for these folders of its store."""
    shutil.copytree(line.store.url, folder / "store", ignore=lambda at, _: without if at == line.store.url else ())
    with open_workspace(folder, **overrides) as workspace:
        workspace.match_id = line.match_id
        workspace.instance.add_dynamic_partitions("match_id", [line.match_id])
        yield workspace


@pytest.fixture(scope="session")
def copy_of_line() -> Callable[..., Any]:
    return copy_of


@pytest.fixture
def analysed(line: Workspace, tmp_path: Path) -> Iterator[Workspace]:
    """A copy of `line` of the test's own."""
    with copy_of(line, tmp_path / "analysed") as workspace:
        yield workspace
