"""A moment with everyone in it: the clips of several players on one clock and one floor.

Belongs here: who is in a moment, what each of them means and when, who dies, whom it is about. Does not belong here:
how one body moves (synthesizer), files (gltf), pictures (film).
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from configs.motion import MotionConfig, load_motion
from pipeline.errors import PipelineError
from pipeline.events.model import is_attacker
from pipeline.intents.vocabulary import Intent
from pipeline.motion.clip import Clip, ClipRequest
from pipeline.motion.keys import path_hash
from pipeline.motion.moments import samples_of
from pipeline.motion.path import Infeasible
from pipeline.motion.rotations import Array
from pipeline.motion.synthesizer import synthesize

UNTOLD: Intent = "hold"
"""What is acted where no segment tells."""


class NobodyThere(PipelineError):
    """No player can be shown in the moment; the message tells why."""


@dataclass(frozen=True, eq=False)
class Actor:
    """One body of a scene.

    Attributes:
        name: the player.
        clip: its motion, around the clip's own origin.
        first: frame of the scene at which the clip begins; negative where it began before.
        at: `(3,)` metres, the clip's origin in the scene.
        acts: instants in ms of the scene from which something is meant, and what.
    """

    name: str
    clip: Clip
    first: int
    at: Array
    acts: tuple[tuple[int, Intent], ...] = ()

    def frame(self, frame: int) -> int:
        """The clip's frame at a frame of the scene: its first before it begins, its last after it ends."""
        return min(max(frame - self.first, 0), self.clip.frames - 1)

    def place(self, frame: int) -> Array:
        """Ground under the body `(3,)` at a frame of the scene."""
        place: Array = self.clip.path[self.frame(frame)] + self.at
        return place


@dataclass(frozen=True, eq=False)
class Scene:
    """Several bodies on a common clock and floor.

    Attributes:
        actors: in order of their names.
        frames: number of frames.
        fps: frames a second.
        origin: `(3,)` metres, the scene's (0, 0, 0) in match coordinates.
        shots: frame and index of the actor that fires.
        about: indices of the actors that the moment is about.
        absent: players who are in the round and can't be shown, and why.
    """

    actors: tuple[Actor, ...]
    frames: int
    fps: int
    origin: Array
    shots: tuple[tuple[int, int], ...] = ()
    about: tuple[int, ...] = ()
    absent: tuple[tuple[str, str], ...] = ()

    @property
    def seconds(self) -> float:
        """Length from the first frame to the last."""
        return (self.frames - 1) / self.fps

    @staticmethod
    def of(clip: Clip) -> "Scene":
        """A scene of one clip alone."""
        return Scene((Actor("", clip, 0, np.zeros(3)),), clip.frames, clip.fps, clip.origin, about=(0,))


@dataclass(frozen=True)
class Moment:
    """A stretch of a round, and who is to be seen.

    Attributes:
        requests: of each player, in order of their names.
        from_ms: first instant, match time.
        to_ms: last instant.
        absent: players without positions in it, and why.
        kills: instant, killer and victim of each death in it.
    """

    requests: tuple[ClipRequest, ...]
    from_ms: int
    to_ms: int
    absent: tuple[tuple[str, str], ...]
    kills: tuple[tuple[int, str | None, str], ...]


def moment(
    match_id: str,
    round_number: int,
    from_ms: int,
    to_ms: int,
    *,
    events: pl.DataFrame,
    tracks: pl.DataFrame,
    segments: pl.DataFrame,
    config: MotionConfig | None = None,
) -> Moment:
    """What everyone who is alive in a stretch of a round, or has died in that round before it, does in it.

    Args:
        match_id: the match.
        round_number: the round.
        from_ms: first instant, match time.
        to_ms: last instant; a moment is at most as long as `clips.max_ms`.
        events: table `events` of the match, for deaths and shots.
        tracks: table `tracks`.
        segments: table `segments`, for what everyone means.
        config: defaults to `configs/motion.yaml`.

    Raises:
        NobodyThere: if the round has no positions, or the stretch is empty or too long.
    """
    config = config or load_motion()
    clips = config.clips
    if not clips.min_ms <= to_ms - from_ms <= clips.max_ms:
        least, most = clips.min_ms / 1000, clips.max_ms / 1000
        raise NobodyThere(f"a moment of {(to_ms - from_ms) / 1000:.1f} s; possible are {least:g} to {most:g} s")
    here = tracks.filter(pl.col("round") == round_number)
    if here.is_empty():
        raise NobodyThere(f"{match_id} has no positions in round {round_number}")
    in_round = events.filter(pl.col("round") == round_number)
    killed = in_round.filter((pl.col("event_type") == "PLAYER_KILLED") & pl.col("target").is_not_null()).sort("t_ms")
    kills = [(int(t), actor, str(target)) for t, actor, target in killed.select("t_ms", "actor", "target").iter_rows()]
    deaths = {target: t for t, _, target in reversed(kills)}
    requests, absent = [], []
    for player in sorted(here["player"].unique()):
        dead = deaths.get(player)
        begin, end = from_ms, to_ms
        if dead is not None and dead <= to_ms:
            begin, end = min(from_ms, dead - clips.min_ms), dead
        own = here.filter(pl.col("player") == player)
        request = _request(match_id, player, begin, end, own, segments, in_round, config, dies=end == dead)
        if request is None:
            absent.append((player, "no position in the moment"))
        else:
            requests.append(request)
    shown = tuple((t, killer, target) for t, killer, target in kills if from_ms <= t <= to_ms)
    return Moment(tuple(requests), from_ms, to_ms, tuple(absent), shown)


def _request(
    match_id: str,
    player: str,
    begin: int,
    end: int,
    own: pl.DataFrame,
    segments: pl.DataFrame,
    events: pl.DataFrame,
    config: MotionConfig,
    *,
    dies: bool,
) -> ClipRequest | None:
    if dies:  # a body falls where it was last seen, at the instant of the death
        begin = min(begin, end - config.clips.min_ms)
        begin = max(begin, end - config.clips.max_ms)
    samples = samples_of(own, begin - config.clips.margin_ms, end + config.clips.margin_ms)
    inside = (samples["t_ms"] >= begin) & (samples["t_ms"] <= end)
    if not inside.any():
        return None
    mean = _meant(segments.filter(pl.col("player") == player), begin, end)
    fired = events.filter(
        (pl.col("event_type") == "WEAPON_FIRED")
        & (pl.col("actor") == player)
        & pl.col("t_ms").is_between(begin, end)
        & ~pl.col("weapon").fill_null("").str.contains(config.moments.silent)
    )
    request = ClipRequest(
        match_id=match_id,
        segment_id="",
        player=player,
        attacker=_side(own),
        intent=mean[0][1],
        from_ms=begin,
        to_ms=end,
        seed=0,
        acts=tuple(mean[1:]),
        shots_ms=tuple(int(t) for t in fired["t_ms"].unique().sort()),
        dies=dies,
        **samples,
    )
    return replace(request, seed=int(path_hash(request)[:12], 16))


def _side(own: pl.DataFrame) -> bool | None:
    named = own["side"].drop_nulls().to_list()
    return is_attacker(named[0] if named else None)


def _meant(segments: pl.DataFrame, begin: int, end: int) -> list[tuple[int, Intent]]:
    """What a player means from the first instant on, and each change of it; between segments the last one goes on."""
    rows = segments.filter((pl.col("from_ms") < end) & (pl.col("to_ms") > begin)).sort("from_ms", "segment_id")
    found: list[tuple[int, Intent]] = []
    for row in rows.iter_rows(named=True):
        at, intent = max(int(row["from_ms"]), begin), row["intent"]
        if not found:
            found.append((begin, intent))
        elif intent != found[-1][1]:
            found.append((at, intent))
    return found or [(begin, UNTOLD)]


def stage(moment: Moment, config: MotionConfig | None = None) -> Scene:
    """The scene of a moment.

    Args:
        moment: who does what.
        config: defaults to `configs/motion.yaml`.

    Raises:
        NobodyThere: if not one of its players has a feasible motion.
    """
    config = config or load_motion()
    fps = config.clips.fps
    made: list[tuple[ClipRequest, Clip]] = []
    absent = list(moment.absent)
    for request in moment.requests:
        try:
            made.append((request, synthesize(request, config)))
        except Infeasible as error:
            absent.append((request.player, str(error)))
    if not made:
        raise NobodyThere("; ".join(f"{player}: {why}" for player, why in absent) or "nobody is in the moment")
    origin = np.array(
        [np.mean([clip.origin[0] for _, clip in made]), 0.0, np.mean([clip.origin[2] for _, clip in made])]
    )
    origin = np.rint(origin)
    origin[1] = min(float(clip.origin[1] + clip.path[:, 1].min()) for _, clip in made)
    actors = tuple(
        Actor(
            request.player,
            clip,
            round((request.from_ms - moment.from_ms) * fps / 1000),
            clip.origin - origin,
            tuple((at - moment.from_ms, what) for at, what in ((request.from_ms, request.intent), *request.acts)),
        )
        for request, clip in made
    )
    index = {actor.name: k for k, actor in enumerate(actors)}
    shots = sorted(
        (round((at - moment.from_ms) * fps / 1000), index[request.player])
        for request, _ in made
        for at in request.shots_ms or ()
        if at >= moment.from_ms
    )
    frames = int((moment.to_ms - moment.from_ms) * fps // 1000) + 1
    scene = Scene(actors, frames, fps, origin, tuple(shots), absent=tuple(absent))
    return replace(scene, about=_about(scene, moment, index))


def _about(scene: Scene, moment: Moment, index: dict[str, int]) -> tuple[int, ...]:
    """Who kills and who dies; else the two opponents that come nearest to each other; else everyone."""
    killing = [index[name] for _, killer, victim in moment.kills for name in (killer, victim) if name in index]
    if killing:
        return tuple(sorted(set(killing)))
    best: tuple[float, tuple[int, ...]] = (np.inf, tuple(range(len(scene.actors))))
    for i, one in enumerate(scene.actors):
        for k, other in enumerate(scene.actors[i + 1 :], i + 1):
            if {one.clip.attacker, other.clip.attacker} != {True, False} or _lies(one) or _lies(other):
                continue
            near = min(float(np.linalg.norm(one.place(f) - other.place(f))) for f in range(0, scene.frames, 5))
            best = min(best, (near, (i, k)))
    return best[1]


def _lies(actor: Actor) -> bool:
    """Whether the player is dead when the scene begins."""
    return bool(actor.clip.notes.get("dead_from_frame", np.inf) + actor.first <= 0)


def told(scene: Scene) -> dict[str, Any]:
    """JSON-able: what a scene's files say of its actors."""
    return {
        "frames": scene.frames,
        "fps": scene.fps,
        "origin_m": [round(float(v), 4) for v in scene.origin],
        "actors": [
            {
                "player": actor.name,
                "attacker": actor.clip.attacker,
                "acts": [[at, intent] for at, intent in actor.acts],
                "dies_at_frame": _death(actor),
            }
            for actor in scene.actors
        ],
        "shots": [[frame, scene.actors[k].name] for frame, k in scene.shots],
        "absent": dict(scene.absent),
    }


def _death(actor: Actor) -> int | None:
    dead = actor.clip.notes.get("dead_from_frame")
    return None if dead is None else int(dead) + actor.first
