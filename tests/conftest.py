"""What the tests share: where the real data sets are, if they are here."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
os.environ["NPROC"] = "1"  # XLA's pool of threads: see rules/hsc.smk, hsc_infer_prior
FIRST = ("tests/workflow/test_slurm.py", "tests/workflow/")


def pytest_collection_modifyitems(items):
    """The rehearsal of Slurm, which waits most, then the end-to-end runs: last, they would leave processes idle."""

    def place(item):
        path = item.path.relative_to(ROOT).as_posix()
        return next((i for i, start in enumerate(FIRST) if path.startswith(start)), len(FIRST))

    items.sort(key=place)


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
