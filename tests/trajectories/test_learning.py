"""A training learns, goes on after it was killed as if it had not been, and keeps nothing that could be executed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.trajectories.corpus import Corpus
from pipeline.trajectories.plan import BEST, HISTORY, LAST, NoPlan, Plan, read_plan
from resources.settings import Settings
from resources.training import TrainingFailed, finished, history, prepare
from resources.training import trained as run

pytest.importorskip("torch")


def _losses(folder: Path) -> list[tuple[int, float]]:
    return [(each["step"], each["total"]) for each in history(folder) if each["kind"] == "train"]


def test_losses_are_told_apart_and_weighted(trained: Path) -> None:
    from pipeline.trajectories.learning import LOSSES

    plan, told = read_plan(trained), [each for each in history(trained) if each["kind"] == "train"]
    weights = plan.config.losses
    for each in told:
        parts = sum(getattr(weights, name) * each[name] for name in LOSSES[1:])
        assert each["total"] == pytest.approx(parts, rel=1e-4)
    assert [each["step"] for each in told] == [5, 10, 15, 20, 25, 30]
    checks = [each for each in history(trained) if each["kind"] == "validation"]
    assert {"story_text", "story_forecast", "recorded", "error_m"} <= set(checks[0])
    assert finished(trained)


def test_a_single_step_learns_and_is_the_same_again(corpus: Corpus, plan: Callable[..., Plan], tmp_path: Path) -> None:
    from pipeline.trajectories.learning import Training

    steps = [Training(tmp_path, plan(5), corpus) for _ in range(2)]
    before = [parameter.detach().clone() for parameter in steps[0].network.parameters()]
    first, second = (training.learn() for training in steps)
    assert first == second
    after, again = (list(training.network.parameters()) for training in steps)
    assert any(not new.equal(old) for new, old in zip(after, before, strict=True))
    assert all(one.equal(other) for one, other in zip(after, again, strict=True))
    assert not (tmp_path / LAST).exists()  # what is kept is the loop's business


def test_a_training_that_stops_half_way_comes_to_the_same_losses(trained: Path, corpus: Corpus, tmp_path: Path) -> None:
    from pipeline.trajectories.learning import Training

    plan = read_plan(trained)
    plan.save(tmp_path)
    stopped = Training(tmp_path, plan, corpus)
    ends = iter([False] * 13 + [True] * 3)
    stopped._is_over = lambda mine: next(ends)  # type: ignore[method-assign]
    assert stopped.run(lambda progress: None).step == 13
    assert not finished(tmp_path)
    Training(tmp_path, plan, corpus).run(lambda progress: None)
    assert [step for step, _ in _losses(tmp_path)] == [5, 10, 15, 20, 25, 30]
    assert _losses(tmp_path) == _losses(trained)
    assert (tmp_path / BEST).read_bytes() == (trained / BEST).read_bytes()


def test_the_checkpoint_of_another_training_and_a_torn_one_are_refused(
    trained: Path, corpus: Corpus, plan: Callable[..., Plan], tmp_path: Path
) -> None:
    from pipeline.trajectories.checkpoint import DamagedWeights
    from pipeline.trajectories.learning import NotThisTraining, Training
    from pipeline.trajectories.model import TrajectoryModel

    (tmp_path / LAST).write_bytes((trained / LAST).read_bytes())
    with pytest.raises(NotThisTraining, match="another folder"):
        Training(tmp_path, plan(31), corpus)
    (tmp_path / LAST).write_bytes((trained / LAST).read_bytes()[:-100])
    with pytest.raises(DamagedWeights, match=LAST):
        Training(tmp_path, read_plan(trained), corpus)
    with pytest.raises(DamagedWeights, match="not the weights of a model"):
        TrajectoryModel.load(trained / LAST)
    with pytest.raises(NoPlan):
        read_plan(tmp_path)


def test_weights_are_numbers_and_words_alone(trained: Path) -> None:
    for name in (BEST, LAST):
        data = (trained / name).read_bytes()
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + size])
        told = sum(end - begin for begin, end in (t["data_offsets"] for k, t in header.items() if k != "__metadata__"))
        assert 8 + size + told == len(data)
    assert not [path for path in trained.rglob("*") if path.suffix in (".pt", ".pth", ".pkl", ".bin")]


@pytest.mark.slow
def test_a_killed_process_goes_on_to_the_losses_of_one_that_was_not(
    corpus: Corpus, plan: Callable[..., Plan], tmp_path: Path
) -> None:
    own = plan(60, checkpoint_every=10, validate_every=30)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        prepare(folder, own, corpus)
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "resources.training", str(killed)], stdout=subprocess.DEVNULL, env=environment, cwd=root
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not [step for step, _ in _losses_so_far(killed) if step >= 25]:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not finished(killed)
    settings = Settings(gridmotion_store=str(tmp_path / "store"))
    told = list(run(killed, settings, threads=1))
    assert min(each["step"] for each in told) > 10
    list(run(whole, settings, threads=1))
    assert _losses(killed) == _losses(whole)
    assert finished(killed)


def _losses_so_far(folder: Path) -> list[tuple[int, float]]:
    path = folder / HISTORY
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    told = [json.loads(line) for line in lines if line.endswith("\n")]
    return [(each["step"], each["total"]) for each in told if each["kind"] == "train"]


def test_a_process_that_fails_says_why(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text((trained / "plan.json").read_text())
    with pytest.raises(TrainingFailed, match="no corpus"):
        list(run(tmp_path, Settings(gridmotion_store=str(tmp_path))))


def test_time_for_no_step_is_an_error_that_keeps_nothing(
    corpus: Corpus, plan: Callable[..., Plan], tmp_path: Path
) -> None:
    from pipeline.trajectories.learning import NoStep, Training

    own = plan(4)
    own.save(tmp_path)
    for _ in range(2):  # the folder is as good as before
        with pytest.raises(NoStep, match="0 of 4"):
            Training(tmp_path, own, corpus).run(lambda progress: None, seconds=0.0)
        assert not (tmp_path / LAST).exists()
    assert Training(tmp_path, own, corpus).run(lambda progress: None).step == 4
    assert finished(tmp_path)


@pytest.mark.slow
def test_a_process_without_time_says_so(
    trained: Path, corpus: Corpus, plan: Callable[..., Plan], tmp_path: Path
) -> None:
    prepare(tmp_path, plan(4), corpus)
    with pytest.raises(TrainingFailed, match="give it more time") as told:
        list(run(tmp_path, Settings(gridmotion_store=str(tmp_path)), seconds=1e-6))
    assert "Traceback" not in str(told.value)


_LOUD = """
import os, sys
from pathlib import Path
from pipeline.trajectories.learning import Training
from resources import training

quiet = Training.run

def loud(self, *args, **kwargs):
    print("View run by print")
    sys.stdout.write("View run by write")
    os.system("echo View run by a child")
    return quiet(self, *args, **kwargs)

Training.run = loud
raise SystemExit(training.main(Path(sys.argv[1])))
"""


def test_what_libraries_print_is_not_taken_for_progress(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "trained"
    shutil.copytree(trained, folder)
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", _LOUD, str(folder)], capture_output=True, text=True, check=True,
                          env=environment, cwd=root, timeout=250)  # fmt: skip
    assert [json.loads(line)["kind"] for line in done.stdout.splitlines()] == ["done"]
    assert done.stderr.count("View run by") == 3


@pytest.mark.slow
def test_figures_and_weights_go_to_mlflow_under_one_run(
    trained: Path, corpus: Corpus, plan: Callable[..., Plan], tmp_path: Path
) -> None:
    from resources.registry import ModelRegistry
    from resources.training import EXPERIMENT

    settings = Settings(gridmotion_store=str(tmp_path))
    folder, own = tmp_path / "folder", plan(10)
    prepare(folder, own, corpus)
    list(run(folder, settings, threads=1))
    registry = ModelRegistry(settings.tracking_uri, settings.mlflow_home / "artifacts")
    with registry.runs(EXPERIMENT) as (client, experiment):
        (found,) = client.search_runs([experiment])
        assert found.data.tags["version"] == own.version
        assert found.data.params["parameters"] == str(own.shape.parameters)
        assert {"train_position", "train_speed", "train_pose", "train_action", "validation_error_m"} <= set(
            found.data.metrics
        )
        assert [each.path for each in client.list_artifacts(found.info.run_id, "model")] == [f"model/{BEST}"]


@pytest.mark.slow
def test_a_minute_of_the_tiny_size_beats_its_beginning_and_staying_put(
    corpus: Corpus, plan: Callable[..., Plan], tmp_path: Path
) -> None:
    from pipeline.trajectories.learning import Training, _validation_parts

    own = plan(
        700,
        log_every=100,
        checkpoint_every=700,
        validate_every=350,
        warmup=50,
        validation=64,
        learning_rate=1e-3,
        ema=0.99,
    )
    half = own.config.known.model_copy(
        update={"share": 0.5}
    )  # of stories show a beginning: of so few, each is judged alike
    own = own.model_copy(update={"config": own.config.model_copy(update={"known": half})})
    training = Training(tmp_path, own, corpus)
    training.run(lambda progress: None)
    checks = [each for each in history(tmp_path) if each["kind"] == "validation"]
    parts = _validation_parts(training.batches, corpus, own)
    assert checks[-1]["story_text"] < 0.95 * checks[0]["story_text"]  # untrained it knows of a beginning, not of texts
    assert checks[-1]["error_m"] < checks[0]["error_m"]
    for name, batch in parts.items():
        stay = float(np.hypot(*np.moveaxis(batch.way, -1, 0))[~batch.seen].mean())
        assert checks[-1][name] < 0.95 * stay, name


@pytest.mark.slow
def test_two_processes_learn_as_one(trained: Path, corpus: Corpus, plan: Callable[..., Plan], tmp_path: Path) -> None:
    from pipeline.trajectories.checkpoint import load
    from pipeline.trajectories.learning import Training

    own = plan(20, batch=16)
    own = own.model_copy(update={"shape": own.shape.model_copy(update={"dropout": 0.0})})
    alone, half, together = (tmp_path / name for name in ("alone", "half", "together"))
    for folder in (alone, half, together):
        prepare(folder, own, corpus)
    begun = _weights(Training(alone, own, corpus).network.state_dict())
    Training(alone, own, corpus).run(lambda progress: None)
    less = Training(half, own, corpus)
    drawn = less.batches.drawn
    less.batches.drawn = lambda step, size: drawn(step, size).part(slice(0, None, 2))  # type: ignore[method-assign]
    less.run(lambda progress: None)
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m",
               "resources.training", str(together)]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, env=environment, cwd=root, capture_output=True, timeout=250)
    assert finished(together)
    whole, some, both = (
        _weights(
            {name.removeprefix("model."): value for name, value in load(folder / LAST)[0].items() if "model." in name}
        )
        - begun
        for folder in (alone, half, together)
    )
    # Each process averages over the frames of its own half: nearly the step of the whole batch, and no half alone.
    assert np.linalg.norm(both - whole) < 0.5 * np.linalg.norm(some - whole)


def _weights(tensors: Mapping[str, Any]) -> np.ndarray:
    return np.concatenate([tensors[name].numpy().ravel() for name in sorted(tensors)])
