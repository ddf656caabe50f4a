"""A row with a seed; in a module that a new process finds, as it does not find a ``__main__``."""

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.quality.measure import measure


def run(overrides: str, seed: int, samples: int) -> dict[str, Any]:
    """Train with these overrides of ``train.py``, and draw so many samples."""
    with tempfile.TemporaryDirectory() as scratch:
        return measure([*overrides.split(), f"seed={seed}"], samples, Path(scratch))
