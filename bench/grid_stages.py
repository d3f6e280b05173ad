"""What of reading a GRID series takes how long.

Belongs here: the stages on the way from the file to Parquet, each as what it adds to those before it, so that all
together are the whole. Does not belong here: rates and goals (`bench.ingest`).
"""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from bench.measure import Figure, medians
from configs.events import load_events
from pipeline.events.conservation import Tally
from pipeline.events.lines import Block, Content, read_blocks
from pipeline.events.quarantine import QuarantineRows
from pipeline.events.reader import read_log
from pipeline.events.sources.grid import read_grid
from pipeline.events.sources.grid_facts import Scan
from pipeline.events.sources.grid_scan import Scanner

BARE = ("fetching, unpacking, cutting into blocks", "BLAKE3", "lines → columns and forms, compiled", "checks, Parquet")
"""What no Python of ours takes part in."""


def stages(
    name: str, log: Path, whole: Callable[[], object], other: Callable[[], object], other_name: str
) -> list[Figure]:
    """Milliseconds of each stage, and how far it is from the alternative's time where only `BARE` is done.

    Args:
        name: of the log, for the figures.
        log: the series.
        whole: reads it and writes its tables.
        other: the alternative.
        other_name: the alternative, in words.
    """
    ways: dict[str, Callable[[], object]] = {
        "fetching, unpacking, cutting into blocks": lambda: _fetch(log, None),
        "BLAKE3": lambda: _fetch(log, Content()),
        "lines → columns and forms, compiled": lambda: _scan(log, _Columns),
        "forms and states → facts": lambda: _scan(log, Scanner),
        "order, corrections, telling the game, positions → drafts": lambda: _tell(log),
        "survey, naming, order, tracks → tables": lambda: _tables(log),
        "checks, Parquet": whole,
    }
    fetched, hashed, *upto, others = (seconds * 1000 for seconds in medians(*ways.values(), other))
    # What reads the tables has the hash in its time.
    upto[:-2] = [seconds + hashed - fetched for seconds in upto[:-2]]
    added = [fetched, *(after - before for before, after in pairwise([fetched, hashed, *upto]))]
    found = dict(zip(ways, added, strict=True))
    bare = sum(found[stage] for stage in BARE)
    return [
        *(Figure(f"{name}: {stage}", ms, "ms") for stage, ms in found.items()),
        Figure(f"{name}: {'; '.join(BARE)}, alone", bare, "ms", other_name, others / bare),
    ]


class _Columns(Scanner):
    """Makes no facts."""

    def finish(self) -> None:
        self._held, self._held_bytes = [], 0


def _fetch(log: Path, content: Content | None) -> None:
    for block in read_blocks(log, load_events().lines, content):
        if isinstance(block, Block):
            block.feeds = 1  # whoever looks at the lines tells it, see there


def _scan(log: Path, kind: type[Scanner]) -> None:
    config = load_events()
    scanner = kind(Scan(config.snapshots), Tally(), config.validity, lambda _: None)
    for block in read_blocks(log, config.lines):
        if isinstance(block, Block):
            scanner.read(block)
    scanner.finish()


def _tell(log: Path) -> None:
    config = load_events()
    read_grid(lambda: read_blocks(log, config.lines), QuarantineRows("bench", config.lines), Tally(), config)


def _tables(log: Path) -> None:
    for match in read_log(log, log_id="bench").matches.values():
        for table in (match.events, match.tracks):
            for _ in table:
                pass
