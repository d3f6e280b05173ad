"""What an analyst looks at in the UI: tables and plots as metadata of a materialization.

Belongs here: frames in, metadata values out. Does not belong here: any figure that a check or a decision depends on.
Concept: https://docs.dagster.io/guides/build/assets/metadata-and-tags
"""

import base64
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from pipeline.events.model import is_attacker
from pipeline.intents.vocabulary import INTENTS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Metadata = dict[str, Any]

# Colour-blind safe (Okabe-Ito), one per intent, in the vocabulary's order.
INTENT_COLOURS: dict[str, str] = dict(
    zip(
        INTENTS,
        ("#0072B2", "#56B4E9", "#999999", "#F0E442", "#D55E00", "#009E73", "#CC79A7", "#7A4FBF", "#B22222"),
        strict=True,
    )
)
# The colours that the clips' mannequins wear: attackers orange, defenders blue.
_ROLE_COLOURS: dict[bool | None, str] = {True: "#E8710A", False: "#1D4ED8", None: "#666666"}
_MAP_POINTS = 20_000  # enough to see every corridor; more only makes the picture slow


def picture(png: bytes, alt: str, media: str = "image/png") -> dg.MarkdownMetadataValue:
    """An image that the Dagster UI shows inline."""
    return dg.MetadataValue.md(f"![{alt}](data:{media};base64,{base64.b64encode(png).decode()})")


def table(frame: pl.DataFrame, limit: int = 50) -> dg.MarkdownMetadataValue:
    """The first rows of a frame as a Markdown table."""
    head = frame.head(limit)
    lines = ["| " + " | ".join(head.columns) + " |", "|" + "---|" * head.width]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in head.iter_rows()]
    return dg.MetadataValue.md("\n".join(lines))


def conservation(log: pl.DataFrame) -> Metadata:
    """Where each source event of a log went."""
    row = log.row(0, named=True)
    buckets = ("source_events", "converted", "merged", "reverted", "duplicate", "quarantined", "derived_positions")
    return {name: row[name] for name in buckets} | {"source": row["uri"], "source_kind": row["source_kind"]}


def quarantine(frame: pl.DataFrame) -> Metadata:
    """Reasons for quarantine, most frequent first, each with its first line."""
    if frame.is_empty():
        return {"lines": 0}
    reasons = (
        frame.group_by("field", "reason")
        .agg(pl.len().alias("lines"), pl.col("source_line").min().alias("first_line"))
        .sort("lines", "field", "reason", descending=[True, False, False])
    )
    return {"lines": frame.height, "reasons": table(reasons)}


def matches(frame: pl.DataFrame) -> Metadata:
    """The matches of a log: title, map, score, length."""
    rows = frame.select(
        "match_id",
        "title",
        "map",
        pl.col("score").list.eval(pl.element().struct.field("score").cast(pl.String)).list.join(" : ").alias("score"),
        "winner",
        pl.col("players").list.len().alias("players"),
        (pl.col("duration_ms") / 60_000).round(1).alias("minutes"),
    )
    return {"matches": table(rows)}


def rounds(frame: pl.DataFrame) -> Metadata:
    """Winners and reasons, round by round."""
    rows = frame.select(
        "round", ((pl.col("end_ms") - pl.col("live_ms")) / 1000).round(1).alias("live_s"), "winner", "reason"
    )
    return {"rounds": table(rows)}


def event_counts(frame: pl.DataFrame) -> Metadata:
    """How many events of each type stand."""
    counts = frame.group_by("event_type").len("events").sort("events", "event_type", descending=[True, False])
    return {"types": table(counts)}


def position_map(match: pl.DataFrame, tracks: pl.DataFrame) -> Metadata:
    """Where the match was played, by side, with the map's objectives."""
    if tracks.is_empty():
        return {"positions": "this log holds no position"}
    figure, axes = _figure(6.4, 6.0)
    sample = tracks.gather_every(max(1, tracks.height // _MAP_POINTS))
    for (side,), points in sorted(sample.group_by("side"), key=lambda group: str(group[0])):
        axes.scatter(
            points["x_mm"] / 1000,
            points["z_mm"] / 1000,
            s=1.5,
            alpha=0.25,
            linewidths=0,
            c=_ROLE_COLOURS[is_attacker(str(side) if side else None)],
            label=side or "side unknown",
        )
    for objective in match["objectives"].item():
        x, z = objective["x_mm"] / 1000, objective["z_mm"] / 1000
        axes.plot(x, z, marker="*", markersize=16, color="#F59E0B", markeredgecolor="black", linestyle="none")
        axes.annotate(objective["id"], (x, z), xytext=(8, 6), textcoords="offset points", fontsize=9, weight="bold")
    axes.set(aspect="equal", xlabel="x, m", ylabel="z, m", title=f"{match['map'].item() or 'unknown map'}: positions")
    axes.invert_yaxis()
    legend = axes.legend(loc="best", frameon=False, markerscale=8)
    for handle in legend.legend_handles:
        handle.set_alpha(1.0)  # type: ignore[union-attr]
    return {"players": tracks["player"].n_unique(), "positions": picture(_png(figure), "positions")}


def features(frame: pl.DataFrame) -> Metadata:
    """Share of nulls, mean and range of each feature."""
    numbers = [name for name, dtype in frame.schema.items() if dtype.is_numeric() and name not in ("round", "t_ms")]
    if frame.is_empty():
        return {"players": 0}
    summary = pl.DataFrame(
        [
            {
                "feature": name,
                "null_percent": round(100 * frame[name].null_count() / frame.height, 1),
                "mean": _rounded(frame[name].mean()),
                "min": _rounded(frame[name].min()),
                "max": _rounded(frame[name].max()),
            }
            for name in numbers
        ],
        infer_schema_length=None,
    )
    return {"players": frame["player"].n_unique(), "features": table(summary, limit=len(numbers))}


def class_balance(frame: pl.DataFrame, title: str) -> Metadata:
    """How often each intent occurs."""
    counts = {
        row["intent"]: row["rows"]
        for row in frame.drop_nulls("intent").group_by("intent").agg(pl.len().alias("rows")).iter_rows(named=True)
    }
    total = sum(counts.values())
    if not total:
        return {"class_balance": "no rows"}
    figure, axes = _figure(6.4, 2.8)
    shares = [counts.get(intent, 0) / total * 100 for intent in INTENTS]
    bars = axes.bar(INTENTS, shares, color=[INTENT_COLOURS[intent] for intent in INTENTS])
    axes.bar_label(bars, fmt="%.1f", fontsize=8)
    axes.set(ylabel="% of instants", title=title)
    axes.margins(y=0.15)
    return {"class_balance": picture(_png(figure), title)}


def labels(frame: pl.DataFrame) -> Metadata:
    """How much the rules answer for, and what."""
    coverage = 100 * (1 - frame["intent"].null_count() / frame.height) if frame.height else 0.0
    return {"coverage_percent": round(coverage, 1), **class_balance(frame, "Labels in hindsight")}


def predicted(frame: pl.DataFrame) -> Metadata:
    """Class balance of predictions, and who decided."""
    deciders = frame.group_by("decided_by").agg(
        pl.len().alias("rows"), pl.col("confidence").mean().round(3).alias("confidence")
    )
    return {
        **class_balance(frame, "Predicted intents"),
        "decided_by": table(deciders.sort("rows", "decided_by", descending=[True, False])),
    }


def intent_timeline(segments: pl.DataFrame, rounds: pl.DataFrame) -> Metadata:
    """Each player's intents over the busiest round, and the segments per intent."""
    if segments.is_empty():
        return {"timeline": "no segments"}
    counts = (
        segments.group_by("intent")
        .agg(
            pl.len().alias("segments"),
            ((pl.col("to_ms") - pl.col("from_ms")).mean() / 1000).round(2).alias("mean_s"),
            pl.col("confidence").mean().round(3).alias("confidence"),
        )
        .sort("intent")
    )
    return {
        "segments_per_intent": table(counts),
        "for_review": segments.filter(pl.col("review_reasons").list.len() > 0).height,
        "timeline": picture(timeline_png(segments, rounds), "intent timeline"),
    }


def timeline_png(segments: pl.DataFrame, rounds: pl.DataFrame) -> bytes:
    """The intents of each player over the round with the most different intents, as PNG."""
    busiest = (
        segments.group_by("round")
        .agg(pl.col("intent").n_unique().alias("kinds"), pl.len().alias("segments"))
        .sort("kinds", "segments", "round", descending=[True, True, False], nulls_last=True)
    )["round"][0]
    shown = segments.filter(pl.col("round").eq_missing(pl.lit(busiest)))
    starts = rounds.filter(pl.col("round") == busiest)["live_ms"].to_list() if busiest is not None else []
    origin = next((start for start in starts if start is not None), shown["from_ms"].min())
    order = shown.select("side", "player").unique().sort("side", "player", nulls_last=True)
    figure, axes = _figure(9.6, 0.6 + 0.36 * order.height)
    for line, (side, player) in enumerate(order.iter_rows()):
        for row in shown.filter(pl.col("player") == player).iter_rows(named=True):
            start, length = (row["from_ms"] - origin) / 1000, (row["to_ms"] - row["from_ms"]) / 1000
            axes.broken_barh(
                [(start, length)],
                (line - 0.4, 0.8),
                facecolors=INTENT_COLOURS[row["intent"]],
                alpha=0.35 + 0.65 * row["confidence"],
            )
        name = f"{player.removeprefix('player:')} ({side or '?'})"
        axes.text(-0.01, line, name, transform=axes.get_yaxis_transform(), ha="right", va="center", fontsize=8)
    shown_round = f"s since round {busiest} went live" if busiest is not None else "s since the log began"
    axes.set(yticks=[], xlabel=shown_round, ylim=(order.height - 0.5, -0.5))
    _intent_legend(axes)
    return _png(figure)


def clips(frame: pl.DataFrame, contact_sheet: bytes | None) -> Metadata:
    """What was made, why these moments, and how it looks."""
    summary = (
        frame.group_by("interest", "intent")
        .agg(pl.len().alias("clips"), pl.col("feasible").sum().alias("feasible"))
        .sort("clips", "interest", "intent", descending=[True, False, False])
    )
    shown: Metadata = {"feasible": int(frame["feasible"].sum()), "moments": table(summary)}
    return shown | ({"previews": picture(contact_sheet, "clips", "image/jpeg")} if contact_sheet else {})


def figures(metrics: Mapping[str, float]) -> Metadata:
    """Metrics of a training, as a table."""
    rows = pl.DataFrame({"metric": list(metrics), "value": [f"{value:.4f}" for value in metrics.values()]})
    return {"metrics": table(rows, limit=rows.height)}


def _figure(width: float, height: float) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _png(figure: "Figure") -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _intent_legend(axes: "Axes") -> None:
    from matplotlib.patches import Patch

    patches = [Patch(color=colour, label=intent) for intent, colour in INTENT_COLOURS.items()]
    axes.legend(
        handles=patches, ncols=len(patches), loc="lower right", bbox_to_anchor=(1, 1), frameon=False, fontsize=7
    )


def _rounded(value: Any) -> float | None:
    return None if value is None else round(float(value), 2)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return (f"{value:g}" if isinstance(value, float) else str(value)).replace("|", "\\|").replace("\n", " ")
