"""`python -m bench [--quick] [area …]`: every area in a process of its own, and RESULTS.md from what they found.

Belongs here: the areas and their order. Does not belong here: what an area measures.
"""

import argparse
import ast
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from bench.area import AreaFailed, measured
from bench.measure import Figure
from bench.results import PATH, renewed, section, table
from bench.workload import workload

AREAS = (
    "ingest",
    "features",
    "prediction",
    "live",
    "agent",
    "line",
    "backfill",
    "motion",
    "scenes",
    "trajectories",
    "embeddings",
)
"""In the order of the line. Each is a module of this package whose docstring begins with what it measures."""


def about(area: str) -> str:
    """The first paragraph of an area's docstring, read without importing it."""
    source = Path(__file__).with_name(f"{area}.py")
    told = ast.get_docstring(ast.parse(source.read_text())) if source.exists() else None
    return " ".join((told or "There is no such area.").partition("\n\n")[0].split())


def main() -> int:
    """Measures, and renews what RESULTS.md says of the areas that were measured; 1 if an area failed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.partition("\n")[0])
    parser.add_argument("areas", nargs="*", metavar="area", help=f"one of {', '.join(AREAS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="less input, fewer runs; RESULTS.md stays as it is")
    arguments = parser.parse_args()
    if unknown := set(arguments.areas) - set(AREAS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(AREAS)}")
    # A document is read in a terminal as wide as its tables, or piped into a file.
    console = Console(width=None if sys.stdout.isatty() else 180)
    found: dict[str, tuple[str, list[Figure] | Exception]] = {}
    with tempfile.TemporaryDirectory(prefix="gridmotion-bench-") as folder:
        load = workload(Path(folder), quick=arguments.quick)
        console.print(f"on {load.source}")
        for area in arguments.areas or AREAS:
            begin = time.monotonic()
            try:
                found[area] = about(area), measured(area, load)
            except AreaFailed as failure:
                found[area] = about(area), failure
            console.print(f"\n[bold]{area}[/bold] ({time.monotonic() - begin:.0f} s)")
            console.print(Markdown("\n".join(table(found[area][1]))))
    if not arguments.quick:
        sections = {name: section(name, *told, load.source) for name, told in found.items()}
        PATH.write_text(renewed(PATH.read_text() if PATH.exists() else "", sections, AREAS))
        console.print(f"written to {PATH}")
    return int(any(isinstance(outcome, Exception) for _, outcome in found.values()))


if __name__ == "__main__":
    sys.exit(main())
