"""What one player does next, from what he sees, hears, was told and was hurt by.

Each decision asks, in this order: go on with the bomb in hand? fight? answer a teammate's death? seek cover? peek?
else follow the team's order. `Agent.intent` always names the state that the player is in; it is the truth that
predictions are compared with.

Belongs here: one player's mind. Does not belong here: the team's plan (`tactics`), shots (`combat`), steps (`kernel`).
"""

import math
from typing import Literal

from pipeline.events.sources.simulator.agents import Agent, Order
from pipeline.events.sources.simulator.arena import Point
from pipeline.events.sources.simulator.state import RoundState
from pipeline.events.sources.simulator.waiting import hold, look_around, must_leave, peek, potter
from pipeline.intents.vocabulary import Intent


def decide(s: RoundState, a: Agent) -> None:
    """Let one living player choose what to do until his next decision."""
    seen = s.known_enemies(a)
    if not (
        _escape(s, a) or _work(s, a, seen) or _fight(s, a, seen) or _answer(s, a) or _seek_cover(s, a) or peek(s, a)
    ):
        _follow(s, a)
    look_around(s, a)
    a.in_hand = _in_hand(s, a)
    _pick_up(s, a)


def _in_hand(s: RoundState, a: Agent) -> str:
    if a.task == "plant" and a.work_since:
        return "c4"
    if a.throwing_until > s.tick and a.task not in ("fight", "trade", "chase"):
        kinds = [kind for leaves, _, kind, name, _ in s.flying if s.throwers[name] == a.index and leaves > s.tick]
        if kinds:
            return s.config.combat.grenades[a.side][kinds[0]]
    fresh = s.tick - s.live < s.ticks(s.config.behaviour.knife_s)
    if fresh and a.task == "go" and not s.recent(a.team, s.config.perception.sighting_s) and not s.deaths[a.team]:
        return "knife"
    return a.gun


def _go(s: RoundState, a: Agent, to: Point, speed: float) -> None:
    start = s.at(a)
    wary = a.side == "defenders" and s.bomb.planted is None and a.task == "go"
    points, _ = s.arena.way(start, to, wary=wary)
    points = s.arena.stray(start, points, s.config.motion.stray_m, s.rng)
    s.bodies.send(a.index, points, speed)


# --- planting and defusing


def _work(s: RoundState, a: Agent, seen: list[int]) -> bool:
    """Go on planting or defusing, unless an enemy comes too near or a lure has done its work."""
    if a.task not in ("plant", "defuse") or not a.work_since:
        return False
    clock, mind = s.config.clock, s.config.behaviour
    need = clock.plant_s if a.task == "plant" else clock.kit_s if a.has_kit else clock.defuse_s
    left = need - (s.tick - a.work_since) / clock.tick_hz
    no_time = a.task == "defuse" and s.time_left() - left < mind.stick_s
    pressed = left < mind.stick_s or no_time
    near = any(math.dist(s.at(a), s.bodies.at(j)) < mind.abort_m for j in seen)
    hit = s.tick - a.hurt < s.ticks(mind.flinch_s) and a.hurt > a.work_since
    lured = 0 < a.bait_until <= s.tick and left > mind.stick_s
    if pressed or not (near or hit or lured):
        s.bodies.stop(a.index)
        a.intent = "plant" if a.task == "plant" else "defuse"
        return True
    stop_work(s, a)
    a.pause_until = s.tick + s.span_ticks(mind.wait_s)
    hold(s, a, a.watch)
    return False


def stop_work(s: RoundState, a: Agent) -> None:
    """Let go of the bomb."""
    a.work_since = a.bait_until = 0
    if s.bomb.defuser == a.index:
        s.bomb.defuser = -1


def _begin_work(s: RoundState, a: Agent, task: Literal["plant", "defuse"]) -> None:
    at = s.at(a)
    a.task = a.intent = task
    kind = "BOMB_PLANT_STARTED" if a.task == "plant" else "BOMB_DEFUSE_STARTED"
    site = s.arena.in_site(at) if a.task == "plant" else s.bomb.site
    s.bodies.stop(a.index)
    a.work_since = s.tick
    if a.task == "defuse":
        s.bomb.defuser = a.index
        enemies = len(s.alive(1 - a.team))
        slack = s.time_left() - (s.config.clock.kit_s if a.has_kit else s.config.clock.defuse_s)
        if enemies and slack > s.config.behaviour.bait_slack_s and s.chance(s.config.behaviour.bait_chance):
            a.bait_until = s.tick + s.span_ticks(s.config.behaviour.bait_s)
    s.tell(kind, a.player, {"site": site, "pos": s.pos(at)})


def _pick_up(s: RoundState, a: Agent) -> None:
    bomb, reach = s.bomb, s.config.behaviour.reach_m
    if bomb.dropped is not None and a.side == "attackers" and a.alive and math.dist(s.at(a), bomb.dropped) < reach:
        bomb.carrier, bomb.dropped = a.index, None
        s.tell("BOMB_PICKED_UP", a.player, {"site": None, "pos": s.pos(s.at(a))})


# --- fighting


def _friends(s: RoundState, a: Agent) -> int:
    near = s.config.behaviour.friend_m
    return sum(b.index != a.index and math.dist(s.at(a), s.at(b)) < near for b in s.alive(a.team))


def _wants_out(s: RoundState, a: Agent, seen: list[int]) -> bool:
    """Whether a player who was hit, or meets too many, would rather be elsewhere; asked once per occasion."""
    mind = s.config.behaviour
    last_chance = s.time_left() < mind.last_chance_s
    if a.hurt > a.hurt_seen and a.hp <= mind.low_hp:
        a.hurt_seen = a.hurt
        return not last_chance and s.chance(mind.retreat_chance)
    if a.task not in ("fight", "trade", "chase") and len(seen) >= _friends(s, a) + 2:
        return not last_chance and s.chance(mind.outnumbered_chance)
    return False


def _retreat(s: RoundState, a: Agent, threats: list[Point]) -> bool:
    """Run for the nearest cover from all of them; False if there is none."""
    cover = s.arena.cover(s.at(a), threats, *s.config.behaviour.cover_m)
    if cover is None:
        return False
    stop_work(s, a)
    a.task, a.intent, a.target = "retreat", "retreat", -1
    a.in_hand = a.gun
    a.watch = threats[0]
    a.until = s.tick + s.ticks(s.config.behaviour.retreat_s)
    a.order_way = None
    _go(s, a, cover, s.run_speed(a))
    return True


def _fight(s: RoundState, a: Agent, seen: list[int]) -> bool:
    mind = s.config.behaviour
    here = s.at(a)
    if seen:
        near = min(seen, key=lambda j: (math.dist(here, s.bodies.at(j)), j))
        target = a.target if a.target in seen and a.task == "fight" else near
        if a.task == "retreat" and s.tick < a.until and math.dist(here, s.bodies.at(near)) > mind.cornered_m:
            a.target = -1
            return True
        if _wants_out(s, a, seen) and _retreat(s, a, [s.bodies.at(j) for j in seen]):
            return True
        if a.task != "fight":
            _open_fight(s, a)
        a.target, a.target_at, a.target_seen = target, s.bodies.at(target), s.tick
        a.intent = "trade" if _avenges(s, a, target) else "engage"
        s.bodies.look_at(a.index, a.target_at)
        _dodge(s, a)
        return True
    if a.task not in ("fight", "chase"):
        return False
    killed = not s.agents[a.target].alive
    if a.task == "fight" and not killed and s.tick - a.target_seen < s.ticks(mind.linger_s):
        if s.free[a.index, a.target]:
            a.target_at = s.bodies.at(a.target)
        s.bodies.look_at(a.index, a.target_at)
        s.bodies.stop(a.index)
        return True
    if a.task == "chase" and s.tick < a.until and not s.bodies.arrived(a.index) and not killed:
        return True
    return _after_fight(s, a, killed)


def _open_fight(s: RoundState, a: Agent) -> None:
    stop_work(s, a)
    s.drop_throw(a)
    s.bodies.stop(a.index)
    a.waited = a.task in ("hold", "rest")
    a.task = "fight"
    a.in_hand = a.gun
    a.order_way = None
    a.burst_left = 0
    a.strafes = s.config.combat.weapons[a.gun].burst[1] > 1 and s.chance(s.config.behaviour.strafe_share)
    a.strafe_until = s.tick
    a.next_shot = max(a.next_shot, s.tick)


def _dodge(s: RoundState, a: Agent) -> None:
    """Stand and shoot, or move to one side, stop, move to the other."""
    mind = s.config.behaviour
    if not a.strafes:
        s.bodies.stop(a.index)
        return
    if s.tick < a.strafe_until:
        return
    a.strafe_until = s.tick + s.span_ticks(mind.strafe_s)
    if a.phase == "side":
        a.phase = "stand"
        s.bodies.stop(a.index)
        return
    a.phase = "side"
    a.strafe_sign = -a.strafe_sign
    x, z = s.at(a)
    dx, dz = a.target_at[0] - x, a.target_at[1] - z
    gap = max(1e-6, math.hypot(dx, dz))
    speed = a.strafe_sign * s.span(mind.strafe_factor) * s.run_speed(a)
    s.bodies.strafe(a.index, -dz / gap * speed, dx / gap * speed)


def _after_fight(s: RoundState, a: Agent, killed: bool) -> bool:
    """The enemy is dead or out of sight: resume, hide, wait, peek or chase."""
    mind = s.config.behaviour
    s.bodies.stop(a.index)
    chased = a.task == "chase"
    if a.hp <= mind.low_hp and not killed and _retreat(s, a, [a.target_at]):
        return True
    if killed or chased:
        hold(s, a, a.target_at)
        a.pause_until = s.tick + s.span_ticks(mind.breath_s)
        return False
    names, weights = zip(*mind.after_fight.items(), strict=True)
    roll, choice = float(s.rng.random()) * sum(weights), names[-1]
    for name, weight in zip(names, weights, strict=True):
        roll -= weight
        if roll < 0.0:
            choice = name
            break
    if choice == "push" and a.hp > mind.low_hp:
        a.task, a.intent = "chase", "engage"
        a.until = s.tick + s.span_ticks(mind.push_s)
        s.bodies.look_at(a.index, a.target_at)
        _go(s, a, a.target_at, s.run_speed(a))
        return True
    if choice == "back" and _retreat(s, a, [a.target_at]):
        return True
    target_at = a.target_at
    hold(s, a, target_at)
    a.pause_until = s.tick + s.span_ticks(mind.wait_s)
    if choice == "peek":
        a.next_peek = s.tick + s.span_ticks(mind.breath_s)
    return False


# --- trades


def _avenges(s: RoundState, a: Agent, target: int) -> bool:
    window = s.ticks(s.config.behaviour.trade_s)
    return any(
        death.killer == target and death.victim != a.index and s.tick - death.tick <= window
        for death in s.deaths[a.team]
    )


def _answer(s: RoundState, a: Agent) -> bool:
    """Go for the one who just killed a teammate near by."""
    mind = s.config.behaviour
    if a.task == "trade":
        over = s.tick > a.until or not s.agents[a.target].alive or s.bodies.arrived(a.index)
        if not over:
            known = s.sightings[a.team].get(a.target)
            if known is not None:
                s.bodies.look_at(a.index, known.at)
            return True
        hold(s, a, a.target_at)
        a.pause_until = s.tick + s.span_ticks(mind.breath_s)
        return False
    if a.task in ("retreat", "rest") or a.blind_until > s.tick:
        return False
    for death in s.deaths[a.team]:
        age = s.tick - death.tick
        killer = s.agents[death.killer]
        if death.victim in a.answered or age > s.ticks(mind.trade_s) or not killer.alive or killer.team == a.team:
            continue
        if age * 1000 < s.span(mind.trade_delay_ms) * s.config.clock.tick_hz:
            continue
        a.answered.add(death.victim)
        known = s.sightings[a.team].get(death.killer)
        if known is None or a.hp <= mind.low_hp // 2 or not s.chance(mind.trade_chance):
            continue
        points, length = s.arena.way(s.at(a), known.at)
        if length > mind.trade_m:
            continue
        a.task, a.intent, a.order_way = "trade", "trade", None
        a.target, a.target_at = death.killer, known.at
        a.until = death.tick + s.ticks(mind.trade_s)
        a.in_hand = a.gun
        s.bodies.send(a.index, points, s.run_speed(a))
        s.bodies.look_at(a.index, known.at)
        return True
    return False


# --- fire and cover


def _escape(s: RoundState, a: Agent) -> bool:
    """Out of the fire first, by the nearest way; but who has all but planted or defused stays."""
    reach = s.config.combat.fire_m
    burning = [fire for fire in s.fires if fire.since <= s.tick and fire.holds(s.at(a), reach)]
    if not burning:
        if a.task != "escape":
            return False
        if not s.bodies.arrived(a.index) and s.tick < a.until:
            return True
        hold(s, a, a.watch)
        a.pause_until = s.tick + s.span_ticks(s.config.behaviour.wait_s)
        return False
    if a.task in ("escape", "plant", "defuse") and (a.task != "escape" or not s.bodies.arrived(a.index)):
        return a.task == "escape"
    points = s.arena.around(s.at(a), 3.0 * reach)
    outside = [p for p in points.tolist() if not any(fire.holds((p[0], p[1]), reach + 0.5) for fire in s.fires)]
    goal = next(((x, z) for x, z in outside if s.arena.free(s.at(a), (x, z))), None)
    if goal is None:
        return False
    s.drop_throw(a)
    a.task, a.intent, a.target, a.order_way = "escape", "retreat", -1, None
    a.until = s.tick + s.ticks(s.config.behaviour.retreat_s)
    s.bodies.send(a.index, [goal], s.run_speed(a))
    return True


def _seek_cover(s: RoundState, a: Agent) -> bool:
    mind = s.config.behaviour
    if a.task == "retreat":
        if not s.bodies.arrived(a.index) and s.tick < a.until:
            return True
        hold(s, a, a.watch)
        a.task = "rest"
        a.until = s.tick + s.span_ticks(mind.rest_s)
        return True
    if a.task == "rest":
        if s.tick < a.until and s.time_left() > mind.last_chance_s:
            return True
        hold(s, a, a.watch)
        return False
    fresh = s.tick - a.hurt < s.ticks(mind.alarm_s) and a.hurt_by >= 0 and s.agents[a.hurt_by].alive
    if fresh and _wants_out(s, a, []):
        known = s.sightings[a.team].get(a.hurt_by)
        return known is not None and _retreat(s, a, [known.at])
    return False


# --- orders


def _follow(s: RoundState, a: Agent) -> None:
    if not must_leave(s, a):
        if a.task not in ("hold", "rest"):
            hold(s, a, a.watch)
        potter(s, a)
        return
    order = a.order
    assert order is not None  # noqa: S101 - _must_leave says so
    if order is not a.order_way:
        a.task, a.intent, a.order_way, a.target = "go", _meaning(s, a, order), order, -1
        a.watch = order.watch
        s.bodies.look_ahead(a.index)
        _go(s, a, order.at, s.run_speed(a))
    mind = s.config.behaviour
    if a.intent == "rotate" and s.bomb.planted is not None and math.dist(s.at(a), s.bomb.planted) < mind.retake_m:
        a.intent = "advance"
    left = s.bodies.left(a.index)
    _pace(s, a, order, left)
    if order.kind in ("plant", "defuse"):
        if s.bodies.arrived(a.index):
            a.intent = "hold"
        if (
            s.bodies.arrived(a.index)
            and s.bodies.speed(a.index) < s.config.waiting.still_mps
            and _may_work(s, a, order)
        ):
            _begin_work(s, a, order.kind)
        return
    if s.bodies.arrived(a.index):
        a.order_done = True
        hold(s, a, order.watch)
        a.spot = order.at


def _meaning(s: RoundState, a: Agent, order: Order) -> Intent:
    """What setting off on an order is, in the words of `docs/intents.md`: the team says where, the way says what."""
    lines, here, to = s.config.meaning, s.at(a), order.at
    if order.intent == "retreat" or _breaks_off(s, a, to):
        return "retreat"
    if s.bomb.planted is not None:
        now, then = math.dist(here, s.bomb.planted), math.dist(to, s.bomb.planted)
        if a.side == "attackers":
            return "advance"
        return (
            "retreat" if then - now >= lines.save_m else "rotate" if now >= s.config.behaviour.retake_m else "advance"
        )
    if s.tick - s.live < s.ticks(lines.setup_s):
        return "advance"
    middles = [s.arena.site_middle(site) for site in sorted(s.arena.config.sites)]
    nearest = min(middles, key=lambda middle: math.dist(here, middle))
    left = (
        math.dist(here, nearest) <= lines.left_m and math.dist(to, nearest) - math.dist(here, nearest) >= lines.leave_m
    )
    nears = any(math.dist(here, m) - math.dist(to, m) >= lines.near_m for m in middles if m != nearest)
    return "rotate" if left and nears else "advance"


def _breaks_off(s: RoundState, a: Agent, to: Point) -> bool:
    """Whether he who sets off leaves a fight: soon after contact, away from the nearest enemy whom he knows of."""
    lines, here = s.config.meaning, s.at(a)
    if s.tick - max(a.hurt, a.target_seen) > s.ticks(lines.contact_s):
        return False
    known = [k.at for _, k in s.recent(a.team, s.config.perception.sighting_s)]
    nearest = min(known, key=lambda at: (math.dist(at, here), at), default=None)
    if nearest is None or math.dist(nearest, here) > lines.contact_m:
        return False
    soon = to
    for point in s.arena.way(here, to)[0]:
        if math.dist(here, point) >= lines.soon_m:
            soon = point
            break
    return math.dist(soon, nearest) - math.dist(here, nearest) >= lines.away_m


def _may_work(s: RoundState, a: Agent, order: Order) -> bool:
    if order.kind == "plant":
        return s.bomb.carrier == a.index and s.arena.in_site(s.at(a)) is not None
    planted = s.bomb.planted
    return planted is not None and s.bomb.defuser < 0 and math.dist(s.at(a), planted) < 2.0 * s.config.behaviour.reach_m


def _pace(s: RoundState, a: Agent, order: Order, left: float) -> None:
    """Run; walk the end of a quiet way, and where enemies were just heard near."""
    mind, motion = s.config.behaviour, s.config.motion
    speed = s.run_speed(a)
    ambush = s.enemy_near(a.team, s.at(a), mind.ambush_m, mind.ambush_s) and s.time_left() > mind.last_chance_s
    if (order.quiet and left < mind.quiet_m) or (ambush and order.kind not in ("save", "pick_up")):
        speed *= motion.quiet_factor
    if a.blind_until > s.tick:
        speed *= mind.blind_pace
    s.bodies.cruise[a.index] = speed
