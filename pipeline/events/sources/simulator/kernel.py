"""Geometry and motion of the simulator in compiled loops.

Belongs here: lines of sight, clearances, shortest ways, one step of all bodies. Does not belong here: what the
bodies want (`behaviour`), the map (`arena`), any number of the configuration (it comes as an argument).

Ground coordinates are (x, z) in metres. `walls` is float64 (n, 4): one wall edge (x0, z0, x1, z1) per row.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@njit(cache=True)
def crosses(ax: float, az: float, bx: float, bz: float, walls: Floats) -> bool:
    """Whether the segment from a to b meets a wall edge (orientation test; touching counts)."""
    for k in range(walls.shape[0]):
        cx, cz, dx, dz = walls[k, 0], walls[k, 1], walls[k, 2], walls[k, 3]
        if max(cx, dx) < min(ax, bx) or min(cx, dx) > max(ax, bx):
            continue
        if max(cz, dz) < min(az, bz) or min(cz, dz) > max(az, bz):
            continue
        ab_c = (bx - ax) * (cz - az) - (bz - az) * (cx - ax)
        ab_d = (bx - ax) * (dz - az) - (bz - az) * (dx - ax)
        cd_a = (dx - cx) * (az - cz) - (dz - cz) * (ax - cx)
        cd_b = (dx - cx) * (bz - cz) - (dz - cz) * (bx - cx)
        if ab_c * ab_d <= 0.0 and cd_a * cd_b <= 0.0:
            return True
    return False


@njit(cache=True)
def _point_to_segment(px: float, pz: float, ax: float, az: float, bx: float, bz: float) -> float:
    dx, dz = bx - ax, bz - az
    length2 = dx * dx + dz * dz
    t = 0.0
    if length2 > 0.0:
        t = min(1.0, max(0.0, ((px - ax) * dx + (pz - az) * dz) / length2))
    return math.hypot(px - ax - t * dx, pz - az - t * dz)


@njit(cache=True)
def clearance(ax: float, az: float, bx: float, bz: float, walls: Floats) -> float:
    """Smallest distance in metres between the segment from a to b and any wall edge; 0 where they meet."""
    if crosses(ax, az, bx, bz, walls):
        return 0.0
    least = math.inf
    for k in range(walls.shape[0]):
        cx, cz, dx, dz = walls[k, 0], walls[k, 1], walls[k, 2], walls[k, 3]
        least = min(
            least,
            _point_to_segment(ax, az, cx, cz, dx, dz),
            _point_to_segment(bx, bz, cx, cz, dx, dz),
            _point_to_segment(cx, cz, ax, az, bx, bz),
            _point_to_segment(dx, dz, ax, az, bx, bz),
        )
    return least


@njit(cache=True)
def roomy(ax: float, az: float, bx: float, bz: float, walls: Floats, room: float) -> bool:
    """Whether `clearance` is at least `room`, found sooner: a wall whose box is farther than that is not measured."""
    x0, x1, z0, z1 = min(ax, bx) - room, max(ax, bx) + room, min(az, bz) - room, max(az, bz) + room
    for k in range(walls.shape[0]):
        cx, cz, dx, dz = walls[k, 0], walls[k, 1], walls[k, 2], walls[k, 3]
        if max(cx, dx) < x0 or min(cx, dx) > x1 or max(cz, dz) < z0 or min(cz, dz) > z1:
            continue
        if clearance(ax, az, bx, bz, walls[k : k + 1]) < room:
            return False
    return True


@njit(cache=True)
def way_left(place: Floats, path: Floats, leg: int, legs: int) -> float:
    """Metres from `place` (2,) along the points `path` (n, 2) from `leg` to before `legs`."""
    x, z, total = place[0], place[1], 0.0
    for k in range(leg, legs):
        total += math.hypot(path[k, 0] - x, path[k, 1] - z)
        x, z = path[k, 0], path[k, 1]
    return total


@njit(cache=True)
def walkable(px: float, pz: float, points: Floats, walls: Floats, room: float) -> Bools:
    """For each of `points` (n, 2): whether a straight walk from p keeps `room` metres from every wall."""
    out = np.zeros(points.shape[0], dtype=np.bool_)
    for k in range(points.shape[0]):
        out[k] = roomy(px, pz, points[k, 0], points[k, 1], walls, room)
    return out


@njit(cache=True)
def seen_from(px: float, pz: float, points: Floats, walls: Floats) -> Bools:
    """For each of `points` (n, 2): whether no wall stands between it and p."""
    out = np.zeros(points.shape[0], dtype=np.bool_)
    for k in range(points.shape[0]):
        out[k] = not crosses(px, pz, points[k, 0], points[k, 1], walls)
    return out


@njit(cache=True)
def all_ways(nodes: Floats, usable: Bools, walls: Floats, room: float) -> tuple[Floats, Ints]:
    """Shortest ways between all nodes (Floyd and Warshall).

    Args:
        nodes: (n, 2) metres.
        usable: (n,) nodes that may be passed.
        walls: wall edges.
        room: distance in metres that a way keeps from walls.

    Returns:
        (n, n) lengths in metres (inf where there is no way), and for i, j the node that follows i on the way to j.
    """
    n = nodes.shape[0]
    length = np.full((n, n), np.inf)
    after = np.full((n, n), -1, dtype=np.int64)
    for i in range(n):
        if usable[i]:
            length[i, i] = 0.0
            after[i, i] = i
        for j in range(i):
            if usable[i] and usable[j] and clearance(nodes[i, 0], nodes[i, 1], nodes[j, 0], nodes[j, 1], walls) >= room:
                length[i, j] = length[j, i] = math.hypot(nodes[i, 0] - nodes[j, 0], nodes[i, 1] - nodes[j, 1])
                after[i, j], after[j, i] = j, i
    for k in range(n):
        for i in range(n):
            for j in range(n):
                if length[i, k] + length[k, j] < length[i, j] - 1e-9:
                    length[i, j] = length[i, k] + length[k, j]
                    after[i, j] = after[i, k]
    return length, after


@njit(cache=True)
def sight(place: Floats, alive: Bools, team: Ints, walls: Floats, smokes: Floats) -> Bools:
    """Which opponents have a free line between them.

    Args:
        place: (n, 2) metres.
        alive: (n,).
        team: (n,).
        walls: wall edges.
        smokes: (k, 3) centre and radius in metres of each standing smoke.

    Returns:
        (n, n), symmetric; False within a team and for the dead.
    """
    n = place.shape[0]
    out = np.zeros((n, n), dtype=np.bool_)
    for i in range(n):
        for j in range(i):
            if team[i] == team[j] or not (alive[i] and alive[j]):
                continue
            free = True
            for s in range(smokes.shape[0]):
                gap = _point_to_segment(smokes[s, 0], smokes[s, 1], place[i, 0], place[i, 1], place[j, 0], place[j, 1])
                if gap < smokes[s, 2]:
                    free = False
                    break
            if free and not crosses(place[i, 0], place[i, 1], place[j, 0], place[j, 1], walls):
                out[i, j] = out[j, i] = True
    return out


@njit(cache=True)
def in_view(place: Floats, yaw: Floats, free: Bools, half_angle: float) -> Bools:
    """Which of the free lines of sight lie within `half_angle` radians of where the player looks."""
    n = place.shape[0]
    out = np.zeros((n, n), dtype=np.bool_)
    least = math.cos(half_angle)
    for i in range(n):
        for j in range(n):
            if free[i, j]:
                dx, dz = place[j, 0] - place[i, 0], place[j, 1] - place[i, 1]
                gap = math.hypot(dx, dz)
                out[i, j] = gap < 1e-9 or (dx * math.cos(yaw[i]) - dz * math.sin(yaw[i])) >= least * gap
    return out


@njit(cache=True)
def _wanted(
    i: int,
    place: Floats,
    alive: Bools,
    path: Floats,
    leg: Ints,
    legs: Ints,
    cruise: float,
    brake: float,
    turn_at: float,
    corner_slowing: float,
    elbow_room: float,
) -> tuple[float, float]:
    """The velocity in m/s that follows player i's path; advances its leg."""
    if leg[i] >= legs[i]:
        return 0.0, 0.0
    px, pz = place[i, 0], place[i, 1]
    gap = math.hypot(path[i, leg[i], 0] - px, path[i, leg[i], 1] - pz)
    while leg[i] < legs[i] - 1 and gap < turn_at:
        leg[i] += 1
        gap = math.hypot(path[i, leg[i], 0] - px, path[i, leg[i], 1] - pz)
    tx, tz = path[i, leg[i], 0], path[i, leg[i], 1]
    if leg[i] == legs[i] - 1:
        if gap < 0.12:
            leg[i] = legs[i]
            return 0.0, 0.0
        speed = min(cruise, math.sqrt(brake * gap))
    else:
        speed = cruise
        if gap < 2.0 and gap > 1e-6:
            nx, nz = path[i, leg[i] + 1, 0] - tx, path[i, leg[i] + 1, 1] - tz
            size = math.hypot(nx, nz)
            if size > 1e-6:
                bend = 0.5 - 0.5 * ((tx - px) * nx + (tz - pz) * nz) / (gap * size)
                speed *= 1.0 - corner_slowing * bend
    if gap < 1e-6:
        return 0.0, 0.0
    wx, wz = (tx - px) / gap * speed, (tz - pz) / gap * speed
    for j in range(place.shape[0]):
        if j == i or not alive[j]:
            continue
        dx, dz = px - place[j, 0], pz - place[j, 1]
        near = math.hypot(dx, dz)
        if near < elbow_room and near > 1e-6:
            give = 1.5 * (elbow_room - near) / elbow_room
            wx += dx / near * give
            wz += dz / near * give
    size = math.hypot(wx, wz)
    if size > cruise and size > 0.0:
        wx, wz = wx / size * cruise, wz / size * cruise
    return wx, wz


@njit(cache=True)
def step(
    place: Floats,
    velocity: Floats,
    yaw: Floats,
    alive: Bools,
    path: Floats,
    leg: Ints,
    legs: Ints,
    cruise: Floats,
    strafe: Floats,
    strafing: Bools,
    look: Floats,
    looking: Bools,
    aside: Floats,
    sway: Floats,
    walls: Floats,
    dt: float,
    radius: float,
    top_speed: float,
    accelerate: float,
    brake: float,
    turn_at: float,
    corner_slowing: float,
    elbow_room: float,
    yaw_gain: float,
    yaw_slack: float,
    yaw_rate: float,
) -> None:
    """Move and turn all bodies by one step, in place.

    A body follows its path, `sway` radians off it, or `strafe` where `strafing`; its velocity changes by at most
    `accelerate` (or `brake` when it slows) m/s²; walls push it out by `radius`; it never crosses one. It looks at
    `look` where `looking`, else `aside` radians off its way; the view turns by `yaw_gain` (1/s) of an error over
    `yaw_slack`, at most `yaw_rate` rad/s.
    """
    for i in range(place.shape[0]):
        if not alive[i]:
            continue
        ahead = yaw[i] - aside[i]
        if strafing[i]:
            wx, wz = strafe[i, 0], strafe[i, 1]
        else:
            wx, wz = _wanted(i, place, alive, path, leg, legs, cruise[i], brake, turn_at, corner_slowing, elbow_room)
            c, sn = math.cos(sway[i]), math.sin(sway[i])
            if not looking[i] and wx * wx + wz * wz > 0.25:
                ahead = math.atan2(-wz, wx)
            wx, wz = c * wx - sn * wz, sn * wx + c * wz
        vx, vz = velocity[i, 0], velocity[i, 1]
        dx, dz = wx - vx, wz - vz
        change = math.hypot(dx, dz)
        most = (brake if wx * wx + wz * wz < vx * vx + vz * vz else accelerate) * dt
        if change > most:
            dx, dz = dx / change * most, dz / change * most
        vx, vz = vx + dx, vz + dz
        ox, oz = place[i, 0], place[i, 1]
        px, pz = ox + vx * dt, oz + vz * dt
        for _ in range(3):
            pushed = False
            for k in range(walls.shape[0]):
                ax, az, bx, bz = walls[k, 0], walls[k, 1], walls[k, 2], walls[k, 3]
                ex, ez = bx - ax, bz - az
                t = ((px - ax) * ex + (pz - az) * ez) / (ex * ex + ez * ez)
                t = min(1.0, max(0.0, t))
                nx, nz = px - ax - t * ex, pz - az - t * ez
                gap = math.hypot(nx, nz)
                if gap < radius and gap > 1e-9:
                    nx, nz = nx / gap, nz / gap
                    px, pz = px + nx * (radius - gap), pz + nz * (radius - gap)
                    into = vx * nx + vz * nz
                    if into < 0.0:
                        vx, vz = vx - into * nx, vz - into * nz
                    pushed = True
            if not pushed:
                break
        moved = math.hypot(px - ox, pz - oz)
        if moved > top_speed * dt:
            px, pz = ox + (px - ox) / moved * top_speed * dt, oz + (pz - oz) / moved * top_speed * dt
        if crosses(ox, oz, px, pz, walls):
            px, pz, vx, vz = ox, oz, 0.0, 0.0
        place[i, 0], place[i, 1] = px, pz
        velocity[i, 0], velocity[i, 1] = vx, vz
        aim = yaw[i]
        if looking[i]:
            lx, lz = look[i, 0] - px, look[i, 1] - pz
            if lx * lx + lz * lz > 1e-6:
                aim = math.atan2(-lz, lx)
        else:
            aim = ahead + aside[i]
        turn = (aim - yaw[i] + math.pi) % (2.0 * math.pi) - math.pi
        rate = min(yaw_rate, max(-yaw_rate, yaw_gain * turn)) if abs(turn) > yaw_slack else 0.0
        yaw[i] = (yaw[i] + rate * dt + math.pi) % (2.0 * math.pi) - math.pi
