"""Recorded matches made ready to be judged.

Belongs here: from a folder of logs to rows with features, labels and what they are grouped by; which matches are kin.
Does not belong here: who is trained on what (`protocol`), measures.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import polars as pl

from configs.evaluation import EvaluationConfig
from configs.intents import IntentsConfig, load_intents
from pipeline.errors import PipelineError
from pipeline.events.model import is_attacker
from pipeline.events.reader import read_log
from pipeline.features.match import match_features
from pipeline.intents import kinship
from pipeline.intents.evaluation.newest import newest_known, told_within
from pipeline.intents.kinship import Kin, Recording
from pipeline.intents.labels import label
from pipeline.intents.vocabulary import INTENTS

ENDINGS = (".jsonl", ".jsonl.gz", ".zip")
_NOT_A_NAME = re.compile(r"[^A-Za-z0-9_-]+")


class NothingToJudge(PipelineError):
    """No log of the folder holds a match with positions."""


@dataclass(frozen=True)
class Case:
    """A match as its tables.

    Attributes:
        match: table `matches`, one row.
        rounds: table `rounds`.
        events: table `events`.
        tracks: table `tracks`.
        features: table `features`, by player and time.
        labels: table `labels`, the same rows, and `newest`: the newest answer of the labels' rules that is known at the
            instant, by place in INTENTS, -1 where there is none (`newest.newest_known`).
        kin: whose kin the match is among those read with it.
    """

    match: pl.DataFrame
    rounds: pl.DataFrame
    events: pl.DataFrame
    tracks: pl.DataFrame
    features: pl.DataFrame
    labels: pl.DataFrame
    kin: Kin

    @property
    def match_id(self) -> str:
        """The match's id."""
        return str(self.match["match_id"].item())

    @property
    def map(self) -> str:
        """The map's name as the log writes it."""
        return str(self.match["map"].item() or "unknown")

    @property
    def source_kind(self) -> str:
        """`canonical` or `grid`."""
        return str(self.match["source_kind"].item())

    @property
    def series(self) -> str:
        """The series that the match belongs to: see `kinship.kin`."""
        return self.kin.series

    @property
    def recording(self) -> Recording:
        """What tells whose kin it is."""
        return Recording.of(self.match, self.events, self.tracks.height)

    @cached_property
    def teams(self) -> frozenset[str]:
        """Ids of the teams; a source that names players by match names teams by match too."""
        return frozenset(self.match["teams"].item())


@dataclass(frozen=True)
class Folder:
    """What was found in a folder of logs.

    Attributes:
        cases: matches with features, by id.
        skipped: what cannot be judged, and why, by file or match.
    """

    cases: tuple[Case, ...]
    skipped: dict[str, str]


def read_folder(path: Path, config: IntentsConfig | None = None) -> Folder:
    """The matches of all logs of a folder, or of one log; either format, any map, players known or not.

    Args:
        path: a folder, searched through, or a log.
        config: thresholds of the labels; `configs/intents.yaml` if None.

    Raises:
        NothingToJudge: if nothing of it can be judged; says why of each.
    """
    cases: dict[str, Case] = {}
    skipped: dict[str, str] = {}
    for log in logs(path):
        name = log.relative_to(path).as_posix() if path.is_dir() else log.name
        try:
            found = list(read_cases(log, config))
        except PipelineError as error:
            skipped[name] = str(error)
            continue
        for case in found:
            if case.match_id in cases:
                skipped[f"{name}: {case.match_id}"] = "a match of that id was read from another log"
            elif case.features.is_empty():
                skipped[f"{name}: {case.match_id}"] = "no position in a live round, so no row to judge"
            else:
                cases[case.match_id] = case
    if not cases:
        reasons = "; ".join(f"{name}: {why}" for name, why in skipped.items()) or "no .jsonl, .jsonl.gz or .zip"
        raise NothingToJudge(f"{path}: {reasons}")
    found_kin = kinship.kin(case.recording for case in cases.values())
    return Folder(tuple(replace(cases[name], kin=found_kin[name]) for name in sorted(cases)), skipped)


def logs(path: Path) -> list[Path]:
    """The logs of a folder and the folders in it, or the one named; sorted."""
    if path.is_dir():
        return sorted(each for each in path.rglob("*") if each.is_file() and each.name.endswith(ENDINGS))
    return [path]


def read_cases(log: Path, config: IntentsConfig | None = None) -> Iterator[Case]:
    """The matches of one log with their features and labels.

    Raises:
        PipelineError: if nothing of the log can be used.
    """
    reading = read_log(log, log_id=_NOT_A_NAME.sub("-", log.name)[:100])
    for found in reading.matches.values():
        events, tracks = found.events.read(), found.tracks.read()
        features = match_features(found.match, events, tracks).sort("player", "t_ms")
        labels = label(events, tracks, features, config)
        told = told_within(events, tracks, features, (config or load_intents()).labels)
        newest = features.select("player", "t_ms", newest=pl.Series(newest_known(features, told), dtype=pl.Int64))
        labels = labels.join(newest, on=["player", "t_ms"], how="left", maintain_order="left")
        recording = Recording.of(found.match, events)
        kin = kinship.kin([recording])[recording.match_id]
        yield Case(found.match, found.rounds, events, tracks, features, labels, kin)


def twins(cases: Sequence[Case]) -> dict[str, str]:
    """Matches that were recorded twice: id of the sparser recording → id of the denser one."""
    return kinship.twins(case.recording for case in cases)


def rows(case: Case, config: EvaluationConfig) -> pl.DataFrame:
    """The instants of a match with their label and what they are grouped by.

    Returns:
        One row per row of `case.features`, in its order: `match_id`, `round`, `player`, `t_ms`, `intent` (null where
        the labels abstain), `map`, `attacks` (`attacker`, `defender`, `unknown`), `role` (`bomb carrier`, `AWPer`,
        then `attacker`, `defender`, `unknown`), `gap` (by the longest time without a position).
    """
    words = {True: "attacker", False: "defender", None: "unknown"}
    side = {name: words[is_attacker(name)] for name in _names(case)}
    weapon = (
        case.tracks.select("player", "t_ms", "weapon")
        .sort("t_ms", "player", maintain_order=True)
        .drop_nulls("weapon")
        .rename({"weapon": "held"})
    )
    frame = (
        case.features.select("match_id", "round", "player", "t_ms", "side", "has_bomb", "max_gap_ms")
        .with_row_index("place")
        .sort("t_ms", "player")
        .join_asof(weapon, on="t_ms", by="player", strategy="backward", check_sortedness=False)
        .sort("place")
    )
    side_of = pl.col("side").replace_strict(side, default="unknown", return_dtype=pl.String)
    held = pl.col("held").fill_null("").str.to_lowercase().str.contains("awp", literal=True)
    labels = case.labels.select("player", "t_ms", pl.col("intent").cast(pl.String))
    return frame.join(labels, on=["player", "t_ms"], how="left", maintain_order="left").select(
        "match_id",
        "round",
        "player",
        "t_ms",
        "intent",
        pl.lit(case.map).alias("map"),
        side_of.alias("attacks"),
        pl.when(pl.col("has_bomb") == 1)
        .then(pl.lit("bomb carrier"))
        .when(held)
        .then(pl.lit("AWPer"))
        .otherwise(side_of)
        .alias("role"),
        _gap(config).alias("gap"),
    )


def _names(case: Case) -> list[str]:
    return [name for name in case.features["side"].unique().to_list() if name is not None]


def _gap(config: EvaluationConfig) -> pl.Expr:
    limits = config.gaps_ms
    named = pl.lit(f"over {limits[-1]} ms")
    for limit in reversed(limits):
        named = pl.when(pl.col("max_gap_ms") <= limit).then(pl.lit(f"up to {limit} ms")).otherwise(named)
    return named


def truth(frame: pl.DataFrame) -> "pl.Series":
    """Place of each row's label in INTENTS, -1 where the labels abstain."""
    places = {intent: place for place, intent in enumerate(INTENTS)}
    return frame["intent"].replace_strict(places, default=-1, return_dtype=pl.Int64)
