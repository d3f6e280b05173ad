"""One area, measured in a fresh process: `python -m bench.area <area>`, the workload on stdin, figures on stdout.

Belongs here: what keeps the areas from one another. Does not belong here: which areas there are (`__main__`).
"""

import contextlib
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from bench.measure import QUICK, Figure, Goal
from bench.workload import Workload

SINGLE_THREADED: Mapping[str, str] = dict.fromkeys(
    ("OMP_NUM_THREADS", "POLARS_MAX_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"
)


class AreaFailed(Exception):
    """An area ended without figures; the message is the last line that it wrote."""


def measured(area: str, load: Workload) -> list[Figure]:
    """The figures of an area, taken in a fresh process with one thread.

    Raises:
        AreaFailed: if it ends without them.
    """
    environment = {**os.environ, **SINGLE_THREADED, **({QUICK: "1"} if load.quick else {})}
    ended = subprocess.run(
        [sys.executable, "-m", "bench.area", area],
        input=load.to_json(),
        capture_output=True,
        text=True,
        env=environment,
        cwd=Path(__file__).parents[1],
    )
    if ended.returncode:
        print(ended.stderr, file=sys.stderr)
        raise AreaFailed((ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"])[-1])
    told = json.loads(ended.stdout)
    return [Figure(**figure | {"goal": figure["goal"] and Goal(**figure["goal"])}) for figure in told]


def main() -> None:
    """Measures one area."""
    module = importlib.import_module(f"bench.{sys.argv[1]}")
    load = Workload.from_json(sys.stdin.read())
    with contextlib.redirect_stdout(sys.stderr):  # an area may print what it likes
        figures = module.figures(load)
    print(json.dumps([asdict(figure) for figure in figures]))


if __name__ == "__main__":
    main()
