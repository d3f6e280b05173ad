"""The kernel's own tables of constants agree with what is declared elsewhere."""

import pytest
from pydantic import ValidationError

from configs.features import FeaturesConfig
from pipeline.events.model import EVENT_TYPES
from pipeline.features import kernel
from pipeline.features.definition import FEATURES, NAMES, declared
from pipeline.features.pack import _COLUMNS


def _codes(first: str, count: int) -> list[str]:
    names = list(vars(kernel))
    start = names.index(first)
    return names[start : start + count]


def _declared_name(code: str, limits: FeaturesConfig) -> str:
    """A kernel's constant with its window or radius in numbers."""
    name = code.removesuffix("_F")
    for word, ms in (("SHORT", limits.short_window_ms), ("LONG", limits.long_window_ms)):
        name = name.replace(f"_{word}", f"_{ms // 1000}s")
    for word, mm in zip(("CLOSE", "NEAR", "FAR"), limits.radii_mm, strict=True):
        name = name.replace(f"_WITHIN_{word}", f"_WITHIN_{mm // 1000}m")
    return name.lower()


def test_the_kernel_knows_the_features_in_their_declared_order(limits):
    codes = _codes("SPEED_MPS", kernel.FEATURE_COUNT)
    assert tuple(_declared_name(code, limits) for code in codes) == NAMES
    assert [vars(kernel)[code] for code in codes] == list(range(len(FEATURES)))


def test_every_feature_says_what_it_means_in_what_unit_and_when_it_is_null():
    assert len(set(NAMES)) == len(FEATURES)
    for feature in FEATURES:
        assert feature.unit and feature.meaning and bool(feature.null) == (feature.group != "quality"), feature.name


def test_names_follow_the_configured_windows_and_radii(limits):
    other = limits.model_copy(
        update={"short_window_ms": 2000, "long_window_ms": 6000, "radii_mm": (1000, 2000, 30_000)}
    )
    changed = {feature.name for feature in declared(other)} - set(NAMES)
    assert {"speed_max_2s_mps", "path_6s_m", "enemies_within_30m"} <= changed and "hp" not in changed
    for wrong in ({"radii_mm": (1, 2, 3)}, {"long_window_ms": 1000}, {"max_step_gap_ms": 5000}):
        with pytest.raises(ValidationError):
            FeaturesConfig.model_validate(limits.model_dump() | wrong)


def test_the_kernel_knows_only_declared_events_and_limits():
    assert set(kernel.KINDS) - {"NOTHING"} <= set(EVENT_TYPES)
    assert set(kernel.LIMITS) <= set(FeaturesConfig.model_fields)
    assert len(kernel.LIMITS) == kernel.TEAMMATE_DEATH + 1 == kernel.RADIUS_CLOSE


def test_events_are_packed_in_the_kernels_columns():
    short = [name.removesuffix("_mm").removesuffix("_mdeg") for name in _COLUMNS]
    assert short == [name.lower() for name in _codes("KIND", kernel.EVENT_COLUMNS)]


def test_the_compiled_kernel_is_cached_beside_its_source_or_where_numba_is_told():
    assert kernel.run.stats.cache_path
