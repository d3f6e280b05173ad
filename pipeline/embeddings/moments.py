"""What is said of each segment of a match, so that it can be found by words.

Belongs here: from segments, tracks and events to sentences. Does not belong here: the nine intents' verbs
(`pipeline.scenes.captions`), vectors, the index.

A sentence tells who, what is meant, how fast, from where to where, what happened before and what came of it:
"A defender falls back quickly from middle to CT spawn, after losing a teammate". Moments are told after the fact: what
came of it is in them, so they are for search and never for a prediction.
"""

import math
import re
from typing import Any

import polars as pl

from configs.encoders import EncodersConfig, load_encoders
from configs.scenes import load_scenes
from pipeline.embeddings.texts import text_hash
from pipeline.events.model import is_attacker
from pipeline.scenes.captions import (
    SUBJECTS,
    WAYS,
    Objective,
    Phrase,
    pace_words,
    site_words,
    towards_words,
    with_article,
)
from pipeline.tables import empty

_MM = 1000.0
_DIES_MS = 1000  # a segment ends a little before its player does: at its last instant
_BEFORE = (
    ("teammate", "after losing a teammate"),
    ("kill", "after killing an opponent"),
    ("plant", "after the bomb was planted"),
    ("hurt", "after being hit"),
    ("blind", "after being flashed"),
)
"""What may have happened before, the weightiest first."""


def described(
    match: pl.DataFrame,
    segments: pl.DataFrame,
    tracks: pl.DataFrame,
    events: pl.DataFrame,
    config: EncodersConfig | None = None,
) -> pl.DataFrame:
    """A sentence on each segment, as rows of the table `moments`.

    Args:
        match: its row of the table `matches`.
        segments: of the table `segments`.
        tracks: likewise.
        events: likewise.
        config: defaults to `configs/encoders.yaml`.
    """
    config = config or load_encoders()
    if segments.is_empty():
        return empty("moments")
    rows = _placed(segments.sort("player", "from_ms", "segment_id"), tracks)
    rows = _surrounded(rows, tracks, events, config.moments.after_ms)
    sites = [(site_words(str(o["id"])), (o["x_mm"] / _MM, o["z_mm"] / _MM)) for o in match["objectives"].item()]
    texts = [_sentence(row, sites, config) for row in rows.iter_rows(named=True)]
    kinds = empty("moments").schema
    told = rows.with_columns(text=pl.Series(texts, dtype=pl.String)).with_columns(
        text_hash=pl.Series([text_hash(text) for text in texts], dtype=pl.String)
    )
    return told.select(pl.col(name).cast(kind) for name, kind in kinds.items()).sort("from_ms", "segment_id")


def _placed(segments: pl.DataFrame, tracks: pl.DataFrame) -> pl.DataFrame:
    """With where each segment begins and ends, and how far it goes."""
    here = ["x_mm", "z_mm", "place", "gone"]
    step = (
        (pl.col("x_mm").cast(pl.Float64).diff().pow(2) + pl.col("z_mm").cast(pl.Float64).diff().pow(2))
        .sqrt()
        .over("player", "round")
    )
    paths = (
        tracks.select(
            pl.col("player").cast(pl.String), "round", "t_ms", "x_mm", "z_mm", pl.col("place").cast(pl.String)
        )
        .sort("player", "t_ms")
        .with_columns(gone=step.fill_null(0.0).cum_sum().over("player") / _MM)
        .sort("t_ms")
        .drop("round")
    )
    out = segments.with_columns(pl.col("player").cast(pl.String))
    for edge, time in (("begin", "from_ms"), ("end", "to_ms")):
        named = paths.rename({name: f"{edge}_{name}" for name in here})
        out = out.sort(time).join_asof(
            named, left_on=time, right_on="t_ms", by="player", strategy="backward", check_sortedness=False
        ).drop("t_ms", strict=False)  # fmt: skip
    return out


def _surrounded(rows: pl.DataFrame, tracks: pl.DataFrame, events: pl.DataFrame, within_ms: int) -> pl.DataFrame:
    """With when something last happened before each segment, how many it killed, and whether it died of it."""
    teams = tracks.select(pl.col("player", "team").cast(pl.String)).drop_nulls().unique(["player"], keep="first")
    texts = events.select("t_ms", "round", pl.col("event_type", "actor", "target").cast(pl.String))
    of = {
        kind: texts.filter(pl.col("event_type") == kind)
        for kind in ("PLAYER_KILLED", "PLAYER_DAMAGED", "PLAYER_BLINDED", "BOMB_PLANTED")
    }
    dead = of["PLAYER_KILLED"].join(teams, left_on="target", right_on="player", how="inner")
    # A recording tells suicides and teammates' bullets as kills too.
    kills = (
        of["PLAYER_KILLED"]
        .join(teams.rename({"team": "own"}), left_on="actor", right_on="player", how="left")
        .join(teams.rename({"team": "other"}), left_on="target", right_on="player", how="left")
        .with_columns(
            of_opponent=pl.col("actor").ne_missing(pl.col("target"))
            & (pl.col("own") != pl.col("other")).fill_null(value=True)
        )
    )
    happened = {
        "teammate": (dead.select("t_ms", "round", "team", mate="target"), ["round", "team"]),
        "kill": (kills.filter("of_opponent").select("t_ms", "round", player="actor"), ["round", "player"]),
        "plant": (of["BOMB_PLANTED"].select("t_ms", "round"), ["round"]),
        "hurt": (of["PLAYER_DAMAGED"].select("t_ms", "round", player="target"), ["round", "player"]),
        "blind": (of["PLAYER_BLINDED"].select("t_ms", "round", player="target"), ["round", "player"]),
    }
    out = rows.with_columns(pl.col("team").cast(pl.String)).sort("from_ms")
    for name, (found, by) in happened.items():
        found = found.drop_nulls(by).sort("t_ms").with_columns(pl.col("t_ms").alias(name)).drop("mate", strict=False)
        out = out.join_asof(
            found, left_on="from_ms", right_on="t_ms", by=by, strategy="backward", tolerance=within_ms,
            check_sortedness=False,
        ).drop("t_ms", strict=False)  # fmt: skip
    deeds = kills.select("round", "t_ms", "of_opponent", who="actor", whom="target")
    near = out.select("segment_id", "round", "player", "from_ms", "to_ms").join(deeds, on="round", how="inner")
    inside = (pl.col("t_ms") >= pl.col("from_ms")) & (pl.col("t_ms") <= pl.col("to_ms") + _DIES_MS)
    counted = (
        near.filter(inside)
        .group_by("segment_id")
        .agg(
            kills=(
                pl.col("of_opponent") & (pl.col("who") == pl.col("player")) & (pl.col("t_ms") <= pl.col("to_ms"))
            ).sum(),
            dies=(pl.col("whom") == pl.col("player")).any(),
        )
    )
    return out.join(counted, on="segment_id", how="left").with_columns(
        pl.col("kills").fill_null(0), pl.col("dies").fill_null(value=False)
    )


def _sentence(row: dict[str, Any], sites: list[Objective], config: EncodersConfig) -> str:
    subject = with_article(SUBJECTS[is_attacker(row["side"])]).capitalize()
    said = Phrase(row["intent"], _how(row, sites, config), is_intent=True).said(gerund=False)
    before = [words for name, words in _BEFORE if row[name] is not None][: config.moments.spoken]
    after = ["kills an opponent" if row["kills"] == 1 else f"kills {row['kills']} opponents"] if row["kills"] else []
    after += ["dies"] if row["dies"] else []
    text = f"{subject} {said}"
    if before:
        text += f", {before[0]}" + "".join(f" and {words}" for words in before[1:])
    return text + (f", and {' and '.join(after)}" if after else "")


def _how(row: dict[str, Any], sites: list[Objective], config: EncodersConfig) -> str:
    """How fast, and from where to where: by the names of places where the source has them, else by objectives."""
    if row["begin_x_mm"] is None or row["end_x_mm"] is None:
        return ""
    wording = load_scenes().wording
    far = row["end_gone"] - row["begin_gone"]
    how = pace_words(far, (row["to_ms"] - row["from_ms"]) / _MM, wording) if row["intent"] in WAYS else ""
    begin, end = place_words(row["begin_place"]), place_words(row["end_place"])
    if begin and end:
        return f"{how} {f'at {end}' if begin == end else f'from {begin} to {end}'}".strip()
    here, there = ((row[f"{edge}_x_mm"] / _MM, row[f"{edge}_z_mm"] / _MM) for edge in ("begin", "end"))
    near = min(((math.dist(there, at), name) for name, at in sites), default=None)
    if near and near[0] < config.moments.site_m:
        return f"{how} at {near[1]}".strip()
    return f"{how} {towards_words(here, there, far, sites, wording)}".strip()


def place_words(name: str | None) -> str:
    """A callout of a map in words: `TopofMid` is "top of mid", `BombsiteA` "bombsite A"; nothing for none."""
    if not name:
        return ""
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[A-Za-z])(?=\d)", " ", name)
    words = re.sub(r"(?<=[a-z])of\b", " of", parted).replace("_", " ").split()
    return " ".join(word if len(word) <= 2 and word.isupper() else word.lower() for word in words)
