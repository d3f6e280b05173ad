"""A clip or a moment as a small animated picture, drawn on the CPU.

Belongs here: the camera that goes with the players, pictures in time, captions. Does not belong here: how a pixel gets
its colour (raster), stills (preview), who is in a moment (scene).
"""

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from configs.motion import MotionConfig, load_motion
from pipeline.motion import raster
from pipeline.motion.mesh import Mesh, bones, mannequin, painted, skinned
from pipeline.motion.path import smooth
from pipeline.motion.preview import CURVE, FIELD_OF_VIEW, GROUND, INK, SKY, fitted, terrain, turned, write
from pipeline.motion.rotations import Array, rotate, unit
from pipeline.motion.scene import Actor, Scene
from pipeline.motion.skeleton import INDEX, forward

if TYPE_CHECKING:
    from PIL import ImageDraw

OVERSAMPLE = 2
COARSE = 4
"""Pixels between two at which the shape of climbing ground is found."""
CELL_M = 0.03
"""Side of a cell of the maps of the ground, of a small stage."""
NEAREST_M = 0.4
"""A body that comes nearer to the camera is left out."""
SHADOW_M = 4.4
"""Side of the ground on which one body's shadow falls."""
MUZZLE = np.array([-0.60, 0.0, 0.052])
"""In the frame of the right hand, metres: where what it holds ends."""
TRACER_M = 7.0
FLASH = np.array([1.0, 0.86, 0.45])


@dataclass(frozen=True)
class _Stage:
    """The ground of a film: first corner and cell size of its maps, heights, marks, shadows in the last picture."""

    low: Array
    size_m: float
    heights: Array
    paint: NDArray[np.float32]
    shade: NDArray[np.float32]


@dataclass(frozen=True)
class _Dressed:
    """An actor's skin, its triangles and their colours, and what the joints do to it in each picture."""

    actor: Actor
    skin: Mesh
    triangles: NDArray[np.int64]
    colours: Array
    bones: Array

    @staticmethod
    def of(actor: Actor, frames: list[int]) -> "_Dressed":
        """The actor in the pictures of those frames of the scene."""
        clip = actor.clip
        skin = mannequin(in_hand=not clip.hands_free)
        own = [actor.frame(frame) for frame in frames]
        moved = bones(skin, clip.rotations[own], clip.root[own] + actor.at)
        return _Dressed(actor, skin, skin.triangles.astype(np.int64), painted(skin, clip.attacker), moved)


@dataclass(frozen=True)
class _Body:
    """An actor in one picture: points and normals of the skin in the scene."""

    dressed: _Dressed
    points: Array
    normals: Array

    @property
    def actor(self) -> Actor:
        """Whose body it is."""
        return self.dressed.actor


def film(scene: Scene, config: MotionConfig | None = None) -> bytes:
    """An animated WebP of the scene, some hundred pixels wide at 10 pictures a second, repeated for ever.

    The camera goes with those whom the scene is about. Of a scene of one, the caption tells what is meant; of several,
    a word over each head.

    Args:
        scene: the motions.
        config: size, rate and quality; defaults to `configs/motion.yaml`.
    """
    from PIL import Image, ImageDraw

    layout = (config or load_motion()).preview.film
    count = max(2, int(scene.seconds * layout.fps) + 1)
    frames = [min(round(k * scene.fps / layout.fps), scene.frames - 1) for k in range(count)]
    width, height = layout.width, layout.height
    focal = 0.5 * width / float(np.tan(0.5 * FIELD_OF_VIEW))
    azimuth = _azimuth(scene, frames, layout.near_m, layout.far_m, layout.side_deg)
    centres = _centres(scene, frames, layout.follow_s * layout.fps, layout.still_below_m)
    camera = _camera(scene, frames, centres, azimuth, focal, width, height)
    light = unit(np.array(turned(azimuth, 0.75, 1.25)))
    stage = _staged(scene, frames, layout.margin_m)
    dressed = [_Dressed.of(actor, frames) for actor in scene.actors]
    image = np.empty((height, width, 3), dtype=np.float32)
    pixels = np.empty((height, width, 3), dtype=np.uint8)
    pictures = []
    haze = 3.2 * float(np.linalg.norm(camera[:3]))
    for k, (frame, centre) in enumerate(zip(frames, centres, strict=True)):
        eye = camera.copy()
        eye[:3] += centre
        bodies = [_Body(each, *skinned(each.skin, each.bones[k])) for each in dressed]
        _shade(frame, bodies, stage, light)
        raster.draw_ground(
            image,
            eye,
            focal,
            stage.heights,
            stage.shade,
            stage.paint,
            stage.low,
            stage.size_m,
            SKY,
            GROUND,
            INK,
            haze,
            COARSE,
        )
        _draw(image, scene, frame, bodies, eye, light, focal, layout.flash_s)
        raster.developed(image, pixels, CURVE)
        picture = Image.fromarray(pixels)
        _caption(ImageDraw.Draw(picture), scene, frame, bodies, eye, focal, width, height)
        pictures.append(picture)
    out = io.BytesIO()
    pictures[0].save(
        out,
        "WEBP",
        save_all=True,
        append_images=pictures[1:],
        duration=round(1000.0 / layout.fps),
        loop=0,
        quality=layout.quality,
        method=0,
        minimize_size=False,
        kmax=0,  # no picture is stored whole again: a quarter of the time
    )
    return out.getvalue()


def _azimuth(scene: Scene, frames: list[int], near: float, far: float, side_deg: tuple[float, float]) -> float:
    """Direction from the scene to the camera: the more from the side, the nearer those are whom it is about."""
    about = [scene.actors[k] for k in scene.about]
    places = np.array([[actor.place(frame) for frame in frames[:: max(1, len(frames) // 12)]] for actor in about])
    middle = places[..., [0, 2]].mean(axis=1)
    if len(about) == 1:
        way = places[0, -1, [0, 2]] - places[0, 0, [0, 2]]
        length = float(np.hypot(*way))
        heading = float(about[0].clip.heading[about[0].frame(frames[len(frames) // 2])])
        along = float(np.arctan2(way[0], way[1])) if length > 1.4 else heading
        return along - float(np.radians(np.interp(length, [2.0, 9.0], [58.0, 42.0])))
    spread = np.linalg.svd(middle - middle.mean(axis=0))[2][0]
    length = float(np.ptp(middle @ spread))
    aside = float(np.radians(np.interp(length, [near, far], side_deg)))
    return float(np.arctan2(spread[0], spread[1])) + aside


def _centres(scene: Scene, frames: list[int], sigma: float, still_m: float) -> Array:
    """What the camera looks at in each picture, `(n, 3)`: the mean place of those whom it is about."""
    places = np.mean([[scene.actors[k].place(frame) for frame in frames] for k in scene.about], axis=0)
    if float(np.max(np.linalg.norm(places - places.mean(axis=0), axis=1))) < still_m:
        return np.broadcast_to(places.mean(axis=0), places.shape).copy()
    return smooth(places, sigma)


def _camera(
    scene: Scene, frames: list[int], centres: Array, azimuth: float, focal: float, width: int, height: int
) -> Array:
    """The nearest camera, from what it looks at, that always sees those whom the scene is about."""
    cloud = []
    for k in scene.about:
        actor = scene.actors[k]
        for frame, centre in list(zip(frames, centres, strict=True))[:: max(1, len(frames) // 16)]:
            at = actor.frame(frame)
            joints, _ = forward(actor.clip.rotations[at : at + 1], actor.clip.root[at : at + 1])
            cloud += [joints[0] + actor.at - centre, actor.place(frame)[None] - centre]
            cloud.append(joints[0, INDEX["Head"]][None] + actor.at - centre + np.array([0.0, 0.25, 0.0]))
    return fitted(np.concatenate(cloud), azimuth, focal, width, height)


def _staged(scene: Scene, frames: list[int], margin_m: float) -> _Stage:
    about = [scene.actors[k] for k in scene.about]
    ways = [actor.clip.path[actor.frame(frames[0]) : actor.frame(frames[-1]) + 1] + actor.at for actor in about]
    cloud = np.concatenate(ways)[:, [0, 2]]
    low, high = cloud.min(axis=0) - margin_m, cloud.max(axis=0) + margin_m
    size_m = max(CELL_M, float((high - low).max()) / 900.0)
    columns, rows = (int(v) for v in np.ceil((high - low) / size_m).astype(int) + 1)
    prints = [actor.clip.footprints + np.array([*actor.at, 0.0, 0.0, 0.0, 0.0]) for actor in scene.actors]
    known = np.concatenate([p[:, [0, 2, 1]] for p in prints])
    known = known[np.all((known[:, :2] > low - 4.0) & (known[:, :2] < high + 4.0), axis=1)]
    if not known.size:
        known = ways[0][:1, [0, 2, 1]]
    if np.ptp(known[:, 2]) > 0.05:
        heights = terrain(known[:: max(1, len(known) // 300)], low, size_m, rows, columns, step_m=0.35)
    else:
        heights = np.full((2, 2), float(known[0, 2]))
    paint = np.zeros((rows, columns), dtype=np.float32)
    for way in ways:
        raster.paint_path(paint, way[:: max(1, len(way) // 150), [0, 2]], low, size_m, 0.022, 0.35)
    return _Stage(low, size_m, heights, paint, np.zeros_like(paint))


def _shade(frame: int, bodies: list[_Body], stage: _Stage, light: Array) -> None:
    """The shadows of all bodies into the stage's map, whose border stays light."""
    shade, cells = stage.shade, int(SHADOW_M / stage.size_m)
    shade[:] = 0.0
    for body in bodies:
        place = body.actor.place(frame)
        corner = np.floor((place[[0, 2]] - stage.low) / stage.size_m - 0.5 * cells).astype(int)
        begin, end = np.maximum(corner, 1), np.minimum(corner + cells, np.array(shade.shape)[::-1] - 1)
        if np.any(end - begin < 3):
            continue
        tile = np.zeros((end[1] - begin[1], end[0] - begin[0]), dtype=np.float32)
        raised = body.points - np.array([0.0, place[1], 0.0])
        low = stage.low + begin * stage.size_m
        raster.draw_shadow(tile, raised, body.dressed.triangles, low, stage.size_m, light, 1.0)
        tile = raster.blur(tile, max(1, round(0.03 / stage.size_m)))
        part = shade[begin[1] : end[1], begin[0] : end[0]]
        np.maximum(part, tile, out=part)


def _draw(
    image: NDArray[np.float32],
    scene: Scene,
    frame: int,
    bodies: list[_Body],
    eye: Array,
    light: Array,
    focal: float,
    flash_s: float,
) -> None:
    height, width = image.shape[:2]
    for body in sorted(bodies, key=lambda each: -float(np.mean((each.points - eye[:3]) @ eye[9:]))):
        if float(np.min((body.points - eye[:3]) @ eye[9:])) < NEAREST_M:
            continue
        screen = raster.project(body.points, eye, OVERSAMPLE * focal, OVERSAMPLE * width, OVERSAMPLE * height)
        how = body.dressed
        raster.draw_mesh(image, screen, body.normals, how.colours, how.triangles, eye, light, 1.0, OVERSAMPLE)
    for at, k in scene.shots:
        if not 0 <= frame - at < max(flash_s * scene.fps, 1.0):
            continue
        actor = scene.actors[k]
        own = actor.frame(frame)
        joints, turns = forward(actor.clip.rotations[own : own + 1], actor.clip.root[own : own + 1])
        wrist, turn = joints[0, INDEX["R_Wrist"]] + actor.at, turns[0, INDEX["R_Wrist"]]
        muzzle = wrist + rotate(turn, MUZZLE)
        ends = np.stack([muzzle, muzzle + TRACER_M * rotate(turn, np.array([-1.0, 0.0, 0.0]))])
        if float(np.min((ends - eye[:3]) @ eye[9:])) < NEAREST_M:
            continue
        begin, end = raster.project(ends, eye, focal, width, height)
        raster.draw_streak(image, begin, end, FLASH, 0.020 * focal / begin[2])


def _caption(
    draw: "ImageDraw.ImageDraw",
    scene: Scene,
    frame: int,
    bodies: list[_Body],
    eye: Array,
    focal: float,
    width: int,
    height: int,
) -> None:
    if len(scene.actors) == 1 and not scene.actors[0].acts:
        clip = scene.actors[0].clip
        write(draw, (8, 6), f"{clip.intent}   {frame / scene.fps:.1f} s of {scene.seconds:.1f} s", 12)
        return
    write(draw, (8, 6), f"{frame / scene.fps:.1f} s", 12)
    for body in bodies:
        actor, points = body.actor, body.points
        top = points[np.argmax(points[:, 1])] + np.array([0.0, 0.16, 0.0])
        if float((top - eye[:3]) @ eye[9:]) < NEAREST_M:
            continue
        x, y, depth = raster.project(top[None], eye, focal, width, height)[0]
        dead = actor.clip.notes.get("dead_from_frame", np.inf) + actor.first <= frame
        now = frame * 1000.0 / scene.fps
        word = "dead" if dead else [intent for at, intent in actor.acts if at <= now or at == actor.acts[0][0]][-1]
        if 0 < x < width and 0 < y < height and depth < 45.0:
            write(draw, (x - 3.0 * len(word), y - 13), word, 11)
