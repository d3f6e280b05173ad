"""Small logs of both formats, and reading them."""

import gzip
import json
import zipfile
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from pipeline.events.reader import LogReading, read_log

START = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def stamp(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@pytest.fixture(scope="session")
def event() -> Callable[..., dict[str, Any]]:
    """Builds a canonical event; keywords go to its payload."""
    ids = count()

    def build(event_type: str, ts: float | None, actor: str | None = "player:a1", **payload: Any) -> dict[str, Any]:
        wire: dict[str, Any] = {"event_id": f"e{next(ids)}", "match_id": "m1", "event_type": event_type, "actor": actor}
        if ts is not None:
            wire["timestamp"] = stamp(ts)
            payload["ts"] = ts
        return {**wire, "payload": payload}

    return build


@pytest.fixture(scope="session")
def match(event: Callable[..., dict[str, Any]]) -> list[dict[str, Any]]:
    """A match of one round: two players who move, one kill, one plant."""
    teams = [{"id": "team:a", "players": ["player:a1"]}, {"id": "team:b", "players": ["player:b1"]}]
    sides = {"team:a": "terrorists", "team:b": "counter-terrorists"}
    moves = [
        event("POSITION_UPDATE", 10 + step / 4, player, pos=[step * 0.7, 0.0, offset], hp=100)
        for step in range(8)
        for player, offset in (("player:a1", 0.0), ("player:b1", 5.0))
    ]
    return [
        event("MATCH_STARTED", 0.0, "match:m1", title="cs2", map="de_mirage", teams=teams),
        event("ROUND_STARTED", 0.0, "round:1", round=1, sides=sides),
        event("ROUND_LIVE", 10.0, "round:1", round=1),
        *moves,
        event("PLAYER_DAMAGED", 11.0, target="player:b1", damage=30, weapon="ak47"),
        event("PLAYER_KILLED", 11.5, target="player:b1", weapon="ak47", headshot=True, pos=[1.0, 0.0, 2.0]),
        event("BOMB_PLANTED", 11.75, site="bombsite_a", pos=[1.0, 0.0, 2.0]),
        event("ROUND_ENDED", 12.0, "round:1", round=1, winner="terrorists", reason="t_win"),
        event("MATCH_ENDED", 12.0, "match:m1", score={"team:a": 1, "team:b": 0}),
    ]


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., LogReading]:
    """Writes lines (objects, text or bytes) to a file and reads it as a log."""

    def write_and_read(lines: Iterable[Any], name: str = "log.jsonl", **options: Any) -> LogReading:
        data = b"\n".join(
            line if isinstance(line, bytes) else line.encode() if isinstance(line, str) else json.dumps(line).encode()
            for line in lines
        )
        path = tmp_path / name
        if name.endswith(".gz"):
            path.write_bytes(gzip.compress(data))
        elif name.endswith(".zip"):
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("log.jsonl", data)
        else:
            path.write_bytes(data)
        return read_log(path, log_id="log", uri="landing/log", **options)

    return write_and_read


class Feed:
    """Builds a GRID feed: `event(...)` makes one, `add(...)` appends a transaction."""

    def __init__(self, series: str = "77") -> None:
        self.series = series
        self.lines: list[dict[str, Any]] = []
        self._ids = count()

    def state(
        self,
        at: dict[str, tuple[float, float] | None] | None = None,
        *,
        game: str = "g1",
        number: int | None = 1,
        dead: Iterable[str] = (),
        rounds: Iterable[dict[str, Any]] = (),
        valid: bool = True,
        generation: str = "cs",
        title: str = "cs2",
        scores: tuple[int, int] = (0, 0),
        bomb: str | None = None,
    ) -> dict[str, Any]:
        at = at or {}

        def player(name: str) -> dict[str, Any]:
            place = at.get(name)
            items = [{"id": "knife"}] + ([{"id": "bomb"}] if name == bomb else [])
            inventory = {"items": items, "inventoryValue": 200}
            if generation == "val":
                inventory = {"inventory": {"items": items}, "loadoutValue": 200}
            return {
                "id": name,
                "name": f"P{name}",
                "position": None if place is None else {"x": place[0], "y": place[1]},
                "currentHealth": 0 if name in dead else 87,
                "currentArmor": 50,
                "alive": name not in dead,
                **inventory,
            }

        words = ("attacker", "defender") if generation == "val" else ("terrorists", "counter-terrorists")
        teams = [
            {
                "id": team,
                "name": f"Team {team}",
                "side": words[place],
                "score": scores[place],
                "players": [player(f"{team}{n}") for n in (1, 2)],
            }
            for place, team in enumerate(("1", "2"))
        ]
        entry = {
            "id": game,
            "map": {"name": "mirage"},
            "started": True,
            "finished": False,
            "teams": teams,
            "segments": list(rounds),
        }
        if number is not None:
            entry["sequenceNumber"] = number
        return {"id": self.series, "title": {"nameShortened": title}, "valid": valid, "games": [entry]}

    def event(
        self,
        kind: str,
        actor: str,
        target: str,
        *,
        state: dict[str, Any] | None = None,
        reverts: str | None = None,
        game: str | None = "g1",
        **sides: Any,
    ) -> dict[str, Any]:
        first, action, last = kind.split("-")
        wire: dict[str, Any] = {
            "id": f"u{next(self._ids)}",
            "includesFullState": state is not None,
            "type": kind,
            "actor": {"type": first, "id": actor, "stateDelta": {"id": actor, "game": sides.get("actor_delta", {})}},
            "action": action,
            "target": {"type": last, "id": target, "stateDelta": {"id": target, "game": sides.get("target_delta", {})}},
        }
        if game is not None:
            wire["seriesStateDelta"] = {"id": self.series, "games": [{"id": game}]}
        if state is not None:
            wire["seriesState"] = state
        if reverts is not None:
            wire["revertedEventId"] = reverts
        return wire

    def add(self, seconds: float, *events: dict[str, Any], **fields: Any) -> list[str]:
        sequence = len(self.lines) + 1
        line = {
            "id": f"t{sequence}",
            "occurredAt": stamp(seconds),
            "publishedAt": "1970-01-01T00:00:00.000Z",
            "seriesId": self.series,
            "sequenceNumber": sequence,
            "events": list(events),
            **fields,
        }
        self.lines.append(line)
        return [event.get("id", "") for event in events]

    def start(self, seconds: float = 0.0, **state: Any) -> None:
        """A game and its first round, live ten seconds later."""
        shown = self.state(**state)
        game = shown["games"][0]["id"]
        clock = "gameClock" if state.get("generation") == "val" else "clock"
        self.add(
            seconds,
            self.event("series-started-game", self.series, game, state=shown, game=game),
            self.event(f"game-started-{clock}", game, clock, state=shown, game=game),
        )
        self.start_round(seconds, 1, game=game, shown=shown, clock=clock)

    def start_round(
        self, seconds: float, number: int, *, game: str = "g1", shown: Any = None, clock: str = "clock"
    ) -> None:
        name, freeze = f"round-{number}", f"freezetime-{number}"
        self.add(seconds, self.event("game-started-round", game, name, state=shown, game=game))
        self.add(
            seconds,
            self.event("round-started-freezetime", name, freeze, state=shown, game=game),
            self.event(f"game-set-{clock}", game, clock, state=shown, game=game),
        )
        self.add(
            seconds + 10,
            self.event("round-ended-freezetime", name, freeze, state=shown, game=game),
            self.event(f"game-set-{clock}", game, clock, state=shown, game=game),
        )

    def end_round(self, seconds: float, number: int, winner: str, *, game: str = "g1", shown: Any = None) -> None:
        name = f"round-{number}"
        self.add(
            seconds,
            self.event("team-won-round", winner, name, state=shown, game=game),
            self.event("game-ended-round", game, name, state=shown, game=game),
        )


@pytest.fixture
def feed() -> Feed:
    return Feed()
