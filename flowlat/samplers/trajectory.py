"""The halves of a Hybrid Monte Carlo update, a proposal by dynamics and its accept test.

Duane, Kennedy, Pendleton, Roweth, Phys. Lett. B 195 (1987) 216.
"""

import math

import torch
from torch import Tensor

from flowlat.lattice import Lattice
from flowlat.samplers.integrators import Derivative, Integrator
from flowlat.samplers.momenta import Momenta

#: how far a step size moves towards its target in one update
GAIN = 0.5


def propose(
    phi: Tensor,
    force: Derivative,
    integrator: Integrator,
    momenta: Momenta,
    step_size: float,
    n_steps: int,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Fresh momenta and one trajectory: (phi' ``(batch, *shape)``, change of K ``(batch,)``)."""
    pi = momenta.draw(len(phi), generator)
    new, new_pi = integrator(phi, pi, force, momenta.velocity, step_size, n_steps)
    return new, momenta.energy(new_pi) - momenta.energy(pi)


def metropolis_test(log_ratio: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Accept with probability min(1, exp(log_ratio)): (accepted bool, probability), ``(batch,)``.

    NaN, of a trajectory that blew up or of two weights of zero, is rejected.
    """
    probability = log_ratio.clamp(max=0).exp().nan_to_num(nan=0.0)
    uniform = torch.rand(
        log_ratio.shape, generator=generator, device=log_ratio.device, dtype=torch.float64
    )
    return uniform < probability, probability


def select(accepted: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """``new`` where accepted ``(batch,)``, else ``old``; both ``(batch, ...)``."""
    return torch.where(accepted.reshape(-1, *[1] * (new.dim() - 1)), new, old)


def random_length(n_steps: int, generator: torch.Generator) -> int:
    """A number of steps, uniform on 1 ... 2 n_steps - 1, so n_steps on average.

    Trajectories of one length do not move a mode whose period it is (Mackenzie, Phys. Lett. B 226
    (1989) 369). One number for a whole batch, drawn independently of its state, is exact.
    """
    draw = torch.randint(1, 2 * n_steps, (), generator=generator, device=generator.device)
    return int(draw)


def adapted(step_size: float, acceptance: float, target: float) -> float:
    """A step of Robbins and Monro's towards the step size whose acceptance is the target."""
    return step_size * math.exp(GAIN * (acceptance - target))


def first_step_size(lattice: Lattice) -> float:
    """Where tuning starts: the inverse of the highest frequency of a massless free field."""
    return 1 / math.sqrt(8 * lattice.d)
