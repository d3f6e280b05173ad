"""What a match looks like in figures: how people move, meet, fight, plant, and how they are recorded.

Belongs here: a distribution or a share of one match from its tables. Does not belong here: which matches are compared,
and the words around the figures (`bench.simulator`).

All of it is of living players between ROUND_LIVE and ROUND_ENDED. A distribution is an array of samples, a share one
number; both are null-safe: what a log does not tell is an empty array or NaN.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from configs.intents import load_intents
from configs.maps import load_maps
from pipeline.events.model import is_attacker
from pipeline.events.reader import MatchReading

Floats = NDArray[np.float64]

STANDING_MPS, RUNNING_MPS = 0.25, 3.0  # between two valleys of the recorded speeds
HEADED_MPS = 1.0  # slower than this nobody goes anywhere in particular
STRAIGHT_MS, STRAIGHT_M = 4000, 1.0  # the longer window of the features; shorter ways have no direction
SITE_M = 15.0  # of a site's middle; the recorded sites are 15 to 25 m wide
TRADE_MS = 5000  # as configs/intents.yaml has it
KNIVES = ("knife", "bayonet", "karambit", "dagger")
PISTOLS = ("glock", "usp", "hkp2000", "p250", "deagle", "revolver", "tec9", "fiveseven", "elite", "cz75")
SNIPERS = ("awp", "ssg08", "scar20", "g3sg1")
GRENADES = ("grenade", "flashbang", "molotov", "decoy")
FIRES = ("molotov", "incendiary", "incgrenade", "inferno")


@dataclass(frozen=True)
class Play:
    """The tables of a match, and what several figures need of them."""

    match_id: str
    match: pl.DataFrame
    rounds: pl.DataFrame
    events: pl.DataFrame
    tracks: pl.DataFrame

    @classmethod
    def of(cls, reading: MatchReading) -> "Play":
        """The play of a match that was read."""
        return cls(
            reading.match["match_id"].item(),
            reading.match,
            reading.rounds,
            reading.events.read(),
            reading.tracks.read(),
        )

    @cached_property
    def spans(self) -> pl.DataFrame:
        """`round`, `live_ms`, `end_ms`, `winner`, `reason` of rounds that were played to their end."""
        return self.rounds.filter(pl.col("live_ms").is_not_null(), pl.col("end_ms").is_not_null()).select(
            "round", "live_ms", "end_ms", "winner", "reason"
        )

    @cached_property
    def deeds(self) -> pl.DataFrame:
        """Events of live rounds without positions, with `at_s` since ROUND_LIVE and what their payload says."""
        payload = pl.col("payload")
        return (
            self.events.filter(pl.col("event_type") != "POSITION_UPDATE")
            .join(self.spans, on="round")
            .filter(pl.col("t_ms").is_between("live_ms", "end_ms"))
            .with_columns(
                at_s=(pl.col("t_ms") - pl.col("live_ms")) / 1000,
                headshot=payload.str.json_path_match("$.headshot") == "true",
                hitgroup=payload.str.json_path_match("$.hitgroup"),
                grenade=payload.str.json_path_match("$.grenade"),
                tx=payload.str.json_path_match("$.target_pos[0]").cast(pl.Float64),
                tz=payload.str.json_path_match("$.target_pos[2]").cast(pl.Float64),
            )
            .join(self.team_of.rename({"player": "target", "team": "target_team"}), on="target", how="left")
            .sort("t_ms", "seq", maintain_order=True)
        )

    @cached_property
    def team_of(self) -> pl.DataFrame:
        """`player`, `team`."""
        return self.tracks.select("player", "team").unique().sort("player")

    def of_type(self, *types: str) -> pl.DataFrame:
        """Deeds of these types."""
        return self.deeds.filter(pl.col("event_type").is_in(list(types)))

    @cached_property
    def shots(self) -> pl.DataFrame:
        """Shots of guns."""
        return self.of_type("WEAPON_FIRED").filter(~_any("weapon", load_intents().labels.not_aimed))

    @cached_property
    def hits(self) -> pl.DataFrame:
        """Hits on enemies by guns."""
        aimed = ~_any("weapon", load_intents().labels.not_aimed)
        return self.of_type("PLAYER_DAMAGED").filter(aimed, pl.col("team") != pl.col("target_team"))

    @cached_property
    def kills(self) -> pl.DataFrame:
        """Kills of enemies."""
        return self.of_type("PLAYER_KILLED").filter(pl.col("team") != pl.col("target_team"))

    @cached_property
    def steps(self) -> pl.DataFrame:
        """Samples of living players in live rounds with how they moved since the one before.

        `dt` s, `dx`, `dz` m, `speed` m/s on the ground, `turn` degrees of view, `change` m/s² of velocity.
        """
        over = ["player", "round"]
        frame = (
            self.tracks.filter(pl.col("hp").fill_null(100) > 0)
            .join(self.spans, on="round")
            .filter(pl.col("t_ms").is_between("live_ms", "end_ms", closed="left"))
            .sort("player", "round", "t_ms")
            .with_columns(
                at_s=(pl.col("t_ms") - pl.col("live_ms")) / 1000,
                dt=pl.col("t_ms").diff().over(over) / 1000,
                dx=pl.col("x_mm").diff().over(over) / 1000,
                dz=pl.col("z_mm").diff().over(over) / 1000,
                turn=((pl.col("yaw_mdeg").diff().over(over) + 180_000) % 360_000 - 180_000) / 1000,
            )
            .with_columns(speed=(pl.col("dx") ** 2 + pl.col("dz") ** 2).sqrt() / pl.col("dt"))
        )
        even = (pl.col("dt") < 0.3) & (pl.col("dt").shift(1).over(over) < 0.3)
        ax, az = ((pl.col(d) / pl.col("dt")).diff().over(over) for d in ("dx", "dz"))
        return frame.with_columns(change=pl.when(even).then((ax**2 + az**2).sqrt() / pl.col("dt")))

    @cached_property
    def lives(self) -> pl.DataFrame:
        """A row per player and round: `path` m, `seconds` lived, `climb` m of vertical range, `side`."""
        return self.steps.group_by("player", "round", maintain_order=True).agg(
            path=(pl.col("speed") * pl.col("dt")).sum(),
            seconds=pl.col("dt").sum(),
            climb=(pl.col("y_mm").max() - pl.col("y_mm").min()) / 1000,
            side=pl.col("side").first(),
        )

    @cached_property
    def sparse(self) -> pl.DataFrame:
        """The samples of about every second, for what is compared across players."""
        times = self.steps.select("round", "t_ms").unique().sort("round", "t_ms")
        kept = times.group_by("round", pl.col("t_ms") // 1000, maintain_order=True).agg(t=pl.col("t_ms").min())
        return self.steps.join(kept.select("round", t_ms="t"), on=["round", "t_ms"])

    def nearest(self, *, enemies: bool) -> Floats:
        """Metres on the ground to the nearest living enemy or teammate, once a second."""
        rows = self.sparse.select("round", "t_ms", "player", "team", "x_mm", "z_mm")
        pairs = rows.join(rows, on=["round", "t_ms"], suffix="_b").filter(
            pl.col("player") != pl.col("player_b"), (pl.col("team") != pl.col("team_b")) == enemies
        )
        gap = (
            ((pl.col("x_mm") - pl.col("x_mm_b")) / 1000) ** 2 + ((pl.col("z_mm") - pl.col("z_mm_b")) / 1000) ** 2
        ).sqrt()
        least = pairs.with_columns(gap=gap).group_by("round", "t_ms", "player").agg(pl.col("gap").min())
        return _array(least["gap"].sort())

    @cached_property
    def sites(self) -> list[tuple[str, float, float]]:
        """Sites of the map: id, x and z in metres; from the log, else from the settings."""
        told = self.match["objectives"].item() if "objectives" in self.match.columns else None
        if told is not None and len(told):
            return [(each["id"], each["x_mm"] / 1000, each["z_mm"] / 1000) for each in told]
        return [(each.id, each.pos[0], each.pos[2]) for each in load_maps().objectives(self.match["map"].item())]

    @cached_property
    def site_gaps(self) -> pl.DataFrame:
        """`sparse` with the distance to each site, in order of ids, and to the nearest, `near`."""
        gaps = {
            f"to_{i}": ((pl.col("x_mm") / 1000 - x) ** 2 + (pl.col("z_mm") / 1000 - z) ** 2).sqrt()
            for i, (_, x, z) in enumerate(sorted(self.sites))
        }
        return self.sparse.with_columns(**gaps).with_columns(near=pl.min_horizontal(*gaps))

    @cached_property
    def bouts(self) -> tuple[Floats, Floats]:
        """Seconds of uninterrupted standing, and of moving, but for those that a death or the round's end cut."""
        runs = (
            self.steps.filter(pl.col("dt") < 0.3)
            .with_columns(still=pl.col("speed") < STANDING_MPS)
            .with_columns(run=pl.col("still").rle_id().over("player", "round"))
            .group_by("player", "round", "run", maintain_order=True)
            .agg(still=pl.col("still").first(), seconds=pl.col("dt").sum())
            .filter(pl.col("run") < pl.col("run").max().over("player", "round"))
        )
        return tuple(_array(runs.filter(pl.col("still") == still)["seconds"]) for still in (True, False))  # type: ignore[return-value]

    @cached_property
    def answers(self) -> tuple[int, Floats]:
        """How many kills of enemies, and after how many seconds the killers of some were killed in return."""
        rows = self.kills.select("round", "t_ms", "actor", "target", "team").rows()
        delays = []
        for round_, t, killer, _, team in rows:
            later = [u - t for r, u, _, dead, by in rows if r == round_ and dead == killer and by != team and u > t]
            if later and min(later) <= TRADE_MS:
                delays.append(min(later) / 1000)
        return len(rows), np.array(delays)

    @cached_property
    def plants(self) -> pl.DataFrame:
        """One row per plant: `round`, `at_s`, `site`, `after_s` until the round's end, `reason`."""
        return (
            self.of_type("BOMB_PLANTED")
            .unique("round", keep="first", maintain_order=True)
            .with_columns(after_s=(pl.col("end_ms") - pl.col("t_ms")) / 1000)
        )

    def held(self, *names: str) -> float:
        """Share of time with a weapon in hand whose name has one of these in it."""
        known = self.steps.filter(pl.col("weapon").is_not_null())
        return _share(known.select(_any("weapon", names)).to_series())

    def reason(self, *words: str) -> float:
        """Share of rounds that ended so."""
        return _share(self.spans["reason"].is_in(list(words)))

    def near_site(self, *, attackers: bool) -> float:
        """Share of that side's time within `SITE_M` of a site."""
        side = pl.col("side").replace_strict(
            {word: is_attacker(word) for word in self.steps["side"].unique().to_list()}, return_dtype=pl.Boolean
        )
        return _share(self.site_gaps.filter(side == attackers)["near"] < SITE_M)


def _any(column: str, words: Any) -> pl.Expr:
    return pl.col(column).str.to_lowercase().str.contains_any(list(words)).fill_null(value=False)


def _array(column: pl.Series) -> Floats:
    out: Floats = column.drop_nulls().cast(pl.Float64).to_numpy()
    return out


def _share(flags: pl.Series) -> float:
    return float(flags.mean()) if len(flags) else float("nan")  # type: ignore[arg-type]  # of booleans


def _per(of: int, each: int) -> float:
    return of / each if each else float("nan")


def _heading(play: Play) -> Floats:
    """Degrees between where a player goes and where he looks."""
    moving = play.steps.filter(pl.col("speed") > HEADED_MPS, pl.col("yaw_mdeg").is_not_null())
    goes = np.degrees(np.arctan2(-moving["dz"].to_numpy(), moving["dx"].to_numpy()))
    off = (goes - moving["yaw_mdeg"].to_numpy() / 1000 + 180.0) % 360.0 - 180.0
    out: Floats = np.abs(off)
    return out


def _straightness(play: Play) -> Floats:
    """Displacement over path of stretches of `STRAIGHT_MS` that are `STRAIGHT_M` long at least."""
    windows = (
        play.steps.with_columns(block=pl.col("at_s") * 1000 // STRAIGHT_MS)
        .group_by("player", "round", "block", maintain_order=True)
        .agg(
            path=(pl.col("speed") * pl.col("dt")).sum(),
            dx=pl.col("dx").sum(),
            dz=pl.col("dz").sum(),
            seconds=pl.col("dt").sum(),
        )
        .filter(pl.col("path") >= STRAIGHT_M, pl.col("seconds") > 0.9 * STRAIGHT_MS / 1000)
    )
    return _array(windows.select((pl.col("dx") ** 2 + pl.col("dz") ** 2).sqrt() / pl.col("path")).to_series())


def _contact(play: Play) -> Floats:
    """Seconds from ROUND_LIVE to the first hit or kill between enemies by a gun."""
    return _array(play.hits.group_by("round", maintain_order=True).agg(pl.col("at_s").min())["at_s"])


def _kill_distance(play: Play) -> Floats:
    shot = play.kills.filter(~_any("weapon", load_intents().labels.not_aimed))
    gap = ((pl.col("x_mm") / 1000 - pl.col("tx")) ** 2 + (pl.col("z_mm") / 1000 - pl.col("tz")) ** 2).sqrt()
    return _array(shot.select(gap).to_series())


def _shooting_speed(play: Play) -> Floats:
    """Speed at the sample before each shot, m/s."""
    shots = play.shots.select("round", "t_ms", player="actor").sort("t_ms")
    steps = play.steps.select("round", "player", "t_ms", "speed").drop_nulls().sort("t_ms")
    joined = shots.join_asof(steps, on="t_ms", by=["round", "player"], tolerance=300, check_sortedness=False)
    return _array(joined["speed"])


def _per_round(play: Play, *types: str) -> Floats:
    counts = play.of_type(*types).group_by("round").len()
    return _array(play.spans.join(counts, on="round", how="left").select(pl.col("len").fill_null(0)).to_series())


def _kills_per_round(play: Play) -> Floats:
    counts = play.kills.group_by("round").len()
    return _array(play.spans.join(counts, on="round", how="left").select(pl.col("len").fill_null(0)).to_series())


def _thrown(play: Play, *words: str) -> float:
    thrown = play.of_type("GRENADE_THROWN")
    return _share(thrown.select(_any("grenade", words)).to_series())


def _rotated(play: Play) -> float:
    """Share of player-rounds that were within `SITE_M` of both sites."""
    gaps = play.site_gaps.group_by("player", "round").agg(pl.col("to_0").min(), pl.col("to_1").min())
    return _share(gaps.select((pl.col("to_0") < SITE_M) & (pl.col("to_1") < SITE_M)).to_series())


def _survivors(play: Play) -> Floats:
    """Living players at the round's end."""
    dead = play.of_type("PLAYER_KILLED").group_by("round").agg(dead=pl.col("target").n_unique())
    count = play.team_of.height
    left = play.spans.join(dead, on="round", how="left").select(count - pl.col("dead").fill_null(0).cast(pl.Int64))
    return _array(left.to_series())


def _armoured(play: Play) -> float:
    first = play.steps.group_by("player", "round", maintain_order=True).first()
    return _share(first["armor"].fill_null(0) > 0)


def _kitted(play: Play) -> float:
    last = play.steps.group_by("player", "round", maintain_order=True).agg(
        pl.col("has_kit").any(), pl.col("side").first()
    )
    sides = [side for side in last["side"].unique().to_list() if is_attacker(side) is False]
    return _share(last.filter(pl.col("side").is_in(sides))["has_kit"].fill_null(value=False))


@dataclass(frozen=True)
class Figure:
    """One thing to compare.

    Attributes:
        group: heading it stands under.
        name: what it is.
        unit: of the samples; "%" for a share.
        of: its samples, or its number, of one match.
    """

    group: str
    name: str
    unit: str
    of: Callable[[Play], Floats | float]

    @property
    def key(self) -> str:
        """Group and name."""
        return f"{self.group}: {self.name}"

    @property
    def is_share(self) -> bool:
        """Whether it is one number a match."""
        return self.unit in ("%", "a match")


FIGURES: tuple[Figure, ...] = (
    Figure("Movement", "speed", "m/s", lambda p: _array(p.steps["speed"])),
    Figure("Movement", "standing", "%", lambda p: _share(p.steps["speed"].drop_nulls() < STANDING_MPS)),
    Figure(
        "Movement",
        "walking",
        "%",
        lambda p: _share(p.steps["speed"].drop_nulls().is_between(STANDING_MPS, RUNNING_MPS, closed="left")),
    ),
    Figure("Movement", "running", "%", lambda p: _share(p.steps["speed"].drop_nulls() >= RUNNING_MPS)),
    Figure("Movement", "acceleration", "m/s²", lambda p: _array(p.steps["change"])),
    Figure("Movement", "path of a player in a round", "m", lambda p: _array(p.lives["path"])),
    Figure("Movement", "path over time lived", "m/s", lambda p: _array(p.lives["path"] / p.lives["seconds"])),
    Figure("Movement", "straightness over 4 s", "1", _straightness),
    Figure("Movement", "length of a stop", "s", lambda p: p.bouts[0]),
    Figure("Movement", "length of a move", "s", lambda p: p.bouts[1]),
    Figure("Movement", "view off the way", "deg", _heading),
    Figure("Movement", "turning of the view", "deg/s", lambda p: _array(p.steps["turn"].abs() / p.steps["dt"])),
    Figure("Movement", "pitch", "deg", lambda p: _array(p.steps["pitch_mdeg"] / 1000)),
    Figure("Movement", "vertical range of a round", "m", lambda p: _array(p.lives["climb"])),
    Figure("Places", "nearest enemy", "m", lambda p: p.nearest(enemies=True)),
    Figure("Places", "nearest teammate", "m", lambda p: p.nearest(enemies=False)),
    Figure("Places", "nearest site", "m", lambda p: _array(p.site_gaps["near"])),
    Figure("Places", "attackers within 15 m of a site", "%", lambda p: p.near_site(attackers=True)),
    Figure("Places", "defenders within 15 m of a site", "%", lambda p: p.near_site(attackers=False)),
    Figure("Places", "players that were at both sites in a round", "%", _rotated),
    Figure("Fights", "first contact", "s", _contact),
    Figure("Fights", "kills a round", "1", _kills_per_round),
    Figure("Fights", "time of kills", "s", lambda p: _array(p.kills["at_s"])),
    Figure("Fights", "distance of kills", "m", _kill_distance),
    Figure("Fights", "kills that are traded within 5 s", "%", lambda p: _per(len(p.answers[1]), p.answers[0])),
    Figure("Fights", "time until a trade", "s", lambda p: p.answers[1]),
    Figure("Fights", "shots a round", "1", lambda p: _gun_shots(p)),
    Figure("Fights", "shots a kill", "a match", lambda p: _per(p.shots.height, p.kills.height)),
    Figure("Fights", "shots that hit", "%", lambda p: _per(p.hits.height, p.shots.height)),
    Figure("Fights", "damage of a hit", "hp", lambda p: _array(p.hits["amount"])),
    Figure("Fights", "hits to the head", "%", lambda p: _share(p.hits["hitgroup"].drop_nulls() == "head")),
    Figure("Fights", "kills by a headshot", "%", lambda p: _share(p.kills["headshot"].fill_null(value=False))),
    Figure("Fights", "speed of who shoots", "m/s", _shooting_speed),
    Figure("Utility", "grenades thrown a round", "1", lambda p: _per_round(p, "GRENADE_THROWN")),
    Figure("Utility", "time of throws", "s", lambda p: _array(p.of_type("GRENADE_THROWN")["at_s"])),
    Figure("Utility", "of them flashes", "%", lambda p: _thrown(p, "flash")),
    Figure("Utility", "of them smokes", "%", lambda p: _thrown(p, "smoke")),
    Figure("Utility", "of them explosive", "%", lambda p: _thrown(p, "hegrenade")),
    Figure("Utility", "of them fire", "%", lambda p: _thrown(p, *FIRES)),
    Figure("Utility", "players blinded a round", "1", lambda p: _per_round(p, "PLAYER_BLINDED")),
    Figure("Utility", "length of a blindness", "s", lambda p: _array(p.of_type("PLAYER_BLINDED")["amount"] / 1000)),
    Figure("Rounds", "length", "s", lambda p: _array((p.spans["end_ms"] - p.spans["live_ms"]) / 1000)),
    Figure("Rounds", "won by attackers", "%", lambda p: _attackers(p)),
    Figure("Rounds", "ended by killing all defenders", "%", lambda p: p.reason("t_win")),
    Figure("Rounds", "ended by killing all attackers", "%", lambda p: p.reason("ct_win")),
    Figure("Rounds", "ended by the bomb", "%", lambda p: p.reason("target_bombed")),
    Figure("Rounds", "ended by a defuse", "%", lambda p: p.reason("bomb_defused")),
    Figure("Rounds", "ended by time", "%", lambda p: p.reason("time_ran_out", "target_saved")),
    Figure("Rounds", "living at the end", "1", _survivors),
    Figure("Bomb", "rounds with a plant", "%", lambda p: _per(p.plants.height, p.spans.height)),
    Figure("Bomb", "time of the plant", "s", lambda p: _array(p.plants["at_s"])),
    Figure("Bomb", "plants at site A", "%", lambda p: _share(p.plants["site"] == "bombsite_a")),
    Figure("Bomb", "time after the plant", "s", lambda p: _array(p.plants["after_s"])),
    Figure("Bomb", "plants that are defused", "%", lambda p: _share(p.plants["reason"] == "bomb_defused")),
    Figure("State", "health of the living", "hp", lambda p: _array(p.sparse["hp"])),
    Figure("State", "with armour at the start", "%", _armoured),
    Figure("State", "defenders with a kit", "%", _kitted),
    Figure("State", "time with a knife in hand", "%", lambda p: p.held(*KNIVES)),
    Figure("State", "time with a pistol in hand", "%", lambda p: p.held(*PISTOLS)),
    Figure("State", "time with a sniper rifle in hand", "%", lambda p: p.held(*SNIPERS)),
    Figure("State", "time with a grenade in hand", "%", lambda p: p.held(*GRENADES)),
    Figure("Recording", "positions a second lived", "1/s", lambda p: _rates(p)),
    Figure("Recording", "time between two positions", "ms", lambda p: _array(p.steps["dt"] * 1000)),
)


def _gun_shots(play: Play) -> Floats:
    counts = play.shots.group_by("round").len()
    return _array(play.spans.join(counts, on="round", how="left").select(pl.col("len").fill_null(0)).to_series())


def _attackers(play: Play) -> float:
    return _share(pl.Series([is_attacker(side) is True for side in play.spans["winner"].to_list()]))


def _rates(play: Play) -> Floats:
    counts = play.steps.group_by("player", "round", maintain_order=True).agg(
        n=pl.len(), seconds=(pl.col("t_ms").max() - pl.col("t_ms").min()) / 1000
    )
    long = counts.filter(pl.col("seconds") > 1.0)
    return _array((long["n"] - 1) / long["seconds"])


def traits(play: Play) -> dict[str, Floats | float]:
    """All figures of a match by group and name."""
    return {figure.key: figure.of(play) for figure in FIGURES}
