"""What an analyst looks at in the UI: tables and plots as metadata of a materialization.

Belongs here: frames in, metadata values out. Does not belong here: any figure that a check or a decision depends on.
Concept: https://docs.dagster.io/guides/build/assets/metadata-and-tags
"""

import base64
import math
from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg
import polars as pl

from assets import plots
from pipeline.events.model import is_attacker
from pipeline.intents.colours import INTENT_COLOURS
from pipeline.intents.labels import judgement
from pipeline.intents.vocabulary import INTENTS

Metadata = dict[str, Any]

# The colours that the clips' mannequins wear: attackers orange, defenders blue.
_ROLE_COLOURS: dict[bool | None, str] = {True: "#E8710A", False: "#1D4ED8", None: "#666666"}


def picture(png: bytes, alt: str, media: str = "image/png") -> dg.MarkdownMetadataValue:
    """An image that the Dagster UI shows inline."""
    return dg.MetadataValue.md(f"![{alt}](data:{media};base64,{base64.b64encode(png).decode()})")


_MOST_REASONS = 10_000  # different ones that are counted at once


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


def quarantine(frames: Iterable[pl.DataFrame]) -> Metadata:
    """Reasons for quarantine, most frequent first, each with its first line."""
    reasons, lines = None, 0
    for frame in frames:
        lines += frame.height
        found = frame.select("field", "reason", lines=pl.lit(1), first_line="source_line")
        reasons = (
            (found if reasons is None else pl.concat([reasons, found.cast(reasons.schema)]))
            .group_by("field", "reason")
            .agg(pl.col("lines").sum(), pl.col("first_line").min())
            .sort("lines", "field", "reason", descending=[True, False, False])
            .head(_MOST_REASONS)
        )
    return {"lines": 0} if reasons is None else {"lines": lines, "reasons": table(reasons)}


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
    sides = tracks["side"].unique().sort(nulls_last=True).to_list()
    across, down = (tracks[axis].to_numpy() / 1000 for axis in ("x_mm", "z_mm"))
    dots = []
    for side in sides:
        theirs = tracks["side"].eq_missing(side).to_numpy()
        dots.append((side or "side unknown", _ROLE_COLOURS[is_attacker(side)], across[theirs], down[theirs]))
    marks = [(entry["id"], entry["x_mm"] / 1000, entry["z_mm"] / 1000) for entry in match["objectives"].item()]
    png = plots.scatter(dots, marks, f"{match['map'].item() or 'unknown map'}: positions", "m")
    return {"players": tracks["player"].n_unique(), "positions": picture(png, "positions")}


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
    values = [(intent, 100 * counts.get(intent, 0) / total, INTENT_COLOURS[intent]) for intent in INTENTS]
    return {"class_balance": picture(plots.bars(values, title, "% of instants"), title)}


def labels(frame: pl.DataFrame) -> Metadata:
    """How far the rules answer, where they differ, and what they say."""
    shares = {f"{name}_percent": round(100 * share, 1) for name, share in judgement.shares(frame).items()}
    rules = judgement.rule_shares(frame).with_columns(
        (100 * pl.col(name)).round(1).alias(f"{name}_percent") for name in ("overlap", "conflict", "won")
    )
    return {
        **shares,
        "rules": table(rules.drop("overlap", "conflict", "won")),
        **class_balance(frame, "Labels in hindsight"),
    }


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
    line = {player: place for place, player in enumerate(order["player"])}
    stretches = [
        (
            line[row["player"]],
            (row["from_ms"] - origin) / 1000,
            (row["to_ms"] - origin) / 1000,
            INTENT_COLOURS[row["intent"]],
            row["confidence"],
        )
        for row in shown.iter_rows(named=True)
    ]
    names = [f"{player.removeprefix('player:')} ({side or '?'})" for side, player in order.iter_rows()]
    axis = f"s since round {busiest} went live" if busiest is not None else "s since the log began"
    return plots.timeline(names, stretches, list(INTENT_COLOURS.items()), axis)


def clips(frame: pl.DataFrame, contact_sheet: bytes | None, moving: bytes | None = None) -> Metadata:
    """What was made, why these moments, and how it looks: the first of them in motion."""
    summary = (
        frame.group_by("interest", "intent")
        .agg(pl.len().alias("clips"), pl.col("feasible").sum().alias("feasible"))
        .sort("clips", "interest", "intent", descending=[True, False, False])
    )
    shown: Metadata = {"feasible": int(frame["feasible"].sum()), "moments": table(summary)}
    shown |= {"moving": picture(moving, "the most interesting clip", "image/webp")} if moving else {}
    return shown | ({"previews": picture(contact_sheet, "clips", "image/jpeg")} if contact_sheet else {})


def explained(segments: pl.DataFrame, reasons: pl.DataFrame) -> dg.MarkdownMetadataValue:
    """Segments, why somebody should look at them, and what spoke for their intents.

    Args:
        segments: `segment_id`, `round`, `player`, `from_ms`, `to_ms`, `intent`, `confidence`, `decided_by`, `reasons`.
        reasons: as `pipeline.intents.explanation.explained` returns it.
    """
    rows = segments.join(
        reasons.select("segment_id", spoke="reasons"), on="segment_id", how="left", maintain_order="left"
    )
    seconds = ((pl.col("to_ms") - pl.col("from_ms")) / 1000).round(2)
    return table(
        rows.select(
            pl.col("segment_id").str.slice(0, 8).alias("segment"),
            "round",
            pl.col("player").str.strip_prefix("player:"),
            (pl.col("from_ms") / 1000).alias("from s"),
            seconds.alias("for s"),
            "intent",
            pl.col("confidence").round(2),
            "decided_by",
            pl.col("reasons").list.join(", ").alias("asked because"),
            pl.col("spoke")
            .list.join("; ")
            .fill_null("not known: no trained model decided, or it cannot be had")
            .alias("what spoke for it"),
        )
    )


INLINE = 1_000
"""Characters of Markdown from which on Dagster's page hides it behind a link."""

_ENDING = "_vs_labels"
_OVERALL = ("macro_f1", "accuracy", "log_loss")
CALIBRATION = "calibration_error_"


def side_by_side(before: Mapping[str, float], after: Mapping[str, float]) -> Metadata:
    """The figures of two trainings of what predicts (rules, then the model), each on its own held-out rows."""
    old, new = (
        {name.removeprefix("hybrid_").removesuffix(_ENDING): value for name, value in each.items()}
        for each in (before, after)
    )
    named = {
        "figures_then_and_now": [*_OVERALL, *(f"f1_{intent}" for intent in INTENTS)],
        "calibration_then_and_now": [f"{CALIBRATION}{intent}" for intent in INTENTS],
    }
    return {
        title: table(
            pl.DataFrame(
                [
                    {
                        "measure": _measure(name),
                        "then": _figure(old.get(name)),
                        "now": _figure(new.get(name)),
                        "change": _figure(new[name] - old[name], "+") if name in old and name in new else "",
                    }
                    for name in names
                ]
            )
        )
        for title, names in named.items()
    }


def compared(measures: pl.DataFrame) -> Metadata:
    """Two models on the same rows: each figure of both, and their difference with its interval.

    Args:
        measures: `measure`, `champion`, `challenger`, `difference`, `low`, `high`.
    """
    rows = [
        {
            "measure": _measure(name),
            "champion": _figure(old),
            "this": _figure(new),
            "difference": f"{_figure(apart, '+')} [{_figure(low, '+')}, {_figure(high, '+')}]",
        }
        for name, old, new, apart, low, high in measures.iter_rows()
        if not math.isnan(apart)
    ]
    of_calibration = [row for row in rows if row["measure"].startswith(_measure(CALIBRATION))]
    others = [row for row in rows if row not in of_calibration]
    named = {"against_the_champion": others, "calibration_against_the_champion": of_calibration}
    return {title: table(pl.DataFrame(found)) for title, found in named.items() if found}


def _measure(name: str) -> str:
    return name.replace(CALIBRATION, "ECE ").replace("_", " ")


def _figure(value: float | None, sign: str = "") -> str:
    return "" if value is None or math.isnan(value) else f"{round(value, 3) + 0.0:{sign}.3f}"  # never -0.000


def _rounded(value: Any) -> float | None:
    return None if value is None else round(float(value), 2)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return (f"{value:g}" if isinstance(value, float) else str(value)).replace("|", "\\|").replace("\n", " ")
