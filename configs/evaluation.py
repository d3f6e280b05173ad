"""The typed form of `evaluation.yaml`: how predictions are judged.

Belongs here: fields and what must hold among them. Does not belong here: how a measure is computed
(`pipeline.intents.evaluation`).
"""

from pydantic import Field

from configs.base import Config, load


class CalibrationMeasure(Config):
    """Classwise expected calibration error.

    Attributes:
        bins: of equal mass.
        least_probability: rows with less for a class say nothing of that class's calibration.
        goal: the greatest error that is good enough.
        stretch: the greatest error that is better than good enough.
    """

    bins: int = Field(gt=1)
    least_probability: float = Field(ge=0, lt=1)
    goal: float = Field(gt=0)
    stretch: float = Field(gt=0)


class AlarmMeasure(Config):
    """Warnings of acts that the log itself tells of.

    Attributes:
        intents: whose probability warns.
        ahead_ms: an alarm is right if the act begins within this, or is under way.
        quiet_ms: an alarm that is off for less goes on.
        false_per_round: the budget of false alarms.
        thresholds: how many are tried.
        lead_goal_s: median time from alarm to act.
        plant_ms: how long a plant takes, where its start is not logged.
    """

    intents: tuple[str, ...]
    ahead_ms: int = Field(gt=0)
    quiet_ms: int = Field(ge=0)
    false_per_round: float = Field(gt=0)
    thresholds: int = Field(gt=1)
    lead_goal_s: float
    plant_ms: int = Field(gt=0)


class DeathMeasure(Config):
    """Death within a horizon, learned from the same features: the one figure that others have published.

    Attributes:
        horizon_ms: how soon.
        public_f1: theirs.
        goal_f1: ours to reach.
        rounds: trees.
        leaves: of each tree.
        learning_rate: of the trees.
        least_rows_in_leaf: of the trees.
        feature_share: of the features that a tree is grown on.
        row_share: of the rows that a tree is grown on.
        rows_per_match: at most this many rows of a match are trained on.
    """

    horizon_ms: int = Field(gt=0)
    public_f1: float
    goal_f1: float
    rounds: int = Field(gt=0)
    leaves: int = Field(gt=1)
    learning_rate: float = Field(gt=0, le=1)
    least_rows_in_leaf: int = Field(gt=0)
    feature_share: float = Field(gt=0, le=1)
    row_share: float = Field(gt=0, le=1)
    rows_per_match: int = Field(gt=0)


class SimulatedMeasure(Config):
    """Matches that are simulated because their players' true intent is known.

    Attributes:
        rounds: of each.
        taught: seeds of those that are trained on.
        judged: seeds of those that are held against the truth.
    """

    rounds: int = Field(gt=0)
    taught: tuple[int, ...] = Field(min_length=1)
    judged: tuple[int, ...] = Field(min_length=1)


class EvaluationConfig(Config):
    """All of `evaluation.yaml`.

    Attributes:
        seed: of everything that is drawn.
        resamples: bootstrap replicates.
        interval: coverage of the intervals.
        least_rows: of a group that anything is said of.
        calibration: see there.
        alarms: see there.
        death: see there.
        gaps_ms: upper ends of the groups by longest gap in positions.
        simulated: see there.
    """

    seed: int = Field(ge=0)
    resamples: int = Field(gt=1)
    interval: float = Field(gt=0, lt=1)
    least_rows: int = Field(gt=0)
    calibration: CalibrationMeasure
    alarms: AlarmMeasure
    death: DeathMeasure
    gaps_ms: tuple[int, ...]
    simulated: SimulatedMeasure


def load_evaluation() -> EvaluationConfig:
    """The configuration in `evaluation.yaml`."""
    return load("evaluation", EvaluationConfig)
