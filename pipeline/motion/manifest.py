"""What a clip says about its making.

Belongs here: the fields of the manifest. Does not belong here: where it is kept (resources), the glTF it is put into.
"""

from typing import Any

from configs.motion import MotionConfig, load_motion
from pipeline.motion.clip import NULL, ClipRequest
from pipeline.motion.keys import path_hash, synthesis_hash
from pipeline.versions import code_version


def manifest(
    request: ClipRequest,
    origin: dict[str, Any],
    *,
    feasible: bool,
    reason: str | None,
    measures: dict[str, float],
    config: MotionConfig | None = None,
) -> dict[str, Any]:
    """A JSON-able record of one clip, the same for the same clip: no clock, no host, and not who asked for it.

    Args:
        request: the moment.
        origin: at least `clip_key`, `backend`, `trainable`.
        feasible: whether there is a clip.
        reason: why there is none.
        measures: of the clip; empty when there is none.
        config: defaults to `configs/motion.yaml`.
    """
    return {
        **origin,
        "intent": request.intent,
        "length_ms": request.to_ms - request.from_ms,
        "attacker": request.attacker,
        "seed": request.seed,
        "feasible": feasible,
        "reason": reason,
        "hashes": {
            "path": path_hash(request),
            "config": synthesis_hash(config or load_motion()),
            "code": code_version("motion"),
        },
        "measures": {name: round(value, 6) for name, value in sorted(measures.items())},
    }


def path_samples(request: ClipRequest) -> dict[str, list[int | None]]:
    """The recorded path that a clip follows: ms since its first instant, millimetres, millidegrees, null if unknown."""
    columns = {name: getattr(request, name) for name in ("x_mm", "y_mm", "z_mm", "yaw_mdeg")}
    known = {name: [None if value == NULL else int(value) for value in column] for name, column in columns.items()}
    return {"t_ms": [int(t) for t in request.t_ms - request.from_ms], **known}
