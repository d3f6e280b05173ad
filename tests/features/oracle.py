"""The features once more, naively: at every instant, from the whole list of events, in a few obvious lines each.

It shares nothing with the kernel but the sentences of `pipeline/features/definition.py`, and it is slow.
"""

import math
from itertools import pairwise

from pipeline.events.model import TYPE_RANK, is_attacker

MATTERS = (
    "POSITION_UPDATE",
    "WEAPON_FIRED",
    "PLAYER_DAMAGED",
    "PLAYER_KILLED",
    "BOMB_PLANT_STARTED",
    "BOMB_PLANTED",
    "BOMB_DEFUSE_STARTED",
    "BOMB_DEFUSED",
    "BOMB_EXPLODED",
    "BOMB_DROPPED",
    "BOMB_PICKED_UP",
)
NEED_A_TEAM = (
    "nearest_enemy_m",
    "nearest_teammate_m",
    "enemies_near",
    "enemy_angle_deg",
    "alive_teammates",
    "alive_enemies",
    "since_teammate_death_s",
    "killer_m",
)
ROUND_EVENTS = ("ROUND_STARTED", "ROUND_LIVE", "ROUND_ENDED")


def oracle(match, events, tracks, config):
    """Rows of table `features` as dicts, float features as Python floats."""
    (match_row,) = match.to_dicts()
    told = [event for event in events.to_dicts() if event["event_type"] != "POSITION_UPDATE"]
    seen = [{**track, "event_type": "POSITION_UPDATE", "actor": track["player"]} for track in tracks.to_dicts()]
    log = sorted([*told, *seen], key=lambda e: (e["t_ms"], e["seq"], TYPE_RANK.get(e["event_type"], 19)))
    for number, event in enumerate(log):
        event["number"] = number
    if not log:
        return []
    grid = config.grid_ms
    first, last = (-(-log[end]["t_ms"] // grid) * grid for end in (0, -1))
    return [row for at in range(first, last + 1, grid) for row in Instant(at, log, match_row, config).rows()]


def squared_mm(a, b):
    """Squared distance, in the ground plane where a height is missing."""
    heights = () if a[1] is None or b[1] is None else (a[1] - b[1],)
    return sum(d * d for d in (a[0] - b[0], a[2] - b[2], *heights))


def metres(a, b):
    return math.sqrt(squared_mm(a, b)) / 1000


def micrometres(a, b):
    return math.floor(math.sqrt(squared_mm(a, b)) * 1000 + 0.5)


def flat(point):
    return (point[0], None, point[2])


def place(event):
    return (event["x_mm"], event["y_mm"], event["z_mm"])


class Instant:
    """Everything that is known at one instant."""

    def __init__(self, at, log, match, config):
        self.at, self.c, self.match = at, config, match
        self.past = [event for event in log if event["t_ms"] <= at]
        starts = [event["number"] for event in self.past if event["event_type"] == "ROUND_STARTED"]
        self.here = self.past[starts[-1] :] if starts else self.past
        self.marks = [event for event in self.past if event["event_type"] in ROUND_EVENTS]
        self.window = [event for event in self.here if event["t_ms"] > at - config.window_ms]
        killed = {event["target"] for event in self.of("PLAYER_KILLED")}
        seen = {event["actor"] for event in self.of("POSITION_UPDATE")}
        self.alive = sorted(seen - killed)

    def of(self, *types, by=None, among=None):
        return [
            event
            for event in (self.here if among is None else among)
            if event["event_type"] in types and (by is None or event["actor"] == by)
        ]

    def rows(self):
        if self.marks and self.marks[-1]["event_type"] != "ROUND_LIVE":
            return []
        return [self.row(player) for player in self.alive]

    def team(self, player, number=None):
        """As last told by an own event up to that one, else by the roster."""
        known = self.past if number is None else self.past[: number + 1]
        own = [e["team"] for e in known if e["event_type"] in MATTERS and e["actor"] == player and e["team"]]
        rosters = {member["player"]: member["team"] for member in self.match["players"]}
        return own[-1] if own else rosters.get(player)

    def are_enemies(self, a, b, number=None):
        one, other = self.team(a, number), self.team(b, number)
        return one is not None and other is not None and one != other

    def position(self, player):
        """The newest position if it is fresh."""
        newest = self.of("POSITION_UPDATE", by=player)[-1]
        return place(newest) if self.at - newest["t_ms"] <= self.c.fresh_ms else None

    def row(self, p):
        sides = [e["side"] for e in self.here if e["event_type"] in MATTERS and e["actor"] == p and e["side"]]
        side = sides[-1] if sides else None
        live = [event for event in self.marks if event["event_type"] != "ROUND_ENDED"]
        attacks = is_attacker(side)
        return {
            "t_ms": self.at,
            "player": p,
            "round": live[-1]["round"] if live else None,
            "team": self.team(p),
            "side": side,
            **self.movement(p),
            **self.others(p),
            **self.objective(p),
            **self.bomb(p),
            **self.combat(p),
            "round_s": (self.at - self.marks[-1]["t_ms"]) / 1000 if self.marks else None,
            "is_attacker": None if attacks is None else int(attacks),
        }

    def samples(self, p):
        by_time = {event["t_ms"]: event for event in self.of("POSITION_UPDATE", by=p, among=self.window)}
        return [by_time[t] for t in sorted(by_time)]

    def movement(self, p):
        every = {event["t_ms"]: event for event in self.of("POSITION_UPDATE", by=p)}
        samples = self.samples(p)
        newest = max(every)
        before = max((t for t in every if t < newest), default=None)
        speed = None
        if before is not None and self.at - newest <= self.c.fresh_ms:
            speed = self.speed(every[before], every[newest])
        pairs = list(pairwise(samples))
        steps = [
            (micrometres(place(a), place(b)), b["t_ms"] - a["t_ms"]) for a, b in pairs if self.speed(a, b) is not None
        ]
        path = sum(step for step, _ in steps)
        whole = bool(pairs) and not self.jumps(samples)
        across = micrometres(place(samples[0]), place(samples[-1])) if whole else None
        even = whole and len(steps) == len(pairs) and path >= self.c.min_path_mm * 1000
        edges = [self.at - self.c.window_ms, *(event["t_ms"] for event in samples), self.at]
        return {
            "speed_mps": speed,
            "speed_mean_mps": path / (sum(gap for _, gap in steps) * 1000) if steps else None,
            "speed_max_mps": max(step / (gap * 1000) for step, gap in steps) if steps else None,
            "path_m": path / 1_000_000 if steps else None,
            "displacement_m": across / 1_000_000 if whole else None,
            "straightness": min(1.0, across / path) if even else None,
            "sample_count": len(samples),
            "max_gap_ms": max(b - a for a, b in pairwise(edges)),
            "position_age_ms": self.at - newest,
        }

    def speed(self, a, b):
        """Of a step, if it is one: neither over too long a gap nor a jump."""
        gap = b["t_ms"] - a["t_ms"]
        if gap > self.c.max_step_gap_ms or self.jumps([a, b]):
            return None
        return micrometres(place(a), place(b)) / (gap * 1000)

    def jumps(self, samples):
        return any(
            micrometres(place(a), place(b)) > self.c.max_speed_mm_per_s * (b["t_ms"] - a["t_ms"])
            for a, b in pairwise(samples)
        )

    def others(self, p):
        if self.team(p) is None:
            return dict.fromkeys(NEED_A_TEAM)
        mine = self.position(p)
        enemies = [q for q in self.alive if self.are_enemies(p, q)]
        teammates = [q for q in self.alive if q != p and self.team(q) == self.team(p)]
        near = {q: squared_mm(mine, self.position(q)) for q in enemies if mine and self.position(q)}
        mates = [metres(mine, self.position(q)) for q in teammates if mine and self.position(q)]
        angles = [self.angle(p, q) for q in near if near[q] == min(near.values())]
        deaths = [
            event
            for event in self.of("PLAYER_KILLED")
            if event["target"] is not None
            and event["actor"] is not None
            and self.are_enemies(event["actor"], event["target"], event["number"])
            and self.team(event["target"], event["number"]) == self.team(p)
        ]
        remembered = bool(deaths) and self.at - deaths[-1]["t_ms"] <= self.c.teammate_death_ms
        killer = deaths[-1]["actor"] if remembered else None
        theirs = self.position(killer) if killer in self.alive else None
        return {
            "alive_teammates": len(teammates),
            "alive_enemies": len(enemies),
            "nearest_enemy_m": math.sqrt(min(near.values())) / 1000 if near else None,
            "nearest_teammate_m": min(mates, default=None),
            "enemies_near": sum(d <= self.c.near_mm**2 for d in near.values())
            if mine and all(self.position(q) for q in enemies)
            else None,
            "enemy_angle_deg": min((angle for angle in angles if angle is not None), default=None),
            "since_teammate_death_s": (self.at - deaths[-1]["t_ms"]) / 1000 if remembered else None,
            "killer_m": metres(mine, theirs) if mine and theirs else None,
        }

    def angle(self, p, q):
        yaw = self.of("POSITION_UPDATE", by=p)[-1]["yaw_mdeg"]
        (ax, _, az), (bx, _, bz) = self.position(p), self.position(q)
        if yaw is None or (ax, az) == (bx, bz):
            return None
        turn = abs(math.atan2(az - bz, bx - ax) * (180 / math.pi) - yaw / 1000) % 360
        return min(turn, 360 - turn)

    def objective(self, p):
        nothing = {"objective_m": None, "objective_closing_mps": None}
        mine = self.position(p)
        newest = self.of("POSITION_UPDATE", by=p)[-1]
        told = (newest["objective_x_mm"], newest["objective_y_mm"], newest["objective_z_mm"])
        goals = [place(goal) for goal in self.match["objectives"]] or [told]
        if mine is None or goals[0][0] is None:
            return nothing
        goal = min(goals, key=lambda place: squared_mm(mine, place))
        samples = self.samples(p)
        closing = None
        if len(samples) >= 2 and not self.jumps(samples):
            then = place(samples[0])
            ways = (then, mine, goal) if None not in (then[1], mine[1]) else (then, mine, flat(goal))
            closer = micrometres(ways[0], ways[2]) - micrometres(ways[1], ways[2])
            closing = closer / ((samples[-1]["t_ms"] - samples[0]["t_ms"]) * 1000)
        return {"objective_m": metres(mine, goal), "objective_closing_mps": closing}

    def bomb(self, p):
        has_bomb = None
        for event in self.here:
            if event["event_type"] in ("BOMB_PLANTED", "BOMB_DROPPED"):
                has_bomb = 0
            if event["event_type"] == "BOMB_PICKED_UP":
                has_bomb = int(event["actor"] == p)
            if event["event_type"] == "POSITION_UPDATE" and event["actor"] == p and event["has_bomb"] is not None:
                has_bomb = int(event["has_bomb"])
        whereabouts = self.of("BOMB_PLANTED", "BOMB_DROPPED", "BOMB_PICKED_UP", "BOMB_DEFUSED", "BOMB_EXPLODED")
        lies = None
        if whereabouts and whereabouts[-1]["event_type"] in ("BOMB_PLANTED", "BOMB_DROPPED"):
            lies = place(whereabouts[-1]) if whereabouts[-1]["x_mm"] is not None else None
        plants = self.of("BOMB_PLANTED", "BOMB_DEFUSED", "BOMB_EXPLODED")
        planted = plants[-1] if plants and plants[-1]["event_type"] == "BOMB_PLANTED" else None
        planting = sorted(
            self.of("BOMB_PLANT_STARTED", "BOMB_DROPPED", "WEAPON_FIRED", by=p) + self.of("BOMB_PLANTED"), key=number
        )
        defusing = sorted(
            self.of("BOMB_DEFUSE_STARTED", "BOMB_DEFUSED", "BOMB_EXPLODED") + self.of("WEAPON_FIRED", by=p), key=number
        )
        mine = self.position(p)
        return {
            "has_bomb": has_bomb,
            "bomb_m": metres(mine, lies) if mine and lies else None,
            "since_plant_s": (self.at - planted["t_ms"]) / 1000 if planted else None,
            "since_plant_start_s": self.since(planting, "BOMB_PLANT_STARTED", p, self.c.plant_ms),
            "since_defuse_start_s": self.since(defusing, "BOMB_DEFUSE_STARTED", p, self.c.defuse_ms),
        }

    def since(self, events, start, p, longest_ms):
        if not events or events[-1]["event_type"] != start or events[-1]["actor"] != p:
            return None
        ms = self.at - events[-1]["t_ms"]
        return ms / 1000 if ms <= longest_ms else None

    def combat(self, p):
        hits = [event for event in self.of("PLAYER_DAMAGED", among=self.window) if event["amount"] is not None]
        given = [e for e in hits if e["actor"] == p and e["target"] and self.are_enemies(p, e["target"], e["number"])]
        kills = [
            event
            for event in self.of("PLAYER_KILLED", by=p, among=self.window)
            if event["target"] and self.are_enemies(p, event["target"], event["number"])
        ]
        health = [e["hp"] for e in self.of("POSITION_UPDATE", by=p) if e["hp"] is not None]
        shot, hit, killed = (
            bool(self.of(kind, among=self.past)) for kind in ("WEAPON_FIRED", "PLAYER_DAMAGED", "PLAYER_KILLED")
        )
        has_team = self.team(p) is not None
        return {
            "shots": len(self.of("WEAPON_FIRED", by=p, among=self.window)) if shot else None,
            "damage_dealt": sum(event["amount"] for event in given) if hit and has_team else None,
            "damage_taken": sum(event["amount"] for event in hits if event["target"] == p) if hit else None,
            "kills": len(kills) if killed and has_team else None,
            "hp": health[-1] if health else None,
        }


def number(event):
    return event["number"]
