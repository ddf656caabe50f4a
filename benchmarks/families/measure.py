"""A theory, sampled without a training; in a module that a new process finds."""

import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.report import environment, made
from flowlat.config.compose import compose, validate
from flowlat.config.schemas import SampleConfig
from flowlat.sampling.draw import draw


def overrides(m2: float, lam: float, shape: tuple[int, ...]) -> list[str]:
    """Of ``sample.py``, for a theory."""
    sides = ",".join(map(str, shape))
    return [
        f"lattice={len(shape)}d",
        f"lattice.shape=[{sides}]",
        f"action.m2={m2}",
        f"action.lam={lam}",
    ]


def sampled(m2: float, lam: float, shape: tuple[int, ...], samples: int) -> dict[str, Any]:
    """``python sample.py`` with no checkpoint: so many samples, and what its summary says."""
    theory = [*overrides(m2, lam, shape), f"n_samples={samples}", "family.extrapolate=true"]
    config = validate(compose([*theory, "save_configs=false", "threads=1"], "sample"), SampleConfig)
    with tempfile.TemporaryDirectory() as scratch:
        before = time.process_time()
        drawn = draw(config, made(Path(scratch) / "draw"))
        cpu_seconds = time.process_time() - before
    return {
        "cpu_seconds": cpu_seconds,
        **{key: drawn[key] for key in ("n_samples", "ess", "acceptance", "log_z", "sign_balance")},
        "warnings": drawn.get("warnings"),
        "environment": environment(),
    }
