"""Where the real songs are; tests that need them are skipped, visibly, where they are not."""

import os
from pathlib import Path

import pytest

_DEFAULT = Path(__file__).parents[1] / ".." / "shared" / "data"
REAL_DATA = Path(os.environ.get("MSD_JAX_REAL_DATA", _DEFAULT)).resolve()

needs_real_data = pytest.mark.skipif(
    not (REAL_DATA / "msd-3-genre-train.npz").is_file(),
    reason=f"no real songs in {REAL_DATA} (set MSD_JAX_REAL_DATA)",
)
