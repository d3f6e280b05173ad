"""What is asked of a motion backend, and what it gives back.

Belongs here: the two records. Does not belong here: how one becomes the other (synthesizer), files (gltf, preview).
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.intents.vocabulary import Intent
from pipeline.motion.rotations import Array

NULL = np.iinfo(np.int32).min
"""Stands for a value that the source does not have: a planar height, an unknown view."""


def _frozen(values: object, dtype: type[np.signedinteger]) -> NDArray[np.signedinteger]:  # type: ignore[type-arg]
    out = np.array(values, dtype=dtype)
    out.setflags(write=False)
    return out


@dataclass(frozen=True, eq=False)
class ClipRequest:
    """One player's moment, as integers straight from the tracks.

    Attributes:
        match_id: the match.
        segment_id: the segment, 16 hex digits.
        player: the player.
        attacker: whether the player's side plants; None when unknown. Chooses the colour, nothing else.
        intent: what the player means to do.
        from_ms: first instant of the clip, match time.
        to_ms: last instant of the clip.
        t_ms: int64, strictly rising instants of the samples; they may reach beyond the clip on both sides.
        x_mm: int32, like `z_mm`, in the ground plane.
        y_mm: int32 height, `NULL` where the source is planar.
        z_mm: int32.
        yaw_mdeg: int32 view about +y, 0 = +x; `NULL` where unknown.
        pitch_mdeg: int32 view, positive downwards; `NULL` where unknown.
        seed: of all variation.
        acts: instants from which something else is meant, and what; rising, after `from_ms`. Empty where one intent is
            meant throughout.
        shots_ms: instants at which the player fires; None where they are not known, and who engages fires in bursts.
        dies: whether the player falls at `to_ms`; the clip goes on until the body lies.
        model_version: of the model that decided the intent; empty when nobody did.
        features_hash: names the features it decided by; empty when there are none.
    """

    match_id: str
    segment_id: str
    player: str
    attacker: bool | None
    intent: Intent
    from_ms: int
    to_ms: int
    t_ms: NDArray[np.int64]
    x_mm: NDArray[np.int32]
    y_mm: NDArray[np.int32]
    z_mm: NDArray[np.int32]
    yaw_mdeg: NDArray[np.int32]
    pitch_mdeg: NDArray[np.int32]
    seed: int
    acts: tuple[tuple[int, Intent], ...] = ()
    shots_ms: tuple[int, ...] | None = None
    dies: bool = False
    model_version: str = ""
    features_hash: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "t_ms", _frozen(self.t_ms, np.int64))
        for name in ("x_mm", "y_mm", "z_mm", "yaw_mdeg", "pitch_mdeg"):
            column = _frozen(getattr(self, name), np.int32)
            object.__setattr__(self, name, column)
            if column.shape != self.t_ms.shape:
                raise ValueError(f"{name} has {column.size} samples, t_ms has {self.t_ms.size}")


@dataclass(frozen=True, eq=False)
class Clip:
    """A motion of the 22 joints, at a fixed rate, in metres around an origin of its own.

    Attributes:
        rotations: local unit quaternions `(T, 22, 4)`, xyzw, continuous in sign.
        root: position of the pelvis `(T, 3)`, relative to `origin`.
        contacts: `(T, 2)` bool, left and right: the ball of that foot is held by the ground.
        fps: frames a second.
        path: `(T, 3)` smoothed path on the ground that the root had to follow, relative to `origin`.
        heading: `(T,)` radians, view direction about +y, 0 = +z.
        footprints: `(n, 7)` of each stance in the clip or shortly before or after, in order of time for each foot: x,
            y, z of the ground under the ball, direction, foot (0 left, 1 right), seconds from which and until which it
            stands.
        origin: `(3,)` metres, the clip's (0, 0, 0) in match coordinates.
        intent: what was acted.
        attacker: as requested.
        backend: who synthesised it.
        trainable: whether it may train other models.
        notes: figures of the synthesis, such as how far the path was smoothed.
        made_with: what else its maker says, such as the model and the prompt.
    """

    rotations: Array
    root: Array
    contacts: NDArray[np.bool_]
    fps: int
    path: Array
    heading: Array
    footprints: Array
    origin: Array
    intent: Intent
    attacker: bool | None
    backend: str = "local"
    trainable: bool = True
    notes: dict[str, float] = field(default_factory=dict)
    made_with: dict[str, str] = field(default_factory=dict)

    @property
    def hands_free(self) -> bool:
        """Whether the hands have other work than to hold what they carry."""
        return self.intent in ("plant", "defuse")

    @property
    def frames(self) -> int:
        """Number of frames."""
        return int(self.root.shape[0])

    @property
    def seconds(self) -> float:
        """Length from the first frame to the last."""
        return (self.frames - 1) / self.fps
