"""Stands in for HY-Motion's command: takes its arguments, its input line, and writes its files, or misbehaves as told.

The folder given as `--model_path` holds `walk.npz`, what to write, and `fault`, how to fail.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

parser = argparse.ArgumentParser()
for name in ("model_path", "input_text_dir", "output_dir"):
    parser.add_argument(f"--{name}", type=Path, required=True)
parser.add_argument("--cfg_scale", type=float, default=5.0)
parser.add_argument("--num_seeds", type=int, default=4)
parser.add_argument("--disable_rewrite", action="store_true")
parser.add_argument("--disable_duration_est", action="store_true")
args = parser.parse_args()
fault = (args.model_path / "fault").read_text()
(given,) = args.input_text_dir.glob("*.txt")
(line,) = given.read_text().splitlines()
prompt, frames, number = line.split("#")
told = {"line": line, "argv": sys.argv[1:], "environment": sorted(os.environ), "cwd": str(Path.cwd())}
told["pid"] = os.getpid()
sleep = [sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"]
if fault in ("children", "children that outlive it"):
    told["children"] = [subprocess.Popen(sleep).pid]
with (args.model_path / "lines.txt").open("a") as lines:
    lines.write(line + "\n")
(args.model_path / "told.json").write_text(json.dumps(told))
if not (args.disable_rewrite and args.disable_duration_est):
    sys.exit("it would ask a prompt server")

if fault == "exit":
    sys.exit("CUDA out of memory")
if fault == "hangs":
    time.sleep(60)
if fault in ("ignores SIGTERM", "children"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(60)
if fault == "floods its output":
    while True:
        sys.stdout.write("x" * 65536)
if fault == "floods the disk":
    with (args.output_dir / "huge.bin").open("wb") as huge:
        for _ in range(100_000):
            huge.write(b"\0" * 1_000_000)
            huge.flush()
            time.sleep(0.01)
if fault == "killed":
    os.kill(os.getpid(), signal.SIGKILL)

failed = [{"task_index": 0, "error": "no GPU found", "status": "failed"}] if fault == "failed prompt" else []
results = [{"input_file": str(given), "total": 1, "success": 1 - len(failed), "failed": len(failed), "details": failed}]
target = args.output_dir / f"{int(number):08d}_000.npz"
if fault == "a link":
    target.symlink_to(args.model_path / "walk.npz")
elif fault not in ("failed prompt", "no motion"):
    shutil.copy(args.model_path / "walk.npz", target)
if fault == "broken results":
    (args.output_dir / "batch_results_1.json").write_text('[{"failed": ')
elif fault != "no results":
    (args.output_dir / "batch_results_20260101_000000.json").write_text(json.dumps(results))
sys.stdout.write(">>> Batch processing completed!\n")
