"""What a team wants: the attackers' opening, attack and plant; the defenders' posts, rotations and retakes.

A team gives orders; whether and when a player follows them is his own matter (`behaviour`).

Belongs here: decisions of a team. Does not belong here: the map's spots and all figures (`configs/simulator.yaml`).
"""

import math
from typing import Literal

from configs.simulator import PlanConfig
from pipeline.events.sources.simulator.agents import ATTACKING_ROLES, Agent, Order, Role, Side
from pipeline.events.sources.simulator.arena import Point
from pipeline.events.sources.simulator.combat import throw
from pipeline.events.sources.simulator.state import RoundState
from pipeline.intents.vocabulary import Intent

Kind = Literal["stand", "plant", "defuse", "pick_up", "save"]


def order(
    s: RoundState,
    a: Agent,
    kind: Kind,
    spot: str | None,
    intent: Intent,
    *,
    at: Point | None = None,
    watch: Point | None = None,
    after_s: float = 0.0,
    quiet: bool = False,
) -> None:
    """Give a player an order: to a named spot, or to a point and what to watch there."""
    if spot is not None:
        at, watch = s.arena.config.spots[spot].at, s.arena.config.spots[spot].watch
    if at is None or watch is None:
        raise ValueError("an order needs a spot, or a point and what to watch")
    a.order = Order(kind, at, watch, intent, s.tick + s.ticks(after_s), quiet)
    a.order_done = False


def _way_m(s: RoundState, a: Agent, to: Point) -> float:
    return s.arena.way(s.at(a), to)[1]


def _spot(s: RoundState, name: str) -> Point:
    return s.arena.config.spots[name].at


def _group(s: RoundState, name: str) -> list[str]:
    return list(s.arena.config.groups[name])


def _nearest_first(s: RoundState, a: Agent, names: list[str]) -> list[str]:
    return sorted(names, key=lambda name: (_way_m(s, a, _spot(s, name)), name))


def _busy(a: Agent, kind: Kind) -> bool:
    return a.order is not None and a.order.kind == kind and not a.order_done


def _hide(s: RoundState, a: Agent, group: str, danger: Point) -> None:
    """Save: to that hideout which lies farthest from the danger for how far it is to go, or stay if all are nearer."""
    names = _group(s, group)
    here = s.at(a)
    away = [n for n in names if math.dist(_spot(s, n), danger) > math.dist(here, danger)]
    if not away:
        order(s, a, "save", None, "retreat", at=here, watch=danger)
        return
    best = max(away, key=lambda n: (math.dist(_spot(s, n), danger) - 0.5 * _way_m(s, a, _spot(s, n)), n))
    order(s, a, "save", best, "retreat")


def _gives_up(s: RoundState, side: Side, own: int, asked: set[tuple[int, int]]) -> bool:
    """Whether the weaker side gives the round up; asked once per state of the game."""
    rules = s.config.tactics
    numbers = len(s.alive(own)), len(s.alive(1 - own))
    if numbers in asked or numbers[1] - numbers[0] < rules.save_by or numbers[0] > rules.save_most:
        return False
    asked.add(numbers)
    return s.chance(rules.save_chance[side])


def _throw_waiting(s: RoundState, team: int) -> None:
    """One who waits throws a grenade now and then at what he watches."""
    for a in s.alive(team):
        if a.task == "hold" and a.order_done and a.grenades and s.chance(s.config.tactics.wait_throw_chance):
            throw(s, a, a.grenades[0], s.arena.footing_near(a.watch))


def _throw_opening(s: RoundState, team: int) -> None:
    """In the first seconds some throw at what they are to watch, on the way there."""
    plan = s.config.tactics.opening_throws
    if not s.ticks(plan.from_s) <= s.tick - s.live <= s.ticks(plan.until_s):
        return
    for a in s.alive(team):
        early = a.throwing_until < s.live and a.opens and a.order is not None
        if early and a.task in ("go", "hold") and a.grenades and s.chance(plan.every):
            throw(s, a, a.grenades[0], s.arena.footing_near(a.order.watch))  # type: ignore[union-attr]  # `early`


def _move_waiting(s: RoundState, team: int, groups: dict[int, str], toward: Point | None) -> None:
    """One who waits changes his place now and then, to a free spot of his own group.

    With somewhere to go `toward`, he creeps forward and never back; else he runs to another post.
    """
    for a in s.alive(team):
        calm = a.task == "hold" and a.order_done and a.index in groups
        if not calm or not s.chance(s.config.tactics.move_chance):
            continue
        taken = [b.order.at for b in s.alive(team) if b.order is not None]
        spots = [name for name in _group(s, groups[a.index]) if _spot(s, name) not in taken]
        if toward is not None:
            here = _way_m(s, a, toward)
            spots = [name for name in spots if s.arena.way(_spot(s, name), toward)[1] < here - 1.0]
        if spots:
            spot = spots[int(s.rng.integers(len(spots)))]
            order(s, a, "stand", spot, "advance", quiet=True)


class Attack:
    """The attackers' round: wait in their stages, go in together, plant, keep the bomb."""

    def __init__(self, s: RoundState, team: int, plan: PlanConfig) -> None:
        self.team = team
        self.plan = plan
        self.site = plan.site
        self.phase = "stage"
        self.commit = s.live + s.span_ticks(plan.commit_s)
        self.regrouped = self.blood = False
        self.asked: set[tuple[int, int]] = set()
        self.fled: set[int] = set()
        self.stages: dict[int, str] = {}
        used: dict[str, int] = {}
        for a in sorted(s.alive(team), key=lambda a: ATTACKING_ROLES.index(a.role)):
            stage = plan.stages[ATTACKING_ROLES.index(a.role)]
            spots = s.arena.config.groups[f"stage_{stage}"]
            spot = spots[-1 - used.get(stage, 0) % len(spots)]
            used[stage] = used.get(stage, 0) + 1
            self.stages[a.index] = f"stage_{stage}"
            order(s, a, "stand", spot, "advance", after_s=s.span(s.config.tactics.order_delay_s), quiet=plan.quiet)

    def think(self, s: RoundState) -> None:
        """Look at the plan and give what orders it needs now."""
        if s.bomb.planted is not None:
            self._keep_bomb(s, s.bomb.planted)
            return
        if self.phase == "save":
            return
        if s.time_left() < s.config.tactics.save_time_s and _gives_up(s, "attackers", self.team, self.asked):
            self.phase = "save"
            known = [k.at for _, k in s.recent(self.team, s.config.tactics.memory_s)]
            danger = known[0] if known else s.arena.site_middle(self.site or min(s.arena.config.sites))
            for a in s.alive(self.team):
                _hide(s, a, "hide_attackers", danger)
            return
        self._fetch_bomb(s)
        if self.phase == "stage":
            self._stage(s)
        else:
            self._press(s)

    def _stage(self, s: RoundState) -> None:
        rules = s.config.tactics
        if (s.deaths[0] or s.deaths[1]) and not self.blood:
            self.blood = True
            self.commit = min(self.commit, s.tick + s.span_ticks(rules.contact_commit_s))
        if s.tick >= self.commit or s.time_left() < rules.last_commit_s:
            self._go_in(s, self.site or self._softer_site(s))
            return
        _throw_opening(s, self.team)
        _throw_waiting(s, self.team)
        if s.tick > self.commit - s.ticks(rules.creep_s):
            _move_waiting(s, self.team, self.stages, _spot(s, _group(s, f"plant_{self._aim()}")[0]))

    def _softer_site(self, s: RoundState) -> str:
        """The site with fewer enemies known near, then nearer to the carrier, with some luck."""
        reach = s.config.tactics.site_m

        def cost(site: str) -> float:
            middle = s.arena.site_middle(site)
            seen = sum(math.dist(k.at, middle) < reach for _, k in s.recent(self.team, s.config.tactics.memory_s))
            lost = sum(math.dist(d.at, middle) < reach for d in s.deaths[self.team])
            return seen + lost + s.span(s.config.tactics.site_whim)

        costs = {site: cost(site) for site in sorted(s.arena.config.sites)}
        return min(costs, key=lambda site: (costs[site], site))

    def _go_in(self, s: RoundState, site: str) -> None:
        rules = s.config.tactics
        self.site, self.phase = site, "go"
        spots = _group(s, f"attack_{site}")
        for a in sorted(s.alive(self.team), key=lambda a: ATTACKING_ROLES.index(a.role)):
            spot = spots.pop(0) if a.role != "lurker" else spots.pop()
            far = _way_m(s, a, _spot(s, spot)) > rules.far_m
            delay = s.span(rules.delays_s[_attacking(a.role)])
            if not _busy(a, "pick_up"):
                order(s, a, "stand", spot, "advance", after_s=0.0 if far else delay)
            if s.chance(rules.throw_chance):
                door = s.arena.config.spots[s.arena.config.groups[f"after_plant_{site}"][0]].watch
                throw(s, a, "smoke", door) or throw(s, a, "flashbang", _spot(s, spots[0] if spots else spot))

    def _fetch_bomb(self, s: RoundState) -> None:
        at = s.bomb.dropped
        men = s.alive(self.team)
        if at is None or any(_busy(a, "pick_up") for a in men):
            return
        near = min(men, key=lambda a: (_way_m(s, a, at), a.index), default=None)
        if near is not None:
            order(s, near, "pick_up", None, "advance", at=at, watch=s.arena.site_middle(self._aim()))

    def _aim(self) -> str:
        return self.site or "bombsite_a"

    def _press(self, s: RoundState) -> None:
        """Plant when the site looks clear or time runs out; try the other site when this one can't be taken."""
        rules = s.config.tactics
        site = self._aim()
        middle = s.arena.site_middle(site)
        men = s.alive(self.team)
        lost = len(s.deaths[self.team])
        if (
            not self.regrouped
            and lost >= 2
            and men
            and s.time_left() > rules.regroup_time_s
            and all(math.dist(s.at(a), middle) > rules.inside_m for a in men)
        ):
            self.regrouped = True
            if len(men) >= 2 and s.chance(rules.regroup_chance):
                other = next(name for name in sorted(s.arena.config.sites) if name != site)
                self._go_in(s, other)
                return
        for a in men:
            if _busy(a, "pick_up") and s.bomb.dropped is None:
                a.order_done = True
        if s.bomb.carrier < 0:
            return
        carrier = s.agents[s.bomb.carrier]
        if _busy(carrier, "plant") or carrier.task in ("fight", "trade", "retreat", "chase"):
            return
        spots = _group(s, f"plant_{site}")
        spot = min(spots, key=lambda n: (_way_m(s, carrier, _spot(s, n)) + s.span(rules.spot_whim_m), n))
        way = _way_m(s, carrier, _spot(s, spot))
        hurried = s.time_left() < way / rules.pace_mps + s.config.clock.plant_s + rules.hurry_s
        calm = not s.enemy_near(self.team, _spot(s, spot), rules.site_m, rules.clear_s)
        if hurried or (calm and way < rules.inside_m and self._friend_inside(s, carrier, middle)):
            order(s, carrier, "plant", spot, "advance")
        elif carrier.order_done and way > rules.inside_m:
            order(s, carrier, "stand", spots[0], "advance")

    def _friend_inside(self, s: RoundState, carrier: Agent, middle: Point) -> bool:
        others = [a for a in s.alive(self.team) if a is not carrier]
        return not others or any(math.dist(s.at(a), middle) < s.config.tactics.inside_m for a in others)

    def _keep_bomb(self, s: RoundState, bomb: Point) -> None:
        rules = s.config.tactics
        men = s.alive(self.team)
        if self.phase != "keep":
            self.phase = "keep"
            spots = _group(s, f"after_plant_{s.bomb.site}")
            for a in sorted(men, key=lambda a: (_way_m(s, a, bomb), a.index)):
                spot = _nearest_first(s, a, spots)[0]
                spots.remove(spot)
                order(s, a, "stand", spot, "advance", after_s=s.span(rules.order_delay_s))
        if s.time_left() < rules.flee_bomb_s:
            for a in men:
                if a.index not in self.fled and math.dist(s.at(a), bomb) < rules.safe_bomb_m:
                    self.fled.add(a.index)
                    self._flee(s, a, bomb)
            return
        if s.bomb.defuser >= 0:
            for a in men:
                self._disturb(s, a, bomb)

    def _disturb(self, s: RoundState, a: Agent, bomb: Point) -> None:
        """The defuse is heard: look at the bomb, step out to it, or go there."""
        if a.task != "hold" or math.dist(s.at(a), bomb) > s.config.tactics.far_m:
            return
        a.watch = bomb
        if s.arena.free(s.at(a), bomb):
            a.alarm, a.alarm_until = bomb, s.tick + s.ticks(s.config.behaviour.alarm_s)
        elif s.arena.step_out(s.at(a), bomb, *s.config.waiting.peek_m) is not None:
            a.next_peek = min(a.next_peek, s.tick + s.span_ticks(s.config.tactics.order_delay_s))
        elif a.order_done:
            order(s, a, "stand", None, "advance", at=bomb, watch=bomb, after_s=s.span(s.config.tactics.order_delay_s))

    def _flee(self, s: RoundState, a: Agent, bomb: Point) -> None:
        names = [n for n in sorted(s.arena.config.spots) if math.dist(_spot(s, n), bomb) > s.config.tactics.safe_bomb_m]
        order(s, a, "save", _nearest_first(s, a, names)[0], "retreat", after_s=s.span(s.config.tactics.order_delay_s))


def _attacking(role: Role) -> Literal["entry", "support", "carrier", "second", "lurker"]:
    return role if role in ATTACKING_ROLES else "second"  # type: ignore[return-value]  # mypy can't narrow by a tuple


class Defence:
    """The defenders' round: posts, rotations to where attackers are known, the retake of a planted bomb."""

    def __init__(self, s: RoundState, team: int, formation: dict[str, int]) -> None:
        self.team = team
        self.phase = "posts"
        self.asked: set[tuple[int, int]] = set()
        self.gather_until = 0
        self.home: dict[int, str] = {}
        self.areas: dict[int, str] = {}
        men = s.alive(team)
        for area in sorted(formation):
            posts = _group(s, f"post_{area}")
            chosen = [posts.pop(int(s.rng.integers(len(posts)))) for _ in range(formation[area])]
            for spot in chosen:
                a = men.pop(0)
                a.role, a.area = ("rotator" if area == "mid" else "anchor"), area
                self.home[a.index], self.areas[a.index] = spot, area
                order(s, a, "stand", spot, "advance", after_s=s.span(s.config.tactics.order_delay_s))
        rules = s.config.tactics
        self.scout, self.push_at, self.push_end = -1, 0, 0
        if s.chance(rules.push_chance):
            self.scout = int(s.rng.choice(sorted(self.home)))
            self.push_at = s.live + s.span_ticks(rules.push_at_s)

    def think(self, s: RoundState) -> None:
        """Look at what is known and give what orders it needs now."""
        if s.bomb.planted is not None:
            self._retake(s, s.bomb.planted)
            return
        threat = {site: self._threat(s, site) for site in sorted(s.arena.config.sites)}
        self._rotate(s, threat)
        self._fall_back(s)
        self._throw_back(s)
        _throw_opening(s, self.team)
        _throw_waiting(s, self.team)
        posts = {a.index: f"post_{a.area}" for a in s.alive(self.team) if a.index != self.scout or not self.push_end}
        _move_waiting(s, self.team, posts, None)
        self._scout(s)

    def _threat(self, s: RoundState, site: str) -> float:
        rules = s.config.tactics
        middle = s.arena.site_middle(site)
        near = [
            enemy
            for enemy, known in s.recent(self.team, s.config.perception.sighting_s)
            if math.dist(known.at, middle) < rules.site_m
        ]
        fallen = sum(
            math.dist(d.at, middle) < rules.site_m and s.tick - d.tick < s.ticks(rules.fallen_s)
            for d in s.deaths[self.team]
        )
        return len(near) + 2.0 * fallen + (2.0 if s.bomb.carrier in near else 0.0)

    def _rotate(self, s: RoundState, threat: dict[str, float]) -> None:
        """Send the next man to the threatened site: first from mid, then from the other site, but not its last."""
        rules = s.config.tactics
        hot = max(threat, key=lambda site: (threat[site], site))
        if threat[hot] < rules.rotate_threat[0] or sum(t == threat[hot] for t in threat.values()) > 1:
            return
        men = [a for a in s.alive(self.team) if a.area != hot]
        free = [a for a in men if a.area == "mid"]
        if not free and threat[hot] >= rules.rotate_threat[1] and (len(men) > 1 or not self._manned(s, hot)):
            free = men
        ready = [a for a in free if a.task in ("hold", "go", "idle", "rest")]
        if not ready:
            return
        a = min(ready, key=lambda a: (_way_m(s, a, _spot(s, _group(s, f"plant_{hot}")[0])), a.index))
        taken = {b.order.at for b in s.alive(self.team) if b.order is not None}
        spots = [n for n in _group(s, f"support_{hot}") if _spot(s, n) not in taken]
        a.area = hot
        order(
            s,
            a,
            "stand",
            _nearest_first(s, a, spots or _group(s, f"post_{hot}"))[0],
            "advance",
            after_s=s.span(rules.rotate_delay_s),
        )

    def _fall_back(self, s: RoundState) -> None:
        """Defenders of a site that too many come for leave it, to take it back with the others."""
        rules = s.config.tactics
        for site in sorted(s.arena.config.sites):
            men = [a for a in s.alive(self.team) if a.area == site]
            middle = s.arena.site_middle(site)
            known = sum(math.dist(k.at, middle) < rules.site_m for _, k in s.recent(self.team, rules.fresh_s))
            if known < len(men) + rules.fall_back_by:
                continue
            for a in men:
                if a.task in ("hold", "rest") and a.order_done and s.chance(rules.fall_back_chance):
                    spots = [n for n in _group(s, f"support_{site}") if math.dist(_spot(s, n), s.at(a)) > 3.0]
                    order(s, a, "stand", _nearest_first(s, a, spots)[0], "retreat")

    def _manned(self, s: RoundState, site: str) -> bool:
        return any(a.area == site for a in s.alive(self.team))

    def _throw_back(self, s: RoundState) -> None:
        for a in s.alive(self.team):
            if a.task != "hold" or not a.grenades or not s.chance(s.config.tactics.alarm_throw_chance):
                continue
            for _, known in s.recent(self.team, s.config.tactics.fresh_s):
                if not s.arena.free(s.at(a), known.at) and throw(s, a, a.grenades[0], known.at):
                    break

    def _scout(self, s: RoundState) -> None:
        """One defender goes forward for information and falls back."""
        if self.scout < 0:
            return
        a = s.agents[self.scout]
        if not a.alive or a.area != self.areas[a.index]:
            self.scout = -1
        elif self.push_end == 0 and s.tick >= self.push_at and a.task == "hold":
            spot = _nearest_first(s, a, _group(s, "forward"))[0]
            order(s, a, "stand", spot, "advance", quiet=True)
            self.push_end = s.tick + s.span_ticks(s.config.tactics.push_for_s)
        elif self.push_end and s.tick >= self.push_end:
            order(s, a, "stand", self.home[a.index], "advance")
            self.scout = -1

    def _retake(self, s: RoundState, bomb: Point) -> None:
        rules, clock = s.config.tactics, s.config.clock
        men = s.alive(self.team)
        if self.phase == "posts":
            self.phase = "gather"
            self.gather_until = s.tick + s.span_ticks(rules.gather_s)
            spots = _group(s, f"retake_{s.bomb.site}")
            for a in sorted(men, key=lambda a: (_way_m(s, a, bomb), a.index)):
                spot = _nearest_first(s, a, spots)[0]
                spots.remove(spot)
                if _way_m(s, a, bomb) > rules.inside_m:
                    order(
                        s,
                        a,
                        "stand",
                        spot,
                        "advance",
                        after_s=s.span(rules.order_delay_s),
                    )
        if self.phase == "save":
            return
        attackers = s.alive(1 - self.team)
        needs = {a.index: clock.kit_s if a.has_kit else clock.defuse_s for a in men}
        ways = {a.index: _way_m(s, a, bomb) for a in men}
        can = [a for a in men if needs[a.index] + ways[a.index] / rules.pace_mps < s.time_left()]
        defusing = s.bomb.defuser >= 0
        if not defusing and (not can or (attackers and _gives_up(s, "defenders", self.team, self.asked))):
            self.phase = "save"
            for a in men:
                _hide(s, a, "hide_defenders", bomb)
            return
        if self.phase == "gather":
            ready = all(a.order_done or ways[a.index] <= rules.inside_m for a in men)
            if attackers and not ready and s.tick < self.gather_until and s.time_left() > rules.retake_by_s:
                return
            self.phase = "go"
            spots = _group(s, f"attack_{s.bomb.site}")
            for a in sorted(men, key=lambda a: (ways[a.index], a.index)):
                spot = _nearest_first(s, a, spots)[0]
                spots.remove(spot)
                order(s, a, "stand", spot, "advance", after_s=s.span(rules.order_delay_s))
                if s.chance(rules.throw_chance) and attackers:
                    throw(s, a, "flashbang", s.arena.site_middle(s.bomb.site))
        if defusing or any(_busy(a, "defuse") for a in men):
            return
        best = min(can, key=lambda a: (ways[a.index] + 2.0 * needs[a.index], a.index))
        pressing = s.time_left() < needs[best.index] + ways[best.index] / rules.pace_mps + rules.hurry_s
        calm = not s.enemy_near(self.team, bomb, rules.site_m, rules.clear_s)
        if not attackers or pressing or (calm and ways[best.index] < rules.inside_m):
            order(s, best, "defuse", None, "advance", at=self._beside(s, best, bomb), watch=self._danger(s, bomb))

    def _beside(self, s: RoundState, a: Agent, bomb: Point) -> Point:
        """A point at arm's length from the bomb, on his side of it."""
        at = s.at(a)
        gap = max(1e-6, math.dist(at, bomb))
        for turn in (0.0, 0.8, -0.8, 1.6, -1.6, 2.4, -2.4, math.pi):
            reach = s.config.behaviour.reach_m / gap
            dx, dz = (at[0] - bomb[0]) * reach, (at[1] - bomb[1]) * reach
            c, sn = math.cos(turn), math.sin(turn)
            spot = (bomb[0] + c * dx - sn * dz, bomb[1] + sn * dx + c * dz)
            if s.arena.can_stand(spot) and s.arena.free(spot, bomb):
                return spot
        return bomb

    def _danger(self, s: RoundState, bomb: Point) -> Point:
        known = s.recent(self.team, s.config.tactics.memory_s)
        return (
            known[-1][1].at if known else s.arena.config.spots[s.arena.config.groups[f"plant_{s.bomb.site}"][0]].watch
        )
