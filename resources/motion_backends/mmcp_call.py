"""One call of the official MMCP client, as a process of its own: JSON on standard input, JSON on standard output.

Belongs here: the call, and the bounds that the client itself doesn't have. Does not belong here: what is asked (mmcp).

The client reads whatever a server sends, for as long as it sends, and follows redirects with the token. So it runs
where it can be ended: its caller holds the clock, and the opener that is installed here counts bytes and follows
nobody. The token comes over standard input, where no list of processes shows it. Imports nothing of this project, so
that it starts fast.
"""

import json
import sys
import urllib.request
from http.client import HTTPResponse
from typing import Any


class TooMuch(Exception):
    """The answer is longer than it may be."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class _Bounded(urllib.request.BaseHandler):
    def __init__(self, most: int) -> None:
        self.most = most

    def http_response(self, _: urllib.request.Request, response: HTTPResponse) -> HTTPResponse:
        read = response.read

        def bounded(amount: int | None = None) -> bytes:
            data = read(self.most + 1 if amount is None else min(amount, self.most + 1))
            if len(data) > self.most:
                raise TooMuch
            # A whole read tells a body that broke off from one that is over; a bounded one doesn't.
            if amount is None and response.length:
                raise ConnectionError("the answer broke off")
            return data

        response.read = bounded  # type: ignore[method-assign,assignment]
        return response

    https_response = http_response


def main() -> None:
    """Answers one question."""
    from motionmcp_client import client

    asked = json.load(sys.stdin)
    opener = urllib.request.build_opener(_NoRedirect, _Bounded(asked["most_bytes"]))
    urllib.request.install_opener(opener)
    try:
        if asked["call"] == "capabilities":
            found = client.get_capabilities(asked["url"], asked["seconds"], access_token=asked["token"])
        else:
            found = client.generate(
                asked["url"], asked["body"], asked["seconds"], access_token=asked["token"], headers=asked["headers"]
            )
        told = {"document": found}
    except client.MmcpError as error:
        cause = error.__cause__
        if isinstance(cause, urllib.error.URLError) and not isinstance(cause, urllib.error.HTTPError):
            cause = cause.reason if isinstance(cause.reason, BaseException) else cause
        told = {
            "error": {
                "code": error.code,
                "message": str(error),
                "status": getattr(cause, "code", None),
                "retry_after": (getattr(cause, "headers", None) or {}).get("Retry-After"),
                "cause": type(cause).__name__,
            }
        }
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
