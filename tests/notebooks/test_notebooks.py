"""The notebooks are committed without outputs, read nothing but tables, and run."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import nbformat
import polars as pl
import pytest

from assets.definitions import build_defs, open_store
from pipeline.events.sources.simulator import simulate, write
from resources.settings import Settings
from resources.store import Store

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
# What an analyst has who knows the tables: no store, no registry, no Dagster.
ALLOWED = {"configs", "json", "matplotlib", "numpy", "os", "pathlib", "pipeline", "polars"}


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request: pytest.FixtureRequest) -> Any:
    return nbformat.read(request.param, as_version=4)


def _code(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_there_are_both():
    assert [path.stem for path in NOTEBOOKS] == ["intent_errors", "match_explorer"]


def test_a_notebook_is_committed_without_outputs(notebook):
    nbformat.validate(notebook)
    assert [(cell.outputs, cell.execution_count) for cell in _code(notebook)] == [([], None)] * len(_code(notebook))
    assert notebook.cells[0].cell_type == "markdown"
    assert notebook.cells[0].source.startswith("# ")


def test_a_notebook_reads_tables_and_calls_neither_dagster_nor_a_store(notebook):
    imported = set()
    for cell in _code(notebook):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").partition(".")[0])
    assert imported <= ALLOWED
    written = "\n".join(cell.source for cell in _code(notebook))
    assert not any(call in written for call in ("write_", "sink_", "savefig", "open("))


def _analysed(folder: Path, logs: list[Path], *, train: bool) -> Store:
    """A store of these logs, all but the last of them analysed before a model is trained, the last after it."""
    environment = Settings(gridmotion_store=str(folder / "store"), _env_file=None)
    store = open_store(environment)
    definitions = build_defs(environment, store=store)

    def run(job: str, **options: Any) -> None:
        runnable = definitions.resolve_job_def(job)
        assert runnable.execute_in_process(instance=instance, raise_on_error=False, **options).success

    with dg.DagsterInstance.ephemeral() as instance:
        for number, log in enumerate(logs, start=1):
            store.put(log, f"landing/{log.name}")
            known = set(store.keys("matches"))
            config = {"path": f"landing/{log.name}", "replace": False}
            run("scan_log", run_config={"ops": {"scanned_log": {"config": config}}})
            if train and number == len(logs):
                run("retrain")
            for match_id in sorted(set(store.keys("matches")) - known):
                run("analyse_match", partition_key=match_id, asset_selection=[dg.AssetKey(t) for t in _TABLES])
    return store


_TABLES = ("rounds", "events", "tracks", "features", "labels", "intents", "segments")


@pytest.fixture(scope="module")
def simulated_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("simulated")
    logs = [write(folder, simulate(rounds=4, seed=seed))[0] for seed in (31, 32)]
    return _analysed(folder, logs, train=True)


@pytest.fixture(scope="module")
def real_store(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    log = min((shared_data / "cs2").rglob("*.jsonl.gz"), key=lambda path: path.stat().st_size)
    return _analysed(tmp_path_factory.mktemp("real"), [log], train=False)


@pytest.fixture
def execute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    from nbclient import NotebookClient

    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYTHONPATH", str(FOLDER.parent))
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")

    def run(notebook: Any, store: str) -> list[dict[str, Any]]:
        monkeypatch.setenv("GRIDMOTION_STORE", store)
        client = NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(tmp_path)}})
        client.create_kernel_manager().kernel_cmd = [
            sys.executable,
            "-m",
            "ipykernel_launcher",
            "-f",
            "{connection_file}",
        ]
        client.execute()
        outputs = [output for cell in _code(notebook) for output in cell.outputs]
        assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
        return [output.data for output in outputs if "data" in output]

    yield run


@pytest.mark.slow
@pytest.mark.parametrize("which", ["simulated_store", "real_store"])
def test_a_notebook_runs_from_top_to_bottom_and_changes_no_file(notebook, which, request, execute):
    store: Store = request.getfixturevalue(which)
    before = store.files()
    shown = execute(notebook, store.url)
    assert store.files() == before
    assert sum("image/png" in data for data in shown) >= 3
    assert sum("text/html" in data for data in shown) >= 3


@pytest.mark.slow
def test_the_errors_are_those_of_the_trained_model(simulated_store, execute):
    notebook = nbformat.read(FOLDER / "intent_errors.ipynb", as_version=4)
    execute(notebook, simulated_store.url)
    (version,) = {
        str(simulated_store.read_table("segments", match)["model_version"][0])
        for match in simulated_store.keys("segments")
    } - {name for name in _versions(simulated_store) if name.startswith("prior")}
    told = "".join(output.text for cell in _code(notebook) for output in cell.outputs if output.output_type == "stream")
    assert f"model {version} decided 1 matches" in told


def _versions(store: Store) -> pl.Series:
    return pl.concat([store.read_table("segments", match)["model_version"] for match in store.keys("segments")])
