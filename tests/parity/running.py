"""A running match in a process of its own that dies in the middle.

`running.py <stream.parquet> <folder> <seed> <die at>`. It takes events in calls of random size. After each call it
writes the rows, then, atomically, the snapshot with the number of events taken. Once exactly the given number is taken
it kills itself with SIGKILL, half of the time between the two, so that the next process does the call again.
"""

import os
import random
import signal
import sys
from pathlib import Path

import polars as pl

from pipeline.live.arrivals import arrivals
from pipeline.live.features import LiveFeatures


def _put(path: Path, data: bytes) -> None:
    part = path.with_suffix(".part")
    part.write_bytes(data)
    part.replace(path)


def main(stream: Path, folder: Path, seed: int, die_at: int) -> None:
    arrived, state = arrivals(pl.read_parquet(stream)), folder / "state"
    done, match = 0, LiveFeatures(arrived.match_id)
    if state.exists():
        taken, _, snapshot = state.read_bytes().partition(b"\n")
        done, match = int(taken), LiveFeatures.from_bytes(snapshot)
    dice = random.Random(f"{seed} {done}")
    dies_before_the_snapshot = dice.random() < 0.5
    while done < len(arrived):
        end = min(len(arrived), done + dice.choice((1, 7, 60, 900)), max(die_at, done + 1))
        rows = match.take(arrived[done:end]).rows
        match.table(rows).write_parquet(folder / f"rows-{done:09}.parquet")
        if end >= die_at and dies_before_the_snapshot:
            os.kill(os.getpid(), signal.SIGKILL)
        _put(state, b"%d\n" % end + match.to_bytes())
        if end >= die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        done = end
    match.table(match.finish()).write_parquet(folder / f"rows-{done:09}.parquet")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
