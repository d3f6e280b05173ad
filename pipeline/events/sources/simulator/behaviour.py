"""What one player does next, from what he sees, hears, was told and was hurt by.

Each decision asks, in this order: go on with the bomb in hand? fight? answer a teammate's death? seek cover? peek?
else follow the team's order. `Agent.intent` always names the state that the player is in; it is the truth that
predictions are compared with.

Belongs here: one player's mind. Does not belong here: the team's plan (`tactics`), shots (`combat`), steps (`kernel`).
"""

import math

from pipeline.events.sources.simulator.agents import Agent, Order
from pipeline.events.sources.simulator.arena import Point
from pipeline.events.sources.simulator.state import RoundState


def decide(s: RoundState, a: Agent) -> None:
    """Let one living player choose what to do until his next decision."""
    seen = s.known_enemies(a)
    if not (_work(s, a, seen) or _fight(s, a, seen) or _answer(s, a) or _seek_cover(s, a) or _peek(s, a)):
        _follow(s, a)
    _look_around(s, a)
    a.in_hand = _in_hand(s, a)
    _pick_up(s, a)


def run_speed(s: RoundState, a: Agent) -> float:
    """Running speed with what he has in hand, m/s."""
    combat = s.config.combat
    return combat.knife_mps if a.in_hand == "knife" else combat.weapons[a.gun].speed_mps


def _in_hand(s: RoundState, a: Agent) -> str:
    if a.task == "plant" and a.work_since:
        return "c4"
    if a.throwing_until > s.tick and a.task not in ("fight", "trade", "chase"):
        kinds = [kind for leaves, _, kind, name, _ in s.flying if s.throwers[name] == a.index and leaves > s.tick]
        if kinds:
            return (
                "hegrenade" if kinds[0] == "hegrenade" else "flashbang" if kinds[0] == "flashbang" else "smokegrenade"
            )
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


def _hold(s: RoundState, a: Agent, watch: Point) -> None:
    """Stay where he is and watch."""
    s.bodies.stop(a.index)
    a.task, a.intent, a.target, a.order_way = "hold", "hold", -1, None
    a.spot, a.watch = s.at(a), watch
    a.next_shift = s.tick + s.span_ticks(s.config.behaviour.shift_every_s)
    a.next_peek = s.tick + s.span_ticks(_peek_pause(s, a))


def _peek_pause(s: RoundState, a: Agent) -> tuple[float, float]:
    mind = s.config.behaviour
    alarmed = s.enemy_near(a.team, s.at(a), s.config.tactics.site_m, s.config.perception.sighting_s)
    return mind.peek_alarmed_s if alarmed else mind.peek_every_s


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
    _hold(s, a, a.watch)
    return False


def stop_work(s: RoundState, a: Agent) -> None:
    """Let go of the bomb."""
    a.work_since = a.bait_until = 0
    if s.bomb.defuser == a.index:
        s.bomb.defuser = -1


def _begin_work(s: RoundState, a: Agent) -> None:
    at = s.at(a)
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
    _go(s, a, cover, run_speed(s, a))
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
    speed = a.strafe_sign * mind.strafe_factor * run_speed(s, a)
    s.bodies.strafe(a.index, -dz / gap * speed, dx / gap * speed)


def _after_fight(s: RoundState, a: Agent, killed: bool) -> bool:
    """The enemy is dead or out of sight: resume, hide, wait, peek or chase."""
    mind = s.config.behaviour
    s.bodies.stop(a.index)
    chased = a.task == "chase"
    if a.hp <= mind.low_hp and not killed and _retreat(s, a, [a.target_at]):
        return True
    if killed or chased:
        _hold(s, a, a.target_at)
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
        _go(s, a, a.target_at, run_speed(s, a))
        return True
    target_at = a.target_at
    _hold(s, a, target_at)
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
        _hold(s, a, a.target_at)
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
        s.bodies.send(a.index, points, run_speed(s, a))
        s.bodies.look_at(a.index, known.at)
        return True
    return False


# --- cover and peeks


def _seek_cover(s: RoundState, a: Agent) -> bool:
    mind = s.config.behaviour
    if a.task == "retreat":
        if not s.bodies.arrived(a.index) and s.tick < a.until:
            return True
        _hold(s, a, a.watch)
        a.task = "rest"
        a.until = s.tick + s.span_ticks(mind.rest_s)
        return True
    if a.task == "rest":
        if s.tick < a.until and s.time_left() > mind.last_chance_s:
            return True
        _hold(s, a, a.watch)
        return False
    fresh = s.tick - a.hurt < s.ticks(mind.alarm_s) and a.hurt_by >= 0 and s.agents[a.hurt_by].alive
    if fresh and _wants_out(s, a, []):
        known = s.sightings[a.team].get(a.hurt_by)
        return known is not None and _retreat(s, a, [known.at])
    return False


def _peek(s: RoundState, a: Agent) -> bool:
    """Step out of cover, look, step back."""
    mind = s.config.behaviour
    if a.task == "peek":
        if a.phase == "out":
            if s.bodies.arrived(a.index):
                a.phase, a.until = "look", s.tick + s.span_ticks(mind.peek_look_s)
        elif a.phase == "look":
            if s.tick >= a.until:
                a.phase = "back"
                s.bodies.send(a.index, [a.spot], mind.peek_pace * run_speed(s, a))
        elif s.bodies.arrived(a.index):
            spot = a.spot
            _hold(s, a, a.watch)
            a.spot = spot
            return False
        return True
    if a.task != "hold" or s.tick < a.next_peek or a.blind_until > s.tick or _must_leave(s, a):
        return False
    a.next_peek = s.tick + s.span_ticks(_peek_pause(s, a))
    goals = [a.watch]
    if known := [k.at for _, k in s.recent(a.team, s.config.perception.sighting_s)]:
        nearest = min(known, key=lambda at: (math.dist(at, s.at(a)), at))
        if math.dist(nearest, s.at(a)) < mind.suspect_m:
            goals.insert(0, nearest)
    for goal in goals:
        out = s.arena.step_out(s.at(a), goal, *mind.peek_m)
        if out is not None:
            a.task, a.intent, a.phase, a.order_way = "peek", "peek", "out", None
            a.spot, a.watch = s.at(a), goal
            s.bodies.send(a.index, [out], mind.peek_pace * run_speed(s, a))
            s.bodies.look_at(a.index, goal)
            return True
    return False


def _must_leave(s: RoundState, a: Agent) -> bool:
    return a.order is not None and not a.order_done and s.tick >= max(a.order.start, a.pause_until)


# --- orders


def _follow(s: RoundState, a: Agent) -> None:
    if not _must_leave(s, a):
        if a.task not in ("hold", "rest"):
            _hold(s, a, a.watch)
        _shift(s, a)
        return
    order = a.order
    assert order is not None  # noqa: S101 - _must_leave says so
    if order is not a.order_way:
        a.task, a.intent, a.order_way, a.target = "go", order.intent, order, -1
        a.watch = order.watch
        s.bodies.look_ahead(a.index)
        _go(s, a, order.at, run_speed(s, a))
    left = s.bodies.left(a.index)
    _pace(s, a, order, left)
    if order.kind in ("plant", "defuse"):
        if left < s.config.behaviour.near_work_m:
            a.task = a.intent = "plant" if order.kind == "plant" else "defuse"
        if s.bodies.arrived(a.index) and s.bodies.speed(a.index) < 0.4 and _may_work(s, a, order):
            _begin_work(s, a)
        return
    if s.bodies.arrived(a.index):
        a.order_done = True
        _hold(s, a, order.watch)
        a.spot = order.at


def _may_work(s: RoundState, a: Agent, order: Order) -> bool:
    if order.kind == "plant":
        return s.bomb.carrier == a.index and s.arena.in_site(s.at(a)) is not None
    planted = s.bomb.planted
    return planted is not None and s.bomb.defuser < 0 and math.dist(s.at(a), planted) < 2.0 * s.config.behaviour.reach_m


def _pace(s: RoundState, a: Agent, order: Order, left: float) -> None:
    """Run; walk the end of a quiet way, and where enemies were just heard near."""
    mind, motion = s.config.behaviour, s.config.motion
    speed = run_speed(s, a)
    ambush = s.enemy_near(a.team, s.at(a), mind.ambush_m, mind.ambush_s) and s.time_left() > mind.last_chance_s
    if (order.quiet and left < mind.quiet_m) or (ambush and order.kind not in ("save", "pick_up")):
        speed *= motion.quiet_factor
    if a.blind_until > s.tick:
        speed *= mind.blind_pace
    s.bodies.cruise[a.index] = speed


def _shift(s: RoundState, a: Agent) -> None:
    """A small step aside now and then: nobody stands like a post."""
    mind = s.config.behaviour
    if a.task != "hold" or s.tick < a.next_shift or not s.bodies.arrived(a.index):
        return
    a.next_shift = s.tick + s.span_ticks(mind.shift_every_s)
    angle, reach = s.span((0.0, 2.0 * math.pi)), s.span(mind.shift_m)
    goal = (a.spot[0] + reach * math.cos(angle), a.spot[1] + reach * math.sin(angle))
    exposed = s.arena.free(goal, a.watch) and not s.arena.free(a.spot, a.watch)
    if s.arena.can_stand(goal) and s.arena.free(s.at(a), goal) and not exposed:
        s.bodies.send(a.index, [goal], s.config.motion.quiet_factor * run_speed(s, a))


def _look_around(s: RoundState, a: Agent) -> None:
    """Aim at what matters: what was heard or hurt, the watched place with small glances, else ahead."""
    if a.task in ("fight", "trade", "peek", "chase"):
        return
    if a.alarm is not None and s.tick < a.alarm_until and not (a.task in ("plant", "defuse") and a.work_since):
        s.bodies.look_at(a.index, a.alarm)
        return
    if a.task in ("go", "retreat") or (a.task in ("plant", "defuse") and not a.work_since):
        s.bodies.look_ahead(a.index)
        return
    if s.tick >= a.next_glance:
        mind = s.config.behaviour
        a.next_glance = s.tick + s.span_ticks(mind.glance_every_s)
        a.glance_deg = float(s.rng.normal(0.0, mind.glance_deg))
    x, z = s.at(a)
    dx, dz = a.watch[0] - x, a.watch[1] - z
    c, sn = math.cos(math.radians(a.glance_deg)), math.sin(math.radians(a.glance_deg))
    s.bodies.look_at(a.index, (x + c * dx - sn * dz, z + sn * dx + c * dz))
