"""A model of this machine as an encoder, by sentence-transformers.

Belongs here: loading, pooling, devices, batches. Does not belong here: where its files are (`files`), what is done to
every vector (`pipeline.embeddings.encoder`).
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from configs.encoders import Batch, EncoderSpec
from pipeline.embeddings.encoder import Identity, Style, Vectors, batches, finished
from resources.encoders.errors import UnusableModel
from resources.encoders.files import folder_of, revision_of

_log = logging.getLogger(__name__)
_POOLINGS = {"last": "lasttoken", "mean": "mean", "cls": "cls"}

for _name in ("sentence_transformers", "transformers", "huggingface_hub"):  # they tell of each model that is loaded
    logging.getLogger(_name).setLevel(logging.WARNING)


class LocalEncoder:
    """A model in a folder. Its weights are loaded with the first text.

    Args:
        name: of the encoder.
        spec: of the encoder.
        batch: how many texts go together.
        models: a folder in which models lie.
        hub: whether what is missing may be fetched.
        progress: told how many texts are done, after each batch.

    Raises:
        ModelMissing: if its files are not there.
    """

    def __init__(
        self,
        name: str,
        spec: EncoderSpec,
        batch: Batch,
        *,
        models: Path | None = None,
        hub: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self.spec, self.batch, self.progress = spec, batch, progress
        self.folder = folder_of(name, spec, models, hub=hub)
        self._identity = Identity.of(name, spec, revision_of(self.folder))
        self._model: Any = None

    @property
    def identity(self) -> Identity:
        """What its vectors are made by."""
        return self._identity

    def encode(self, texts: Sequence[str], style: Style = "document") -> Vectors:
        """Vectors `(n, dimension)` of length 1, in the order of the texts.

        Raises:
            UnusableModel: if the files are not the model that is configured.
            WrongDimension: if it gives vectors of another length.
            UselessVectors: if one of them has no direction.
        """
        out = np.empty((len(texts), self.identity.dimension), np.float32)
        if not len(texts):
            return out
        model = self._loaded()
        put = [self.identity.put(text, style) for text in texts]
        lengths = [min(len(tokens), self.spec.max_tokens) for tokens in _tokenized(model, put)]
        done = 0
        for places in batches(lengths, tokens=self.batch.tokens, most=self.batch.most):
            raw = model.encode(
                [put[place] for place in places],
                prompt="",  # its own prompts are none of ours
                batch_size=len(places),
                convert_to_tensor=True,
                show_progress_bar=False,
            )
            out[places] = finished(raw.float().cpu().numpy(), self.identity, self.spec.dimension)
            done += len(places)
            if self.progress is not None:
                self.progress(done)
        return out

    def _loaded(self) -> Any:
        if self._model is None:
            from safetensors import SafetensorError

            _log.info("encoder %s: loads %s", self.identity.name, self.spec.model)
            try:
                self._model = loaded(self.folder, self.spec)
            except (OSError, ValueError, KeyError, RuntimeError, TypeError, SafetensorError) as error:
                raise UnusableModel(
                    f"encoder {self.identity.name}: the files of {self.spec.model} in {self.folder} cannot be loaded "
                    f"({type(error).__name__}: {error}): get them anew"
                ) from error
            pooling = pooling_of(self._model)
            if pooling != _POOLINGS[str(self.spec.pooling)]:
                self._model = None
                raise UnusableModel(
                    f"encoder {self.identity.name}: {self.folder} makes one vector of a text's tokens by {pooling!r}, "
                    f"encoders.yaml says {self.spec.pooling!r}: it is another model than it should be"
                )
        return self._model


def loaded(folder: Path, spec: EncoderSpec) -> Any:
    """A SentenceTransformer of a folder: as that says, or with the configured pooling where it is a bare model."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # type: ignore[no-untyped-call]  # one for each model that is loaded, whoever looks on
    gpu = torch.cuda.is_available()
    # A CPU without bf16 units is an order of magnitude slower in it.
    options = {"dtype": torch.bfloat16 if gpu and torch.cuda.is_bf16_supported() else torch.float32}
    device = "cuda" if gpu else "cpu"
    side = {"padding_side": "left"} if spec.pooling == "last" else {}
    if (folder / "modules.json").is_file():
        model = SentenceTransformer(
            str(folder), device=device, local_files_only=True, model_kwargs=options, processor_kwargs=side
        )
    else:
        alone = {"local_files_only": True}
        words = Transformer(
            str(folder), model_kwargs={**options, **alone}, processor_kwargs={**side, **alone}, config_kwargs=alone
        )
        pooled = Pooling(words.get_embedding_dimension(), _POOLINGS[str(spec.pooling)])
        model = SentenceTransformer(modules=[words, pooled], device=device)
    model.max_seq_length = min(model.max_seq_length or spec.max_tokens, spec.max_tokens)
    return model.eval()


def pooling_of(model: Any) -> str:
    """How a model makes one vector of those of all tokens; empty if it does so in no way that is known."""
    found = [module.pooling_mode for module in model if hasattr(module, "pooling_mode")]
    return str(found[0]) if found else ""


def _tokenized(model: Any, texts: Sequence[str]) -> list[list[int]]:
    found: list[list[int]] = model.tokenizer(list(texts), add_special_tokens=True)["input_ids"]
    return found
