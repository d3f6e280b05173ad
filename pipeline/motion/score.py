"""What is acted when: the intents of a clip over its time, each with its share of every frame.

Belongs here: stretches of one intent, how they pass into each other. Does not belong here: how an intent is acted
(actions, arms).
"""

from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np

from configs.motion import Act, MotionConfig
from pipeline.intents.vocabulary import Intent
from pipeline.motion.actions import Action, act, bursts, kneeling
from pipeline.motion.arms import Arms
from pipeline.motion.clip import ClipRequest
from pipeline.motion.headings import Headings, ease
from pipeline.motion.path import Path
from pipeline.motion.rotations import Array, unit


class Score:
    """The stretches of a request: one, with the whole clip, where its intent does not change.

    Args:
        request: the moment.
        path: its path.
        config: what acting an intent means.
    """

    def __init__(self, request: ClipRequest, path: Path, config: MotionConfig) -> None:
        self.request, self.path, self.config = request, path, config
        begins = [0.0, *((at - request.from_ms) / 1000.0 for at, _ in request.acts)]
        self.intents: tuple[Intent, ...] = (request.intent, *(intent for _, intent in request.acts))
        self.hows: tuple[Act, ...] = tuple(getattr(config.acting, intent) for intent in self.intents)
        ends = [*begins[1:], float("inf")]
        self.paths = tuple(self._part(begin, end) for begin, end in zip(begins, ends, strict=True))
        self.weights = self._weights(begins)

    def _part(self, begin: float, end: float) -> Path:
        """The path on the clock of a stretch: its first frame is at 0 s, and its frames are the clip."""
        if len(self.intents) == 1:
            return self.path
        time, clip = self.path.time, self.path.clip
        first = clip.start + int(np.searchsorted(time[clip], begin - 1e-6))
        last = clip.start + int(np.searchsorted(time[clip], end - 1e-6))
        return replace(self.path, time=time - begin, clip=slice(min(first, clip.stop - 2), max(last, first + 2)))

    def _weights(self, begins: list[float]) -> tuple[Array, ...]:
        """Shares of the stretches at every frame, summing to 1; they pass in the longer blend of the two."""
        time = self.path.time
        since = [np.ones(time.size)]
        for k in range(1, len(begins)):
            blend = max(self.hows[k - 1].blend_s, self.hows[k].blend_s)
            since.append(ease(time, begins[k] - 0.5 * blend, begins[k] + 0.5 * blend))
        left = np.ones(time.size)
        out = []
        for share in reversed(since):  # the latest first: what it leaves is the earlier ones'
            out.append(left * share)
            left = left * (1.0 - share)
        return tuple(reversed(out))

    def mixed(self, of: Callable[[Act], float]) -> float | Array:
        """A number of each intent's acting, at every frame; the number itself where there is one intent."""
        if len(self.hows) == 1:
            return of(self.hows[0])
        return self._sum([np.full(self.path.time.size, of(how)) for how in self.hows])

    def stance(self) -> list[float | Array]:
        """How the feet stand, as `Act.stance`, at every frame."""
        forth, back, apart = (
            self.mixed(lambda how: how.stance[0]),
            self.mixed(lambda how: how.stance[1]),
            self.mixed(lambda how: how.stance[2]),
        )
        return [forth, back, apart]

    def kneel(self) -> Array:
        """How far down on one knee, `(N,)`."""
        parts = zip(self.intents, self.paths, strict=True)
        return self._sum([kneeling(intent, path, self.config) for intent, path in parts])

    def actions(self, headings: Headings, kneel: Array, rng: np.random.Generator) -> tuple[tuple[Action, ...], Action]:
        """The action of each stretch, and all of them by their shares."""
        parts = []
        for k, (intent, path) in enumerate(zip(self.intents, self.paths, strict=True)):
            own = rng if k == 0 else np.random.default_rng((self.request.seed, k))
            parts.append(self._fired(act(intent, path, headings, kneel, self.config, own)))
        if len(parts) == 1:
            return (parts[0],), parts[0]
        mixed = {each.name: self._sum([getattr(part, each.name) for part in parts]) for each in fields(Action)}
        return tuple(parts), Action(**mixed)

    def _fired(self, action: Action) -> Action:
        if self.request.shots_ms is None:
            return action
        shots = np.array([(at - self.request.from_ms) / 1000.0 for at in self.request.shots_ms])
        return replace(action, recoil=bursts(self.path.time, shots, self.config.actions))

    def arms(self, held: list[Arms]) -> Arms:
        """The arms of all stretches by their shares."""
        if len(held) == 1:
            return held[0]

        def both(name: str) -> tuple[Array, Array]:
            left, right = (self._turned([getattr(each, name)[k] for each in held]) for k in (0, 1))
            return left, right

        return Arms(both("upper"), both("fore"), both("hand"))

    def _sum(self, values: list[Array]) -> Array:
        if len(values) == 1:
            return values[0]
        total: Array = np.sum([weight * value for weight, value in zip(self.weights, values, strict=True)], axis=0)
        return total

    def _turned(self, rotations: list[Array]) -> Array:
        """The mean of rotations by their shares, each in the half of what is there before it."""
        total = np.zeros_like(rotations[0])
        for weight, q in zip(self.weights, rotations, strict=True):
            sign = np.where(np.sum(total * q, axis=-1, keepdims=True) < 0.0, -1.0, 1.0)
            total += weight[:, None] * sign * q
        return unit(total)
