"""Names for code and inputs, so that every artefact says what made it.

Belongs here: hashes of source folders and of inputs. Does not belong here: hashes of configuration (configs.base).
"""

import hashlib
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent


@cache
def code_version(*rooms: str) -> str:
    """Twelve hex digits that name the source of these parts of `pipeline`.

    Two checkouts with the same source give the same name, whatever their commit, so an unrelated commit
    recomputes nothing.

    Args:
        rooms: folders or modules below `pipeline`, such as `"events"` or `"motion/gait.py"`.

    Raises:
        FileNotFoundError: if one of them does not exist.
    """
    digest = hashlib.sha256()
    for room in sorted(rooms):
        path = ROOT / room
        files = [path] if path.suffix == ".py" else sorted(path.rglob("*.py"))
        if not files:
            raise FileNotFoundError(f"no source below pipeline/{room}")
        for file in files:
            digest.update(file.relative_to(ROOT).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def input_hash(*digests: str) -> str:
    """Sixteen hex digits that name an ordered list of inputs by their own digests."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()[:16]
