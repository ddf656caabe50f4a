"""Whether log q is the density of the map that is sampled: steps, rounding, inverse."""

import copy
import math
from typing import NamedTuple

import torch
from torch import Tensor

from flowlat.actions import Action
from flowlat.analysis.importance import ess, log_mean
from flowlat.bijections.continuous import solvers_of
from flowlat.flows.density_check import DensityCheck, check_on, refusal
from flowlat.flows.flow import Flow

#: samples that a flow is calibrated and checked on, and the most that its rounding takes
PILOT, MOST_PILOT = 256, 4096
#: steps of an ODE that a calibration tries; of ninth order, the error of one number of them is
#: at most so much of that of the one before
LADDER, LESS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64), 1 / 5
#: samples for which a flow is calibrated at least: a run that is made longer keeps its steps
PLANNED = 100_000
#: variance of w / <w> that is taken at least: a flow without any would have no error to compare
LEAST_VARIANCE = 1e-4
#: margin of either systematic error, of steps and of rounding: the ESS of a pilot is uncertain
SAFETY = 2


class Calibration(NamedTuple):
    """Steps of the flow's ODEs, 0 if it has none; offset, to be taken off the log weights, and the
    systematic error of log Z that remains; forward against inverse."""

    steps: int
    offset: float
    systematic: float
    check: DensityCheck

    def columns(self) -> dict[str, Tensor]:
        """What the state of a sampler keeps of it."""
        offset, systematic = torch.tensor([self.offset, self.systematic], dtype=torch.float64)
        return {"steps": torch.tensor(self.steps), "offset": offset, "systematic": systematic}


def set_steps(flow: Flow, steps: int) -> None:
    """Solve every ODE of the flow in so many steps in evaluation mode; 0: as they are."""
    for solver in solvers_of(flow) if steps else ():
        solver.evaluation_steps = steps


@torch.no_grad()
def calibrate(
    flow: Flow,
    action: Action,
    generator: torch.Generator,
    tolerance: float,
    n_samples: int,
    batch_size: int = PILOT,
    inverse: bool = False,
    least_ess: float = 0.0,
) -> Calibration:
    """Solve the flow's ODEs as finely as log Z asks for, measure its rounding, check its inverse.

    log Z = log <w> is computed from the same noise with n steps and with the next larger number of
    them, in float64. Most of its difference is the same for all samples, and so is what rounding
    does: in single precision every factor that multiplies all sites is off by up to 6e-8, which
    moves the density by that times the volume, 2e-4 at 32^2, of which all but 1e-5 is in log q.
    ``offset``, what is left of both, is log <w> in the flow's own precision and in n steps minus
    that in float64 and in more; with it taken off, log Z is a multilevel estimate (Giles, Oper.
    Res. 56 (2008) 607). What remains, ``systematic``, is the statistical error of the offset and
    the error of the finer solution, at most a fifth of that of the n steps. The smallest n is taken
    for which

        [(log <w>_n - log <w>_finer) / 5]^2 + variance of that difference

    is under the square of ``tolerance`` times the error of log Z from ``n_samples`` samples,
    sqrt((1/ESS - 1) / n_samples), at least 100,000 of them and rounded up to a power of ten, by a
    margin of 2; the offset is measured on as many samples as bring its error under the same limit,
    from 256 to 4,096.

    The flow is left in evaluation mode with these steps.

    Args:
        batch_size: samples computed at once.
        inverse: log q is taken from ``log_prob``.
        least_ess: that the ensemble will have, where it will have more than samples of the flow.

    Raises:
        ValueError: log q of the flow is not its density: the inverse does not agree, whatever the
            number of steps.
    """
    flow.eval()
    noise, exact = flow.noise(PILOT, generator), copy.deepcopy(flow).double()
    planned = 10 ** math.ceil(math.log10(max(n_samples, PLANNED)))

    def log_weights(flow: Flow, steps: int = 0) -> Tensor:
        set_steps(flow, steps)
        return _log_weights(flow, action, noise, batch_size, inverse)

    def most(fine: Tensor) -> float:
        variance = max(1 / max(ess(fine), least_ess) - 1, LEAST_VARIANCE)
        return tolerance * math.sqrt(variance / planned) / SAFETY

    ladder: tuple[int, ...] = LADDER
    of_steps = 0.0
    if solvers_of(flow):
        fine = log_weights(exact, ladder[0])
        for finer in ladder[1:]:
            coarse, fine = fine, log_weights(exact, finer)
            of_steps, error = shift(coarse, fine)
            if math.hypot(LESS * of_steps, error) <= most(fine):  # False for NaN
                break
            ladder = ladder[1:]
    else:
        ladder, fine = (0,), log_weights(exact)
    for steps in ladder:
        set_steps(flow, steps)
        check = check_on(flow, noise, batch_size)
        if check.passed:
            break
    else:
        raise ValueError(refusal(check, noise.dtype))
    rounded = log_weights(flow)
    offset, error = shift(rounded, fine)
    while error > most(fine) and len(fine) < MOST_PILOT:
        noise = flow.noise(len(fine), generator)  # as many again
        rounded = torch.cat([rounded, log_weights(flow)])
        fine = torch.cat([fine, log_weights(exact)])  # as finely as before
        offset, error = shift(rounded, fine)
    return Calibration(steps, offset, math.hypot(LESS * of_steps, error), check)


def shift(log_w: Tensor, fine: Tensor) -> tuple[float, float]:
    """By how much log <w> lies over that of other log weights of the same noise; its error."""
    share = torch.softmax(fine, 0)
    mean = log_mean(log_w) - log_mean(fine)
    return mean.item(), (share * (log_w - fine - mean)).norm().item()


def _log_weights(
    flow: Flow, action: Action, noise: Tensor, batch_size: int, inverse: bool
) -> Tensor:
    """log w = -S - log q of the samples from this noise, ``(n,)`` in float64."""
    dtype = next(flow.parameters()).dtype
    parts = []
    for part in noise.to(dtype).split(batch_size):
        phi, log_q = flow(part)
        if inverse:
            log_q = flow.log_prob(phi)
        parts.append(-action(phi.double()) - log_q.double())
    return torch.cat(parts)
