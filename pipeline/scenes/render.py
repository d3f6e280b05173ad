"""A scene as pictures: stick figures and things to scale, seen by a camera that follows.

Belongs here: projection, drawing, video files. Does not belong here: how anybody moves (kinematics, figure).

The camera looks down at an angle without perspective, so that sizes can be compared all over a picture.
"""

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from configs.scenes import ScenesConfig, load_scenes
from pipeline.errors import PipelineError
from pipeline.scenes.figure import posed
from pipeline.scenes.joints import HEAD, HIPS, LEFT_ARM, LEFT_LEG, RIGHT_ARM, RIGHT_LEG, shoulder
from pipeline.scenes.kinematics import Movement, moved, smoothed
from pipeline.scenes.paths import direction_of
from pipeline.scenes.scales import height_m
from pipeline.scenes.schema import Actor, Scene, SceneObject
from pipeline.scenes.shapes import SHADOW, draw_thing

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

Array = NDArray[np.float64]
Frame = NDArray[np.uint8]
Pixels = tuple[float, float]

GROUNDS = {
    "grass": "#7fae66", "diamond": "#7fae66", "moon": "#8b8d94", "street": "#a9aeb2", "room": "#cfc3b0",
    "pitch": "#6ea765", "concrete": "#b9b6ad",
}  # fmt: skip
_FLAT = ("base", "site")  # on the ground: whoever is there stands on it
_LIMBS = ((RIGHT_ARM, True, -1), (RIGHT_LEG, False, -1), (LEFT_LEG, False, 1), (LEFT_ARM, True, 1))
"""Each limb, whether it is an arm, and on which side."""


class Unwritable(PipelineError):
    """A film cannot be written in this format."""


@dataclass(frozen=True)
class Played:
    """An actor and all of its frames.

    Attributes:
        actor: who.
        movement: where.
        joints: `(n, 10, 2)` how.
    """

    actor: Actor
    movement: Movement
    joints: Array


def played(scene: Scene, config: ScenesConfig | None = None, *, static: bool = False) -> list[Played]:
    """All actors of a scene, moved.

    Args:
        scene: the story.
        config: defaults to `configs/scenes.yaml`.
        static: whether limbs move but nobody goes anywhere, as animation in place does; for comparison.
    """
    config = config or load_scenes()
    out = []
    for actor in scene.actors:
        movement = moved(actor, scene.duration, config)
        joints = posed(movement, config, scale=actor.scale, gravity=scene.gravity)
        if static:
            place = np.repeat(movement.position[:1], len(movement.position), axis=0)
            movement = Movement(
                place, movement.heading, movement.speed, movement.distance, movement.actions, movement.since
            )
        out.append(Played(actor, movement, joints))
    return out


class Film:
    """The pictures of a scene.

    Args:
        scene: the story.
        config: defaults to `configs/scenes.yaml`.
        static: see `played`.
        caption: written at the top left; the prompt if not given.
        cast: the actors with all of their frames, where something else moved them.
    """

    def __init__(
        self,
        scene: Scene,
        config: ScenesConfig | None = None,
        *,
        static: bool = False,
        caption: str | None = None,
        cast: list[Played] | None = None,
    ) -> None:
        self.config = config or load_scenes()
        self.scene, self.caption = scene, scene.prompt if caption is None else caption
        self.cast = played(scene, self.config, static=static) if cast is None else cast
        self.fps, self.frames = self.config.fps, round(scene.duration * self.config.fps)
        view = self.config.render
        self._tilt = math.radians(view.pitch_deg)
        self._over = view.oversample
        self._size = (view.width * self._over, view.height * self._over)
        self._centre, self._span = self._camera()

    # -- camera ------------------------------------------------------------------------------------------------------

    def _camera(self) -> tuple[Array, Array]:
        """Middle on the ground `(n, 2)` and width in metres `(n,)`, smoothed."""
        view = self.config.render
        names = self.scene.camera.follow or tuple(actor.id for actor in self.scene.actors)
        whom = np.stack([p.movement.position for p in self.cast if p.actor.id in names])
        low, high = whom.min(axis=0), whom.max(axis=0)
        aspect = view.width / view.height
        wide = high[:, 0] - low[:, 0] + 2.0 * view.margin_m
        tall = ((high[:, 1] - low[:, 1]) * math.sin(self._tilt) + 4.6) * aspect
        span = np.maximum(np.maximum(wide, tall), view.least_width_m)
        if self.scene.camera.width_m:
            span = np.maximum(span, self.scene.camera.width_m)
        ways = smoothed(np.column_stack([0.5 * (low + high), span]), view.smoothing_s * self.fps)
        return ways[:, :2], ways[:, 2]

    def _project(self, frame: int, point: Any) -> Pixels:
        x, y, z = point
        scale = self._size[0] / self._span[frame]
        cx, cz = self._centre[frame]
        right = self._size[0] / 2 + (x - cx) * scale
        down = 0.56 * self._size[1] + ((z - cz) * math.sin(self._tilt) - y * math.cos(self._tilt)) * scale
        return float(right), float(down)

    def _ground(self, frame: int, points: Any) -> list[Pixels]:
        return [self._project(frame, (x, 0.0, z)) for x, z in points]

    def as_large_as(self, other: "Film") -> None:
        """Shows everything as large as another film of the same length does, wherever it looks."""
        self._span = other._span

    # -- pictures ----------------------------------------------------------------------------------------------------

    def picture(self, frame: int) -> "Image.Image":
        """One frame."""
        from PIL import Image, ImageDraw

        base = GROUNDS[self.scene.ground]
        image = Image.new("RGB", self._size, base)
        draw = ImageDraw.Draw(image, "RGBA")
        self._grid(draw, frame, base)
        scale = self._size[0] / self._span[frame]
        for mark in self.scene.marks:
            corners = self._ground(frame, mark.points)
            if mark.width_m is None:
                draw.polygon(corners, fill=mark.color)
            else:
                closed = [*corners, *corners[:2]] if mark.closed else corners  # over its beginning, for a joint there
                draw.line(closed, fill=mark.color, width=max(round(mark.width_m * scale), self._over), joint="curve")
        drawn: list[tuple[float, Any]] = [(float(p.movement.position[frame, 1]), p) for p in self.cast]
        for each in self.scene.objects:
            if (place := self._place(each, frame)) is not None:
                drawn.append((-math.inf if each.kind in _FLAT else place[2], (each, place)))
        for _, thing in sorted(drawn, key=lambda entry: entry[0]):
            if isinstance(thing, Played):
                self._figure(draw, frame, thing, scale)
            else:
                self._thing(draw, frame, thing[0], thing[1], scale)
        if self._over > 1:
            view = self.config.render
            image = image.resize((view.width, view.height), Image.Resampling.BOX)
        self._write(ImageDraw.Draw(image), frame)
        return image

    def _grid(self, draw: "ImageDraw.ImageDraw", frame: int, base: str) -> None:
        """Lines on the ground, 1 m apart where that can be seen, so that one sees how far somebody goes."""
        span = self._span[frame]
        step = 1.0 if span < 16 else 5.0 if span < 60 else 20.0
        cx, cz = self._centre[frame]
        deep = span / math.sin(self._tilt)
        color = _mixed(base, "#000000", 0.07)
        for k in range(math.floor((cx - span) / step), math.ceil((cx + span) / step) + 1):
            ends = self._ground(frame, [(k * step, cz - deep), (k * step, cz + deep)])
            draw.line(ends, fill=color, width=self._over)
        for k in range(math.floor((cz - deep) / step), math.ceil((cz + deep) / step) + 1):
            draw.line(self._ground(frame, [(cx - span, k * step), (cx + span, k * step)]), fill=color, width=self._over)

    def _figure(self, draw: "ImageDraw.ImageDraw", frame: int, p: Played, scale: float) -> None:
        human, size = self.config.human, p.actor.scale
        joints = p.joints[frame]
        ahead = direction_of(np.array(p.movement.heading[frame]))
        aside = np.array([ahead[1], -ahead[0]])  # to its left, seen from above with z towards us
        at = p.movement.position[frame]

        def world(joint: Array, left: float) -> Pixels:
            x, z = at + joint[0] * ahead + left * size * aside
            return self._project(frame, (x, joint[1], z))

        top = shoulder(joints, human)
        foot = self._project(frame, (at[0], 0.0, at[1]))
        r = 0.34 * size * scale
        draw.ellipse((foot[0] - r, foot[1] - r * 0.42, foot[0] + r, foot[1] + r * 0.42),
                     fill=SHADOW)  # fmt: skip
        width = max(round(0.085 * size * scale), 2)
        dark = _mixed(p.actor.color, "#000000", 0.35)
        limbs = []
        for (middle, end), is_arm, side in _LIMBS:
            wide = 0.5 * side * (human.shoulder_width if is_arm else human.hip_width)
            root = top if is_arm else joints[HIPS]
            near = side * aside[1]  # positive: towards us
            points = [world(root, wide), world(joints[middle], wide), world(joints[end], wide)]
            limbs.append((near, points))
        limbs.sort(key=lambda limb: limb[0])
        for near, points in limbs[:2]:
            del near
            _stroke(draw, points, dark, width)
        body = [world(joints[HIPS], 0.0), world(top, 0.0), world(joints[HEAD], 0.0)]
        _stroke(draw, body, p.actor.color, round(1.35 * width))
        shoulders = [world(top, 0.5 * human.shoulder_width), world(top, -0.5 * human.shoulder_width)]
        hips = [world(joints[HIPS], 0.5 * human.hip_width), world(joints[HIPS], -0.5 * human.hip_width)]
        for bar in (shoulders, hips):
            _stroke(draw, bar, p.actor.color, width)
        head, radius = world(joints[HEAD], 0.0), human.head_radius * size * scale
        draw.ellipse((head[0] - radius, head[1] - radius, head[0] + radius, head[1] + radius), fill=p.actor.color)
        if self.scene.theme == "space":
            r = 1.35 * radius  # a helmet
            draw.ellipse(
                (head[0] - r, head[1] - r, head[0] + r, head[1] + r), outline="#f4f6f8", width=max(width // 2, 1)
            )
        for near, points in limbs[2:]:
            del near
            _stroke(draw, points, _mixed(p.actor.color, "#ffffff", 0.12), width)

    def _place(self, thing: SceneObject, frame: int) -> tuple[float, float, float] | None:
        """Where a thing is, or nowhere yet."""
        time = frame / self.fps
        if not thing.from_s <= time < thing.until_s:
            return None
        here = thing.position
        for throw in thing.throws:
            if time >= throw.end:
                here = throw.target
            elif time >= throw.begin:
                share, length = (time - throw.begin) / (throw.end - throw.begin), throw.end - throw.begin
                x, y, z = (a + share * (b - a) for a, b in zip(throw.start, throw.target, strict=True))
                fall = 0.5 * self.scene.gravity * length * length * share * (1.0 - share) if throw.flies else 0.0
                return x, y + fall, z
        return here

    def _thing(self, draw: "ImageDraw.ImageDraw", frame: int, thing: SceneObject, place: Any, scale: float) -> None:
        height = height_m(self.config, thing.kind, thing.scale)
        draw_thing(draw, thing, place, height, lambda point: self._project(frame, point), scale, math.sin(self._tilt))

    def _write(self, draw: "ImageDraw.ImageDraw", frame: int) -> None:
        from PIL import ImageFont

        view = self.config.render
        font = ImageFont.load_default(max(round(view.height / 34), 9))
        draw.text((10, 7), self.caption, fill="#16181c", font=font, stroke_width=2, stroke_fill="#ffffffc0")
        clock = f"{frame / self.fps:5.1f} s"
        draw.text((view.width - 74, view.height - 26), clock, fill="#16181c", font=font)
        metre = view.width / self._span[frame]
        unit = next(size for size in (1, 2, 5, 10, 20, 50, 100) if size * metre >= 60 or size == 100)
        y = view.height - 14
        draw.line([(12, y), (12 + unit * metre, y)], fill="#16181c", width=3)
        draw.text((12, y - 22), f"{unit} m", fill="#16181c", font=font)

    def pictures(self, every: int = 1, begin: int = 0, end: int | None = None) -> Iterator["Image.Image"]:
        """Frames in order."""
        for frame in range(begin, self.frames if end is None else min(end, self.frames), every):
            yield self.picture(frame)


def _stroke(draw: "ImageDraw.ImageDraw", points: list[Pixels], color: str, width: int) -> None:
    """A line with round corners and ends."""
    draw.line(points, fill=color, width=width, joint="curve")
    r = width / 2
    for x, y in points:
        draw.ellipse((x - r, y - r, x + r, y + r), fill=color)


def _mixed(color: str, other: str, share: float) -> str:
    a, b = (np.array([int(c[k : k + 2], 16) for k in (1, 3, 5)]) for c in (color, other))
    return "#" + "".join(f"{round(v):02x}" for v in a + share * (b - a))


def mp4(pictures: Iterator["Image.Image"], fps: int) -> bytes:
    """A film as MP4 (H.264), from pictures of one even size.

    Raises:
        Unwritable: if there is no picture.
    """
    import av

    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream: Any = None
        for picture in pictures:
            if stream is None:
                stream = container.add_stream("libx264", rate=fps)
                stream.width, stream.height = picture.size
                stream.pix_fmt = "yuv420p"
                stream.options = {"crf": "23", "preset": "veryfast", "threads": "1"}
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")))
        if stream is None:
            raise Unwritable("a film without pictures")
        container.mux(stream.encode())
    return out.getvalue()


_SMALL = 480  # pixels that an animated picture is wide


def animated(pictures: Iterator["Image.Image"], fps: float, kind: str, *, width: int = _SMALL) -> bytes:
    """A film as animated WebP or GIF, smaller.

    Args:
        pictures: frames.
        fps: of these frames; a GIF's clock has hundredths of a second.
        kind: `webp` or `gif`.
        width: in pixels.

    Raises:
        Unwritable: if it is neither, or there is no picture.
    """
    from PIL import Image

    frames = [
        picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.BOX)
        for picture in pictures
    ]
    if not frames:
        raise Unwritable("a film without pictures")
    out = io.BytesIO()
    options: dict[str, Any] = {"save_all": True, "append_images": frames[1:], "duration": round(1000 / fps), "loop": 0}
    if kind == "webp":
        frames[0].save(out, "WEBP", quality=72, method=2, **options)
    elif kind == "gif":
        frames[0].save(out, "GIF", optimize=False, **options)
    else:
        raise Unwritable(f"no format {kind!r}: mp4, webp or gif")
    return out.getvalue()


def film(scene: Scene, kind: str, config: ScenesConfig | None = None, *, static: bool = False) -> bytes:
    """A scene as a file.

    Args:
        scene: the story.
        kind: `mp4` (25 fps), `webp` or `gif` (12.5 fps).
        config: defaults to `configs/scenes.yaml`.
        static: see `played`.
    """
    shown = Film(scene, config, static=static)
    if kind == "mp4":
        return mp4(shown.pictures(), shown.fps)
    return animated(shown.pictures(every=2), shown.fps / 2, kind)


def before_after(scene: Scene, kind: str = "mp4", config: ScenesConfig | None = None) -> bytes:
    """The same scene twice, side by side: animated in place, and moving.

    Args:
        scene: the story.
        kind: `mp4` (25 fps), `webp` or `gif` (12.5 fps).
        config: defaults to `configs/scenes.yaml`.
    """
    static, moving = beside(scene, config)
    if kind == "mp4":
        return mp4(_paired(static.pictures(), moving.pictures()), moving.fps)
    pairs = _paired(static.pictures(every=2), moving.pictures(every=2))
    return animated(pairs, moving.fps / 2, kind, width=2 * _SMALL)


def beside(scene: Scene, config: ScenesConfig | None = None) -> tuple[Film, Film]:
    """The same scene animated in place, and moving, as large in both; each camera follows what there is to follow."""
    static, moving = (
        Film(scene, config, static=in_place, caption=caption)
        for in_place, caption in ((True, "before: limbs move, positions don't"), (False, "after: true speed, true way"))
    )
    static.as_large_as(moving)
    return static, moving


def _paired(left: Iterator["Image.Image"], right: Iterator["Image.Image"]) -> Iterator["Image.Image"]:
    for before, after in zip(left, right, strict=True):
        yield paired(before, after)


def paired(left: "Image.Image", right: "Image.Image") -> "Image.Image":
    """Two pictures of one size, side by side."""
    from PIL import Image

    both = Image.new("RGB", (2 * left.width, left.height))
    both.paste(left, (0, 0))
    both.paste(right, (left.width, 0))
    return both


def contact_sheet(
    scene: Scene, config: ScenesConfig | None = None, *, count: int = 9, columns: int = 3, cell: int = 480
) -> bytes:
    """A JPEG with frames of a scene, evenly in time."""
    from PIL import Image

    shown = Film(scene, config)
    frames = [round(k) for k in np.linspace(0.02, 0.98, count) * (shown.frames - 1)]
    tall = round(cell * shown.config.render.height / shown.config.render.width)
    sheet = Image.new("RGB", (columns * cell, -(-count // columns) * tall), "#ffffff")
    for k, frame in enumerate(frames):
        picture = shown.picture(frame).resize((cell, tall), Image.Resampling.LANCZOS)
        sheet.paste(picture, ((k % columns) * cell, (k // columns) * tall))
    out = io.BytesIO()
    sheet.save(out, "JPEG", quality=86)
    return out.getvalue()
