"""Both HY-Motion servers over real HTTP, doing what they do and failing as they fail."""

import json
import logging
from collections.abc import Callable
from email.utils import format_datetime
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr

from pipeline.motion.measures import measure
from pipeline.motion.path import Infeasible
from pipeline.motion.prompts import every_prompt
from resources.motion_backends.errors import (
    BackendError,
    BadAnswer,
    Busy,
    Failed,
    NotAllowed,
    NotSetUp,
    Refused,
    Resting,
    TimedOut,
    TooLarge,
    Unauthorised,
    Unreachable,
)
from resources.motion_backends.hymotion_rest import HyMotionRest
from resources.motion_backends.patience import CircuitBreaker


@pytest.fixture
def rest(settled: Any, patience: Any) -> Callable[..., HyMotionRest]:
    def build(served: Any, key: str | None = None, **changes: Any) -> HyMotionRest:
        url = served if isinstance(served, str) else served.url
        secret = None if key is None else SecretStr(key)
        return HyMotionRest(url, secret, settled(**changes), patience=patience)

    return build


@pytest.mark.parametrize("style", ["streaming", "tasks"])
def test_a_clip_of_either_server_follows_the_path_and_may_train_nothing(
    style: str, request: Any, serve: Any, rest: Any, walk: Any
) -> None:
    served = serve(request.getfixturevalue(style)())
    clip = rest(served).generate(walk)
    assert (clip.backend, clip.trainable) == ("hymotion_rest", False)
    assert clip.made_with["server"] == style and clip.made_with["prompt"] in every_prompt()
    found = measure(clip, walk)
    assert found["path_ade_m"] < 0.02 and found["contact_slip_max_mps"] < 0.1 and found["penetration_mm"] < 1
    (posted,) = [seen for seen in served.seen if seen.method == "POST"]
    expected = {"cfg_scale": 5.0, "duration": pytest.approx(72 / 30)}
    words = {"prompt": clip.made_with["prompt"], "seed": 8} if style == "streaming" else {
        "text": clip.made_with["prompt"], "seeds": [8], "output_format": "dict",
    }  # fmt: skip
    assert posted.body == expected | words


def test_every_request_carries_the_clip_key_and_hashes_and_no_name(
    serve: Any, rest: Any, streaming: Any, walk: Any
) -> None:
    served = serve(streaming())
    rest(served).generate(walk)
    rest(served).generate(walk)
    first, second = [seen for seen in served.seen if seen.method == "POST"]
    assert (
        first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]
        and len(first.headers["Idempotency-Key"]) == 32
    )
    assert first.headers["X-Gridmotion-Segment"] == walk.segment_id
    assert first.headers["X-Gridmotion-Model"] == walk.model_version
    assert first.headers["X-Gridmotion-Features"] == walk.features_hash
    everything = json.dumps([[seen.path, seen.headers, seen.body] for seen in served.seen])
    assert "player:p" not in everything


@pytest.mark.parametrize("answers", ["json", "nested", "in the task", "page"])
def test_the_task_server_may_send_its_motion_in_any_of_its_forms(
    answers: str, serve: Any, rest: Any, tasks: Any, reply: Any, walk: Any, smplh: Any, people: Any, page: str
) -> None:
    done = {"status": "completed", "result": {"html_content": page}}
    faults = {
        "json": {"download": lambda _: reply(body={name: values.tolist() for name, values in smplh.items()})},
        "nested": {"download": lambda _: reply(body=people)},
        "in the task": {"task": lambda _: reply(body=done), "download": lambda _: reply(500)},
        "page": {},
    }[answers]
    assert rest(serve(tasks(**faults))).generate(walk).frames == 72


def test_the_style_is_probed_once_and_may_be_set(
    serve: Any, rest: Any, streaming: Any, tasks: Any, reply: Any, walk: Any
) -> None:
    served = serve(streaming())
    backend = rest(served)
    backend.generate(walk)
    backend.generate(walk)
    assert (served.count("/openapi.json"), served.count("/health"), served.count("/generate")) == (1, 1, 2)
    told = serve(streaming())
    rest(told, hymotion={"style": "streaming"}).generate(walk)
    assert [seen.path for seen in told.seen] == ["/generate"]
    well = reply(body={"status": "healthy", "model_loaded": True})
    silent = serve(tasks(**{"openapi.json": lambda _: reply(404), "health": lambda _: well}))
    assert rest(silent).style() == "tasks"
    with pytest.raises(BadAnswer, match="no HY-Motion server"):
        rest(serve(lambda _: reply(body={"hello": "world"}))).generate(walk)


@pytest.mark.parametrize(
    ("key", "header", "value"), [("abc", "Authorization", "Bearer abc"), ("me:abc", "X-Token", "abc")]
)
def test_a_key_goes_into_the_header_that_its_server_reads_and_into_no_message(
    key: str, header: str, value: str, serve: Any, rest: Any, streaming: Any, reply: Any, walk: Any, caplog: Any
) -> None:
    served = serve(streaming(generate=lambda seen: reply(401, {"detail": "Invalid credentials"})))
    with caplog.at_level(logging.DEBUG), pytest.raises(Unauthorised, match="Invalid credentials") as failure:
        rest(served, key).generate(walk)
    assert all(seen.headers[header] == value for seen in served.seen)
    assert "abc" not in caplog.text and "abc" not in str(failure.value)


FAULTS: dict[str, tuple[dict[str, Any], type[Exception]]] = {
    "server error": ({"status": 500, "body": {"detail": "CUDA out of memory"}}, Failed),
    "forbidden": ({"status": 403, "body": {"detail": "no"}}, Unauthorised),
    "refused": ({"status": 422, "body": {"detail": "duration"}}, Refused),
    "redirect": ({"status": 302, "headers": {"Location": "http://example.com/"}, "body": {}}, Refused),
    "hangs": ({"manner": "hang"}, TimedOut),
    "dribbles": ({"manner": "dribble", "body": b" " * 10_000}, TimedOut),
    "half a body": ({"manner": "half", "body": b"{" * 10_000}, Unreachable),
    "endless": ({"manner": "endless"}, TooLarge),
    "another type": ({"kind": "text/plain", "body": b"{}"}, BadAnswer),
    "no JSON": ({"body": b'{"data": '}, BadAnswer),
    "deep JSON": ({"body": b"[" * 200_000}, BadAnswer),
    "another object": ({"body": []}, BadAnswer),
    "NaN": ({"body": b'{"success": true, "data": {"trans": [NaN, 0, 0]}}'}, BadAnswer),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("place", ["generate", "tasks", "task", "download"])
def test_each_fault_has_its_own_name_and_is_not_tried_again(
    fault: str, place: str, request: Any, serve: Any, rest: Any, reply: Any, walk: Any, pauses: Any
) -> None:
    said, expected = FAULTS[fault]
    if fault == "another type" and place == "download":
        said = {**said, "kind": "application/octet-stream"}
    server = request.getfixturevalue("streaming" if place == "generate" else "tasks")
    served = serve(server(**{place: lambda _: reply(**said)}))
    changes = {"limits": {"request_s": 1.0 if expected is TimedOut else 60.0, "answer_bytes": 8_000_000}}
    with pytest.raises(expected):
        rest(served, **changes).generate(walk)
    assert pauses == []
    assert sum(seen.method == "POST" for seen in served.seen) == 1


@pytest.mark.parametrize("status", [429, 503, 504])
@pytest.mark.parametrize("place", ["generate", "tasks", "task", "download"])
def test_a_busy_server_is_asked_again_a_few_times_with_the_same_key(
    status: int, place: str, request: Any, serve: Any, rest: Any, reply: Any, walk: Any, pauses: Any, settled: Any
) -> None:
    server = request.getfixturevalue("streaming" if place == "generate" else "tasks")
    good, busy = server(), {"left": 2}

    def answers(seen: Any) -> Any:
        parts = seen.path.partition("?")[0].strip("/").split("/")
        if ("task" if parts[0] == "tasks" and len(parts) == 2 else parts[0]) == place and busy["left"]:
            busy["left"] -= 1
            return reply(status, {"detail": "busy"})
        return good(seen)

    served = serve(answers)
    assert rest(served).generate(walk).frames == 72
    retries = settled().retries
    assert len(pauses) == 2 and all(0 <= pause <= retries.backoff_s * 2 for pause in pauses)
    keys = {seen.headers["Idempotency-Key"] for seen in served.seen if seen.method == "POST"}
    assert len(keys) == 1
    busy["left"] = 99
    with pytest.raises(Busy):
        rest(served).generate(walk)
    assert busy["left"] == 99 - retries.attempts


def test_retry_after_is_kept_to_unless_it_is_too_long(
    serve: Any, rest: Any, streaming: Any, reply: Any, walk: Any, pauses: Any
) -> None:
    from datetime import UTC, datetime, timedelta

    for wait, waited in (("7", 7), (format_datetime(datetime.now(UTC) + timedelta(seconds=28)), 28)):
        asked: list[str] = []

        def answers(_: Any, wait: str = wait, asked: list[str] = asked) -> Any:
            asked.append("")
            return reply(429, {}, headers={"Retry-After": wait}) if len(asked) == 1 else reply(500, {})

        pauses.clear()
        with pytest.raises(Failed):
            rest(serve(streaming(generate=answers))).generate(walk)
        assert len(pauses) == 1 and waited - 20 < pauses[0] <= waited  # a date comes nearer meanwhile
    pauses.clear()
    far = serve(streaming(generate=lambda _: reply(429, {}, headers={"Retry-After": "86400"})))
    with pytest.raises(Busy):
        rest(far).generate(walk)
    assert pauses == [] and far.count("/generate") == 1


def test_the_jitter_is_the_same_for_the_same_clip(
    serve: Any, rest: Any, streaming: Any, reply: Any, walk: Any, pauses: Any
) -> None:
    served = serve(streaming(generate=lambda _: reply(503, {})))
    for _ in range(2):
        with pytest.raises(Busy):
            rest(served).generate(walk)
    assert pauses[:2] == pauses[2:] and pauses[0] != pauses[1]


BROKEN: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no poses": lambda data: data.pop("poses"),
    "a figure too few": lambda data: data["poses"].pop(),
    "other frames": lambda data: data["trans"].extend([0.0, 0.0, 0.0]),
    "a wrong count": lambda data: data.update(frameCount=3),
    "a count that is text": lambda data: data.update(frameCount="76"),
    "text": lambda data: data["Rh"].__setitem__(0, "x"),
    "huge numbers": lambda data: data["trans"].__setitem__(0, 1e300),
    "no frames": lambda data: data.update(poses=[], trans=[], Rh=[], frameCount=0),
    "no frame rate": lambda data: data.update(fps=0),
    "an hour": lambda data: data.update(fps=1, frameCount=76),
    "ragged": lambda data: data.update(trans=[[0.0, 1.0], [0.0]]),
}  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN)
def test_arrays_that_are_no_motion_are_refused(
    broken: str, serve: Any, rest: Any, streaming: Any, reply: Any, walk: Any
) -> None:
    good = streaming()

    def answers(seen: Any) -> Any:
        said = good(seen)
        data = json.loads(json.dumps(said.body["data"]))
        BROKEN[broken](data)
        return reply(body={"success": True, "data": data})

    with pytest.raises(BadAnswer):
        rest(serve(streaming(generate=answers))).generate(walk)


def test_a_failure_that_is_told_with_the_status_200_is_one(
    serve: Any, rest: Any, streaming: Any, tasks: Any, reply: Any, walk: Any
) -> None:
    with pytest.raises(Failed, match="no GPU"):
        rest(serve(streaming(generate=lambda _: reply(body={"success": False, "message": "no GPU"})))).generate(walk)
    with pytest.raises(Failed, match="out of memory"):
        failed = {"status": "failed", "error": "CUDA out of memory\n\x1b[31m"}
        rest(serve(tasks(task=lambda _: reply(body=failed)))).generate(walk)
    with pytest.raises(Failed, match="Task not completed"):
        rest(serve(tasks(download=lambda _: reply(body=[{"error": "Task not completed"}, 400])))).generate(walk)
    with pytest.raises(BadAnswer, match="exploded"):
        rest(serve(tasks(task=lambda _: reply(body={"status": "exploded"})))).generate(walk)
    with pytest.raises(BadAnswer, match="task_id"):
        rest(serve(tasks(tasks=lambda _: reply(202, {"task_id": "../../admin"})))).generate(walk)
    with pytest.raises(BadAnswer, match="frames"):
        rest(serve(tasks(download=lambda _: reply(body=b"<html>", kind="text/html")))).generate(walk)


def test_no_message_repeats_a_secret(serve: Any, rest: Any, streaming: Any, tasks: Any, reply: Any, walk: Any) -> None:
    def told(seen: Any) -> str:
        return f"bad {seen.headers.get('Authorization')} {seen.headers.get('X-Token')}"

    echoes = (
        streaming(generate=lambda seen: reply(401, {"detail": told(seen)})),
        streaming(generate=lambda seen: reply(body={"success": False, "message": told(seen)})),
        tasks(task=lambda seen: reply(body={"status": "failed", "error": told(seen)})),
        tasks(task=lambda seen: reply(body={"status": told(seen)})),
        tasks(download=lambda seen: reply(body={"error": told(seen)})),
    )
    for answers in echoes:
        for key in ("hunter2", "me:hunter2"):
            with pytest.raises(BackendError) as failed:
                rest(serve(answers), key).generate(walk)
            assert "hunter2" not in str(failed.value) and "bad" in str(failed.value)


def test_a_task_that_is_never_done_is_given_up(
    serve: Any, tasks: Any, reply: Any, settled: Any, patience: Any, walk: Any
) -> None:
    now = [0.0]
    served = serve(tasks(task=lambda _: reply(body={"status": "running"})))
    config = settled(hymotion={"poll_s": 4.0, "task_s": 10.0})
    backend = HyMotionRest(
        served.url,
        None,
        config,
        patience=patience,
        clock=lambda: now[0],
        sleep=lambda s: now.__setitem__(0, now[0] + s),
    )
    with pytest.raises(TimedOut, match="10 s"):
        backend.generate(walk)
    assert served.count("/tasks/550e8400-e29b-41d4-a716-446655440000") == 3


def test_nobody_at_the_address_and_no_address(rest: Any, nobody: str, walk: Any) -> None:
    with pytest.raises(Unreachable):
        rest(nobody).generate(walk)
    with pytest.raises(NotSetUp, match="HY_MOTION_API_URL"):
        rest("").generate(walk)
    with pytest.raises(Unreachable):
        rest("no address").generate(walk)


def test_an_infeasible_path_is_told_to_nobody(
    serve: Any, rest: Any, streaming: Any, request_on: Any, line: Any
) -> None:
    served = serve(streaming())
    way = line(1.3)
    way[20:] += 50.0
    with pytest.raises(Infeasible):
        rest(served).generate(request_on(way))
    assert served.seen == []


@pytest.mark.parametrize(
    ("licence", "word"),
    [({"accepted": False}, "not accepted"), ({"territory": ""}, "no territory"), ({"territory": "DE"}, "excludes DE")],
)
def test_without_the_licence_nobody_is_asked(
    licence: Any, word: str, serve: Any, rest: Any, streaming: Any, walk: Any
) -> None:
    served = serve(streaming())
    with pytest.raises(NotAllowed, match=word):
        rest(served, licence=licence).generate(walk)
    assert served.seen == []


def test_a_backend_that_keeps_failing_is_left_alone_for_a_while(
    serve: Any, streaming: Any, reply: Any, settled: Any, patience: Any, walk: Any
) -> None:
    now, ill = [0.0], [True]
    good = streaming()
    served = serve(streaming(generate=lambda seen: reply(500, {}) if ill[0] else good(seen)))
    config = settled(breaker={"failures": 2, "rest_s": 60.0})
    breaker = CircuitBreaker(config.breaker, lambda: now[0])
    backend = HyMotionRest(served.url, None, config, patience=patience, breaker=breaker)

    def ask(expected: type[Exception]) -> int:
        with pytest.raises(expected):
            backend.generate(walk)
        return int(served.count("/generate"))

    assert [ask(Failed), ask(Failed), ask(Resting), ask(Resting)] == [1, 2, 2, 2]
    now[0] = 61.0
    assert [ask(Failed), ask(Resting)] == [3, 3]  # one trial, and it rests again
    now[0], ill[0] = 130.0, False
    assert backend.generate(walk).frames == 72 and not breaker.resting
    ill[0] = True
    assert ask(Failed) == 5 and not breaker.resting  # the count begins anew


def test_refusals_of_a_request_do_not_count_as_illness(
    serve: Any, streaming: Any, reply: Any, settled: Any, walk: Any
) -> None:
    served = serve(streaming(generate=lambda _: reply(422, {})))
    backend = HyMotionRest(served.url, None, settled(breaker={"failures": 1}))
    for _ in range(3):
        with pytest.raises(Refused):
            backend.generate(walk)


def test_the_same_answer_gives_the_same_clip(serve: Any, rest: Any, streaming: Any, walk: Any) -> None:
    served = serve(streaming())
    one, two = rest(served).generate(walk), rest(served).generate(walk)
    assert np.array_equal(one.rotations, two.rotations) and np.array_equal(one.root, two.root)
