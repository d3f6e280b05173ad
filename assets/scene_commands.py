"""`gridmotion scenes`: films of stories and of rounds of real matches, and the training set.

Belongs here: arguments, progress, files. Does not belong here: how a story is told or drawn (`pipeline.scenes`), what a
shard is (`assets/scenes.py`). Concept: https://typer.tiangolo.com/tutorial/subcommands
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from pipeline.scenes.schema import Scene

app = typer.Typer(no_args_is_help=True, help="Stories in 2D with true speeds and sizes, and samples to learn from.")
console = Console(markup=False, highlight=False)

FILMS = (".mp4", ".webp", ".gif")


@app.command(name="render")
def render_scene(
    out: Annotated[Path, typer.Option(help="Where to: .mp4, .webp or .gif; a .jpg is a sheet of frames.")],
    theme: Annotated[str, typer.Option(help="Where the story plays.")] = "baseball",
    seed: Annotated[int, typer.Option(help="What the story is drawn from.", min=0)] = 1,
    seconds: Annotated[
        float | None, typer.Option(help="How long; as long as the story is if not given.", min=1)
    ] = None,
    before_after: Annotated[
        bool, typer.Option("--before-after", help="The story twice, side by side: animated in place, and moving.")
    ] = False,
    match: Annotated[str | None, typer.Option(help="Retell a match of the store instead.")] = None,
    round_number: Annotated[int, typer.Option("--round", help="Which of its rounds.", min=1)] = 1,
    from_s: Annotated[float, typer.Option("--from", help="Seconds after the round's first position.", min=0)] = 0.0,
) -> None:
    """Draw a story, or a round of a match, as a film or a sheet of frames."""
    from pipeline.errors import PipelineError
    from pipeline.scenes import render

    kind = out.suffix.lower()
    if kind not in (*FILMS, ".jpg"):
        raise typer.BadParameter(f"{out.name}: give it the ending {', '.join(FILMS)} or .jpg", param_hint="--out")
    if before_after and kind not in FILMS:
        raise typer.BadParameter(f"--before-after is a film: give it the ending {', '.join(FILMS)}", param_hint="--out")
    began = time.monotonic()
    try:
        scene = _retold(match, round_number, from_s, seconds) if match else _told(theme, seed, seconds)
        with console.status(f"drawing {scene.duration:.0f} s"):
            if before_after:
                data = render.before_after(scene, kind[1:])
            elif kind == ".jpg":
                data = render.contact_sheet(scene)
            else:
                data = render.film(scene, kind[1:])
    except PipelineError as error:
        console.print(str(error), style="red", soft_wrap=True)
        raise typer.Exit(1) from error
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(data)
    console.print(scene.prompt, soft_wrap=True)
    console.print(f"{out}: {len(data) / 1e6:.2f} MB, {time.monotonic() - began:.1f} s", soft_wrap=True)


def _told(theme: str, seed: int, seconds: float | None) -> "Scene":
    from pipeline.scenes.story import tell

    return tell(theme, seed, duration=seconds)


def _retold(match_id: str, round_number: int, from_s: float, seconds: float | None) -> "Scene":
    from assets.definitions import open_store
    from pipeline.scenes.matches import retell
    from resources.errors import ResourceError
    from resources.settings import settings

    store = open_store(settings())
    try:
        match, tracks, intents = (store.read_table(table, match_id) for table in ("matches", "tracks", "intents"))
    except ResourceError as error:
        console.print(str(error), style="red", soft_wrap=True)
        raise typer.Exit(1) from error
    return retell(match, tracks, intents, round_number=round_number, from_s=from_s, seconds=seconds or 40.0)


@app.command()
def dataset(
    samples: Annotated[int, typer.Option(help="Samples of stories.", min=1)] = 10_000,
    seed: Annotated[int, typer.Option(help="What the stories are drawn from.", min=0)] = 1,
    matches: Annotated[bool, typer.Option(help="Also cut the matches of the store into samples.")] = True,
    processes: Annotated[int, typer.Option(help="How many at once; 0 for one per core.", min=0)] = 0,
) -> None:
    """Make the training set, or what is missing of it, and check every sample."""
    from assets.definitions import open_store
    from assets.scenes import drop_stale, make_shards, match_shards, story_shards
    from resources.settings import settings

    environment = settings()
    store = open_store(environment)
    shards = [*story_shards(samples, seed), *(match_shards(store) if matches else [])]
    began, made = time.monotonic(), []
    columns = (TextColumn("shards"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("shards", total=len(shards))
        for shard in make_shards(shards, environment, store, processes=processes):
            made.append(shard)
            progress.advance(task)
    drop_stale(store, [shard.key for shard in shards])
    seconds, count = time.monotonic() - began, sum(shard.rows for shard in made)
    size = sum(shard.size_bytes for shard in made) / 1e6
    reused = sum(shard.reused for shard in made)
    console.print(
        f"{count} samples in {len(made)} shards ({reused} reused), {size:.0f} MB, {seconds:.1f} s, "
        f"{count / seconds:.0f} samples/s: {store.uri('trajectories')}",
        soft_wrap=True,
    )
    broken = [f"{s.key}: {s.failure}" for s in made if s.failure]
    broken += [
        f"{s.key}: {f.check} {f.value:.3g} {f.unit}, limit {f.limit:g} ({f.where})"
        for s in made
        for f in s.findings
        if not f.passed
    ]
    for line in broken:
        console.print(line, style="red", soft_wrap=True)
    if broken:
        raise typer.Exit(1)
