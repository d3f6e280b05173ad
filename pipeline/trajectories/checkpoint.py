"""Weights in files that hold nothing but numbers and words: safetensors, never a pickle.

Belongs here: the state of a training and the weights of a model as files, written whole or not at all. Does not belong
here: what is learned (learning), what a model answers (model).
"""

import json
import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pipeline.errors import PipelineError

_WORDS = "gridmotion"


class DamagedWeights(PipelineError):
    """A file of weights that is missing, torn or of another network; the message says which and what to do."""


def save(path: Path, tensors: dict[str, Tensor], words: dict[str, str]) -> None:
    """Writes tensors and words under another name first, then renames, so that a kill leaves the old file."""
    unfinished = path.with_suffix(".unfinished")
    plain = {name: value.detach().to("cpu").contiguous() for name, value in tensors.items()}
    # One word: of several, the library writes the order anew each time, and the same weights are the same bytes.
    save_file(plain, unfinished, metadata={_WORDS: json.dumps(words, sort_keys=True)})
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())
    unfinished.replace(path)


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and words of a file.

    Raises:
        DamagedWeights: if it is not there or cannot be read.
    """
    try:
        with safe_open(path, framework="pt") as file:
            words: dict[str, str] = json.loads((file.metadata() or {}).get(_WORDS, "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, words  # noqa: SIM118  # it is no dict
    except (OSError, ValueError, SafetensorError) as error:
        raise DamagedWeights(f"{path.name}: {error}; train again, or restore it") from error


def filled(network: torch.nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Puts weights into a network.

    Raises:
        DamagedWeights: if they are of another one.
    """
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise DamagedWeights(f"{path.name}: weights of another network: {error}") from error
