"""Any server that speaks MMCP, by the protocol's own client; our path goes with the prompt as `root_path`.

Belongs here: what is asked of a server and what its answer must be. Does not belong here: HTTP (mmcp_call and the
official client), the prompt (pipeline.motion.prompts).

A server may follow a path or not: the warp puts its answer on it in any case, and moves a faithful one very little.
"""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import SecretStr

from configs.backends import BackendsConfig, is_hy_motion
from pipeline.motion.clip import ClipRequest
from pipeline.motion.foreign import Motion
from pipeline.motion.rotations import Array, continuous, from_axes
from pipeline.motion.skeleton import JOINTS, OFFSETS, PARENTS
from pipeline.motion.warp import course
from resources.addresses import redacted, without_secrets
from resources.motion_backends import child, http, mmcp_call
from resources.motion_backends.errors import (
    BackendError,
    BadAnswer,
    Failed,
    NotAllowed,
    NotSetUp,
    Refused,
    TimedOut,
    TooLarge,
    Unreachable,
)
from resources.motion_backends.hymotion import within
from resources.motion_backends.patience import CircuitBreaker, Patience
from resources.motion_backends.prompted import PromptedBackend, carried, seed_of

BALLS = ("L_Foot", "R_Foot")
_IDENTITY = (0.0, 0.0, 0.0, 1.0)
_OFF_ROTATION = 1e-2

Skeleton = dict[str, Any]


def skeleton() -> Skeleton:
    """Our 22 joints as MMCP words them."""
    return {
        "joints": [
            {
                "name": name,
                "parent": None if PARENTS[j] < 0 else JOINTS[PARENTS[j]],
                "rest_translation": [round(float(v), 6) for v in OFFSETS[j]],
                "rest_rotation": list(_IDENTITY),
            }
            for j, name in enumerate(JOINTS)
        ],
        "coordinate_system": "right_handed_y_up",
        "units": "meters",
    }


class MmcpBackend(PromptedBackend):
    """An MMCP server at `MMCP_URL`.

    Args:
        url: base address.
        token: `MMCP_TOKEN`, sent as a bearer token.
        config: defaults to `configs/backends.yaml`.
        patience: attempts of one request; by default as configured.
        breaker: by default as configured.
    """

    name: ClassVar[str] = "mmcp"
    may_train: ClassVar[bool] = True

    def __init__(
        self,
        url: str | None,
        token: SecretStr | None = None,
        config: BackendsConfig | None = None,
        *,
        patience: Patience | None = None,
        breaker: CircuitBreaker | None = None,
    ) -> None:
        super().__init__(config, patience=patience, breaker=breaker)
        self._url = (url or "").rstrip("/")
        self._token = token
        self._model: dict[str, Any] | None = None

    def _matters(self) -> str:
        mmcp, licence = self.config.mmcp, self.config.licence
        terms = f"{licence.accepted} {licence.territory} {licence.refusal is None}"
        return f"{mmcp.model} {mmcp.path_every_frames} {sorted(mmcp.trainable_models)} {terms}"

    def _where(self) -> str:
        return without_secrets(self._url)

    def check(self) -> None:
        """As of every backend: `NotAllowed` or `NotSetUp` where nothing may be asked."""
        self.allowed()
        if not self._url:
            raise NotSetUp("MMCP_URL is not set")
        http.key_of(self._token, "MMCP_TOKEN")

    def allowed(self) -> None:
        """As of every backend: `NotAllowed` where the model is known as HY-Motion by its id, without its licence."""
        self._licensed(is_hy_motion(self.config.mmcp.model))

    def _licensed(self, hy_motion: bool) -> None:
        if hy_motion and self.config.licence.refusal:
            raise NotAllowed(f"the model at {self._where()}: HY-Motion is off: {self.config.licence.refusal}")

    def model(self, *, seconds: float | None = None) -> dict[str, Any]:
        """The entry of the server's capabilities that is used; asked once.

        Raises:
            BackendError: if it doesn't answer, has no such model, or one that cannot be asked from here.
        """
        if self._model is None:
            found = self._call("capabilities", seconds=seconds)
            models = found.get("models")
            entries = [entry for entry in models if isinstance(entry, dict)] if isinstance(models, list) else []
            wanted = self.config.mmcp.model
            model = next((entry for entry in entries if not wanted or entry.get("id") == wanted), None)
            if model is None:
                raise Refused(f"{self._where()} has no model {wanted}".rstrip())
            self._model = {**model, "protocol_version": found.get("protocol_version")}
        return self._model

    def _motion(self, text: str, request: ClipRequest, key: str) -> tuple[Motion, dict[str, str]]:
        model = self.patience.ask(self.model, about=self.name, seed=key)
        name = str(model.get("id"))
        if not self.config.mmcp.model:  # the clip's key was made without knowing whose it is
            raise NotSetUp(f"mmcp.model of backends.yaml is empty; {self._where()} has {self._plain(name)}")
        hy_motion = any(map(is_hy_motion, _strings(model)))
        self._licensed(hy_motion)
        body, headers = self._body(model, text, request), carried(request, key)
        document = self.patience.ask(
            lambda: self._call("generate", body=body, headers=headers), about=self.name, seed=key
        )
        trainable = name in self.config.mmcp.trainable_models and not hy_motion
        motion = within(motion_of(document, self.config.limits.frames, trainable=trainable), self.config.limits)
        return motion, {"model": self._plain(name), "protocol": self._plain(model.get("protocol_version"))}

    def _body(self, model: dict[str, Any], text: str, request: ClipRequest) -> dict[str, Any]:
        try:
            fps = float(model["fps"])
            limits = model.get("limits") or {}
            longest_s = float(limits.get("max_duration_seconds", 30.0))
            segments, constraints = model.get("supported_segments") or [], model.get("supported_constraints") or []
            version = int(str(model.get("protocol_version") or "1.0").partition(".")[0])
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise BadAnswer(f"{self._where()} has capabilities that cannot be read") from error
        if not 1.0 <= fps <= 240.0:
            raise BadAnswer(f"{self._where()} makes {fps} frames a second")
        if "text" not in segments:
            raise Refused(f"{self._where()} takes no text")
        seconds = min((request.to_ms - request.from_ms) / 1000.0, longest_s - 1.0 / fps)
        frames = max(2, round(seconds * fps) + 1)
        path = [self._root_path(request, frames, fps)] if "root_path" in constraints else []
        return {
            "protocol_version": f"{version}.0",
            "model": model["id"],
            "skeleton": self._skeleton(model),
            "segments": [{"type": "text", "prompt": text, "duration_frames": frames}],
            "constraints": path,
            "options": {"seed": seed_of(request), "num_samples": 1},
        }

    def _skeleton(self, model: dict[str, Any]) -> Skeleton:
        """Ours, where the server fits its motion to it; else its own, which must have our joints."""
        if model.get("supports_retargeting") is True:
            return skeleton()
        canonical = model.get("canonical_skeleton")
        joints = canonical.get("joints") if isinstance(canonical, dict) else None
        names = [j.get("name") for j in joints if isinstance(j, dict)] if isinstance(joints, list) else []
        if not isinstance(canonical, dict) or not isinstance(joints, list) or set(JOINTS) - set(map(str, names)):
            raise Refused(f"{self._where()} neither fits its motion to a skeleton nor has the 22 SMPL joints itself")
        if any(tuple(j.get("rest_rotation") or ()) != _IDENTITY for j in joints if j.get("name") in JOINTS):
            raise Refused(f"{self._where()} has a rest pose whose joints are turned")
        return canonical

    def _root_path(self, request: ClipRequest, frames: int, fps: float) -> dict[str, Any]:
        way, look = course(request)
        every = self.config.mmcp.path_every_frames
        at = sorted({*range(0, frames, every), frames - 1})
        time = np.array(at) / fps
        own = way.time[way.clip]

        def along(values: Array) -> list[float]:
            return [round(float(v), 4) for v in np.interp(time, own, values[way.clip])]

        return {
            "type": "root_path",
            "frames": at,
            "positions_xz": [list(p) for p in zip(along(way.ground[:, 0]), along(way.ground[:, 1]), strict=True)],
            # About +y, 0 looks along +z and grows to the left, as ours.
            "heading_radians": along(look.hips),
        }

    def _call(
        self,
        call: str,
        *,
        body: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        seconds: float | None = None,
    ) -> dict[str, Any]:
        limits = self.config.limits
        wait = limits.request_s if seconds is None else seconds
        token = http.key_of(self._token, "MMCP_TOKEN") or None
        asked = {
            "call": call,
            "url": self._url,
            "body": body,
            "headers": headers or {},
            "token": token,
            "seconds": wait,
            "most_bytes": limits.answer_bytes,
        }
        begun = time.monotonic()
        done = child.run(
            [sys.executable, "-I", str(Path(mmcp_call.__file__))],
            seconds=wait + self.config.mmcp.starting_s,
            grace_s=self.config.mmcp.grace_s,
            most_bytes=2 * limits.answer_bytes,
            given=json.dumps(asked).encode(),
            environment=child.environment(online=True),
        )
        if done.code != 0:
            if "No module named 'motionmcp_client'" in done.err:
                raise NotSetUp("the package motionmcp-client-sdk is missing: install the extra mmcp")
            raise Failed(f"the MMCP client ended with {done.code} after {time.monotonic() - begun:.1f} s")
        told = http.parsed(done.out)
        if "error" in told:
            raise self._trouble(told["error"])
        document = told["document"]
        if not isinstance(document, dict):
            raise BadAnswer(f"{self._where()} answers with JSON that is no object")
        return document

    def _plain(self, said: object) -> str:
        """Words of a server or of the client, without our token and what our address hides."""
        return http.plain(redacted(str(said), self._url, (http.key_of(self._token, "MMCP_TOKEN"),)))

    def _trouble(self, error: dict[str, Any]) -> BackendError:
        words = self._plain(error["message"])
        said = f"{self._where()}: {words}"
        code, status, cause = error["code"], error["status"], error["cause"]
        if isinstance(status, int) and status >= 300:
            headers = {"retry-after": str(error["retry_after"] or "")}
            return http.refusal(status, self._where(), f" ({words})", headers)
        if cause == mmcp_call.TooMuch.__name__:
            return TooLarge(f"{self._where()} answers with more than {self.config.limits.answer_bytes} bytes")
        if cause in ("TimeoutError", "timeout") or code == "timeout":
            return TimedOut(said)
        if code == "bad_response":
            return BadAnswer(said)
        return Unreachable(said)


def _strings(found: Any) -> Iterator[str]:
    """Every string in JSON, names of fields too."""
    if isinstance(found, str):
        yield found
    elif isinstance(found, dict | list):
        yield from (text for part in found for text in _strings(part))
        if isinstance(found, dict):
            yield from (text for part in found.values() for text in _strings(part))


def motion_of(document: dict[str, Any], most_frames: int, *, trainable: bool) -> Motion:
    """The first motion in an MMCP answer, on our joints.

    Args:
        document: glTF 2.0 as JSON.
        most_frames: a longer motion is refused before it is decoded.
        trainable: what its maker allows.

    Raises:
        BadAnswer: if it is none, or lacks a joint.
    """
    try:
        from motionmcp_client import gltf_parser
    except ImportError as error:
        raise NotSetUp("the package motionmcp-client-sdk is missing: install the extra mmcp") from error
    try:
        if any(accessor["count"] > most_frames for accessor in document["accessors"]):
            raise BadAnswer(f"a motion of more than {most_frames} frames")
        found = gltf_parser.parse_gltf_samples({**document, "animations": document["animations"][:1]})[0]
        column = {name: j for j, name in enumerate(found["joint_names"])}
        order = [column[name] for name in JOINTS]
        turned = found["local_rot_mats"][:, order].astype(np.float64)
        root = found["posed_joints"][:, column[JOINTS[0]]].astype(np.float64)
        held = found["foot_contacts"][:, [column[name] for name in BALLS]]
        fps = float(found["fps"])
    except BackendError:
        raise
    except Exception as error:  # the parser is not ours, and a document may be anything
        raise BadAnswer(f"a glTF document without a motion of our joints ({type(error).__name__})") from error
    off = np.abs(turned @ turned.swapaxes(-1, -2) - np.eye(3)).max() if np.isfinite(turned).all() else np.inf
    if not off < _OFF_ROTATION:
        raise BadAnswer("rotations that are none")
    rotations = continuous(from_axes(turned[..., 0], turned[..., 1], turned[..., 2]))
    return Motion(rotations, root, fps, held if held.any() else None, trainable)
