"""What holds for HY-Motion however it is reached.

Belongs here: its licence, lengths and arrays. Does not belong here: servers and commands (hymotion_rest, hymotion_cli).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs.backends import AnswerLimits, HyMotion
from pipeline.motion.clip import ClipRequest
from pipeline.motion.foreign import Malformed, Motion
from pipeline.motion.npz import SMPLH_JOINTS, from_arrays
from resources.motion_backends.errors import BadAnswer, NotAllowed
from resources.motion_backends.prompted import PromptedBackend

MODEL = "HY-Motion 1.0"
FIGURES = 3 * SMPLH_JOINTS


class HyMotionBackend(PromptedBackend):
    """A way to HY-Motion; its clips may train nothing, whatever the configuration says."""

    def _matters(self) -> str:
        hy, licence = self.config.hymotion, self.config.licence
        terms = f"{licence.accepted} {licence.territory} {licence.refusal is None}"
        length = f"{hy.fps} {hy.least_frames}-{hy.most_frames}"
        return f"{terms} {length} {hy.cfg_scale} {hy.streaming_most_s} {hy.cli_line_fps}"

    def check(self) -> None:
        """As of every backend: `NotAllowed` or `NotSetUp` where nothing may be asked."""
        self.allowed()

    def allowed(self) -> None:
        """As of every backend: `NotAllowed` without the licence, or where it doesn't reach."""
        refusal = self.config.licence.refusal
        if refusal is not None:
            raise NotAllowed(f"HY-Motion is off: {refusal}")

    def _made_with(self) -> dict[str, str]:
        return {"model": MODEL, "licence": f"accepted for {self.config.licence.territory}"}


def frames_of(request: ClipRequest, config: HyMotion) -> int:
    """How many frames to ask for: the clip's, within what the model takes without clamping it silently."""
    frames = round((request.to_ms - request.from_ms) * config.fps / 1000) + 1
    return min(max(frames, config.least_frames), config.most_frames)


def motion_of(data: dict[str, Any], limits: AnswerLimits) -> Motion:
    """The motion in `poses`, `trans` and `Rh` of an answer, flat or nested lists.

    Args:
        data: may name `frameCount` and `fps`.
        limits: frames and reach.

    Raises:
        BadAnswer: if they don't fit together.
    """
    trans = _numbers(data, "trans", 3)
    frames = data.get("frameCount", trans.shape[0])
    if isinstance(frames, bool) or not isinstance(frames, int) or frames != trans.shape[0]:
        raise BadAnswer(f"{trans.shape[0]} positions for a frameCount of {str(frames)[:20]}")
    arrays: dict[str, NDArray[Any]] = {
        "trans": trans,
        "Rh": _numbers(data, "Rh", 3),
        "poses": _numbers(data, "poses", FIGURES),
    }
    if "fps" in data:
        arrays["mocap_framerate"] = _numbers(data, "fps", 1)
    return checked(arrays, limits)


def checked(arrays: dict[str, NDArray[Any]], limits: AnswerLimits) -> Motion:
    """A motion from arrays, or the reason why it is none, in this layer's words.

    Raises:
        BadAnswer: if it is none.
    """
    try:
        return within(from_arrays(arrays, most_frames=limits.frames), limits)
    except Malformed as error:
        raise BadAnswer(str(error)) from error


def within(motion: Motion, limits: AnswerLimits) -> Motion:
    """The same motion.

    Raises:
        BadAnswer: if it is too long or goes where nobody goes.
    """
    if motion.frames > limits.frames:
        raise BadAnswer(f"{motion.frames} frames; at most {limits.frames} are taken")
    if np.abs(motion.root - motion.root[0]).max() > limits.reach_m:
        raise BadAnswer(f"a root that goes further than {limits.reach_m:.0f} m")
    return motion


def _numbers(data: dict[str, Any], name: str, width: int) -> NDArray[np.float64]:
    try:
        values = np.asarray(data[name], dtype=np.float64).reshape(-1)
    except KeyError as error:
        raise BadAnswer(f"an answer without {name}") from error
    except (TypeError, ValueError, OverflowError) as error:
        raise BadAnswer(f"{name} holds what is no number") from error
    if values.size == 0 or values.size % width:
        raise BadAnswer(f"{name} of {values.size} numbers, which is no multiple of {width}")
    return values.reshape(-1, width)
