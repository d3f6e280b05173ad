"""Events of a running match from a few words."""

import polars as pl
import pytest

from configs.live import LiveConfig
from pipeline.events.drafts import SCHEMA
from pipeline.live.arrivals import Arrivals, arrivals

TEAMS = {"player:a": "team:1", "player:b": "team:1", "player:c": "team:2", "player:d": "team:2"}


@pytest.fixture(scope="session")
def bounds() -> LiveConfig:
    """A lateness bound of 100 ms, an idle flush after 1 s, eight events held."""
    return LiveConfig(lateness_ms=100, idle_flush_ms=1000, max_held_events=8)


@pytest.fixture(scope="session")
def arrive():
    """Events `(type, t_ms, actor)` or with a dict of further columns, as they arrive; each with an id of its own."""

    def arrive(*events, match_id="m", ids=None) -> Arrivals:
        rows = []
        for place, (event_type, t_ms, actor, *more) in enumerate(events):
            row = {"event_id": f"e{t_ms}-{place}" if ids is None else ids[place], "payload": "{}", "seq": 0}
            row |= {"match_id": match_id, "event_type": event_type, "t_ms": t_ms, "actor": actor, "source_line": 1}
            if event_type == "POSITION_UPDATE":
                row |= {"x_mm": t_ms, "z_mm": 0}
            rows.append(row | {"team": TEAMS.get(actor)} | (more[0] if more else {}))
        return arrivals(pl.DataFrame(rows, schema=SCHEMA))

    return arrive


@pytest.fixture(scope="session")
def moves():
    """A POSITION_UPDATE of a player at a time."""
    return lambda player, t_ms: ("POSITION_UPDATE", t_ms, f"player:{player}")
