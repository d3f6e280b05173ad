"""The kernel's own tables of constants agree with what is declared elsewhere."""

from configs.features import FeaturesConfig
from pipeline.events.model import EVENT_TYPES
from pipeline.features import kernel
from pipeline.features.definition import FEATURES, NAMES
from pipeline.features.pack import _COLUMNS


def _codes(first: str, count: int) -> list[str]:
    names = list(vars(kernel))
    start = names.index(first)
    return names[start : start + count]


def test_the_kernel_knows_the_features_in_their_declared_order():
    named = [name.removesuffix("_F").lower() for name in _codes("SPEED_MPS", kernel.FEATURE_COUNT)]
    assert tuple(named) == NAMES
    assert [vars(kernel)[name] for name in _codes("SPEED_MPS", kernel.FEATURE_COUNT)] == list(range(len(FEATURES)))


def test_the_kernel_knows_only_declared_events_and_limits():
    assert set(kernel.KINDS) - {"NOTHING"} <= set(EVENT_TYPES)
    assert set(kernel.LIMITS) <= set(FeaturesConfig.model_fields)
    assert len(kernel.LIMITS) == kernel.TEAMMATE_DEATH + 1


def test_events_are_packed_in_the_kernels_columns():
    short = [name.removesuffix("_mm").removesuffix("_mdeg") for name in _COLUMNS]
    assert short == [name.lower() for name in _codes("KIND", kernel.EVENT_COLUMNS)]


def test_the_compiled_kernel_is_cached_beside_its_source_or_where_numba_is_told():
    assert kernel.run.stats.cache_path
