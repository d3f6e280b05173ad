"""What the numbers and words of each game title mean.

Belongs here: the typed form of `titles.yaml`. Does not belong here: maps (configs.maps), how a log is read
(pipeline.events).
"""

from typing import Literal

from pydantic import Field, model_validator

from configs.base import Config, load

SignedAxis = Literal["x", "-x", "y", "-y", "z", "-z"]
Role = Literal["attacker", "defender", "none"]


class Title(Config):
    """One game title.

    Attributes:
        aliases: other names that logs give it, lower case.
        unit_m: length of one of its world units in metres.
        axes: which of its axes, with which sign, are our x, y (up) and z.
        bomb_items: ids by which inventories name the bomb.
        freeze_time: whether a round starts with a time in which nobody may move; without it, a round is live from its
            start. Of a title with freeze time only ROUND_LIVE tells when a round is live.
    """

    aliases: tuple[str, ...] = ()
    unit_m: float = Field(gt=0)
    axes: tuple[SignedAxis, SignedAxis, SignedAxis]
    bomb_items: tuple[str, ...] = ()
    freeze_time: bool = True

    @model_validator(mode="after")
    def _every_axis_once(self) -> "Title":
        if {axis.lstrip("-") for axis in self.axes} != {"x", "y", "z"}:
            raise ValueError(f"axes must name x, y and z once each, not {self.axes}")
        return self


class TitlesConfig(Config):
    """All titles, the words for sides, and what an unknown title is taken for.

    Attributes:
        titles: by their own short name.
        roles: what each side word, lower case, means; `none` for sides of games without attack and defence.
        unknown: how the positions of a title that is not listed are read.
    """

    titles: dict[str, Title]
    roles: dict[str, Role]
    unknown: Title

    @model_validator(mode="after")
    def _names_are_unique(self) -> "TitlesConfig":
        names = [name for key, title in self.titles.items() for name in (key, *title.aliases)]
        if len(names) != len(set(names)) or any(name != name.lower() for name in names):
            raise ValueError("titles and aliases must be unique and lower case")
        return self

    def canonical_name(self, name: str) -> str:
        """The short name of a title for any name that logs give it; an unknown one in lower case."""
        wanted = name.strip().lower()
        for key, title in self.titles.items():
            if wanted == key or wanted in title.aliases:
                return key
        return wanted

    def find(self, name: str | None) -> Title:
        """The title of that name or alias, else `unknown`."""
        return self.unknown if name is None else self.titles.get(self.canonical_name(name), self.unknown)


def load_titles() -> TitlesConfig:
    """The titles of `titles.yaml`."""
    return load("titles", TitlesConfig)
