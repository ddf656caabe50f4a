"""Hybrid Monte Carlo, many chains at once."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from flowlat.actions import Action
from flowlat.lattice import Lattice, batch_fastest
from flowlat.samplers.accept import metropolis_test, select
from flowlat.samplers.base import MarkovChain
from flowlat.samplers.integrators import IntegratorName
from flowlat.samplers.mean_field import MeanField, random_signs
from flowlat.samplers.trajectory import Trajectory, adapted, first_step_size
from flowlat.utils.limits import Count, Positive, Probability

#: a trajectory of more steps means that no step size is accepted
MAX_STEPS = 10_000


class HMCState(NamedTuple):
    """Where the chains stand, and the step that was tuned for them.

    phi ``(replicas, *shape)`` and action S[phi] ``(replicas,)`` in float64; step_size and
    n_leapfrog of a trajectory, on average; trajectories since the start, and accepted, the sum of
    their mean acceptance probabilities.
    """

    phi: Tensor
    action: Tensor
    step_size: Tensor
    n_leapfrog: Tensor
    trajectories: Tensor
    accepted: Tensor


@dataclass(eq=False)
class HMC(MarkovChain):
    """phi and momenta pi with exp(-S - K): fresh pi, Hamilton's equations, a Metropolis test.

    A trajectory is accepted with probability min(1, exp(-change of S + K)); that is exact for any
    step size, since the integrators are reversible and keep the volume. Duane, Kennedy, Pendleton,
    Roweth, Phys. Lett. B 195 (1987) 216. All ``replicas`` move together, in float64.

    Every chain starts from the Gaussian around the mean field, at +v or -v by a coin, and runs
    ``thermalization`` trajectories. Meanwhile the step size follows the acceptance, averaged over
    the replicas, to its target; its geometric mean over the second half, shortened to a whole
    number of steps a trajectory, is kept from then on. For an even action a fair coin flips the
    sign of a whole configuration after each trajectory.

    Args:
        replicas: independent chains.
        integrator: of Hamilton's equations, see ``flowlat.samplers.integrators``.
        trajectory_length: step size times number of steps, on average.
        randomize_length: draw the number of steps of each trajectory, the same for all replicas.
        fourier_acceleration: mass squared of the momenta's kernel 2 (khat^2 + mass2); None: off.
        sign_flip: flip signs if the action is even.
        thermalization: trajectories before the first configuration.
        target_acceptance: what the step size is tuned to.
        block: configurations of every replica in a block.
        thin: trajectories between two configurations.

    Raises:
        ValueError: in ``start``, no step size reaches the acceptance.
    """

    lattice: Lattice
    action: Action
    replicas: Count = 64
    integrator: IntegratorName = "minimum_norm"
    trajectory_length: Positive = 2.0
    randomize_length: bool = True
    fourier_acceleration: Positive | None = None
    sign_flip: bool = True
    thermalization: Count = 1000
    target_acceptance: Probability = 0.85
    block: Count = 16
    thin: Count = 1

    def __post_init__(self) -> None:
        self.rows = self.replicas * self.block
        self.trajectory = Trajectory(self.lattice, self.integrator, self.fourier_acceleration)

    def start(self, generator: torch.Generator) -> HMCState:
        phi, _ = MeanField(self.lattice, self.action).sample(self.replicas, generator)
        action = self.action(phi)
        step_size = first_step_size(self.lattice)
        tuned = []
        for i in range(self.thermalization):
            n_steps = self._n_leapfrog(step_size)
            if n_steps > MAX_STEPS:
                raise ValueError(
                    f"target_acceptance={self.target_acceptance}: not reached with step size "
                    f"{step_size:.1e}; is the action's force its gradient?"
                )
            phi, action, _, probability = self._move(phi, action, step_size, n_steps, generator)
            step_size = adapted(step_size, probability.mean().item(), self.target_acceptance)
            if i >= self.thermalization // 2:
                tuned.append(math.log(step_size))
        n_leapfrog = self._n_leapfrog(math.exp(sum(tuned) / len(tuned)))
        step_size = self.trajectory_length / n_leapfrog
        return self.initial_state()._replace(
            phi=phi,
            action=action,
            step_size=torch.tensor(step_size, dtype=torch.float64),
            n_leapfrog=torch.tensor(n_leapfrog),
        )

    def initial_state(self) -> HMCState:
        zero = torch.tensor(0.0, dtype=torch.float64)
        return HMCState(
            phi=zero.expand(self.replicas, *self.lattice.shape),
            action=zero.expand(self.replicas),
            step_size=zero,
            n_leapfrog=torch.tensor(1),
            trajectories=torch.tensor(0),
            accepted=zero,
        )

    def advance(self, state: HMCState, generator: torch.Generator) -> tuple[HMCState, Tensor]:
        moved = torch.zeros(self.replicas, dtype=torch.bool, device=generator.device)
        step_size, n_leapfrog = float(state.step_size), int(state.n_leapfrog)
        for _ in range(self.thin):
            phi, action, accepted, probability = self._move(
                state.phi, state.action, step_size, n_leapfrog, generator
            )
            moved |= accepted
            state = state._replace(
                phi=phi,
                action=action,
                trajectories=state.trajectories + 1,
                accepted=state.accepted + probability.mean().item(),
            )
        return state, moved

    def info(self, state: HMCState) -> dict[str, float]:
        """The tuned step, and the mean acceptance since."""
        return {
            "step_size": float(state.step_size),
            "n_leapfrog": int(state.n_leapfrog),
            "acceptance": float(state.accepted) / max(1, int(state.trajectories)),
        }

    def _n_leapfrog(self, step_size: float) -> int:
        """Steps of a trajectory: two at least, or there is no length to randomise."""
        return max(2, math.ceil(self.trajectory_length / step_size))

    def _move(
        self,
        phi: Tensor,
        action: Tensor,
        step_size: float,
        n_steps: int,
        generator: torch.Generator,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """One trajectory and, perhaps, flips: (phi, S, accepted, acceptance probability)."""
        if self.randomize_length:
            # n_steps on average. A mode whose period is the length would not move (Mackenzie, Phys.
            # Lett. B 226 (1989) 369); one number, drawn independently of all states, is exact
            device = generator.device
            n_steps = int(torch.randint(1, 2 * n_steps, (), generator=generator, device=device))
        phi = batch_fastest(phi)
        new, new_action, kinetic = self.trajectory.propose(
            phi, self.action, step_size, n_steps, generator
        )
        accepted, probability = metropolis_test(action - new_action - kinetic, generator)
        phi = select(accepted, new, phi)
        if self.sign_flip and self.action.even:
            phi *= random_signs(phi, generator)
        return phi, select(accepted, new_action, action), accepted, probability
