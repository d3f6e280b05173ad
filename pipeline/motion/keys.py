"""The name of a clip: the same moment under the same code is never synthesised twice.

Belongs here: what a clip depends on. Does not belong here: where clips are kept (resources).
"""

import hashlib
import json
from typing import Any

from configs.base import config_hash
from configs.motion import MotionConfig, load_motion
from pipeline.motion.clip import ClipRequest
from pipeline.versions import code_version


def clip_key(request: ClipRequest, *, backend: str, config: MotionConfig | None = None) -> str:
    """32 hex digits over exactly what is synthesised.

    The integers of path, view and timing (times relative to the clip's start), intent, side, seed, backend,
    configuration (but for the choice of moments) and code version. Not the names of match, segment or player, and not
    when in the match it was.

    Args:
        request: the moment.
        backend: name of the backend that makes it.
        config: defaults to `configs/motion.yaml`.
    """
    config = config or load_motion()
    header: dict[str, Any] = {
        "intent": request.intent,
        "attacker": request.attacker,
        "length_ms": request.to_ms - request.from_ms,
        "samples": int(request.t_ms.size),
        "seed": request.seed,
        "backend": backend,
        "config": synthesis_hash(config),
        "code": code_version("motion"),
    }
    if request.acts:
        header["acts"] = [[at - request.from_ms, intent] for at, intent in request.acts]
    if request.shots_ms is not None:
        header["shots"] = [at - request.from_ms for at in request.shots_ms]
    if request.dies:
        header["dies"] = True
    text = json.dumps(header, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode() + _path_bytes(request)).hexdigest()[:32]


def path_hash(request: ClipRequest) -> str:
    """16 hex digits over the integers of path, view and timing alone."""
    return hashlib.sha256(_path_bytes(request)).hexdigest()[:16]


def _path_bytes(request: ClipRequest) -> bytes:
    columns = (request.x_mm, request.y_mm, request.z_mm, request.yaw_mdeg, request.pitch_mdeg)
    since_start = (request.t_ms - request.from_ms).astype("<i8").tobytes()
    return since_start + b"".join(column.astype("<i4").tobytes() for column in columns)


def synthesis_hash(config: MotionConfig) -> str:
    """16 hex digits over the configuration that changes a clip or its pictures."""
    walked = (config.clips, config.path, config.gait, config.swing, config.turning, config.falling)
    acted = (config.acting, config.poses, config.body, config.limits, config.fitting, config.actions)
    return config_hash(*walked, *acted, config.export, config.preview)
