"""The features that polars' own windows can tell, at the same instants as ours, in floats.

Belongs here: movement, counts of fights and of positions, by `rolling` and by `group_by_dynamic`. What they can't tell:
who is near, where the bomb is, what was told last.
"""

from collections.abc import Callable

import polars as pl

from configs.features import FeaturesConfig

WHO = ("player", "round")
_PLACE = ("x_mm", "y_mm", "z_mm")
_COUNTS = ("shots", "damage_dealt", "damage_taken", "kills", "utility_thrown")
_FIGHTS = ("WEAPON_FIRED", "PLAYER_DAMAGED", "PLAYER_KILLED", "GRENADE_THROWN")

Windows = Callable[[pl.DataFrame, int, list[pl.Expr]], pl.DataFrame]


def by_rolling(tracks: pl.DataFrame, events: pl.DataFrame, keys: pl.DataFrame, config: FeaturesConfig) -> pl.DataFrame:
    """The subset by `DataFrame.rolling`: instants lie between the positions and fights, and only theirs are kept.

    Args:
        tracks: table `tracks`.
        events: table `events`.
        keys: `player`, `round`, `t_ms` of the rows wanted, in this order.
        config: windows and limits.

    Returns:
        The keys, and the features under our names.
    """

    def over(frame: pl.DataFrame, ms: int, told: list[pl.Expr]) -> pl.DataFrame:
        rows = frame.rolling("t_ms", period=f"{ms}i", closed="right", group_by=WHO)
        return rows.agg(*told).filter(frame["is_instant"])  # a row for each of the frame's, in its order

    def between(frame: pl.DataFrame) -> pl.DataFrame:
        marked = [frame.with_columns(is_instant=False), keys.with_columns(is_instant=True)]
        return pl.concat(marked, how="diagonal").sort(*WHO, "t_ms", "is_instant")

    return _subset(between(_steps(tracks, config)), between(_fights(tracks, events)), config, over)


def by_group_by_dynamic(
    tracks: pl.DataFrame, events: pl.DataFrame, keys: pl.DataFrame, config: FeaturesConfig
) -> pl.DataFrame:
    """The same by `DataFrame.group_by_dynamic`, whose windows end at the instants of the grid themselves."""

    def over(frame: pl.DataFrame, ms: int, told: list[pl.Expr]) -> pl.DataFrame:
        rows = frame.group_by_dynamic(
            "t_ms",
            every=f"{config.grid_ms}i",
            period=f"{ms}i",
            offset=f"{-ms}i",
            closed="right",
            label="right",
            group_by=WHO,
        )
        return keys.join(rows.agg(*told), on=[*WHO, "t_ms"], how="left", maintain_order="left")

    return _subset(_steps(tracks, config), _fights(tracks, events).sort(*WHO, "t_ms"), config, over)


def _subset(steps: pl.DataFrame, fights: pl.DataFrame, config: FeaturesConfig, over: Windows) -> pl.DataFrame:
    short, long = (config.short_window_ms, config.long_window_ms)
    mixed = "is_instant" in steps.columns
    parts = [over(steps, ms, _movement(ms, mixed=mixed)) for ms in (long, short)]
    parts += [
        over(fights, ms, [pl.col(name).sum().alias(f"{name}_{_name(ms)}") for name in _COUNTS]) for ms in (long, short)
    ]
    return pl.concat([parts[0], *(part.drop(*WHO, "t_ms") for part in parts[1:])], how="horizontal")


def _fights(tracks: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """A row for every shot, hit given, hit taken, kill and throw."""
    teams = tracks.select("player", enemy_of="team").unique("player", keep="first")
    done = events.filter(pl.col("event_type").is_in(_FIGHTS))
    done = done.join(teams, left_on="target", right_on="player", how="left", maintain_order="left")
    kind, hostile = pl.col("event_type"), pl.col("team") != pl.col("enemy_of")
    given = done.select(
        pl.col("actor").alias("player"),
        "round",
        "t_ms",
        shots=kind == "WEAPON_FIRED",
        utility_thrown=kind == "GRENADE_THROWN",
        kills=(kind == "PLAYER_KILLED") & hostile,
        damage_dealt=pl.when((kind == "PLAYER_DAMAGED") & hostile).then("amount"),
    )
    hits = done.filter(kind == "PLAYER_DAMAGED")
    taken = hits.select(pl.col("target").alias("player"), "round", "t_ms", damage_taken="amount")
    return pl.concat([given, taken], how="diagonal")


def _steps(tracks: pl.DataFrame, config: FeaturesConfig) -> pl.DataFrame:
    """Every position with the step that led to it; tables `tracks` are sorted by player and time."""
    own = tracks.select(*WHO, "t_ms", *_PLACE, "yaw_mdeg")
    own = own.with_columns(pl.col("t_ms", *_PLACE, "yaw_mdeg").diff().over(WHO).name.prefix("d_"))
    dx, dy, dz = (pl.col(f"d_{axis}").cast(pl.Float64) for axis in _PLACE)
    step, ms = (dx**2 + dy**2 + dz**2).sqrt(), pl.col("d_t_ms")
    is_step = (ms <= config.max_step_gap_ms) & (step <= config.max_speed_mm_per_s * ms / 1000)
    own = own.with_columns(step=pl.when(is_step).then(step), ms=pl.when(is_step).then(ms))
    moves = (dx**2 + dz**2 >= config.min_heading_mm**2) & pl.col("step").is_not_null()
    heading = pl.when(moves).then(pl.arctan2(-dz, dx).degrees()).forward_fill().over(WHO)
    turn = heading.diff().over(WHO).abs()
    return own.select(
        *WHO,
        "t_ms",
        *_PLACE,
        "step",
        "ms",
        "d_t_ms",
        middle=pl.col("t_ms") - pl.col("ms") / 2,
        speed=pl.col("step") / pl.col("ms"),
        heading_turn=(180 - (turn % 360 - 180).abs()).fill_null(0.0),
        view_turn=(180_000 - (pl.col("d_yaw_mdeg").abs() % 360_000 - 180_000).abs()) / 1000,
    )


def _movement(ms: int, *, mixed: bool) -> list[pl.Expr]:
    """What is told of a window; `mixed` where instants lie between the positions."""
    window = _name(ms)

    def of(name: str) -> pl.Expr:
        return pl.col(name).filter(pl.col("x_mm").is_not_null()) if mixed else pl.col(name)

    def inside(name: str) -> pl.Expr:
        """Of the window's positions all but the oldest: what led there began before the window."""
        return of(name).slice(1)

    across = [(of(axis).last() - of(axis).first()).cast(pl.Float64) for axis in _PLACE]
    way, change = inside("step").sum(), inside("speed").last() - inside("speed").first()
    displacement = (across[0] ** 2 + across[1] ** 2 + across[2] ** 2).sqrt() / 1000
    return [
        (way / inside("ms").sum()).alias(f"speed_mean_{window}_mps"),
        inside("speed").max().alias(f"speed_max_{window}_mps"),
        (change * 1000 / (inside("middle").last() - inside("middle").first())).alias(f"acceleration_{window}_mps2"),
        (way / 1000).alias(f"path_{window}_m"),
        displacement.alias(f"displacement_{window}_m"),
        (displacement * 1000 / way).alias(f"straightness_{window}"),
        inside("heading_turn").sum().alias(f"heading_turn_{window}_deg"),
        inside("view_turn").sum().alias(f"view_turn_{window}_deg"),
        (across[1] / 1000).alias(f"climb_{window}_m"),
        of("x_mm").count().alias(f"sample_count_{window}"),
        inside("d_t_ms").max().alias(f"longest_step_{window}_ms"),
    ]


def _name(ms: int) -> str:
    return f"{ms // 1000}s"
