"""What a training is to do, as a file that names everything it depends on.

Belongs here: the plan and its name. Does not belong here: carrying it out (learning).
"""

from pathlib import Path

from pydantic import Field, ValidationError

from configs.base import Config, config_hash
from configs.scenes import ScenesConfig
from configs.trajectories import TrajectoriesConfig
from pipeline.errors import PipelineError
from pipeline.trajectories.shape import Shape
from pipeline.versions import code_version, input_hash

CODE = ("trajectories", "scenes/joints.py")
PLAN, LAST, BEST, HISTORY, CORPUS = "plan.json", "last.safetensors", "best.safetensors", "history.jsonl", "corpus"
"""Files of a training's folder."""


class NoPlan(PipelineError):
    """A folder holds no plan, or one that this code cannot carry out."""


class Plan(Config):
    """A training.

    Attributes:
        shape: of the network.
        config: what it is shown and how it learns.
        steps: after which it is done.
        scenes: how somebody goes and what it looks like.
        corpus: digest of what it learns from.
        code: names the source.
    """

    shape: Shape
    config: TrajectoriesConfig
    steps: int = Field(gt=0)
    scenes: ScenesConfig
    corpus: str
    code: str = ""

    @property
    def version(self) -> str:
        """Names the model that comes of it: its size and twelve hex digits of everything it depends on."""
        return f"{self.shape.name}-{input_hash(config_hash(self))[:12]}"

    def save(self, folder: Path) -> None:
        """Writes it."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / PLAN).write_text(self.model_dump_json(indent=1), encoding="utf-8")


def planned(shape: Shape, config: TrajectoriesConfig, scenes: ScenesConfig, *, corpus: str, steps: int = 0) -> Plan:
    """The plan of this code for a shape.

    Args:
        shape: of the network.
        config: how it learns.
        scenes: how somebody goes and what it looks like.
        corpus: digest of what it learns from.
        steps: those of the configuration if 0.
    """
    return Plan(
        shape=shape, config=config, steps=steps or config.training.steps, scenes=scenes, corpus=corpus,
        code=code_version(*CODE),
    )  # fmt: skip


def read_plan(folder: Path) -> Plan:
    """The plan of a folder.

    Raises:
        NoPlan: if there is none that can be read.
    """
    try:
        return Plan.model_validate_json((folder / PLAN).read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise NoPlan(f"{folder.name}: {error}") from error
