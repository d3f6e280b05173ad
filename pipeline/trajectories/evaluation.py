"""How well a model predicts where people go, and how true what it makes up is.

Belongs here: measures of a model on what was held out, beside those of the baselines. Does not belong here: words and
pictures for people (report), the measures of samples themselves (`pipeline.scenes.validation`).
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from configs.scenes import ScenesConfig, load_scenes
from configs.trajectories import EvaluationConfig, TrajectoriesConfig, load_trajectories
from pipeline.scenes.joints import FEET, bones
from pipeline.scenes.kinematics import retraced
from pipeline.scenes.validation import action_speeds, slide_mps
from pipeline.trajectories import baselines
from pipeline.trajectories.batches import Batches
from pipeline.trajectories.bodies import walked
from pipeline.trajectories.corpus import RECORDED, STORY, Corpus, scale_of
from pipeline.trajectories.model import TrajectoryModel
from pipeline.trajectories.recognition import Recogniser, looks
from pipeline.trajectories.samples import Samples

Floats = NDArray[np.float32]
WHOLE = "whole"
MODEL = "model"


@dataclass(frozen=True)
class Judgement:
    """What was measured.

    Attributes:
        forecasts: `part`, `samples`, `method`, `horizon` (`whole` or seconds), `ade_m`, `fde_m`, and of the model's
            gain the `low` and `high` end of its interval.
        gains: `part`, `horizon`, `best` (of the plain baselines), `gain` (share of its ADE), `low`, `high`, `goal`,
            `met`.
        motions: `part`, `motion` (`true`, `static`, `nearest_prompt`, `model` as found, `finished`), `measure`,
            `value`.
        speeds: `part`, `action`, `frames`, `mps`, `table_mps`, `off`.
    """

    forecasts: pl.DataFrame
    gains: pl.DataFrame
    motions: pl.DataFrame
    speeds: pl.DataFrame


def judged(
    model: TrajectoryModel,
    corpus: Corpus,
    config: TrajectoriesConfig | None = None,
    scenes: ScenesConfig | None = None,
) -> Judgement:
    """All measures of a model on what was held out of a corpus.

    Args:
        model: to be judged.
        corpus: read by the encoder that the model learned with.
        config: defaults to `configs/trajectories.yaml`.
        scenes: defaults to `configs/scenes.yaml`.
    """
    config, scenes = config or load_trajectories(), scenes or load_scenes()
    judge = _Judge(model, corpus, config, scenes)
    parts = {"matches": ("test", RECORDED, True), "stories": ("test", STORY, False)}
    parts |= {"stories, told": ("test", STORY, True), "held-out theme": ("theme", STORY, False)}
    forecasts = [judge.forecast(name, *part) for name, part in parts.items()]
    found = (
        pl.concat([rows for rows in forecasts if rows is not None])
        if any(rows is not None for rows in forecasts)
        else _no_forecast()
    )
    motions, speeds = [], []
    for name, split in (("test", "test"), ("paraphrase", "paraphrase"), ("theme", "theme")):
        made = judge.generation(name, split)
        if made is not None:
            motions.append(made[0])
            speeds.append(made[1])
    return Judgement(
        found,
        gains(found, config),
        pl.concat(motions) if motions else pl.DataFrame(schema=_MOTIONS),
        pl.concat(speeds) if speeds else pl.DataFrame(schema=_SPEEDS),
    )


_MOTIONS = {"part": pl.String, "motion": pl.String, "measure": pl.String, "value": pl.Float64}
_SPEEDS = {
    "part": pl.String, "action": pl.String, "frames": pl.Int64, "mps": pl.Float64, "table_mps": pl.Float64,
    "off": pl.Float64,
}  # fmt: skip
_FORECASTS = {
    "part": pl.String, "samples": pl.Int64, "method": pl.String, "horizon": pl.String, "ade_m": pl.Float64,
    "fde_m": pl.Float64, "low": pl.Float64, "high": pl.Float64,
}  # fmt: skip


def _no_forecast() -> pl.DataFrame:
    return pl.DataFrame(schema=_FORECASTS)


def errors(
    found: Floats, truth: Floats, known: int, fps: int, horizons_s: tuple[float, ...]
) -> dict[str, tuple[float, float]]:
    """Mean and final displacement error in metres, by horizon in seconds and of the whole clip.

    Args:
        found: `(b, n, 2)` metres.
        truth: likewise.
        known: frames before the forecast; a horizon counts from the last of them.
        fps: frames a second.
        horizons_s: those that are within the sample are looked at.
    """
    each = sample_errors(found, truth, known, fps, horizons_s)
    return {horizon: (float(mean.mean()), float(last.mean())) for horizon, (mean, last) in each.items()}


def sample_errors(
    found: Floats, truth: Floats, known: int, fps: int, horizons_s: tuple[float, ...]
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """As `errors`, of each sample: `(b,)` mean and `(b,)` final errors."""
    off = np.hypot(*np.moveaxis(found.astype(float) - truth, -1, 0))[:, max(known, 1) :]
    out = {}
    for horizon in horizons_s:
        frames = round(horizon * fps)
        if frames <= off.shape[1]:
            out[f"{horizon:g}"] = (off[:, :frames].mean(axis=1), off[:, frames - 1])
    out[WHOLE] = (off.mean(axis=1), off[:, -1])
    return out


def interval(
    own: NDArray[np.float64], plain: NDArray[np.float64], stretches: NDArray[np.int64], config: EvaluationConfig
) -> tuple[float, float]:
    """Between which gains the true one lies, by a bootstrap over stretches whose samples are not independent.

    Args:
        own: `(b,)` errors of the model.
        plain: `(m, b)` errors of the plain baselines, of which the best of each draw counts.
        stretches: `(b,)` to which stretch a sample belongs.
        config: how many draws, how sure.
    """
    count = int(stretches.max()) + 1
    sums = np.stack([np.bincount(stretches, errors, count) for errors in (own, *plain)], axis=1)
    drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1.0 / count), config.draws) @ sums
    gain = 1.0 - drawn[:, 0] / np.maximum(drawn[:, 1:].min(axis=1), 1e-9)
    tail = 0.5 * (1.0 - config.confidence)
    low, high = np.quantile(gain, [tail, 1.0 - tail])
    return float(low), float(high)


def gains(forecasts: pl.DataFrame, config: TrajectoriesConfig) -> pl.DataFrame:
    """How much less the model's ADE is than that of the best of the plain baselines, by part and horizon."""
    goals = {"1": config.goals.forecast_1s, "4": config.goals.forecast_4s}
    rows = []
    for (part, horizon), group in forecasts.group_by("part", "horizon", maintain_order=True):
        plain = group.filter(pl.col("method").is_in(list(baselines.PLAIN))).sort("ade_m").row(0, named=True)
        own = group.filter(pl.col("method") == MODEL)["ade_m"].item()
        gain = 1.0 - own / max(plain["ade_m"], 1e-9)
        goal = goals.get(str(horizon)) if str(part).startswith("matches") else None
        low, high = group.filter(pl.col("method") == MODEL).select("low", "high").row(0)
        rows.append((part, horizon, plain["method"], gain, low, high, goal, None if goal is None else gain >= goal))
    kinds = {
        "part": pl.String, "horizon": pl.String, "best": pl.String, "gain": pl.Float64, "low": pl.Float64,
        "high": pl.Float64, "goal": pl.Float64, "met": pl.Boolean,
    }  # fmt: skip
    return pl.DataFrame(rows, kinds, orient="row")


class _Judge:
    def __init__(
        self, model: TrajectoryModel, corpus: Corpus, config: TrajectoriesConfig, scenes: ScenesConfig
    ) -> None:
        self.model, self.corpus, self.config, self.scenes = model, corpus, config, scenes
        self.head_m = scenes.human.head
        self.batches = Batches(corpus, config, scenes, model.shape.patch, config.training.seed)
        self.known = round(config.known.seconds * corpus.fps)
        stories = corpus.where("train", STORY)
        told = partial(self.batches.of, has_text=False)
        self.nearest = (
            baselines.NearestPrompt(corpus, stories, lambda at, known: told(at, known=known)) if len(stories) else None
        )
        self.recogniser = self._recogniser(stories) if len(stories) else None

    def _some(self, at: NDArray[np.int64], most: int) -> NDArray[np.int64]:
        some: NDArray[np.int64] = at[np.linspace(0, len(at) - 1, min(most, len(at))).astype(int)]
        return some

    def _recogniser(self, stories: NDArray[np.int64]) -> Recogniser:
        most = self.config.evaluation.classifier_rows
        features, actions = looks(self.corpus.samples(self._some(stories, most // 8)), self.head_m)
        return Recogniser.learned(features, actions, most=most)

    # -- forecasts ---------------------------------------------------------------------------------------------------

    def forecast(self, name: str, split: str, kind: int, has_text: bool) -> pl.DataFrame | None:
        """A part's forecasts by all methods; of matches also apart for those who move."""
        at = self.corpus.where(split, kind)
        if not len(at):
            return None
        judged = self.config.evaluation
        at = self._some(at, judged.windows if kind == RECORDED else judged.samples)
        stretches = self._stretches(at, kind)
        batch = self.batches.of(at, known=self.known, has_text=has_text)
        damping = self.config.evaluation.damping_s
        ways = {
            "stay_put": baselines.stay_put(batch),
            "constant_velocity": baselines.constant_velocity(batch),
            "damped_velocity": baselines.damped_velocity(batch, damping),
        }
        if self.nearest is not None and kind != RECORDED:
            vectors = self.corpus.vectors[self.corpus.told[at]]
            ways["nearest_prompt"] = self.nearest.found(batch, vectors, self.known)[0]
        if kind == RECORDED:
            ways["recalled"] = baselines.recalled(batch, damping, self.config.recall.least)
        found = self.model.found(batch).position
        ways = {method: batch.world(way) for method, way in ways.items()} | {MODEL: found}
        truth = batch.world(batch.way)
        rows = self._rows(name, ways, truth, stretches)
        if kind == RECORDED:
            moving = np.hypot(batch.velocity[:, 0], batch.velocity[:, 1]) > self.config.known.going_mps
            if moving.any():
                rows += self._rows(f"{name}, who move", *_some_of(moving, ways, truth, stretches))
            matches = np.array([self.corpus.ids[k].split("/")[0] for k in at])
            for match in np.unique(matches):
                rows += self._rows(f"{name}: {match}", *_some_of(matches == match, ways, truth, stretches))
        return pl.DataFrame(rows, _FORECASTS, orient="row")

    def _stretches(self, at: NDArray[np.int64], kind: int) -> NDArray[np.int64]:
        """Which samples hang together: those of some minutes of a match; of stories each stands alone."""
        if kind != RECORDED:
            return np.arange(len(at))
        told = [self.corpus.ids[k].split("/") for k in at]
        names = [(match, int(t_ms) // round(1000 * self.config.evaluation.block_s)) for match, _, t_ms in told]
        return np.unique(np.array([f"{match}/{block}" for match, block in names]), return_inverse=True)[1]

    def _rows(
        self, name: str, ways: dict[str, Floats], truth: Floats, stretches: NDArray[np.int64]
    ) -> list[tuple[Any, ...]]:
        judged = self.config.evaluation
        each = {
            method: sample_errors(way, truth, self.known, self.corpus.fps, judged.horizons_s)
            for method, way in ways.items()
        }
        rows: list[tuple[Any, ...]] = []
        for method, found in each.items():
            for horizon, (ade, fde) in found.items():
                ends: tuple[float | None, float | None] = (None, None)
                if method == MODEL:
                    plain = np.stack([each[base][horizon][0] for base in baselines.PLAIN])
                    ends = interval(ade, plain, stretches, judged)
                rows.append((name, len(truth), method, horizon, float(ade.mean()), float(fde.mean()), *ends))
        return rows

    # -- motions from text -------------------------------------------------------------------------------------------

    def generation(self, name: str, split: str) -> tuple[pl.DataFrame, pl.DataFrame] | None:
        """Measures of motions from text alone, beside the true ones, the static ones and the nearest prompt's."""
        at = self.corpus.where(split, STORY)
        if not len(at):
            return None
        at = self._some(at, self.config.evaluation.samples)
        truth = self.corpus.samples(at)
        batch = self.batches.of(at, known=0, has_text=True)
        scale = scale_of(truth.joints, self.head_m)
        found = self.model.found(batch)
        motions = {"true": truth, "static": static(truth), MODEL: self._as_samples(truth, found.position, found.joints)}
        motions["finished"] = finished(motions[MODEL], scale, self.scenes)
        if self.nearest is not None:
            vectors = self.corpus.vectors[self.corpus.told[at]]
            way, pose = self.nearest.found(batch, vectors, 0)
            joints = (pose * scale[:, None, None]).reshape(truth.joints.shape)
            motions["nearest_prompt"] = self._as_samples(truth, batch.world(way), joints.astype(np.float32))
        rows = [
            (name, motion, measure, value)
            for motion, samples in motions.items()
            for measure, value in self.measures(samples, truth, scale).items()
        ]
        rows.append((name, MODEL, "done", float((found.actions == truth.actions).mean())))
        speeds = action_speeds(motions["finished"], self.scenes).select(pl.lit(name).alias("part"), pl.all())
        return pl.DataFrame(rows, _MOTIONS, orient="row"), speeds.cast(_SPEEDS)  # type: ignore[arg-type]

    def _as_samples(self, truth: Samples, found: Floats, joints: Floats) -> Samples:
        position = found - found[:, :1]
        headings = [
            retraced(way.astype(float), np.zeros(len(way), np.uint8), float(first), self.scenes).heading
            for way, first in zip(position, truth.heading[:, 0], strict=True)
        ]
        ways = np.diff(position, axis=1, prepend=position[:, :1])
        speed = (np.hypot(ways[..., 0], ways[..., 1]) * truth.fps).astype(np.float32)
        return replace(
            truth, position=position, joints=joints, heading=np.stack(headings).astype(np.float32), speed=speed
        )

    def measures(self, samples: Samples, truth: Samples, scale: Floats) -> dict[str, float]:
        """Realism and agreement of motions with true ones.

        - `ade_m`, `fde_m`: of the whole clip.
        - `way_ratio`: length of all ways together by that of the true ones.
        - `joint_error`: mean distance of joints, as a share of the height.
        - `bone_variation`: standard deviation of a bone's length over its mean, the worst bone's mean over samples.
        - `foot_slide_mps`: of standing feet; `standing`: share of frames in which a foot stands.
        - `too_fast`: share of frames faster than any action allows.
        - `done`, of the model alone: share of frames in which it says that is done what was asked for.
        - `recognised`: share of seconds in which the classifier sees the action that was asked for.
        """
        human, fps = self.scenes.human, samples.fps
        ade, fde = errors(samples.position, truth.position, 0, fps, ())[WHOLE]
        way, true_way = (_lengths(each.position) for each in (samples, truth))
        height = human.height * scale
        off = np.linalg.norm(samples.joints - truth.joints, axis=-1).mean(axis=(1, 2)) / height
        joints = samples.joints.astype(float)
        variation = []
        for a, b in bones(human):
            length = np.linalg.norm(joints[:, :, a] - joints[:, :, b], axis=-1)
            variation.append(float((length.std(axis=1) / length.mean(axis=1)).mean()))
        low = samples.joints[:, :, FEET, 1] < self.scenes.limits.contact_m
        out = {
            "ade_m": ade,
            "fde_m": fde,
            "way_ratio": float(way.sum() / max(true_way.sum(), 1e-9)),
            "joint_error": float(off.mean()),
            "bone_variation": max(variation),
            "foot_slide_mps": float(slide_mps(samples, self.scenes).mean()),
            "standing": float(low.any(axis=2).mean()),
            "too_fast": float((samples.speed > self.scenes.limits.teleport_mps).mean()),
        }
        if self.recogniser is not None:
            features, actions = looks(samples, self.head_m)
            if len(actions):
                out["recognised"] = float((self.recogniser.recognised(features) == actions).mean())
        return out


def _some_of(
    these: NDArray[np.bool_], ways: dict[str, Floats], truth: Floats, stretches: NDArray[np.int64]
) -> tuple[dict[str, Floats], Floats, NDArray[np.int64]]:
    own = np.unique(stretches[these], return_inverse=True)[1]
    return {method: way[these] for method, way in ways.items()}, truth[these], own


def _lengths(position: Floats) -> Floats:
    return np.asarray(np.hypot(*np.moveaxis(np.diff(position, axis=1), -1, 0)).sum(axis=1), np.float32)


def static(samples: Samples) -> Samples:
    """The same, animated in place: limbs move, positions don't."""
    return replace(
        samples, position=np.zeros_like(samples.position), speed=np.zeros_like(samples.speed),
    )  # fmt: skip


def finished(samples: Samples, scale: Floats, scenes: ScenesConfig) -> Samples:
    """As films show it: the pose that was found, with bones as long as they are, on that way smoothed a little."""
    done = [
        walked(samples.position[k], samples.joints[k], float(samples.heading[k, 0]), float(scale[k]), scenes)
        for k in range(len(samples))
    ]
    return replace(
        samples,
        position=np.stack([movement.position for movement, _ in done]).astype(np.float32),
        heading=np.stack([movement.heading for movement, _ in done]).astype(np.float32),
        speed=np.stack([movement.speed for movement, _ in done]).astype(np.float32),
        joints=np.stack([joints for _, joints in done]).astype(np.float32),
    )


__all__ = ["Judgement", "errors", "finished", "gains", "judged", "static"]
