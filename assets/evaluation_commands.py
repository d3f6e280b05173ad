"""`gridmotion evaluate`: how good the intents of a folder of logs are, as Markdown, JSON and pictures.

Belongs here: arguments, progress, files. Does not belong here: any figure (`pipeline.intents.evaluation`).
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    import polars as pl

    from pipeline.intents.evaluation.examination import Examination

console = Console(markup=False, highlight=False)

NAME = "evaluation"


def evaluate(
    matches: Annotated[Path, typer.Option(help="A folder of logs (.jsonl, .jsonl.gz, .zip), or one log.", exists=True)],
    model: Annotated[str | None, typer.Option(help="Version of a registered model; the champion if not given.")] = None,
    out: Annotated[Path, typer.Option(help="Folder to write evaluation.md, .json and pictures to.")] = Path(NAME),
    cross_validate: Annotated[
        bool, typer.Option("--cross-validate", help="Judge training itself: each match by models without its series.")
    ] = False,
    reviews: Annotated[
        bool,
        typer.Option("--reviews", help="Hold predictions also against what reviewers decided about these matches."),
    ] = False,
) -> None:
    """Judge predictions on logs never seen before; either format, any map."""
    from pipeline.intents.evaluation import examination
    from pipeline.intents.evaluation.cases import read_folder

    if cross_validate and model is not None:
        raise typer.BadParameter("--cross-validate trains models of its own; leave out --model")
    with console.status("reading") as status:

        def progress(what: str) -> None:
            status.update(what)

        folder = read_folder(matches)
        gold = _gold() if reviews else None
        if cross_validate:
            found = examination.cross_validate(folder, gold=gold, progress=progress)
        else:
            from assets.definitions import open_registry
            from resources.settings import settings

            registry = open_registry(settings())
            chosen = registry.champion() if model is None else registry.get(model)
            found = examination.examine(folder, chosen, gold=gold, progress=progress)
    for name, why in folder.skipped.items():
        console.print(f"not judged: {name}: {why}", style="yellow", soft_wrap=True)
    console.print(f"report: {write(found, out)}", soft_wrap=True)


def _gold() -> "pl.DataFrame":
    from assets.reviews import open_reviews
    from resources.settings import settings

    return open_reviews(settings()).gold()


def write(found: "Examination", out: Path) -> Path:
    """Writes report, figures and pictures below a folder; returns the report's path."""
    from pipeline.intents.evaluation.report import markdown

    pictures = out / NAME
    pictures.mkdir(parents=True, exist_ok=True)
    for name, png in found.figures.items():
        (pictures / name).write_bytes(png)
    text = json.dumps(found.document, indent=1, allow_nan=False, ensure_ascii=False)
    (out / f"{NAME}.json").write_text(text + "\n", encoding="utf-8")
    report = out / f"{NAME}.md"
    report.write_text(markdown(found.document, NAME), encoding="utf-8")
    return report
