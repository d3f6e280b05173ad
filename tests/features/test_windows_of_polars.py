"""What polars' own windows tell of the same rows: a third opinion, and proof that the bench compares like with like."""

import random

import polars as pl
import pytest

from bench.baselines import rolling
from pipeline.features.match import match_features


@pytest.fixture(scope="module")
def walk(frames):
    """A round of two teams that walk about and fight, at 8 Hz."""
    dice, tracks, events = random.Random(7), [], [{"t_ms": 0, "event_type": "ROUND_LIVE", "actor": None, "round": 1}]
    for n in range(4):
        player, team, at = f"player:{n}", f"team:{n % 2}", [dice.randint(-20_000, 20_000) for _ in range(3)]
        yaw = 0
        for t in range(0, 40_000, 125):
            at = [value + dice.choice([0, dice.randint(-500, 500)]) for value in at]
            yaw = (yaw + dice.randint(-30_000, 30_000) + 180_000) % 360_000 - 180_000
            place = dict(zip(("x_mm", "y_mm", "z_mm"), at, strict=True))
            own = {"t_ms": t + n, "round": 1, "team": team, **place}
            tracks.append({**own, "player": player, "yaw_mdeg": yaw})
            if dice.random() < 0.2:
                kind = dice.choice(["WEAPON_FIRED", "GRENADE_THROWN", "PLAYER_DAMAGED"])
                target = f"player:{dice.randrange(4)}" if kind == "PLAYER_DAMAGED" else None
                events.append(
                    {**own, "event_type": kind, "actor": player, "target": target, "amount": dice.randint(1, 40)}
                )
    last = {"t_ms": 39_000, "event_type": "PLAYER_KILLED", "round": 1}
    events.append({**last, "actor": "player:0", "team": "team:0", "target": "player:1"})
    return frames("m1", events, tracks)


@pytest.mark.parametrize("way", [rolling.by_rolling, rolling.by_group_by_dynamic])
def test_both_ways_of_polars_tell_what_the_kernel_tells(walk, limits, way):
    ours = match_features(walk.match, walk.events, walk.tracks).sort(*rolling.WHO, "t_ms")
    theirs = way(walk.tracks, walk.events, ours.select(*rolling.WHO, "t_ms"), limits)
    shared = [name for name in theirs.columns if name in ours.columns and name not in (*rolling.WHO, "t_ms")]
    assert len(shared) == 25 and theirs.height == ours.height > 600
    for name in shared:
        mine, other = ours[name].cast(pl.Float64), theirs[name].cast(pl.Float64).fill_nan(None)
        known = mine.is_not_null() & other.is_not_null()
        apart = (mine - other).abs().filter(known)
        assert known.any() and apart.max() < 0.05 and apart.mean() < 1e-2, name
