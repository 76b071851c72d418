"""What the tests share: where the real data sets are, if they are here."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The mirror folder of real data sets; the test is skipped where there is none."""
    path = Path(os.environ.get("ARMILLARY_MIRROR", ROOT.parent / "shared" / "data"))
    if not (path / "clusters").is_dir():
        pytest.skip(f"no mirror of the real data sets at {path} (set ARMILLARY_MIRROR)")
    return path


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture
def rng():
    """A generator with a fixed seed."""
    import numpy as np

    return np.random.default_rng(20260101)
