"""What can go wrong with reviews; each message says what to do.

Belongs here: the leaves. Does not belong here: when they are raised. No message holds a password.
"""

from resources.errors import ResourceError


class ReviewError(ResourceError):
    """Root of what goes wrong with reviews."""


class DatabaseUnusable(ReviewError):
    """The database does not answer, refuses, has no driver here, or was made by a newer version."""


class JobUnknown(ReviewError):
    """There is no such job, or it is no longer asked."""


class LeaseLost(ReviewError):
    """The lease is not this reviewer's, or has expired and somebody else has the job."""


class AlreadyDecided(ReviewError):
    """This reviewer has decided this job before, otherwise or under another decision id."""


class DecisionConflict(ReviewError):
    """A decision id comes again with other content."""


class UnreadableTasks(ReviewError):
    """A file is not JSON as Label Studio writes it."""
