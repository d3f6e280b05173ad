"""The measuring program: what a figure says, and that it measures, reports and refuses as it should."""

import ast
import hashlib
import operator
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.__main__ import AREAS, about
from bench.area import AreaFailed
from bench.measure import Figure, Goal, interleaved, medians, number, peak_memory, percentile
from bench.results import document, renewed, section, table
from bench.workload import Workload

BENCH = Path(__file__).parents[2] / "bench"


def test_a_goal_is_for_the_ratio_where_there_is_one_else_for_the_value() -> None:
    goal = Goal(at_least=13, stretch=18)
    assert Figure("read", 9.0, "MB/s", "json", 14.0, goal).met is True
    assert Figure("read", 200.0, "MB/s", "json", 12.9, goal).met is False
    assert Figure("read", 200.0, "MB/s", goal=goal).met is True
    assert Figure("size", 6.1, "bytes/row", goal=Goal(at_most=6)).met is False
    assert Figure("read", 9.0, "MB/s").met is None


def test_runs_alternate_and_the_first_of_each_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRIDMOTION_BENCH_QUICK", "1")
    calls: list[str] = []
    assert len(medians(lambda: calls.append("a"), lambda: calls.append("b"))) == 2
    assert calls == ["a", "b"] * 3


def test_a_figure_beside_an_alternative_has_a_rate_and_a_ratio() -> None:
    figure = interleaved("sum", lambda: None, lambda: sum(range(20_000)), "slowly", 100.0, "rows", 1.0)
    assert figure.unit == "rows/s"
    assert figure.value > 0
    assert figure.ratio is not None and figure.ratio > 1
    assert figure.met is True
    alone = interleaved("sum", lambda: None, None, "", 1.0, "rows")
    assert alone.ratio is None
    waits = interleaved("wait", lambda: time.sleep(0.02), None, "", 1.0, "waits", clock=time.process_time)
    assert waits.value > 100  # who waits takes no time of the processor


def test_a_percentile_is_of_single_timings_and_its_goal_an_upper_bound() -> None:
    figure = percentile("one event", [n * 1e-6 for n in range(1, 101)], 99, "µs", 20)
    assert figure.value == pytest.approx(100.0)
    assert figure.met is False
    assert percentile("one event", [5e-6], 50, "µs", 20).met is True


def test_the_peak_of_a_call_is_its_own_and_not_that_of_the_caller() -> None:
    ballast = bytearray(b"x" * 200_000_000)
    assert 30_000_000 < peak_memory(operator.mul, b"x", 40_000_000) < 100_000_000
    assert len(ballast) == 200_000_000


def test_numbers_are_written_with_as_many_digits_as_matter() -> None:
    written = [number(value) for value in (12345.6, 45.67, 4.567, 0.04567, 200.0)]
    assert written == ["12,346", "45.7", "4.57", "0.0457", "200"]


def test_an_area_that_failed_says_so_in_its_table() -> None:
    shown = "\n".join(table(AreaFailed("ValueError: no | data")))
    assert "failed" in shown
    assert "no \\| data" in shown
    assert "**no**" in shown
    whole = document(
        [section("line", "What.", [Figure("read", 1.0, "MB/s")], "a"), section("live", "That.", AreaFailed("x"), "a")]
    )
    assert "## line" in whole and "| read | 1 MB/s |" in whole and "## live" in whole


def _section(name: str, value: float) -> str:
    return section(name, "What.", [Figure("read", value, "MB/s")], "nothing")


def test_an_area_measured_again_takes_the_place_of_what_was_said_of_it_and_of_nothing_else() -> None:
    before = document([_section("line", 1.0), _section("motion", 2.0)])
    after = renewed(before, {"live": _section("live", 3.0), "motion": _section("motion", 4.0)}, AREAS)
    assert after == document([_section("live", 3.0), _section("line", 1.0), _section("motion", 4.0)])
    assert renewed("", {"line": _section("line", 1.0)}, AREAS) == document([_section("line", 1.0)])


def test_figures_of_another_machine_are_not_kept_beside_those_of_this() -> None:
    before = document([_section("line", 1.0)]).replace(" cores", " other cores")
    assert renewed(before, {"motion": _section("motion", 2.0)}, AREAS) == document([_section("motion", 2.0)])


def test_every_module_with_figures_is_an_area_and_says_what_it_measures() -> None:
    modules = {path.stem for path in BENCH.glob("*.py") if _has_figures(path)}
    assert modules == set(AREAS)
    for area in AREAS:
        assert about(area)


def _has_figures(path: Path) -> bool:
    body = ast.parse(path.read_text()).body
    return any(isinstance(node, ast.FunctionDef) and node.name == "figures" for node in body)


def test_a_workload_is_handed_to_another_process_as_text(tmp_path: Path) -> None:
    load = Workload(tmp_path, True, False, [tmp_path / "a.jsonl.gz"], tmp_path / "b.zip")
    assert Workload.from_json(load.to_json()) == load
    assert load.names == ["a"]
    assert "simulated" in load.source


def _bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"GRIDMOTION_SHARED_DATA": "nowhere"}
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(command, cwd=BENCH.parent, env=environment, capture_output=True, text=True, check=False)


def test_a_quick_look_at_one_area_prints_its_figures_and_writes_nothing() -> None:
    before = hashlib.sha256((BENCH / "RESULTS.md").read_bytes()).hexdigest()
    done = _bench("--quick", "line")
    assert done.returncode == 0, done.stderr
    assert "a simulated match, cut short" in done.stdout
    assert "labels in hindsight" in done.stdout
    assert "rows/s" in done.stdout
    assert hashlib.sha256((BENCH / "RESULTS.md").read_bytes()).hexdigest() == before


def test_an_unknown_area_is_refused_by_name() -> None:
    done = _bench("nonsense")
    assert done.returncode == 2
    assert "nonsense" in done.stderr
