"""The nine intents, in the order of every probability vector.

Belongs here: names and column names. Does not belong here: how an intent is recognised.
"""

from typing import Literal, get_args

Intent = Literal["advance", "retreat", "hold", "peek", "plant", "defuse", "rotate", "trade", "engage"]

INTENTS: tuple[Intent, ...] = get_args(Intent)
PROBABILITIES: tuple[str, ...] = tuple(f"p_{intent}" for intent in INTENTS)
