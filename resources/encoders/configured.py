"""Which encoder is used: the one that the environment names, else the one that comes with the installation.

Belongs here: the choice, and saying so. Does not belong here: encoders themselves.
"""

import logging
from collections.abc import Callable
from pathlib import Path

from configs.encoders import EncodersConfig, load_encoders
from pipeline.embeddings.encoder import Encoder
from resources.encoders.errors import UnknownEncoder
from resources.encoders.gemini import GeminiEncoder
from resources.encoders.local import LocalEncoder
from resources.settings import Settings

_log = logging.getLogger(__name__)


class Encoders:
    """The encoders that there are. Making this looks at no file.

    Args:
        environment: names the one that is used, where models lie, keys.
        config: `encoders.yaml` by default.
    """

    def __init__(self, environment: Settings, config: EncodersConfig | None = None) -> None:
        self.environment, self.config = environment, config or load_encoders()

    def chosen(self) -> tuple[str, str]:
        """The name of the encoder that is used, and a sentence on why it is that one.

        Raises:
            UnknownEncoder: if the environment names none that there is.
        """
        name, config = self.environment.embedding_encoder, self.config
        if name is None:
            model = config.encoders[config.packaged].model
            return config.packaged, (
                "EMBEDDING_ENCODER is not set: texts are embedded by the small encoder that comes with the "
                f"installation, {config.packaged} ({model})"
            )
        if name not in config.encoders:
            raise UnknownEncoder(f"EMBEDDING_ENCODER={name}: there are {', '.join(config.encoders)} (encoders.yaml)")
        return name, f"EMBEDDING_ENCODER={name}: {config.encoders[name].model}"

    def open(
        self,
        name: str | None = None,
        *,
        progress: Callable[[int], None] | None = None,
        say: Callable[[str], None] = _log.warning,
    ) -> Encoder:
        """The encoder that is used, or one by its name.

        Nothing stands in for an encoder that was chosen and isn't there: vectors of another one would mean nothing to
        those that there are.

        Args:
            name: another one than the environment's.
            progress: told how many texts are done.
            say: told where the packaged one is used because nobody chose.

        Raises:
            UnknownEncoder: if there is none of that name.
            ModelMissing: if its files are not on this machine.
        """
        if name is None:
            name, why = self.chosen()
            if self.environment.embedding_encoder is None:
                say(why)
        elif name not in self.config.encoders:
            raise UnknownEncoder(f"no encoder {name!r}: there are {', '.join(self.config.encoders)} (encoders.yaml)")
        spec, environment = self.config.encoders[name], self.environment
        if spec.kind == "gemini":
            key, url = environment.gemini_api_key, environment.gemini_api_url
            return GeminiEncoder(name, spec, key, url, self.config.gemini, progress=progress)
        models = Path(environment.embedding_models) if environment.embedding_models else None
        return LocalEncoder(
            name, spec, self.config.batch, models=models, hub=environment.embedding_hub, progress=progress
        )
