"""`gridmotion embed` and `gridmotion search`: moments of matches by words.

Belongs here: arguments, tables for people. Does not belong here: what is embedded (`assets/embeddings.py`), how moments
are found (`resources/moment_index.py`). Concept: https://typer.tiangolo.com
"""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

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
    if not found:
        console.print("nothing is found")
    else:
        console.print(_view(found))
    console.print(f"by {opened.identity.model} ({opened.identity.key})")
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


def _view(found: list["Hit"]) -> Table:
    view = Table("likeness", "match", "round", "at", "s", "player", "moment", "clip, or how to make it")
    for hit in found:
        row = hit.moment
        minutes, seconds = divmod(row["from_ms"] // 1000, 60)
        view.add_row(
            f"{hit.likeness:.2f}",
            row["match_id"],
            str(row["round"] or ""),
            f"{minutes}:{seconds:02d}",
            f"{(row['to_ms'] - row['from_ms']) / 1000:.1f}",
            row["player"].removeprefix("player:"),
            row["text"],
            hit.clip or _make(hit),
        )
    return view
