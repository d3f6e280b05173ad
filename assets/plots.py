"""The pictures of a match: bars, a timeline, a map, drawn straight into pixels.

Belongs here: numbers and colours in, PNG out. Does not belong here: which numbers (`assets/reports.py`).

Every materialization shows some of these, and a plotting library takes longer to lay one out than the stage takes that
it illustrates. Rectangles, dots and text on fixed margins need none.
"""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

Bar = tuple[str, float, str]
"""Name, height, colour."""
Stretch = tuple[int, float, float, str, float]
"""Line, from, to, colour, and how sure: 0 is pale, 1 is full."""
Dots = tuple[str, str, NDArray[np.float64], NDArray[np.float64]]
"""Name, colour, and where: horizontal and vertical."""
Mark = tuple[str, float, float]
"""Name and where."""

Note = tuple[int, int, str]
"""Way, instant, words."""

_INK, _GRID, _PAPER = "#22262C", "#C8CDD3", "#FFFFFF"
_TEXT = 13  # px
_COLOURS = 128
_PALEST = 0.35  # share of colour where nothing is sure
_OPACITY = 0.35  # of one dot; a place where several were is stronger
_LEAST_M = 4.0  # m across the picture; less would show the noise of a position as a way
_LEVELS = 5  # of strength; more of them cannot be told apart, and make the file larger


def bars(values: Sequence[Bar], title: str, unit: str) -> bytes:
    """A bar per value, its height written above it."""
    width, height, left, top, bottom = 704, 270, 12, 36, 28
    image, draw = _sheet(width, height)
    _write(draw, (width / 2, 16), f"{title}, {unit}", "mm", _TEXT + 2)
    floor, room = height - bottom, height - bottom - top - 18
    highest = max((value for _, value, _ in values), default=0.0) or 1.0
    pitch = (width - 2 * left) / max(len(values), 1)
    for place, (name, value, colour) in enumerate(values):
        middle = left + (place + 0.5) * pitch
        rise = room * value / highest
        draw.rectangle((middle - 0.38 * pitch, floor - rise, middle + 0.38 * pitch, floor), fill=colour)
        _write(draw, (middle, floor - rise - 4), f"{value:.1f}", "mb", _TEXT - 1)
        _write(draw, (middle, floor + 6), name, "mt")
    draw.line((left, floor, width - left, floor), fill=_INK)
    return _png(image)


def timeline(lines: Sequence[str], stretches: Sequence[Stretch], legend: Sequence[tuple[str, str]], axis: str) -> bytes:
    """A line per player, a coloured stretch per intent.

    Args:
        lines: names, top to bottom.
        stretches: what happened on which line.
        legend: names and their colours.
        axis: what the horizontal axis counts.
    """
    width, right, top, pitch, bottom = 1060, 16, 34, 38, 52
    image, draw = _sheet(width, top + pitch * len(lines) + bottom)
    left = 15 + max((_length(draw, name) for name in lines), default=0)
    low = min((begin for _, begin, _, _, _ in stretches), default=0.0)
    high = max((end for _, _, end, _, _ in stretches), default=1.0)
    scale = (width - left - right) / max(high - low, 1e-9)
    floor = top + pitch * len(lines)
    for tick in ticks(low, high):
        x = left + (tick - low) * scale
        draw.line((x, top, x, floor + 4), fill=_GRID)
        _write(draw, (x, floor + 8), f"{tick:g}", "mt")
    _write(draw, ((left + width - right) / 2, floor + 28), axis, "mt")
    for line, begin, end, colour, sure in stretches:
        y, x = top + pitch * line, left + (begin - low) * scale
        shade = _blend(colour, _PALEST + (1 - _PALEST) * sure)
        draw.rectangle((x, y + 4, max(left + (end - low) * scale, x + 1), y + pitch - 4), fill=shade)
    for line, name in enumerate(lines):
        _write(draw, (left - 10, top + pitch * (line + 0.5)), name, "rm")
    place = left
    for name, colour in legend:
        draw.rectangle((place, 10, place + 18, 21), fill=colour)
        _write(draw, (place + 23, 16), name, "lm")
        place += 23 + _length(draw, name) + 16
    return _png(image)


def scatter(dots: Sequence[Dots], marks: Sequence[Mark], title: str, unit: str) -> bytes:
    """Where things were, both axes to the same scale, the vertical one downwards.

    Args:
        dots: groups of dots.
        marks: single places with a name.
        title: above it.
        unit: of both axes.
    """
    side, left, top, bottom, margin = 520, 46, 34, 40, 8
    image, draw = _sheet(left + side + margin, top + side + bottom)
    across = np.concatenate([*(x for _, _, x, _ in dots), [x for _, x, _ in marks]])
    down = np.concatenate([*(y for _, _, _, y in dots), [y for _, _, y in marks]])
    centre = (across.min() + across.max()) / 2, (down.min() + down.max()) / 2
    span = max(float(np.ptp(across)), float(np.ptp(down)), 1.0) * 1.04
    scale = side / span

    def at(x: Any, y: Any) -> tuple[Any, Any]:
        return left + (x - centre[0] + span / 2) * scale, top + (y - centre[1] + span / 2) * scale

    for value in ticks(centre[0] - span / 2, centre[0] + span / 2):
        x, _ = at(value, centre[1])
        draw.line((x, top, x, top + side), fill=_GRID)
        _write(draw, (x, top + side + 6), f"{value:g}", "mt")
    for value in ticks(centre[1] - span / 2, centre[1] + span / 2):
        _, y = at(centre[0], value)
        draw.line((left, y, left + side, y), fill=_GRID)
        _write(draw, (left - 6, y), f"{value:g}", "rm")
    image = _dotted(image, [(colour, *at(x, y)) for _, colour, x, y in dots])
    draw = _pen(image)
    for name, x, y in marks:
        _star(draw, *at(x, y))
        _write(draw, (at(x, y)[0] + 12, at(x, y)[1] - 4), name, "lb", _TEXT + 1)
    _write(draw, (left + side / 2, 16), f"{title}, {unit}", "mm", _TEXT + 2)
    place = float(left)
    for name, colour, _, _ in dots:
        draw.ellipse((place, top + side + 24, place + 11, top + side + 35), fill=colour)
        _write(draw, (place + 16, top + side + 30), name, "lm")
        place += 16 + _length(draw, name) + 18
    return _png(image)


@dataclass(frozen=True)
class Trail:
    """One player's way: positions in m at equal steps, the stretch that is shown in full, and words beside its start.

    Attributes:
        name: written where the way begins; may be empty.
        colour: of the way.
        x, z: where, m, one per instant.
        stretch: first and last instant that are drawn in full; what comes before and after is pale. None: all is pale.
        facing: view yaw at the stretch's start, radians from +x towards -z; None where not known.
        ends: whether the player dies at the last instant.
    """

    name: str
    colour: str
    x: NDArray[np.float64]
    z: NDArray[np.float64]
    stretch: tuple[int, int] | None
    facing: float | None = None
    ends: bool = False


def trails(
    ways: Sequence[Trail],
    marks: Sequence[Mark],
    title: str,
    notes: Sequence[Note],
    legend: Sequence[tuple[str, str]],
    *,
    shown: Sequence[tuple[float, float]],
    step_s: float,
) -> bytes:
    """Ways of players from above, to one scale, with a dot per second, the first way on top.

    Args:
        ways: the player whom it is about first.
        marks: single places with a name.
        title: above it.
        notes: words at an instant of a way: way, instant, words.
        legend: names and their colours.
        shown: places in m that must be in the picture.
        step_s: s from one instant to the next.
    """
    width, height, top = 620, 440, 34
    image, draw = _sheet(width, height)
    x, z = np.array(shown).T
    middle = (x.min() + x.max()) / 2, (z.min() + z.max()) / 2
    span = max(float(np.ptp(x)) / width, float(np.ptp(z)) / (height - top), _LEAST_M / (height - top)) * 1.45

    def at(east: float, south: float) -> tuple[float, float]:
        return width / 2 + (east - middle[0]) / span, (height + top) / 2 + (south - middle[1]) / span

    per_second = round(1 / step_s)
    for way in reversed(ways):
        points = [at(*place) for place in zip(way.x.tolist(), way.z.tolist(), strict=True)]
        first, last = way.stretch or (0, -1)
        draw.line(points, fill=_blend(way.colour, 0.45), width=2)
        if last > first:
            draw.line(points[first : last + 1], fill=way.colour, width=5 if way is ways[0] else 3, joint="curve")
        for instant in range(first % per_second, len(points), per_second):
            (px, py), inside = points[instant], first <= instant <= last
            radius = 3.5 if inside else 2
            shade = way.colour if inside else _blend(way.colour, 0.45)
            draw.ellipse((px - radius, py - radius, px + radius, py + radius), fill=shade, outline=_PAPER)
        if way.facing is not None and way.stretch:
            px, py = points[first]
            tip = px + 34 * math.cos(way.facing), py - 34 * math.sin(way.facing)
            draw.line((px, py, *tip), fill=_INK, width=1)
        if way.ends:
            px, py = points[-1]
            for dx in (-6, 6):
                draw.line((px - dx, py - 6, px + dx, py + 6), fill=_INK, width=2)
        _write(draw, (points[0][0] + 8, points[0][1] - 8), way.name, "lm", _TEXT - 1)
    for name, east, south in marks:
        px, py = at(east, south)
        if 0 < px < width and top < py < height:
            _star(draw, px, py)
            _write(draw, (px + 12, py - 4), name, "lb")
    for note, (who, instant, words) in enumerate(notes):
        px, py = at(float(ways[who].x[instant]), float(ways[who].z[instant]))
        draw.ellipse((px - 5, py - 5, px + 5, py + 5), outline=_INK, width=2)
        below = note % 2 == 0
        _write(draw, (px, py + (9 if below else -9)), words, "mt" if below else "mb", _TEXT)
    draw.rectangle((0, 0, width, top), fill=_PAPER)
    draw.rectangle((0, height - 34, width, height), fill=_PAPER)
    place = width - 12.0
    for name, colour in reversed(legend):
        _write(draw, (place, height - 14), name, "rm")
        place -= _length(draw, name) + 6
        draw.line((place - 16, height - 14, place, height - 14), fill=colour, width=4)
        place -= 30
    _write(draw, (width / 2, 17), title, "mm", _TEXT + 2)
    _ruler(draw, (16, height - 16), span)
    return _png(image)


def _ruler(draw: "ImageDraw", at: tuple[float, float], metres_per_pixel: float) -> None:
    length = next(metres for metres in (20, 10, 5, 2, 1) if metres / metres_per_pixel < 160 or metres == 1)
    end = at[0] + length / metres_per_pixel
    draw.line((*at, end, at[1]), fill=_INK, width=3)
    _write(draw, ((at[0] + end) / 2, at[1] - 5), f"{length} m", "mb")


def ticks(low: float, high: float) -> list[float]:
    """Three to eight round numbers between two."""
    raw = max(high - low, 1e-9) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.7)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _dotted(image: "Image", groups: Sequence[tuple[str, NDArray[np.float64], NDArray[np.float64]]]) -> "Image":
    from PIL import Image

    pixels = np.array(image)
    height, width = pixels.shape[:2]
    for colour, x, y in groups:
        column, row = np.rint(x).astype(np.int64), np.rint(y).astype(np.int64)
        inside = (column >= 0) & (column < width - 1) & (row >= 0) & (row < height - 1)
        first = row[inside] * width + column[inside]
        count = np.bincount(first, minlength=height * width)
        for shift in (1, width):  # a dot is two pixels wide, and two high
            count[shift:] += count[:-shift].copy()
        hit = np.flatnonzero(count)
        # Logarithmic: who stood still for a minute shall not hide those who ran by.
        cover = 1 - (1 - _OPACITY) ** np.minimum(np.ceil(np.log2(1 + count[hit])), _LEVELS)
        below = pixels.reshape(-1, 3)[hit]
        pixels.reshape(-1, 3)[hit] = np.rint(below + cover[:, None] * (np.array(_rgb(colour)) - below))
    return Image.fromarray(pixels)


def _star(draw: "ImageDraw", x: float, y: float, radius: float = 10.0) -> None:
    turns = [math.pi * (point / 5 - 0.5) for point in range(10)]
    reach = [radius if point % 2 == 0 else radius * 0.4 for point in range(10)]
    outline = [(x + r * math.cos(turn), y + r * math.sin(turn)) for r, turn in zip(reach, turns, strict=True)]
    draw.polygon(outline, fill="#F59E0B", outline="black")


def _sheet(width: int, height: int) -> "tuple[Image, ImageDraw]":
    from PIL import Image

    image = Image.new("RGB", (width, height), _PAPER)
    return image, _pen(image)


def _pen(image: "Image") -> "ImageDraw":
    from PIL import ImageDraw

    return ImageDraw.Draw(image)


def _write(draw: "ImageDraw", at: tuple[float, float], text: str, anchor: str, size: int = _TEXT) -> None:
    draw.text(at, text, fill=_INK, font=_font(size), anchor=anchor)


def _length(draw: "ImageDraw", text: str) -> float:
    return float(draw.textlength(text, font=_font(_TEXT)))


@cache
def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _blend(colour: str, share: float) -> tuple[int, ...]:
    return tuple(round(255 + share * (part - 255)) for part in _rgb(colour))


def _png(image: "Image") -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    # Few colours are in use; a palette makes the file a third as large, and Dagster keeps each of them three times.
    palette = image.quantize(_COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    palette.save(buffer, format="png", compress_level=4)
    return buffer.getvalue()
