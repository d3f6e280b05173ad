"""Vectors of texts in the store: each text once per encoder, what is new asked of the encoder and kept.

Belongs here: which parts of `embeddings` there are, what is read and written. Does not belong here: encoders
(`resources.encoders`), which texts matter (`assets/embeddings.py`).

A part holds what one encoder made at once, and is named by it and by the texts: `<encoder key>-<hash of the texts>`.
Parts are never changed. Another model, revision, dimension or prompt is another key: its texts are embedded anew, and
what the one before made stays.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from configs import config_hash
from configs.encoders import EncodersConfig, load_encoders
from pipeline.embeddings.encoder import Encoder, Identity, Style, Vectors
from pipeline.embeddings.texts import rows, text_hash, unknown, vectors_of
from pipeline.tables import empty
from pipeline.versions import code_version, input_hash
from resources.encoders import Encoders
from resources.errors import ResourceError
from resources.parquet import Stamp
from resources.store import Store

TABLE = "embeddings"


class NotEmbedded(ResourceError):
    """A text has no vector yet, where none is to be made."""


@dataclass(frozen=True)
class Embedded:
    """What became of texts.

    Attributes:
        new: how many the encoder was asked for.
        known: how many had a vector before.
        parts: files that were written.
    """

    new: int
    known: int
    parts: int


class TextVectors:
    """The vectors of one encoder.

    Args:
        store: where they are kept.
        encoder: makes what is missing.
        config: how many texts a part holds; `encoders.yaml` by default.
    """

    def __init__(self, store: Store, encoder: Encoder, config: EncodersConfig | None = None) -> None:
        self.store, self.encoder = store, encoder
        self._config = config or load_encoders()

    @property
    def identity(self) -> Identity:
        """What all of its vectors are made by."""
        return self.encoder.identity

    def parts(self) -> list[str]:
        """Names of the parts that this encoder made."""
        return [key for key in self.store.keys(TABLE) if key.startswith(f"{self.identity.key}-")]

    @cached_property
    def _known(self) -> pl.DataFrame:
        frames = [
            self.store.read_table(TABLE, key).select("text_hash", "encoder_key", "vector") for key in self.parts()
        ]
        if not frames:
            return empty(TABLE).select("text_hash", "encoder_key", "vector")
        # Two machines that embed at once may both have made a text.
        return pl.concat(frames).unique("text_hash", keep="first", maintain_order=True)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self._known["text_hash"])}

    @cached_property
    def _vectors(self) -> Vectors:
        return vectors_of(self._known, self.identity)

    def ensure(
        self, texts: Iterable[str], style: Style = "document", *, told: Callable[[int, int], None] | None = None
    ) -> Embedded:
        """Embeds the texts that have no vector yet, part by part, so that what is done is kept if it is cut off.

        Args:
            texts: any, in any order.
            style: whether they may be found, or are searched for.
            told: how many of how many new ones are done, after each part.

        Raises:
            EncoderError: if the encoder fails; what came before is kept.
        """
        wanted = set(texts)
        new = unknown(wanted, self._places, style)
        size = self._config.part
        for first in range(0, len(new), size):
            part = new[first : first + size]
            made = rows(part, self.encoder.encode(part, style), self.identity, style)
            self._write(made)
            if told is not None:
                told(first + len(part), len(new))
        if new:
            for name in ("_known", "_places", "_vectors"):
                self.__dict__.pop(name, None)
        return Embedded(len(new), len(wanted) - len(new), -(-len(new) // size))

    def of(self, texts: Sequence[str], style: Style = "document", *, make: bool = True) -> Vectors:
        """Vectors `(n, dimension)` of texts, in their order.

        Args:
            texts: any.
            style: whether they may be found, or are searched for.
            make: whether what has none is embedded now.

        Raises:
            NotEmbedded: if one has none, and none is to be made.
            EncoderError: if the encoder fails.
        """
        if make:
            self.ensure(texts, style)
        places = [self._places.get(text_hash(text, style), -1) for text in texts]
        if missing := sum(place < 0 for place in places):
            raise NotEmbedded(
                f"{missing} of {len(texts)} texts have no vector of {self.identity.key}, the first is "
                f"{texts[places.index(-1)][:60]!r}: run gridmotion embed"
            )
        return self._vectors[np.array(places, np.int64)]

    def _write(self, made: pl.DataFrame) -> None:
        told = input_hash(*made["text_hash"])
        spec = self._config.encoders[self.identity.name]
        stamp = Stamp(code_version("embeddings", "tables.py"), config_hash(spec), told, self.identity.key)
        self.store.write_table(TABLE, f"{self.identity.key}-{told[:12]}", made, stamp)


class TextReader:
    """Reads texts for whoever learns from them: vectors that are kept, and new ones that will be.

    Nothing is opened before the first use, so it can stand among the resources of a server whose encoder is missing.

    Args:
        store: where vectors are kept.
        encoders: opens the one that is used.
    """

    def __init__(self, store: Store, encoders: Encoders) -> None:
        self._store, self._encoders = store, encoders

    @cached_property
    def _vectors(self) -> TextVectors:
        return TextVectors(self._store, self._encoders.open(), self._encoders.config)

    @property
    def name(self) -> str:
        """The key of all that decides a vector; a model that learned from these vectors names it."""
        return self._vectors.identity.key

    @property
    def dimension(self) -> int:
        """Values of a vector."""
        return self._vectors.identity.dimension

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Vectors `(n, dimension)` of length 1, in the order of the texts.

        Raises:
            EncoderError: if the encoder is missing or fails; what came before is kept.
        """
        return self._vectors.of(texts)
