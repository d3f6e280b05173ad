"""What a text-to-motion model is told: one plain sentence about a body.

Belongs here: which of the phrases in configs/prompts.yaml fit a clip, and the sentence that they make; what our own
server understands of a sentence. Does not belong here: who is told (`resources.motion_backends`).

A prompt is a function of a handful of members of closed sets, themselves computed from the integers of the path and
from the intent. No text of a log (names, ids, chat, weapons, places) is an input, so none can come out.
"""

import re
from dataclasses import dataclass
from itertools import product
from typing import Literal, cast, get_args

import numpy as np

from configs.motion import MotionConfig, load_motion
from configs.prompts import PromptsConfig, load_prompts
from pipeline.errors import PipelineError
from pipeline.intents.vocabulary import INTENTS, Intent
from pipeline.motion import path
from pipeline.motion.clip import ClipRequest
from pipeline.motion.rotations import wrap

Direction = Literal["forward", "backward", "left", "right"]
Turn = Literal["straight", "left", "right"]
Ground = Literal["level", "up", "down"]


class NotWhitelisted(PipelineError):
    """A value that is none of those from which prompts are made."""


@dataclass(frozen=True)
class BodyAction:
    """What a body does in a clip, in closed sets.

    Attributes:
        intent: one of the nine intents.
        pace: name of one of the paces in `prompts.yaml`.
        direction: of the travel, seen from where the body looks.
        turn: of the travel from begin to end.
        ground: whether it rises or falls.
    """

    intent: Intent
    pace: str
    direction: Direction
    turn: Turn
    ground: Ground


def describe(
    request: ClipRequest, config: PromptsConfig | None = None, motion: MotionConfig | None = None
) -> BodyAction:
    """What the body of a request does, from its path, its view and its intent.

    Args:
        request: the moment.
        config: limits of the classes; defaults to `configs/prompts.yaml`.
        motion: how the path is smoothed; defaults to `configs/motion.yaml`.

    Raises:
        Infeasible: when the samples hold a teleport, a gap, or too little.
        NotWhitelisted: if the intent is none.
    """
    config, motion = config or load_prompts(), motion or load_motion()
    if request.intent not in INTENTS:
        raise NotWhitelisted("an intent outside the vocabulary")
    way = path.plan(request, motion.clips, motion.path)
    velocity, view = way.velocity[way.clip], way.view[way.clip]
    speed = way.speed[way.clip]
    mean = float(speed.mean())
    pace = next((pace.name for pace in config.gait if mean < pace.below_mps), config.gait[-1].name)
    moving = speed > config.gait[0].below_mps
    direction: Direction = "forward"
    turn: Turn = "straight"
    if moving.any():
        travel = np.unwrap(np.arctan2(velocity[moving, 0], velocity[moving, 1]))
        beside = wrap(travel - view[moving])
        side = float(np.degrees(np.arctan2(np.sin(beside).mean(), np.cos(beside).mean())))
        near = config.direction.within_deg
        if abs(side) > near:
            direction = "backward" if abs(side) >= 180 - near else "left" if side > 0 else "right"
        turned = float(np.degrees(travel[-1] - travel[0]))
        if abs(turned) >= config.turn.least_deg:
            turn = "left" if turned > 0 else "right"
    rise = float(way.floor[way.clip][-1] - way.floor[way.clip][0])
    ground: Ground = "level" if abs(rise) < config.ground.least_m else "up" if rise > 0 else "down"
    return BodyAction(request.intent, pace, direction, turn, ground)


def prompt(action: BodyAction, config: PromptsConfig | None = None) -> str:
    """The sentence for a body action.

    Raises:
        NotWhitelisted: if any field is none of the known values.
    """
    config = config or load_prompts()
    phrases = {pace.name: pace.phrase for pace in config.gait}
    if (
        action.intent not in INTENTS
        or action.pace not in phrases
        or action.direction not in get_args(Direction)
        or action.turn not in get_args(Turn)
        or action.ground not in get_args(Ground)
    ):
        raise NotWhitelisted("a prompt is made of known values alone")
    template = getattr(config.templates, action.intent)
    text: str = template.still if action.pace == config.gait[0].name else template.going
    sentence = text.format(
        gait=phrases[action.pace],
        direction=getattr(config.direction, action.direction),
        turn=getattr(config.turn, action.turn),
        ground=getattr(config.ground, action.ground),
        stance=getattr(config.stance, template.stance),
    )
    if len(sentence.split()) > config.most_words:
        raise NotWhitelisted(f"the prompt of {action} has more than {config.most_words} words")
    return sentence


def every_prompt(config: PromptsConfig | None = None) -> frozenset[str]:
    """All sentences that can ever be made."""
    config = config or load_prompts()
    actions = product(INTENTS, (p.name for p in config.gait), get_args(Direction), get_args(Turn), get_args(Ground))
    return frozenset(prompt(BodyAction(*values), config) for values in actions)


@dataclass(frozen=True)
class Understood:
    """What was made of somebody else's prompt.

    Attributes:
        intent: the act.
        speed_mps: how fast the body goes where no path says so.
        known: whether any word was understood.
    """

    intent: Intent
    speed_mps: float
    known: bool


def understand(text: str, config: PromptsConfig | None = None) -> Understood:
    """The nearest of our acts and paces to a sentence, by its words."""
    config = config or load_prompts()
    words = set(re.findall("[a-z]+", text.lower()))
    named = next((name for name, known in config.words.intent.items() if words & set(known)), None)
    intent = cast(Intent, named) if named else None
    speed = next((mps for mps, known in config.words.gait_mps.items() if words & set(known)), None)
    return Understood(
        intent or "advance",
        config.words.otherwise_mps if speed is None else speed,
        intent is not None or speed is not None,
    )
