"""What HMC and its relatives share: trajectories, tuned, each with a Metropolis test."""

import math
from abc import abstractmethod
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from flowlat.actions import Action
from flowlat.lattice import Lattice, batch_fastest
from flowlat.samplers.accept import metropolis_test, select
from flowlat.samplers.base import MarkovChain
from flowlat.samplers.dynamics.deep_wells import site_signs
from flowlat.samplers.dynamics.trajectory import Proposal
from flowlat.samplers.dynamics.tuning import (
    Chains,
    adapted,
    find_length,
    first_step_size,
    n_steps_of,
)
from flowlat.samplers.mean_field import MeanField, random_signs
from flowlat.utils.limits import Count, Positive, Probability

#: a trajectory of more steps means that no step size is accepted
MAX_STEPS = 10_000


class TrajectoryState(NamedTuple):
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
class TrajectoryChain(MarkovChain):
    """Trajectories, each accepted with probability min(1, exp(-change of energy)).

    All ``replicas`` move together, in float64. Every chain starts from the Gaussian around the mean
    field, at +v or -v by a coin, and runs ``thermalization`` trajectories. Meanwhile the step size
    follows the acceptance, averaged over the replicas, to its target; its geometric mean over the
    second half, shortened to a whole number of steps a trajectory, is kept from then on. Before
    that, a quarter of them on, lengths from 1/2 up are tried, each for a twentieth, and the one
    with the fewest forces for an independent configuration is kept. For an even action a fair coin
    flips the sign of a whole configuration after each trajectory; in phi^4 whose sites have two
    deep wells, between which no trajectory crosses, the signs of single sites are drawn anew, too:
    :mod:`flowlat.samplers.dynamics.deep_wells`.

    Args:
        replicas: independent chains.
        trajectory_length: step size times number of steps, on average; None: tuned, 2 where
            fewer than 200 trajectories of thermalisation leave nothing to tune it with.
        sign_flip: flip signs if the action is even, those of single sites if they hardly would.
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
    trajectory_length: Positive | None = None
    sign_flip: bool = True
    thermalization: Count = 1000
    target_acceptance: Probability = 0.85
    block: Count = 16
    thin: Count = 1

    def __post_init__(self) -> None:
        self.rows = self.replicas * self.block
        self.site_signs = site_signs(self.lattice, self.action) if self.sign_flip else None
        self.crosses = self.site_signs is not None

    @property
    @abstractmethod
    def forces_a_step(self) -> int:
        """Forces that a step of a trajectory takes."""

    @abstractmethod
    def propose(
        self, phi: Tensor, step_size: float, n_steps: int, generator: torch.Generator
    ) -> Proposal:
        """The end of a trajectory of so many steps, on average, from phi ``(replicas, *shape)``.

        Exact if its density and that of the way back are as exp(-change of S + kinetic energy).
        """

    def first_step_size(self) -> float:
        """Where tuning starts."""
        return first_step_size(self.lattice)

    def next_step_size(self, step_size: float, acceptance: float) -> float:
        """After a trajectory of the thermalisation."""
        return adapted(step_size, acceptance, self.target_acceptance)

    def start(self, generator: torch.Generator) -> TrajectoryState:
        phi, _ = MeanField(self.lattice, self.action).sample(self.replicas, generator)
        chains = Chains(phi, self.action(phi), self.first_step_size())
        length, left = self.trajectory_length, self.thermalization
        if length is None:
            adapt = partial(self._adapt, generator=generator)
            chains, length, left = find_length(chains, adapt, self.forces_a_step, left)
        tuned = []
        for i in range(left):
            chains = self._adapt(chains, length, generator)
            if i >= left // 2:
                tuned.append(math.log(chains.step_size))
        n_leapfrog = n_steps_of(length, math.exp(sum(tuned) / len(tuned)))
        return self.initial_state()._replace(
            phi=chains.phi,
            action=chains.action,
            step_size=torch.tensor(length / n_leapfrog, dtype=torch.float64),
            n_leapfrog=torch.tensor(n_leapfrog),
        )

    def initial_state(self) -> TrajectoryState:
        zero = torch.tensor(0.0, dtype=torch.float64)
        return TrajectoryState(
            phi=zero.expand(self.replicas, *self.lattice.shape),
            action=zero.expand(self.replicas),
            step_size=zero,
            n_leapfrog=torch.tensor(1),
            trajectories=torch.tensor(0),
            accepted=zero,
        )

    def advance(
        self, state: TrajectoryState, generator: torch.Generator
    ) -> tuple[TrajectoryState, Tensor]:
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

    def info(self, state: TrajectoryState) -> dict[str, float]:
        """The tuned step, and the mean acceptance since."""
        return {
            "step_size": float(state.step_size),
            "n_leapfrog": int(state.n_leapfrog),
            "acceptance": float(state.accepted) / max(1, int(state.trajectories)),
        }

    def _adapt(self, chains: Chains, length: float, generator: torch.Generator) -> Chains:
        """A trajectory, and a step size nearer to the one that is accepted."""
        n_steps = n_steps_of(length, chains.step_size)
        if n_steps > MAX_STEPS:
            raise ValueError(
                f"target_acceptance={self.target_acceptance}: not reached with step size "
                f"{chains.step_size:.1e}; is the action's force its gradient?"
            )
        phi, action, _, probability = self._move(*chains, n_steps, generator)
        step_size = self.next_step_size(chains.step_size, probability.mean().item())
        return Chains(phi, action, step_size)

    def _move(
        self,
        phi: Tensor,
        action: Tensor,
        step_size: float,
        n_steps: int,
        generator: torch.Generator,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """One trajectory and, perhaps, other signs: (phi, S, accepted, acceptance probability)."""
        phi = batch_fastest(phi)
        new, new_action, kinetic = self.propose(phi, step_size, n_steps, generator)
        accepted, probability = metropolis_test(action - new_action - kinetic, generator)
        phi, action = select(accepted, new, phi), select(accepted, new_action, action)
        if self.sign_flip and self.action.even:
            phi *= random_signs(phi, generator)
        if self.site_signs:
            phi = self.site_signs(phi, generator)
            action = self.action(phi)
        return phi, action, accepted, probability
