"""What can go wrong between GRID and us; each message says what to do.

Belongs here: the leaves. Does not belong here: when they are raised. No message holds the key or a signed address.
"""

from resources.errors import ResourceError


class GridError(ResourceError):
    """Root of what goes wrong with GRID's APIs."""


class NoKey(GridError):
    """There is no key, or it can't be one."""


class KeyRefused(GridError):
    """401: GRID does not know the key."""


class NotEntitled(GridError):
    """403: GRID knows the key, and the data is not part of its contract."""


class NotFound(GridError):
    """404: no such series, or no such address."""


class TooManyRequests(GridError):
    """429, and waiting as long as GRID asks would take longer than configured."""


class GridUnavailable(GridError):
    """Server errors, timeouts or broken connections, again and again."""


class BadDownload(GridError):
    """A file came that is not what it should be: its size, its checksums, its kind."""


class UnexpectedAnswer(GridError):
    """An answer that the API's description does not know: an unsafe redirect, no JSON, a refused query."""


class GridBusy(GridError):
    """Another process of ours is fetching."""
