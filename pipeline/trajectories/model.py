"""A trained model as it is used: arrays in, ways and poses out.

Belongs here: loading, answering. Does not belong here: training (learning), drawing (generation).
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from pipeline.trajectories.batches import Batch, framed
from pipeline.trajectories.corpus import Corpus, Encoder, Unusable
from pipeline.trajectories.framing import turned
from pipeline.trajectories.shape import Shape

if TYPE_CHECKING:
    from pipeline.trajectories.network import Network

Floats = NDArray[np.float32]
_AT_ONCE = 64  # samples


@dataclass(frozen=True)
class Motions:
    """What a model finds for `b` samples.

    Attributes:
        position: `(b, n, 2)` metres in the world.
        joints: `(b, n, 10, 2)` metres, forward and up of the ground under the hips, as found.
        velocity: `(b, n, 2)` m/s of the velocity head, in the world; None if there is none.
    """

    position: Floats
    joints: Floats
    velocity: Floats | None


@dataclass(frozen=True)
class TrajectoryModel:
    """Weights and what they mean.

    Attributes:
        version: names the training.
        shape: of the network.
        step: after which these weights were the best.
        steps: of the whole plan.
        figures: measures of the validation.
        corpus: digest of what it learned from.
        digest: of the file.
        network: itself.
    """

    version: str
    shape: Shape
    step: int
    steps: int
    figures: dict[str, float]
    corpus: str
    digest: str
    network: "Network"

    @classmethod
    def load(cls, path: Path) -> "TrajectoryModel":
        """The model of a file of weights.

        Raises:
            DamagedWeights: if it cannot be used.
        """
        from pipeline.trajectories import checkpoint
        from pipeline.trajectories.network import Network

        tensors, words = checkpoint.load(path)
        try:
            shape = Shape.model_validate_json(words["shape"])
            figures = json.loads(words["figures"])
            model = cls(
                words["version"], shape, int(words["step"]), int(words["steps"]), figures, words["corpus"],
                hashlib.sha256(path.read_bytes()).hexdigest()[:16], Network(shape),
            )  # fmt: skip
        except (KeyError, ValueError, ValidationError) as error:
            raise checkpoint.DamagedWeights(f"{path.name}: not the weights of a model: {error}") from error
        checkpoint.filled(model.network, tensors, path)
        model.network.eval()
        return model

    def ensure_read_by(self, encoder: Encoder) -> None:
        """Holds that texts are read by the encoder that the model learned with.

        Raises:
            Unusable: if they are not.
        """
        if (encoder.name, encoder.dimension) != (self.shape.encoder, self.shape.text):
            raise Unusable(
                f"model {self.version} learned from texts read by {self.shape.encoder} ({self.shape.text} dimensions), "
                f"not by {encoder.name} ({encoder.dimension}): configure that encoder, or train anew with this one"
            )

    def ensure_learned_from(self, corpus: Corpus) -> None:
        """Holds that a corpus is the one that the model learned from, and so holds out the same.

        Raises:
            Unusable: if it is not.
        """
        if corpus.digest != self.corpus:
            raise Unusable(
                f"model {self.version} learned from the corpus {self.corpus}, but what there is now is {corpus.digest}:"
                " what that holds out it may have learned; judge it on the machine that trained it, or train anew"
            )

    def found(self, batch: Batch) -> Motions:
        """What the model finds for a batch of `pipeline.trajectories.batches`."""
        import torch

        from pipeline.trajectories.network import shown

        ways, poses, speeds = [], [], []
        spread, mean = self.network.pose_spread.numpy(), self.network.pose_mean.numpy()
        with torch.no_grad():
            for first in range(0, len(batch), _AT_ONCE):
                found = self.network(shown(batch.part(slice(first, first + _AT_ONCE))))
                ways.append(found.way.numpy())
                poses.append(found.pose.numpy() * spread + mean)
                if found.velocity is not None:
                    speeds.append(found.velocity.numpy())
        pose = np.concatenate(poses)
        pose = np.where(batch.pose_seen[..., None], batch.pose, pose) * np.exp(batch.condition[:, :1, None])
        return Motions(
            position=batch.world(np.concatenate(ways)),
            joints=pose.reshape(*pose.shape[:2], -1, 2).astype(np.float32),
            velocity=turned(np.concatenate(speeds), batch.angle) if speeds else None,
        )

    def from_text(self, vectors: Floats, scale: Floats) -> Motions:
        """Motions from texts alone, each beginning at the origin.

        Args:
            vectors: `(b, d)` of the texts, from the encoder that the model learned with.
            scale: `(b,)` of the figures.
        """
        b, n = len(vectors), self.shape.frames
        nothing: Any = np.zeros((b, n, 2), np.float32)
        batch = framed(
            nothing, np.zeros((b, n, 10, 2), np.float32), np.full((b, n), np.nan, np.float32), np.zeros(b, np.int64),
            np.zeros(b, np.bool_), vectors, np.ones(b, np.bool_), np.zeros((b, self.shape.ground), np.uint8),
            fps=self.shape.fps, velocity_s=self.shape.velocity_s,
            head_m=self.shape.head_m, scale=scale,
        )  # fmt: skip
        return self.found(batch)

    @cached_property
    def parameters(self) -> int:
        """How many the network has."""
        return self.shape.parameters
