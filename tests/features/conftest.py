"""Random small matches, the naive oracle, and ways to compare rows."""

import hashlib
import importlib.util
import json
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from configs.features import FeaturesConfig, load_features
from configs.titles import load_titles
from pipeline.events.model import TYPE_RANK
from pipeline.features.carry import Batch, Carry, Cast, Rows
from pipeline.features.match import match_features
from pipeline.features.pack import cast_of, pack
from pipeline.tables import empty

TEAMS = ("team:a", "team:b")
NO_FREEZE = "no freeze"
STEPS_MS = (0, 0, 1, 7, 62, 125, 125, 125, 250, 400, 1000, 1700)
ACTIONS = (
    "WEAPON_FIRED",
    "PLAYER_DAMAGED",
    "PLAYER_DAMAGED",
    "PLAYER_KILLED",
    "BOMB_PLANT_STARTED",
    "BOMB_PLANTED",
    "BOMB_DEFUSE_STARTED",
    "BOMB_DEFUSED",
    "BOMB_EXPLODED",
    "BOMB_DROPPED",
    "BOMB_PICKED_UP",
    "OTHER",
    "PLAYER_BLINDED",
    "GRENADE_THROWN",
)


@dataclass(frozen=True)
class Frames:
    """A match as its three tables."""

    match: pl.DataFrame
    events: pl.DataFrame
    tracks: pl.DataFrame


def _frames(match_id: str, events: list[dict], tracks: list[dict], **match) -> Frames:
    row = {"match_id": match_id, "source_kind": "canonical", "log_id": "l", "log_uri": "l", "log_blake3": "0" * 64}
    row |= {"teams": [], "players": [], "objectives": [], "score": [], "duration_ms": 0} | match
    events = [
        {"match_id": match_id, "seq": 0, "event_id": f"e{n:05}", "payload": "{}", "source_line": n + 1, **event}
        for n, event in enumerate(events)
    ]
    tracks = [{"match_id": match_id, "seq": 0, **track} for track in tracks]
    if (row.get("title") or row["objectives"]) and (events or tracks):
        opening = next((event for event in events if event["event_type"] == "MATCH_STARTED"), None)
        if opening is None:
            first_ms = min(entry["t_ms"] for entry in (*events, *tracks))
            opening = {"match_id": match_id, "event_type": "MATCH_STARTED", "t_ms": first_ms, "seq": 0}
            opening |= {"event_id": "e", "source_line": 0}
            events.append(opening)
        opening["payload"] = _opening(row)
    return Frames(
        pl.DataFrame([row], schema=empty("matches").schema),
        pl.DataFrame(events, schema=empty("events").schema)
        .with_columns(rank=pl.col("event_type").replace_strict(TYPE_RANK, return_dtype=pl.Int32))
        .sort("t_ms", "seq", "rank", "event_id")
        .drop("rank"),
        pl.DataFrame(tracks, schema=empty("tracks").schema).sort("player", "t_ms", "seq", maintain_order=True),
    )


def _opening(row: dict) -> str:
    """The payload of a MATCH_STARTED that tells what the match's row says."""
    sites = [
        {"id": o["id"], "pos": [None if o[axis] is None else o[axis] / 1000 for axis in ("x_mm", "y_mm", "z_mm")]}
        for o in row["objectives"]
    ]
    return json.dumps({"title": row.get("title"), "objectives": sites})


def _random_match(seed: int, *, count: int = 160, from_ms: int = 0) -> Frames:
    """A match that no game would play, so that every branch is taken: bombs without carriers, kills from nowhere."""
    dice = random.Random(seed)
    players = [f"player:{n}" for n in range(dice.randint(1, 6))]
    team_of = {player: dice.choice([*TEAMS, *TEAMS, None]) for player in players}
    side_of = {"team:a": "terrorists", "team:b": "counter-terrorists", None: None}
    planar = dice.choice([0.0, 0.0, 0.3, 1.0])
    reach = dice.choice([300, 4000, 40_000, 2_000_000])
    marks = dice.choice([[], *[["ROUND_STARTED", "ROUND_LIVE", "ROUND_LIVE", "ROUND_ENDED"]] * 3, ["ROUND_LIVE"]])
    title = dice.choice([None, "cs2", NO_FREEZE])
    with_seq = dice.random() < 0.5
    told_objectives = dice.random() < 0.4
    at = {player: [dice.randint(-reach, reach) for _ in range(3)] for player in players}
    t, number, events, tracks = from_ms + dice.randint(0, 700), 0, [], []
    seq = 0
    for _ in range(count):
        t += dice.choice(STEPS_MS)
        seq = seq + dice.randint(0, 1) if with_seq else 0
        who = dice.choice(players)
        team = team_of[who] if dice.random() < 0.9 else dice.choice([None, *TEAMS] if dice.random() < 0.1 else [None])
        place = dict(zip(("x_mm", "y_mm", "z_mm"), at[who], strict=True))
        if dice.random() < planar:
            place["y_mm"] = None
        base = {"t_ms": t, "seq": seq, "team": team, "side": side_of[team], **place}
        if marks and dice.random() < 0.06:
            kind = dice.choice(marks)
            number += kind == "ROUND_STARTED" or dice.random() < 0.2
            named = dice.choice([number, number, number, None])
            events.append({"t_ms": t, "seq": seq, "event_type": kind, "actor": f"round:{number}", "round": named})
        elif dice.random() < 0.7:
            if dice.random() < 0.8:
                at[who] = [value + dice.randint(-reach // 8, reach // 8) for value in at[who]]
            goal = (
                [dice.randint(-reach, reach) for _ in range(3)]
                if told_objectives and dice.random() < 0.8
                else [None] * 3
            )
            details = {
                "yaw_mdeg": dice.choice([None, dice.randint(-180_000, 180_000)]),
                "hp": dice.choice([None, dice.randint(0, 100)]),
                "armor": dice.choice([None, dice.randint(0, 100)]),
                "has_bomb": dice.choice([None, None, None, False, True]),
                "has_kit": dice.choice([None, None, False, True]),
                **dict(zip(("objective_x_mm", "objective_y_mm", "objective_z_mm"), goal, strict=True)),
            }
            tracks.append({"player": who, **base, **details})
            events.append({"actor": who, "event_type": "POSITION_UPDATE", **base})
        else:
            action = {"event_type": dice.choice(ACTIONS), "actor": dice.choice([who, who, who, None])}
            target = dice.choice([*players, None]) if action["event_type"].startswith("PLAYER_") else None
            if action["event_type"] == "PLAYER_KILLED" and dice.random() < 0.6:
                target = None
            if dice.random() < 0.2:
                base |= dict.fromkeys(("x_mm", "y_mm", "z_mm"))
            events.append({**base, **action, "target": target, "amount": dice.choice([None, 0, 13, 100, 900])})
    objectives = [
        {"id": f"site_{n}", "x_mm": dice.randint(-reach, reach), "y_mm": dice.choice([None, 5]), "z_mm": 0}
        for n in range(dice.choice([0, 1, 2]))
    ]
    roster = [{"player": p, "team": team_of[p], "name": None} for p in players if dice.random() < 0.7]
    return _frames("m1", events, tracks, title=title, teams=list(TEAMS), players=roster, objectives=objectives)


@pytest.fixture(scope="module", autouse=True)
def a_title_without_freeze_time():
    """`NO_FREEZE` is a title whose rounds are live from their start."""
    titles = load_titles()
    quick = titles.unknown.model_copy(update={"freeze_time": False})
    more = titles.model_copy(update={"titles": {**titles.titles, NO_FREEZE: quick}})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("configs.titles.load", lambda area, kind: more)
        yield


@pytest.fixture(scope="session")
def frames():
    """Tables of a match from a few events and positions given as dicts."""
    return _frames


@pytest.fixture(scope="session")
def rows(frames):
    """The feature rows of a match given by events and positions."""

    def rows(events, tracks, **match) -> pl.DataFrame:
        log = frames("m1", events, tracks, **match)
        return match_features(log.match, log.events, log.tracks)

    return rows


@pytest.fixture(scope="session")
def random_match():
    return _random_match


@pytest.fixture(scope="session")
def limits() -> FeaturesConfig:
    return load_features()


@pytest.fixture(scope="session")
def oracle():
    spec = importlib.util.spec_from_file_location("features_oracle", Path(__file__).with_name("oracle.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.oracle


@dataclass(frozen=True)
class Packed:
    """A match in the kernel's integers."""

    cast: Cast
    batch: Batch

    @property
    def until_ms(self) -> int:
        return int(-(-self.batch.t_ms[-1] // 250) * 250)


@pytest.fixture(scope="session")
def packed():
    def packed(frames: Frames) -> Packed:
        cast = cast_of(frames.match, frames.events, frames.tracks)
        return Packed(cast, pack(cast, frames.events, frames.tracks))

    return packed


@pytest.fixture(scope="session")
def digest():
    """The hash of the bytes of rows that came in one or several parts."""

    def digest(*parts: Rows) -> str:
        keys = np.concatenate([part.keys for part in parts])
        values = np.concatenate([part.values for part in parts], axis=1)
        return hashlib.sha256(keys.tobytes() + values.tobytes()).hexdigest()

    return digest


@pytest.fixture(scope="session")
def at_once(digest, limits):
    """The digest of a whole match in one call."""

    def at_once(packed: Packed) -> str:
        return digest(Carry(packed.cast, limits).advance(packed.batch, until_ms=packed.until_ms))

    return at_once
