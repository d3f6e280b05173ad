"""The typed form of `prompts.yaml`.

Belongs here: fields, and that no template can hold what a prompt may not. Does not belong here: which values a clip has
(`pipeline.motion.prompts`).
"""

import re
from string import Formatter

from pydantic import Field, model_validator

from configs.base import Config, load

_PLAIN = re.compile(r"[A-Za-z ,.]*")
_FIELDS = frozenset(("gait", "direction", "turn", "ground", "stance"))


class Pace(Config):
    """A way of going, up to a speed."""

    below_mps: float = Field(gt=0)
    name: str
    phrase: str


class Directions(Config):
    """Phrases for the direction of travel as the body sees it."""

    within_deg: float = Field(gt=0, lt=90)
    forward: str
    backward: str
    left: str
    right: str


class Turns(Config):
    """Phrases for the turn of the travel."""

    least_deg: float = Field(gt=0)
    straight: str
    left: str
    right: str


class Grounds(Config):
    """Phrases for rising and falling ground."""

    least_m: float = Field(gt=0)
    level: str
    up: str
    down: str


class Stances(Config):
    """Phrases for the stance."""

    upright: str
    lowered: str


class Template(Config):
    """The sentence of one intent, going and still."""

    stance: str
    going: str
    still: str


class Templates(Config):
    """One `Template` for each intent."""

    advance: Template
    retreat: Template
    hold: Template
    peek: Template
    plant: Template
    defuse: Template
    rotate: Template
    trade: Template
    engage: Template


class Words(Config):
    """Words by which a prompt of somebody else is understood."""

    otherwise_mps: float = Field(ge=0)
    intent: dict[str, tuple[str, ...]]
    gait_mps: dict[float, tuple[str, ...]]


class PromptsConfig(Config):
    """Everything in `prompts.yaml`."""

    most_words: int = Field(gt=0)
    never: tuple[str, ...]
    gait: tuple[Pace, ...] = Field(min_length=1)
    direction: Directions
    turn: Turns
    ground: Grounds
    stance: Stances
    templates: Templates
    words: Words

    @model_validator(mode="after")
    def _plain(self) -> "PromptsConfig":
        phrases = [pace.phrase for pace in self.gait]
        phrases += [self.direction.forward, self.direction.backward, self.direction.left, self.direction.right]
        phrases += [self.turn.straight, self.turn.left, self.turn.right]
        phrases += [self.ground.level, self.ground.up, self.ground.down, self.stance.upright, self.stance.lowered]
        for _, template in self.templates:
            if template.stance not in type(self.stance).model_fields:
                raise ValueError(f"{template.stance!r} is no stance")
            for text in (template.going, template.still):
                pieces = list(Formatter().parse(text))
                if unknown := {name for _, name, *_ in pieces if name is not None} - _FIELDS:
                    raise ValueError(f"a template asks for {sorted(unknown)}")
                if any(specification or conversion for _, _, specification, conversion in pieces):
                    raise ValueError("a template holds more than names of phrases")
                phrases += [literal for literal, *_ in pieces]
        for phrase in phrases:
            if not _PLAIN.fullmatch(phrase):
                raise ValueError(f"{phrase!r} holds more than letters, spaces, commas and full stops")
            if banned := set(re.findall("[a-z]+", phrase.lower())) & set(self.never):
                raise ValueError(f"{phrase!r} holds {sorted(banned)}")
        if strangers := set(self.words.intent) - set(Templates.model_fields):
            raise ValueError(f"words.intent: {sorted(strangers)} are no intents")
        if [pace.below_mps for pace in self.gait] != sorted({pace.below_mps for pace in self.gait}):
            raise ValueError("gait.below_mps does not rise")
        return self


def load_prompts() -> PromptsConfig:
    """The configuration in `prompts.yaml`.

    Raises:
        ConfigError: if it is missing or a value is refused.
    """
    return load("prompts", PromptsConfig)
