"""Systematic errors of log Z, and the steps that bring them under those of an earlier version.

Of this version it is what remains of them when the offset of a calibration is taken off, as every
sampler does: :func:`flowlat.flows.calibration.calibrate`.
"""

import math
from collections.abc import Mapping

import torch

from benchmarks.flow.contender import BEFORE, FUSED, TORCH, Contender
from flowlat.flows.calibration import shift

#: configurations that an error is measured on, and steps of the fine solution
MEASURED, FINE = 256, 12


def errors_of(contenders: Mapping[str, Contender]) -> dict[str, float]:
    """Systematic errors of log Z; those of this version in as few steps as that before allows."""
    shape = contenders[FUSED].flow.lattice.shape
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(MEASURED, *shape, generator=generator, dtype=torch.float64)

    def in_steps(steps: int) -> torch.Tensor:
        for name in (TORCH, FUSED):
            contenders[name].solver.evaluation_steps = steps
        return contenders[FUSED].log_weights(noise)

    fine = in_steps(FINE)

    def remaining(steps: int) -> float:
        """The error of an offset that is measured against one step more, and of that solution."""
        of_finer, _ = shift(in_steps(steps + 1), fine)
        _, error = shift(in_steps(steps), fine)
        return math.hypot(of_finer, error)

    steps = contenders[FUSED].solver._method()[1]
    errors = {}
    if BEFORE in contenders:
        limit = errors[BEFORE] = math.hypot(*shift(contenders[BEFORE].log_weights(noise), fine))
        steps = next(n for n in range(1, FINE) if remaining(n) <= limit)
    errors[TORCH] = errors[FUSED] = remaining(steps)
    return errors
