"""Microcanonical Langevin Monte Carlo with a Metropolis test, many chains at once."""

from dataclasses import dataclass

import torch
from torch import Tensor

from flowlat.samplers.dynamics.chain import TrajectoryChain
from flowlat.samplers.dynamics.integrators import IntegratorName
from flowlat.samplers.dynamics.trajectory import Proposal
from flowlat.samplers.mclmc.isokinetic import Isokinetic
from flowlat.utils.errors import ConfigError
from flowlat.utils.limits import Positive

#: trajectories of thermalisation that tune a step size, at the least
FEWEST = 20


@dataclass(eq=False)
class MCLMC(TrajectoryChain):
    """phi moves at constant speed in a direction u that the force, and noise, turn: trajectories.

    Each starts in a direction of its own and ends with a Metropolis test, which makes phi exact for
    any step size; the noise between its steps takes the place of a random length. Equations and
    sources: :class:`flowlat.samplers.mclmc.isokinetic.Isokinetic`. Without the test there is a bias
    of the order of the step size squared, which no error bar knows of; that algorithm is not here.
    How it starts, tunes itself and flips signs, and the options beside these:
    :class:`flowlat.samplers.dynamics.chain.TrajectoryChain`.

    Args:
        integrator: kicks and drifts of a step, see ``flowlat.samplers.dynamics.integrators``.
        step_size: at most; None: tuned. A length is tuned with it all the same.
        decoherence: time in which noise turns u away, in lengths of a trajectory.

    Raises:
        ConfigError: a lattice of one site; no step size, and a thermalisation too short to tune it.
    """

    integrator: IntegratorName = "minimum_norm"
    step_size: Positive | None = None
    decoherence: Positive = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lattice.volume == 1:
            raise ConfigError(
                f"sampler=mclmc: lattice.shape={list(self.lattice.shape)} has one site, where a "
                "direction has nowhere to turn; sampler=hmc takes it"
            )
        if self.step_size is None and self.thermalization < FEWEST:
            raise ConfigError(
                f"sampler=mclmc: no sampler.step_size, and sampler.thermalization="
                f"{self.thermalization} is too short to tune one; at least {FEWEST}"
            )
        self.dynamics = Isokinetic(self.lattice, self.integrator, self.decoherence)

    @property
    def forces_a_step(self) -> int:
        return len(self.dynamics.integrator.drifts)

    def propose(
        self, phi: Tensor, step_size: float, n_steps: int, generator: torch.Generator
    ) -> Proposal:
        return self.dynamics.propose(phi, self.action, step_size, n_steps, generator)

    def first_step_size(self) -> float:
        return self.step_size or super().first_step_size()

    def next_step_size(self, step_size: float, acceptance: float) -> float:
        return self.step_size or super().next_step_size(step_size, acceptance)
