"""Learning-rate schedules as a factor of the step; all advance every step.

A training that has ended and goes on to more epochs begins a new leg, see
:func:`flowlat.training.resume.legs_of`. ``first_step`` is where a leg begins and ``total_steps``
where it ends, both counted from the start of the training, as the step is. What spans a training
spans the leg; what does not know its end (``constant``, ``step``) goes on as if there were one leg.
"""

import math
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

#: of a leg
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


def constant(
    optimizer: Optimizer, total_steps: int, steps_per_epoch: int, first_step: int = 0
) -> LambdaLR:
    """The optimizer's own rate throughout."""
    return LambdaLR(optimizer, lambda step: 1.0)


def step(
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int,
    first_step: int = 0,
    milestones: Sequence[int] = (200,),
    gamma: float = 0.1,
) -> LambdaLR:
    """Times ``gamma`` at each of the epochs ``milestones``, of the training and not of a leg."""

    def factor(step: int) -> float:
        return gamma ** sum(step >= epoch * steps_per_epoch for epoch in milestones)

    return LambdaLR(optimizer, factor)


def warmup_cosine(
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int,
    first_step: int = 0,
    warmup: Fraction = 0.05,
    final: float = 0.0,
) -> LambdaLR:
    """Linear rise over the fraction ``warmup`` of the leg, then a half cosine to ``final``.

    Loshchilov and Hutter, arXiv:1608.03983.
    """
    n_steps = total_steps - first_step
    rise = max(1, round(warmup * n_steps))

    def factor(step: int) -> float:
        step = max(0, step - first_step)
        if step < rise:
            return (step + 1) / rise
        progress = min(1.0, (step - rise) / max(1, n_steps - rise))
        return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * progress))

    return LambdaLR(optimizer, factor)


def one_cycle(
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int,
    first_step: int = 0,
    rise: Fraction = 0.3,
    start: float = 0.04,
    final: float = 1e-4,
) -> LambdaLR:
    """Half cosines from ``start`` up to 1 over the fraction ``rise``, then down to ``final``.

    The optimizer's rate is the peak. Smith and Topin, arXiv:1708.07120.
    """
    n_steps = total_steps - first_step
    peak = max(1.0, rise * n_steps)

    def between(low: float, high: float, progress: float) -> float:
        return high + (low - high) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))

    def factor(step: int) -> float:
        step = max(0, step - first_step)
        if step < peak:
            return between(start, 1.0, step / peak)
        return between(1.0, final, (step - peak) / max(1.0, n_steps - peak))

    return LambdaLR(optimizer, factor)
