"""HY-Motion by its own command, `local_infer.py`, on this machine.

Belongs here: one job: its folder, its input line, its results. Does not belong here: the process (child).

Its exit code says nothing about a failed prompt: `failed` of `batch_results_*.json` does. An id must be a number; a `#`
in a prompt would end it; both `--disable_…` flags are needed, or it asks a prompt server.
"""

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any, ClassVar

from configs.backends import BackendsConfig
from pipeline.motion.clip import ClipRequest
from pipeline.motion.foreign import Malformed, Motion
from pipeline.motion.npz import read
from resources.motion_backends import child, http
from resources.motion_backends.errors import BadAnswer, Failed, NotSetUp, TooLarge
from resources.motion_backends.hymotion import HyMotionBackend, frames_of, within
from resources.motion_backends.patience import CircuitBreaker, Patience

SCRIPT = "local_infer.py"
_ID_DIGITS = 8


class HyMotionCli(HyMotionBackend):
    """HY-Motion in the folder `HY_MOTION_HOME`.

    Args:
        home: folder of `local_infer.py`.
        model: folder of the weights, `HY_MOTION_MODEL`.
        python: the interpreter of its environment, `HY_MOTION_PYTHON`.
        config: defaults to `configs/backends.yaml`.
        patience: as of every backend; a run is never repeated.
        breaker: by default as configured.
    """

    name: ClassVar[str] = "hymotion_cli"

    def __init__(
        self,
        home: Path | None,
        model: Path | None,
        python: str = "python3",
        config: BackendsConfig | None = None,
        *,
        patience: Patience | None = None,
        breaker: CircuitBreaker | None = None,
    ) -> None:
        super().__init__(config, patience=patience, breaker=breaker)
        self._home, self._model, self._python = home, model, python

    @property
    def is_set_up(self) -> bool:
        """Whether the folders exist that it needs."""
        return (
            self._home is not None
            and self._model is not None
            and (self._home / SCRIPT).is_file()
            and self._model.is_dir()
        )

    def _where(self) -> str:
        """The folders' names, and a digest of where they lie: two models may have the same name."""
        if self._home is None or self._model is None:
            return ""
        places = f"{self._home.resolve()}\n{self._model.resolve()}"
        return f"{self._home.name} {self._model.name} {hashlib.sha256(places.encode()).hexdigest()[:16]}"

    def check(self) -> None:
        """As of every backend: `NotAllowed` or `NotSetUp` where nothing may be asked."""
        super().check()
        if not self.is_set_up:
            raise NotSetUp(f"HY_MOTION_HOME does not hold {SCRIPT}, or HY_MOTION_MODEL is no folder")

    def _motion(self, text: str, request: ClipRequest, key: str) -> tuple[Motion, dict[str, str]]:
        hy = self.config.hymotion
        number = int(key, 16) % 10**_ID_DIGITS
        frames = round(frames_of(request, hy) / hy.fps * hy.cli_line_fps)
        with tempfile.TemporaryDirectory(prefix="gridmotion-hymotion-") as name:
            job = Path(name)
            given, made = job / "input", job / "output"
            given.mkdir()
            made.mkdir()
            (given / "prompts.txt").write_text(f"{text.replace('#', '')}#{frames}#{number}\n", encoding="utf-8")
            done = child.run(
                self._command(given, made),
                seconds=hy.cli_s,
                grace_s=hy.cli_grace_s,
                most_bytes=hy.cli_bytes,
                folder=job,
                cwd=self._home,
                environment=child.environment(),
            )
            if child.size_of(job) > hy.cli_bytes:
                raise TooLarge(f"{SCRIPT} wrote more than {hy.cli_bytes} bytes (hymotion.cli_bytes of backends.yaml)")
            if done.code != 0:
                raise Failed(f"{SCRIPT} ended with {done.code}: {http.plain(done.err[-200:])}")
            _judge(made, self.config.limits.answer_bytes)
            return within(self._read(made, number), self.config.limits), self._made_with()

    def _command(self, given: Path, made: Path) -> list[str]:
        arguments = {
            "--model_path": self._model,
            "--input_text_dir": given,
            "--output_dir": made,
            "--cfg_scale": self.config.hymotion.cfg_scale,
            "--num_seeds": 1,
        }
        flat = [str(part) for pair in arguments.items() for part in pair]
        return [self._python, SCRIPT, *flat, "--disable_rewrite", "--disable_duration_est"]

    def _read(self, made: Path, number: int) -> Motion:
        files = sorted(made.glob(f"{number:0{_ID_DIGITS}d}_*.npz"))
        if not files:
            raise BadAnswer(f"{SCRIPT} wrote no motion")
        try:
            return read(_file(files[0], self.config.limits.answer_bytes), most_frames=self.config.limits.frames)
        except Malformed as error:
            raise BadAnswer(f"{SCRIPT}: {error}") from error


def _judge(made: Path, most_bytes: int) -> None:
    """Reads the results file, which alone tells of failed prompts.

    Raises:
        Failed: if it says so.
        BadAnswer: if there is none, or not what it should be.
    """
    files = sorted(made.glob("batch_results_*.json"))
    if not files:
        raise BadAnswer(f"{SCRIPT} wrote no results file")
    try:
        runs = json.loads(_file(files[-1], most_bytes))
        failed = sum(int(run["failed"]) for run in runs)
        good = sum(int(run["success"]) for run in runs)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadAnswer(f"{SCRIPT} wrote a results file that cannot be read") from error
    if failed or not good:
        raise Failed(f"{SCRIPT}: {failed} of {failed + good} prompts failed{_why(runs)}")


def _why(runs: Any) -> str:
    for run in runs:
        details = run.get("details") if isinstance(run, dict) else None
        for detail in details if isinstance(details, list) else ():
            if isinstance(detail, dict) and detail.get("error"):
                return f" ({http.plain(str(detail['error']))})"
    return ""


def _file(path: Path, most_bytes: int) -> bytes:
    """A regular file, whole; a link could lead anywhere."""
    if path.is_symlink() or not path.is_file():
        raise BadAnswer(f"{SCRIPT} wrote {path.name}, which is no file")
    with path.open("rb") as stream:
        data = stream.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise TooLarge(f"{SCRIPT} wrote {path.name} of more than {most_bytes} bytes")
    return data
