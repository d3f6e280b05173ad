"""`gridmotion search`: moments of matches by words.

Belongs here: arguments, lines for people. Does not belong here: what is embedded (`assets/embeddings.py`), how moments
are found (`resources/moment_index.py`). Concept: https://typer.tiangolo.com
"""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

if TYPE_CHECKING:
    from resources.moment_index import Hit, MomentIndex
    from resources.store import Store

console = Console(markup=False, highlight=False)


def search(
    words: Annotated[str, typer.Argument(help="What happens, in your words.")],
    limit: Annotated[int, typer.Option(help="Moments at most.", min=1)] = 10,
    match: Annotated[str | None, typer.Option(help="Only of this match.")] = None,
    intent: Annotated[str | None, typer.Option(help="Only of this intent.")] = None,
    encoder: Annotated[str | None, typer.Option(help="By another encoder than EMBEDDING_ENCODER's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A line per moment, for scripts.")] = False,
) -> None:
    """Find moments in matches by words; each with its clip, or how to make it."""
    from assets.definitions import open_store
    from pipeline.intents.vocabulary import INTENTS
    from resources.encoders import Encoders
    from resources.moment_index import MomentIndex
    from resources.settings import settings

    if not words.strip():
        raise typer.BadParameter("say what you look for", param_hint="words")
    if intent is not None and intent not in INTENTS:
        raise typer.BadParameter(f"{intent}: there are {', '.join(INTENTS)}", param_hint="--intent")
    environment = settings()
    store, encoders = open_store(environment), Encoders(environment)
    # A search says which encoder it asks below its answers; a warning on each would only hide them.
    opened = encoders.open(encoder, say=lambda _: None)
    index = MomentIndex(store, opened.identity, encoders.config)
    missing = behind(store, index)
    found = index.find(opened.encode([words], "query"), limit, match_id=match, intent=intent)
    if as_json:
        for hit in found:
            typer.echo(json.dumps(_plain(hit), ensure_ascii=False))
        return
    for hit in found:
        console.print(_view(hit), soft_wrap=True)
    console.print(
        f"{'found' if found else 'nothing is found'} by {opened.identity.model} ({opened.identity.key})", soft_wrap=True
    )
    if missing:
        console.print(f"not in the index yet: {', '.join(missing)} (gridmotion embed)", style="yellow", soft_wrap=True)


def behind(store: "Store", index: "MomentIndex") -> list[str]:
    """Matches that the index does not know, or knows as they were before they were told anew.

    Raises:
        NoIndex: if there is none.
    """
    from assets.embeddings import analysed

    return sorted({*index.behind(), *(set(analysed(store)) - set(store.keys("moments")))})


def _plain(hit: "Hit") -> dict[str, Any]:
    return {
        "likeness": round(hit.likeness, 4),
        **hit.moment,
        "clip": hit.clip,
        "next": None if hit.clip else _make(hit),
    }


def _make(hit: "Hit") -> str:
    return f"gridmotion clips {hit.moment['match_id']} --segment {hit.moment['segment_id']}"


def _view(hit: "Hit") -> str:
    """Three lines: a table would be wider than a terminal."""
    row = hit.moment
    minutes, seconds = divmod(row["from_ms"] // 1000, 60)
    where = [row["match_id"], f"round {row['round']}" if row["round"] else "", f"{minutes}:{seconds:02d}"]
    lasts = f"{(row['to_ms'] - row['from_ms']) / 1000:.1f} s"
    head = ", ".join([*filter(None, where), lasts, row["player"]])
    return f"{hit.likeness:.2f}  {row['text']}\n      {head}\n      {hit.clip or _make(hit)}"
