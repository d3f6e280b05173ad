"""What is said of somebody's ten seconds: who it is, and what it does one after the other.

Belongs here: words and the ways of putting them together. Does not belong here: which of them is held out (dataset).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from configs.scenes import Wording

Objective = tuple[str, tuple[float, float]]
"""What an objective is called, and where it is: (x, z) in metres."""

SUBJECTS: dict[bool | None, str] = {True: "attacker", False: "defender", None: "player"}
"""What somebody in a match is, by whether it attacks."""

WAYS = ("advance", "retreat", "rotate")
"""Intents that are a way: of others, how fast somebody is tells nothing."""

STYLES = 4
"""Ways of wording; a template is `<theme>/<style>`."""

_DOES = {
    "stand": ("stands still", "standing still"),
    "look": ("looks around", "looking around"),
    "talk": ("talks", "talking"),
    "wave": ("waves", "waving"),
    "point": ("points", "pointing"),
    "sit": ("sits", "sitting"),
    "type": ("types sitting", "typing in a seat"),
    "eat": ("eats sitting", "eating in a seat"),
    "pitch": ("throws", "throwing"),
    "swing": ("swings", "swinging"),
    "catch": ("catches", "catching"),
    "collect": ("picks something up", "picking something up"),
    "celebrate": ("celebrates", "celebrating"),
    "crouch": ("crouches", "crouching"),
    "kneel": ("kneels", "kneeling"),
    "aim": ("aims", "aiming"),
    "fallen": ("lies on the ground", "lying on the ground"),
    "walk": ("walks", "walking"),
    "lope": ("bounds in low gravity", "bounding in low gravity"),
    "jog": ("jogs", "jogging"),
    "run": ("runs", "running"),
    "running_bases": ("runs the bases", "running the bases"),
    "sprint": ("sprints", "sprinting"),
    "elite_sprint": ("sprints at top speed", "sprinting at top speed"),
}
_MEANS = {
    "advance": ("advances", "advancing"),
    "retreat": ("falls back", "falling back"),
    "hold": ("holds", "holding"),
    "peek": ("peeks", "peeking"),
    "plant": ("plants the bomb", "planting the bomb"),
    "defuse": ("defuses the bomb", "defusing the bomb"),
    "rotate": ("rotates", "rotating"),
    "trade": ("answers a teammate's death", "answering a teammate's death"),
    "engage": ("fights", "fighting"),
}
_TENS = {1: "a step", 2: "two metres", 3: "three metres", 4: "four metres", 5: "five metres"}


@dataclass(frozen=True)
class Phrase:
    """Something that is done for a while.

    Attributes:
        word: an action or an intent.
        rest: what follows the verb: how, how far, whither.
        is_intent: whether it is an intent.
    """

    word: str
    rest: str = ""
    is_intent: bool = False

    def said(self, gerund: bool) -> str:
        """As a verb with what follows it."""
        words = (_MEANS if self.is_intent else _DOES)[self.word][1 if gerund else 0]
        return f"{words} {self.rest}".strip()


def distance_words(metres: float) -> str:
    """A distance as people say it; nothing for less than half a metre."""
    if metres < 0.5:
        return ""
    whole = round(metres)
    return _TENS.get(max(whole, 1)) or f"{whole if whole < 12 else 5 * round(whole / 5)} metres"


def direction_words(x: float, z: float) -> str:
    """A direction as seen in the picture; z is towards the viewer."""
    if abs(x) >= 2.0 * abs(z):
        return "to the right" if x > 0 else "to the left"
    if abs(z) >= 2.0 * abs(x):
        return "towards the viewer" if z > 0 else "into the distance"
    return ("forward" if z > 0 else "away") + (" to the right" if x > 0 else " to the left")


def pace_words(metres: float, seconds: float, wording: Wording) -> str:
    """How fast a way is, where that is worth a word: `"quickly"`, `"slowly"`, else nothing."""
    if metres <= wording.moved_m:
        return ""
    pace = metres / max(seconds, 1e-3)
    return "quickly" if pace > wording.quick_mps else "slowly" if pace < wording.slow_mps else ""


def towards_words(
    begin: Sequence[float],
    end: Sequence[float],
    metres: float,
    objectives: Sequence[Objective],
    wording: Wording,
) -> str:
    """Towards which objective a way of so many metres leads, as `"towards site B"`; nothing if towards none.

    It leads to the one that it comes nearest to, if most of it does so.
    """
    if metres <= wording.moved_m or not objectives:
        return ""
    gained, name = max((math.dist(begin, at) - math.dist(end, at), name) for name, at in objectives)
    return f"towards {name}" if gained > wording.towards_share * metres else ""


def site_words(name: str) -> str:
    """What an objective is called: `bombsite_b` is "site B"."""
    return f"site {name.rsplit('_', 1)[-1].upper()}" if "_" in name else name


def caption(subject: str, phrases: Sequence[Phrase], style: int) -> str:
    """A sentence on what a subject does.

    Args:
        subject: such as `"batter"`.
        phrases: in order of time, at least one.
        style: 0 to `STYLES` − 1.

    Raises:
        ValueError: if there is no such style.
    """
    who = with_article(subject)
    says = [phrase.said(gerund=False) for phrase in phrases]
    ings = [phrase.said(gerund=True) for phrase in phrases]
    if style == 0:
        return _upper(f"{who} {', then '.join(says)}")
    if style == 1:
        return _upper(f"{who} {ings[0]}" + "".join(f" before {word}" for word in ings[1:]))
    if style == 2:
        last = f", and finally {says[-1]}" if len(says) > 1 else ""
        return _upper(f"the {subject} first {', next '.join(says[:-1] or says)}{last}")
    if style == 3:
        return f"{_upper(', '.join(ings))}: this is what {who} does"
    raise ValueError(f"no style {style}: 0 to {STYLES - 1}")


def with_article(subject: str) -> str:
    """Such as `"an attacker"`."""
    return f"{'an' if subject[0] in 'aeiou' else 'a'} {subject}"


def _upper(text: str) -> str:
    return text[0].upper() + text[1:]
