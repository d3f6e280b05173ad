"""What things look like: a few polygons each, as high as they are.

Belongs here: shapes by kind. Does not belong here: sizes (scales), the camera (render).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pipeline.scenes.schema import SceneObject

if TYPE_CHECKING:
    from PIL import ImageDraw

Pixels = tuple[float, float]
Project = Callable[[tuple[float, float, float]], Pixels]

SHADOW = (0, 0, 0, 56)

COLORS = {
    "table": "#8a5a33", "chair": "#5f4633", "bench": "#6b4a2b", "car": "#c0392b", "tree": "#3f7d43",
    "building": "#8e8f98", "spaceship": "#d9dde3", "planet": "#6a7fd0", "rock": "#75777d", "lamp": "#3a3d42",
    "goal": "#f5f5f5", "base": "#ffffff", "site": "#d98c20", "baseball": "#ffffff", "ball": "#f4f4f4",
    "food": "#e0a030", "sample": "#58c4c9",
}  # fmt: skip


def draw_thing(
    draw: "ImageDraw.ImageDraw",
    thing: SceneObject,
    place: tuple[float, float, float],
    height: float,
    project: Project,
    scale: float,
    squash: float,
) -> None:
    """Draws a thing.

    Args:
        draw: on which picture.
        thing: what.
        place: of its foot, metres.
        height: metres.
        project: from metres to pixels.
        scale: pixels of a metre.
        squash: how much shorter a metre in depth is than one to the side.
    """
    color = thing.color or COLORS[thing.kind]
    pen = _Pen(draw, place, project, scale, squash, color)
    _SHAPES.get(thing.kind, _round)(pen, height)


class _Pen:
    """Draws relative to the foot of a thing, in metres."""

    def __init__(self, draw: Any, place: Any, project: Project, scale: float, squash: float, color: str) -> None:
        self.draw, self.place, self.project = draw, place, project
        self.scale, self.squash, self.color = scale, squash, color

    def at(self, x: float, y: float, z: float = 0.0) -> Pixels:
        return self.project((self.place[0] + x, self.place[1] + y, self.place[2] + z))

    def shade(self, share: float) -> str:
        other = 0 if share < 0 else 255
        channels = [int(self.color[k : k + 2], 16) for k in (1, 3, 5)]
        return "#" + "".join(f"{round(c + abs(share) * (other - c)):02x}" for c in channels)

    def area(self, *points: tuple[float, float], fill: str | None = None, z: float = 0.0) -> None:
        self.draw.polygon([self.at(x, y, z) for x, y in points], fill=fill or self.color)

    def box(self, x: float, y: float, z: float, w: float, h: float, d: float, fill: str | None = None) -> None:
        """A block: front, top; x and z are its middle, y its bottom."""
        base = fill or self.color
        keep, self.color = self.color, base
        a, b, near, far = x - w / 2, x + w / 2, z + d / 2, z - d / 2
        self.draw.polygon(
            [self.at(a, y + h, near), self.at(b, y + h, near), self.at(b, y + h, far), self.at(a, y + h, far)],
            fill=self.shade(0.18),
        )
        self.draw.polygon(
            [self.at(a, y, near), self.at(b, y, near), self.at(b, y + h, near), self.at(a, y + h, near)], fill=base
        )
        self.color = keep

    def disc(self, x: float, y: float, r: float, fill: str | None = None, z: float = 0.0, flat: bool = False) -> None:
        cx, cy = self.at(x, y, z)
        rx, ry = max(r * self.scale, 1.5), max(r * self.scale * (self.squash if flat else 1.0), 1.5)
        self.draw.ellipse((cx - rx, cy - ry, cx + rx, cy + ry), fill=fill or self.color)

    def shadow(self, r: float) -> None:
        x, _, z = self.place
        cx, cy = self.project((x, 0.0, z))
        rx, ry = r * self.scale, r * self.scale * self.squash
        self.draw.ellipse((cx - rx, cy - ry, cx + rx, cy + ry), fill=SHADOW)


def _round(pen: _Pen, height: float) -> None:
    r = height / 2
    pen.shadow(r)
    pen.disc(0.0, r, max(r, 2.2 / pen.scale), fill=pen.shade(-0.25))
    pen.disc(0.0, r, max(0.86 * r, 1.8 / pen.scale))


def _base(pen: _Pen, height: float) -> None:
    pen.box(0.0, 0.0, 0.0, 0.46, height, 0.46)


def _site(pen: _Pen, height: float) -> None:
    pen.disc(0.0, 0.0, 2.2, fill=pen.shade(0.35), flat=True)
    pen.disc(0.0, height, 1.9, flat=True)


def _tree(pen: _Pen, height: float) -> None:
    pen.shadow(0.16 * height)
    pen.area(
        (-0.025 * height, 0.0),
        (0.025 * height, 0.0),
        (0.015 * height, 0.5 * height),
        (-0.015 * height, 0.5 * height),
        fill="#6b4a2b",
    )
    for x, y, r, share in (
        (-0.13, 0.52, 0.16, -0.14),
        (0.13, 0.55, 0.16, -0.08),
        (0.0, 0.66, 0.20, 0.0),
        (0.02, 0.84, 0.155, 0.10),
    ):
        pen.disc(x * height, y * height, r * height, fill=pen.shade(share))


def _building(pen: _Pen, height: float) -> None:
    width, depth = 0.5 * height if height < 30 else 15.0, 8.0
    pen.box(0.0, 0.0, 0.0, width, height, depth)
    floors, columns = max(int(height / 3.2), 1), max(int(width / 2.6), 2)
    for floor in range(floors):
        for column in range(columns):
            x = (column + 0.5) / columns * width - width / 2
            y = (floor + 0.35) * height / floors
            pen.area(
                (x - 0.6, y),
                (x + 0.6, y),
                (x + 0.6, y + 1.4),
                (x - 0.6, y + 1.4),
                fill="#dfe8f0" if (floor + column) % 3 else "#f3dc9a",
                z=depth / 2,
            )


def _car(pen: _Pen, height: float) -> None:
    long, wide = 2.9 * height, 1.2 * height
    pen.shadow(0.5 * long)
    pen.box(0.0, 0.22 * height, 0.0, long, 0.42 * height, wide)
    near = wide / 2
    cabin = ((-0.30 * long, 0.64 * height), (0.26 * long, 0.64 * height), (0.15 * long, height), (-0.2 * long, height))
    pen.area(*cabin, fill=pen.shade(-0.18), z=near * 0.5)
    window = (
        (-0.25 * long, 0.67 * height),
        (0.21 * long, 0.67 * height),
        (0.125 * long, 0.94 * height),
        (-0.175 * long, 0.94 * height),
    )
    pen.area(*window, fill="#cfe3ee", z=near * 0.5)
    for x in (-0.31 * long, 0.31 * long):
        pen.disc(x, 0.22 * height, 0.22 * height, fill="#23262b", z=near)
        pen.disc(x, 0.22 * height, 0.10 * height, fill="#a9adb3", z=near)


def _spaceship(pen: _Pen, height: float) -> None:
    h = height
    pen.shadow(0.20 * h)
    for side in (-1, 1):
        pen.area(
            (side * 0.09 * h, 0.26 * h),
            (side * 0.22 * h, 0.0),
            (side * 0.12 * h, 0.06 * h),
            (side * 0.07 * h, 0.12 * h),
            fill="#b23a48",
        )
    body = [
        (-0.10, 0.08),
        (0.10, 0.08),
        (0.125, 0.35),
        (0.11, 0.62),
        (0.06, 0.86),
        (0.0, 1.0),
        (-0.06, 0.86),
        (-0.11, 0.62),
        (-0.125, 0.35),
    ]
    pen.area(*[(x * h, y * h) for x, y in body])
    pen.area(
        (0.03 * h, 0.08 * h),
        (0.10 * h, 0.08 * h),
        (0.125 * h, 0.35 * h),
        (0.11 * h, 0.62 * h),
        (0.06 * h, 0.86 * h),
        (0.0, h),
        fill=pen.shade(-0.12),
    )
    pen.disc(0.0, 0.64 * h, 0.045 * h, fill="#3d5a80")
    pen.area(
        (-0.035 * h, 0.08 * h), (0.035 * h, 0.08 * h), (0.035 * h, 0.22 * h), (-0.035 * h, 0.22 * h), fill="#6d7480"
    )


def _planet(pen: _Pen, height: float) -> None:
    r = height / 2
    pen.disc(0.0, r, r)
    pen.disc(-0.25 * r, 1.2 * r, 0.55 * r, fill=pen.shade(0.15))
    pen.disc(0.35 * r, 0.75 * r, 0.22 * r, fill=pen.shade(-0.12))


def _rock(pen: _Pen, height: float) -> None:
    h = height
    pen.shadow(0.75 * h)
    pen.area((-0.8 * h, 0.0), (0.75 * h, 0.0), (0.6 * h, 0.6 * h), (0.1 * h, h), (-0.45 * h, 0.8 * h))
    pen.area((-0.2 * h, 0.0), (0.75 * h, 0.0), (0.6 * h, 0.6 * h), (0.1 * h, h), fill=pen.shade(-0.15))


def _lamp(pen: _Pen, height: float) -> None:
    pen.shadow(0.25)
    pen.area((-0.06, 0.0), (0.06, 0.0), (0.04, height), (-0.04, height))
    pen.area((-0.04, height - 0.1), (0.9, height - 0.1), (0.9, height), (-0.04, height))
    pen.disc(0.8, height - 0.15, 0.18, fill="#f7e7a1")


def _table(pen: _Pen, height: float) -> None:
    pen.shadow(0.8)
    for x, z in ((-0.6, -0.35), (0.6, -0.35), (-0.6, 0.35), (0.6, 0.35)):
        pen.box(x, 0.0, z, 0.07, height - 0.06, 0.07, fill="#5d3d22")
    pen.box(0.0, height - 0.06, 0.0, 1.4, 0.06, 0.9)


def _chair(pen: _Pen, height: float) -> None:
    for x, z in ((-0.19, -0.19), (0.19, -0.19), (-0.19, 0.19), (0.19, 0.19)):
        pen.box(x, 0.0, z, 0.045, height, 0.045)
    pen.box(0.0, height - 0.05, 0.0, 0.44, 0.05, 0.44)


def _bench(pen: _Pen, height: float) -> None:
    pen.shadow(0.9)
    pen.box(-0.7, 0.0, 0.0, 0.08, height, 0.4)
    pen.box(0.7, 0.0, 0.0, 0.08, height, 0.4)
    pen.box(0.0, height - 0.06, 0.0, 1.7, 0.06, 0.45)


def _goal(pen: _Pen, height: float) -> None:
    """Posts 7.32 m apart in depth, seen along the line."""
    half, w = 3.66, 0.12
    for z in (-half, half):
        pen.box(0.0, 0.0, z, w, height, w)
    pen.draw.line(
        [pen.at(0.0, height, -half), pen.at(0.0, height, half)], fill=pen.color, width=max(round(w * pen.scale), 2)
    )


_SHAPES: dict[str, Callable[[_Pen, float], None]] = {
    "tree": _tree, "building": _building, "car": _car, "spaceship": _spaceship, "planet": _planet, "rock": _rock,
    "lamp": _lamp, "table": _table, "chair": _chair, "bench": _bench, "goal": _goal, "base": _base, "site": _site,
}  # fmt: skip
