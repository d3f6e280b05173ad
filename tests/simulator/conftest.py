"""One simulated match, played once, as its users see it."""

import json
from typing import Any

import pytest

from configs.simulator import SimulatorConfig, load_simulator
from pipeline.events.sources.simulator import SimulatedMatch, simulate
from pipeline.events.sources.simulator.arena import Arena

SEED, ROUNDS = 5, 12


@pytest.fixture(scope="session")
def config() -> SimulatorConfig:
    return load_simulator()


@pytest.fixture(scope="session")
def match() -> SimulatedMatch:
    return simulate(rounds=ROUNDS, seed=SEED)


@pytest.fixture(scope="session")
def arena(match: SimulatedMatch) -> Arena:
    return match.recording.arena


@pytest.fixture(scope="session")
def events(match: SimulatedMatch) -> list[dict[str, Any]]:
    return [json.loads(line) for line in match.canonical_lines()]


@pytest.fixture(scope="session")
def rounds(events: list[dict[str, Any]]) -> dict[int, list[dict[str, Any]]]:
    """The events of each round, from ROUND_STARTED to ROUND_ENDED."""
    out: dict[int, list[dict[str, Any]]] = {}
    for event in events:
        if "round" in event["payload"]:
            out.setdefault(event["payload"]["round"], []).append(event)
    return out


@pytest.fixture(scope="session")
def transactions(match: SimulatedMatch) -> list[dict[str, Any]]:
    return [json.loads(line) for line in match.grid_lines()]


@pytest.fixture(scope="session")
def side_of(rounds: dict[int, list[dict[str, Any]]], match: SimulatedMatch) -> dict[tuple[int, str], str]:
    """The side of each player in each round."""
    sides = {}
    for number, entries in rounds.items():
        told = entries[0]["payload"]["sides"]
        for i, player in enumerate(match.recording.players):
            sides[number, player] = told[match.recording.teams[i // 5]]
    return sides
