"""What can go wrong between a text and its vector; each message says what to do.

Belongs here: the leaves. Does not belong here: when they are raised. No message holds the key.
"""

from resources.errors import ResourceError


class EncoderError(ResourceError):
    """Root of what goes wrong with encoders."""


class UnknownEncoder(EncoderError):
    """No encoder has this name; the message lists those that there are."""


class ModelMissing(EncoderError):
    """The files of a model are not on this machine."""


class UnusableModel(EncoderError):
    """There are files, but they are not the model that is configured."""


class NoKey(EncoderError):
    """There is no key for the service, or it can't be one."""


class KeyRefused(EncoderError):
    """The service does not accept the key."""


class QuotaExceeded(EncoderError):
    """The service has answered as much as it will for now."""


class Unavailable(EncoderError):
    """The service does not answer, or not in time."""


class BadAnswer(EncoderError):
    """The service answers, but not what was asked."""
