"""Why a backend made no clip: each leaf says what to do next.

Belongs here: the leaves. Does not belong here: `Infeasible`, which is the path's fault and no backend's.
"""

from typing import ClassVar

from resources.errors import ResourceError


class BackendError(ResourceError):
    """A backend made no clip.

    Attributes:
        kind: one word for counting and for the clip that another backend made instead.
        counts: whether the breaker takes it for a sign that the backend is ill.
    """

    kind: ClassVar[str] = "failed"
    counts: ClassVar[bool] = True


class Unreachable(BackendError):
    """No connection, or one that broke off in the middle of an answer."""

    kind = "unreachable"


class TimedOut(BackendError):
    """It took longer than configured."""

    kind = "timed out"


class Busy(BackendError):
    """429, 503 or 504: the one trouble that the next attempt may be rid of.

    Attributes:
        retry_after_s: seconds that the server asks to wait; None where it doesn't say.
    """

    kind = "busy"

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class Unauthorised(BackendError):
    """401 or 403: the key is missing, wrong or not enough."""

    kind = "unauthorised"


class Refused(BackendError):
    """The request is not one that this server takes: its fault or ours, but not a passing one."""

    kind = "refused"
    counts = False


class Failed(BackendError):
    """The backend tried and failed: a 500, a task or a results file that says so, an exit code."""

    kind = "failed"


class BadAnswer(BackendError):
    """The answer is not what the protocol says: another type, no JSON, arrays that don't fit, no motion."""

    kind = "bad answer"


class TooLarge(BackendError):
    """The answer, or what a command wrote, is larger than configured."""

    kind = "too large"


class Resting(BackendError):
    """It failed too often of late and is left alone for a while."""

    kind = "resting"
    counts = False


class NotAllowed(BackendError):
    """The operator has not accepted its licence, or is where the licence doesn't reach."""

    kind = "not allowed"
    counts = False


class NotSetUp(BackendError):
    """An address, a folder or a package is missing."""

    kind = "not set up"
    counts = False
