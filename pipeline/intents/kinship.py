"""Which matches know of each other, so that none of them may be judged by what another taught.

Belongs here: the series of a match, and whether two recordings are of one match. Does not belong here: who is trained
on and who is judged (`training`, `evaluation.protocol`).

The games of a series share teams and day. What a log says of them is its match id; two recordings of one match are
told by what happened in them, whatever their ids, and with them their series are one. A log that was cut short, or
that lacks a kill, is still a recording of its match.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from configs.intents import KinshipConfig, load_intents

_GRID_MATCH = re.compile(r"^(\d+)-\d+$")
_MAP_PREFIX = re.compile(r"^[a-z]+_")  # some sources leave it out


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

    Two recordings are of one match if they are on one map and nearly all kills of the one that tells of fewer lie in
    the other as far apart in time, by players of whom each goes by one name there: see `alignment`.

    Args:
        recordings: no match id among them twice.
        config: defaults to `configs/intents.yaml`.
    """
    config = config or load_intents().training.kinship
    found: dict[str, str] = {}
    ordered = sorted(recordings, key=lambda each: (-each.positions, each.match_id))
    alike: dict[str, list[tuple[str, _Kills]]] = {}
    for each in ordered:
        if each.kills.height >= config.least_kills:
            alike.setdefault(_MAP_PREFIX.sub("", each.map), []).append(
                (each.match_id, _Kills.of(each, config.most_kills))
            )
    for group in alike.values():
        for (one, its), (other, others) in combinations(group, 2):
            if one not in found and other not in found and _aligned(its, others, config) is not None:
                found[other] = one
    return found


@dataclass(frozen=True)
class Alignment:
    """How one recording of a match tells of what another one does.

    Attributes:
        offset_ms: what to add to the clock of the first to have the second's.
        players: the name of each player of the first in the second.
    """

    offset_ms: int
    players: Mapping[str, str]


def alignment(one: Recording, other: Recording, config: KinshipConfig | None = None) -> Alignment | None:
    """How two recordings go together; None if they are not of one match.

    Of the shorter list of kills nearly all must be found in the longer one, in order, under one offset of the clocks
    and one renaming of the players.

    Args:
        one: its clock and players are those that are translated.
        other: into whose.
        config: defaults to `configs/intents.yaml`.
    """
    config = config or load_intents().training.kinship
    return _aligned(_Kills.of(one, config.most_kills), _Kills.of(other, config.most_kills), config)


@dataclass(frozen=True)
class _Kills:
    """When, int64 (n,) in ms and ascending, and who whom; None where the log does not tell."""

    t: NDArray[np.int64]
    names: list[tuple[str | None, str | None]]

    @classmethod
    def of(cls, recording: Recording, most: int) -> "_Kills":
        kills = recording.kills.drop_nulls("t_ms").sort("t_ms", maintain_order=True).head(most)
        return cls(kills["t_ms"].to_numpy().astype(np.int64), kills.select("actor", "target").rows())


def _aligned(one: _Kills, other: _Kills, config: KinshipConfig) -> Alignment | None:
    need, apart_ms = math.ceil(config.least_share * min(len(one.t), len(other.t))), config.apart_ms
    if not need:
        return None
    apart = np.sort((other.t[None, :] - one.t[:, None]).ravel())
    if (apart[need - 1 :] - apart[: len(apart) - need + 1]).min() > 2 * apart_ms:
        return None  # under no offset do so many stand together
    within = np.searchsorted(apart, apart + 2 * apart_ms, side="right") - np.arange(len(apart))
    first = int(within.argmax())
    offset = int(np.median(apart[first : first + within[first]]))
    low, high = (np.searchsorted(other.t, one.t + offset + by) for by in (-apart_ms, apart_ms + 1))
    players = _renamed(
        (mine, theirs)
        for place, names in enumerate(one.names)
        for at in range(low[place], high[place])
        for mine, theirs in zip(names, other.names[at], strict=True)
    )
    found = begin = 0
    for place, names in enumerate(one.names):
        for at in range(max(low[place], begin), high[place]):
            if all(_one(players, mine, theirs) for mine, theirs in zip(names, other.names[at], strict=True)):
                found, begin = found + 1, at + 1
                break
    return Alignment(offset, players) if found >= need else None


def _renamed(pairs: Iterable[tuple[str | None, str | None]]) -> dict[str, str]:
    """Who goes by which name, those first that stand together most often; nobody by two, and no name twice."""
    together = Counter((mine, theirs) for mine, theirs in pairs if mine is not None and theirs is not None)
    found: dict[str, str] = {}
    taken = set[str]()
    for (mine, theirs), _ in sorted(together.items(), key=lambda each: (-each[1], each[0])):
        if mine not in found and theirs not in taken:
            found[mine] = theirs
            taken.add(theirs)
    return found


def _one(players: Mapping[str, str], mine: str | None, theirs: str | None) -> bool:
    return mine is None or theirs is None or players.get(mine) == theirs


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
