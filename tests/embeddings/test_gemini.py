"""Google's embedding models: what is sent, what an answer means, and what each fault becomes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr

from configs.encoders import EncodersConfig
from pipeline.embeddings.encoder import UselessVectors, WrongDimension
from resources.encoders import ModelMissing
from resources.encoders.errors import BadAnswer, KeyRefused, NoKey, QuotaExceeded, Unavailable
from resources.encoders.gemini import GeminiEncoder

KEY = "k3y-that-nobody-may-see"
Made = Callable[..., GeminiEncoder]


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def made(gemini: Any, encoders: EncodersConfig, slept: list[float]) -> Made:
    now = [0.0]

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    def build(key: str | None = KEY, url: str | None = None, **changes: Any) -> GeminiEncoder:
        spec = encoders.encoders["gemini"].model_copy(update={"keep": changes.pop("keep", 256)})
        config = encoders.gemini.model_copy(update={"attempts": 3, "request_s": 5.0, **changes})
        secret = None if key is None else SecretStr(key)
        return GeminiEncoder("gemini", spec, secret, url or gemini.url, config, sleep=sleep, clock=lambda: now[0])

    return build


def test_texts_go_in_batches_with_the_key_in_a_header_and_come_back_in_order(gemini: Any, made: Made) -> None:
    texts = [f"text {k}" for k in range(230)]
    encoder = made()
    vectors = encoder.encode(texts)
    assert [len(body["requests"]) for _, _, body in gemini.seen] == [100, 100, 30]
    path, headers, body = gemini.seen[0]
    assert path == "/v1beta/models/gemini-embedding-001:batchEmbedContents"
    assert headers["x-goog-api-key"] == KEY
    assert KEY not in path
    assert body["requests"][0]["taskType"] == "RETRIEVAL_DOCUMENT"
    assert body["requests"][0]["outputDimensionality"] == 256
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)
    assert np.allclose(encoder.encode(texts[120:121]), vectors[120:121])
    encoder.encode(["where"], "query")
    assert gemini.seen[-1][2]["requests"][0]["taskType"] == "RETRIEVAL_QUERY"


def test_a_quota_is_waited_for_as_long_as_it_says_and_then_given_up(
    gemini: Any, made: Made, slept: list[float], refused: Callable[..., Any]
) -> None:
    retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}
    gemini.faults.append(refused(429, "Quota exceeded", retry))
    assert made().encode(["a"]).shape == (1, 256)
    assert slept == [34.0]
    gemini.faults.extend([refused(429, "Quota exceeded", Retry_After="7")] * 3)
    with pytest.raises(QuotaExceeded, match=r"Quota exceeded.*kept.*texts_per_minute"):
        made().encode(["a"])
    assert slept[1:] == [7.0, 7.0]
    gemini.faults.append(refused(429, "Quota exceeded", {"retryDelay": "86400s"}))
    with pytest.raises(QuotaExceeded):
        made().encode(["a"])
    assert len(slept) == 3  # nobody waits for a day


def test_no_more_texts_go_out_in_a_minute_than_the_quota_allows(gemini: Any, made: Made, slept: list[float]) -> None:
    made(texts_per_minute=100, batch=50).encode([f"text {k}" for k in range(200)])
    assert len(gemini.seen) == 4
    assert sum(slept) == pytest.approx(60.0, abs=0.1)


def test_passing_trouble_passes_and_a_server_that_is_down_is_said_to_be(
    gemini: Any, made: Made, refused: Callable[..., Any]
) -> None:
    gemini.faults.extend([refused(503, "overloaded"), refused(500, "internal")])
    assert made().encode(["a"]).shape == (1, 256)
    gemini.faults.extend([refused(503, "overloaded")] * 3)
    with pytest.raises(Unavailable, match="overloaded"):
        made().encode(["a"])
    with pytest.raises(Unavailable, match="cannot be reached"):
        made(url="http://127.0.0.1:9").encode(["a"])


@pytest.mark.parametrize(
    ("status", "details", "kind"),
    [
        (400, ({"reason": "API_KEY_INVALID"},), KeyRefused),
        (403, (), KeyRefused),
        (404, (), ModelMissing),
        (400, (), BadAnswer),
    ],
)
def test_a_refusal_says_what_to_do_and_never_the_key(
    status: int, details: tuple[Any, ...], kind: type[Exception], gemini: Any, made: Made, refused: Callable[..., Any]
) -> None:
    gemini.faults.append(refused(status, f"no: {KEY}", *details))
    with pytest.raises(kind) as caught:
        made().encode(["a"])
    assert KEY not in str(caught.value)
    assert len(gemini.seen) == 1


def test_without_a_key_nothing_is_asked(gemini: Any, made: Made) -> None:
    for key in (None, " ", "two words"):
        with pytest.raises(NoKey, match="GEMINI_API_KEY"):
            made(key).encode(["a"])
    assert made(None).encode([]).shape == (0, 256)
    assert not gemini.seen


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<html>", BadAnswer),
        (b'{"embeddings": []}', BadAnswer),
        (b'{"embeddings": [{"values": ["a"]}]}', BadAnswer),
        (b'{"embeddings": [{"values": [1.0, 2.0]}]}', WrongDimension),
        (b'{"embeddings": [{"values": [' + b", ".join([b"0.0"] * 256) + b"]}]}", UselessVectors),
        (b'{"embeddings": [{"values": [' + b", ".join([b"NaN"] * 256) + b"]}]}", UselessVectors),
        (b" " * 5000, BadAnswer),
    ],
)
def test_an_answer_that_is_none_is_never_a_vector(body: bytes, kind: type[Exception], gemini: Any, made: Made) -> None:
    gemini.faults.append((200, {}, body))
    with pytest.raises(kind):
        made(answer_bytes=4000).encode(["a"])


def test_no_redirect_carries_the_key_away(gemini: Any, made: Made) -> None:
    gemini.faults.append((302, {"location": f"{gemini.url}/elsewhere"}, b"{}"))
    with pytest.raises(BadAnswer, match="302"):
        made().encode(["a"])
    assert len(gemini.seen) == 1
