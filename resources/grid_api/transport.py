"""One request to GRID: with the key to GRID and to nobody else, and with every refusal as an error of its own.

Belongs here: HTTP. Does not belong here: what is asked (`client`), how a file is put together (`download`).

Redirects are followed by hand: the key goes to the configured addresses only, and no redirect leads away from https
(unless the configured address itself is plain http, as in tests).
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import monotonic
from typing import TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec
from pydantic import SecretStr

from configs.grid import GridConfig
from resources.authorities import authorities
from resources.grid_api.errors import (
    KeyRefused,
    NoKey,
    NotEntitled,
    NotFound,
    TooManyRequests,
    UnexpectedAnswer,
)
from resources.grid_api.patience import Pace, Passing, Patience, Sleep, asked_s

# Their lines hold the signed addresses of redirects, which are as good as a key while they last.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)

_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_PASSING = frozenset((408, 425, 500, 502, 503, 504))
_SAID_BYTES = 4096
_SAID_CHARS = 200

Origin = tuple[str, str, int | None]
T = TypeVar("T")


class _Said(msgspec.Struct):
    """An error as GRID words it."""

    message: str | None = None


class Transport:
    """Requests to GRID.

    Args:
        key: of the account; None makes every request fail with what to do about it.
        addresses: base addresses that the key may be sent to.
        config: limits, pacing, timeouts, retries.
        sleep: waits for seconds.
    """

    def __init__(self, key: SecretStr | None, addresses: tuple[str, ...], config: GridConfig, sleep: Sleep) -> None:
        self._key = key
        self._own = frozenset(_origin(httpx.URL(address)) for address in addresses)
        self._schemes = frozenset(("https", *(urlsplit(address).scheme for address in addresses)))
        self.config = config
        self.sleep = sleep
        self._timeout = httpx.Timeout(config.timeouts.read, connect=config.timeouts.connect)
        self._client: httpx.Client | None = None

    def close(self) -> None:
        """Ends its connections."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def patience(self, about: str) -> Patience:
        """For one request or file."""
        return Patience(about, self.config.retries, self.sleep)

    def answer(
        self,
        method: str,
        url: str,
        read: Callable[[bytes], T],
        *,
        about: str,
        pace: Pace | None = None,
        body: bytes | None = None,
    ) -> T:
        """What a small request gives, tried again as long as that may help.

        Args:
            method: GET or POST.
            url: below one of the addresses.
            read: makes something of the whole answer; may raise `Passing`.
            about: what is asked for, for messages.
            pace: waited for before each attempt.
            body: JSON to send.

        Raises:
            GridError: a leaf that says what to do.
        """
        patience = self.patience(about)
        headers = {"Accept": "application/json"} | ({"Content-Type": "application/json"} if body else {})
        while True:
            if pace is not None:
                pace.wait()
            try:
                with self.opened(method, url, headers, about=about, body=body) as response:
                    answer = self._whole(response, about)
                return read(answer)
            except Passing as trouble:
                patience.after(trouble)

    def _whole(self, response: httpx.Response, about: str) -> bytes:
        deadline = monotonic() + self.config.timeouts.download
        most, read = self.config.limits.answer_bytes, bytearray()
        for chunk in response.iter_bytes():
            read += chunk
            if len(read) > most:
                raise UnexpectedAnswer(f"{about}: GRID answers with more than {most} bytes (limits.answer_bytes)")
            if monotonic() > deadline:
                raise Passing(f"the answer took longer than {self.config.timeouts.download:.0f} s")
        return bytes(read)

    @contextmanager
    def opened(
        self, method: str, url: str, headers: Mapping[str, str], *, about: str, body: bytes | None = None
    ) -> Iterator[httpx.Response]:
        """One attempt: the response with its body yet to be read, redirects followed, refusals raised.

        Raises:
            Passing: for what may be over at the next attempt, broken connections while the body is read included.
            GridError: for anything else.
        """
        target = httpx.URL(url)
        try:
            for _ in range(self.config.retries.redirects + 1):
                own = _origin(target) in self._own
                request = self._http().build_request(
                    method, target, headers=dict(headers) | (self._credentials() if own else {}), content=body
                )
                response = self._http().send(request, stream=True)
                try:
                    if response.status_code not in _REDIRECTS:
                        self._refuse(response, own=own, about=about)
                        yield response
                        return
                    target = self._next(response, method, about)
                finally:
                    response.close()
            raise UnexpectedAnswer(f"{about}: GRID redirects more than {self.config.retries.redirects} times")
        except (OverflowError, UnicodeError) as error:  # a port or a name that no address can have
            raise UnexpectedAnswer(f"{about}: {_shown(target)} is no address") from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            reason = f"{_shown(target)}: {type(error).__name__} {self._redacted(str(error))}".rstrip()
            raise Passing(reason) from error

    def _http(self) -> httpx.Client:
        if self._client is None:
            self._client = httpx.Client(timeout=self._timeout, follow_redirects=False, verify=authorities())
        return self._client

    def _credentials(self) -> dict[str, str]:
        key = "" if self._key is None else self._key.get_secret_value().strip()
        if not key:
            raise NoKey("GRID_API_KEY is not set: put the key of your GRID account there (GRID portal, API keys)")
        if not (key.isascii() and key.isprintable() and " " not in key):
            raise NoKey("GRID_API_KEY holds characters that no key has: copy it anew from the GRID portal")
        return {"x-api-key": key}

    def _next(self, response: httpx.Response, method: str, about: str) -> httpx.URL:
        try:
            target = response.url.join(response.headers.get("location", ""))
        except (httpx.InvalidURL, ValueError) as error:
            raise UnexpectedAnswer(f"{about}: GRID redirects to what is no address") from error
        if method != "GET":
            raise UnexpectedAnswer(f"{about}: GRID redirects a query to {_shown(target)}: check GRID_API_URL")
        if target.scheme not in self._schemes or target.userinfo or not target.host:
            raise UnexpectedAnswer(f"{about}: GRID redirects to {_shown(target)}, which is not safe to follow")
        return target

    def _refuse(self, response: httpx.Response, *, own: bool, about: str) -> None:
        """Raises what a status means; returns for those that carry an answer."""
        status = response.status_code
        if status < 300 or status == 416:
            return
        said, where = self._said(response), _shown(response.url)
        wait = asked_s(response.headers)
        if status == 429:
            raise Passing(f"GRID says there were too many requests (429){said}", asked_s=wait, last=TooManyRequests)
        if status in _PASSING or status >= 500:
            raise Passing(f"{where} answers {status}{said}", asked_s=wait)
        if not own:
            # File storage refuses a signed address that is too old: GRID gives a fresh one.
            raise Passing(f"{where}, where GRID sent us, answers {status}")
        if status == 401:
            raise KeyRefused(
                f"{about}: GRID does not accept the key (401){said}: check GRID_API_KEY, or ask for a new one"
            )
        if status == 403:
            raise NotEntitled(
                f"{about}: the key may not have this (403){said}: ask GRID whether the contract covers it; Open Access "
                "keys belong to Open Access addresses"
            )
        if status == 404:
            raise NotFound(f"{about}: GRID has no such thing at {where} (404){said}: check the id and GRID_API_URL")
        raise UnexpectedAnswer(f"{about}: {where} answers {status}{said}")

    def _said(self, response: httpx.Response) -> str:
        """The server's own words on an error, short and without the key; empty if there are none to understand."""
        read, deadline = bytearray(), monotonic() + self.config.timeouts.read
        for chunk in response.iter_bytes():
            read += chunk
            if len(read) >= _SAID_BYTES or monotonic() > deadline:
                break
        try:
            message = msgspec.json.decode(bytes(read), type=_Said).message
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return ""
        return f", in its words: {self.quoted(message)}" if message else ""

    def quoted(self, words: str) -> str:
        """Words of a server, fit to be shown: one short line without the key."""
        return " ".join(self._redacted(words).split())[:_SAID_CHARS]

    def _redacted(self, text: str) -> str:
        key = "" if self._key is None else self._key.get_secret_value().strip()
        return text.replace(key, "***") if key else text


def _origin(url: httpx.URL) -> Origin:
    return url.scheme, url.host, url.port or {"https": 443, "http": 80}.get(url.scheme)


def _shown(url: httpx.URL) -> str:
    """An address without user, password and signature."""
    return str(url.copy_with(query=None, fragment=None, userinfo=b""))
