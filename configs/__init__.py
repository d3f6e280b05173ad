"""Every number that a person may want to change, in YAML, loaded once into frozen, validated objects.

Belongs here: one `<area>.yaml` and one `<area>.py` with its typed form, per area of the pipeline.
Does not belong here: anything read from the environment (resources.settings), and any code that computes.
"""

from configs.base import Config, ConfigError, config_hash, load

__all__ = ["Config", "ConfigError", "config_hash", "load"]
