"""The declared feature set: one table that names, documents and orders the feature vector.

Belongs here: what each feature is, and when it is null. Does not belong here: how it is computed (`kernel`), windows
and radii (`configs/features.yaml`, from which they get into the names).

Words used below. The *newest* position is that of the player at the instant, in this round; it is *fresh* while it is
not older than configured. A *step* leads from one position of a player to the next; over too long a time it is a
*gap*, faster than anyone moves a *jump* (a respawn, a stale position), and neither is a step. A *window* of w ms at
t is `(t - w, t]`. Distances use the height where both ends have one, else the ground plane. An *enemy* plays for
another known team, a *teammate* for the same. *Told* means: by the log, up to the instant.

Rows. A row exists at every instant of the grid from ROUND_LIVE until before ROUND_ENDED (always, as long as no round
event was told), for every player with a position in the round, not killed in it, whose newest position is not older
than `absent_ms`: so a silent player costs a bounded number of rows. ROUND_STARTED begins a round, and so does a
ROUND_LIVE that belongs to no round begun. A round is live from its start where `configs/titles.yaml` says that the
title has no freeze time; for any other title a round that never goes live has no rows.

Windows. Movement and combat are told over both windows, except where the short one would only repeat another
feature: its path is its mean speed, its straightness is noise over eight samples, and a grenade thrown in the last
four seconds says what one in the last second says.
"""

from dataclasses import dataclass
from typing import Literal

from configs.features import FeaturesConfig, load_features

Group = Literal["kinematics", "proximity", "objective", "combat", "state", "quality"]


@dataclass(frozen=True)
class Feature:
    """One declared feature.

    Attributes:
        name: column name, with its unit as suffix where it has one.
        group: what it tells about.
        unit: unit of its values.
        integer: whether its column is int32; else float32.
        meaning: what it tells.
        null: when its value is null; empty if never.
    """

    name: str
    group: Group
    unit: str
    integer: bool
    meaning: str
    null: str


def declared(config: FeaturesConfig) -> tuple[Feature, ...]:
    """The feature set in its order, named by the windows and radii of this configuration."""
    short, long = (f"{ms // 1000}s" for ms in (config.short_window_ms, config.long_window_ms))
    radii = tuple(f"{mm // 1000}m" for mm in config.radii_mm)
    return (
        *_kinematics((short, long), (long,)),
        *_proximity(radii),
        *_objective((long,)),
        *_combat((short, long), (long,)),
        *_state(),
        *_quality((long,)),
    )


def _real(
    name: str, group: Group, unit: str, meaning: str, null: str, *, over: tuple[str, ...] = ("",)
) -> list[Feature]:
    return [Feature(name.format(w), group, unit, False, meaning.format(w), null) for w in over]


def _whole(
    name: str, group: Group, unit: str, meaning: str, null: str, *, over: tuple[str, ...] = ("",)
) -> list[Feature]:
    return [Feature(name.format(w), group, unit, True, meaning.format(w), null) for w in over]


def _kinematics(both: tuple[str, ...], long: tuple[str, ...]) -> list[Feature]:
    group: Group = "kinematics"
    no_step = "without a step in the window"
    no_ends = "with fewer than two positions, or a jump, in the window"
    return [
        *_real(
            "speed_mps",
            group,
            "m/s",
            "speed over the newest step",
            "if the newest two positions make no step, or the newest is not fresh",
        ),
        *_real("speed_mean_{}_mps", group, "m/s", "length of the last {}'s steps over their time", no_step, over=both),
        *_real("speed_max_{}_mps", group, "m/s", "speed of the fastest step of the last {}", no_step, over=both),
        *_real(
            "acceleration_{}_mps2",
            group,
            "m/s²",
            "speed over the newest step less that over the oldest of the last {}, per time between their middles",
            "with fewer than two steps, or a gap or a jump, in the window",
            over=both,
        ),
        *_real("path_{}_m", group, "m", "length of the last {}'s steps", no_step, over=long),
        *_real(
            "displacement_{}_m",
            group,
            "m",
            "distance from the oldest position of the last {} to the newest",
            no_ends,
            over=both,
        ),
        *_real(
            "straightness_{}",
            group,
            "1",
            "displacement over path of the last {}",
            "below the least path, or with a gap or a jump in the window",
            over=long,
        ),
        *_real(
            "heading_turn_{}_deg",
            group,
            "deg",
            "sum of the angles in the ground plane from one moving step to the next, of those that end in the last {}",
            no_step,
            over=both,
        ),
        *_real(
            "view_turn_{}_deg",
            group,
            "deg",
            "sum of the angles by which the view yaw turned over the last {}'s steps",
            "without a step in the window whose two ends tell the view",
            over=both,
        ),
        *_real(
            "climb_{}_m",
            group,
            "m",
            "height from the oldest position of the last {} to the newest, negative when going down",
            f"{no_ends}, or if either has no height",
            over=both,
        ),
    ]


def _proximity(radii: tuple[str, ...]) -> list[Feature]:
    group: Group = "proximity"
    nobody = "if there is none, while the own position is not fresh, or while the own team is not known"
    closing = "how fast that distance shrinks by the newest steps of both; of equally near ones the greatest"
    apart = f"{nobody}, if either has made no newest step, or both are at one place"
    unseen = "while the own position or that of any of them is not fresh, or while the own team is not known"
    return [
        *_real("nearest_enemy_m", group, "m", "distance to the nearest living enemy with a fresh position", nobody),
        *_real("nearest_enemy_closing_mps", group, "m/s", closing, apart),
        *_real(
            "nearest_teammate_m", group, "m", "distance to the nearest living teammate with a fresh position", nobody
        ),
        *_real("nearest_teammate_closing_mps", group, "m/s", closing, apart),
        *_whole("enemies_within_{}", group, "count", "living enemies within {}", unseen, over=radii),
        *_whole("teammates_within_{}", group, "count", "living teammates within {}", unseen, over=radii),
        *_real(
            "enemy_angle_deg",
            group,
            "deg",
            "angle in the ground plane between view yaw and nearest enemy, 0 to 180; of equally near ones the least",
            f"{nobody}, if the own yaw is not told, or both are at one place",
        ),
    ]


def _objective(long: tuple[str, ...]) -> list[Feature]:
    group: Group = "objective"
    nowhere = "while the own position is not fresh, or if no objective is known"
    no_bomb = "while the own position is not fresh, or the bomb's place is not known"
    return [
        *_real(
            "objective_m",
            group,
            "m",
            "distance to the nearest objective of the map, else to the one that the newest position names",
            nowhere,
        ),
        *_real(
            "objective_closing_{}_mps",
            group,
            "m/s",
            "how fast that objective came nearer from the oldest position of the last {} to the newest",
            f"{nowhere}, with fewer than two positions, or a jump, in the window",
            over=long,
        ),
        *_whole(
            "in_site",
            group,
            "0/1",
            "within `site_mm` of an objective of the map",
            "while the own position is not fresh, or if the map has no objective",
        ),
        *_real(
            "bomb_m",
            group,
            "m",
            "distance to the bomb where it lies or is planted, else to the one living player who carries it",
            no_bomb,
        ),
        *_real(
            "bomb_closing_mps",
            group,
            "m/s",
            "how fast that distance shrinks by the newest steps of the player and of the carrier",
            f"{no_bomb}, if either has made no newest step, or both are at one place",
        ),
        *_whole("has_bomb", group, "0/1", "carries the bomb, as last told in this round", "until told"),
        *_whole("bomb_planted", group, "0/1", "the bomb is planted", "until the log has told of any bomb"),
        *_real("since_plant_s", group, "s", "time since the bomb was planted", "while it is not planted"),
        *_real(
            "since_plant_start_s",
            group,
            "s",
            "time since this player began to plant",
            "unless it can still be going on",
        ),
        *_real(
            "since_defuse_start_s",
            group,
            "s",
            "time since this player began to defuse",
            "unless it can still be going on",
        ),
    ]


def _combat(both: tuple[str, ...], long: tuple[str, ...]) -> list[Feature]:
    group: Group = "combat"
    no_damage = "until the log has told of any damage"
    no_team = "or while the own team is not known"
    never = "if there was none in this round"
    no_death = f"if none was, longer ago than is remembered, {no_team}"
    return [
        *_whole("shots_{}", group, "count", "shots fired in the last {}", "until the log has told of any", over=both),
        *_whole(
            "damage_dealt_{}",
            group,
            "hp",
            "damage given to enemies in the last {}",
            f"{no_damage}, {no_team}",
            over=both,
        ),
        *_whole("damage_taken_{}", group, "hp", "damage taken from anyone in the last {}", no_damage, over=both),
        *_whole(
            "kills_{}",
            group,
            "count",
            "enemies killed in the last {}",
            f"until the log has told of any kill, {no_team}",
            over=both,
        ),
        *_whole(
            "utility_thrown_{}",
            group,
            "count",
            "grenades thrown in the last {}",
            "until the log has told of any",
            over=long,
        ),
        *_real("since_damage_dealt_s", group, "s", "time since damage was last given to an enemy", never),
        *_real("since_damage_taken_s", group, "s", "time since damage was last taken from anyone", never),
        *_real(
            "since_teammate_death_s",
            group,
            "s",
            "time since a teammate was last killed by an enemy in this round",
            no_death,
        ),
        *_real(
            "killer_m",
            group,
            "m",
            "distance to the killer of that teammate",
            f"{no_death}, if the killer is dead, or while either position is not fresh",
        ),
        *_real(
            "flashed_s",
            group,
            "s",
            "time until sight is back, 0 with full sight",
            "until the log has told of any flash",
        ),
    ]


def _state() -> list[Feature]:
    group: Group = "state"
    untold, no_team = "until told with an own position in this round", "while the own team is not known"
    return [
        *_whole("hp", group, "hp", "health, as last told in this round", untold),
        *_whole("armor", group, "hp", "armour, as last told in this round", untold),
        *_whole("has_kit", group, "0/1", "carries a defuse kit, as last told in this round", untold),
        *_whole("alive_teammates", group, "count", "living teammates seen in this round, without the player", no_team),
        *_whole("alive_enemies", group, "count", "living enemies seen in this round", no_team),
        *_whole("advantage", group, "count", "living teammates and the player, less living enemies", no_team),
        *_real("round_s", group, "s", "time since the round went live", "as long as no round was told"),
        *_whole(
            "is_attacker",
            group,
            "0/1",
            "plays the side that plants",
            "if a source's sides have no such role, or untold",
        ),
    ]


def _quality(long: tuple[str, ...]) -> list[Feature]:
    group: Group = "quality"
    return [
        *_whole("sample_count", group, "count", f"positions in the last {long[0]}", ""),
        *_whole(
            "max_gap_ms", group, "ms", f"longest time without a position in the last {long[0]}, its edges included", ""
        ),
        *_whole("position_age_ms", group, "ms", "age of the newest position", ""),
    ]


FEATURES: tuple[Feature, ...] = declared(load_features())
NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)
