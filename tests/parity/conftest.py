"""Matches to hold batch and live against each other on: real ones, and ones that no game would play."""

import copy
import hashlib
import json
import random
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from configs.live import load_live
from pipeline.events.reader import read_log
from pipeline.events.sources.simulator import simulate
from pipeline.features.carry import Rows
from pipeline.features.match import match_features
from pipeline.live.arrivals import Arrivals, arrivals, together
from pipeline.live.features import LiveFeatures
from pipeline.tables import TABLES
from resources.store import Stamp, Store

LATENESS_MS = load_live().lateness_ms
EXTRAS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("WEAPON_FIRED", {}),
    ("PLAYER_DAMAGED", {"damage": 27}),
    ("PLAYER_KILLED", {}),
    ("PLAYER_BLINDED", {"duration": 1.5}),
    ("GRENADE_THROWN", {}),
    ("BOMB_PLANT_STARTED", {"pos": [1.0, 0.0, 2.0]}),
    ("BOMB_PLANTED", {"pos": [1.0, 0.0, 2.0]}),
    ("BOMB_DEFUSE_STARTED", {}),
    ("BOMB_DEFUSED", {}),
    ("BOMB_EXPLODED", {}),
    ("BOMB_DROPPED", {"pos": [3.0, None, 2.0]}),
    ("BOMB_PICKED_UP", {}),
    ("ROUND_LIVE", {}),
    ("ROUND_ENDED", {}),
    ("SOMETHING_ELSE", {}),
)
"""Types that a mutated match gets more of, with what their payload must tell beside `target`."""


@dataclass(frozen=True)
class Streamed:
    """A match as its events in total order, with the columns of tables `events` and `tracks`."""

    match: pl.DataFrame
    stream: pl.DataFrame

    @property
    def match_id(self) -> str:
        return self.match["match_id"].item()

    @cached_property
    def arrived(self) -> Arrivals:
        return arrivals(self.stream)

    @cached_property
    def tables(self) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        moves = self.stream.filter(pl.col("event_type") == "POSITION_UPDATE").rename({"actor": "player"})
        tracks = moves.sort("player", "t_ms", "seq", "event_id").select(TABLES["tracks"].column_names())
        return self.match, self.stream.select(TABLES["events"].column_names()), tracks

    @cached_property
    def batch(self) -> pl.DataFrame:
        """What a recorded match gives."""
        return match_features(*self.tables)

    @cached_property
    def recorded(self) -> str:
        """The hash of what a recorded match gives, as the store writes it."""
        return as_written(self.batch)

    def cut(self, count: int) -> "Streamed":
        """The match as if its log had ended after so many events."""
        return Streamed(self.match, self.stream.head(count))

    def live(self, steps: Iterable[int] = (), order: list[int] | None = None) -> pl.DataFrame:
        """What the running match gives, its events arriving in that order and in calls that end at these places."""
        arrived = self.arrived if order is None else arrivals(self.stream[order])
        match = LiveFeatures(self.match_id)
        return match.table(*in_calls(match, arrived, steps), match.finish())


def in_calls(match: LiveFeatures, arrived: Arrivals, steps: Iterable[int]) -> Iterator[Rows]:
    """The rows of each call, where calls end at these places and at the end."""
    for begin, end in pairwise((0, *steps, len(arrived))):
        yield match.take(arrived[begin:end]).rows


@pytest.fixture(scope="session")
def calls() -> Callable[[LiveFeatures, Arrivals, Iterable[int]], list[Rows]]:
    """The rows of each call, where calls end at these places and at the end."""
    return lambda match, arrived, steps: list(in_calls(match, arrived, steps))


@pytest.fixture(scope="session")
def read_streamed() -> Callable[[Path], Streamed]:
    """A recorded log's one match."""

    def read(log: Path) -> Streamed:
        (reading,) = read_log(log, log_id="parity").matches.values()
        return Streamed(reading.match, together(reading.events.read(), reading.tracks.read()))

    return read


def as_written(rows: pl.DataFrame) -> str:
    """The hash of the bytes of table `features` as the store writes it."""
    with tempfile.TemporaryDirectory() as folder:
        stamp = Stamp("code", "config", "input")
        return Store(folder).write_table("features", "parity", rows.rechunk(), stamp).digest


@pytest.fixture(scope="session")
def written() -> Callable[[pl.DataFrame], str]:
    return as_written


@pytest.fixture(scope="session")
def shuffled() -> Callable[[Streamed, int], list[int]]:
    """An order of arrival in which every event comes less than the lateness bound after its time."""

    def shuffled(match: Streamed, seed: int) -> list[int]:
        dice = random.Random(seed)
        comes = [t + dice.randrange(LATENESS_MS) for t in match.stream["t_ms"]]
        return sorted(range(len(comes)), key=lambda place: (comes[place], dice.random()))

    return shuffled


@pytest.fixture(scope="session")
def simulated_lines() -> list[dict[str, Any]]:
    """The events of two simulated rounds."""
    return [json.loads(line) for line in simulate(rounds=2, seed=11).canonical_lines()]


@pytest.fixture(scope="session")
def strange_events(simulated_lines: list[dict[str, Any]]) -> Callable[..., list[dict[str, Any]]]:
    """A simulated match thinned out and spoiled in many ways, as canonical events in order of time."""

    def strange(seed: int, count: int = 400) -> list[dict[str, Any]]:
        return _strange(simulated_lines, random.Random(seed), count)

    return strange


@pytest.fixture(scope="session")
def read_events(read_streamed: Callable[[Path], Streamed]) -> Callable[[list[dict[str, Any]]], Streamed]:
    """Canonical events written to a log and read from it."""

    def read(events: list[dict[str, Any]]) -> Streamed:
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "log.jsonl"
            log.write_text("".join(json.dumps(event) + "\n" for event in events))
            return read_streamed(log)

    return read


@pytest.fixture(scope="session")
def strange_match(strange_events: Any, read_events: Any) -> Callable[..., Streamed]:
    """A spoiled match, read; each is made once."""
    return cache(lambda seed, count=400: read_events(strange_events(seed, count)))


def _strange(lines: list[dict[str, Any]], dice: random.Random, count: int) -> list[dict[str, Any]]:
    """Late players, unknown teams, missing rounds, planar positions, bursts, equal times, leaps, kills from nowhere."""
    moves = sum(line["event_type"] == "POSITION_UPDATE" for line in lines)
    keep = count / moves
    events = []
    for line in lines:
        boundary = line["event_type"].startswith(("MATCH", "ROUND"))
        if boundary or dice.random() < (keep if line["event_type"] == "POSITION_UPDATE" else 0.4):
            events.append(copy.deepcopy(line))
    for event in events:
        event.pop("timestamp", None)
    start, end = events[0]["payload"]["ts"], events[-1]["payload"]["ts"]
    players = sorted({event["actor"] for event in events if event["actor"].startswith("player:")})
    strangers = [*players, "player:nobody", "player:ghost"]

    def any_time() -> float:
        return dice.uniform(start, end)

    joins = {player: any_time() if dice.random() < 0.2 else start for player in players}
    missing = {kind for kind in ("MATCH_STARTED", "ROUND_STARTED", "ROUND_LIVE", "ROUND_ENDED") if dice.random() < 0.15}
    planar, silent_rounds, with_seq = dice.choice((0.0, 0.0, 0.3, 1.0)), dice.random() < 0.3, dice.random() < 0.5
    late_starts = dice.random() < 0.3  # of rounds that events name before they are told to start
    late_opening, tick = dice.random() < 0.3, dice.choice((None, None, 0.25, 1.0))
    kept = []
    for event in events:
        payload, kind = event["payload"], event["event_type"]
        if (kind in missing and dice.random() < 0.7) or joins.get(event["actor"], start) > payload["ts"]:
            continue
        if kind == "MATCH_STARTED":
            payload["ts"] = any_time() if late_opening else payload["ts"]
            for team in payload["teams"]:
                team["players"] = [player for player in team["players"] if dice.random() < 0.8]
        if kind == "ROUND_STARTED" and late_starts:
            payload["ts"] += dice.uniform(0, 30)
        if silent_rounds and kind != "ROUND_STARTED":
            payload.pop("round", None)
        if "pos" in payload and dice.random() < planar:
            payload["pos"] = [payload["pos"][0], None, payload["pos"][2]]
        if kind == "POSITION_UPDATE" and dice.random() < 0.03:
            payload["pos"] = [dice.uniform(-60, 60), 0.0, dice.uniform(-60, 60)]
        kept.append(event)
    match_id = events[0]["match_id"]
    for _ in range(count // 8):
        kind, told = dice.choice(EXTRAS)
        payload = {**told, "ts": any_time()}
        if kind.startswith("PLAYER_"):
            payload["target"] = dice.choice(strangers)
        kept.append({"match_id": match_id, "event_type": kind, "actor": dice.choice(strangers), "payload": payload})
    for _ in range(dice.randrange(4)):  # a burst: all that happens in a while happens in one millisecond
        burst, length = any_time(), dice.choice((0.1, 1.0, 5.0, 20.0))
        for event in kept:
            if 0 <= event["payload"]["ts"] - burst < length:
                event["payload"]["ts"] = burst
    for event in kept:
        ts = event["payload"]["ts"]
        event["payload"]["ts"] = round(ts if tick is None else ts // tick * tick, 3)
    kept.sort(key=lambda event: event["payload"]["ts"])
    ids = dice.sample(range(10**6), len(kept))  # the order of ids says nothing of the order of time
    for place, event in enumerate(kept):
        event["event_id"] = f"e{ids[place]:06}"
        if with_seq:
            event["seq"] = place // 3
    return kept


@pytest.fixture(scope="session")
def digest_of_lines() -> Callable[[list[dict[str, Any]]], str]:
    """A name for generated events, to tell that they differ."""
    return lambda events: hashlib.sha256(json.dumps(events).encode()).hexdigest()
