"""Hybrid Monte Carlo, many chains at once."""

from dataclasses import dataclass

import torch
from torch import Tensor

from flowlat.samplers.dynamics.chain import TrajectoryChain
from flowlat.samplers.dynamics.integrators import IntegratorName
from flowlat.samplers.dynamics.trajectory import Proposal, Trajectory
from flowlat.utils.limits import Positive


@dataclass(eq=False)
class HMC(TrajectoryChain):
    """phi and momenta pi with exp(-S - K): fresh pi, Hamilton's equations, a Metropolis test.

    A trajectory is accepted with probability min(1, exp(-change of S + K)); that is exact for any
    step size, since the integrators are reversible and keep the volume. Duane, Kennedy, Pendleton,
    Roweth, Phys. Lett. B 195 (1987) 216. How it starts, tunes itself and flips signs, and the
    options beside these: :class:`flowlat.samplers.dynamics.chain.TrajectoryChain`.

    Args:
        integrator: of Hamilton's equations, see ``flowlat.samplers.dynamics.integrators``.
        randomize_length: draw the number of steps of each trajectory, the same for all replicas.
        fourier_acceleration: mass squared of the momenta's kernel 2 (khat^2 + mass2); None: off.
    """

    integrator: IntegratorName = "minimum_norm"
    randomize_length: bool = True
    fourier_acceleration: Positive | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.trajectory = Trajectory(self.lattice, self.integrator, self.fourier_acceleration)

    @property
    def forces_a_step(self) -> int:
        return len(self.trajectory.integrator.drifts)

    def propose(
        self, phi: Tensor, step_size: float, n_steps: int, generator: torch.Generator
    ) -> Proposal:
        if self.randomize_length:
            # n_steps on average. A mode whose period is the length would not move (Mackenzie, Phys.
            # Lett. B 226 (1989) 369); one number, drawn independently of all states, is exact
            device = generator.device
            n_steps = int(torch.randint(1, 2 * n_steps, (), generator=generator, device=device))
        return self.trajectory.propose(phi, self.action, step_size, n_steps, generator)
