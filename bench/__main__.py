"""Measures the stages on a simulated match and writes RESULTS.md."""

import gzip
import importlib.util
import json
import os
import platform
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from bench.measure import RUNS, Figure, interleaved
from configs.features import load_features
from pipeline.events.reader import read_log
from pipeline.events.sources.simulator import simulate, write
from pipeline.features.match import match_features
from pipeline.intents.labels import label
from pipeline.intents.model import PriorModel
from pipeline.intents.prediction import predict
from pipeline.intents.segments import segment
from pipeline.motion.gltf import glb
from pipeline.motion.moments import choose, clip_request
from pipeline.motion.path import Infeasible
from pipeline.motion.preview import still
from pipeline.motion.synthesizer import synthesize

RESULTS = Path(__file__).with_name("RESULTS.md")
ROUNDS, SEED, CLIPS = 12, 5, 20


def _lines(log: Path) -> Iterator[bytes]:
    if log.suffix == ".zip":
        with zipfile.ZipFile(log) as archive, archive.open(archive.namelist()[0]) as lines:
            yield from lines
    else:
        with gzip.open(log) as lines:
            yield from lines


def _json_rows(log: Path, folder: Path) -> None:
    rows = [
        {name: value if isinstance(value, str) else json.dumps(value) for name, value in json.loads(line).items()}
        for line in _lines(log)
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "rows.parquet", compression="zstd")


def _read(log: Path, folder: Path) -> None:
    for match in read_log(log, log_id="bench").matches.values():
        match.events.write_parquet(folder / "events.parquet", compression="zstd")
        match.tracks.write_parquet(folder / "tracks.parquet", compression="zstd")


def _rolling(tracks: pl.DataFrame, window_ms: int) -> pl.DataFrame:
    """What polars' own rolling can say of movement: five of the declared features, in floats."""
    squares = [pl.col(axis).cast(pl.Float64).diff().over("player") ** 2 for axis in ("x_mm", "y_mm", "z_mm")]
    step = pl.sum_horizontal(squares)
    return (
        tracks.with_columns(step_m=step.sqrt() / 1000, gap_s=pl.col("t_ms").diff().over("player") / 1000)
        .with_columns(speed=pl.col("step_m") / pl.col("gap_s"))
        .rolling("t_ms", period=f"{window_ms}i", group_by="player")
        .agg(
            path_m=pl.col("step_m").sum(),
            speed_mean_mps=pl.col("step_m").sum() / pl.col("gap_s").sum(),
            speed_max_mps=pl.col("speed").max(),
            sample_count=pl.len(),
            max_gap_ms=pl.col("gap_s").max() * 1000,
        )
    )


def _brief(folder: Path) -> Path:
    return write(folder, simulate(rounds=1, seed=SEED))[0]


def _oracle() -> Callable[..., object]:
    path = Path(__file__).parents[1] / "tests" / "features" / "oracle.py"
    spec = importlib.util.spec_from_file_location("oracle", path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.oracle  # type: ignore[no-any-return]


def measure(folder: Path) -> list[Figure]:
    """Every figure, in the order of the line."""
    canonical, grid = write(folder, simulate(rounds=ROUNDS, seed=SEED))[:2]
    match = next(iter(read_log(canonical, log_id="bench").matches.values()))
    features = match_features(match.match, match.events, match.tracks)
    model = PriorModel.configured()
    intents = predict(features, model)
    segments = segment(intents, features, model_version=model.version, review_threshold=0.6)
    requests = [
        clip_request(row, match.tracks) for row in choose(segments, match.tracks, budget=CLIPS).iter_rows(named=True)
    ]
    clips = []
    for request in requests:
        try:
            clips.append((request, synthesize(request)))
        except Infeasible:
            continue
    config, oracle = load_features(), _oracle()
    brief = next(iter(read_log(_brief(folder), log_id="bench").matches.values()))
    events = float(match.events.height)

    def megabytes(log: Path) -> float:
        return sum(map(len, _lines(log))) / 1e6

    rows, tables = float(features.height), (match.match, match.events, match.tracks)

    def to_segments() -> pl.DataFrame:
        return segment(predict(features, model), features, model_version=model.version, review_threshold=0.6)

    def beside_rows(log: Path, stage: str, lacks: str) -> Figure:
        other = f"`json.loads` rows → pyarrow, {lacks}"
        return interleaved(
            stage, lambda: _read(log, folder), lambda: _json_rows(log, folder), other, megabytes(log), "MB"
        )

    def alone(stage: str, way: Callable[[], object], amount: float, unit: str) -> Figure:
        return interleaved(stage, way, None, "", amount, unit)

    return [
        beside_rows(canonical, "canonical log → events, tracks", "unchecked, unordered"),
        beside_rows(grid, "GRID log → events, tracks", "uncorrected, no positions"),
        interleaved(
            "all declared features, one round",
            lambda: match_features(brief.match, brief.events, brief.tracks),
            lambda: oracle(brief.match, brief.events, brief.tracks, config),
            "the tests' naive implementation",
            float(brief.events.height),
            "events",
        ),
        interleaved(
            "all declared features",
            lambda: match_features(*tables),
            lambda: _rolling(match.tracks, config.window_ms),
            "polars rolling, five of them",
            events,
            "events",
        ),
        alone("labels in hindsight", lambda: label(match.events, match.tracks, features), rows, "rows"),
        alone("rules and prior → segments", to_segments, rows, "rows"),
        alone("path → clip", lambda: [synthesize(request) for request, _ in clips], float(len(clips)), "clips"),
        alone("clip → GLB", lambda: [glb(clip, {}) for _, clip in clips], float(len(clips)), "clips"),
        alone("clip → still", lambda: still(clips[0][1]), 1.0, "stills"),
    ]


def report(figures: list[Figure]) -> str:
    """The figures as Markdown."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("polars", "pyarrow", "numba", "lightgbm"))
    lines = [
        "# Results",
        "",
        "Written by `make bench`; do not edit. Ratios carry over to other machines, absolute rates do not.",
        "",
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {packages}. "
        f"Medians of {RUNS} interleaved runs on a simulated match of {ROUNDS} rounds (seed {SEED}).",
        "",
        "| stage | rate | alternative | ratio |",
        "|---|---|---|---|",
    ]
    lines += [f"| {figure.stage} | {figure.rate} | {figure.other} | {figure.ratio} |" for figure in figures]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Plays the match, measures, writes."""
    with tempfile.TemporaryDirectory() as folder:
        RESULTS.write_text(report(measure(Path(folder))))


if __name__ == "__main__":
    main()
