"""What a scene is: actors, objects, a camera, and what is said of them.

Belongs here: fields and what must hold among them. Does not belong here: how a scene comes about (story, themes), how
its actors move (kinematics), what it looks like (render).

Positions are metres on the ground (x, z), times seconds, velocities m/s. Bad input is a pydantic `ValidationError`
whose message names the actor and the field.
"""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    ModelWrapValidatorHandler,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from configs.scenes import load_scenes
from pipeline.scenes.scales import allowed

Point = tuple[FiniteFloat, FiniteFloat]
Place = tuple[FiniteFloat, FiniteFloat, FiniteFloat]
Seconds = FiniteFloat


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Actor(_Part):
    """Somebody in a scene.

    Attributes:
        id: its name.
        actor_type: what it is, in a word that a caption can use.
        color: as `#rrggbb`.
        initial_position: where it begins.
        actions: what it does from when on, in order of time.
        team: its side, if it has one.
        scale: its size, 1 for a human of 1.7 m.
        velocity: constant, if it has one.
        movement_path: where it is when. Between equal points it stays. Between others it sets out at the time of the
            first and goes as fast as its action does, so it arrives when that speed brings it there; if `timed`, it is
            at each point at its time.
        timed: whether the times of the path are true, as those of a recording.
        heading: where it looks at the beginning.
        facings: where it turns while it stays, in order of time.
        pace: how much faster than the table it is, as a factor.
    """

    id: str = Field(min_length=1)
    actor_type: str = Field(min_length=1)
    color: str = Field(pattern=r"^#[0-9a-f]{6}$")
    initial_position: Point
    actions: tuple[tuple[Seconds, str], ...] = Field(min_length=1)
    team: str | None = None
    scale: FiniteFloat = Field(default=1.0, gt=0.2, lt=5)
    velocity: Point | None = None
    movement_path: tuple[tuple[Seconds, Point], ...] | None = None
    timed: bool = False
    heading: FiniteFloat = 0.0
    facings: tuple[tuple[Seconds, FiniteFloat], ...] = ()
    pace: FiniteFloat = Field(default=1.0, ge=0.95, le=1.05)

    @model_validator(mode="wrap")
    @classmethod
    def _named(cls, value: Any, validated: ModelWrapValidatorHandler[Self]) -> Self:
        """Whatever is wrong with a field is said of the actor by its name."""
        try:
            return validated(value)
        except ValidationError as error:
            name = value.get("id") if isinstance(value, Mapping) else None
            raise ValidationError.from_exception_data(
                error.title,
                [
                    InitErrorDetails(
                        type=PydanticCustomError(each["type"], "{said}", {"said": each["msg"]}),
                        loc=(f"actor {name!r}", *each["loc"]),
                        input=each["input"],
                    )
                    for each in error.errors(include_url=False, include_context=False)
                ],
            ) from None

    @field_validator("actions")
    @classmethod
    def _known(cls, actions: tuple[tuple[float, str], ...]) -> tuple[tuple[float, str], ...]:
        known = load_scenes().actions
        for _, action in actions:
            if action not in known:
                raise ValueError(f"unknown action {action!r}; there are {', '.join(known)}")
        return actions

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        fastest = load_scenes().fastest_mps
        for field, times in (
            ("actions", [at for at, _ in self.actions]),
            ("facings", [at for at, _ in self.facings]),
            ("movement_path", [at for at, _ in self.movement_path or ()]),
        ):
            if any(after < before for before, after in pairwise(times)):
                raise ValueError(f"actor {self.id!r}, {field}: times are not in order")
        if self.velocity is not None and math.hypot(*self.velocity) > fastest:
            raise ValueError(f"actor {self.id!r}, velocity: faster than any action allows ({fastest} m/s)")
        if self.velocity is not None and self.movement_path is not None:
            raise ValueError(f"actor {self.id!r}, velocity: it has a movement_path already")
        if self.movement_path is not None:
            self._check_path(fastest)
        return self

    def _check_path(self, fastest: float) -> None:
        path = self.movement_path or ()
        if not path:
            raise ValueError(f"actor {self.id!r}, movement_path: it is empty")
        if math.dist(path[0][1], self.initial_position) > 0.01:
            raise ValueError(f"actor {self.id!r}, movement_path: it does not begin at initial_position")
        for (begin, here), (end, there) in pairwise(path):
            way = math.dist(here, there)
            if way > fastest * (end - begin) * 1.05 + 0.05:
                seconds = end - begin
                raise ValueError(
                    f"actor {self.id!r}, movement_path: {way:.1f} m in {seconds:.2f} s from {begin:.2f} s on is faster "
                    f"than any action allows ({fastest} m/s)"
                )


class Throw(_Part):
    """A thing's way through the air from one place to another.

    Attributes:
        begin: when it leaves.
        end: when it arrives.
        start: from where, `(x, y, z)`.
        target: to where.
        flies: whether it falls on the way; else it goes straight.
    """

    begin: Seconds
    end: Seconds
    start: Place
    target: Place
    flies: bool = True

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if self.end <= self.begin:
            raise ValueError("throw: it arrives before it leaves")
        return self


class SceneObject(_Part):
    """Something in a scene.

    Attributes:
        id: its name.
        kind: one of the kinds in the configuration.
        position: of its foot, `(x, y, z)`.
        scale: its size, 1 for the usual one of its kind.
        color: as `#rrggbb`; the kind's own if not given.
        throws: its ways, in order of time; before the first it is at its position.
        from_s: when it appears.
        until_s: when it is gone.
    """

    id: str = Field(min_length=1)
    kind: str
    position: Place
    scale: FiniteFloat = Field(default=1.0, gt=0)
    color: str | None = Field(default=None, pattern=r"^#[0-9a-f]{6}$")
    throws: tuple[Throw, ...] = ()
    from_s: Seconds = 0.0
    until_s: Seconds = 1e6

    @model_validator(mode="after")
    def _sized(self) -> Self:
        config = load_scenes()
        if self.kind not in config.objects:
            raise ValueError(f"object {self.id!r}, kind: unknown {self.kind!r}; there are {', '.join(config.objects)}")
        least, most = allowed(config, self.kind)
        if not least - 1e-9 <= self.scale <= most + 1e-9:
            raise ValueError(
                f"object {self.id!r}, scale: {self.scale} is outside {least:.2f} to {most:.2f} for a {self.kind}"
            )
        for before, after in pairwise(self.throws):
            if after.begin < before.end - 1e-9:
                raise ValueError(f"object {self.id!r}, throws: times are not in order")
        return self


class Camera(_Part):
    """Whom the camera follows.

    Attributes:
        follow: ids of actors; everybody if empty.
        width_m: what it sees from left to right; what it takes if not given.
    """

    follow: tuple[str, ...] = ()
    width_m: FiniteFloat | None = Field(default=None, gt=0)


Ground = Literal["grass", "diamond", "moon", "street", "room", "pitch", "concrete"]


class Mark(_Part):
    """A line or an area painted on the ground.

    Attributes:
        points: its corners.
        color: as `#rrggbb`.
        width_m: of the line; an area if not given.
        closed: whether the line comes back to its beginning.
    """

    points: tuple[Point, ...] = Field(min_length=2)
    color: str = Field(pattern=r"^#[0-9a-f]{6}$")
    width_m: FiniteFloat | None = None
    closed: bool = False


class Scene(_Part):
    """A story: who and what is in it, how long it takes, and what is said of it.

    Attributes:
        theme: where it plays.
        seed: what it was drawn from.
        duration: seconds.
        actors: at least one, ids differ.
        objects: ids differ.
        camera: whom it follows.
        ground: what the ground looks like.
        marks: what is painted on it.
        gravity: m/s².
        prompt: the story in a sentence.
        paraphrases: the same in other words; the prompt is the first.
        source: what it retells, if it does.
    """

    theme: str = Field(min_length=1)
    seed: int = Field(ge=0)
    duration: Seconds = Field(gt=0, le=600)
    actors: tuple[Actor, ...] = Field(min_length=1)
    objects: tuple[SceneObject, ...] = ()
    camera: Camera = Camera()
    ground: Ground = "grass"
    marks: tuple[Mark, ...] = ()
    gravity: FiniteFloat = Field(default=9.81, gt=0)
    prompt: str = Field(min_length=1)
    paraphrases: tuple[str, ...] = Field(min_length=1)
    source: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for field, ids in (("actors", [a.id for a in self.actors]), ("objects", [o.id for o in self.objects])):
            if twice := sorted({name for name in ids if ids.count(name) > 1}):
                raise ValueError(f"{field}: id {twice[0]!r} comes twice")
        if unknown := set(self.camera.follow) - {actor.id for actor in self.actors}:
            raise ValueError(f"camera, follow: no actor {sorted(unknown)[0]!r}")
        if self.prompt != self.paraphrases[0]:
            raise ValueError("paraphrases: the first is not the prompt")
        return self
