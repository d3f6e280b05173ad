"""Addresses as they may be shown, and foreign words without what may not.

Belongs here: what of an address or a text is left out, since it may be a password or a token. Does not belong here:
which address is used (`resources.settings`).
"""

import json
import re
from collections.abc import Iterable
from urllib.parse import quote, urlsplit

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


def redacted(text: str, url: str, secrets: Iterable[str] = ()) -> str:
    """Foreign words, such as an error's, without our secrets and without what an address hides, however written.

    Args:
        text: the words; the address may stand in them, in whole or in parts.
        url: the address that was asked.
        secrets: what else no message may repeat.
    """
    known = {word for word in (*secrets, *_hidden(url)) if word}
    written = known | {quote(word, safe="") for word in known} | {json.dumps(word)[1:-1] for word in known}
    text = text.replace(url, without_secrets(url))
    for word in sorted(written, key=lambda word: (-len(word), word)):
        text = text.replace(word, _HIDDEN)
    return text


def _hidden(url: str) -> list[str]:
    """User, password and query of an address, whole and in parts."""
    try:
        parts = urlsplit(url)
        user = (parts.netloc.rpartition("@")[0], parts.username or "", parts.password or "")
    except ValueError:
        return [url]
    return [*user, parts.query, *(pair.partition("=")[2] for pair in parts.query.split("&"))]
