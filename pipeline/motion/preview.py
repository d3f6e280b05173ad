"""A clip as one still picture: several poses along the path, its footprints and its shadow, drawn on the CPU.

Belongs here: camera, layout, colours, captions. Does not belong here: how a pixel gets its colour (raster).
"""

import io
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from configs.motion import MotionConfig, load_motion
from pipeline.motion import raster
from pipeline.motion.clip import Clip
from pipeline.motion.mesh import mannequin, painted, pose
from pipeline.motion.rotations import Array, unit

if TYPE_CHECKING:
    from PIL import ImageDraw, ImageFont

OVERSAMPLE = 2
FIELD_OF_VIEW = np.radians(30.0)
ELEVATION = np.radians(15.0)
SKY = np.array([[0.80, 0.83, 0.86], [0.44, 0.54, 0.66]])
GROUND = np.array([[0.50, 0.51, 0.52], [0.36, 0.38, 0.40]])
INK = np.array([0.11, 0.13, 0.16])
CURVE = np.rint(np.linspace(0.0, 1.0, 4096) ** (1.0 / 2.2) * 255.0).astype(np.uint8)
"""From linear light to the bytes of a picture."""


LONGEST_VIEW_M = 9.0
"""Of a longer way, the picture shows the poses of the last stretch, and the whole way on a small map."""


@dataclass(frozen=True)
class _Figure:
    """One pose in the picture: its skin, the ground under it, its opacity, time and place."""

    points: Array
    normals: Array
    floor: float
    alpha: float
    seconds: float
    feet: Array


def still(clip: Clip, config: MotionConfig | None = None) -> bytes:
    """A PNG of the clip, 640 × 360 by default.

    A clip that goes somewhere shows its poses where they are, the last one solid. One that stays shows them side by
    side in order of time, like a strip of film.

    Args:
        clip: the motion.
        config: size and layout; defaults to `configs/motion.yaml`.
    """
    from PIL import Image, ImageDraw

    layout = (config or load_motion()).preview
    width, height = OVERSAMPLE * layout.width, OVERSAMPLE * layout.height
    steps = np.hypot(*np.diff(clip.path[:, [0, 2]], axis=0).T)
    length = float(steps.sum())
    spread = float(np.max(np.hypot(*(clip.path[:, [0, 2]] - clip.path[0, [0, 2]]).T)))
    strip = spread < layout.strip_below_m
    frames = _chosen(clip, steps, layout.ghosts, strip)
    azimuth = _azimuth(clip, frames, strip)
    figures = _figures(clip, frames, azimuth, strip)
    focal = 0.5 * width / np.tan(0.5 * FIELD_OF_VIEW)
    camera = _camera(figures, azimuth, focal, width, height)
    light = unit(np.array(turned(azimuth, 0.75, 1.25)))

    image = np.empty((layout.height, layout.width, 3), dtype=np.float32)
    low, size_m, heights, shade, paint = _ground(clip, figures, frames, light, strip)
    raster.draw_ground(
        image,
        camera,
        focal / OVERSAMPLE,
        heights,
        shade,
        paint,
        low,
        size_m,
        SKY,
        GROUND,
        INK,
        3.2 * _distance(camera, figures),
        1,
    )
    skin = mannequin(in_hand=not clip.hands_free)
    colours, triangles = painted(skin, clip.attacker), skin.triangles.astype(np.int64)
    for figure in sorted(figures, key=lambda f: -float(np.mean((f.points - camera[:3]) @ camera[9:]))):
        screen = raster.project(figure.points, camera, focal, width, height)
        raster.draw_mesh(image, screen, figure.normals, colours, triangles, camera, light, figure.alpha, OVERSAMPLE)
    pixels = np.empty(image.shape, dtype=np.uint8)
    raster.developed(image, pixels, CURVE)
    picture = Image.fromarray(pixels)
    draw = ImageDraw.Draw(picture)
    speed = length / max(clip.seconds, 1e-6)
    write(draw, (10, 8), f"{clip.intent}   {clip.seconds:.1f} s   {length:.1f} m   {speed:.1f} m/s", 15)
    if not strip and length > LONGEST_VIEW_M:
        _map(draw, clip, frames, (layout.width - 92.0, 8.0), 84.0)
    if strip:
        for figure in figures:
            at = raster.project(figure.feet[None], camera, focal, width, height)[0] / OVERSAMPLE
            write(draw, (at[0] - 14, min(at[1] + 12, layout.height - 16)), f"{figure.seconds:.1f} s", 11)
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def contact_sheet(stills: list[bytes], captions: list[str], *, columns: int = 3, cell: int = 480) -> bytes:
    """A JPEG with many stills on it, in rows, a caption under each.

    Args:
        stills: PNG pictures of one size.
        captions: one for each.
        columns: pictures in a row.
        cell: width of a picture in pixels.

    Raises:
        ValueError: if there is nothing to show, or not one caption for each picture.
    """
    from PIL import Image, ImageDraw

    if not stills or len(stills) != len(captions):
        raise ValueError(f"{len(stills)} pictures and {len(captions)} captions")
    pictures = [Image.open(io.BytesIO(picture)).convert("RGB") for picture in stills]
    tall = round(cell * pictures[0].height / pictures[0].width)
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    gap, line = 6, 20
    sheet = Image.new("RGB", (columns * (cell + gap) + gap, rows * (tall + line + gap) + gap), (247, 248, 249))
    draw = ImageDraw.Draw(sheet)
    for i, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        x, y = gap + (i % columns) * (cell + gap), gap + (i // columns) * (tall + line + gap)
        sheet.paste(picture.resize((cell, tall), Image.Resampling.LANCZOS), (x, y))
        write(draw, (x + 2, y + tall + 2), caption[:80], 13)
    out = io.BytesIO()
    sheet.save(out, "JPEG", quality=88)
    return out.getvalue()


def write(draw: "ImageDraw.ImageDraw", at: tuple[float, float], text: str, size: int) -> None:
    """Writes a line of dark text with its upper left corner at a pixel; `size` is its height in pixels."""
    draw.text(at, text, fill=(24, 28, 34), font=_font(size))


@cache
def _font(size: int) -> "ImageFont.FreeTypeFont | ImageFont.ImageFont":
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _chosen(clip: Clip, steps: Array, ghosts: int, strip: bool) -> list[int]:
    """Frames to show: evenly in time on a strip, evenly in distance on a path."""
    if strip:
        return [round(i) for i in np.linspace(0.04, 0.96, ghosts) * (clip.frames - 1)]
    way = np.concatenate([[0.0], np.cumsum(steps)])
    begin = max(0.02 * way[-1], way[-1] - LONGEST_VIEW_M)
    count = int(np.clip((way[-1] - begin) / 0.8, 2, ghosts + 1))
    return [int(np.searchsorted(way, at)) for at in np.linspace(begin, 0.985 * way[-1], count)]


def turned(azimuth: float, angle: float, height: float) -> tuple[float, float, float]:
    """A direction to the left of another one by `angle`, rising by `height` for each metre; radians."""
    return float(np.sin(azimuth + angle)), height, float(np.cos(azimuth + angle))


def _azimuth(clip: Clip, frames: list[int], strip: bool) -> float:
    """Direction from the scene to the camera: half from the side of a short way, nearly in front of a long one."""
    if strip:
        return float(clip.heading[clip.frames // 2] - np.radians(38.0))
    shown = clip.path[frames[0] : frames[-1] + 1, [0, 2]]
    away = np.hypot(*(shown - shown[0]).T)
    end = -1 if away[-1] > 0.4 * away.max() else int(np.argmax(away))
    way = shown[end] - shown[0]
    aside = np.radians(np.interp(away.max(), [2.0, 5.0, 9.0], [62.0, 50.0, 38.0]))
    return float(np.arctan2(way[0], way[1]) - aside)


def _distance(camera: Array, figures: list[_Figure]) -> float:
    """Metres from the camera to the middle of what is shown."""
    return float(np.mean([np.linalg.norm(f.feet - camera[:3]) for f in figures]))


def _map(draw: "ImageDraw.ImageDraw", clip: Clip, frames: list[int], corner: tuple[float, float], size: float) -> None:
    """The whole way from above, where the poses are, in a square of the picture."""
    way = clip.path[:, [0, 2]]
    span = float(np.ptp(way, axis=0).max())
    centre = 0.5 * (way.min(axis=0) + way.max(axis=0))
    at = np.array(corner) + 0.5 * size + (way - centre) * (size - 14.0) / max(span, 1e-6)
    draw.rectangle((*corner, corner[0] + size, corner[1] + size), fill=(236, 239, 242), outline=(170, 176, 182))
    draw.line([tuple(p) for p in at[:: max(1, clip.frames // 90)]] + [tuple(at[-1])], fill=(70, 78, 88), width=2)
    for frame in frames:
        x, y = at[frame]
        last = frame == frames[-1]
        r = 3.2 if last else 1.8
        draw.ellipse((x - r, y - r, x + r, y + r), fill=(200, 70, 20) if last else (70, 78, 88))


def _figures(clip: Clip, frames: list[int], azimuth: float, strip: bool) -> list[_Figure]:
    skin = mannequin(in_hand=not clip.hands_free)
    right = np.array([np.cos(azimuth), 0.0, -np.sin(azimuth)])
    out = []
    for k, frame in enumerate(frames):
        points, normals = pose(skin, clip.rotations[frame], clip.root[frame])
        floor = float(clip.path[frame, 1])
        at = clip.path[frame].copy()
        if strip:
            moved = (k - 0.5 * (len(frames) - 1)) * 0.98 * right - np.array([at[0], 0.0, at[2]])
            points, at = points + moved, at + moved
        alpha = 1.0 if strip or k == len(frames) - 1 else 0.50 + 0.32 * k / max(len(frames) - 1, 1)
        out.append(_Figure(points, normals, floor, alpha, frame / clip.fps, at))
    return out


def _camera(figures: list[_Figure], azimuth: float, focal: float, width: int, height: int) -> Array:
    """The nearest camera that sees every figure, as raster wants it."""
    return fitted(np.concatenate([f.points[::7] for f in figures]), azimuth, focal, width, height)


def fitted(cloud: Array, azimuth: float, focal: float, width: int, height: int) -> Array:
    """The nearest camera that sees every point, as raster wants it.

    Args:
        cloud: `(n, 3)` metres.
        azimuth: direction from what is seen to the camera, radians about +y, 0 = +z.
        focal: pixels.
        width: of the picture, pixels.
        height: of the picture, pixels.
    """
    back = np.array([np.sin(azimuth) * np.cos(ELEVATION), np.sin(ELEVATION), np.cos(azimuth) * np.cos(ELEVATION)])
    right = np.array([np.cos(azimuth), 0.0, -np.sin(azimuth)])
    up = np.cross(back, right)
    low, high = cloud.min(axis=0), cloud.max(axis=0)
    target = 0.5 * (low + high)
    distance = 40.0
    for _ in range(60):
        camera = np.concatenate([target + distance * back, right, up, -back])
        screen = raster.project(cloud, camera, focal, width, height)
        box = screen[:, :2].min(axis=0), screen[:, :2].max(axis=0)
        shift = 0.5 * (box[0] + box[1]) - np.array([0.5 * width, 0.53 * height])
        target = target + (shift[0] * right - shift[1] * up) * distance / focal
        fill = max((box[1][0] - box[0][0]) / (0.88 * width), (box[1][1] - box[0][1]) / (0.78 * height))
        distance *= fill**0.6
    return np.concatenate([target + distance * back, right, up, -back])


def _ground(
    clip: Clip, figures: list[_Figure], frames: list[int], light: Array, strip: bool
) -> tuple[Array, float, Array, NDArray[np.float32], NDArray[np.float32]]:
    """Maps of the ground around the clip: first corner, cell size, height, shadow, marks."""
    cloud = np.concatenate([f.points[::7, [0, 2]] for f in figures] + ([] if strip else [clip.path[:, [0, 2]]]))
    low, high = cloud.min(axis=0) - 2.5, cloud.max(axis=0) + 2.5
    size_m = max(0.014, float((high - low).max()) / 1000.0)
    columns, rows = np.ceil((high - low) / size_m).astype(int) + 1
    heights = np.zeros((2, 2))
    if not strip and np.ptp(clip.path[:, 1]) > 0.05:
        known = clip.footprints[:, [0, 2, 1]] if clip.footprints.size else clip.path[:1, [0, 2, 1]]
        heights = terrain(known, low, size_m, int(rows), int(columns))
    else:
        heights = np.full((int(rows), int(columns)), float(clip.path[0, 1]))
    shade, paint = np.zeros((rows, columns), dtype=np.float32), np.zeros((rows, columns), dtype=np.float32)
    triangles = mannequin(in_hand=not clip.hands_free).triangles.astype(np.int64)
    for figure in figures:
        points = figure.points - np.array([0.0, figure.floor, 0.0])
        raster.draw_shadow(shade, points, triangles, low, size_m, light, 0.35 + 0.65 * figure.alpha)
    shade = raster.blur(raster.blur(shade, max(1, round(0.022 / size_m))), max(1, round(0.022 / size_m)))
    if not strip:
        raster.paint_path(paint, clip.path[:, [0, 2]], low, size_m, 0.028, 0.75)
        prints = clip.footprints
        middle = prints[:, [0, 2]] - 0.05 * np.stack([np.sin(prints[:, 3]), np.cos(prints[:, 3])], axis=-1)
        raster.paint_soles(paint, np.concatenate([middle, prints[:, 3:4]], axis=1), low, size_m, 0.60)
    return low, size_m, heights, shade, paint


def terrain(known: Array, low: Array, size_m: float, rows: int, columns: int, *, step_m: float = 0.20) -> Array:
    """Height of the ground `(rows, columns)` between places where it is known: that of the nearest, softened.

    Args:
        known: `(n, 3)` x, z and height.
        low: x and z of the map's first corner.
        size_m: side of one of its cells.
        rows: cells along z.
        columns: cells along x.
        step_m: computed every so far, linear between.
    """
    step = max(1, round(step_m / size_m))
    x = low[0] + (np.arange(0, columns + step, step) + 0.5) * size_m
    z = low[1] + (np.arange(0, rows + step, step) + 0.5) * size_m
    away = (x[None, :, None] - known[:, 0]) ** 2 + (z[:, None, None] - known[:, 1]) ** 2
    weight = 1.0 / (away + 0.03) ** 3
    coarse = np.sum(weight * known[:, 2], axis=-1) / np.sum(weight, axis=-1)
    r, c = np.arange(rows) / step, np.arange(columns) / step
    by_row = np.stack([np.interp(r, np.arange(z.size), column) for column in coarse.T], axis=-1)
    return np.stack([np.interp(c, np.arange(x.size), row) for row in by_row], axis=0)
