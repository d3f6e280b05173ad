"""The declared feature set: one table that names, documents and orders the feature vector.

Belongs here: what each feature is. Does not belong here: how it is computed (`kernel`), windows
(`configs/features.yaml`).
"""

from dataclasses import dataclass
from typing import Literal

Group = Literal["kinematics", "proximity", "objective", "combat", "state", "quality"]


@dataclass(frozen=True)
class Feature:
    """One declared feature.

    Attributes:
        name: column name, with its unit as suffix where it has one.
        group: what it tells about.
        unit: unit of its values.
        windowed: whether it looks back over the window of `configs/features.yaml`, `(t - w, t]`.
        integer: whether its column is int32; else float32.
        meaning: one sentence; null when what it needs is not known.
    """

    name: str
    group: Group
    unit: str
    windowed: bool
    integer: bool
    meaning: str


FEATURES: tuple[Feature, ...] = (
    Feature(
        "speed_mps",
        "kinematics",
        "m/s",
        False,
        False,
        "speed over the newest step; null if that step has too long a gap or is a jump, or the position is too old",
    ),
    Feature("speed_mean_mps", "kinematics", "m/s", True, False, "path length over the time that its steps take"),
    Feature("speed_max_mps", "kinematics", "m/s", True, False, "speed of the fastest single step"),
    Feature(
        "path_m", "kinematics", "m", True, False, "sum of step lengths; a step over too long a gap or a jump is none"
    ),
    Feature(
        "displacement_m",
        "kinematics",
        "m",
        True,
        False,
        "distance from the window's oldest sample to its newest; null with a jump between",
    ),
    Feature(
        "straightness",
        "kinematics",
        "1",
        True,
        False,
        "displacement over path length; null below the minimum path, or with a gap or a jump in it",
    ),
    Feature(
        "nearest_enemy_m", "proximity", "m", False, False, "distance to the nearest living enemy with a fresh position"
    ),
    Feature(
        "nearest_teammate_m",
        "proximity",
        "m",
        False,
        False,
        "distance to the nearest living teammate with a fresh position",
    ),
    Feature(
        "enemies_near",
        "proximity",
        "count",
        False,
        True,
        "living enemies within the configured near distance; null while the position of any of them is not fresh",
    ),
    Feature(
        "enemy_angle_deg",
        "proximity",
        "deg",
        False,
        False,
        "angle in the ground plane between view yaw and the nearest enemy, 0 to 180",
    ),
    Feature(
        "objective_m",
        "objective",
        "m",
        False,
        False,
        "distance to the nearest objective of the map, else to the one that the newest own position names",
    ),
    Feature(
        "objective_closing_mps",
        "objective",
        "m/s",
        True,
        False,
        "how fast that objective came nearer over the window; negative when leaving it, null with a jump",
    ),
    Feature("bomb_m", "objective", "m", False, False, "distance to the bomb where it lies, planted or dropped"),
    Feature("has_bomb", "objective", "0/1", False, True, "carries the bomb, as last told in this round"),
    Feature("since_plant_s", "objective", "s", False, False, "time since the bomb was planted in this round"),
    Feature(
        "since_plant_start_s",
        "objective",
        "s",
        False,
        False,
        "time since this player began to plant, while it can still be going on",
    ),
    Feature(
        "since_defuse_start_s",
        "objective",
        "s",
        False,
        False,
        "time since this player began to defuse, while it can still be going on",
    ),
    Feature("shots", "combat", "count", True, True, "weapon shots fired; null until the log has told of any shot"),
    Feature(
        "damage_dealt", "combat", "hp", True, True, "damage given to enemies; null until the log has told of any damage"
    ),
    Feature(
        "damage_taken",
        "combat",
        "hp",
        True,
        True,
        "damage taken from anyone; null until the log has told of any damage",
    ),
    Feature("kills", "combat", "count", True, True, "enemies killed; null until the log has told of any kill"),
    Feature(
        "since_teammate_death_s",
        "combat",
        "s",
        False,
        False,
        "time since a teammate was last killed by an enemy in this round, while it is remembered",
    ),
    Feature("killer_m", "combat", "m", False, False, "distance to the living killer of that teammate"),
    Feature("hp", "state", "hp", False, True, "health, as last told with an own position in this round"),
    Feature(
        "alive_teammates", "state", "count", False, True, "living teammates seen in this round, without the player"
    ),
    Feature("alive_enemies", "state", "count", False, True, "living enemies seen in this round"),
    Feature("round_s", "state", "s", False, False, "time since the round went live"),
    Feature(
        "is_attacker",
        "state",
        "0/1",
        False,
        True,
        "plays the side that plants; null where a source's sides have no such role",
    ),
    Feature("sample_count", "quality", "count", True, True, "position samples in the window"),
    Feature(
        "max_gap_ms", "quality", "ms", True, True, "longest time without a sample inside the window, its edges included"
    ),
    Feature("position_age_ms", "quality", "ms", False, True, "age of the newest position in this round"),
)

NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)
