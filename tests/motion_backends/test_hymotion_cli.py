"""HY-Motion's command as real processes: a stand-in takes its arguments, writes its files and fails as it fails."""

import io
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.motion import npz
from pipeline.motion.measures import measure
from pipeline.motion.prompts import every_prompt
from resources.clips import ClipStudio
from resources.motion_backends.errors import BadAnswer, Failed, NotAllowed, NotSetUp, TimedOut, TooLarge
from resources.motion_backends.hymotion_cli import HyMotionCli
from resources.motion_backends.local import LocalBackend
from resources.store import Store


def _npz(**arrays: Any) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)
    return out.getvalue()


@pytest.fixture
def place(tmp_path: Path, smplh: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """HY-Motion's folder with the stand-in, its model with what it writes, and a place for jobs."""
    (tmp_path / "home").mkdir()
    (tmp_path / "model").mkdir()
    (tmp_path / "jobs").mkdir()
    shutil.copy(Path(__file__).with_name("local_infer.py"), tmp_path / "home")
    (tmp_path / "model" / "walk.npz").write_bytes(_npz(gender=np.array(["neutral"]), betas=np.zeros((1, 16)), **smplh))
    (tmp_path / "model" / "fault").write_text("")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "jobs"))
    return tmp_path


@pytest.fixture
def cli(place: Path, settled: Any) -> Callable[..., HyMotionCli]:
    def build(fault: str = "", **changes: Any) -> HyMotionCli:
        (place / "model" / "fault").write_text(fault)
        return HyMotionCli(place / "home", place / "model", sys.executable, settled(**changes))

    return build


def _told(place: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((place / "model" / "told.json").read_text())
    return found


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_clip_of_the_command_follows_the_path_and_may_train_nothing(place: Path, cli: Any, walk: Any) -> None:
    clip = cli().generate(walk)
    assert (clip.backend, clip.trainable, clip.frames) == ("hymotion_cli", False, 72)
    found = measure(clip, walk)
    assert found["path_ade_m"] < 0.02 and found["contact_slip_max_mps"] < 0.1
    assert list((place / "jobs").iterdir()) == []  # nothing of the job stays


def test_a_file_of_the_command_that_says_trainable_trains_nothing(
    place: Path, cli: Any, walk: Any, walked: Any, tmp_path: Path
) -> None:
    made = npz.write(walked, {})  # ours, without `Rh`, and it says trainable
    assert npz.read(made).trainable is True
    (place / "model" / "walk.npz").write_bytes(made)
    assert cli().generate(walk).trainable is False

    class Claims(LocalBackend):
        name, identity, trainable = "claims", "claims", False

    store = Store(str(tmp_path / "store"))
    studio = ClipStudio(store, Claims(), 5)
    with pytest.raises(BadAnswer, match="none of its may"):
        studio._made(walk, [].append)
    assert not list((tmp_path / "store").rglob("*.npz"))


def test_an_error_of_the_disk_is_the_backends_trouble(
    cli: Any, walk: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    backend = cli(breaker={"failures": 1})
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(BadAnswer, match="FileNotFoundError"):
        backend.generate(walk)
    assert backend.breaker.resting


def test_two_models_of_the_same_name_are_two(place: Path, settled: Any) -> None:
    (place / "other" / "model").mkdir(parents=True)
    one, two = (
        HyMotionCli(place / "home", folder, "python3", settled()).identity
        for folder in (place / "model", place / "other" / "model")
    )
    assert one != two and str(place) not in one


def test_the_command_gets_what_it_can_read_and_no_secret(
    place: Path, cli: Any, walk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "HY_MOTION_API_KEY",
        "AWS_SECRET_ACCESS_KEY",
        "DATABASE_URL",
        "MOTION_SERVER_TOKEN",
        "HF_TOKEN",
        "SENTRY_DSN",
    ):
        monkeypatch.setenv(name, "hidden")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    cli().generate(walk)
    told = _told(place)
    prompt, frames, number = told["line"].split("#")
    assert prompt in every_prompt() and int(frames) == 48  # 2.4 s at the 20 frames/s of its input line
    assert number.isdigit() and len(number) <= 8
    assert told["cwd"] == str(place / "home")
    assert {"--disable_rewrite", "--disable_duration_est"} <= set(told["argv"])
    assert told["argv"][told["argv"].index("--num_seeds") + 1] == "1"
    assert not {"HY_MOTION_API_KEY", "AWS_SECRET_ACCESS_KEY", "DATABASE_URL", "MOTION_SERVER_TOKEN"} & set(
        told["environment"]
    )
    assert not {"HF_TOKEN", "SENTRY_DSN"} & set(told["environment"])
    assert {"CUDA_VISIBLE_DEVICES", "PATH"} <= set(told["environment"])


@pytest.mark.parametrize(
    ("fault", "expected", "words"),
    [
        ("exit", Failed, "ended with 1: CUDA out of memory"),
        ("killed", Failed, "ended with -9"),
        ("failed prompt", Failed, r"1 of 1 prompts failed \(no GPU found\)"),
        ("no results", BadAnswer, "no results file"),
        ("broken results", BadAnswer, "cannot be read"),
        ("no motion", BadAnswer, "no motion"),
        ("a link", BadAnswer, "no file"),
        ("floods its output", TooLarge, "writes more"),
        ("floods the disk", TooLarge, "more than"),
    ],
)
def test_each_fault_has_its_own_name(
    fault: str, expected: type[Exception], words: str, place: Path, cli: Any, walk: Any
) -> None:
    with pytest.raises(expected, match=words):
        cli(fault, hymotion={"cli_bytes": 20_000_000}).generate(walk)
    assert not _alive(_told(place)["pid"])
    assert list((place / "jobs").iterdir()) == []


@pytest.mark.parametrize("fault", ["hangs", "ignores SIGTERM", "children"])
def test_a_command_that_does_not_end_is_ended_with_all_its_children(
    fault: str, place: Path, cli: Any, walk: Any
) -> None:
    backend = cli(fault, hymotion={"cli_s": 1.5})
    begun = time.monotonic()
    with pytest.raises(TimedOut, match="did not end"):
        backend.generate(walk)
    assert time.monotonic() - begun < 10
    told = _told(place)
    assert not any(map(_alive, [told["pid"], *told.get("children", ())]))
    assert list((place / "jobs").iterdir()) == []


def test_children_that_outlive_a_good_run_are_ended_too(place: Path, cli: Any, walk: Any) -> None:
    assert cli("children that outlive it").generate(walk).frames == 72
    (child,) = _told(place)["children"]
    assert not _alive(child)


class _Evil:
    def __reduce__(self) -> Any:
        return os.system, ("touch PWNED",)


BROKEN: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "empty": lambda _: b"",
    "no zip": lambda _: b"PK\3\4 not a zip",
    "cut off": lambda a: _npz(**a)[:2000],
    "no poses": lambda a: _npz(trans=a["trans"], Rh=a["Rh"]),
    "pickled": lambda a: _npz(**{**a, "trans": np.array([_Evil()], dtype=object)}),
    "other frames": lambda a: _npz(**{**a, "trans": a["trans"][:-1]}),
    "NaN": lambda a: _npz(**{**a, "poses": np.full_like(a["poses"], np.nan)}),
    "an hour": lambda a: _npz(**{name: np.repeat(v, 100, axis=0) for name, v in a.items()}),
    "text": lambda a: _npz(**{**a, "Rh": np.full(a["Rh"].shape, "x")}),
    "far away": lambda a: _npz(**{**a, "trans": a["trans"] * np.linspace(0, 1e5, len(a["trans"]))[:, None]}),
}  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN)
def test_a_file_that_is_no_motion_is_refused_and_never_unpickled(
    broken: str, place: Path, cli: Any, walk: Any, smplh: Any
) -> None:
    backend = cli()
    (place / "model" / "walk.npz").write_bytes(BROKEN[broken](smplh))
    with pytest.raises(BadAnswer):
        backend.generate(walk)
    assert not list(place.rglob("PWNED")) and not Path("PWNED").exists()


def test_a_file_beyond_the_limit_is_not_read(place: Path, cli: Any, walk: Any) -> None:
    with pytest.raises(TooLarge, match="npz"):
        cli(limits={"answer_bytes": 1000}).generate(walk)


def test_without_its_folders_or_its_interpreter_it_is_not_set_up(place: Path, settled: Any, walk: Any) -> None:
    for home, model in ((None, None), (place / "home", place / "nowhere"), (place / "nowhere", place / "model")):
        backend = HyMotionCli(home, model, sys.executable, settled())
        assert not backend.is_set_up
        with pytest.raises(NotSetUp):
            backend.generate(walk)
    with pytest.raises(NotSetUp, match="cannot be started"):
        HyMotionCli(place / "home", place / "model", str(place / "python"), settled()).generate(walk)


def test_without_the_licence_no_process_starts(place: Path, cli: Any, walk: Any) -> None:
    with pytest.raises(NotAllowed):
        cli(licence={"accepted": False}).generate(walk)
    assert not (place / "model" / "told.json").exists()
