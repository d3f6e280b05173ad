"""The transformer: its size, where it begins, and that it cannot see what it has to find."""

from collections.abc import Callable

import numpy as np
import pytest

from configs.scenes import ScenesConfig
from configs.trajectories import TrajectoriesConfig
from pipeline.trajectories.baselines import constant_velocity, damped_velocity
from pipeline.trajectories.batches import Batch, Batches
from pipeline.trajectories.corpus import Corpus
from pipeline.trajectories.plan import Plan
from pipeline.trajectories.shape import Shape, UnknownSize

pytest.importorskip("torch")


def _shape(size: str, config: TrajectoriesConfig, text: int = 1024) -> Shape:
    return Shape.of(size, config, text=text, encoder="e", fps=25, head_m=0.73)


@pytest.mark.parametrize(
    ("size", "millions"), [("base", 5.2), ("large", 11.5), ("base_frames", 5.2), ("large_frames", 11.5)]
)
def test_sizes_have_the_parameters_that_they_say(size: str, millions: float, config: TrajectoriesConfig) -> None:
    from pipeline.trajectories.network import Network

    shape = _shape(size, config)
    assert shape.parameters == pytest.approx(millions * 1e6, rel=0.05)
    network = Network(shape)  # counts them itself
    assert sum(p.numel() for p in network.parameters()) == shape.parameters


def test_an_unknown_size_and_a_patch_that_does_not_fit_are_refused(config: TrajectoriesConfig) -> None:
    with pytest.raises(UnknownSize, match="tiny, small, base"):
        _shape("huge", config)
    odd = config.model_copy(update={"sizes": {"odd": config.sizes["tiny"].model_copy(update={"patch": 7})}})
    with pytest.raises(UnknownSize, match="patches of 7"):
        _shape("odd", odd)


@pytest.fixture(scope="module")
def batch(corpus: Corpus, config: TrajectoriesConfig, scenes: ScenesConfig) -> Batch:
    return Batches(corpus, config, scenes.human.head, 5, 3).of(
        corpus.where("train")[::9], known=50, has_text=True, pose_known=True
    )


@pytest.mark.parametrize("position", ["constant", "damped", "step"])
def test_untrained_it_is_the_baseline_that_it_adds_to(position: str, plan: Callable[..., Plan], batch: Batch) -> None:
    from pipeline.trajectories.network import Network, shown

    shape = plan(position=position).shape
    found = Network(shape).eval()(shown(batch)).way.detach().numpy()
    baseline = {
        "constant": constant_velocity(batch),
        "damped": damped_velocity(batch, shape.damping_s),
        "step": damped_velocity(batch, shape.damping_s),
    }
    assert np.allclose(found, baseline[position], atol=1e-4)


@pytest.mark.parametrize("position", ["damped", "step"])
def test_what_it_has_to_find_changes_nothing_of_what_it_finds(
    position: str, plan: Callable[..., Plan], batch: Batch
) -> None:
    import torch

    from pipeline.trajectories.network import Network, shown

    network = Network(plan(position=position).shape).eval()
    torch.nn.init.normal_(network.position[-1].weight)
    given = shown(batch)
    hidden = ~given.seen[..., None]
    other = given._replace(
        way=torch.where(hidden, given.way + 3.0, given.way), pose=torch.where(hidden, given.pose * 2.0, given.pose),
        heading=torch.where(given.look_seen, given.heading, given.heading + 1.0),
    )  # fmt: skip
    one, two = network(given), network(other)
    assert torch.equal(one.pose, two.pose)
    assert torch.equal(one.way, two.way)
    seen = given.seen
    assert torch.equal(one.way[seen], given.way[seen])
    assert not torch.allclose(network(given._replace(text=given.text + 0.5)).way, one.way)
