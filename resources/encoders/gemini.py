"""Google's embedding models as an encoder, by the Gemini API.

Belongs here: requests, their pace, what an answer means. Does not belong here: what is done to every vector
(`pipeline.embeddings.encoder`). The key goes in a header, and to the configured address alone: no redirect is followed.

Reference: https://ai.google.dev/api/embeddings (batchEmbedContents), https://ai.google.dev/gemini-api/docs/rate-limits.
"""

import json
import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx
import numpy as np
from pydantic import SecretStr

from configs.encoders import EncoderSpec, Gemini
from pipeline.embeddings.encoder import Identity, Style, Vectors, finished
from resources.addresses import redacted, without_secrets
from resources.encoders.errors import (
    BadAnswer,
    EncoderError,
    KeyRefused,
    ModelMissing,
    NoKey,
    QuotaExceeded,
    Unavailable,
)

_log = logging.getLogger(__name__)
for _name in ("httpx", "httpcore"):  # their lines repeat every address
    logging.getLogger(_name).setLevel(logging.WARNING)

API = "v1beta"
_TASKS = {"document": "RETRIEVAL_DOCUMENT", "query": "RETRIEVAL_QUERY"}
_SECONDS = re.compile(r"^(\d+(?:\.\d+)?)s$")
_SAID_CHARS = 200
_WINDOW_S = 60.0
Sleep = Callable[[float], None]


class _Passing(Exception):
    """Trouble that may be over at the next attempt."""

    def __init__(self, last: EncoderError, asked_s: float | None = None) -> None:
        super().__init__(str(last))
        self.last, self.asked_s = last, asked_s


class GeminiEncoder:
    """An embedding model of Google's. Nothing is asked before the first text.

    Args:
        name: of the encoder.
        spec: of the encoder.
        key: of an account; without one, the first text says so.
        url: address of the API.
        config: batches, pace, timeouts, retries.
        sleep: waits for seconds.
        clock: monotonic seconds.
        progress: told how many texts are done, after each request.
    """

    def __init__(
        self,
        name: str,
        spec: EncoderSpec,
        key: SecretStr | None,
        url: str,
        config: Gemini,
        *,
        sleep: Sleep = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self.spec, self.config, self.progress = spec, config, progress
        self._key, self._sleep, self._clock = key, sleep, clock
        self._url = f"{url.rstrip('/')}/{API}/models/{spec.model}:batchEmbedContents"
        # The service tells no revision; a model of another name is another model.
        self._identity = Identity.of(name, spec, spec.revision or API)
        self._sent: list[tuple[float, int]] = []

    @property
    def identity(self) -> Identity:
        """What its vectors are made by."""
        return self._identity

    def encode(self, texts: Sequence[str], style: Style = "document") -> Vectors:
        """Vectors `(n, dimension)` of length 1, in the order of the texts.

        Raises:
            EncoderError: a leaf that says what to do.
            WrongDimension: if the service gives vectors of another length.
            UselessVectors: if one of them has no direction.
        """
        out = np.empty((len(texts), self.identity.dimension), np.float32)
        if not len(texts):
            return out
        key = self._credentials()
        timeout = httpx.Timeout(self.config.request_s, connect=self.config.connect_s)
        with httpx.Client(timeout=timeout, follow_redirects=False, headers={"x-goog-api-key": key}) as client:
            for first in range(0, len(texts), self.config.batch):
                part = texts[first : first + self.config.batch]
                raw = self._asked(client, [self._request(text, style) for text in part], key)
                # Asked for fewer values than the model has, it does not make the length 1 again.
                out[first : first + len(part)] = finished(raw, self.identity, self.identity.dimension)
                if self.progress is not None:
                    self.progress(first + len(part))
        return out

    def _request(self, text: str, style: Style) -> dict[str, Any]:
        return {
            "model": f"models/{self.spec.model}",
            "content": {"parts": [{"text": self.identity.put(text, style)}]},
            "taskType": _TASKS[style],
            "outputDimensionality": self.identity.dimension,
        }

    def _credentials(self) -> str:
        key = "" if self._key is None else self._key.get_secret_value().strip()
        if not key:
            raise NoKey(
                f"encoder {self.identity.name}: GEMINI_API_KEY is not set: put the key of a Google AI account there, "
                "or choose another encoder by EMBEDDING_ENCODER"
            )
        if not (key.isascii() and key.isprintable() and " " not in key):
            raise NoKey("GEMINI_API_KEY holds characters that no key has: copy it anew")
        return key

    def _asked(self, client: httpx.Client, requests: list[dict[str, Any]], key: str) -> np.ndarray[Any, Any]:
        waited = 0.0
        for attempt in range(1, self.config.attempts + 1):
            self._pace(len(requests))
            try:
                return self._once(client, requests, key)
            except _Passing as trouble:
                pause = min(self.config.backoff_s * 2 ** (attempt - 1), self.config.longest_backoff_s)
                pause = max(pause, trouble.asked_s or 0.0)
                if attempt == self.config.attempts or waited + pause > self.config.longest_wait_s:
                    raise trouble.last from trouble
                _log.warning("%s; attempt %d follows in %.1f s", trouble.last, attempt + 1, pause)
                waited += pause
                self._sleep(pause)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _pace(self, texts: int) -> None:
        """Waits until so many texts more stay below the quota of a minute."""
        while True:
            now = self._clock()
            self._sent = [(at, count) for at, count in self._sent if at > now - _WINDOW_S]
            if not self._sent or sum(count for _, count in self._sent) + texts <= self.config.texts_per_minute:
                break
            self._sleep(max(self._sent[0][0] + _WINDOW_S - now, 0.01))
        self._sent.append((self._clock(), texts))

    def _once(self, client: httpx.Client, requests: list[dict[str, Any]], key: str) -> np.ndarray[Any, Any]:
        where, deadline = without_secrets(self._url), self._clock() + self.config.request_s
        try:
            with client.stream("POST", self._url, json={"requests": requests}) as response:
                body = bytearray()
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > self.config.answer_bytes:
                        raise BadAnswer(f"{where} answers with more than {self.config.answer_bytes} bytes")
                    if self._clock() > deadline:
                        raise _Passing(Unavailable(f"{where} took longer than {self.config.request_s:.0f} s"))
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise _Passing(Unavailable(f"{where} cannot be reached: {type(error).__name__}")) from error
        except (httpx.InvalidURL, UnicodeError, OverflowError) as error:
            raise Unavailable(f"{where} is no address: check GEMINI_API_URL") from error
        answer = _parsed(bytes(body))
        if response.status_code >= 300:
            self._refuse(response.status_code, answer, response.headers, key)
        return self._vectors(answer, len(requests))

    def _vectors(self, answer: Any, count: int) -> np.ndarray[Any, Any]:
        about = f"encoder {self.identity.name}: {self.spec.model}"
        try:
            rows = [entry["values"] for entry in answer["embeddings"]]
        except (TypeError, KeyError) as error:
            raise BadAnswer(f"{about} answers without vectors") from error
        if len(rows) != count:
            raise BadAnswer(f"{about} answers {len(rows)} vectors to {count} texts")
        try:
            raw = np.array(rows, np.float64)
        except (TypeError, ValueError) as error:
            raise BadAnswer(f"{about} answers with vectors that are no rows of numbers of one length") from error
        return raw

    def _refuse(self, status: int, answer: Any, headers: Mapping[str, str], key: str) -> None:
        error = answer.get("error") if isinstance(answer, dict) else None
        error = error if isinstance(error, dict) else {}
        said = " ".join(redacted(str(error.get("message") or ""), self._url, [key]).split())[:_SAID_CHARS]
        told = f"encoder {self.identity.name}: {self.spec.model} answers {status}" + (f" ({said})" if said else "")
        details = [entry for entry in error.get("details") or () if isinstance(entry, dict)]
        if status == 429:
            asked = _asked_s(details, headers)
            words = "the quota is used up; what is embedded so far is kept, so try again later or lower "
            raise _Passing(QuotaExceeded(f"{told}: {words}gemini.texts_per_minute of encoders.yaml"), asked)
        if status >= 500 or status in (408, 425):
            raise _Passing(Unavailable(f"{told}: try again later"), _asked_s(details, headers))
        if status in (401, 403) or any(entry.get("reason") == "API_KEY_INVALID" for entry in details):
            raise KeyRefused(f"{told}: check GEMINI_API_KEY, and that its project may use this model")
        if status == 404:
            raise ModelMissing(f"{told}: there is no such model; check `model` in encoders.yaml")
        raise BadAnswer(f"{told}: the request is refused")


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _asked_s(details: Sequence[Mapping[str, Any]], headers: Mapping[str, str]) -> float | None:
    """Seconds that the service asks to wait, in its details or in `Retry-After`; None where it doesn't say."""
    for entry in details:
        found = _SECONDS.match(str(entry.get("retryDelay", "")))
        if found:
            return float(found.group(1))
    value = headers.get("retry-after", "").strip()
    return float(value[:9]) if value.isascii() and value.isdigit() else None
