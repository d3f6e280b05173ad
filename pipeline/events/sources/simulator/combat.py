"""Shots, damage, deaths and grenades.

Belongs here: what a trigger pull or a throw leads to. Does not belong here: who decides to shoot or to throw
(`behaviour`, `tactics`).
"""

import math

from pipeline.events.sources.simulator.agents import Agent
from pipeline.events.sources.simulator.arena import Point
from pipeline.events.sources.simulator.state import Death, Fire, RoundState

BODY_PARTS = ("chest", "chest", "stomach", "left_arm", "right_arm", "left_leg", "right_leg")


def shoot(s: RoundState) -> None:
    """All shots of this step, in the order of their ticks.

    A player shoots at his target while he has a free line to it and his aim is on it. Whether a shot hits depends on
    skill, distance (half at `precise_m`), both speeds, his sight and whether he was waiting for the other.
    """
    step = s.config.clock.step_ticks
    ready = sorted(
        (max(agent.next_shot - s.tick, 0), agent.index)
        for agent in s.agents
        if agent.alive and agent.target >= 0 and agent.task in ("fight", "retreat") and agent.next_shot < s.tick + step
    )
    for sub, index in ready:
        shooter = s.agents[index]
        if shooter.alive and shooter.throwing_until <= s.tick:
            _pull(s, shooter, s.tick + sub)


def _pull(s: RoundState, shooter: Agent, tick: int) -> None:
    combat = s.config.combat
    target = s.agents[shooter.target]
    i, j = shooter.index, target.index
    blindly = not s.free[i, j]
    if not target.alive or (blindly and s.tick - shooter.target_seen > s.ticks(combat.spray_s)):
        return
    at, there = s.at(shooter), shooter.target_at if blindly else s.at(target)
    if s.bodies.off_aim(i, there) > combat.aim_deg:
        return
    weapon = combat.weapons[shooter.gun]
    if shooter.burst_left <= 0:
        shooter.burst_left = int(s.rng.integers(weapon.burst[0], weapon.burst[1] + 1))
    shooter.burst_left -= 1
    wait_ms = weapon.interval_ms if shooter.burst_left else s.span(weapon.pause_ms)
    shooter.next_shot = tick + max(1, round(wait_ms * s.config.clock.tick_hz / 1000))
    s.tell(
        "WEAPON_FIRED",
        shooter.player,
        {
            "weapon": shooter.gun,
            "pos": s.pos(at),
            "yaw": round(math.degrees(s.bodies.yaw[i]), 1),
            "pitch": round(float(s.bodies.pitch[i]), 1),
        },
        tick=tick,
    )
    for ear in s.alive(target.team):
        if math.dist(s.at(ear), at) < s.config.perception.hear_shot_m:
            s.hear(ear, i, at)
    if blindly:
        return
    gap = math.dist(at, there)
    hit = shooter.skill * weapon.precise_m**2 / (weapon.precise_m**2 + gap**2)
    hit *= 1.0 - (1.0 - combat.moving_factor) * min(1.0, s.bodies.speed(i) / weapon.speed_mps)
    hit *= 1.0 - (1.0 - combat.dodging_factor) * min(1.0, s.bodies.speed(j) / s.config.motion.top_speed_mps)
    if shooter.waited:
        hit *= combat.waiting_factor
    if shooter.blind_until > s.tick:
        hit *= combat.blind_factor
    roll, part = float(s.rng.random()), float(s.rng.random())
    if roll < hit:
        head = part < combat.head_share
        where = "head" if head else BODY_PARTS[int(part * 1000) % len(BODY_PARTS)]
        harm(s, shooter, target, weapon.head if head else weapon.body, shooter.gun, where, tick)


def harm(s: RoundState, shooter: Agent, target: Agent, damage: int, weapon: str, where: str, tick: int) -> None:
    """Damage a living player, and tell of it, and of his death."""
    at, there = s.at(shooter), s.at(target)
    done = min(damage, target.hp)
    s.tell(
        "PLAYER_DAMAGED",
        shooter.player,
        {
            "target": target.player,
            "weapon": weapon,
            "damage": done,
            "hitgroup": where,
            "target_hp_before": target.hp,
            "pos": s.pos(at),
            "target_pos": s.pos(there),
        },
        tick=tick,
    )
    target.hp -= done
    target.armor = max(0, target.armor - done // 4)
    target.hurt, target.hurt_by = tick, shooter.index
    s.harm[shooter.index, target.index] = s.harm.get((shooter.index, target.index), 0) + done
    if target.task not in ("fight", "chase") and shooter.team != target.team:
        target.alarm, target.alarm_until = at, tick + s.ticks(s.config.behaviour.alarm_s)
    if target.hp <= 0:
        _die(s, shooter, target, weapon, where == "head", tick)


def _die(s: RoundState, killer: Agent, victim: Agent, weapon: str, headshot: bool, tick: int) -> None:
    helpers = [
        (done, -index)
        for (index, hurt), done in sorted(s.harm.items())
        if hurt == victim.index and index != killer.index and s.agents[index].team == killer.team
    ]
    best = max(helpers, default=(0, 0))
    assister = s.agents[-best[1]].player if best[0] >= s.config.combat.assist_damage else None
    s.tell(
        "PLAYER_KILLED",
        killer.player,
        {
            "target": victim.player,
            "weapon": weapon,
            "headshot": headshot,
            "assister": assister,
            "through_smoke": False,
            "pos": s.pos(s.at(killer)),
            "target_pos": s.pos(s.at(victim)),
        },
        tick=tick,
    )
    s.bodies.alive[victim.index] = False
    s.deaths[victim.team].append(Death(tick, victim.index, killer.index, s.at(victim)))
    if killer.team != victim.team:
        s.sight(victim.team, killer.index, s.at(killer), seen=True)
    if s.bomb.carrier == victim.index:
        s.bomb.carrier, s.bomb.dropped = -1, s.at(victim)
        s.tell("BOMB_DROPPED", victim.player, {"site": None, "pos": s.pos(s.at(victim))}, tick=tick)
    if s.bomb.defuser == victim.index:
        s.bomb.defuser = -1


def throw(s: RoundState, thrower: Agent, kind: str, aim: Point) -> bool:
    """Throw a grenade so that it goes off at `aim`; False if he has none, or it is too near or too far."""
    combat = s.config.combat
    at = s.at(thrower)
    if kind not in thrower.grenades or not combat.throw_m[0] <= math.dist(at, aim) <= combat.throw_m[1]:
        return False
    thrower.grenades.remove(kind)
    leaves = s.tick + s.span_ticks(combat.throw_s)
    thrower.throwing_until = leaves
    share = math.dist(at, aim) / combat.throw_m[1]
    lands = leaves + s.ticks(combat.flight_s[0] + (combat.flight_s[1] - combat.flight_s[0]) * share)
    s.thrown += 1
    name = f"{s.number}-{s.thrown}"
    s.flying.append((leaves, lands, kind, name, aim))
    s.flying.sort()
    s.throwers[name] = thrower.index
    return True


def fly(s: RoundState) -> None:
    """Let grenades leave hands and go off, as their ticks come."""
    end = s.tick + s.config.clock.step_ticks
    for entry in list(s.flying):
        leaves, lands, kind, name, aim = entry
        thrower = s.agents[s.throwers[name]]
        if s.tick <= leaves < end:
            if not thrower.alive:
                s.flying.remove(entry)
                continue
            payload = {"grenade": kind, "grenade_id": name, "pos": s.pos(s.at(thrower))}
            s.tell("GRENADE_THROWN", thrower.player, payload, tick=leaves)
        if s.tick <= lands < end:
            s.flying.remove(entry)
            s.tell(
                "GRENADE_DETONATED",
                thrower.player,
                {"grenade": kind, "grenade_id": name, "pos": s.pos(aim)},
                tick=lands,
            )
            if kind == "smoke":
                s.smokes.append((aim, lands + s.ticks(s.config.combat.smoke_s)))
                s.fires = [fire for fire in s.fires if math.dist(fire.at, aim) > s.config.combat.smoke_m]
            elif kind == "molotov":
                s.fires.append(Fire(aim, lands, lands + s.ticks(s.config.combat.fire_s), thrower.index))
            elif kind == "flashbang":
                _flash(s, thrower, aim, lands)
            else:
                _burst(s, thrower, aim, lands)


def _flash(s: RoundState, thrower: Agent, at: Point, tick: int) -> None:
    """Blind who has a free line to the flash: longest near and looking at it."""
    combat = s.config.combat
    for agent in s.agents:
        gap = math.dist(s.at(agent), at)
        if not agent.alive or gap > combat.flash_m or not s.arena.free(s.at(agent), at):
            continue
        off = s.bodies.off_aim(agent.index, at)
        turned = off >= s.config.perception.half_angle_deg or s.chance(combat.flash_dodged)
        away = combat.flash_away if turned else 1.0
        seconds = combat.flash_s * away * (1.0 - combat.flash_falloff * gap / combat.flash_m)
        agent.blind_until = max(agent.blind_until, tick + s.ticks(seconds))
        s.tell(
            "PLAYER_BLINDED",
            thrower.player,
            {"target": agent.player, "duration": round(seconds, 3)},
            tick=tick,
        )


def _burst(s: RoundState, thrower: Agent, at: Point, tick: int) -> None:
    """Damage who has a free line to an HE grenade, less with distance, teammates less; it leaves at least 1 hp.

    The thrower knows where he threw it and keeps out of its way.
    """
    combat = s.config.combat
    for agent in s.agents:
        gap = math.dist(s.at(agent), at)
        if agent.alive and agent is not thrower and gap < combat.he_m and s.arena.free(s.at(agent), at):
            share = combat.friendly_factor if agent.team == thrower.team else 1.0
            damage = min(agent.hp - 1, round(share * combat.he_damage * (1.0 - gap / combat.he_m)))
            if damage > 0:
                harm(s, thrower, agent, damage, "hegrenade", "generic", tick)


def burn(s: RoundState) -> None:
    """Damage who stands in a fire, more the longer it burns; it leaves at least 1 hp."""
    combat = s.config.combat
    s.fires = [fire for fire in s.fires if fire.until > s.tick]
    for fire in s.fires:
        if s.tick < fire.since:
            continue
        for agent in s.agents:
            if agent.alive and fire.holds(s.at(agent), combat.fire_m):
                damage = min(agent.hp - 1, round(s.span(combat.fire_damage)))
                if damage > 0:
                    harm(s, s.agents[fire.thrower], agent, damage, "inferno", "generic", s.tick)
