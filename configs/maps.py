"""Static geometry of maps: where their objectives are.

Belongs here: the typed form of `maps.yaml`. Does not belong here: anything learned from matches.
"""

from pydantic import model_validator

from configs.base import Config, load


class Objective(Config):
    """An objective of a map.

    Attributes:
        id: its name in events.
        pos: metres, y up.
    """

    id: str
    pos: tuple[float, float, float]


class GameMap(Config):
    """One map.

    Attributes:
        aliases: other names that logs give it.
        objectives: its objectives.
    """

    aliases: tuple[str, ...] = ()
    objectives: tuple[Objective, ...]


class MapsConfig(Config):
    """All known maps, by the name that the game itself gives them."""

    maps: dict[str, GameMap]

    @model_validator(mode="after")
    def _names_are_unique(self) -> "MapsConfig":
        names = [name for key, entry in self.maps.items() for name in (key, *entry.aliases)]
        if len(names) != len(set(names)) or any(name != name.lower() for name in names):
            raise ValueError("maps and aliases must be unique and lower case")
        return self

    def canonical_name(self, name: str) -> str:
        """The game's own name of a map for any name that logs give it; an unknown one as it is."""
        wanted = name.strip().lower()
        for key, entry in self.maps.items():
            if wanted == key or wanted in entry.aliases:
                return key
        return name

    def objectives(self, name: str | None) -> tuple[Objective, ...]:
        """The objectives of the map of that name or alias; none of an unknown one."""
        entry = None if name is None else self.maps.get(self.canonical_name(name))
        return () if entry is None else entry.objectives


def load_maps() -> MapsConfig:
    """The maps of `maps.yaml`."""
    return load("maps", MapsConfig)
