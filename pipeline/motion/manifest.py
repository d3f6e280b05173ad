"""What a clip says about its making.

Belongs here: the fields of the manifest. Does not belong here: where it is kept (resources), the glTF it is put into.
"""

from typing import Any

from configs.motion import MotionConfig, load_motion
from pipeline.motion.clip import ClipRequest
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
    """A JSON-able record of one clip, the same for the same clip: no clock, no host.

    Args:
        request: the moment.
        origin: at least `clip_key`, `backend`, `trainable`, `segment_id`, `model_version`.
        feasible: whether there is a clip.
        reason: why there is none.
        measures: of the clip; empty when there is none.
        config: defaults to `configs/motion.yaml`.
    """
    return {
        **origin,
        "match_id": request.match_id,
        "player": request.player,
        "intent": request.intent,
        "from_ms": request.from_ms,
        "to_ms": request.to_ms,
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
