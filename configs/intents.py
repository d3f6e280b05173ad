"""The typed form of `intents.yaml`: rules, hindsight labels, training and segmentation.

Belongs here: fields and what must hold among them. Does not belong here: what a rule computes (`pipeline.intents`).
"""

from pydantic import Field, model_validator

from configs.base import Config, load
from configs.features import FINEST_GRID_MS


class Bound(Config):
    """What one feature must satisfy for a rule to hold; an unknown value satisfies only `known: false`.

    Attributes:
        min: least value, inclusive, in the feature's unit.
        max: greatest value, inclusive.
        known: false asks that the value be unknown, and excludes the other fields.
        minus: name of a feature to subtract first.
    """

    min: float | None = None
    max: float | None = None
    known: bool = True
    minus: str | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "Bound":
        if not self.known and (self.min, self.max, self.minus) != (None, None, None):
            raise ValueError("known: false stands alone")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self


class Heuristic(Config):
    """A named rule: where all its bounds hold, it decides the intent with its own probability.

    Attributes:
        name: stands in `decided_by` as `rule:<name>`.
        intent: one of the nine.
        probability: how often it is right where it decides.
        when: bounds by feature name.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    intent: str
    probability: float = Field(gt=0.5, lt=1)
    when: dict[str, Bound] = Field(min_length=1)


class LabelRule(Config):
    """What every hindsight rule has.

    Attributes:
        weight: its say where rules differ.
        horizon_ms: how far past the instant it looks.
    """

    weight: float = Field(gt=0)
    horizon_ms: int = Field(gt=0, multiple_of=FINEST_GRID_MS)


class PlantLabel(LabelRule):
    """`still_mm`: whoever is farther than this from where they handle the bomb does not handle it."""

    still_mm: int = Field(gt=0)


class DefuseLabel(PlantLabel):
    """`kit_ms`: how long a defuse takes with a kit."""

    kit_ms: int = Field(gt=0)


class AnswerLabel(LabelRule):
    """`window_ms`: how long after a teammate's death an answer counts."""

    window_ms: int = Field(gt=0)


class AnswerFireLabel(AnswerLabel):
    """Shots that were aimed at the killer: within `enemy_mm` and `aim_deg` of the view."""

    enemy_mm: int = Field(gt=0)
    aim_deg: float = Field(gt=0, le=180)


class HitLabel(LabelRule):
    """`after_ms`: how long a hit given or taken keeps the fight open."""

    after_ms: int = Field(ge=0)


class FireLabel(LabelRule):
    """Shots that were aimed: an enemy within `enemy_mm` and within `aim_deg` of the view."""

    after_ms: int = Field(ge=0)
    enemy_mm: int = Field(gt=0)
    aim_deg: float = Field(gt=0, le=180)


class ReturnLabel(LabelRule):
    """Out and back: ends within `back_mm` of where it began, having been between `least_mm` and `most_mm` away.

    Out there an enemy within `enemy_mm` must have been within `aim_deg` of the view.
    """

    back_mm: int = Field(gt=0)
    least_mm: int = Field(gt=0)
    most_mm: int = Field(gt=0)
    enemy_mm: int = Field(gt=0)
    aim_deg: float = Field(gt=0, le=180)


class StepOutLabel(LabelRule):
    """Still for `still_ms`, then a step between `least_mm` and `most_mm` into a fight."""

    still_ms: int = Field(gt=0, multiple_of=FINEST_GRID_MS)
    still_mm: int = Field(gt=0)
    least_mm: int = Field(gt=0)
    most_mm: int = Field(gt=0)


class StayLabel(LabelRule):
    """Stays within `radius_mm` for at least `least_ms` of the horizon."""

    radius_mm: int = Field(gt=0)
    least_ms: int = Field(gt=0, multiple_of=FINEST_GRID_MS)


class ProgressLabel(LabelRule):
    """Comes `progress_mm` nearer (or goes as much farther) within the horizon, of which `least_ms` must be seen."""

    progress_mm: int = Field(gt=0)
    least_ms: int = Field(gt=0, multiple_of=FINEST_GRID_MS)


class RetreatLabel(ProgressLabel):
    """`enemy_mm`: only an enemy this near is retreated from."""

    enemy_mm: int = Field(gt=0)


class RotateLabel(ProgressLabel):
    """`left_mm`: how near the site that is left must have been; `leave_mm`: how much farther it gets."""

    left_mm: int = Field(gt=0)
    leave_mm: int = Field(gt=0)


class ToBombLabel(ProgressLabel):
    """`far_mm`: only from farther than this is going to a planted bomb a rotation."""

    far_mm: int = Field(gt=0)


class LabelRules(Config):
    """Every hindsight rule by its name."""

    plant: PlantLabel
    defuse: DefuseLabel
    trade_kill: AnswerLabel
    trade_hit: AnswerLabel
    trade_fire: AnswerFireLabel
    engage_hit: HitLabel
    engage_fire: FireLabel
    peek_return: ReturnLabel
    peek_step_out: StepOutLabel
    hold_stay: StayLabel
    advance_objective: ProgressLabel
    advance_enemy: ProgressLabel
    retreat_enemy: RetreatLabel
    rotate_sites: RotateLabel
    rotate_to_bomb: ToBombLabel


class LabelsConfig(Config):
    """Hindsight labelling.

    Attributes:
        rules: the rules and their thresholds.
        position_age_ms: a position older than this is not known.
        not_aimed: weapons whose shots and hits are no aimed fire, as words within the weapon's name.
        doubt: share of the probability that is spread evenly over all nine intents.
        least_share: the winner's share of the votes below which the rules abstain.
    """

    rules: LabelRules
    position_age_ms: int = Field(gt=0)
    not_aimed: tuple[str, ...]
    doubt: float = Field(gt=0, lt=1)
    least_share: float = Field(gt=0, le=1)


class BoosterConfig(Config):
    """The gradient-boosted trees; `rounds` × 9 trees. `pipeline.intents.trees` evaluates 128 leaves at most."""

    rounds: int = Field(gt=0)
    leaves: int = Field(gt=1, le=128)
    learning_rate: float = Field(gt=0, le=1)
    least_rows_in_leaf: int = Field(gt=0)
    l2: float = Field(ge=0)


class TrainingConfig(Config):
    """How the model is trained and judged.

    Attributes:
        seed: of the row sample and of the trees.
        rows_per_match: at most this many labelled rows of a match are trained on.
        calibration_share: share of the matches (rounds, if there are few matches) that calibrate.
        test_share: share that is only judged on.
        weight_power: a class weighs (its share)^-power in training, taken back in its probability.
        booster: the trees.
    """

    seed: int = Field(ge=0)
    rows_per_match: int = Field(gt=0)
    calibration_share: float = Field(gt=0, lt=0.5)
    test_share: float = Field(gt=0, lt=0.5)
    weight_power: float = Field(ge=0, le=1)
    booster: BoosterConfig


class SegmentsConfig(Config):
    """Frames to segments.

    Attributes:
        switch_margin: how much more probable another intent must be than the present one to count against it.
        least_ms: how long an intent must last to become a segment, by intent.
    """

    switch_margin: float = Field(ge=0, lt=1)
    least_ms: dict[str, int]


class IntentsConfig(Config):
    """All of `intents.yaml`; `prior` is the probability of each intent where nothing else is known."""

    prior: dict[str, float]
    heuristics: tuple[Heuristic, ...]
    labels: LabelsConfig
    training: TrainingConfig
    segments: SegmentsConfig

    @model_validator(mode="after")
    def _consistent(self) -> "IntentsConfig":
        names = [rule.name for rule in self.heuristics]
        if len(set(names)) != len(names):
            raise ValueError("two heuristics have the same name")
        if abs(sum(self.prior.values()) - 1) > 1e-9 or min(self.prior.values()) <= 0:
            raise ValueError("the prior must be positive and sum to 1")
        used = {rule.intent for rule in self.heuristics} | set(self.segments.least_ms)
        if unknown := used - set(self.prior):
            raise ValueError(f"unknown intents: {', '.join(sorted(unknown))}")
        if missing := set(self.prior) - set(self.segments.least_ms):
            raise ValueError(f"segments.least_ms lacks {', '.join(sorted(missing))}")
        return self


def load_intents() -> IntentsConfig:
    """The configuration in `intents.yaml`."""
    return load("intents", IntentsConfig)
