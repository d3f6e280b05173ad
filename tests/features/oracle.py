"""The features once more, naively: one event after the other, deques of the last window, a few obvious lines each.

It shares nothing with the kernel but the sentences of `pipeline/features/definition.py`. It is the way one would write
them in plain Python, and what `bench` measures the kernel against.
"""

import math
from collections import defaultdict, deque
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise

from configs.titles import load_titles
from pipeline.events.model import TYPE_RANK, is_attacker

ROUND_EVENTS = ("ROUND_STARTED", "ROUND_LIVE", "ROUND_ENDED")
BOMB_EVENTS = ("BOMB_PLANT_STARTED", "BOMB_PLANTED", "BOMB_DEFUSE_STARTED", "BOMB_DEFUSED", "BOMB_EXPLODED")
BOMB_EVENTS += ("BOMB_DROPPED", "BOMB_PICKED_UP")
OWN_EVENTS = ("POSITION_UPDATE", "WEAPON_FIRED", "PLAYER_DAMAGED", "PLAYER_KILLED", "PLAYER_BLINDED", "GRENADE_THROWN")
NEED_A_TEAM = (
    *("nearest_enemy_m", "nearest_enemy_closing_mps", "nearest_teammate_m", "nearest_teammate_closing_mps"),
    *("enemies_within_{}", "teammates_within_{}", "enemy_angle_deg", "since_teammate_death_s", "killer_m"),
    *("alive_teammates", "alive_enemies", "advantage"),
)


def oracle(match, events, tracks, config):
    """Rows of table `features` as dicts, float features as Python floats."""
    return list(replay(in_order(events, tracks), match.row(0, named=True), config))


def in_order(events, tracks):
    """The events of both tables in total order."""
    told = [event for event in events.to_dicts() if event["event_type"] != "POSITION_UPDATE"]
    seen = [{**track, "event_type": "POSITION_UPDATE", "actor": track["player"]} for track in tracks.to_dicts()]
    return sorted([*told, *seen], key=lambda e: (e["t_ms"], e["seq"], TYPE_RANK.get(e["event_type"], 19)))


def replay(log, match_row, config):
    """The rows of events in total order."""
    if not log:
        return
    grid, match = config.grid_ms, Match(match_row, config)
    at = -(-log[0]["t_ms"] // grid) * grid
    for event in log:
        while at < event["t_ms"]:
            yield from match.rows(at)
            at += grid
        match.take(event)
    yield from match.rows(at)


attacks_as = cache(is_attacker)


def squared_mm(a, b):
    """Squared distance, in the ground plane where a height is missing."""
    dx, dz = a[0] - b[0], a[2] - b[2]
    if a[1] is None or b[1] is None:
        return dx * dx + dz * dz
    return dx * dx + (a[1] - b[1]) ** 2 + dz * dz


def metres(a, b):
    return math.sqrt(squared_mm(a, b)) / 1000


def micrometres(a, b):
    return math.floor(math.sqrt(squared_mm(a, b)) * 1000 + 0.5)


def flat(point):
    return (point[0], None, point[2])


def between(a_mdeg, b_mdeg):
    """The smaller angle between two directions."""
    turn = abs(a_mdeg - b_mdeg) % 360_000
    return min(turn, 360_000 - turn)


@dataclass
class Sample:
    """A position and how it was reached from the one before: by a step, over a gap (None), by a jump."""

    t: int
    place: tuple
    yaw: int | None
    objective: tuple
    ms: int = 0
    step: int | None = None
    jump: bool = False
    vector: tuple | None = None
    heading: int | None = None
    turn: int = 0
    view_turn: int | None = None


@dataclass
class Player:
    """What a round has told of a player."""

    samples: deque = field(default_factory=deque)
    fights: deque = field(default_factory=deque)
    newest: Sample | None = None
    side: str | None = None
    is_dead: bool = False
    told: dict = field(default_factory=dict)
    since: dict = field(default_factory=dict)
    blind_until: int = 0


class Match:
    """Everything that is known by now."""

    def __init__(self, row, config):
        self.c, self.row_of_match = config, row
        self.sites, self.freezes = [], True
        self.long, self.short = config.long_window_ms, config.short_window_ms
        self.names = {ms: f"{ms // 1000}s" for ms in (self.short, self.long)}
        self.phase = self.round = self.live_since = None
        self.teams = {}
        self.ever = set()
        self.begin_round()

    def open(self):
        """Title and map are known from the first MATCH_STARTED on."""
        self.sites = [(o["x_mm"], o["y_mm"], o["z_mm"]) for o in self.row_of_match["objectives"]]
        self.freezes = load_titles().find(self.row_of_match["title"]).freeze_time

    def begin_round(self):
        self.players = defaultdict(Player)
        self.deaths = {}
        self.bomb = self.planted_at = self.else_has_bomb = None

    def take(self, event):
        kind, t, actor = event["event_type"], event["t_ms"], event["actor"]
        if kind == "MATCH_STARTED":
            self.open()
        if kind in ROUND_EVENTS:
            self.take_round(kind, t, event["round"])
        if kind not in OWN_EVENTS and kind not in BOMB_EVENTS:
            return
        self.ever.add("BOMB" if kind in BOMB_EVENTS else kind)
        if actor is not None:
            self.teams[actor] = event["team"] or self.teams.get(actor)
            self.players[actor].side = event["side"] or self.players[actor].side
        if kind in BOMB_EVENTS:
            self.take_bomb(kind, t, actor, event)
        elif kind == "POSITION_UPDATE":
            if not self.players[actor].is_dead:
                self.take_position(self.players[actor], t, event)
        else:
            self.take_fight(kind, t, actor, event["target"], event["amount"])

    def take_round(self, kind, t, number):
        same = None in (number, self.round) or number == self.round
        if kind == "ROUND_STARTED" or (kind == "ROUND_LIVE" and not (self.phase in ("freeze", "live") and same)):
            self.begin_round()
            self.phase, self.round, self.live_since = "freeze", number, None
        elif kind == "ROUND_LIVE":
            self.round = self.round if number is None else number
        if kind == "ROUND_LIVE" or (kind == "ROUND_STARTED" and not self.freezes):
            self.phase, self.live_since = "live", t
        if kind == "ROUND_ENDED":
            self.phase = "over"

    def take_position(self, player, t, event):
        sample = Sample(
            t,
            (event["x_mm"], event["y_mm"], event["z_mm"]),
            event["yaw_mdeg"],
            (event["objective_x_mm"], event["objective_y_mm"], event["objective_z_mm"]),
        )
        if player.samples and player.samples[-1].t == t:
            player.samples.pop()
        while player.samples and player.samples[0].t <= t - self.long:
            player.samples.popleft()
        if player.samples:
            self.connect(player.samples[-1], sample)
        player.samples.append(sample)
        player.newest = sample
        for name in ("hp", "armor", "has_kit", "has_bomb"):
            if event[name] is not None:
                player.told[name] = int(event[name])
        if event["has_bomb"] is not None:
            self.ever.add("BOMB")
            if event["has_bomb"] and self.planted_at is None:
                self.bomb = None

    def connect(self, before, sample):
        sample.ms = sample.t - before.t
        length = micrometres(before.place, sample.place)
        sample.jump = length > self.c.max_speed_mm_per_s * sample.ms
        if sample.jump or sample.ms > self.c.max_step_gap_ms:
            return
        (ax, ay, az), (bx, by, bz) = before.place, sample.place
        sample.step = length
        sample.vector = (bx - ax, None if ay is None or by is None else by - ay, bz - az)
        sample.heading = before.heading
        if (bx - ax) ** 2 + (bz - az) ** 2 >= self.c.min_heading_mm**2:
            sample.heading = math.floor(math.atan2(az - bz, bx - ax) * (180 / math.pi) * 1000 + 0.5)
            sample.turn = 0 if before.heading is None else between(before.heading, sample.heading)
        if before.yaw is not None and sample.yaw is not None:
            sample.view_turn = between(before.yaw, sample.yaw)

    def take_fight(self, kind, t, actor, target, amount):
        hostile = None not in (actor, target) and self.are_enemies(actor, target)
        if kind == "WEAPON_FIRED" and actor is not None:
            self.add(actor, t, "shots", 1)
            self.stop(actor, "plant", "defuse")
        if kind == "GRENADE_THROWN" and actor is not None:
            self.add(actor, t, "utility_thrown", 1)
        if kind == "PLAYER_DAMAGED" and target is not None and amount is not None:
            self.add(target, t, "damage_taken", amount)
            self.players[target].since["damage_taken"] = t
            if hostile:
                self.add(actor, t, "damage_dealt", amount)
                self.players[actor].since["damage_dealt"] = t
        if kind == "PLAYER_BLINDED" and target is not None and amount is not None:
            self.players[target].blind_until = max(self.players[target].blind_until, t + amount)
        if kind == "PLAYER_KILLED" and target is not None:
            self.players[target].is_dead = True
            if hostile:
                self.add(actor, t, "kills", 1)
                self.deaths[self.teams[target]] = (t, actor)

    def add(self, name, t, what, amount):
        fights = self.players[name].fights
        while fights and fights[0][0] <= t - self.long:
            fights.popleft()
        fights.append((t, what, amount))

    def stop(self, name, *doings):
        for doing in doings:
            self.players[name].since.pop(doing, None)

    def stop_all(self, doing):
        for player in self.players.values():
            player.since.pop(doing, None)

    def take_bomb(self, kind, t, actor, event):
        if kind == "BOMB_PLANT_STARTED" and actor is not None:
            self.players[actor].since["plant"] = t
        if kind == "BOMB_DROPPED" and actor is not None:
            self.stop(actor, "plant")
        if kind in ("BOMB_PLANTED", "BOMB_DROPPED"):
            self.bomb = (event["x_mm"], event["y_mm"], event["z_mm"])
        if kind in ("BOMB_PICKED_UP", "BOMB_DEFUSED", "BOMB_EXPLODED"):
            self.bomb = None
        if kind in ("BOMB_PLANTED", "BOMB_DROPPED", "BOMB_PICKED_UP"):
            for player in self.players.values():
                player.told.pop("has_bomb", None)
            self.else_has_bomb = 0
        if kind == "BOMB_PICKED_UP" and actor is not None:
            self.players[actor].told["has_bomb"] = 1
        if kind in ("BOMB_DEFUSED", "BOMB_EXPLODED"):
            self.planted_at = None
        if kind in ("BOMB_DEFUSE_STARTED", "BOMB_DEFUSED", "BOMB_EXPLODED"):
            self.stop_all("defuse")
        if kind == "BOMB_DEFUSE_STARTED" and actor is not None:
            self.players[actor].since["defuse"] = t
        if kind == "BOMB_PLANTED":
            self.planted_at = t
            self.stop_all("plant")

    def are_enemies(self, a, b):
        one, other = self.teams.get(a), self.teams.get(b)
        return one is not None and other is not None and one != other

    def fresh(self, name, at):
        newest = self.players[name].newest
        return newest is not None and at - newest.t <= self.c.fresh_ms

    def rows(self, at):
        if self.phase not in (None, "live"):
            return
        seen = {name: p for name, p in self.players.items() if p.newest is not None and not p.is_dead}
        carriers = [name for name, p in seen.items() if p.told.get("has_bomb", self.else_has_bomb)]
        for name in sorted(seen):
            if at - seen[name].newest.t <= self.c.absent_ms:
                yield self.row(at, name, seen, carriers)

    def row(self, at, name, seen, carriers):
        player = seen[name]
        while player.samples and player.samples[0].t <= at - self.long:
            player.samples.popleft()
        mine = player.newest if self.fresh(name, at) else None
        attacks = attacks_as(player.side)
        has_team = self.teams.get(name) is not None
        return {
            "t_ms": at,
            "player": name,
            "round": self.round,
            "team": self.teams.get(name),
            "side": player.side,
            "speed_mps": mine.step / (mine.ms * 1000) if mine and mine.step is not None else None,
            **self.movement(at, player, self.short),
            **self.movement(at, player, self.long),
            **(self.others(at, name, mine, seen) if has_team else self.alone()),
            **self.objective(player, mine),
            **self.whereabouts_of_bomb(at, name, mine, carriers),
            **self.doing(at, player),
            **self.fighting(at, player, has_team),
            **{told: player.told.get(told) for told in ("hp", "armor", "has_kit")},
            "has_bomb": player.told.get("has_bomb", self.else_has_bomb),
            "round_s": (at - self.live_since) / 1000 if self.live_since is not None else None,
            "is_attacker": None if attacks is None else int(attacks),
            **self.quality(at, player),
        }

    def movement(self, at, player, window):
        samples = [s for s in player.samples if s.t > at - window] if window < self.long else list(player.samples)
        later = samples[1:]
        steps = [s for s in later if s.step is not None]
        path, ms = sum(s.step for s in steps), sum(s.ms for s in steps)
        views = [s.view_turn for s in steps if s.view_turn is not None]
        whole = bool(later) and not any(s.jump for s in later)
        unbroken = bool(later) and len(steps) == len(later)
        across = micrometres(samples[0].place, samples[-1].place) if whole else None
        climb = None
        if whole and None not in (samples[0].place[1], samples[-1].place[1]):
            climb = (samples[-1].place[1] - samples[0].place[1]) / 1000
        w = self.names[window]
        found = {
            f"speed_mean_{w}_mps": path / (ms * 1000) if steps else None,
            f"speed_max_{w}_mps": max(s.step / (s.ms * 1000) for s in steps) if steps else None,
            f"acceleration_{w}_mps2": self.acceleration(later[0], later[-1]) if unbroken and len(later) > 1 else None,
            f"displacement_{w}_m": across / 1_000_000 if whole else None,
            f"heading_turn_{w}_deg": sum(s.turn for s in steps) / 1000 if steps else None,
            f"view_turn_{w}_deg": sum(views) / 1000 if views else None,
            f"climb_{w}_m": climb,
        }
        if window == self.long:
            enough = unbroken and path >= self.c.min_path_mm * 1000
            found[f"path_{w}_m"] = path / 1_000_000 if steps else None
            found[f"straightness_{w}"] = min(1.0, across / path) if enough else None
        return found

    def acceleration(self, first, last):
        """Difference of speeds (um/ms) by the time between the middles of their steps; um/ms² is m/s²."""
        change = 2 * (last.step * first.ms - first.step * last.ms)
        return change / (first.ms * last.ms * (2 * (last.t - first.t) - (last.ms - first.ms)))

    def alone(self):
        radii = [f"{mm // 1000}m" for mm in self.c.radii_mm]
        return {name.format(radius): None for name in NEED_A_TEAM for radius in radii}

    def others(self, at, name, mine, seen):
        team = self.teams[name]
        enemies = [q for q in seen if self.teams.get(q) not in (None, team)]
        mates = [q for q in seen if self.teams.get(q) == team and q != name]
        death, killer = self.deaths.get(team, (None, None))
        remembered = death is not None and at - death <= self.c.teammate_death_ms
        killer_m = None
        if remembered and mine and killer in seen and self.fresh(killer, at):
            killer_m = metres(mine.place, seen[killer].newest.place)
        return {
            **self.near(at, mine, seen, enemies, "enemy", "enemies"),
            **self.near(at, mine, seen, mates, "teammate", "teammates"),
            "since_teammate_death_s": (at - death) / 1000 if remembered else None,
            "killer_m": killer_m,
            "alive_teammates": len(mates),
            "alive_enemies": len(enemies),
            "advantage": len(mates) + 1 - len(enemies),
        }

    def near(self, at, mine, seen, names, whom, many):
        fresh = [seen[q].newest for q in names if self.fresh(q, at)]
        away = [squared_mm(mine.place, other.place) for other in fresh] if mine else []
        least = min(away, default=None)
        nearest = [other for other, squared in zip(fresh, away, strict=False) if squared == least]
        closings = [self.closing(mine, other.place, other) for other in nearest]
        told = mine is not None and len(fresh) == len(names)
        found = {
            f"nearest_{whom}_m": math.sqrt(least) / 1000 if nearest else None,
            f"nearest_{whom}_closing_mps": max((c for c in closings if c is not None), default=None),
        }
        for mm in self.c.radii_mm:
            found[f"{many}_within_{mm // 1000}m"] = sum(squared <= mm * mm for squared in away) if told else None
        if whom == "enemy":
            angles = [self.angle(mine, other.place) for other in nearest]
            found["enemy_angle_deg"] = min((angle for angle in angles if angle is not None), default=None)
        return found

    def angle(self, mine, place):
        (ax, _, az), (bx, _, bz) = mine.place, place
        if mine.yaw is None or (ax, az) == (bx, bz):
            return None
        turn = abs(math.atan2(az - bz, bx - ax) * (180 / math.pi) - mine.yaw / 1000) % 360
        return min(turn, 360 - turn)

    def closing(self, mine, place, mover):
        """Difference of the two velocities along the line between them; a place without a mover rests."""
        if mine.vector is None or (mover is not None and mover.vector is None):
            return None
        vectors = [mine.vector] if mover is None else [mine.vector, mover.vector]
        away = [b - a if None not in (a, b) else None for a, b in zip(mine.place, place, strict=True)]
        axes = (0, 2) if away[1] is None or any(vector[1] is None for vector in vectors) else (0, 1, 2)
        length = math.sqrt(sum(away[k] ** 2 for k in axes))
        if length == 0:
            return None
        along = [sum(away[k] * vector[k] for k in axes) for vector in vectors]
        if mover is None:
            return along[0] / (mine.ms * length)
        return (along[0] * mover.ms - along[1] * mine.ms) / (mine.ms * mover.ms * length)

    def objective(self, player, mine):
        name = f"objective_closing_{self.names[self.long]}_mps"
        found = {"objective_m": None, name: None, "in_site": None}
        if mine is None:
            return found
        goals = self.sites or [mine.objective]
        if goals[0][0] is None:
            return found
        goal = min(goals, key=lambda place: squared_mm(mine.place, place))
        found["objective_m"] = metres(mine.place, goal)
        if self.sites:
            found["in_site"] = int(squared_mm(mine.place, goal) <= self.c.site_mm**2)
        oldest = player.samples[0] if player.samples else mine
        if oldest.t < mine.t and not any(s.jump for s in list(player.samples)[1:]):
            if oldest.place[1] is None or mine.place[1] is None:
                goal = flat(goal)
            closer = micrometres(oldest.place, goal) - micrometres(mine.place, goal)
            found[name] = closer / ((mine.t - oldest.t) * 1000)
        return found

    def whereabouts_of_bomb(self, at, name, mine, carriers):
        found = {
            "bomb_m": None,
            "bomb_closing_mps": None,
            "bomb_planted": int(self.planted_at is not None) if "BOMB" in self.ever else None,
            "since_plant_s": (at - self.planted_at) / 1000 if self.planted_at is not None else None,
        }
        place = carrier = None
        if self.bomb is not None:
            place = self.bomb if self.bomb[0] is not None else None
        elif len(carriers) == 1 and self.fresh(carriers[0], at):
            carrier = self.players[carriers[0]].newest
            place = carrier.place
        if mine and place:
            found["bomb_m"] = metres(mine.place, place)
            found["bomb_closing_mps"] = self.closing(mine, place, carrier)
        return found

    def doing(self, at, player):
        found = {}
        for doing, longest in (("plant", self.c.plant_ms), ("defuse", self.c.defuse_ms)):
            ms = at - player.since[doing] if doing in player.since else None
            found[f"since_{doing}_start_s"] = ms / 1000 if ms is not None and ms <= longest else None
        return found

    def fighting(self, at, player, has_team):
        while player.fights and player.fights[0][0] <= at - self.long:
            player.fights.popleft()
        known = {
            "shots": "WEAPON_FIRED" in self.ever,
            "damage_dealt": "PLAYER_DAMAGED" in self.ever and has_team,
            "damage_taken": "PLAYER_DAMAGED" in self.ever,
            "kills": "PLAYER_KILLED" in self.ever and has_team,
            "utility_thrown": "GRENADE_THROWN" in self.ever,
        }
        sums = {(what, window): 0 for what in known for window in self.names}
        for t, what, amount in player.fights:
            sums[what, self.long] += amount
            if t > at - self.short:
                sums[what, self.short] += amount
        del sums["utility_thrown", self.short]
        blind = max(0, player.blind_until - at)
        return {
            **{f"{what}_{self.names[w]}": total if known[what] else None for (what, w), total in sums.items()},
            **{
                f"since_{what}_s": (at - player.since[what]) / 1000 if what in player.since else None
                for what in ("damage_dealt", "damage_taken")
            },
            "flashed_s": blind / 1000 if "PLAYER_BLINDED" in self.ever else None,
        }

    def quality(self, at, player):
        edges = [at - self.long, *(s.t for s in player.samples), at]
        return {
            "sample_count": len(player.samples),
            "max_gap_ms": max(b - a for a, b in pairwise(edges)),
            "position_age_ms": at - player.newest.t,
        }
