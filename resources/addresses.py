"""Addresses as they may be shown.

Belongs here: what of an address is left out, since it may be a password or a token. Does not belong here: which address
is used (`resources.settings`).
"""

import re

_HIDDEN = "…"


def without_secrets(url: str) -> str:
    """The address without user, password, query and fragment; a path, also one after `sqlite:///`, as it is.

    Where it cannot be told whether an @ belongs to a password or to a query, nothing but the scheme is left.
    """
    scheme, _, rest = url.partition("://")
    if not rest or rest.startswith("/"):
        return url
    before, *more = re.split(r"[?#]", rest, maxsplit=1)
    if more and "@" in more[0]:
        return f"{scheme}://{_HIDDEN}"
    return f"{scheme}://{before.rpartition('@')[2]}"


def redacted(text: str, url: str) -> str:
    """A text, such as an error's, in which that address may stand, in whole or only its query."""
    shown = text.replace(url, without_secrets(url))
    query = url.partition("://")[2].partition("?")[2]
    return shown.replace(query, _HIDDEN) if query else shown
