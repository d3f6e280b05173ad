"""The synthesiser of this project, in this process: needs nothing and always answers.

Belongs here: its name and terms. Does not belong here: the synthesis (pipeline.motion.synthesizer).
"""

from configs.motion import MotionConfig, load_motion
from pipeline.motion.clip import Clip, ClipRequest
from pipeline.motion.synthesizer import synthesize


class LocalBackend:
    """Clips by our own synthesizer; they may train other models.

    Args:
        config: defaults to `configs/motion.yaml`.
    """

    name = "local"
    identity = "local"
    trainable = True

    def __init__(self, config: MotionConfig | None = None) -> None:
        self.config = config or load_motion()

    def allowed(self) -> None:
        """Always: it is ours."""

    def generate(self, request: ClipRequest) -> Clip:
        """A clip on the requested path.

        Raises:
            Infeasible: when the samples hold a teleport, a gap, or too little.
        """
        return synthesize(request, self.config)
