"""Who synthesises a clip: one class per backend, all answering to the same protocol.

Belongs here: talking to a synthesiser, in this process or over a wire. Does not belong here: motion (pipeline.motion),
files and caches (resources.clips).
"""

from typing import Protocol

from pipeline.motion.clip import Clip, ClipRequest


class MotionBackend(Protocol):
    """What the clip studio needs of a backend."""

    @property
    def name(self) -> str:
        """Written on every clip."""
        ...

    @property
    def identity(self) -> str:
        """Name and whatever else decides what it makes; part of the clip key."""
        ...

    @property
    def trainable(self) -> bool:
        """Whether its clips may train other models."""
        ...

    def allowed(self) -> None:
        """Does nothing where its clips may be made and used, those that were made before too.

        Raises:
            NotAllowed: if its licence is not accepted.
        """
        ...

    def generate(self, request: ClipRequest) -> Clip:
        """A clip of that moment.

        Raises:
            Infeasible: when no honest motion exists for it.
            BackendError: when the backend makes none.
        """
        ...


__all__ = ["MotionBackend"]
