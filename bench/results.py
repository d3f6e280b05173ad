"""RESULTS.md: what was measured, where, and which goals are met.

Belongs here: the document. Does not belong here: figures (the areas), or any number written by hand.
"""

import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path

from bench.measure import Figure, number, runs

PATH = Path(__file__).with_name("RESULTS.md")
PACKAGES = ("polars", "pyarrow", "numba", "lightgbm", "dagster")
_MET = {True: "yes", False: "**no**", None: ""}
_GIB = 2**30


def head() -> str:
    """What is true of every figure: how to read it, and the machine."""
    return "\n".join(
        [
            "# Results",
            "",
            "Written by `make bench`; do not edit. Ratios carry over to other machines, absolute rates do not. A "
            "goal is for the ratio where there is one, else for the figure itself.",
            "",
            f"{machine()}. {versions()}. One thread; medians of {runs()} interleaved runs.",
        ]
    )


def section(name: str, about: str, outcome: list[Figure] | Exception, source: str) -> str:
    """One area: what it is about, at which commit and on what it was measured; its figures, or why there are none."""
    measured = f"Measured at {commit()}, on {source}."
    return "\n".join([f"## {name}", "", about, "", measured, "", *table(outcome)])


def document(sections: Iterable[str]) -> str:
    """The whole document from its sections, in their order."""
    return "\n\n".join([head(), *sections]) + "\n"


def renewed(before: str, measured: Mapping[str, str], order: Iterable[str]) -> str:
    """The document with these sections in place of those of the same name.

    Sections that were not measured now stay as they were, as long as they are of this machine and these packages:
    figures of two machines never stand under one head.

    Args:
        before: the document as it was; empty if there was none.
        measured: sections by name.
        order: names of all areas, in the order of the document.
    """
    above, *parts = before.rstrip("\n").split("\n\n## ")
    kept = {part.partition("\n")[0]: f"## {part}" for part in parts} if above == head() else {}
    sections = {**kept, **measured}
    return document(sections[name] for name in order if name in sections)


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


def commit() -> str:
    """The commit that was measured, with `+` if something was changed after it; "no commit" outside of git."""
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty=+", "--exclude=*"],
        cwd=PATH.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return f"`{told.stdout.strip()}`" if told.returncode == 0 else "no commit"


def _processor() -> str:
    told = Path("/proc/cpuinfo")
    named = [line for line in told.read_text().splitlines() if line.startswith("model name")] if told.exists() else []
    return named[0].partition(":")[2].strip() if named else platform.machine()


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
