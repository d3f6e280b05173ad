"""One HTTP request to a motion server, bounded in time and size whatever the server does.

Belongs here: HTTP, and which status means which trouble. Does not belong here: what is asked, when it is asked again.

A read timeout alone lets a server that sends a byte now and then hold a worker for ever: the whole request has a
deadline of its own, which needs an event loop; it runs in a thread of its own, since the caller may have one already.
Redirects are not followed: they would carry the key to somebody else.
"""

import asyncio
import json
import logging
import math
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
from pydantic import SecretStr

from configs.backends import AnswerLimits
from resources.addresses import redacted, without_secrets
from resources.authorities import authorities
from resources.motion_backends.errors import (
    BackendError,
    BadAnswer,
    Busy,
    Failed,
    NotSetUp,
    Refused,
    TimedOut,
    TooLarge,
    Unauthorised,
    Unreachable,
)

BUSY = frozenset((429, 503, 504))
_SAID_CHARS = 200

for _name in ("httpx", "httpcore"):  # their lines repeat every address
    logging.getLogger(_name).setLevel(logging.WARNING)


@dataclass(frozen=True)
class Answer:
    """A whole answer with a status below 300.

    Attributes:
        status: of HTTP.
        kind: content type, lower case, without parameters.
        body: all of it.
    """

    status: int
    kind: str
    body: bytes

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            BadAnswer: if it is none, or holds numbers that JSON doesn't have.
        """
        if "json" not in self.kind:
            raise BadAnswer(f"an answer of type {self.kind or 'unknown'} where JSON is due")
        return parsed(self.body)


def parsed(body: bytes) -> Any:
    """JSON text as objects.

    Raises:
        BadAnswer: if it is none, or holds numbers that JSON doesn't have.
    """
    try:
        return json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise BadAnswer(f"an answer that is no JSON: {type(error).__name__}") from error


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no JSON")


def request(
    method: str,
    url: str,
    limits: AnswerLimits,
    *,
    headers: Mapping[str, str] | None = None,
    body: Any = None,
    seconds: float | None = None,
    secrets: Iterable[str] = (),
) -> Answer:
    """One request.

    Args:
        method: GET or POST.
        url: absolute.
        limits: time and size.
        headers: besides the content type; may hold a key.
        body: JSON-able, for POST.
        seconds: for the whole of it; defaults to `limits.request_s`.
        secrets: what no message may repeat, whatever the server says.

    Raises:
        BackendError: a leaf that says what happened.
    """
    deadline = limits.request_s if seconds is None else seconds
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(
            asyncio.run, _request(method, url, limits, headers or {}, body, deadline, secrets)
        ).result()


async def _request(
    method: str,
    url: str,
    limits: AnswerLimits,
    headers: Mapping[str, str],
    body: Any,
    deadline: float,
    secrets: Iterable[str],
) -> Answer:
    where = without_secrets(url)
    timeout = httpx.Timeout(deadline, connect=min(limits.connect_s, deadline))
    try:
        async with (
            asyncio.timeout(deadline),
            httpx.AsyncClient(timeout=timeout, follow_redirects=False, verify=authorities()) as client,
            client.stream(method, url, headers=dict(headers), json=body) as response,
        ):
            data = await _whole(response, limits.answer_bytes, where)
    except (TimeoutError, httpx.TimeoutException) as error:
        raise TimedOut(f"{where} did not answer within {deadline:.0f} s") from error
    except (httpx.TransportError, httpx.DecodingError) as error:
        raise Unreachable(f"{where}: {type(error).__name__}") from error
    except (httpx.InvalidURL, UnicodeError, OverflowError, ValueError) as error:
        raise Unreachable(f"{where} is no address") from error
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if response.status_code >= 300:
        raise refusal(response.status_code, where, _said(data, kind, url, secrets), response.headers)
    return Answer(response.status_code, kind, data)


async def _whole(response: httpx.Response, most: int, where: str) -> bytes:
    data = bytearray()
    async for chunk in response.aiter_bytes(65536):
        data += chunk
        if len(data) > most:
            raise TooLarge(f"{where} answers with more than {most} bytes (limits.answer_bytes of backends.yaml)")
    return bytes(data)


def refusal(status: int, where: str, said: str, headers: Mapping[str, str]) -> BackendError:
    """What a status of 300 or more means."""
    told = f"{where} answers {status}{said}"
    if status in BUSY:
        return Busy(told, retry_after_s(headers))
    if status in (401, 403):
        return Unauthorised(told)
    if status >= 500:
        return Failed(told)
    return Refused(told)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that `Retry-After` asks to wait, given as seconds or as a date; None without one that can be read."""
    value = (headers.get("retry-after") or "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            until = parsedate_to_datetime(value)
        except (ValueError, TypeError):
            return None
        until = until.replace(tzinfo=UTC) if until.tzinfo is None else until
        seconds = (until - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


def key_of(secret: SecretStr | None, name: str) -> str:
    """A key as it may stand in a header; empty without one.

    Raises:
        NotSetUp: if it holds what no header takes: the error of an HTTP library would repeat it.
    """
    key = "" if secret is None else secret.get_secret_value().strip()
    if not (key.isascii() and key.isprintable()):
        raise NotSetUp(f"{name} holds characters that no key has")
    return key


def plain(text: str) -> str:
    """Words of a server as they may stand in a message: one line, printable, short."""
    return " ".join("".join(c if c.isprintable() else " " for c in text[: 2 * _SAID_CHARS]).split())[:_SAID_CHARS]


def _said(body: bytes, kind: str, url: str, secrets: Iterable[str]) -> str:
    """What an error says of itself: `detail`, `error.message` or `message` of JSON."""
    if "json" not in kind:
        return ""
    try:
        said = json.loads(body[:65536])
    except (ValueError, RecursionError):
        return ""
    if isinstance(said, dict):
        inner = said.get("error")
        said = inner.get("message") if isinstance(inner, dict) else said.get("detail") or said.get("message") or inner
    return f" ({plain(redacted(said, url, secrets))})" if isinstance(said, str) and said.strip() else ""
