"""The typed form of `encoders.yaml`.

Belongs here: fields and what must hold among them; units and reasons stand beside the values in the YAML.
Does not belong here: loading a model or asking a server (`resources.encoders`), keys and folders
(`resources.settings`).
"""

import re
from typing import Literal

from pydantic import Field, model_validator

from configs.base import Config, load

Pooling = Literal["last", "mean", "cls"]
NAME = r"^[a-z0-9-]{1,24}$"
"""Names of encoders become part of names of files."""


class EncoderSpec(Config):
    """One encoder.

    Attributes:
        kind: where it is: in a package, in a folder of this machine, behind Google's API.
        model: its name where it comes from.
        revision: of the hub; the newest if not given.
        dimension: values that the model gives.
        keep: how many of them are kept; all if not given.
        least: fewest that may be kept.
        max_tokens: of a text; what is longer is cut.
        pooling: how one vector is made of those of all tokens; none where a server does it.
        query: how a text is put that is searched for, with `{text}`.
        document: how a text is put that may be found.
        licence: of the model, or the terms of the service.
    """

    kind: Literal["packaged", "local", "gemini"]
    model: str
    revision: str | None = None
    dimension: int = Field(ge=1)
    keep: int | None = Field(default=None, ge=1)
    least: int | None = Field(default=None, ge=1)
    max_tokens: int = Field(ge=1)
    pooling: Pooling | None = None
    query: str = "{text}"
    document: str = "{text}"
    licence: str

    @model_validator(mode="after")
    def _possible(self) -> "EncoderSpec":
        for name in ("query", "document"):
            if getattr(self, name).count("{text}") != 1:
                raise ValueError(f"{name}: has to hold {{text}} once")
        if (self.pooling is None) != (self.kind == "gemini"):
            raise ValueError(f"pooling: {self.pooling} does not go with {self.kind}")
        if self.keep is not None and self.keep != self.dimension:
            if self.least is None:
                raise ValueError(f"keep: {self.model} was not trained to be cut; leave it at {self.dimension}")
            if not self.least <= self.keep <= self.dimension:
                raise ValueError(f"keep: {self.keep} is not between {self.least} and {self.dimension}")
        return self

    @property
    def values(self) -> int:
        """Values of its vectors as they are kept."""
        return self.keep or self.dimension


class Batch(Config):
    """How many texts a local model is given at once."""

    tokens: int = Field(ge=1)
    most: int = Field(ge=1)


class Gemini(Config):
    """How Google's API is asked."""

    batch: int = Field(ge=1, le=100)
    texts_per_minute: int = Field(ge=1)
    answer_bytes: int = Field(ge=1)
    connect_s: float = Field(gt=0)
    request_s: float = Field(gt=0)
    attempts: int = Field(ge=1)
    backoff_s: float = Field(ge=0)
    longest_backoff_s: float = Field(ge=0)
    longest_wait_s: float = Field(ge=0)


class Moments(Config):
    """What is said of a segment of a match."""

    after_ms: int = Field(ge=0)
    spoken: int = Field(ge=0)
    site_m: float = Field(ge=0)


class Index(Config):
    """The graph that finds the nearest vectors."""

    connectivity: int = Field(ge=2)
    expansion_add: int = Field(ge=1)
    expansion_search: int = Field(ge=1)
    recall_at_least: float = Field(ge=0, le=1)


class Retrieval(Config):
    """How encoders are compared.

    Attributes:
        seeds: stories of each theme.
        ways: by intent, how people say it.
    """

    seeds: int = Field(ge=1)
    ways: dict[str, tuple[str, ...]]


class EncodersConfig(Config):
    """Everything in `encoders.yaml`."""

    packaged: str
    encoders: dict[str, EncoderSpec]
    batch: Batch
    part: int = Field(ge=1)
    gemini: Gemini
    moments: Moments
    index: Index
    retrieval: Retrieval

    @model_validator(mode="after")
    def _named(self) -> "EncodersConfig":
        for name in self.encoders:
            if not re.fullmatch(NAME, name):
                raise ValueError(f"encoders: {name!r} is not a name of 1 to 24 small letters, digits or '-'")
        if self.packaged not in self.encoders or self.encoders[self.packaged].kind != "packaged":
            raise ValueError(f"packaged: {self.packaged!r} is no packaged encoder")
        return self


def load_encoders() -> EncodersConfig:
    """The configuration in `encoders.yaml`.

    Raises:
        ConfigError: if it is missing or a value is refused.
    """
    return load("encoders", EncodersConfig)
