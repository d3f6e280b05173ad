"""Small inputs for the intents tests."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from configs.intents import BoosterConfig, IntentsConfig, load_intents
from pipeline.features.definition import FEATURES, NAMES
from pipeline.intents.model import BoosterModel
from pipeline.intents.training import Trained, fit, learn, manifest
from pipeline.intents.vocabulary import INTENTS
from pipeline.tables import conform, empty

TERRORISTS = ("team:t", "terrorists")
DEFENDERS = ("team:ct", "counter-terrorists")
COUNTS = {"sample_count": 32, "max_gap_ms": 125, "position_age_ms": 0}


@pytest.fixture(scope="session")
def config() -> IntentsConfig:
    return load_intents()


@pytest.fixture(scope="session")
def quick(config: IntentsConfig) -> IntentsConfig:
    """The configuration with few and small trees."""
    trees = BoosterConfig(rounds=6, leaves=7, learning_rate=0.3, least_rows_in_leaf=5, l2=1.0)
    return config.model_copy(update={"training": config.training.model_copy(update={"booster": trees})})


@pytest.fixture(scope="session")
def instants() -> Callable[..., pl.DataFrame]:
    """Feature rows of one player, 250 ms apart; features not named are unknown."""

    def make(
        count: int = 1,
        *,
        player: str = "player:a",
        match_id: str = "m",
        round_: int | None = 1,
        start_ms: int = 0,
        team: str | None = None,
        side: str | None = None,
        **values: Any,
    ) -> pl.DataFrame:
        columns: dict[str, Any] = {
            "match_id": [match_id] * count,
            "round": [round_] * count,
            "player": [player] * count,
            "t_ms": [start_ms + 250 * step for step in range(count)],
            "team": [team] * count,
            "side": [side] * count,
        }
        for feature in FEATURES:
            value = values.pop(feature.name, COUNTS.get(feature.name))
            columns[feature.name] = value if isinstance(value, list) else [value] * count
        assert not values, f"no such feature: {values}"
        types = {"round": pl.Int32, "team": pl.String, "side": pl.String} | {
            feature.name: pl.Int32 if feature.integer else pl.Float32 for feature in FEATURES
        }
        return conform("features", pl.DataFrame(columns, schema_overrides=types, strict=False))

    return make


@pytest.fixture(scope="session")
def scene(instants: Callable[..., pl.DataFrame]) -> Callable[..., tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]]:
    """Events, tracks and features of round 1 of a match, from where each player is at each instant.

    `paths`: player letter → metres (x, z) at 4 Hz; lower case attacks, upper case defends. `yaws`: degrees, 0 = +x.
    Events are (type, ms, player, target, more columns).
    """

    def make(
        paths: dict[str, list[tuple[float, float]]],
        *events: tuple[Any, ...],
        yaws: dict[str, float] | None = None,
        sites: tuple[tuple[float, float], ...] = (),
        has_kit: bool | None = None,
    ) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        tracks, features = [], []
        for player, path in paths.items():
            team, side = TERRORISTS if player.islower() else DEFENDERS
            who = {"match_id": "m", "round": 1, "player": f"player:{player}", "team": team, "side": side}
            yaw = None if yaws is None or player not in yaws else round(yaws[player] * 1000)
            for step, (x, z) in enumerate(path):
                place = {"x_mm": round(x * 1000), "y_mm": 0, "z_mm": round(z * 1000)}
                tracks.append(who | place | {"t_ms": 250 * step, "seq": 0, "yaw_mdeg": yaw, "has_kit": has_kit})
            features.append(instants(len(path), player=f"player:{player}", team=team, side=side))
        objectives = [f'{{"id": "{i}", "pos": [{x}, 0, {z}]}}' for i, (x, z) in enumerate(sites)]
        started = {"event_type": "MATCH_STARTED", "payload": f'{{"objectives": [{", ".join(objectives)}]}}'}
        rows = [{"t_ms": 0, "round": None} | started]
        for kind, t, actor, *rest in events:
            target, more, *_ = [*rest, None, {}]
            named = {"actor": f"player:{actor}", "target": target and f"player:{target}", "weapon": "ak47"}
            rows.append({"event_type": kind, "t_ms": t, "round": 1, "payload": "{}"} | named | (more or {}))
        common = {"match_id": "m", "seq": 0, "source_line": 1}
        numbered = [common | {"event_id": f"e{number}"} | row for number, row in enumerate(rows)]
        return _table("events", numbered), _table("tracks", tracks), pl.concat(features)

    return make


def _table(name: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    return conform(name, pl.DataFrame(rows, schema=dict(empty(name).schema), strict=False))


@pytest.fixture(scope="session")
def labelled() -> pl.DataFrame:
    """Labelled rows of six made-up matches, in which speed and place tell most of the intent."""
    random = np.random.default_rng(8)
    frames = []
    for match in range(6):
        count = 400
        intent = random.choice(len(INTENTS), count, p=[0.25, 0.1, 0.3, 0.1, 0.03, 0.03, 0.07, 0.04, 0.08])
        columns: dict[str, Any] = {name: random.normal(size=count) for name in NAMES}
        columns["speed_mps"] = intent + random.normal(size=count)
        columns["objective_m"] = (intent % 3) * 4 + random.normal(size=count)
        columns["bomb_m"] = np.where(random.random(count) < 0.5, np.nan, intent)
        frames.append(
            pl.DataFrame(
                {
                    **dict.fromkeys(("match_id", "series", "game"), [f"m{match}"] * count),
                    "round": np.arange(count) // 50 + 1,
                    "player": ["player:a"] * count,
                    "t_ms": 250 * np.arange(count),
                    **columns,
                    "intent": [INTENTS[each] for each in intent],
                }
            )
        )
    return pl.concat(frames).with_columns(pl.col("round").cast(pl.Int32), pl.col("bomb_m").fill_nan(None))


@pytest.fixture(scope="session")
def learned(labelled: pl.DataFrame, quick: IntentsConfig) -> BoosterModel:
    """A model of all labelled rows."""
    return learn(labelled, manifest(labelled, quick), quick)


@pytest.fixture(scope="session")
def fitted(labelled: pl.DataFrame, quick: IntentsConfig) -> Trained:
    """A model of the matches that were not held out, with how good it is on those that were."""
    return fit(labelled, quick)
