"""Whom TLS connections trust.

Belongs here: the certificates of authorities. Does not belong here: clients.
"""

import ssl
from functools import cache

import httpx


@cache
def authorities() -> ssl.SSLContext:
    """What httpx trusts by default, read once in a process: each client would take 20 ms of its own for it."""
    return httpx.create_ssl_context()
