"""Real matches as stories: each player's path, at true times, with what it meant to do.

Belongs here: tracks and intents in, scenes and samples out. Does not belong here: stories that are drawn (themes), how
an intent is recognised (`pipeline.intents`).
"""

import hashlib
from fnmatch import fnmatchcase
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from configs.scenes import ScenesConfig, load_scenes
from pipeline.errors import PipelineError
from pipeline.events.model import is_attacker
from pipeline.scenes import speeds
from pipeline.scenes.captions import (
    SUBJECTS,
    WAYS,
    Objective,
    Phrase,
    distance_words,
    pace_words,
    site_words,
    towards_words,
)
from pipeline.scenes.dataset import Rows, Source, cut, runs, windows
from pipeline.scenes.figure import posed
from pipeline.scenes.kinematics import Movement, retraced
from pipeline.scenes.schema import Actor, Camera, Scene, SceneObject

Array = NDArray[np.float64]

THEME = "match"
_MS = 1000.0
_COLORS = {
    True: ("#e8710a", "#c25a00", "#f29b4b", "#a84a00", "#ffb26b"),
    False: ("#1d4ed8", "#3b6fe0", "#12349a", "#6b93ee", "#0b2570"),
    None: ("#555b66",),
}


class NotTrainable(PipelineError):
    """Data whose licence forbids that a model learns from it, such as what derives from HY-Motion's output."""


class NothingToTell(PipelineError):
    """A round in which nobody was seen."""


def admit(source: Source) -> Source:
    """The source, if its samples may be learned from.

    Raises:
        NotTrainable: if they may not; names the source and its licence.
    """
    if not source.trainable:
        raise NotTrainable(f"{source.id}: its licence ({source.licence}) does not allow training; it stays out")
    return source


def source_of(match_id: str, config: ScenesConfig | None = None) -> Source:
    """A match as a source of samples: whose terms hold for it, and whether they allow training.

    Whoever operates this says in `untrainable_matches` of `configs/scenes.yaml` which matches may not be learned from;
    the first pattern that fits counts.
    """
    dataset = (config or load_scenes()).dataset
    found = [licence for pattern, licence in dataset.untrainable_matches.items() if fnmatchcase(match_id, pattern)]
    licence = found[0] if found else dataset.match_licence
    return Source("match", match_id, THEME, _seed(match_id), licence, not found)


def _seed(match_id: str) -> int:
    return int.from_bytes(hashlib.sha256(match_id.encode()).digest()[:4], "big")


def _spans(times: NDArray[np.int64], config: ScenesConfig) -> list[tuple[int, int]]:
    """Stretches `[begin, end)` of recorded positions without a gap."""
    gaps = np.flatnonzero(np.diff(times) > config.dataset.max_gap_ms) + 1
    edges = [0, *gaps.tolist(), len(times)]
    return [(b, e) for b, e in pairwise(edges) if e - b >= config.dataset.least_samples]


def match_samples(
    match: pl.DataFrame,
    tracks: pl.DataFrame,
    intents: pl.DataFrame,
    *,
    config: ScenesConfig | None = None,
) -> pl.DataFrame:
    """Every player's path of a match cut into samples, with what it meant to do as caption.

    Args:
        match: its row of the table `matches`.
        tracks: its positions.
        intents: what each player meant at each instant; `player`, `t_ms`, `intent`.
        config: defaults to `configs/scenes.yaml`.

    Raises:
        NotTrainable: if nothing may be learned from it; see `source_of`.
    """
    config = config or load_scenes()
    match_id = str(match["match_id"].item())
    source = admit(source_of(match_id, config))
    rows, codes = Rows(config, source), speeds.names(config)
    objectives = [(site_words(str(o["id"])), (o["x_mm"] / _MS, o["z_mm"] / _MS)) for o in match["objectives"].item()]
    prompts = _prompts(match)
    meant = {player[0]: frame for player, frame in intents.sort("t_ms").group_by("player", maintain_order=True)}
    asked_of = {intent: codes.index(doing) for intent, doing in config.intents.items()}
    positions = tracks.select("player", "round", "side", "t_ms", "x_mm", "z_mm").sort("player", "round", "t_ms")
    for (player, _), track in positions.group_by("player", "round", maintain_order=True):
        wants = meant.get(player)
        side = is_attacker(track["side"][0]) if track["side"][0] else None
        times = track["t_ms"].to_numpy()
        points = track.select("x_mm", "z_mm").to_numpy() / _MS
        for begin, end in _spans(times, config):
            moment = np.arange(times[begin], times[end - 1], _MS / config.fps)
            if len(moment) < config.window:
                continue
            position = np.stack([np.interp(moment, times[begin:end], points[begin:end, k]) for k in (0, 1)], axis=1)
            if np.hypot(*np.diff(position, axis=0).T).max() * config.fps > config.limits.teleport_mps:
                continue  # a respawn or an elevator: no way that legs have gone
            intent = _intents_at(wants, moment)
            asked = np.array([asked_of.get(word, 0) for word in intent], np.uint8)
            movement = retraced(position, asked, 0.0, config)
            joints = posed(movement, config)
            for first in windows(len(moment), config):
                part = cut(movement, first, config.window)
                phrases = _told(part, intent[first : first + config.window], objectives, config)
                begin_ms = round(float(moment[first]))
                frame = round(begin_ms * config.fps / _MS)
                rows.add(str(player), SUBJECTS[side], 1.0, config.themes.earth_mps2, frame, part,
                         joints[first : first + config.window], phrases, prompts)  # fmt: skip
    return rows.frame()


def _intents_at(wants: pl.DataFrame | None, moment: Array) -> NDArray[np.str_]:
    """What somebody means at each instant: what it meant last."""
    if wants is None or wants.is_empty():
        return np.full(len(moment), "")
    at = np.searchsorted(wants["t_ms"].to_numpy(), moment, side="right") - 1
    words = wants["intent"].cast(pl.String).to_numpy().astype(str)
    return np.where(at >= 0, words[np.maximum(at, 0)], "")


def _told(part: Movement, intent: NDArray[np.str_], objectives: list[Objective], config: ScenesConfig) -> list[Phrase]:
    """The timeline of intents as phrases; how fast, and towards which site."""
    words, codes = np.unique(intent, return_inverse=True)
    begins, ends = runs(codes.astype(np.uint8))
    least = config.dataset.caption_s * config.fps
    longest = sorted(((e - b, b, e) for b, e in zip(begins, ends, strict=True) if e - b >= least), reverse=True)
    phrases: list[Phrase] = []
    for _, begin, end in sorted(longest[: config.dataset.spoken], key=lambda run: run[1]):
        word = str(words[codes[begin]])
        far = float(part.distance[end - 1] - part.distance[begin])
        if not word:
            phrase = Phrase("walk" if far > 1.0 else "stand", distance_words(far))
        else:
            how = pace_words(far, (end - begin) / config.fps, config.wording) if word in WAYS else ""
            whither = towards_words(part.position[begin], part.position[end - 1], far, objectives, config.wording)
            phrase = Phrase(word, f"{how} {whither}".strip(), True)
        if not phrases or phrases[-1] != phrase:
            phrases.append(phrase)
    return phrases or [Phrase("stand")]


def _prompts(match: pl.DataFrame) -> list[str]:
    where = str(match["map"].item() or "an unknown map").removeprefix("de_")
    return [
        f"A round of a tactical shooter on {where}.",
        f"Players of two teams move over {where}.",
        f"A recorded match on {where}: attackers and defenders.",
        f"What one player does in a round on {where}.",
    ]


def retell(
    match: pl.DataFrame,
    tracks: pl.DataFrame,
    intents: pl.DataFrame,
    *,
    round_number: int,
    from_s: float = 0.0,
    seconds: float = 40.0,
    config: ScenesConfig | None = None,
) -> Scene:
    """A round of a real match in 2D, from where its players were and what they meant.

    Args:
        match: its row of the table `matches`.
        tracks: its positions.
        intents: `player`, `t_ms`, `intent`.
        round_number: which round.
        from_s: seconds after the round's first position.
        seconds: how long, at most.
        config: defaults to `configs/scenes.yaml`.

    Raises:
        NothingToTell: if nobody was seen then.
    """
    config = config or load_scenes()
    match_id = str(match["match_id"].item())
    played = tracks.filter(pl.col("round") == round_number).sort("player", "t_ms")
    if played.is_empty():
        raise NothingToTell(f"{match_id}, round {round_number}: nobody was seen")
    start = int(played["t_ms"].min()) + round(from_s * _MS)  # type: ignore[arg-type]  # it is not empty
    played = played.filter(pl.col("t_ms").is_between(start, start + round(seconds * _MS)))
    if played.is_empty():
        raise NothingToTell(f"{match_id}, round {round_number}: nobody was seen from {from_s} s on")
    last = int(played["t_ms"].max())  # type: ignore[arg-type]
    duration = max((last - start) / _MS, 1.0)
    counts: dict[bool | None, int] = {}
    actors = []
    for (player,), track in played.group_by("player", maintain_order=True):
        side = is_attacker(track["side"][0]) if track["side"][0] else None
        counts[side] = counts.get(side, -1) + 1
        wants = intents.filter(pl.col("player") == player, pl.col("t_ms").is_between(start, last)).sort("t_ms")
        is_dead = int(track["t_ms"][-1]) < last - config.dataset.max_gap_ms
        actors.append(_actor(str(player), side, counts[side], track, wants, start, is_dead, config))
    objects = tuple(
        SceneObject(id=f"site{k}", kind="site", position=(o["x_mm"] / _MS, 0.0, o["z_mm"] / _MS))
        for k, o in enumerate(match["objectives"].item())
    )
    prompts = (f"Round {round_number}: {_prompts(match)[0]}", *_prompts(match))
    return Scene(
        theme=THEME, seed=_seed(match_id), duration=round(duration, 2), actors=tuple(actors), objects=objects,
        camera=Camera(), ground="concrete", gravity=config.themes.earth_mps2, prompt=prompts[0], paraphrases=prompts,
        source=f"{match_id}, round {round_number}",
    )  # fmt: skip


def _actor(player: str, side: bool | None, number: int, track: pl.DataFrame, wants: pl.DataFrame, start: int,
           is_dead: bool, config: ScenesConfig) -> Actor:  # fmt: skip
    times = (track["t_ms"].to_numpy() - start) / _MS
    points = track.select("x_mm", "z_mm").to_numpy() / _MS
    actions: list[tuple[float, str]] = [(0.0, "stand")]
    for at, intent in zip((wants["t_ms"].to_numpy() - start) / _MS, wants["intent"].cast(pl.String), strict=True):
        doing = config.intents[intent]
        if actions[-1][1] != doing and at <= times[-1]:
            actions.append((float(at), doing))
    if is_dead:
        actions.append((float(times[-1]), "fallen"))
    keep = np.concatenate([[True], np.diff(times) > 0])
    colors = _COLORS[side]
    return Actor(
        id=player, actor_type=SUBJECTS[side], color=colors[number % len(colors)],
        initial_position=(float(points[0, 0]), float(points[0, 1])), actions=tuple(actions),
        team=track["team"][0], timed=True,
        movement_path=tuple(
            (float(t), (float(x), float(z))) for t, (x, z) in zip(times[keep], points[keep], strict=True)
        ),
    )  # fmt: skip
