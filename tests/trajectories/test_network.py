"""The transformer: its size, where it begins, and that it cannot see what it has to find."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from configs.scenes import ScenesConfig, load_scenes
from configs.trajectories import TrajectoriesConfig
from pipeline.scenes.joints import LEFT_FOOT, bones
from pipeline.trajectories.baselines import constant_velocity, damped_velocity
from pipeline.trajectories.batches import Batch, Batches
from pipeline.trajectories.corpus import STORY, Corpus
from pipeline.trajectories.plan import Plan
from pipeline.trajectories.shape import Shape, UnknownSize

pytest.importorskip("torch")


def _shape(size: str, config: TrajectoriesConfig, text: int = 1024) -> Shape:
    return Shape.of(size, config, load_scenes(), text=text, encoder="e")


@pytest.mark.parametrize(
    ("size", "millions"), [("base", 4.9), ("large", 10.9), ("base_frames", 4.9), ("large_frames", 11.0)]
)
def test_sizes_have_the_parameters_that_they_say(size: str, millions: float, config: TrajectoriesConfig) -> None:
    from pipeline.trajectories.network import Network

    shape = _shape(size, config)
    network = Network(shape)  # counts them itself
    assert sum(p.numel() for p in network.parameters()) == shape.parameters
    read = sum(p.numel() for part in (network.text, network.recalled) for p in part.parameters())
    assert shape.reading_parameters == read
    assert shape.parameters - read == pytest.approx(millions * 1e6, rel=0.02)  # what runs for every token


def test_an_unknown_size_and_a_patch_that_does_not_fit_are_refused(config: TrajectoriesConfig) -> None:
    with pytest.raises(UnknownSize, match="tiny, small, base"):
        _shape("huge", config)
    odd = config.model_copy(update={"sizes": {"odd": config.sizes["tiny"].model_copy(update={"patch": 7})}})
    with pytest.raises(UnknownSize, match="patches of 7"):
        _shape("odd", odd)


@pytest.fixture(scope="module")
def batch(corpus: Corpus, config: TrajectoriesConfig, scenes: ScenesConfig) -> Batch:
    return Batches(corpus, config, scenes, 25, 3).of(
        corpus.where("train")[::9], known=50, has_text=True, pose_known=True
    )


def test_untrained_a_forecast_is_near_the_velocity_that_dies_away(plan: Callable[..., Plan], batch: Batch) -> None:
    from pipeline.trajectories.network import Network, shown

    shape = plan().shape
    nothing = replace(batch, alike=np.zeros_like(batch.alike), recalled=np.zeros_like(batch.recalled))
    found = Network(shape).eval()(shown(nothing)).way.detach().numpy()
    off = np.abs(found - damped_velocity(batch, shape.damping_s)).max(axis=(1, 2))
    assert off.max() < 0.1 * max(np.abs(batch.velocity).max() * shape.damping_s, 1.0)
    assert not np.allclose(found, constant_velocity(batch), atol=0.1)


def test_what_it_has_to_find_changes_nothing_of_what_it_finds(plan: Callable[..., Plan], batch: Batch) -> None:
    import torch

    from pipeline.trajectories.network import Network, shown

    network = Network(plan().shape).eval()
    torch.nn.init.normal_(network.position[-1].weight)
    given = shown(batch)
    hidden = ~given.seen[..., None]
    other = given._replace(
        way=torch.where(hidden, given.way + 3.0, given.way), pose=torch.where(hidden, given.pose * 2.0, given.pose),
        heading=torch.where(given.look_seen, given.heading, given.heading + 1.0), actions=given.actions * 0,
    )  # fmt: skip
    one, two = network(given), network(other)
    for name in ("pose", "way", "velocity", "actions"):
        assert torch.equal(getattr(one, name), getattr(two, name))
    seen = given.seen
    assert torch.equal(one.way[seen], given.way[seen])
    assert not torch.allclose(network(given._replace(text=given.text + 0.5)).way, one.way)
    assert not torch.allclose(network(given._replace(alike=given.alike + 0.5)).way, one.way)


def test_bones_are_as_long_as_they_are_whatever_the_weights(
    plan: Callable[..., Plan], batch: Batch, scenes: ScenesConfig
) -> None:
    import torch

    from pipeline.trajectories.network import Network, shown

    network = Network(plan().shape).eval()
    torch.nn.init.normal_(network.angles.weight, std=3.0)
    given = shown(batch)
    pose = network(given).pose[given.has_pose].detach().numpy()
    joints = pose.reshape(*pose.shape[:2], 10, 2)
    for (a, b), length in bones(scenes.human).items():
        assert np.linalg.norm(joints[:, :, a] - joints[:, :, b], axis=-1) == pytest.approx(length, rel=1e-3)
    assert joints[:, :, LEFT_FOOT].std() > 0.1


def test_from_a_text_alone_the_speed_is_that_of_the_velocity_head(
    plan: Callable[..., Plan], corpus: Corpus, config: TrajectoriesConfig, scenes: ScenesConfig
) -> None:
    from pipeline.trajectories.network import Network, shown

    told = Batches(corpus, config, scenes, 25, 3).of(corpus.where("train", STORY)[:4], known=0, has_text=True)
    found = Network(plan().shape).eval()(shown(told))
    moved = np.diff(found.way.detach().numpy(), axis=1) * corpus.fps
    assert np.allclose(moved, found.velocity.detach().numpy()[:, 1:], atol=1e-2)
    assert (found.way[:, 0] == 0).all()
