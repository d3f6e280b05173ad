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
    """What every hindsight rule has: `horizon_ms`, how far past the instant it looks."""

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


class SpotLabel(LabelRule):
    """Leaves a spot: stood within `still_mm` of it for `still_ms`, then goes `leave_mm` within an instant.

    The way is `least_mm` to `most_mm` long.
    """

    still_ms: int = Field(gt=0, multiple_of=FINEST_GRID_MS)
    still_mm: int = Field(gt=0)
    leave_mm: int = Field(gt=0)
    least_mm: int = Field(gt=0)
    most_mm: int = Field(gt=0)


class ReturnLabel(SpotLabel):
    """Out and back: ends within `back_mm` of the spot, and goes no farther than `rest_mm` in the instant after.

    Out there an enemy within `enemy_mm` must have been within `aim_deg` of the view.
    """

    back_mm: int = Field(gt=0)
    rest_mm: int = Field(gt=0)
    enemy_mm: int = Field(gt=0)
    aim_deg: float = Field(gt=0, le=180)


class StayLabel(LabelRule):
    """Does not leave `radius_mm` over the whole horizon."""

    radius_mm: int = Field(gt=0)


class ProgressLabel(LabelRule):
    """Comes `progress_mm` nearer (or goes as much farther) within the horizon, of which `least_ms` must be seen.

    Only instants count at which the player is under way: is `pace_mm` away `pace_ms` later.
    """

    progress_mm: int = Field(gt=0)
    pace_mm: int = Field(gt=0)
    pace_ms: int = Field(gt=0, multiple_of=FINEST_GRID_MS)
    least_ms: int = Field(gt=0, multiple_of=FINEST_GRID_MS)


class RetreatLabel(ProgressLabel):
    """From an enemy within `enemy_mm`, up to `contact_ms` after a hit or a shot within `aim_deg` of an enemy."""

    enemy_mm: int = Field(gt=0)
    contact_ms: int = Field(gt=0)
    aim_deg: float = Field(gt=0, le=180)


class RotateLabel(ProgressLabel):
    """`left_mm`: how near the site that is left must have been; `leave_mm`: how much farther it gets.

    `out_mm`: how far it is then.

    Within `setup_ms` of the round's start, players go to where they begin it.
    """

    left_mm: int = Field(gt=0)
    leave_mm: int = Field(gt=0)
    out_mm: int = Field(gt=0)
    setup_ms: int = Field(ge=0)


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
    peek_step_out: SpotLabel
    hold_stay: StayLabel
    advance_objective: ProgressLabel
    advance_enemy: ProgressLabel
    retreat_enemy: RetreatLabel
    retreat_save: ProgressLabel
    rotate_sites: RotateLabel
    rotate_to_bomb: ToBombLabel


class LabelsConfig(Config):
    """Hindsight labelling.

    Attributes:
        rules: the rules and their thresholds.
        weights_for: `config_hash` of the rules that the weights were learned for.
        weights: the say of each rule, by name: w makes its intent e^w times as likely as any other.
        position_age_ms: a position older than this is not known.
        not_aimed: weapons whose shots and hits are no aimed fire, as words within the weapon's name.
        least_probability: of the winner, below which the rules abstain.
    """

    rules: LabelRules
    weights_for: str
    weights: dict[str, float]
    position_age_ms: int = Field(gt=0)
    not_aimed: tuple[str, ...]
    least_probability: float = Field(gt=0, lt=1)

    @model_validator(mode="after")
    def _a_weight_each(self) -> "LabelsConfig":
        if odd := set(self.weights) ^ set(LabelRules.model_fields):
            raise ValueError(f"weights and rules differ in {', '.join(sorted(odd))}")
        return self


class BoosterConfig(Config):
    """The gradient-boosted trees; `rounds` × 9 trees. `pipeline.intents.trees` evaluates 128 leaves at most."""

    rounds: int = Field(gt=0)
    leaves: int = Field(gt=1, le=128)
    learning_rate: float = Field(gt=0, le=1)
    least_rows_in_leaf: int = Field(gt=0)
    l2: float = Field(ge=0)


class CalibrationConfig(Config):
    """How scores become probabilities.

    Attributes:
        folds: the calibrated rows are scored by so many models, each trained without the rows that it scores.
        rows: at most this many rows calibrate.
        caution: rows that speak against each squared unit by which the linear map departs from none.
        trust_caution: the same, for how far a rule's log-odds depart from the configured ones and follow the model's.
        least: no isotonic curve says less than this.
    """

    folds: int = Field(gt=1)
    rows: int = Field(gt=0)
    caution: float = Field(ge=0)
    trust_caution: float = Field(gt=0)
    least: float = Field(gt=0, lt=0.1)


class PromotionConfig(Config):
    """What a challenger may lose and still be promoted for a better log-loss.

    Attributes:
        macro_f1: by so much its macro-F1 may be lower.
        intent_f1: by so much the F1 of any intent.
        calibration_error: by so much the classwise calibration error of any intent may be greater.
        least_rounds: on fewer neither is better.
    """

    macro_f1: float = Field(ge=0)
    intent_f1: float = Field(ge=0)
    calibration_error: float = Field(ge=0)
    least_rounds: int = Field(gt=1)


class DriftConfig(Config):
    """When matches are unlike those that a model was trained on.

    Attributes:
        bins: of a feature, of equal mass in training.
        warn: population stability index from which on somebody is told.
        least_rows: with fewer new rows nothing is said.
    """

    bins: int = Field(gt=1)
    warn: float = Field(gt=0)
    least_rows: int = Field(gt=0)


class KinshipConfig(Config):
    """When two recordings are of one match.

    Attributes:
        least_kills: fewer may lie the same time apart by chance.
        least_share: of the kills of the recording that tells of fewer, those that the other tells of too.
        apart_ms: how far the clocks of the two may differ from kill to kill, either way, ms.
        most_kills: so many are compared at most, the first ones.
    """

    least_kills: int = Field(gt=1)
    least_share: float = Field(gt=0.5, le=1)
    apart_ms: int = Field(ge=0)
    most_kills: int = Field(gt=1)


class LearningConfig(Config):
    """What decides the bytes of a model, beside its rows and the rules.

    Attributes:
        seed: of the row sample and of the trees.
        rows_per_match: at most this many labelled rows of a match are trained on.
        test_share: share of the series (matches, or rounds, if there are few) that is only judged on.
        weight_power: a class weighs (its share)^-power in training, taken back in its probability.
        booster: the trees.
        calibration: scores to probabilities.
    """

    seed: int = Field(ge=0)
    rows_per_match: int = Field(gt=0)
    test_share: float = Field(gt=0, lt=0.5)
    weight_power: float = Field(ge=0, le=1)
    booster: BoosterConfig
    calibration: CalibrationConfig


class TrainingConfig(LearningConfig):
    """How the model is trained and judged.

    Attributes:
        kinship: which matches know of each other.
        promotion: who takes the place of whom.
        drift: when tonight's matches are unlike those before.
    """

    kinship: KinshipConfig
    promotion: PromotionConfig
    drift: DriftConfig

    @property
    def learning(self) -> LearningConfig:
        """Only what decides the bytes of a model: who is promoted, and who is told of drift, is not in its name."""
        return LearningConfig(**{name: getattr(self, name) for name in LearningConfig.model_fields})


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
