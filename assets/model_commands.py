"""`gridmotion models`: which models there are, which answers, and how to change that by hand.

Belongs here: arguments, words for people, JSON for programs. Does not belong here: what a change does
(`resources.registry`). Concept: https://typer.tiangolo.com/tutorial/subcommands
"""

import json
import math
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
    from assets.intents import gold_labels
    from assets.reviews import open_reviews
    from configs.intents import load_intents
    from pipeline.intents.model import BoosterModel
    from pipeline.intents.promotion import compare, unseen
    from pipeline.intents.training import TEST, samples, split

    models, store = _registry(), open_store(settings())
    new, old = models.get(challenger), models.champion() if champion is None else models.get(champion)
    gold, names = open_reviews(settings()).gold(), store.keys("labels")
    if not names:
        console.print("no match is labelled yet: analyse one first (gridmotion run)", style="red")
        raise typer.Exit(1)
    with console.status("comparing"):
        labelled = pl.concat(
            [samples(store.read_table("features", name), gold_labels(store, name, gold)) for name in names]
        )
        held = split(labelled, load_intents().training).filter(pl.col("part") == TEST)
        for model in (new, old):
            held = unseen(held, model.manifest) if isinstance(model, BoosterModel) else held
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
    segment: Annotated[str, typer.Argument(help="A segment's id, or how it begins.")],
    most: Annotated[int, typer.Option(help="At most this many features.", min=1)] = 3,
    as_json: Json = False,
) -> None:
    """Say in words what spoke for the intent of a segment."""
    from assets.definitions import open_store
    from assets.summary import whole_segment_id
    from pipeline.intents.explanation import reasons

    store = open_store(settings())
    chosen = whole_segment_id(store, match, segment)
    row = store.read_table("segments", match).row(by_predicate=pl.col("segment_id") == chosen, named=True)
    model = _registry().get(row["model_version"])
    here = (pl.col("player") == row["player"]) & pl.col("t_ms").is_between(row["from_ms"], row["to_ms"], closed="left")
    why = reasons(model, store.read_table("features", match).filter(here), row["intent"], most=most)
    if as_json:
        _say({name: row[name] for name in ("segment_id", "intent", "confidence", "decided_by")} | {"reasons": why})
        return
    console.print(f"{chosen}: {row['intent']}, {row['confidence']:.2f}, decided by {row['decided_by']}")
    console.print("what spoke for it in the model:" if why else "nothing spoke for it in the model", soft_wrap=True)
    for each in why:
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
