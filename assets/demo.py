"""What only the demo does: compile ahead, and teach a tiny model of movement in seconds.

Belongs here: what makes the line short enough to be shown. Does not belong here: the line itself (jobs), the order in
which it is shown (`assets/commands.py`).
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.demo import Movement
from configs.trajectories import TrajectoriesConfig
from resources.clips import ClipStudio
from resources.motion_backends.local import LocalBackend
from resources.settings import Settings
from resources.store import Store
from resources.workers import cores

SIZE = "tiny"


@contextmanager
def compiling_ahead() -> Iterator[None]:
    """Has a process of its own compile what the line is going to need, where there is a core for that.

    What numba compiles is kept beside the source, so after an installation it is compiled once: here while the first
    matches are played. The process ends with the context at the latest.
    """
    if cores() < 2:
        yield
        return
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(  # noqa: S603  # our own module
            [sys.executable, "-m", __name__, folder],
            cwd=Path(__file__).resolve().parent.parent,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # what it fails at, the line fails at too, and says so
        )
        try:
            yield
        finally:
            process.kill()
            process.wait()


def compile_ahead(folder: Path) -> None:
    """The line from a recording to two clips on the shortest match there is, in a folder that is thrown away."""
    from pipeline.events.reader import read_log
    from pipeline.events.sources.simulator import simulate, write
    from pipeline.features.match import match_features
    from pipeline.intents.labels import label
    from pipeline.intents.model import PriorModel
    from pipeline.intents.prediction import predict
    from pipeline.intents.segments import segment
    from pipeline.motion.moments import choose, deaths_of

    log, *_ = write(folder, simulate(rounds=1, seed=0))
    (reading,) = read_log(log, log_id="ahead").matches.values()
    events, tracks = reading.events.read(), reading.tracks.read()
    features = match_features(reading.match, events, tracks)
    label(events, tracks, features)
    model = PriorModel.configured()
    segments = segment(predict(features, model), features, model_version=model.version, review_threshold=0.0)
    studio = ClipStudio(Store(str(folder)), LocalBackend(), 2)
    studio.make(choose(segments, tracks, budget=studio.budget), tracks, log=lambda _: None, deaths=deaths_of(events))


def changed(config: TrajectoriesConfig, changes: Mapping[str, Mapping[str, Any]]) -> TrajectoriesConfig:
    """The configuration of the trajectory model with other values, by section and name.

    Raises:
        ValidationError: if there is no such section or name, or a value is refused.
    """
    values = config.model_dump()
    for section, others in changes.items():
        values[section] = {**values.get(section, {}), **others}
    return TrajectoriesConfig.model_validate(values)


@dataclass(frozen=True)
class Shelved:
    """A model that the demo trained.

    Attributes:
        version: by which the shelf knows it.
        said: what was trained, for people.
    """

    version: str
    said: str


def put(folder: Path, store: Store, trained: str) -> Shelved:
    """Puts the demo's training on the shelf: as the latest, unless that is one that learned longer.

    Args:
        folder: of the training.
        store: holds the shelf.
        trained: what it was.

    Raises:
        NothingLearned: if it is no better than before its first step.
    """
    from pipeline.trajectories.plan import read_plan
    from resources import training

    shelf, version = training.Shelf(store), read_plan(folder).version
    others = shelf.latest_version()
    is_latest = not others or others.startswith(f"{SIZE}-")
    shelf.put(folder, is_latest=is_latest)
    said = f"{version}: {trained}"
    errors = [check["story_text"] for check in training.validations(folder) if check.get("story_text") is not None]
    if len(errors) > 1:
        first, *later = errors
        said += f"; from a sentence it is {min(later):.1f} m off on average, {first:.1f} m before its first step"
    said += ". It is tiny, to show the way from a story to a film; for one that learned longer see docs/trajectories.md"
    return Shelved(version, said if is_latest else f"{said}. The store's latest model stays {others}")


@contextmanager
def tiny_model(store: Store, environment: Settings, config: Movement) -> Iterator[Callable[[], Shelved]]:
    """Trains the smallest size on the demo's training set, in a process beside whatever else is done in this context.

    Args:
        store: holds the training set; what comes into it later is not learned from.
        environment: names the encoder and MLflow.
        config: how long it learns, and what differs from `trajectories.yaml`, so that it learns in seconds.

    Yields:
        What waits until it has learned, `put`s it on the shelf and says what was trained. It raises `NothingLearned` if
        that is no better than before its first step, and `TrainingFailed` if its process fails.
    """
    from assets.definitions import open_encoder
    from assets.trajectories import gathered, plan_for
    from resources import training

    encoder = open_encoder(environment)
    corpus = gathered(store, encoder)
    plan = plan_for(corpus, encoder, SIZE, config.steps)
    plan = plan.model_copy(update={"config": changed(plan.config, config.changes)})
    folder = training.home(environment) / plan.version

    def learn() -> None:
        if not training.finished(folder):
            training.prepare(folder, plan, corpus)
            for _ in training.trained(folder, environment, threads=1):
                pass

    with ThreadPoolExecutor(1) as beside:
        learned = beside.submit(learn)

        def ended() -> Shelved:
            learned.result()
            size = f"{plan.shape.parameters:,} parameters, {config.steps} steps, {len(corpus):,} samples"
            return put(folder, store, size)

        yield ended


if __name__ == "__main__":
    compile_ahead(Path(sys.argv[1]))
