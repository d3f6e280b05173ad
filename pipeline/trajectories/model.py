"""A trained model as it is used: arrays in, ways and poses out.

Belongs here: loading, answering. Does not belong here: training (learning), drawing (generation).
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from configs.scenes import ScenesConfig, load_scenes
from configs.trajectories import TrajectoriesConfig, load_trajectories
from pipeline.scenes.kinematics import smoothed
from pipeline.scenes.speeds import names, table
from pipeline.trajectories.batches import Batch, framed
from pipeline.trajectories.corpus import Corpus, Encoder, Unusable
from pipeline.trajectories.framing import turned
from pipeline.trajectories.recall import nothing
from pipeline.trajectories.samples import Samples
from pipeline.trajectories.shape import POSE, Shape
from pipeline.trajectories.stance import stances

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
        velocity: `(b, n, 2)` m/s of the velocity head, in the world.
        actions: `(b, n)` codes of what is done.
    """

    position: Floats
    joints: Floats
    velocity: Floats
    actions: NDArray[np.uint8]


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
        parts = [self._found(batch.part(slice(k, k + _AT_ONCE))) for k in range(0, len(batch), _AT_ONCE)]
        return Motions(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in _FIELDS})

    def _found(self, batch: Batch) -> Motions:
        import torch

        from pipeline.trajectories.network import shown

        with torch.no_grad():
            found = self.network(shown(batch))
            position = batch.world(found.way.numpy())
            scale = np.exp(batch.condition[:, 0])
            does = settled_actions(found.actions.numpy(), position, scale, self.scenes, self.config)
            stance = stances(position, does, scale, self.scenes)
            pose = self.network.pose(found.tokens, torch.from_numpy(stance)).numpy()
        pose = np.where(batch.pose_seen[..., None], batch.pose, pose) * scale[:, None, None]
        return Motions(
            position=position,
            joints=pose.reshape(*pose.shape[:2], -1, 2).astype(np.float32),
            velocity=turned(found.velocity.numpy(), batch.angle),
            actions=does,
        )

    def from_text(self, vectors: Floats, scale: Floats) -> Motions:
        """Motions from texts alone, each beginning at the origin.

        Args:
            vectors: `(b, d)` of the texts, from the encoder that the model learned with.
            scale: `(b,)` of the figures.
        """
        b, n = len(vectors), self.shape.frames
        nowhere = Samples(
            ids=("",) * b, captions=("",) * b, joints=np.zeros((b, n, POSE // 2, 2), np.float32),
            position=np.zeros((b, n, 2), np.float32), heading=np.full((b, n), np.nan, np.float32),
            speed=np.zeros((b, n), np.float32), actions=np.zeros((b, n), np.uint8), names=names(self.scenes),
            fps=self.shape.fps,
        )  # fmt: skip
        known = np.zeros(b, np.int64)
        return self.found(framed(
            nowhere, known, known > 0, vectors, known == 0, nothing(b, self.config.recall), self.config, self.scenes,
            scale,
        ))  # fmt: skip

    @property
    def config(self) -> TrajectoriesConfig:
        """What it is shown."""
        return load_trajectories()

    @property
    def scenes(self) -> ScenesConfig:
        """Gait and lengths."""
        return load_scenes()

    @cached_property
    def parameters(self) -> int:
        """How many the network has."""
        return self.shape.parameters


_FIELDS = ("position", "joints", "velocity", "actions")


def settled_actions(
    logits: Floats, position: Floats, scale: Floats, scenes: ScenesConfig, config: TrajectoriesConfig
) -> NDArray[np.uint8]:
    """What is most probably done in each frame `(b, n)`: of who goes what goes, of who stays what stays.

    Args:
        logits: `(b, n, actions)`.
        position: `(b, n, 2)` metres.
        scale: `(b,)` of the figures.
        scenes: actions, frame rate.
        config: how long it takes to settle.
    """
    frames = config.generation.action_s * scenes.fps
    sure = np.stack([smoothed(each, 0.5 * frames) for each in logits.astype(float)])
    ways = np.diff(position, axis=1, prepend=position[:, :1])
    speed = np.hypot(ways[..., 0], ways[..., 1]) * scenes.fps / scale[:, None]
    goes = np.stack([smoothed(each[:, None], 0.2 * frames)[:, 0] for each in speed]) > config.generation.goes_mps
    fits = goes[..., None] == (table(scenes) > 0)
    does: NDArray[np.uint8] = np.where(fits, sure, -np.inf).argmax(axis=-1).astype(np.uint8)
    return does
