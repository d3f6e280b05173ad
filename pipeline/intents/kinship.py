"""Which matches know of each other, so that none of them may be judged by what another taught.

Belongs here: the series of a match, and whether two recordings are of one match. Does not belong here: who is trained
on and who is judged (`training`, `evaluation.protocol`).

The games of a series share teams and day. What a log says of them is its match id; two recordings of one match are
told by what happened in them, whatever their ids, and with them their series are one.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

import polars as pl

from configs.intents import KinshipConfig, load_intents
from pipeline.features.agreement import NotTheSameMatch, clock_offset_ms, same_players

_GRID_MATCH = re.compile(r"^(\d+)-\d+$")
_MAP_PREFIX = re.compile(r"^[a-z]+_")


@dataclass(frozen=True)
class Recording:
    """What tells whose kin a match is.

    Attributes:
        match_id: its id.
        map: as the log writes it; empty where it does not.
        kills: `t_ms`, `actor`, `target` of each, as in table `events`.
        positions: how many were recorded.
    """

    match_id: str
    map: str
    kills: pl.DataFrame
    positions: int

    @classmethod
    def of(cls, match: pl.DataFrame, events: pl.DataFrame, positions: int = 0) -> "Recording":
        """From table `matches`, of one row, and table `events`."""
        kills = events.filter(pl.col("event_type") == "PLAYER_KILLED").sort("t_ms", "seq", maintain_order=True)
        name = str(match["map"].item() or "")
        return cls(str(match["match_id"].item()), name, kills, positions)


def series_of_match(match_id: str, map_name: str) -> str:
    """What a match's id says of its series: GRID's series number, or the id without the map at its end.

    `2578928-1` is game 1 of series 2578928; `cs2-vf-inferno` on `de_inferno` is a map of series `cs2-vf`. Any other id
    is a series of its own.
    """
    if found := _GRID_MATCH.match(match_id):
        return found[1]
    short = _MAP_PREFIX.sub("", map_name)
    return match_id[: -len(short) - 1] if short and match_id.endswith(f"-{short}") else match_id


def twins(recordings: Iterable[Recording], config: KinshipConfig | None = None) -> dict[str, str]:
    """Matches that were recorded twice: id of the sparser recording → id of the densest one.

    Two recordings are of one match if they are on one map, their kills lie the same time apart, one by one, and whoever
    kills and dies in one goes by one name in the other.

    Args:
        recordings: no match id among them twice.
        config: how many kills tell; `configs/intents.yaml` if None.
    """
    least = (config or load_intents().training.kinship).least_kills
    found: dict[str, str] = {}
    ordered = sorted(recordings, key=lambda each: (-each.positions, each.match_id))
    alike: dict[tuple[str, int], list[Recording]] = {}
    for each in ordered:
        if each.kills.height >= least:
            alike.setdefault((each.map, each.kills.height), []).append(each)
    for one, other in (pair for group in alike.values() for pair in combinations(group, 2)):
        if one.match_id not in found and other.match_id not in found and _same(one, other):
            found[other.match_id] = one.match_id
    return found


def _same(one: Recording, other: Recording) -> bool:
    try:
        clock_offset_ms(one.kills, other.kills)
        same_players(one.kills, other.kills)
    except NotTheSameMatch:
        return False
    return True


@dataclass(frozen=True)
class Kin:
    """Whose kin a match is.

    Attributes:
        series: the name of its series.
        game: of the ids of its recordings the one that comes last; its own where it was recorded once.
    """

    series: str
    game: str


def kin(recordings: Iterable[Recording], config: KinshipConfig | None = None) -> dict[str, Kin]:
    """Whose kin each match is, by match id.

    A series is what `series_of_match` says; two of which a match recorded twice is in both are one, and go by the name
    that comes last, so that a word is preferred to a number.

    Args:
        recordings: no match id among them twice.
        config: see `twins`.
    """
    told = sorted(recordings, key=lambda each: each.match_id)
    series = {each.match_id: series_of_match(each.match_id, each.map) for each in told}
    leader, game = {name: name for name in series.values()}, {each.match_id: each.match_id for each in told}
    for sparser, denser in twins(told, config).items():
        _join(leader, leader[series[sparser]], leader[series[denser]])
        _join(game, game[sparser], game[denser])
    return {match_id: Kin(leader[name], game[match_id]) for match_id, name in series.items()}


def _join(leader: dict[str, str], one: str, other: str) -> None:
    first, second = sorted((one, other))
    leader.update({name: second for name, led in leader.items() if led == first})
