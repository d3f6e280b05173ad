"""HY-Motion behind HTTP: the server that keeps tasks, and the one that answers at once.

Belongs here: both protocols and how they are told apart. Does not belong here: HTTP itself (http), the arrays
(hymotion).

Tasks: `POST /tasks` gives a `task_id`, `GET /tasks/{id}` its status (pending, running, completed, failed), and
`GET /download/{id}?format=dict` the motion, either as JSON or as the page on which that server draws it, which holds
the same frames as JSON. Streaming: `POST /generate` answers with everything. An error may come with the status 200.
"""

import json
import time
from typing import Any, ClassVar

from pydantic import SecretStr

from configs.backends import BackendsConfig
from pipeline.motion.clip import ClipRequest
from pipeline.motion.foreign import Motion
from resources.addresses import redacted, without_secrets
from resources.motion_backends import http
from resources.motion_backends.errors import BadAnswer, Failed, NotSetUp, Refused, TimedOut
from resources.motion_backends.hymotion import HyMotionBackend, frames_of, motion_of
from resources.motion_backends.patience import CircuitBreaker, Clock, Patience, Sleep
from resources.motion_backends.prompted import carried, seed_of

TASKS, STREAMING = "tasks", "streaming"
_OPEN, _DONE, _FAILED = frozenset(("pending", "queued", "running", "processing")), "completed", "failed"
_FRAMES_OPEN = '[[{"'
"""How the list of frames begins in a page: frames, people in a frame, figures of a person."""


class HyMotionRest(HyMotionBackend):
    """HY-Motion at `HY_MOTION_API_URL`.

    Args:
        url: base address.
        key: `HY_MOTION_API_KEY`: a token, or `id:token` for the task server, which wants both.
        config: defaults to `configs/backends.yaml`.
        sleep: waits for seconds between looks at a task.
        clock: monotonic seconds.
        patience: attempts of one request; by default as configured.
        breaker: by default as configured.
    """

    name: ClassVar[str] = "hymotion_rest"

    def __init__(
        self,
        url: str | None,
        key: SecretStr | None = None,
        config: BackendsConfig | None = None,
        *,
        sleep: Sleep = time.sleep,
        clock: Clock = time.monotonic,
        patience: Patience | None = None,
        breaker: CircuitBreaker | None = None,
    ) -> None:
        super().__init__(config, patience=patience, breaker=breaker)
        self._url = (url or "").rstrip("/")
        self._key = key
        self._sleep = sleep
        self._clock = clock
        self._style: str | None = None if self.config.hymotion.style == "auto" else self.config.hymotion.style

    def _where(self) -> str:
        return without_secrets(self._url)

    def check(self) -> None:
        """As of every backend: `NotAllowed` or `NotSetUp` where nothing may be asked."""
        super().check()
        if not self._url:
            raise NotSetUp("HY_MOTION_API_URL is not set")

    def style(self, *, seconds: float | None = None) -> str:
        """Which of the two servers this is; asked once.

        Raises:
            BackendError: if it doesn't answer, or is neither.
        """
        if self._style is None:
            self._style = self._probe(seconds)
        return self._style

    def _probe(self, seconds: float | None) -> str:
        """Both describe themselves at /openapi.json; one that has it switched off is told by its /health."""
        try:
            paths = self._get("/openapi.json", seconds=seconds).get("paths")
            if isinstance(paths, dict) and "/tasks" in paths:
                return TASKS
            if isinstance(paths, dict) and "/generate" in paths:
                return STREAMING
        except (Refused, BadAnswer):
            pass
        health = self._get("/health", seconds=seconds)
        if "runtime_loaded" in health:
            return STREAMING
        if "model_loaded" in health or health.get("status") in ("healthy", "ok"):
            return TASKS
        raise BadAnswer(f"{self._where()} is no HY-Motion server that is known here")

    def _motion(self, text: str, request: ClipRequest, key: str) -> tuple[Motion, dict[str, str]]:
        told = carried(request, key)
        style = self.patience.ask(self.style, about=self.name, seed=key)
        hy = self.config.hymotion
        seconds = frames_of(request, hy) / hy.fps
        if style == TASKS:
            data = self._task(text, seconds, seed_of(request), told, key)
        else:
            data = self._at_once(text, min(seconds, hy.streaming_most_s), seed_of(request), told, key)
        return motion_of(data, self.config.limits), {**self._made_with(), "server": style}

    def _at_once(self, text: str, seconds: float, seed: int, told: dict[str, str], key: str) -> dict[str, Any]:
        body = {"prompt": text, "duration": seconds, "seed": seed, "cfg_scale": self.config.hymotion.cfg_scale}
        answer = self.patience.ask(lambda: self._post("/generate", body, told), about=self.name, seed=key)
        if answer.get("success") is False:
            raise Failed(f"{self._where()}: {self._plain(answer.get('message'))}")
        data = answer.get("data")
        if not isinstance(data, dict):
            raise BadAnswer(f"{self._where()} answers without data")
        return data

    def _task(self, text: str, seconds: float, seed: int, told: dict[str, str], key: str) -> dict[str, Any]:
        hy = self.config.hymotion
        body = {"text": text, "duration": seconds, "seeds": [seed], "cfg_scale": hy.cfg_scale, "output_format": "dict"}
        until = self._clock() + hy.task_s
        created = self.patience.ask(lambda: self._post("/tasks", body, told), about=self.name, seed=key)
        number = created.get("task_id")
        if not isinstance(number, str) or not number.replace("-", "").isalnum() or len(number) > 100:
            raise BadAnswer(f"{self._where()} gives no task_id")
        while True:
            task = self.patience.ask(lambda: self._get(f"/tasks/{number}"), about=self.name, seed=key)
            status = task.get("status")
            if status == _DONE:
                break
            if status == _FAILED:
                raise Failed(f"{self._where()}: the task failed ({self._plain(task.get('error'))})")
            if status not in _OPEN:
                raise BadAnswer(f"{self._where()}: a task is {self._plain(status)}")
            if self._clock() + hy.poll_s > until:
                raise TimedOut(f"{self._where()}: a task was not done within {hy.task_s:.0f} s")
            self._sleep(hy.poll_s)
        result = task.get("result")
        page = result.get("html_content") if isinstance(result, dict) else None
        if isinstance(page, str) and page:
            return _frames(page)
        whole = self.patience.ask(
            lambda: self._request("GET", f"/download/{number}?format=dict"), about=self.name, seed=key
        )
        if "json" in whole.kind:
            return self._one_motion(whole.json())
        if whole.kind == "text/html":
            return _frames(whole.body.decode("utf-8", errors="replace"))
        raise BadAnswer(f"{self._where()} sends a motion of type {self._plain(whole.kind) or 'unknown'}")

    def _get(self, path: str, *, seconds: float | None = None) -> dict[str, Any]:
        return _object(self._request("GET", path, seconds=seconds), self._where())

    def _post(self, path: str, body: dict[str, Any], told: dict[str, str]) -> dict[str, Any]:
        return _object(self._request("POST", path, body=body, told=told), self._where())

    def _request(
        self,
        method: str,
        path: str,
        *,
        body: dict[str, Any] | None = None,
        told: dict[str, str] | None = None,
        seconds: float | None = None,
    ) -> http.Answer:
        headers = {**(told or {}), **self._credentials()}
        return http.request(
            method,
            self._url + path,
            self.config.limits,
            headers=headers,
            body=body,
            seconds=seconds,
            secrets=self._secrets(),
        )

    def _credentials(self) -> dict[str, str]:
        key = http.key_of(self._key, "HY_MOTION_API_KEY")
        if not key:
            return {}
        who, colon, token = key.partition(":")
        return {"X-Id": who, "X-Token": token} if colon else {"Authorization": f"Bearer {key}"}

    def _secrets(self) -> tuple[str, ...]:
        key = http.key_of(self._key, "HY_MOTION_API_KEY")
        return (key, key.partition(":")[2])

    def _plain(self, said: object) -> str:
        return http.plain(redacted(str(said), self._url, self._secrets()))

    def _one_motion(self, found: Any) -> dict[str, Any]:
        """The motion in a downloaded dict: `{poses, trans, Rh}`, the same under `data`, or a list of frames."""
        if isinstance(found, dict) and isinstance(found.get("data"), dict):
            found = found["data"]
        if isinstance(found, dict) and "poses" in found:
            return found
        if isinstance(found, list) and found and isinstance(found[0], list):
            return _first_person(found)
        error = found[0] if isinstance(found, list) and found else found
        if isinstance(error, dict) and error.get("error"):
            raise Failed(f"{self._where()}: {self._plain(error['error'])}")
        raise BadAnswer(f"{self._where()} sends no motion")


def _object(answer: http.Answer, where: str) -> dict[str, Any]:
    found = answer.json()
    if not isinstance(found, dict):
        raise BadAnswer(f"{where} answers with JSON that is no object")
    return found


def _frames(page: str) -> dict[str, Any]:
    """The motion that a page holds."""
    at = page.find(_FRAMES_OPEN)
    if at < 0:
        raise BadAnswer("a page without frames")
    try:
        frames, _ = json.JSONDecoder().raw_decode(page, at)
    except (ValueError, RecursionError) as error:
        raise BadAnswer("a page whose frames are no JSON") from error
    return _first_person(frames)


def _first_person(frames: list[Any]) -> dict[str, Any]:
    """Of a list of frames, each a list of people, the first person as `poses`, `trans` and `Rh`."""
    try:
        people = [frame[0] for frame in frames]
        return {
            "poses": [person["poses"] for person in people],
            "trans": [person["Th"] for person in people],
            "Rh": [person["Rh"] for person in people],
        }
    except (KeyError, IndexError, TypeError) as error:
        raise BadAnswer("frames without a person's poses, Th and Rh") from error
