"""What tests of scenes share."""

import pytest

from configs.scenes import ScenesConfig, load_scenes


@pytest.fixture(scope="session")
def config() -> ScenesConfig:
    """The configuration as it is."""
    return load_scenes()
