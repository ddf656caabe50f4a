"""How long the steps and the trajectories of Hybrid Monte Carlo are."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from flowlat.lattice import Lattice

#: how far a step size moves towards its target in one update
GAIN = 0.5
#: lengths that are tried, and the one of a thermalisation too short to try any
LENGTHS, UNTRIED = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0), 2.0
#: trajectories of a thermalisation for each that a trial has, and for each before the first trial
OF_A_TRIAL, BEFORE = 20, 4
#: trajectories of a trial, at the least; its first third belongs to the step size
FEWEST = 10
#: a length that costs so many times the best is the last one
TOO_MUCH = 1.5
#: what a trajectory costs beside its forces (momenta, energies, the test), in forces of phi^4 by
#: the compiled kernels, 64 chains
OVERHEAD = 8


def adapted(step_size: float, acceptance: float, target: float) -> float:
    """A step of Robbins and Monro's towards the step size whose acceptance is the target."""
    return step_size * math.exp(GAIN * (acceptance - target))


def first_step_size(lattice: Lattice) -> float:
    """Where tuning starts: the inverse of the highest frequency of a massless free field."""
    return 1 / math.sqrt(8 * lattice.d)


class Chains(NamedTuple):
    """Where chains stand while they are tuned: phi, S there, the step size so far."""

    phi: Tensor
    action: Tensor
    step_size: float


def n_steps_of(length: float, step_size: float) -> int:
    """Steps of a trajectory: two at least, or there is no length to randomise."""
    return max(2, math.ceil(length / step_size))


def find_length(
    chains: Chains,
    adapt: Callable[[Chains, float], Chains],
    forces_a_step: int,
    thermalization: int,
) -> tuple[Chains, float, int]:
    """The length that costs least, and how many trajectories of the thermalisation are left.

    Args:
        adapt: a trajectory of a length, with a step size nearer to what is accepted after it.
    """
    left, each = thermalization, thermalization // OF_A_TRIAL
    if each < FEWEST:
        return chains, UNTRIED, left
    for _ in range(thermalization // BEFORE):
        chains = adapt(chains, UNTRIED)
        left -= 1
    trials: list[Trial] = []
    for length in LENGTHS:
        series, steps = [], 0
        for i in range(each):
            steps += n_steps_of(length, chains.step_size)
            chains = adapt(chains, length)
            left -= 1
            if i >= each // 3:
                series.append(slow_observables(chains.phi))
        trials.append(trial(length, forces_a_step * steps / each + 1, torch.stack(series)))
        found = costs(trials)
        if found[-1] > TOO_MUCH * min(found):
            break
    return chains, trials[found.index(min(found))].length, left


class Trial(NamedTuple):
    """What trajectories of one length were like: forces in each, on average, and sums over
    so many values of the two slow observables."""

    length: float
    forces: float
    values: int
    jumps: Tensor  # sum of the squared changes, (2,)
    sums: Tensor  # sum of the values, (2,)
    squares: Tensor  # sum of their squares, (2,)


def slow_observables(phi: Tensor) -> Tensor:
    """M^2 and the mean of phi^2, ``(batch, *shape) -> (2, batch)``."""
    field = phi.flatten(1)
    return torch.stack([field.mean(1).square(), field.square().mean(1)])


def trial(length: float, forces: float, series: Tensor) -> Trial:
    """From a series of the observables, ``(steps, 2, batch)``."""
    jumps = (series[1:] - series[:-1]).square().sum((0, 2))
    count = series.shape[0] * series.shape[2]
    scale = series.shape[0] / max(1, series.shape[0] - 1)  # one change less than values
    return Trial(
        length, forces, count, jumps * scale, series.sum((0, 2)), series.square().sum((0, 2))
    )


def costs(trials: list[Trial]) -> list[float]:
    """Forces for an independent configuration by each, the slower of the observables deciding.

    1 - rho(1) is the mean squared change over twice the variance, that of all trials together:
    successive ones start where the last has ended, and a slow chain would not see the variance in
    one of them. For one exponential tau_int is (1 + rho) / (2 (1 - rho)). A chain that is
    anticorrelated counts as white noise: a length that suits one observable so well suits others
    badly.
    """
    count = sum(t.values for t in trials)
    mean = sum((t.sums for t in trials), torch.zeros(2)) / count
    variance = sum((t.squares for t in trials), torch.zeros(2)) / count - mean**2
    found = []
    for t in trials:
        decorrelated = (t.jumps / t.values / (2 * variance)).nan_to_num(0.0).clamp(1e-9, 1.0)
        tau_int = (1 / decorrelated - 0.5).max().item()
        found.append((t.forces + OVERHEAD) * tau_int)
    return found
