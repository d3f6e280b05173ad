"""A small rasteriser: lit triangles and a ground plane into an image, on the CPU, with nothing but numba.

Belongs here: pixels. Does not belong here: what is shown, from where, in which colours (preview).

Images are float32 linear light `(H, W, 3)`. A camera is a row of twelve numbers: position, right, up, forward; the
focal length is in pixels.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]
Faces = NDArray[np.int64]
Image = NDArray[np.float32]


@njit(cache=True)
def project(points: Array, camera: Array, focal: float, width: int, height: int) -> Array:
    """Pixel x, pixel y and depth along the view `(n, 3)` of world points `(n, 3)`."""
    out = np.empty((points.shape[0], 3))
    for i in range(points.shape[0]):
        x, y, z = points[i, 0] - camera[0], points[i, 1] - camera[1], points[i, 2] - camera[2]
        depth = max(x * camera[9] + y * camera[10] + z * camera[11], 1e-3)
        out[i, 0] = 0.5 * width + focal * (x * camera[3] + y * camera[4] + z * camera[5]) / depth
        out[i, 1] = 0.5 * height - focal * (x * camera[6] + y * camera[7] + z * camera[8]) / depth
        out[i, 2] = depth
    return out


@njit(cache=True)
def draw_mesh(
    image: Image,
    screen: Array,
    normals: Array,
    colours: Array,
    triangles: Faces,
    camera: Array,
    light: Array,
    alpha: float,
    times: int,
) -> None:
    """Draws one closed mesh over the image, its own nearest surface only, with the given opacity.

    Args:
        image: drawn into.
        screen: `(V, 3)` from `project` for a picture `times` as wide and as high as the image.
        normals: `(V, 3)` unit.
        colours: `(F, 3)` linear.
        triangles: `(F, 3)`.
        camera: twelve numbers.
        light: unit direction towards the light.
        alpha: 0 to 1.
        times: a pixel of the image is the mean of so many by so many.
    """
    height, width = image.shape[0] * times, image.shape[1] * times
    x0, x1 = max(int(screen[:, 0].min()) - 1, 0) // times * times, min(int(screen[:, 0].max()) + 2, width)
    y0, y1 = max(int(screen[:, 1].min()) - 1, 0) // times * times, min(int(screen[:, 1].max()) + 2, height)
    if x1 <= x0 or y1 <= y0:
        return
    x1, y1 = (x1 + times - 1) // times * times, (y1 + times - 1) // times * times
    nearest = np.full((y1 - y0, x1 - x0), np.inf, dtype=np.float32)
    layer = np.empty((y1 - y0, x1 - x0, 3), dtype=np.float32)
    for f in range(triangles.shape[0]):
        a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        ax, ay, bx, by, cx, cy = screen[a, 0], screen[a, 1], screen[b, 0], screen[b, 1], screen[c, 0], screen[c, 1]
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if area >= 0.0:
            continue
        per = 1.0 / area
        near_a, near_b, near_c = 1.0 / screen[a, 2], 1.0 / screen[b, 2], 1.0 / screen[c, 2]
        left, right = max(int(min(ax, bx, cx)), x0), min(int(max(ax, bx, cx)) + 1, x1 - 1)
        top, bottom = max(int(min(ay, by, cy)), y0), min(int(max(ay, by, cy)) + 1, y1 - 1)
        for py in range(top, bottom + 1):
            for px in range(left, right + 1):
                sx, sy = px + 0.5, py + 0.5
                wa = ((bx - sx) * (cy - sy) - (cx - sx) * (by - sy)) * per
                wb = ((cx - sx) * (ay - sy) - (ax - sx) * (cy - sy)) * per
                wc = 1.0 - wa - wb
                if wa < 0.0 or wb < 0.0 or wc < 0.0:
                    continue
                depth = 1.0 / (wa * near_a + wb * near_b + wc * near_c)
                if depth >= nearest[py - y0, px - x0]:
                    continue
                nearest[py - y0, px - x0] = depth
                nx = wa * normals[a, 0] + wb * normals[b, 0] + wc * normals[c, 0]
                ny = wa * normals[a, 1] + wb * normals[b, 1] + wc * normals[c, 1]
                nz = wa * normals[a, 2] + wb * normals[b, 2] + wc * normals[c, 2]
                size = np.sqrt(nx * nx + ny * ny + nz * nz)
                nx, ny, nz = nx / size, ny / size, nz / size
                lambert = nx * light[0] + ny * light[1] + nz * light[2]
                direct = max(0.0, 0.85 * lambert + 0.15)
                ambient = 0.34 + 0.20 * ny
                facing = -(nx * camera[9] + ny * camera[10] + nz * camera[11])
                rim = 0.16 * max(0.0, 1.0 - max(facing, 0.0)) ** 3
                for k in range(3):
                    layer[py - y0, px - x0, k] = colours[f, k] * (ambient + 0.95 * direct) + rim
    each = alpha / (times * times)
    for y in range((y1 - y0) // times):
        for x in range((x1 - x0) // times):
            covered, red, green, blue = 0, 0.0, 0.0, 0.0
            for j in range(y * times, (y + 1) * times):
                for i in range(x * times, (x + 1) * times):
                    if nearest[j, i] < np.inf:
                        covered += 1
                        red += layer[j, i, 0]
                        green += layer[j, i, 1]
                        blue += layer[j, i, 2]
            if covered:
                row, column = y0 // times + y, x0 // times + x
                left_over = 1.0 - each * covered
                image[row, column, 0] = left_over * image[row, column, 0] + each * red
                image[row, column, 1] = left_over * image[row, column, 1] + each * green
                image[row, column, 2] = left_over * image[row, column, 2] + each * blue


@njit(cache=True)
def draw_shadow(
    mask: Image, points: Array, triangles: Faces, low: Array, size_m: float, light: Array, strength: float
) -> None:
    """Marks on a ground map where a mesh keeps the light away.

    Args:
        mask: `(n, m)` over z and x, raised to `strength` where covered.
        points: `(V, 3)` world, height measured from the ground under the body.
        triangles: `(F, 3)`.
        low: x and z of the map's first corner.
        size_m: side of one of its cells.
        light: unit direction towards the light.
        strength: 0 to 1.
    """
    rows, columns = mask.shape
    aside, along = light[0] / light[1], light[2] / light[1]
    cast = np.empty((points.shape[0], 2))
    for i in range(points.shape[0]):
        y = max(points[i, 1], 0.0)
        cast[i, 0] = (points[i, 0] - y * aside - low[0]) / size_m - 0.5
        cast[i, 1] = (points[i, 2] - y * along - low[1]) / size_m - 0.5
    for f in range(triangles.shape[0]):
        a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        ax, az, bx, bz, cx, cz = cast[a, 0], cast[a, 1], cast[b, 0], cast[b, 1], cast[c, 0], cast[c, 1]
        area = (bx - ax) * (cz - az) - (cx - ax) * (bz - az)
        if area >= -1e-9:  # of a closed mesh, what looks to the light casts all of the shadow
            continue
        per = 1.0 / area
        left, right = max(int(min(ax, bx, cx)), 0), min(int(max(ax, bx, cx)) + 1, columns - 1)
        for r in range(max(int(min(az, bz, cz)), 0), min(int(max(az, bz, cz)) + 1, rows - 1) + 1):
            for column in range(left, right + 1):
                u = ((bx - column) * (cz - r) - (cx - column) * (bz - r)) * per
                v = ((cx - column) * (az - r) - (ax - column) * (cz - r)) * per
                if u >= 0.0 and v >= 0.0 and u + v <= 1.0:
                    mask[r, column] = max(mask[r, column], strength)


@njit(cache=True)
def blur(mask: Image, radius: int) -> Image:
    """The mean over a square of `2 radius + 1` cells, in two passes."""
    rows, columns = mask.shape
    half, out = np.zeros_like(mask), np.zeros_like(mask)
    for r in range(rows):
        for c in range(columns):
            low, high = max(c - radius, 0), min(c + radius, columns - 1)
            total = 0.0
            for k in range(low, high + 1):
                total += mask[r, k]
            half[r, c] = total / (2 * radius + 1)
    for c in range(columns):
        for r in range(rows):
            low, high = max(r - radius, 0), min(r + radius, rows - 1)
            total = 0.0
            for k in range(low, high + 1):
                total += half[k, c]
            out[r, c] = total / (2 * radius + 1)
    return out


@njit(cache=True)
def _sampled(chart: NDArray[np.floating[Any]], u: float, v: float) -> float:
    rows, columns = chart.shape
    u, v = min(max(u, 0.0), columns - 1.001), min(max(v, 0.0), rows - 1.001)
    c, r = int(u), int(v)
    du, dv = u - c, v - r
    upper = chart[r, c] * (1.0 - du) + chart[r, c + 1] * du
    lower = chart[r + 1, c] * (1.0 - du) + chart[r + 1, c + 1] * du
    result: float = upper * (1.0 - dv) + lower * dv
    return result


@njit(cache=True)
def _struck(
    heights: Array, camera: Array, dx: float, dy: float, dz: float, begin: float, end: float, low: Array, size_m: float
) -> float:
    """How far along a ray the ground of a height map lies: 48 steps between its top and its bottom, then bisection."""
    before, after = begin, end
    for step in range(1, 49):
        after = begin + (end - begin) * step / 48.0
        x, z = camera[0] + after * dx, camera[2] + after * dz
        if camera[1] + after * dy <= _sampled(heights, (x - low[0]) / size_m - 0.5, (z - low[1]) / size_m - 0.5):
            break
        before = after
    for _ in range(8):
        middle = 0.5 * (before + after)
        x, z = camera[0] + middle * dx, camera[2] + middle * dz
        if camera[1] + middle * dy <= _sampled(heights, (x - low[0]) / size_m - 0.5, (z - low[1]) / size_m - 0.5):
            after = middle
        else:
            before = middle
    return after


@njit(cache=True)
def _nearness(
    camera: Array, focal: float, width: int, height: int, heights: Array, low: Array, size_m: float, every: int
) -> Array:
    """One over how far along its ray the ground lies, for every so many pixels; 0 in the sky.

    Over a plane it is linear in the picture, so what lies between may be interpolated.
    """
    top, bottom = heights.max(), heights.min()
    out = np.zeros((height // every + 2, width // every + 2))
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            right = (column * every + 0.5 - 0.5 * width) / focal
            up = (0.5 * height - row * every - 0.5) / focal
            dx = camera[9] + right * camera[3] + up * camera[6]
            dy = camera[10] + right * camera[4] + up * camera[7]
            dz = camera[11] + right * camera[5] + up * camera[8]
            if dy > -1e-4:
                continue
            t = max((top - camera[1]) / dy, 0.05)
            if top - bottom > 1e-3:
                t = _struck(heights, camera, dx, dy, dz, t, (bottom - camera[1]) / dy, low, size_m)
            out[row, column] = 1.0 / t
    return out


@njit(cache=True)
def draw_ground(
    image: Image,
    camera: Array,
    focal: float,
    heights: Array,
    shade: Image,
    paint: Image,
    low: Array,
    size_m: float,
    sky: Array,
    ground: Array,
    ink: Array,
    haze_m: float,
    every: int,
) -> None:
    """Fills the image with sky and a ground with a 1 m grid, shadows and marks.

    Args:
        image: drawn into.
        camera: twelve numbers.
        focal: pixels.
        heights: map of the ground's height.
        shade: map of shadows, 0 to 1.
        paint: map of marks, 0 to 1.
        low: x and z of the maps' first corner.
        size_m: side of a cell of the maps.
        sky: `(2, 3)` colours at the horizon and above.
        ground: `(2, 3)` colours of ground and grid.
        ink: `(3,)` colour of marks.
        haze_m: distance at which the ground fades into the sky.
        every: the ground's shape is found for every so many pixels, and between them interpolated.
    """
    height, width = image.shape[0], image.shape[1]
    top, bottom = heights.max(), heights.min()
    climbs = top - bottom > 1e-3
    near = _nearness(camera, focal, width, height, heights, low, size_m, every if climbs else max(width, height))
    rows, columns = shade.shape
    before, far = -1.0, 0.0
    for py in range(height):
        for px in range(width):
            right, up = (px + 0.5 - 0.5 * width) / focal, (0.5 * height - py - 0.5) / focal
            dx = camera[9] + right * camera[3] + up * camera[6]
            dy = camera[10] + right * camera[4] + up * camera[7]
            dz = camera[11] + right * camera[5] + up * camera[8]
            if dy > -1e-4:
                rise = dy / np.sqrt(dx * dx + dy * dy + dz * dz)
                share = min(max(rise * 2.2, 0.0), 1.0)
                for k in range(3):
                    image[py, px, k] = sky[0, k] * (1.0 - share) + sky[1, k] * share
                continue
            t = max((top - camera[1]) / dy, 0.05)
            if climbs:
                t = 1.0 / max(_sampled(near, px / every, py / every), 1e-4)
            if t != before:  # over a plane, once a row
                before, far = t, 1.0 - np.exp(-((t / haze_m) ** 2))
            x, z = camera[0] + t * dx, camera[2] + t * dz
            pixel, steep = t / focal, 1.2 / max(-dy, 0.05)
            line = 0.0
            for value, grade in ((x, abs(dx)), (z, abs(dz))):
                away = abs(value - np.floor(value + 0.5))
                wide = 0.010 + pixel * (0.7 + steep * grade)
                if away < wide:
                    line = max(line, (1.0 - away / wide) * min(1.0, 0.03 / wide + 0.15))
            u, v = (x - low[0]) / size_m - 0.5, (z - low[1]) / size_m - 0.5
            dark, mark = 1.0, 0.0
            if 0.0 < u < columns - 1 and 0.0 < v < rows - 1:
                c, r = int(u), int(v)
                du, dv = u - c, v - r
                one, two, three, four = (1.0 - du) * (1.0 - dv), du * (1.0 - dv), (1.0 - du) * dv, du * dv
                mark = one * paint[r, c] + two * paint[r, c + 1] + three * paint[r + 1, c] + four * paint[r + 1, c + 1]
                dark = one * shade[r, c] + two * shade[r, c + 1] + three * shade[r + 1, c] + four * shade[r + 1, c + 1]
                dark = 1.0 - 0.62 * dark
            lit = 0.55 + 0.45 * dark
            for k in range(3):
                value = (ground[0, k] + line * (ground[1, k] - ground[0, k])) * dark
                value += mark * (ink[k] * lit - value)
                image[py, px, k] = value + far * (sky[0, k] - value)


@njit(cache=True)
def paint_path(paint: Image, points: Array, low: Array, size_m: float, half_width: float, strength: float) -> None:
    """Marks a ribbon along a polyline `(n, 2)` of x and z on a ground map."""
    rows, columns = paint.shape
    for i in range(points.shape[0] - 1):
        ax, az = (points[i, 0] - low[0]) / size_m, (points[i, 1] - low[1]) / size_m
        bx, bz = (points[i + 1, 0] - low[0]) / size_m, (points[i + 1, 1] - low[1]) / size_m
        reach = half_width / size_m + 1.5
        length = max((bx - ax) ** 2 + (bz - az) ** 2, 1e-9)
        for r in range(max(int(min(az, bz) - reach), 0), min(int(max(az, bz) + reach) + 1, rows - 1) + 1):
            for c in range(max(int(min(ax, bx) - reach), 0), min(int(max(ax, bx) + reach) + 1, columns - 1) + 1):
                s = min(max(((c + 0.5 - ax) * (bx - ax) + (r + 0.5 - az) * (bz - az)) / length, 0.0), 1.0)
                away = np.sqrt((c + 0.5 - ax - s * (bx - ax)) ** 2 + (r + 0.5 - az - s * (bz - az)) ** 2)
                cover = min(max(half_width / size_m + 0.5 - away, 0.0), 1.0)
                paint[r, c] = max(paint[r, c], strength * cover)


@njit(cache=True)
def paint_soles(paint: Image, soles: Array, low: Array, size_m: float, strength: float) -> None:
    """Marks footprints `(n, 3)` of x, z and direction (of the middle of the sole) on a ground map."""
    rows, columns = paint.shape
    for i in range(soles.shape[0]):
        x, z, sin, cos = soles[i, 0], soles[i, 1], np.sin(soles[i, 2]), np.cos(soles[i, 2])
        reach = int(0.18 / size_m) + 2
        r0, c0 = int((z - low[1]) / size_m), int((x - low[0]) / size_m)
        for r in range(max(r0 - reach, 0), min(r0 + reach, rows - 1) + 1):
            for c in range(max(c0 - reach, 0), min(c0 + reach, columns - 1) + 1):
                px, pz = low[0] + (c + 0.5) * size_m - x, low[1] + (r + 0.5) * size_m - z
                along, across = px * sin + pz * cos, px * cos - pz * sin
                inside = 1.0 - (along / 0.140) ** 2 - (across / (0.050 + 0.08 * along * (along > 0) * 0.5)) ** 2
                cover = min(max(0.5 + inside * 0.045 / size_m, 0.0), 1.0)
                paint[r, c] = max(paint[r, c], strength * cover)


@njit(cache=True)
def draw_streak(image: Image, begin: Array, end: Array, colour: Array, half_width: float) -> None:
    """Lights a line that fades from `begin` to `end`, both `(3,)` from `project`, pixels."""
    height, width = image.shape[0], image.shape[1]
    ax, ay, bx, by = begin[0], begin[1], end[0], end[1]
    reach = half_width + 1.0
    length = max((bx - ax) ** 2 + (by - ay) ** 2, 1e-9)
    for y in range(max(int(min(ay, by) - reach), 0), min(int(max(ay, by) + reach) + 1, height - 1) + 1):
        for x in range(max(int(min(ax, bx) - reach), 0), min(int(max(ax, bx) + reach) + 1, width - 1) + 1):
            s = min(max(((x + 0.5 - ax) * (bx - ax) + (y + 0.5 - ay) * (by - ay)) / length, 0.0), 1.0)
            away = np.sqrt((x + 0.5 - ax - s * (bx - ax)) ** 2 + (y + 0.5 - ay - s * (by - ay)) ** 2)
            light = min(max(half_width * (1.0 - 0.6 * s) + 0.5 - away, 0.0), 1.0) * (1.0 - s) ** 1.5
            for k in range(3):
                image[y, x, k] += light * (colour[k] - image[y, x, k])


@njit(cache=True)
def developed(image: Image, out: NDArray[np.uint8], curve: NDArray[np.uint8]) -> None:
    """Each value of the image through a curve over 0 to 1."""
    last = curve.size - 1
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            for k in range(3):
                out[y, x, k] = curve[int(min(max(image[y, x, k], 0.0), 1.0) * last + 0.5)]
