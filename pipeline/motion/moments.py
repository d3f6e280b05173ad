"""Which moments of a match are worth a clip, and the request that a moment becomes.

Belongs here: interest, choice within a budget, the window of samples. Does not belong here: motion.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from configs.motion import Moments, MotionConfig, load_motion
from pipeline.events.model import is_attacker
from pipeline.motion.clip import NULL, ClipRequest
from pipeline.motion.keys import path_hash

WORDS: dict[str, str] = {
    "plant": "plant",
    "defuse": "defuse",
    "trade": "trade",
    "engage": "duel",
    "peek": "peek",
    "retreat": "retreat",
    "advance": "advance",
    "hold": "hold",
    "rotate": "rotation",
}
_TRAVELLING = frozenset(("advance", "retreat", "rotate"))
_COLUMNS = ("t_ms", "x_mm", "y_mm", "z_mm", "yaw_mdeg", "pitch_mdeg")


@dataclass(frozen=True)
class _Track:
    """One player's living samples, in order of time."""

    t_ms: NDArray[np.int64]
    x_mm: NDArray[np.int64]
    z_mm: NDArray[np.int64]

    def stretch(self, from_ms: int, to_ms: int) -> tuple[int, float, int]:
        """Samples in a stretch, the length of their path in metres, and the longest time without one in ms."""
        a, b = np.searchsorted(self.t_ms, [from_ms, to_ms + 1])
        t = self.t_ms[a:b]
        if t.size == 0:
            return 0, 0.0, to_ms - from_ms
        way = float(np.hypot(np.diff(self.x_mm[a:b]), np.diff(self.z_mm[a:b])).sum()) / 1000.0
        gap = int(np.max(np.diff(np.concatenate([[from_ms], t, [to_ms]]))))
        return int(t.size), way, gap


def choose(
    segments: pl.DataFrame, tracks: pl.DataFrame, *, budget: int, config: MotionConfig | None = None
) -> pl.DataFrame:
    """The moments most worth seeing, and different ones.

    Each segment has a weight by what happens in it; a kind already chosen, a player and a round already seen count
    less. No intent takes more than its share while others are waiting.

    Args:
        segments: table `segments` of one match.
        tracks: table `tracks` of the same match.
        budget: how many at most.
        config: weights and limits; defaults to `configs/motion.yaml`.

    Returns:
        At most `budget` rows, most interesting first: the columns of `segments` and `interest`, a word for why.
    """
    config = config or load_motion()
    rules = config.moments
    players = _players(tracks)
    rows: list[tuple[float, str, int, str]] = []
    columns = ("segment_id", "player", "round", "from_ms", "to_ms", "intent", "confidence")
    table = segments.select(columns).to_dicts()
    for i, row in enumerate(table):
        length = row["to_ms"] - row["from_ms"]
        track = players.get(row["player"])
        if track is None or length < rules.min_ms:
            continue
        count, way, gap = track.stretch(row["from_ms"], row["to_ms"])
        if count < rules.min_samples or gap > config.path.max_gap_ms:
            continue
        word = WORDS[row["intent"]]
        weight = getattr(rules.weights, "duel" if word == "duel" else row["intent"])
        if row["intent"] == "rotate" and way >= rules.long_rotation_m:
            word, weight = "long rotation", rules.weights.long_rotation
        if row["confidence"] < rules.doubtful_below and weight < rules.weights.doubtful:
            word, weight = "doubtful", rules.weights.doubtful
        lively = rules.liveliness
        liveliness = (
            lively.way_share * min(way / lively.way_m, 1.0)
            + lively.length_share * min(length / lively.length_ms, 1.0)
            + lively.confidence_share * row["confidence"]
        )
        rows.append((weight * (lively.base + lively.gain * liveliness), row["segment_id"], i, word))
    rows.sort(key=lambda r: (-r[0], r[1]))
    picked = _diverse(rows, table, budget, rules)
    words = pl.Series("interest", [word for _, word in picked], dtype=pl.String)
    return segments[[i for i, _ in picked]].with_columns(words)


def _diverse(
    rows: list[tuple[float, str, int, str]], table: list[dict[str, Any]], budget: int, rules: Moments
) -> list[tuple[int, str]]:
    """Greedy choice with diminishing returns per kind, player and round."""
    most, again = max(1, int(rules.share_per_intent * budget)), rules.repeats
    kinds: dict[str, int] = {}
    intents: dict[str, int] = {}
    players: dict[str, int] = {}
    rounds: dict[Any, int] = {}
    waiting = list(rows)
    picked: list[tuple[int, str]] = []
    while waiting and len(picked) < budget:
        open_rows = [row for row in waiting if intents.get(table[row[2]]["intent"], 0) < most] or waiting

        def worth(row: tuple[float, str, int, str]) -> tuple[float, str]:
            about = table[row[2]]
            seen = (
                (1.0 + again.kind * kinds.get(row[3], 0))
                * (1.0 + again.player * players.get(about["player"], 0))
                * (1.0 + again.round * rounds.get(about["round"], 0))
            )
            return (-row[0] / seen, row[1])

        best = min(open_rows, key=worth)
        waiting.remove(best)
        about = table[best[2]]
        for counts, key in (
            (kinds, best[3]),
            (intents, about["intent"]),
            (players, about["player"]),
            (rounds, about["round"]),
        ):
            counts[key] = counts.get(key, 0) + 1
        picked.append((best[2], best[3]))
    return picked


def _players(tracks: pl.DataFrame) -> dict[str, _Track]:
    living = tracks.filter(pl.col("hp").is_null() | (pl.col("hp") > 0)).sort("player", "t_ms", maintain_order=True)
    out = {}
    for (player,), rows in living.group_by("player", maintain_order=True):
        x, z = (rows[c].to_numpy().astype(np.int64) for c in ("x_mm", "z_mm"))
        out[str(player)] = _Track(rows["t_ms"].to_numpy(), x, z)
    return out


def deaths_of(events: pl.DataFrame) -> dict[str, list[int]]:
    """When each player dies, match time in ms, in order.

    Args:
        events: table `events` of one match.
    """
    killed = events.filter((pl.col("event_type") == "PLAYER_KILLED") & pl.col("target").is_not_null())
    out: dict[str, list[int]] = {}
    for player, at in killed.sort("t_ms").select("target", "t_ms").iter_rows():
        out.setdefault(player, []).append(int(at))
    return out


def clip_request(
    segment: dict[str, Any],
    tracks: pl.DataFrame,
    *,
    deaths: Mapping[str, Sequence[int]] | None = None,
    config: MotionConfig | None = None,
) -> ClipRequest:
    """The request for the clip of one segment.

    The clip is the segment, widened to the least length and cut to the greatest: to the stretch of the longest way for
    those who travel, to its end for those whose action ends it. A segment without an end takes its intent's duration.
    Samples of the same round, of the living player, up to the margin on both sides come along. Where the segment ends
    in the player's death, the clip does: at that instant the body falls.

    Args:
        segment: a row of `segments`.
        tracks: table `tracks` of its match.
        deaths: when each player dies, of `deaths_of`; nobody does where it is not given.
        config: defaults to `configs/motion.yaml`.
    """
    config = config or load_motion()
    clips = config.clips
    intent = segment["intent"]
    from_ms = int(segment["from_ms"])
    to_ms = segment["to_ms"]
    to_ms = from_ms + getattr(clips.durations_ms, intent) if to_ms is None else int(to_ms)
    wanted = (
        (pl.col("player") == segment["player"])
        & (pl.col("hp").is_null() | (pl.col("hp") > 0))
        & pl.col("t_ms").is_between(from_ms - clips.max_ms, to_ms + clips.max_ms)
    )
    if segment["round"] is not None:
        wanted &= pl.col("round").is_null() | (pl.col("round") == segment["round"])
    own = tracks.filter(wanted).unique("t_ms", keep="last", maintain_order=True).sort("t_ms")
    from_ms, to_ms = _window(intent, from_ms, to_ms, own, config)
    slack = config.moments.death_within_ms
    fatal = [at for at in (deaths or {}).get(segment["player"], ()) if abs(at - to_ms) <= slack and at > from_ms]
    if fatal:
        to_ms = fatal[0]
        from_ms = max(from_ms, to_ms - clips.max_ms)
    columns = samples_of(own, from_ms - clips.margin_ms, to_ms + clips.margin_ms)
    request = ClipRequest(
        match_id=segment["match_id"],
        segment_id=segment["segment_id"],
        player=segment["player"],
        attacker=is_attacker(segment.get("side")),
        intent=intent,
        from_ms=from_ms,
        to_ms=to_ms,
        seed=0,
        dies=bool(fatal),
        **columns,
    )
    # From the path, not from a name: the same moment under another name is the same clip.
    return replace(request, seed=int(path_hash(request)[:12], 16))


def samples_of(own: pl.DataFrame, from_ms: int, to_ms: int) -> dict[str, Any]:
    """The samples of one player in a stretch while they live, as columns of a `ClipRequest`.

    Args:
        own: rows of `tracks` of the player.
        from_ms: first instant.
        to_ms: last instant.
    """
    living = (pl.col("hp").is_null() | (pl.col("hp") > 0)) & pl.col("t_ms").is_between(from_ms, to_ms)
    own = own.filter(living).unique("t_ms", keep="last", maintain_order=True).sort("t_ms")
    return {name: own[name].cast(pl.Int64).fill_null(NULL).to_numpy() for name in _COLUMNS}


def _window(intent: str, from_ms: int, to_ms: int, own: pl.DataFrame, config: MotionConfig) -> tuple[int, int]:
    """First and last instant of a clip for a stretch: inside the samples, neither too short nor too long."""
    least, most = config.clips.min_ms, config.clips.max_ms
    t = own["t_ms"].to_numpy()
    if t.size == 0:
        return from_ms, min(max(to_ms, from_ms + least), from_ms + most)
    first, last = int(t[0]), int(t[-1])
    from_ms, to_ms = min(max(from_ms, first), last), max(min(to_ms, last), first)
    missing = least - (to_ms - from_ms)
    if missing > 0:
        from_ms = max(first, from_ms - missing // 2)
        to_ms = min(last, from_ms + least)
        from_ms = max(first, to_ms - least)
        return from_ms, to_ms
    if to_ms - from_ms <= most:
        return from_ms, to_ms
    if intent not in _TRAVELLING:
        return to_ms - most, to_ms
    x, z = (own[c].to_numpy().astype(np.int64) for c in ("x_mm", "z_mm"))
    way = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(z)))])
    starts = t[(t >= from_ms) & (t + most <= to_ms)]
    if starts.size == 0:
        return from_ms, from_ms + most
    gone = np.interp(starts + most, t, way) - np.interp(starts, t, way)
    begin = int(starts[int(np.argmax(np.rint(gone)))])
    return begin, begin + most
