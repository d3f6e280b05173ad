"""`gridmotion trajectories` and `gridmotion generate`: train the model, judge it, make films of sentences.

Belongs here: arguments, progress, files. Does not belong here: the model (`pipeline.trajectories`), what a training
does (`assets/trajectories.py`). Concept: https://typer.tiangolo.com/tutorial/subcommands
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pipeline.intents.vocabulary import Intent

app = typer.Typer(no_args_is_help=True, help="The model that predicts where somebody goes as well as how.")
console = Console(markup=False, highlight=False)

KINDS = (".mp4", ".glb")
PICTURE = "images/trajectories/generated.jpg"  # beside the page


@contextmanager
def _told() -> Iterator[None]:
    """Errors that say what to do, in their own words."""
    from pipeline.errors import PipelineError
    from resources.errors import ResourceError

    try:
        yield
    except (PipelineError, ResourceError) as error:
        console.print(str(error), style="red", soft_wrap=True)
        raise typer.Exit(1) from error


@app.command()
def train(
    size: Annotated[str, typer.Option(help="Of configs/trajectories.yaml: tiny, small, base, large.")] = "base",
    steps: Annotated[int, typer.Option(help="Those of the configuration if 0.", min=0)] = 0,
    minutes: Annotated[
        float, typer.Option(help="Stop with a checkpoint after so long; 0: when it is done.", min=0)
    ] = 0,
    threads: Annotated[int, typer.Option(help="Of the processor; 0: as OMP_NUM_THREADS says.", min=0)] = 0,
) -> None:
    """Train the model on the training set and the matches of the store, or go on where a training stopped."""
    from assets.definitions import open_encoder, open_store
    from assets.trajectories import TrainConfig
    from assets.trajectories import train as trained
    from resources.settings import settings
    from resources.training import Shelf

    environment = settings()
    asked = TrainConfig(size=size, steps=steps, minutes=minutes, threads=threads)
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
        TextColumn("{task.fields[said]}"),
    )  # fmt: skip
    with _told(), Progress(*columns, console=console) as progress:
        task = progress.add_task("steps", total=None, said="")
        said = {"train": "", "validation": ""}

        def listen(told: dict[str, Any]) -> None:
            if told["kind"] == "train":
                said["train"] = f"loss {told['total']:.3f}, {told['samples_s']:.0f} samples/s"
            elif told["kind"] == "validation" and "error_m" in told:
                said["validation"] = f"error {told['error_m']:.2f} m, best {told['best']:.2f} m"
            words = "; ".join(text for text in said.values() if text)
            progress.update(task, completed=told["step"], total=told["steps"], said=words)

        store = open_store(environment)
        plan, folder = trained(store, environment, open_encoder(environment), asked, listen, _say)
        uri = Shelf(store).put(folder)
    console.print(f"model {plan.version}: {uri}", soft_wrap=True)


def _say(text: str) -> None:
    console.print(text, soft_wrap=True)


@app.command()
def evaluate(
    out: Annotated[
        Path | None, typer.Option(help="Write the page, with a picture, here too: docs/trajectories.md.")
    ] = None,
) -> None:
    """Judge the latest model on what was held out, beside the baselines."""
    from assets.definitions import open_encoder, open_store
    from assets.trajectories import REPORT, examined, pictured
    from configs.trajectories import load_trajectories
    from resources.settings import settings

    environment = settings()
    store = open_store(environment)
    encoder, notes = open_encoder(environment), []
    with _told():
        if out is not None:
            picture = out.parent / PICTURE
            picture.parent.mkdir(parents=True, exist_ok=True)
            picture.write_bytes(pictured(store, encoder))
            said = "; ".join(f"*{prompt}*" for prompt in load_trajectories().generation.prompts)
            notes = [f"## Made up from sentences\n\nFrom above: {said}.\n\n![frames of the films]({PICTURE})"]
        _, text = examined(store, environment, encoder, notes)
    uri = store.write(REPORT, text.encode())
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
    console.print(text, soft_wrap=True)
    console.print(f"{uri}", soft_wrap=True)


def generate(
    prompt: Annotated[str, typer.Argument(help="Who does what, such as 'two runners race to the spaceship'.")],
    out: Annotated[Path, typer.Option(help="Where to: .mp4 for a film, .glb for a 3D clip of each actor.")],
    seed: Annotated[int, typer.Option(help="Of what the sentence leaves open.", min=0)] = 0,
    seconds: Annotated[float, typer.Option(help="How long, at most ten; as configured if 0.", min=0, max=10)] = 0.0,
    intent: Annotated[str, typer.Option(help="What the upper body of a 3D clip acts.")] = "advance",
) -> None:
    """Make a film, or 3D clips, of a sentence: the model moves it, the renderer or the synthesizer shows it."""
    from assets.definitions import open_encoder, open_store
    from pipeline.motion.gltf import glb
    from pipeline.motion.synthesizer import synthesize
    from pipeline.trajectories.generation import clip_requests, generated
    from resources.settings import settings
    from resources.training import Shelf

    kind = out.suffix.lower()
    if kind not in KINDS:
        raise typer.BadParameter(f"{out.name}: give it the ending {' or '.join(KINDS)}", param_hint="--out")
    if intent not in get_args(Intent):
        raise typer.BadParameter(f"{intent}: one of {', '.join(get_args(Intent))}", param_hint="--intent")
    environment = settings()
    out.parent.mkdir(parents=True, exist_ok=True)
    with _told():
        model = Shelf(open_store(environment)).latest()
        made = generated(model, open_encoder(environment), prompt, seed=seed, seconds=seconds)
        if kind == ".mp4":
            files = {out: made.film()}
        else:
            clips = [synthesize(request) for request in clip_requests(made, intent)]  # type: ignore[arg-type]
            about = {"prompt": prompt, "model": model.version, "seed": seed}
            many = len(clips) > 1
            files = {
                out.with_stem(f"{out.stem}-{k + 1}") if many else out: glb(clip, about) for k, clip in enumerate(clips)
            }
    for path, data in files.items():
        path.write_bytes(data)
        console.print(f"{path}: {len(data) / 1e6:.2f} MB, by {model.version}", soft_wrap=True)
