"""A recording as a canonical log: one JSON line per event, in the total order of events.

Belongs here: what the lines say. Does not belong here: what happened (`match`), the format's readers
(`pipeline.events.sources.canonical`).
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec
import numpy as np

from pipeline.events.model import TYPE_RANK
from pipeline.events.sources.simulator.agents import PLAYERS, TEAM_SIZE
from pipeline.events.sources.simulator.match import WORDS, PlayedRound, Recording

Entry = tuple[int, str, str, dict[str, Any]]


def canonical_lines(recording: Recording, match_id: str) -> Iterator[str]:
    """The lines of a log without line ends, sorted by (time, rank of type); ids count from 0 in that order."""
    start = datetime.fromisoformat(recording.config.started_at)
    number = 0
    for entries in _chapters(recording, match_id):
        for t_ms, kind, actor, payload in sorted(entries, key=lambda e: (e[0], TYPE_RANK[e[1]])):
            stamp = (start + timedelta(milliseconds=t_ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            event = {
                "event_id": f"{match_id}-{number:07d}",
                "match_id": match_id,
                "event_type": kind,
                "actor": actor,
                "timestamp": stamp,
                "payload": {"ts": t_ms / 1000, **payload},
            }
            yield msgspec.json.encode(event).decode()
            number += 1


def _chapters(recording: Recording, match_id: str) -> Iterator[list[Entry]]:
    """The events of the opening, of each round and of the end: no event of one is earlier than those before."""
    arena = recording.arena
    clock = recording.config.clock
    teams = [
        {"id": team, "players": recording.players[k * TEAM_SIZE : (k + 1) * TEAM_SIZE]}
        for k, team in enumerate(recording.teams)
    ]
    sites = []
    for site in arena.config.sites:
        x, z = arena.site_middle(site)
        sites.append({"id": site, "pos": [round(x, 3), round(arena.height(x, z), 3), round(z, 3)]})
    opening = {
        "title": recording.config.title,
        "map": arena.config.name,
        "tickrate": clock.tick_hz,
        "teams": teams,
        "objectives": sites,
    }
    yield [(0, "MATCH_STARTED", f"match:{match_id}", opening)]
    for played in recording.rounds:
        yield _round(recording, played)
    score = dict(zip(recording.teams, recording.score, strict=True))
    yield [(clock.ms(recording.end), "MATCH_ENDED", f"match:{match_id}", {"score": score})]


def _round(recording: Recording, played: PlayedRound) -> list[Entry]:
    ms, number, actor = recording.config.clock.ms, played.number, f"round:{played.number}"
    sides = {team: WORDS[side] for team, side in zip(recording.teams, played.sides, strict=True)}
    ended = {"round": number, "winner": WORDS[played.winner], "reason": played.reason}
    entries: list[Entry] = [
        (ms(played.start), "ROUND_STARTED", actor, {"round": number, "sides": sides}),
        (ms(played.live), "ROUND_LIVE", actor, {"round": number}),
        *((ms(h.tick), h.kind, h.actor, {"round": number, **h.payload}) for h in played.happenings),
        *_positions(recording, played),
        (ms(played.end), "ROUND_ENDED", actor, ended),
    ]
    return entries


def _positions(recording: Recording, played: PlayedRound) -> Iterator[Entry]:
    arena, samples = recording.arena, played.samples
    place = np.round(samples.place, 3)
    yaw = np.degrees(samples.yaw)
    for k, tick in enumerate(samples.ticks.tolist()):
        t_ms = recording.config.clock.ms(tick)
        for i in range(PLAYERS):
            if samples.hp[k, i] <= 0:
                continue
            x, z = float(place[k, i, 0]), float(place[k, i, 1])
            payload: dict[str, Any] = {
                "round": played.number,
                "pos": [x, round(arena.height(x, z), 3), z],
                "yaw": round(float(yaw[k, i]), 1),
                "pitch": round(float(samples.pitch[k, i]), 1),
                "hp": int(samples.hp[k, i]),
                "armor": int(samples.armor[k, i]),
                "weapon": samples.in_hand[k][i],
                "place": arena.place((x, z)),
            }
            if samples.carrier[k] == i:
                payload["has_bomb"] = True
            if played.kits[i]:
                payload["has_kit"] = True
            yield t_ms, "POSITION_UPDATE", recording.players[i], payload
