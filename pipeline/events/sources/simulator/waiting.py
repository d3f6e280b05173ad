"""One who keeps a place: he potters about it, strolls, peeks out of cover, and looks around.

Recorded players hardly ever stand like posts: half of their stops last a quarter of a second, and between them they
strafe on the spot or walk a few steps, with their eyes on what they watch.

Belongs here: what a player does while nothing happens. Does not belong here: fights (`fighting`), where the team wants
him (`tactics`).
"""

import math

from pipeline.events.sources.simulator.agents import Agent
from pipeline.events.sources.simulator.arena import Point
from pipeline.events.sources.simulator.state import RoundState


def hold(s: RoundState, a: Agent, watch: Point) -> None:
    """Stay where he is and watch."""
    s.bodies.stop(a.index)
    a.task, a.intent, a.target, a.order_way = "hold", "hold", -1, None
    a.spot, a.watch = s.at(a), watch
    a.phase = "pause"
    a.next_shift = s.tick + s.span_ticks(s.config.waiting.pause_s)
    a.next_peek = s.tick + s.span_ticks(_peek_pause(s, a))


def must_leave(s: RoundState, a: Agent) -> bool:
    """Whether an order waits to be followed."""
    return a.order is not None and not a.order_done and s.tick >= max(a.order.start, a.pause_until)


def potter(s: RoundState, a: Agent) -> None:
    """Once a pause is over: a step aside, a stroll, or another pause."""
    wait = s.config.waiting
    if a.task != "hold" or not s.bodies.arrived(a.index):
        return
    if a.phase == "step":
        a.phase = "pause"
        a.next_shift = s.tick + s.span_ticks(wait.long_pause_s if s.chance(wait.long_pause_share) else wait.pause_s)
    met = s.tick - max(a.hurt, a.target_seen) < s.ticks(s.config.meaning.contact_s)
    if s.tick < a.next_shift or met:
        return
    a.phase = "step"
    alarmed = s.enemy_near(a.team, s.at(a), s.config.behaviour.suspect_m, s.config.perception.sighting_s)
    if not alarmed and not _hides(s, a) and s.chance(wait.stroll_share) and _stroll(s, a):
        return
    steps, here, been = [], s.at(a), [*a.been, s.at(a)]
    for _ in range(int(s.rng.integers(wait.step_legs[0], wait.step_legs[1] + 1))):
        goals = (_aside(s, a) for _ in range(wait.step_tries))
        goal = next((g for g in goals if all(math.dist(g, old) >= wait.anew_m for old in been)), None)
        if goal is not None and s.arena.can_stand(goal) and s.arena.free(here, goal) and not _exposed(s, a, goal):
            steps.append(goal)
            here = goal
    if steps:
        a.been = been[-wait.steps_back :]
        s.bodies.send(a.index, steps, s.span(wait.step_pace) * s.run_speed(a))


def _hides(s: RoundState, a: Agent) -> bool:
    """Whether he has given the round up, or waits to take the site back: such a one keeps still."""
    saves = a.order is not None and a.order.kind == "save"
    return saves or (a.side == "defenders" and s.bomb.planted is not None)


def _stroll(s: RoundState, a: Agent) -> bool:
    """Walk to some place near by, which then is the one to keep; never far from where he was sent, nor past it."""
    wait = s.config.waiting
    home = a.order.at if a.order is not None else a.spot
    here, points = s.at(a), []
    for _ in range(int(s.rng.integers(wait.stroll_legs[0], wait.stroll_legs[1] + 1))):
        goal = s.arena.footing_near(_near(s, home, wait.stroll_m))
        forward = math.dist(home, a.watch) - math.dist(goal, a.watch) > wait.stroll_m[0]
        if forward or math.dist(goal, here) < wait.stroll_m[0] or _exposed(s, a, goal):
            continue
        way, length = s.arena.way(here, goal)
        if length < 2.0 * wait.stroll_m[1]:
            points += s.arena.stray(here, way, s.config.motion.stray_m, s.rng)
            here = goal
    if not points:
        return False
    pace = 1.0 if s.chance(wait.stroll_run_share) else s.span(wait.stroll_pace)
    s.bodies.send(a.index, points, pace * s.run_speed(a))
    a.spot = here
    a.strolls_ahead = s.chance(wait.ahead_share)
    return True


def _aside(s: RoundState, a: Agent) -> Point:
    """A point beside the spot, more or less across the view of who watches."""
    wait = s.config.waiting
    toward = math.atan2(a.watch[1] - a.spot[1], a.watch[0] - a.spot[0])
    angle = toward + math.copysign(0.5 * math.pi, s.span((-1.0, 1.0))) + float(s.rng.normal(0.0, 0.6))
    reach = s.span(wait.step_m)
    return a.spot[0] + reach * math.cos(angle), a.spot[1] + reach * math.sin(angle)


def _near(s: RoundState, at: Point, reach_m: tuple[float, float]) -> Point:
    angle, reach = s.span((0.0, 2.0 * math.pi)), s.span(reach_m)
    return at[0] + reach * math.cos(angle), at[1] + reach * math.sin(angle)


def _exposed(s: RoundState, a: Agent, goal: Point) -> bool:
    """Whether that place can be seen from where the present one can't."""
    return s.arena.free(goal, a.watch) and not s.arena.free(a.spot, a.watch)


# --- peeks


def _peek_pause(s: RoundState, a: Agent) -> tuple[float, float]:
    wait = s.config.waiting
    alarmed = s.enemy_near(a.team, s.at(a), s.config.tactics.site_m, s.config.perception.sighting_s)
    return wait.peek_alarmed_s if alarmed else wait.peek_every_s


def peek(s: RoundState, a: Agent) -> bool:
    """Step out of cover, look, step back to the spot; True while he is about it."""
    wait = s.config.waiting
    if a.task == "peek":
        if a.phase == "out":
            if s.bodies.arrived(a.index):
                a.phase, a.until = "look", s.tick + s.span_ticks(wait.peek_look_s)
        elif a.phase == "look":
            if s.tick >= a.until:
                a.phase = "back"
                s.bodies.send(a.index, [a.spot], wait.peek_pace * s.run_speed(a))
        elif s.bodies.arrived(a.index):
            spot = a.spot
            hold(s, a, a.watch)
            a.spot = spot
            a.next_shift = s.tick + s.span_ticks(wait.peek_stand_s)
            return False
        return True
    if a.task != "hold" or s.tick < a.next_peek or a.blind_until > s.tick or must_leave(s, a):
        return False
    if not s.bodies.arrived(a.index) or s.bodies.speed(a.index) > wait.still_mps:
        return False
    if a.phase != "ready":  # whoever peeks has stood and listened
        a.phase = "ready"
        a.next_peek = a.next_shift = s.tick + s.span_ticks(wait.peek_stand_s)
        return False
    a.next_peek = s.tick + s.span_ticks(_peek_pause(s, a))
    a.phase = "pause"
    goals = [a.watch]
    if known := [k.at for _, k in s.recent(a.team, s.config.perception.sighting_s)]:
        nearest = min(known, key=lambda at: (math.dist(at, s.at(a)), at))
        if math.dist(nearest, s.at(a)) < s.config.behaviour.suspect_m:
            goals.insert(0, nearest)
    for goal in goals:
        out = s.arena.step_out(s.at(a), goal, *wait.peek_m)
        if out is not None:
            a.task, a.intent, a.phase, a.order_way = "peek", "peek", "out", None
            a.spot, a.watch = s.at(a), goal
            s.bodies.send(a.index, [out], wait.peek_pace * s.run_speed(a))
            s.bodies.look_at(a.index, goal)
            return True
    return False


# --- eyes


def look_around(s: RoundState, a: Agent) -> None:
    """Aim at what matters: what was heard or hurt, the watched place with glances about it, else ahead."""
    if a.task in ("fight", "trade", "peek", "chase"):
        return
    working = a.task in ("plant", "defuse") and a.work_since
    if a.alarm is not None and s.tick < a.alarm_until and not working:
        s.bodies.look_at(a.index, a.alarm)
        return
    wait = s.config.waiting
    if s.tick >= a.next_glance:
        a.next_glance = s.tick + s.span_ticks(wait.glance_every_s)
        wide = s.chance(wait.sweep_share)
        a.glance_deg = float(s.rng.normal(0.0, wait.sweep_deg if wide else wait.glance_deg))
        a.looks_ahead = s.chance(wait.run_ahead_share)
    goes = a.task in ("go", "retreat") or (a.task in ("plant", "defuse") and not a.work_since)
    strolls = a.task == "hold" and a.strolls_ahead and s.bodies.left(a.index) > wait.step_m[1]
    if a.task == "retreat" or strolls or (goes and (a.looks_ahead or math.dist(s.at(a), a.watch) > wait.watch_m)):
        s.bodies.look_ahead(a.index, math.radians(a.glance_deg))
        return
    x, z = s.at(a)
    dx, dz = a.watch[0] - x, a.watch[1] - z
    c, sn = math.cos(math.radians(a.glance_deg)), math.sin(math.radians(a.glance_deg))
    s.bodies.look_at(a.index, (x + c * dx - sn * dz, z + sn * dx + c * dz))
