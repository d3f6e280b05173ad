"""Text encoders: models in folders of this machine, the one that comes with the installation, Google's API.

Belongs here: where vectors come from. Does not belong here: what all encoders have in common
(`pipeline.embeddings.encoder`), which texts are embedded.
"""

from resources.encoders.configured import Encoders
from resources.encoders.errors import EncoderError, ModelMissing, UnknownEncoder

__all__ = ["EncoderError", "Encoders", "ModelMissing", "UnknownEncoder"]
