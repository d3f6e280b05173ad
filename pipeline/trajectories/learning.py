"""The training: from a corpus to weights, on a processor, a graphics card, or several.

Belongs here: the loop, its state on disk. Does not belong here: the process it runs in, where its figures go
(`resources.training`), what it learns from (corpus, batches).

A step depends on nothing but the plan, its number and the weights before it, so a training that is killed goes on from
its last checkpoint and comes to the same losses. Under torchrun each process takes its share of every batch.
"""

import json
import math
import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed, nn

from pipeline.errors import PipelineError
from pipeline.trajectories import checkpoint
from pipeline.trajectories.batches import Batch, Batches
from pipeline.trajectories.corpus import RECORDED, STORY, Corpus
from pipeline.trajectories.losses import losses
from pipeline.trajectories.network import Network, Shown, shown
from pipeline.trajectories.plan import BEST, HISTORY, LAST, Plan

LOSSES = ("total", "position", "told", "speed", "direction", "action", "pose", "foot")
_POSES = 2000  # samples whose poses give mean and spread


class NotThisTraining(checkpoint.DamagedWeights):
    """A folder's checkpoint is of another plan."""


class NoStep(PipelineError):
    """The time was up before a step was made."""


@dataclass(frozen=True)
class Progress:
    """What a training tells on its way.

    Attributes:
        step: number of the next step.
        steps: of the plan.
        figures: losses of a batch, or measures of the validation, by name; `samples_s` is the speed.
        kind: `train`, `validation` or `done`.
    """

    step: int
    steps: int
    figures: dict[str, float]
    kind: str

    def to_json(self) -> str:
        """On one line."""
        return json.dumps({"kind": self.kind, "step": self.step, "steps": self.steps, **self.figures})


Listen = Callable[[Progress], None]


@dataclass(frozen=True)
class Place:
    """Which of how many processes this is, and what it computes on."""

    rank: int
    world: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether it is the one that writes."""
        return self.rank == 0

    @classmethod
    def here(cls) -> "Place":
        """By what torchrun says in the environment; alone without it."""
        world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
        has_cards = torch.cuda.is_available()
        name = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if has_cards else "cpu"
        if world > 1 and not distributed.is_initialized():
            distributed.init_process_group("nccl" if has_cards else "gloo")
        return cls(rank, world, torch.device(name))


class Training:
    """A training in its folder.

    Args:
        folder: holds its state; one that was begun goes on.
        plan: what to do.
        corpus: what to learn from, with vectors.
        place: where it runs.

    Raises:
        NotThisTraining: if the folder's checkpoint is of another plan.
        DamagedWeights: if it cannot be read.
    """

    def __init__(self, folder: Path, plan: Plan, corpus: Corpus, place: Place | None = None) -> None:
        self.folder, self.plan, self.place = folder, plan, place or Place.here()
        config = plan.config.training
        self.batches = Batches(corpus, plan.config, plan.scenes, plan.shape.patch, config.seed)
        self.network = Network(plan.shape).to(self.place.device)
        self._measure_poses(corpus)
        self.step, self.best = 0, math.inf
        rate = config.learning_rate * math.sqrt(256 / plan.shape.width)
        matrices = [p for p in self.network.parameters() if p.ndim > 1]
        others = [p for p in self.network.parameters() if p.ndim <= 1]
        groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
        self._rate, self.optimizer = rate, torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98))
        self.average = {name: p.detach().clone() for name, p in self.network.named_parameters()}
        if (folder / LAST).exists():
            self._resume()
        elif self.place.leads:
            (folder / HISTORY).unlink(missing_ok=True)  # of a training killed before it kept anything
        self._validation = _validation_parts(self.batches, corpus, plan)

    # -- state -------------------------------------------------------------------------------------------------------

    def _measure_poses(self, corpus: Corpus) -> None:
        learned = self.batches.learned
        learned = learned[corpus.kind[learned] != RECORDED]
        if not len(learned):
            return
        at = learned[np.linspace(0, len(learned) - 1, min(_POSES, len(learned))).astype(int)]
        pose = self.batches.of(at, known=0, has_text=False).pose[:, ::5].reshape(-1, self.network.pose_mean.numel())
        self.network.pose_mean.copy_(torch.from_numpy(pose.mean(axis=0)))
        self.network.pose_spread.copy_(torch.from_numpy(np.maximum(pose.std(axis=0), 0.02)))

    def _resume(self) -> None:
        path = self.folder / LAST
        tensors, words = checkpoint.load(path)
        if words.get("version") != self.plan.version:
            raise NotThisTraining(
                f"{path.name} is of the training {words.get('version')}, not of {self.plan.version}: train in another "
                "folder, or remove it"
            )
        state = self.network.state_dict()
        checkpoint.filled(self.network, {name: tensors[f"model.{name}"] for name in state}, path)
        self.step, self.best = int(words["step"]), float(words["best"])
        for name, parameter in self.network.named_parameters():
            self.average[name].copy_(tensors[f"average.{name}"])
            self.optimizer.state[parameter] = {
                "step": torch.tensor(float(self.step)),
                "exp_avg": tensors[f"first.{name}"].to(self.place.device),
                "exp_avg_sq": tensors[f"second.{name}"].to(self.place.device),
            }
        if self.place.leads and (self.folder / HISTORY).exists():
            lines = (self.folder / HISTORY).read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= self.step]
            (self.folder / HISTORY).write_text("".join(kept), encoding="utf-8")

    def _keep(self) -> None:
        """Writes all that a training needs to go on."""
        if not self.place.leads:
            return
        tensors = {f"model.{name}": value for name, value in self.network.state_dict().items()}
        for name, parameter in self.network.named_parameters():
            state = self.optimizer.state[parameter]
            tensors[f"average.{name}"] = self.average[name]
            tensors[f"first.{name}"], tensors[f"second.{name}"] = state["exp_avg"], state["exp_avg_sq"]
        words = {"version": self.plan.version, "step": str(self.step), "best": repr(self.best)}
        checkpoint.save(self.folder / LAST, tensors, words)

    def _keep_best(self, figures: dict[str, float]) -> None:
        if not self.place.leads:
            return
        tensors = {**self.network.state_dict(), **self.average}
        words = {
            "version": self.plan.version, "step": str(self.step), "steps": str(self.plan.steps),
            "shape": self.plan.shape.model_dump_json(), "figures": json.dumps(figures), "corpus": self.plan.corpus,
        }  # fmt: skip
        checkpoint.save(self.folder / BEST, tensors, words)

    # -- the loop ----------------------------------------------------------------------------------------------------

    def run(self, listen: Listen, *, seconds: float = math.inf) -> Progress:
        """Learns until the plan is done or the time is up; what it tells goes to the folder's history too.

        Args:
            listen: told of the progress.
            seconds: after which it stops with a checkpoint.

        Raises:
            NoStep: if not one was made in that time; what was kept before stays.
        """
        plan, config = self.plan, self.plan.config.training
        network: nn.Module = self.network
        if self.place.world > 1:
            network = nn.parallel.DistributedDataParallel(self.network, find_unused_parameters=False)
        began, before, done, first = time.monotonic(), time.monotonic(), self.step, self.step
        if self.step == 0:
            self._validate(listen)
        while self.step < plan.steps and not self._is_over(time.monotonic() - began > seconds):
            found = self.learn(network)
            self.step += 1
            if self.step % config.log_every == 0 or self.step == plan.steps:
                now = time.monotonic()
                speed = (self.step - done) * config.batch / max(now - before, 1e-9)
                before, done = now, self.step
                figures = {name: float(value) for name, value in found.items()}
                self._tell(listen, "train", {**figures, "rate": self._rate_now(), "samples_s": speed})
            if self.step % config.validate_every == 0 or self.step == plan.steps:
                self._validate(listen)
            if self.step % config.checkpoint_every == 0:
                self._keep()
        if self.step == first < plan.steps:
            raise NoStep(
                f"no step was made in {seconds:.3g} s, it stands at {first:,} of {plan.steps:,}: give it more time "
                "(--minutes)"
            )
        self._keep()
        end = Progress(self.step, plan.steps, {"best": self.best}, "done")
        if self.place.leads:
            listen(end)
        return end

    def _is_over(self, mine: bool) -> bool:
        """Whether time is up, by the clock of the process that leads, so that all stop at the same step."""
        if self.place.world == 1:
            return mine
        said = torch.tensor([mine], dtype=torch.int32, device=self.place.device)
        distributed.broadcast(said, 0)
        return bool(said.item())

    def learn(self, network: nn.Module | None = None) -> dict[str, Tensor]:
        """One step; tells its losses.

        Args:
            network: where the own one is wrapped for several processes.
        """
        config = self.plan.config.training
        torch.manual_seed(config.seed * 1_000_003 + self.step * self.place.world + self.place.rank)
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate_now()
        batch = self.batches.drawn(self.step, config.batch)
        given = shown(batch.part(slice(self.place.rank, None, self.place.world)), self.place.device)
        self.network.train()
        with self._precision():
            found = (network or self.network)(given)
        each = losses(self.network, given, found, self.plan.config.losses, self.plan.scenes.limits.contact_m)
        self.optimizer.zero_grad(set_to_none=True)
        each["total"].backward()  # type: ignore[no-untyped-call]  # torch does not type it
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), config.clip)
        self.optimizer.step()
        decay = min(config.ema, (1.0 + self.step) / (10.0 + self.step))
        with torch.no_grad():
            for name, parameter in self.network.named_parameters():
                self.average[name].lerp_(parameter, 1.0 - decay)
        return {name: value.detach() for name, value in each.items()} | {"gradient": norm.detach()}

    def _precision(self) -> Any:
        """Half the bits where the device computes faster with them."""
        if self.place.device.type == "cuda" and torch.cuda.is_bf16_supported():
            return torch.autocast("cuda", torch.bfloat16)
        return nullcontext()

    def _rate_now(self) -> float:
        config, steps = self.plan.config.training, self.plan.steps
        if self.step < config.warmup:
            return self._rate * (self.step + 1) / config.warmup
        gone = (self.step - config.warmup) / max(steps - config.warmup, 1)
        floor = config.final_share
        return self._rate * (floor + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * min(gone, 1.0))))

    # -- validation --------------------------------------------------------------------------------------------------

    def _validate(self, listen: Listen) -> None:
        if not self.place.leads or not self._validation:
            if self.place.leads:
                self._keep_best({})
            return
        figures = self.validated()
        if figures["error_m"] < self.best:
            self.best = figures["error_m"]
            self._keep_best(figures)
        self._tell(listen, "validation", {**figures, "best": self.best})

    @torch.no_grad()
    def validated(self) -> dict[str, float]:
        """Mean position errors in metres of the averaged weights: of each part, and of all as `error_m`."""
        own = {name: parameter.detach().clone() for name, parameter in self.network.named_parameters()}
        for name, parameter in self.network.named_parameters():
            parameter.copy_(self.average[name])
        self.network.eval()
        figures = {name: self._error(batch) for name, batch in self._validation.items()}
        for name, parameter in self.network.named_parameters():
            parameter.copy_(own[name])
        return {**figures, "error_m": float(np.mean(list(figures.values())))}

    def _error(self, batch: Batch) -> float:
        size, off, count = self.plan.config.training.batch, 0.0, 0
        for first in range(0, len(batch), size):
            given: Shown = shown(batch.part(slice(first, first + size)), self.place.device)
            wrong = torch.linalg.vector_norm(self.network(given).way - given.way, dim=-1)
            off, count = off + float(wrong[~given.seen].sum()), count + int((~given.seen).sum())
        return off / max(count, 1)

    def _tell(self, listen: Listen, kind: str, figures: dict[str, float]) -> None:
        if not self.place.leads:
            return
        progress = Progress(self.step, self.plan.steps, figures, kind)
        with (self.folder / HISTORY).open("a", encoding="utf-8") as file:
            file.write(progress.to_json() + "\n")
        listen(progress)


def _validation_parts(batches: Batches, corpus: Corpus, plan: Plan) -> dict[str, Batch]:
    """Stories from their text alone, stories from their beginning alone, recordings."""
    known = round(plan.config.known.seconds * corpus.fps)
    out: dict[str, Batch] = {}
    for name, kind, frames, has_text in (
        ("story_text", STORY, 0, True), ("story_forecast", STORY, known, False), ("recorded", RECORDED, known, True),
    ):  # fmt: skip
        at = corpus.where("validation", kind)
        if len(at):
            some = at[np.linspace(0, len(at) - 1, min(plan.config.training.validation, len(at))).astype(int)]
            out[name] = batches.of(some, known=frames, has_text=has_text)
    return out


__all__ = ["LOSSES", "NoStep", "NotThisTraining", "Place", "Progress", "Training"]
