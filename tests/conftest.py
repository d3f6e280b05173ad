"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real matches; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("GRIDMOTION_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "cs2").is_dir():
        pytest.skip(f"real matches not found in {folder} (set GRIDMOTION_SHARED_DATA)")
    return folder
