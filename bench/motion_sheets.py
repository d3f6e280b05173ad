"""Clips as strips of frames, to be looked at: a row for each clip, from the side and followed by the camera.

Belongs here: layout. Does not belong here: pixels (`pipeline.motion.raster`), which clips.
"""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.motion import raster
from pipeline.motion.clip import Clip
from pipeline.motion.mesh import mannequin, painted, pose
from pipeline.motion.rotations import unit

WIDTH, HEIGHT = 132, 210
"""Of a frame, pixels."""
DISTANCE_M, TALL_M = 5.0, 2.15
ELEVATION = np.radians(8.0)
SKY, GROUND, MARK = 0.75, 0.55, 0.30
GRID_M = 0.5
"""Distance of the marks on the ground, which stand still while the camera follows."""


def sheet(clips: Sequence[Clip], captions: Sequence[str], *, columns: int = 10) -> bytes:
    """A JPEG with a row of frames for each clip.

    Args:
        clips: what is shown.
        captions: one for each.
        columns: frames of each clip, evenly over at most its first four seconds.
    """
    from PIL import Image, ImageDraw

    line = 16
    out = Image.new("RGB", (columns * WIDTH, len(clips) * (HEIGHT + line)), (255, 255, 255))
    draw = ImageDraw.Draw(out)
    for row, (clip, caption) in enumerate(zip(clips, captions, strict=True)):
        top = row * (HEIGHT + line)
        draw.text((3, top + 2), caption, fill=(0, 0, 0))
        last = min(clip.frames - 1, 4 * clip.fps)
        for column, frame in enumerate(np.rint(np.linspace(0, last, columns)).astype(int)):
            picture = Image.fromarray(frame_of(clip, int(frame), side(clip)))
            ImageDraw.Draw(picture).text((3, 2), f"{frame / clip.fps:.2f} s", fill=(20, 20, 20))
            out.paste(picture, (column * WIDTH, top + line))
    data = io.BytesIO()
    out.save(data, "JPEG", quality=70)
    return data.getvalue()


def side(clip: Clip) -> float:
    """Direction to a camera that sees the way from the side, or someone who stays from half ahead."""
    shown = clip.path[: 4 * clip.fps + 1, [0, 2]]
    way = shown[-1] - shown[0]
    if np.hypot(*way) < 0.8:
        return float(clip.heading[0] - np.radians(50.0))
    return float(np.arctan2(way[0], way[1]) - np.radians(80.0))


def frame_of(clip: Clip, frame: int, azimuth: float) -> NDArray[np.uint8]:
    """One frame, `(HEIGHT, WIDTH, 3)`."""
    skin = mannequin(in_hand=not clip.hands_free)
    points, normals = pose(skin, clip.rotations[frame], clip.root[frame])
    x, floor, z = clip.path[frame]
    target = np.array([x, floor + 0.85, z])
    back = np.array([np.sin(azimuth) * np.cos(ELEVATION), np.sin(ELEVATION), np.cos(azimuth) * np.cos(ELEVATION)])
    right = np.array([np.cos(azimuth), 0.0, -np.sin(azimuth)])
    focal = HEIGHT * DISTANCE_M / TALL_M
    camera = np.concatenate([target + DISTANCE_M * back, right, np.cross(back, right), -back])
    image = np.full((HEIGHT, WIDTH, 3), SKY, dtype=np.float32)
    horizon = raster.project(np.array([[x, floor, z]]), camera, focal, WIDTH, HEIGHT)[0, 1]
    image[int(np.clip(horizon, 0, HEIGHT - 1)) :] = GROUND
    around = np.arange(-4, 5) * GRID_M
    marks = np.array(
        [[np.floor(x / GRID_M) * GRID_M + a, floor, np.floor(z / GRID_M) * GRID_M + b] for a in around for b in around]
    )
    for u, v, _ in raster.project(marks, camera, focal, WIDTH, HEIGHT):
        if 1 <= u < WIDTH - 2 and 1 <= v < HEIGHT - 2:
            image[int(v) - 1 : int(v) + 1, int(u) - 2 : int(u) + 2] = MARK
    light = unit(np.array([np.sin(azimuth + 0.75), 1.25, np.cos(azimuth + 0.75)]))
    screen = raster.project(points, camera, focal, WIDTH, HEIGHT)
    raster.draw_mesh(
        image, screen, normals, painted(skin, clip.attacker), skin.triangles.astype(np.int64), camera, light, 1.0, 1
    )
    result: NDArray[np.uint8] = np.rint(np.clip(image, 0.0, 1.0) ** (1 / 2.2) * 255.0).astype(np.uint8)
    return result
