"""`gridmotion models`: which models there are, which answers, and how to change that by hand.

Belongs here: arguments, words for people, JSON for programs. Does not belong here: what a change does
(`resources.registry`). Concept: https://typer.tiangolo.com/tutorial/subcommands
"""

import json
import math
from pathlib import Path
from typing import Annotated, Any

import dagster as dg
import polars as pl
import typer
from rich.console import Console
from rich.table import Table

from assets.models import CHAMPION_KEY
from resources.registry import ModelRegistry, Registered
from resources.settings import settings

app = typer.Typer(no_args_is_help=True, help="Which intent models there are, and which of them answers.")
console = Console(markup=False, highlight=False)

Json = Annotated[bool, typer.Option("--json", help="One JSON object on one line, for scripts.")]
SHOWN = {"hybrid_macro_f1_vs_labels": "macro-F1", "hybrid_log_loss_vs_labels": "log-loss"}


def _registry() -> ModelRegistry:
    from assets.definitions import open_registry

    return open_registry(settings())


def _say(value: dict[str, Any]) -> None:
    typer.echo(json.dumps(_told(value), ensure_ascii=False, allow_nan=False))


def _told(value: Any) -> Any:
    """The value for JSON: a number that is not defined is null, as JSON has no NaN."""
    if isinstance(value, dict):
        return {name: _told(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_told(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plain(model: Registered) -> dict[str, Any]:
    return vars(model) | {"metrics": dict(model.metrics)}


@app.command(name="list")
def list_models(as_json: Json = False) -> None:
    """List all models, oldest first, with what became of each."""
    found = _registry().versions()
    if as_json:
        _say({"models": [_plain(model) for model in found]})
        return
    if not found:
        console.print("no model yet; train one with gridmotion train")
        return
    view = Table("model", "", *SHOWN.values(), "what became of it")
    for model in found:
        figures = [f"{model.metrics[name]:.3f}" if name in model.metrics else "" for name in SHOWN]
        fate = f"rolled back: {model.rolled_back}" if model.rolled_back else model.verdict
        view.add_row(model.version, "answers" if model.champion else "", *figures, fate)
    console.print(view)


@app.command(name="compare")
def compare_models(
    challenger: Annotated[str, typer.Argument(help="A version, as `models list` names it.")],
    champion: Annotated[str | None, typer.Argument(help="Another; the one that answers if not given.")] = None,
    as_json: Json = False,
) -> None:
    """Hold a model against another on held-out rows that neither learned from, as the gate does."""
    from assets.definitions import open_store
    from assets.intents import labelled_rows
    from assets.reviews import open_reviews
    from configs.intents import load_intents
    from pipeline.intents.model import BoosterModel
    from pipeline.intents.promotion import compare, unseen
    from pipeline.intents.training import TEST, split

    models, store = _registry(), open_store(settings())
    new, old = models.get(challenger), models.champion() if champion is None else models.get(champion)
    gold = open_reviews(settings()).gold()
    if not store.keys("labels"):
        console.print("no match is labelled yet: analyse one first (gridmotion run)", style="red")
        raise typer.Exit(1)
    with console.status("comparing"):
        labelled = labelled_rows(store, gold)
        held = split(labelled, load_intents().training).filter(pl.col("part") == TEST)
        for model in (new, old):
            held = unseen(held, model.manifest, labelled) if isinstance(model, BoosterModel) else held
        found = compare(old, new, held)
    if as_json:
        measures = found.table.to_dicts() if found.measures else []
        _say(vars(found) | {"measures": measures})
        return
    view = Table("measure", f"{found.champion}", f"{found.challenger}", "difference", "interval")
    for name, (before, after, apart) in found.measures.items():
        interval = f"[{apart.low:+.4f}, {apart.high:+.4f}]"
        view.add_row(name, f"{before:.4f}", f"{after:.4f}", f"{apart.value:+.4f}", interval)
    console.print(view)
    console.print(f"on {found.rows:,} rows of {', '.join(found.matches) or 'no match'}", soft_wrap=True)
    console.print(f"{found.verdict}: {'; '.join(found.reasons)}", soft_wrap=True)


@app.command()
def card(
    version: Annotated[
        str | None, typer.Argument(help="As `models list` names it; the one that answers if not given.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Also write its pictures and its signature to this folder.")] = None,
) -> None:
    """Print a model's card: what it was trained on, what it is for, every figure of its training."""
    from pipeline.intents.card import CARD

    models = _registry()
    kept = models.documents(models.champion().version if version is None else version)
    typer.echo(kept[CARD].decode() if CARD in kept else "no card was kept with this model")
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in kept.items():
            (out / name).write_bytes(content)
        console.print(f"{', '.join(kept)}: {out}", soft_wrap=True)


@app.command()
def promote(version: Annotated[str, typer.Argument(help="As `models list` names it.")], as_json: Json = False) -> None:
    """Let a model answer from the next match on, whatever the gate said of it."""
    models = _registry()
    made = models.promote(version)
    models.judge(version, "promoted by hand")
    _tell(made, "promoted by hand")
    _report(made, as_json)


@app.command()
def rollback(
    reason: Annotated[str, typer.Option(help="Why; kept with the model that is rolled back.")] = "by hand",
    as_json: Json = False,
) -> None:
    """Let the model answer again that answered before, from the next match on; no training undoes it."""
    made = _registry().rollback(reason)
    _tell(made, f"rolled back: {reason}")
    _report(made, as_json)


@app.command()
def explain(
    match: Annotated[str, typer.Argument(help="Match id.")],
    segment: Annotated[
        str | None, typer.Argument(help="A segment's id, or how it begins; the least sure ones if not given.")
    ] = None,
    most: Annotated[int, typer.Option(help="At most this many features.", min=1)] = 3,
    segments: Annotated[int, typer.Option(help="So many of the least sure, where no segment is named.", min=1)] = 10,
    as_json: Json = False,
) -> None:
    """Say in words what spoke for the intent of a segment in the model that decided it."""
    from assets.definitions import open_store
    from assets.reviews import spoke_for
    from assets.summary import whole_segment_id

    store = open_store(settings())
    chosen = store.read_table("segments", match).sort("confidence", "segment_id")
    if segment is not None:
        chosen = chosen.filter(segment_id=whole_segment_id(store, match, segment))
    else:
        chosen = chosen.head(segments)
    why = spoke_for(_registry(), chosen, store.read_table("features", match), most=most)
    told = chosen.join(why, on="segment_id", how="left", maintain_order="left")
    if as_json:
        names = ("segment_id", "round", "player", "from_ms", "to_ms", "intent", "confidence", "decided_by", "reasons")
        found = told.select(names).to_dicts()
        _say({"segments": found} if segment is None else found[0])
        return
    for row in told.iter_rows(named=True):
        when = f"{row['from_ms'] / 1000:.2f} to {row['to_ms'] / 1000:.2f} s"
        who = f"{row['player']}, round {row['round']}, {when}"
        console.print(f"{row['segment_id']}: {row['intent']}, {row['confidence']:.2f}, decided by {row['decided_by']}")
        console.print(f"  {who}", soft_wrap=True)
        if row["reasons"] is None:
            console.print("  no trained model decided, or it is no longer registered", soft_wrap=True)
        elif not row["reasons"]:
            console.print("  nothing spoke for it in the model", soft_wrap=True)
        for each in row["reasons"] or ():
            console.print(f"  {each}", soft_wrap=True)


def _report(made: Registered, as_json: bool) -> None:
    if as_json:
        _say(_plain(made))
    else:
        console.print(f"{made.version} answers from the next match on")


def _tell(made: Registered, verdict: str) -> None:
    """Makes the change a materialization of the champion, so that Dagster's page shows it and what hangs on it."""
    from assets.commands import _instance

    told = dg.AssetMaterialization(
        CHAMPION_KEY,
        metadata={"model_version": made.version, "promoted": True, "trained": made.version, "verdict": verdict},
        tags={"dagster/data_version": made.version, "dagster/data_version_is_user_provided": "true"},
    )
    with _instance() as instance:
        instance.report_runless_asset_event(told)
