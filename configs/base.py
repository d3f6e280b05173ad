"""How a YAML file becomes a frozen object, and how that object gets a name of its own.

Belongs here: loading, validation, hashing. Does not belong here: the fields of any one area.
"""

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import TypeVar, cast

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

FOLDER = Path(__file__).parent


class ConfigError(Exception):
    """A configuration file is missing, is not YAML, or holds a value that its type refuses."""


class Config(BaseModel):
    """Base of all configuration objects: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


C = TypeVar("C", bound=Config)


def load(area: str, kind: type[C]) -> C:
    """The configuration of one area, read from `configs/<area>.yaml` once per process.

    Args:
        area: file name without its ending.
        kind: the typed form of that file.

    Raises:
        ConfigError: if the file is missing or a value in it is refused; names the file and the field.
    """
    return cast(C, _read(area, kind))


@cache
def _read(area: str, kind: type[Config]) -> Config:
    path = FOLDER / f"{area}.yaml"
    try:
        return kind.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise ConfigError(f"{path.name}: {error}") from error


def config_hash(*configs: Config) -> str:
    """Sixteen hex digits that name the values of these configurations, whatever their order in the file."""
    text = json.dumps([config.model_dump(mode="json") for config in configs], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
