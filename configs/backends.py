"""The typed form of `backends.yaml`.

Belongs here: fields and what must hold among them; units and reasons stand beside the values in the YAML.
Does not belong here: addresses and secrets (`resources.settings`), how a backend is asked
(`resources.motion_backends`).
"""

import re
import unicodedata
from typing import Literal

from pydantic import Field, field_validator

from configs.base import Config, load

BackendName = Literal["local", "mmcp", "hymotion_rest", "hymotion_cli"]
Style = Literal["auto", "tasks", "streaming"]


_HY_MOTION = ("hymotion", "hunyuan", "混元", "hym1")


def is_hy_motion(text: str) -> bool:
    """Whether a text names HY-Motion, however its words are joined; rather once too often."""
    plain = "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalnum())
    return any(word in plain for word in _HY_MOTION)


class Licence(Config):
    """Whether the operator has accepted HY-Motion's terms, and for where."""

    accepted: bool
    territory: str
    excluded: tuple[str, ...]

    @field_validator("territory")
    @classmethod
    def _code(cls, value: str) -> str:
        if value and not re.fullmatch("[A-Z]{2}", value):
            raise ValueError("is an ISO 3166 code of two capital letters, or empty")
        return value

    @property
    def refusal(self) -> str | None:
        """Why HY-Motion may not be asked; None if it may."""
        if not self.accepted:
            return "its terms are not accepted (licence.accepted in backends.yaml)"
        if not self.territory:
            return "no territory is named (licence.territory in backends.yaml)"
        if self.territory in self.excluded:
            return f"its licence excludes {self.territory} (licence.territory in backends.yaml)"
        return None


class Retries(Config):
    """How often one request is tried, and how long all its waiting may take."""

    attempts: int = Field(ge=1)
    backoff_s: float = Field(ge=0)
    longest_backoff_s: float = Field(ge=0)
    longest_wait_s: float = Field(ge=0)


class Breaker(Config):
    """When a failing backend is left alone, and for how long."""

    failures: int = Field(ge=1)
    rest_s: float = Field(ge=0)


class AnswerLimits(Config):
    """What an answer may be at most."""

    answer_bytes: int = Field(gt=0)
    request_s: float = Field(gt=0)
    connect_s: float = Field(gt=0)
    frames: int = Field(gt=1)
    reach_m: float = Field(gt=0)


class HyMotion(Config):
    """What HY-Motion takes, and how long its servers and its command may take."""

    fps: int = Field(gt=0)
    least_frames: int = Field(gt=0)
    most_frames: int = Field(gt=0)
    cfg_scale: float = Field(gt=0)
    style: Style
    task_s: float = Field(gt=0)
    poll_s: float = Field(ge=0)
    streaming_most_s: float = Field(gt=0)
    cli_s: float = Field(gt=0)
    cli_grace_s: float = Field(ge=0)
    cli_bytes: int = Field(gt=0)
    cli_line_fps: int = Field(gt=0)


class Mmcp(Config):
    """What an MMCP server is asked for."""

    model: str
    path_every_frames: int = Field(ge=1)
    starting_s: float = Field(ge=0)
    grace_s: float = Field(ge=0)
    trainable_models: tuple[str, ...]

    @field_validator("trainable_models")
    @classmethod
    def _free(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if licensed := [name for name in names if is_hy_motion(name)]:
            raise ValueError(f"{licensed[0]} is HY-Motion, whose output may train no other model")
        return names


class Warp(Config):
    """How a foreign clip is put on a path."""

    most_stretch: float = Field(ge=1)
    smoothing_s: float = Field(gt=0)
    sway_bound_m: float = Field(gt=0)
    contact_height_m: float = Field(gt=0)
    contact_speed_mps: float = Field(gt=0)
    contact_share: float = Field(ge=0)
    contact_s: float = Field(ge=0)
    most_reach: float = Field(gt=0, le=1)
    easy_reach: float = Field(gt=0, le=1)
    sink_s: float = Field(gt=0)
    most_drop_m: float = Field(ge=0)
    least_feasible: float = Field(ge=0, le=1)


class Server(Config):
    """What our own MMCP server takes."""

    host: str
    port: int = Field(ge=0, le=65535)
    most_seconds: float = Field(gt=0)
    most_frames: int = Field(gt=1)
    least_fps: float = Field(gt=0)
    most_fps: float = Field(gt=0)
    most_samples: int = Field(ge=1)
    most_constraints: int = Field(ge=1)
    most_batch: int = Field(ge=1)
    most_request_bytes: int = Field(gt=0)
    most_prompt: int = Field(gt=0)
    at_once: int = Field(ge=1)
    waiting: int = Field(ge=0)
    connections: int = Field(ge=1)
    idle_s: float = Field(gt=0)


class BackendsConfig(Config):
    """Everything in `backends.yaml`."""

    backend: BackendName
    licence: Licence
    retries: Retries
    breaker: Breaker
    limits: AnswerLimits
    hymotion: HyMotion
    mmcp: Mmcp
    warp: Warp
    server: Server


def load_backends() -> BackendsConfig:
    """The configuration in `backends.yaml`.

    Raises:
        ConfigError: if it is missing or a value is refused.
    """
    return load("backends", BackendsConfig)
