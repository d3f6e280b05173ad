"""RESULTS.md: what was measured, where, and which goals are met.

Belongs here: the document. Does not belong here: figures (the areas), or any number written by hand.
"""

import os
import platform
from importlib.metadata import version
from pathlib import Path

from bench.measure import Figure, number, runs

PATH = Path(__file__).with_name("RESULTS.md")
PACKAGES = ("polars", "pyarrow", "numba", "lightgbm", "dagster")
_MET = {True: "yes", False: "**no**", None: ""}
_GIB = 2**30


def document(areas: dict[str, tuple[str, list[Figure] | Exception]], source: str) -> str:
    """The whole document.

    Args:
        areas: by name: what the area is about, and its figures or why there are none.
        source: what it was measured on.
    """
    lines = [
        "# Results",
        "",
        "Written by `make bench`; do not edit. Ratios carry over to other machines, absolute rates do not. A goal is "
        "for the ratio where there is one, else for the figure itself.",
        "",
        f"{machine()}. {versions()}. One thread; medians of {runs()} interleaved runs; on {source}.",
    ]
    for name, (about, outcome) in areas.items():
        lines += ["", f"## {name}", "", about, "", *table(outcome)]
    return "\n".join(lines) + "\n"


def table(outcome: list[Figure] | Exception) -> list[str]:
    """An area's figures as Markdown, or why there are none."""
    lines = ["| figure | measured | alternative | ratio | goal | met |", "|---|--:|---|--:|--:|---|"]
    if isinstance(outcome, Exception):
        return [*lines, f"| failed | | {_cell(str(outcome))} | | | {_MET[False]} |"]
    return lines + [
        f"| {_cell(figure.stage)} | {number(figure.value)} {figure.unit} | {_cell(figure.other)} "
        f"| {'' if figure.ratio is None else f'{number(figure.ratio)} ×'} | {figure.goal or ''} | {_MET[figure.met]} |"
        for figure in outcome
    ]


def machine() -> str:
    """The machine in a line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB
    return f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}"


def versions() -> str:
    """The packages that the figures depend on."""
    return f"Python {platform.python_version()}, " + ", ".join(f"{name} {version(name)}" for name in PACKAGES)


def _processor() -> str:
    told = Path("/proc/cpuinfo")
    named = [line for line in told.read_text().splitlines() if line.startswith("model name")] if told.exists() else []
    return named[0].partition(":")[2].strip() if named else platform.machine()


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
