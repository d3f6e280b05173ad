"""Our synthesizer behind MMCP, by the protocol's own server, so that Blender and other clients can use it.

Belongs here: what a request means to the synthesizer, and who may ask how much. Does not belong here: the wire
(motionmcp), motion (pipeline.motion).

A client draws a path (`root_path`) and says what the body does; without a path the body goes straight ahead at the pace
that the words name, or stands. Headings are where the body looks. Of the words nothing else is understood.
"""

import asyncio
import dataclasses
import hmac
import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import numpy as np
from motionmcp import Backbone, GenerateRequest, ModelSpec, MotionResult
from motionmcp.backbone import Limits
from motionmcp.errors import ProtocolError
from motionmcp.schemas import RootPathConstraint, Skeleton
from motionmcp.server import build_app
from numpy.typing import NDArray
from pydantic import SecretStr

from configs.backends import Server, load_backends
from configs.motion import MotionConfig, load_motion
from pipeline.motion.clip import NULL, ClipRequest
from pipeline.motion.foreign import Motion, resampled
from pipeline.motion.path import Infeasible
from pipeline.motion.prompts import Understood, understand
from pipeline.motion.synthesizer import synthesize
from resources.errors import ResourceError
from resources.motion_backends.mmcp import BALLS, skeleton
from resources.motion_connections import ShortlyIdle

MODEL = "gridmotion"
_log = logging.getLogger(__name__)
LOOPBACK = frozenset(("127.0.0.1", "::1", "localhost"))
_SAMPLE_MS = 125
_QUARTER_TURN_MDEG = 90_000
_TURNS_RAD = 1000.0
_REACH_M = 1_000_000.0
"""Integers of millimetres reach twice as far; nobody draws a path of a thousand kilometres."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]


class Unsafe(ResourceError):
    """The server would be open to everybody on the network."""


class Synthesizer(Backbone):  # type: ignore[misc]
    """The model that is served.

    Args:
        config: limits; defaults to the section `server` of `configs/backends.yaml`.
        motion: defaults to `configs/motion.yaml`.
    """

    model_id = MODEL

    def __init__(self, config: Server | None = None, motion: MotionConfig | None = None) -> None:
        self._config = config or load_backends().server
        self._motion = motion or load_motion()
        self._turns = asyncio.Semaphore(self._config.at_once)
        self._waiting = 0
        longest = min(self._config.most_seconds, self._motion.clips.max_ms / 1000.0)
        self._spec = ModelSpec(
            id=MODEL,
            fps=float(self._motion.clips.fps),
            canonical_skeleton=Skeleton.model_validate(skeleton()),
            supported_constraints=["root_path"],
            predicted_contact_joints=list(BALLS),
            native_clip_seconds=longest,
            recommended_max_duration_seconds=longest,
            limits=Limits(
                max_duration_seconds=longest,
                max_num_samples=self._config.most_samples,
                max_constraints_per_request=self._config.most_constraints,
                max_prompt_length=self._config.most_prompt,
                max_request_bytes=self._config.most_request_bytes,
                max_batch_size=self._config.most_batch,
            ),
        )

    def capabilities(self) -> ModelSpec:
        """What it takes and how much of it."""
        return self._spec

    async def generate(self, request: GenerateRequest) -> MotionResult:
        """A motion for a request; made in a thread, a few at once.

        Raises:
            ProtocolError: `invalid_options` for too many frames, `invalid_request` for a path that nobody can go,
                `resource_exhausted` when too many are waiting.
        """
        if request.total_frames > self._config.most_frames:
            raise ProtocolError(
                "invalid_options",
                f"{request.total_frames} frames; at most {self._config.most_frames} are made",
                details={"max_frames": self._config.most_frames},
            )
        fps = request.fps(self._spec.fps)
        if not self._config.least_fps <= fps <= self._config.most_fps:
            raise ProtocolError(
                "invalid_options", f"timing.fps is {self._config.least_fps:.0f} to {self._config.most_fps:.0f}"
            )
        if self._waiting >= self._config.waiting + self._config.at_once:
            raise ProtocolError("resource_exhausted", "too many requests are waiting: come again")
        self._waiting += 1
        try:
            async with self._turns:
                return await asyncio.to_thread(self._made, request)
        except ProtocolError:
            raise
        except Exception as error:  # whatever it is, the client gets the protocol's words and the log the rest
            _log.exception("a request failed")
            raise ProtocolError("internal_error", "the motion could not be made") from error
        finally:
            self._waiting -= 1

    def _made(self, request: GenerateRequest) -> MotionResult:
        heard = _heard(request)
        fps = request.fps(self._spec.fps)
        asked = self._asked(request, heard, fps)
        options = request.options
        try:
            clips = [
                synthesize(dataclasses.replace(asked, seed=asked.seed + k), self._motion)
                for k in range(options.num_samples if options is not None else 1)
            ]
        except Infeasible as error:
            raise ProtocolError("invalid_request", f"nobody can go this way: {error}") from error
        motions = []
        for clip in clips:
            root = clip.root + np.array([clip.origin[0], 0.0, clip.origin[2]])
            own = Motion(clip.rotations, root, float(clip.fps), clip.contacts, trainable=True)
            motions.append(resampled(own, request.total_frames, fps))
        contacts = np.stack([motion.contacts for motion in motions if motion.contacts is not None])
        note = {"code": "prompt_not_understood", "severity": "info", "message": "the body advances"}
        return MotionResult(
            rotations=np.stack([motion.rotations for motion in motions]).astype(np.float32),
            root_translations=np.stack([motion.root for motion in motions]).astype(np.float32),
            foot_contacts={joint: contacts[:, :, foot] for foot, joint in enumerate(BALLS)},
            notes=[] if heard.known or not request.segments else [note],
        )

    def _asked(self, request: GenerateRequest, heard: Understood, fps: float) -> ClipRequest:
        frames = request.total_frames
        if frames < 2:
            raise ProtocolError("invalid_options", "a motion has two frames or more")
        length_ms = max(round((frames - 1) * 1000 / fps), -(-1000 // self._motion.clips.fps))
        steps = max(self._motion.path.min_samples - 1, -(-length_ms // _SAMPLE_MS))
        t_ms = np.unique(np.rint(np.linspace(0, length_ms, steps + 1)).astype(np.int64))
        xz, heading = _drawn(request, heard, t_ms / 1000.0 * fps, fps)
        # Their 0 looks along +z, the tables' along +x; both turn about +y.
        yaw = np.full(t_ms.size, NULL) if heading is None else np.rint(np.degrees(heading) * 1000) - _QUARTER_TURN_MDEG
        seed = request.options.seed if request.options is not None and request.options.seed is not None else 0
        return ClipRequest(
            match_id=MODEL,
            segment_id="0" * 16,
            player=MODEL,
            attacker=None,
            intent=heard.intent,
            from_ms=0,
            to_ms=int(length_ms),
            t_ms=t_ms,
            x_mm=np.rint(xz[:, 0] * 1000).astype(np.int32),
            y_mm=np.full(t_ms.size, NULL, dtype=np.int32),
            z_mm=np.rint(xz[:, 1] * 1000).astype(np.int32),
            yaw_mdeg=yaw.astype(np.int32),
            pitch_mdeg=np.full(t_ms.size, NULL, dtype=np.int32),
            seed=abs(seed),
        )


def _heard(request: GenerateRequest) -> Understood:
    """What the longest segment with words says."""
    spoken = [(s.duration_frames, s.prompt) for s in request.segments if s.type == "text"]
    return understand(max(spoken)[1] if spoken else "")


def _drawn(
    request: GenerateRequest, heard: Understood, at: NDArray[np.float64], fps: float
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Positions `(n, 2)` and headings `(n,)` at frames: of all paths in the request, straight between their points."""
    paths = [c for c in request.constraints if isinstance(c, RootPathConstraint)]
    points: dict[int, tuple[float, float]] = {}
    looks: dict[int, float] = {}
    for drawn in paths:
        points.update(zip(drawn.frames, drawn.positions_xz, strict=True))
        looks.update(zip(drawn.frames, drawn.heading_radians or (), strict=drawn.heading_radians is not None))
    if not points:
        return np.stack([np.zeros_like(at), at / fps * heard.speed_mps], axis=-1), None
    frames = np.array(sorted(points), dtype=np.float64)
    values = np.array([points[int(frame)] for frame in frames])
    angles = np.array([looks[frame] for frame in sorted(looks)])
    if not (np.abs(values) < _REACH_M).all() or not (np.abs(angles) < _TURNS_RAD).all():  # NaN is not less either
        raise ProtocolError("invalid_request", "root_path holds what is no place or no direction")
    xz = np.stack([np.interp(at, frames, values[:, axis]) for axis in (0, 1)], axis=-1)
    if not looks:
        return xz, None
    return xz, np.interp(at, np.array(sorted(looks), dtype=np.float64), np.unwrap(angles))


class Gate:
    """Lets in who has the token, and only requests for a host that this server goes by, and so many of them at once.

    A page of another place that is open in a browser on this machine could send what browsers send unasked: anything
    but JSON, or with its own address as Origin. Both are refused.

    Args:
        app: what is behind it.
        token: None lets everybody in.
        hosts: names in the Host header; a page in a browser that was led here by DNS brings another.
        most: requests that are let in at once; whoever has no token takes none of them.
    """

    def __init__(self, app: Asgi, token: SecretStr | None, hosts: frozenset[str], most: int) -> None:
        self._app = app
        self._most, self._inside = most, 0
        self._token = None if token is None else token.get_secret_value().encode()
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or answers it with 401 or 403."""
        if scope["type"] == "http":
            refused = self._refused(dict(scope["headers"]), scope["method"])
            if refused is not None:
                await _answer(send, refused)
                return
            self._inside += 1
            try:
                await self._app(scope, receive, send)
            finally:
                self._inside -= 1
        elif scope["type"] == "lifespan":
            await self._app(scope, receive, send)

    def _refused(self, headers: dict[bytes, bytes], method: str) -> ProtocolError | None:
        if self._hosts and _name(headers.get(b"host", b"")) not in self._hosts:
            return ProtocolError("forbidden", "this server goes by another name")
        origin = headers.get(b"origin")
        if origin is not None and _name(origin.rpartition(b"//")[2]) not in LOOPBACK:
            return ProtocolError("forbidden", "a page of another place may not ask")
        unread = self._unknown(headers)
        if unread is not None:
            return unread
        kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if method not in ("GET", "HEAD") and kind != b"application/json":
            return ProtocolError("invalid_request", "the body of a request is application/json")
        if self._inside >= self._most:
            return ProtocolError("resource_exhausted", "too many requests at once: come again")
        return None

    def _unknown(self, headers: dict[bytes, bytes]) -> ProtocolError | None:
        if self._token is None:
            return None
        given = headers.get(b"authorization", b"")
        if not hmac.compare_digest(given, b"Bearer " + self._token):
            return ProtocolError("unauthorized", "a bearer token is needed")
        return None


def _name(host: bytes) -> str:
    """The host in `host:port`, lower case."""
    text = host.decode("latin-1").rsplit("@")[-1]
    return (text[1:].partition("]")[0] if text.startswith("[") else text.partition(":")[0]).lower()


async def _answer(send: Send, error: ProtocolError) -> None:
    body = json.dumps(error.to_envelope()).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": error.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def application(
    host: str, token: SecretStr | None, config: Server | None = None, motion: MotionConfig | None = None
) -> Asgi:
    """The server as an ASGI application.

    Args:
        host: address that it will listen on.
        token: bearer token that is asked for; may be None on a loopback address alone.
        config: limits; defaults to the section `server` of `configs/backends.yaml`.
        motion: defaults to `configs/motion.yaml`.

    Raises:
        Unsafe: if everybody on the network could use it.
    """
    if host not in LOOPBACK and token is None:
        raise Unsafe(
            f"MOTION_SERVER_TOKEN is not set: without it the server listens on a loopback address, not on {host}"
        )
    config = config or load_backends().server
    app = build_app(Synthesizer(config, motion), title="gridmotion", description="Bodies that go where you draw.")
    return Gate(app, token, LOOPBACK if host in LOOPBACK else frozenset(), config.connections)


def listening(config: Server) -> dict[str, Any]:
    """How uvicorn listens: no limit on connections, which anybody could fill; idle ones are closed instead."""
    return {"http": ShortlyIdle.after(config.idle_s), "ws": "none", "timeout_keep_alive": 5}


def serve(host: str, port: int, token: SecretStr | None, config: Server | None = None) -> None:
    """Serves until it is interrupted.

    Args:
        host: address to listen on.
        port: TCP port; 0 takes a free one, which is told.
        token: bearer token that is asked for.
        config: limits; defaults to the section `server` of `configs/backends.yaml`.

    Raises:
        Unsafe: if everybody on the network could use it.
    """
    import uvicorn

    config = config or load_backends().server
    app = application(host, token, config)
    uvicorn.run(app, host=host, port=port, log_level="info", **listening(config))
