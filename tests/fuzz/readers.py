"""Coverage-guided fuzzing of both readers: `make fuzz`.

A run starts from the kept corpus and changes it (`mutations`); every input is held against what must be true of any
(`promises`). What reaches new code of `pipeline.events` is mutated further. Compiled code shows no coverage; so a share
of the time goes to a second pass in which every index of it is checked, over what the first pass found.

An input that breaks a promise is made smaller and written to the working folder; the run goes on, and fails at its end.
Once understood, such an input belongs in the corpus as `found-<what>`. `--keep` adds to the corpus the shortest inputs
that reached code which no input of it reaches.
"""

import argparse
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).with_name("corpus")
"""Logs by format, each made by the simulator, by hand, or by an earlier run from those."""
READERS = ("canonical", "grid")
ENDINGS = {b"\x1f\x8b": ".jsonl.gz", b"PK": ".zip", b"": ".jsonl"}

WORK = ROOT / "data" / "fuzz"
MOST_BYTES = 48_000  # of an input
HANG_SECONDS = 60  # by the wall clock, for all readings of one input, on a machine that does other things
CHECKED_SHARE = 0.2  # of the time, with indices checked
THOROUGH = 12  # one input in so many is read in every way
SMALLER_SECONDS = 20.0
KEPT_BYTES = 4_000  # a longer input is not kept, whatever it reaches


def fuzz(reader: str, folder: Path, options: Sequence[str]) -> None:
    """Fuzzes in this process until it is told to stop; never returns.

    Args:
        reader: one of `READERS`.
        folder: where `corpus` and `broken` are.
        options: those of libFuzzer, and folders of inputs.
    """
    import atheris

    compiled = [path for path in (ROOT / "pipeline").rglob("*.py") if "njit" in path.read_text()]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in compiled]
    with atheris.instrument_imports(include=["pipeline"], exclude=names):
        from pipeline.events import reader as _  # noqa: F401
    from tests.fuzz import mutations, promises

    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    own = [path.read_bytes() for path in sorted((CORPUS / reader).iterdir())]
    broken: set[str] = set()

    def one(data: bytes) -> None:
        thorough = zlib.crc32(data) % THOROUGH == 0
        try:
            promises.check(data, scratch, thorough=thorough)
        except promises.Broken as found:
            if found.promise not in broken:
                broken.add(found.promise)
                print(f"BROKEN {found}"[:1000], flush=True)
                put_away(data, found.promise, thorough)

    def put_away(data: bytes, promise: str, thorough: bool) -> None:
        def breaks(less: bytes) -> bool:
            try:
                promises.check(less, scratch, thorough=thorough)
            except promises.Broken as found:
                return found.promise == promise
            return False

        path = folder / "broken" / re.sub(r"[^a-z]+", "-", promise.lower()).strip("-")
        path.write_bytes(data)
        path.write_bytes(promises.smaller(data, breaks, SMALLER_SECONDS))

    def mutated(data: bytes, most: int, chance: int) -> bytes:
        if chance % 8 == 0:
            return atheris.Mutate(data, most)  # type: ignore[no-any-return]
        return mutations.mutate(data, most, chance, own[chance // 8 % len(own)])

    for path in sorted(CORPUS.rglob("simulated*")):  # of both formats: an input may become one of the other
        with contextlib.suppress(promises.Broken):  # slow, as everything is compiled here
            promises.check(path.read_bytes(), scratch, thorough=True)
    again = f"{sys.executable} -m tests.fuzz.readers --reader {reader} --folder {folder} --"  # libFuzzer's own children
    fixed = [
        f"-max_len={MOST_BYTES}",
        f"-timeout={HANG_SECONDS}",
        "-report_slow_units=9999",
        f"-artifact_prefix={folder}/broken/",
    ]
    atheris.Setup([again, *fixed, *options], one, custom_mutator=mutated, custom_crossover=mutations.splice)
    atheris.Fuzz()


def run(reader: str, seconds: int, seed: int) -> str:
    """Both passes over one reader, one after the other.

    Returns:
        What came of it, with a line that begins with `BROKEN` for whatever broke a promise.
    """
    folder = WORK / reader
    shutil.rmtree(folder / "broken", ignore_errors=True)
    for name in ("corpus", "broken"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    checked = {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(WORK / "compiled")}
    found = []
    for title, share, environment in (("", 1 - CHECKED_SHARE, {}), (", indices checked", CHECKED_SHARE, checked)):
        options = [
            f"-max_total_time={max(1, int(seconds * share))}",
            f"-seed={seed}",
            "-print_final_stats=1",
            str(folder / "corpus"),
            str(CORPUS / reader),
        ]
        code, told = _child(reader, folder, options, environment)
        (folder / f"log{title.replace(', ', '-').replace(' ', '-')}").write_text(told)
        found.append(f"{reader}{title}: {_summary(told)}")
        found += [line for line in told.splitlines() if line.startswith("BROKEN")]
        if code:
            found.append(f"BROKEN the process ended with {code}: {told.strip().splitlines()[-1:]}")
    return "\n".join(found)


def keep(reader: str) -> None:
    """Adds to the corpus the shortest inputs of the working folder that reach code which none of it reaches."""
    folder = WORK / reader
    with tempfile.TemporaryDirectory() as name:
        for path in (folder / "corpus").iterdir():
            if path.stat().st_size <= KEPT_BYTES:
                shutil.copy(path, name)
        before = set((CORPUS / reader).iterdir())
        _child(reader, folder, ["-merge=1", "-use_counters=0", str(CORPUS / reader), name], {})
    for path in set((CORPUS / reader).iterdir()) - before:
        ending = next(name for start, name in ENDINGS.items() if path.read_bytes().startswith(start))
        print(path.rename(path.with_name(f"reached-{path.name[:8]}{ending}")).relative_to(ROOT))


def _child(reader: str, folder: Path, options: Sequence[str], environment: dict[str, str]) -> tuple[int, str]:
    command = [sys.executable, "-m", "tests.fuzz.readers", "--reader", reader, "--folder", str(folder), "--", *options]
    run = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    return run.returncode, run.stdout.decode(errors="replace")


def _summary(told: str) -> str:
    """Executions and coverage, at first and at last, from what libFuzzer printed."""
    reached = re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)", told)
    runs = re.findall(r"stat::number_of_executed_units: *(\d+)", told) or ["?"]
    if not reached:
        return "nothing was run"
    first, last = reached[0], reached[-1]
    return (
        f"{runs[-1]} inputs, edges {first[0]} to {last[0]}, features {first[1]} to {last[1]}, "
        f"corpus {first[2]} to {last[2]}"
    )


def main() -> int:
    """The command; see `--help`."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=int, default=600, help="for each reader")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="only add to the corpus what earlier runs reached")
    parser.add_argument("--reader", choices=READERS, action="append", help="only this one")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("libfuzzer", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder is not None:
        fuzz(options.reader[0], options.folder, options.libfuzzer)
    readers = options.reader or READERS
    if options.keep:
        for reader in readers:
            keep(reader)
        return 0
    with ThreadPoolExecutor(len(readers)) as pool:
        told = "\n".join(pool.map(lambda reader: run(reader, options.seconds, options.seed), readers))
    print(told)
    return int("BROKEN" in told)


if __name__ == "__main__":
    sys.exit(main())
