"""Which segments people look at, in which order, and how their work is handed out."""

from itertools import pairwise
from typing import Literal, get_args

from pydantic import Field, model_validator

from configs.base import Config, load

Reason = Literal["sensitive_intent", "motion_failed", "audit", "disagreement", "low_confidence"]


class DisagreementConfig(Config):
    """When rule and model count as disagreeing.

    Attributes:
        model_at_least: how sure the model alone must be of another intent than the rule's, at an instant.
        share_at_least: the share of a segment's instants at which it must be so.
    """

    model_at_least: float = Field(gt=0, le=1)
    share_at_least: float = Field(gt=0, le=1)


class ReasonsConfig(Config):
    """Why a segment is looked at.

    Attributes:
        sensitive: intents that nobody may see unreviewed.
        disagreement: between rule and model.
        audit_share: share of all segments that is looked at for no other reason than to know how many are right.
    """

    sensitive: tuple[str, ...] = ()
    disagreement: DisagreementConfig
    audit_share: float = Field(ge=0, le=1)


class JobsConfig(Config):
    """What becomes of a reason.

    Attributes:
        required: reasons for which a segment is not final before people have judged it.
        priorities: weight of each reason.
        doubt: what a segment of confidence 0 gains in priority over one of confidence 1.
        optional_per_match: how many jobs a match gets at most, besides the required ones and the audit.
        second_review_share: share of the jobs that two people judge.
        most_decisions: how many are asked at most where they differ.
    """

    required: frozenset[Reason]
    priorities: dict[Reason, float]
    doubt: float = Field(ge=0)
    optional_per_match: int = Field(ge=0)
    second_review_share: float = Field(ge=0, le=1)
    most_decisions: int = Field(ge=2)

    @model_validator(mode="after")
    def _complete(self) -> "JobsConfig":
        weights = sorted(self.priorities.values())
        if missing := set(get_args(Reason)) - set(self.priorities):
            raise ValueError(f"priorities lack {', '.join(sorted(missing))}")
        if "sensitive_intent" not in self.required:
            raise ValueError("required lacks sensitive_intent: such a segment would wait for people whom nobody asks")
        if any(high - low <= self.doubt for low, high in pairwise(weights)):
            raise ValueError(f"two priorities are within {self.doubt} (doubt) of each other")
        return self


class QueueConfig(Config):
    """How jobs are handed out.

    Attributes:
        lease_s: how long a job is a reviewer's alone.
        wait_s: how long to wait for the database.
    """

    lease_s: float = Field(gt=0)
    wait_s: float = Field(gt=0)


class RetrainingConfig(Config):
    """`every_decisions`: so many new decisions request a training."""

    every_decisions: int = Field(ge=1)


class ReviewConfig(Config):
    """All of `review.yaml`."""

    reasons: ReasonsConfig
    jobs: JobsConfig
    queue: QueueConfig
    retraining: RetrainingConfig


def load_review() -> ReviewConfig:
    """The configuration in `review.yaml`."""
    return load("review", ReviewConfig)
