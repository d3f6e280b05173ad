"""Events of a running match from a few words."""

import gzip
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from configs.events import load_events
from configs.live import LiveConfig
from pipeline.events.drafts import SCHEMA
from pipeline.events.lines import read_lines
from pipeline.events.reader import read_log
from pipeline.events.sources.simulator import simulate
from pipeline.features.match import match_features
from pipeline.intents.model import PriorModel
from pipeline.intents.prediction import predict
from pipeline.intents.segments import segment
from pipeline.intents.vocabulary import INTENTS
from pipeline.live.arrivals import Arrivals, arrivals
from pipeline.live.closing import segments_of

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


class Leaning:
    """A model whose answer for an instant is a mix of its features, so that segments change often.

    Args:
        lean: another one for each model.
    """

    def __init__(self, lean: int = 0) -> None:
        self.lean = lean

    @property
    def version(self) -> str:
        return f"leaning-{self.lean}"

    def probabilities(self, vectors):
        known = np.nan_to_num(vectors[: 3 * len(INTENTS)].astype(np.float64))
        columns = [
            np.exp(2 * np.sin(known[3 * k] / 7 + known[3 * k + 1] / 3 + k + self.lean)) for k in range(len(INTENTS))
        ]
        total = columns[0].copy()
        for column in columns[1:]:
            total += column
        return np.stack([column / total for column in columns], axis=1)


@pytest.fixture(scope="session")
def leaning():
    return Leaning


@dataclass(frozen=True)
class Recorded:
    """A match as its lines, and what batch makes of it."""

    match_id: str
    lines: list[bytes]
    features: pl.DataFrame
    intents: pl.DataFrame
    segments: pl.DataFrame

    @cached_property
    def cuts(self) -> list[int]:
        """Places where all that follows is later than all before: a pause there makes nothing late, however long."""
        times = [msgspec.json.decode(line)["payload"]["ts"] for line in self.lines]
        least = [*accumulate(reversed(times), min)][::-1]
        return [place for place, most in enumerate(accumulate(times[:-1], max), 1) if most < least[place]]

    @property
    def half(self) -> int:
        """The cut in the middle."""
        return next(place for place in self.cuts if place >= len(self.lines) // 2)


@pytest.fixture(scope="session")
def read_recorded():
    """What batch makes of the one match of a log, answered by `Leaning`."""

    def read(log: Path, threshold: float = 0.6) -> Recorded:
        (reading,) = read_log(log, log_id="live").matches.values()
        features = match_features(reading.match, reading.events.read(), reading.tracks.read())
        model = Leaning()
        intents = predict(features, model)
        segments = segment(intents, features, model_version=model.version, review_threshold=threshold)
        lines = [line.data for line in read_lines(log, load_events().lines)]
        return Recorded(reading.match["match_id"].item(), lines, features, intents, segments)

    return read


@pytest.fixture(scope="session")
def simulated(tmp_path_factory, read_recorded) -> Recorded:
    """One simulated round."""
    log = tmp_path_factory.mktemp("simulated") / "log.jsonl"
    log.write_text("".join(f"{line}\n" for line in simulate(rounds=1, seed=5).canonical_lines()))
    return read_recorded(log)


@pytest.fixture(scope="session")
def expected(simulated):
    """The segments of the simulated round as the prior has them."""
    model = PriorModel.configured()
    return segment(
        predict(simulated.features, model), simulated.features, model_version=model.version, review_threshold=0.6
    )


@pytest.fixture(scope="session")
def real(shared_data, tmp_path_factory, read_recorded) -> Recorded:
    """The beginning of a real match."""
    log = tmp_path_factory.mktemp("real") / "log.jsonl"
    with gzip.open(shared_data / "cs2" / "cs2-am-inferno.jsonl.gz", "rb") as packed:
        log.write_bytes(b"".join(packed.readline() for _ in range(12_000)))
    return read_recorded(log)


@pytest.fixture(scope="session")
def as_segments():
    """The signals of segments that ended, as table `segments` in the order of batch."""

    return segments_of
