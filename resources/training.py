"""The trajectory model's training as a process of its own, and where its figures and its weights go.

Belongs here: starting the process, hearing it, MLflow, files of the store. Does not belong here: the loop
(`pipeline.trajectories.learning`).

    python -m resources.training FOLDER                               # one processor or one graphics card
    torchrun --nproc-per-node 4 -m resources.training FOLDER          # several, on the same folder

The folder holds the plan and the corpus (`prepare`). Started again after it was killed, it goes on where it was.
"""

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from pipeline.errors import PipelineError
from pipeline.trajectories.corpus import Corpus, opened
from pipeline.trajectories.plan import BEST, CORPUS, HISTORY, PLAN, Plan, read_plan
from resources.errors import ResourceError
from resources.registry import ModelRegistry, RegistryUnreachable
from resources.settings import Settings
from resources.store import Store

if TYPE_CHECKING:
    from pipeline.trajectories.learning import Progress
    from pipeline.trajectories.model import TrajectoryModel

EXPERIMENT = "trajectory"
MODELS = "models/trajectory"
LATEST = f"{MODELS}/latest.json"
_VERSION = "version"
_BUDGET, _TRACKING, _ARTIFACTS = (
    "GRIDMOTION_TRAINING_SECONDS",
    "GRIDMOTION_TRAINING_TRACKING_URI",
    "GRIDMOTION_TRAINING_ARTIFACTS",
)
_TOLD = 4000  # characters of what a failed process said


class TrainingFailed(ResourceError):
    """The process ended before the training did; the message holds the last that it said."""


class NothingLearned(ResourceError):
    """A training became no better than it began."""


class NoModel(ResourceError):
    """No trajectory model was trained yet."""


def home(environment: Settings) -> Path:
    """Folder of this machine in which trainings lie, one below it for each."""
    return environment.mlflow_home.with_name("training")


def prepare(folder: Path, plan: Plan, corpus: Corpus) -> None:
    """Lays plan and corpus into a training's folder, unless they lie there from a training that was begun."""
    if (folder / PLAN).exists() and read_plan(folder) == plan:
        return
    corpus.save(folder / CORPUS)
    plan.save(folder)


def trained(folder: Path, environment: Settings, *, seconds: float = 0.0, threads: int = 0) -> Iterator[dict[str, Any]]:
    """Trains in a process of its own, and tells of its progress as it comes.

    Args:
        folder: prepared; a training that was begun goes on.
        environment: names MLflow.
        seconds: after which it stops with a checkpoint; 0 for when it is done.
        threads: of the processor; as many as the environment says if 0.

    Yields:
        `kind` (`train`, `validation`, `done`), `step`, `steps` and figures by name.

    Raises:
        TrainingFailed: if the process fails.
    """
    variables = {
        **os.environ,
        _BUDGET: str(seconds),
        _TRACKING: environment.tracking_uri,
        _ARTIFACTS: str(environment.mlflow_home / "artifacts"),
        "PYTHONUNBUFFERED": "1",
    }
    if threads:
        variables |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    command = [sys.executable, "-m", "resources.training", str(folder)]
    root = Path(__file__).resolve().parent.parent
    with (folder / "errors.log").open("w+", encoding="utf-8") as errors:
        process = subprocess.Popen(  # noqa: S603  # our own module
            command, stdout=subprocess.PIPE, stderr=errors, env=variables, cwd=root, text=True
        )
        try:
            for line in process.stdout or ():
                yield json.loads(line)
            code = process.wait()
        finally:
            if process.poll() is None:
                process.terminate()  # whoever listened has gone; what is kept is taken up by the next training
                process.wait()
        if code != 0:
            errors.seek(0)
            said = errors.read()[-_TOLD:].strip()
            raise TrainingFailed(f"the training in {folder.name} ended with {code}: {said or 'it said nothing'}")


def finished(folder: Path) -> bool:
    """Whether a training came to the end of its plan."""
    path = folder / HISTORY
    if not path.exists() or not (folder / BEST).exists():
        return False
    last = path.read_text(encoding="utf-8").splitlines()[-1:]
    return bool(last) and json.loads(last[0])["step"] >= read_plan(folder).steps


def learned_from(folder: Path) -> Corpus | None:
    """What a training of this machine learned from; None if it was none of this machine's."""
    return opened(folder / CORPUS) if (folder / PLAN).exists() else None


def history(folder: Path) -> list[dict[str, Any]]:
    """What a training told so far, in order."""
    path = folder / HISTORY
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def validations(folder: Path) -> list[dict[str, Any]]:
    """What a training's validations said, in order; the first is that of the weights it began with."""
    return [each for each in history(folder) if each["kind"] == "validation" and "error_m" in each]


def has_learned(folder: Path) -> bool:
    """Whether a training became better than before its first step, as far as anything was held out to tell."""
    found = [each["error_m"] for each in validations(folder)]
    return not found or any(error < found[0] for error in found[1:])


@dataclass(frozen=True)
class Shelf:
    """The trajectory models of a store.

    Attributes:
        store: holds them.
    """

    store: Store

    def put(self, folder: Path, *, is_latest: bool = True) -> str:
        """Puts a training's best weights on the shelf; returns where they lie.

        Args:
            folder: of the training.
            is_latest: whether they are from now on what is meant where no version is named.

        Raises:
            NothingLearned: if they are no better than before its first step; the shelf is left as it was.
        """
        plan = read_plan(folder)
        if not has_learned(folder):
            raise NothingLearned(
                f"{plan.version} is no better than before its first step, so the shelf is left as it was: train on "
                "with the same command if it was stopped early, or with more steps"
            )
        path = _weights(plan.version)
        self.store.put(folder / BEST, path)
        if is_latest:
            self.store.write(LATEST, json.dumps({_VERSION: plan.version, "path": path}).encode())
        return self.store.uri(path)

    def latest_version(self) -> str:
        """The version that is the latest; empty if there is none."""
        return str(json.loads(self.store.read(LATEST))[_VERSION]) if self.store.exists(LATEST) else ""

    def version(self, name: str) -> "TrajectoryModel":
        """A model of the shelf.

        Raises:
            NoModel: if there is none of that version.
            DamagedWeights: if its file cannot be used.
        """
        if not self.store.exists(_weights(name)):
            raise NoModel(f"no trajectory model {name} on the shelf; leave the version out for the latest")
        return self._loaded(_weights(name))

    def latest(self) -> "TrajectoryModel":
        """The model that was trained last.

        Raises:
            NoModel: if there is none.
            DamagedWeights: if its file cannot be used.
        """
        if not self.store.exists(LATEST):
            raise NoModel("no trajectory model yet; train one with gridmotion trajectories train")
        return self._loaded(json.loads(self.store.read(LATEST))["path"])

    def _loaded(self, path: str) -> "TrajectoryModel":
        from pipeline.trajectories.model import TrajectoryModel

        with self.store.local_copy(path) as file:
            return TrajectoryModel.load(file)


def _weights(version: str) -> str:
    return f"{MODELS}/{version}.safetensors"


class Tracked:
    """A training's run in MLflow; one that is taken up again goes on in the same run.

    Args:
        registry: knows MLflow.
        plan: names the run.
    """

    def __init__(self, registry: ModelRegistry, plan: Plan) -> None:
        self.registry, self.plan = registry, plan

    @cached_property
    def run_id(self) -> str:
        """MLflow's name of the run.

        Raises:
            RegistryUnreachable: if MLflow does not answer.
        """
        with self.registry.runs(EXPERIMENT) as (client, experiment):
            known = client.search_runs([experiment], f"tags.{_VERSION} = '{self.plan.version}'", max_results=1)
            if known:
                return str(known[0].info.run_id)
            run = client.create_run(experiment, tags={_VERSION: self.plan.version}, run_name=self.plan.version)
            plan, shape = self.plan, self.plan.shape
            told = {**shape.model_dump(), "parameters": shape.parameters, "steps": plan.steps, "corpus": plan.corpus,
                    "code": plan.code, **{f"loss_{name}": value for name, value in plan.config.losses}}  # fmt: skip
            for name, value in told.items():
                client.log_param(run.info.run_id, name, value)
            return str(run.info.run_id)

    def log(self, progress: "Progress") -> None:
        """Keeps figures under their step.

        Raises:
            RegistryUnreachable: if MLflow does not answer.
        """
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        figures = [
            Metric(f"{progress.kind}_{name}", value, now, progress.step)
            for name, value in progress.figures.items()
            if math.isfinite(value)
        ]
        with self.registry.runs(EXPERIMENT) as (client, _):
            client.log_batch(self.run_id, metrics=figures)

    def end(self, weights: Path) -> None:
        """Keeps the best weights and closes the run.

        Raises:
            RegistryUnreachable: if MLflow does not answer.
        """
        with self.registry.runs(EXPERIMENT) as (client, _):
            client.log_artifact(self.run_id, str(weights), "model")
            client.set_terminated(self.run_id)


def main(folder: Path) -> int:
    """The process: trains in a folder, and tells of it on its standard output, a JSON object on a line.

    Whatever else is written there, as by MLflow's client and by libraries in C, goes to the standard error.
    """
    with _own_output() as out:
        try:
            return _train(folder, out)
        except PipelineError as error:
            sys.stderr.write(f"{error}\n")
            return 1


@contextmanager
def _own_output() -> Iterator[TextIO]:
    """The standard output for oneself alone; what anybody else writes to it goes to the standard error."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with os.fdopen(os.dup(kept), "w", encoding="utf-8") as out:
            yield out
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def _train(folder: Path, out: TextIO) -> int:
    from pipeline.trajectories.learning import Place, Training

    plan = read_plan(folder)
    place = Place.here()
    training = Training(folder, plan, opened(folder / CORPUS), place)
    tracked = _tracked(plan) if place.leads else None
    if place.leads:
        shape = plan.shape
        sys.stderr.write(f"{plan.version}: {shape.parameters:,} parameters, {plan.steps} steps, on {place.device}\n")
    seconds = float(os.environ.get(_BUDGET, "0"))
    end = training.run(lambda progress: _tell(progress, out, tracked), seconds=seconds or math.inf)
    if tracked is not None and end.step >= end.steps:
        _unless_unreachable(lambda: tracked.end(folder / BEST))
    return 0


def _tracked(plan: Plan) -> Tracked | None:
    """MLflow, if the environment names it."""
    uri = os.environ.get(_TRACKING)
    return Tracked(ModelRegistry(uri, os.environ.get(_ARTIFACTS)), plan) if uri else None


def _tell(progress: "Progress", out: TextIO, tracked: Tracked | None) -> None:
    out.write(progress.to_json() + "\n")
    out.flush()
    if tracked is not None and progress.kind != "done":
        _unless_unreachable(lambda: tracked.log(progress))


def _unless_unreachable(do: Callable[[], None]) -> None:
    """A training goes on where MLflow does not: its own history holds the same figures."""
    try:
        do()
    except RegistryUnreachable as error:
        sys.stderr.write(f"not logged: {error}\n")


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
