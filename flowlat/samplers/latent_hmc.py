"""Hybrid Monte Carlo in the noise of a flow, many chains at once."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from flowlat.actions import Action
from flowlat.flows.calibration import PILOT, PLANNED, calibrate
from flowlat.flows.flow import Flow
from flowlat.lattice import batch_fastest
from flowlat.samplers.accept import metropolis_test, select
from flowlat.samplers.base import MarkovChain
from flowlat.samplers.dynamics.latent import Latent, LatentDensity
from flowlat.samplers.dynamics.trajectory import Momenta
from flowlat.samplers.mean_field import random_signs
from flowlat.utils.limits import Count, Positive, Rows

#: a quarter of the period of the harmonic part
QUARTER = math.pi / 2
#: the length of a trajectory is uniform within this share of the average
JITTER = 0.2
#: parts of the thermalisation, in each of which trajectories of one number of forces are tried
PARTS = 20
#: what a force costs, in energies of the same steps
FORCE = 2.5
#: ESS for which the flow is calibrated at least, that of a chain whose tau_int is 1
LEAST_ESS = 0.5


class LatentState(NamedTuple):
    """Where the chains stand, and the forces that were tuned for them.

    Noise z and phi ``(replicas, *shape)``, action S[phi] and log_weight ``(replicas,)``, in
    float64; n_forces of a trajectory, and the steps of the flow's ODEs for one; trajectories since
    the start, and accepted, the sum of their mean acceptance probabilities; of the calibration,
    steps of the flow's ODEs, offset of its log weights and systematic error that their log Z would
    have.
    """

    z: Tensor
    phi: Tensor
    action: Tensor
    log_weight: Tensor
    n_forces: Tensor
    force_steps: Tensor
    trajectories: Tensor
    accepted: Tensor
    steps: Tensor
    offset: Tensor
    systematic: Tensor


class LatentHMC(MarkovChain):
    """HMC of the noise z of which a flow makes phi = f(z), with H = p^2 / 2 + U(z),

        U(z) = S(f(z)) - log|det df/dz|,

    see :class:`flowlat.samplers.dynamics.latent.LatentDensity`. Luescher, arXiv:0907.5491; Albandea
    et al., arXiv:2302.08408. A trajectory is accepted with probability min(1, exp(-change of H)),
    which makes phi exact for any flow. Where the flow is good, U is nearly z^2 / 2, which is solved
    exactly, and a quarter of a turn is a new configuration without any force: a proposal of the
    flow. In larger volumes forces keep up its acceptance, which falls as that of HMC then and not
    exponentially.

    Every chain starts from a sample of the flow and runs ``thermalization`` trajectories, in which
    numbers of forces are tried; from then on trajectories have the one that costs least,

        (1 + 2.5 n_forces) (2 <1 / acceptance> - 1),

    a solution for the energy and, at 2.5 of them, one and its gradient for each force (fewer steps
    of an ODE less), times 2 tau_int of a chain whose accepted steps are independent: the average
    is over where chains are, so that a few of them that hardly move count. For an even
    action a fair coin flips the sign of phi after each trajectory: exact since phi and -phi are as
    likely, and a chain that stays with the flow in one of two modes has both of them. The noise is
    left as it is. Then the weights of a symmetrised flow are those of both signs.

    Args:
        flow: any but one of noise that is not Gaussian; its precision is that of log w.
        replicas: independent chains.
        trajectory_length: angle of the harmonic part's rotation, on average.
        sign_flip: flip signs if the action is even.
        thermalization: trajectories before the first configuration.
        block: configurations of every replica in a block.
        thin: trajectories between two configurations.
        n_samples: of the run, as for ``Metropolis``.
        tolerance: systematic over statistical error of log Z, as for ``Metropolis``.

    Raises:
        ConfigError: a flow that is no map of Gaussian noise.
        ValueError: in ``start``, a flow whose log q is not its density.
    """

    def __init__(
        self,
        flow: Flow,
        action: Action,
        replicas: Count = 64,
        trajectory_length: Positive = QUARTER,
        sign_flip: bool = True,
        thermalization: Count = 200,
        block: Count = 16,
        thin: Count = 1,
        n_samples: Rows = PLANNED,
        tolerance: Positive = 0.1,
    ):
        self.action = action
        self.density = LatentDensity(flow, action, symmetric=sign_flip and action.even)
        self.lattice = flow.lattice
        self.momenta = Momenta(flow.lattice)
        self.replicas = replicas
        self.trajectory_length = trajectory_length
        self.sign_flip = sign_flip
        self.thermalization = thermalization
        self.block = block
        self.rows = replicas * block
        self.thin = thin
        self.n_samples = n_samples
        self.tolerance = tolerance

    def start(self, generator: torch.Generator) -> LatentState:
        options = self.tolerance, self.n_samples, min(self.replicas, PILOT)
        flow = self.density.flow
        found = calibrate(flow, self.action, generator, *options, least_ess=LEAST_ESS)
        chains = self.density.sample(self.replicas, generator)
        force_steps = self.density.fewest_steps(chains, found.steps)
        self.density.set_steps(found.steps, force_steps)
        force = FORCE * force_steps / found.steps if found.steps else FORCE
        chains, n_forces = self._thermalized(chains, force, generator)
        return self.initial_state()._replace(
            **chains._asdict(),
            **found.columns(),
            n_forces=torch.tensor(n_forces),
            force_steps=torch.tensor(force_steps),
        )

    def _thermalized(
        self, chains: Latent, force: float, generator: torch.Generator
    ) -> tuple[Latent, int]:
        """(chains, the number of forces that costs least).

        Each part has the number that is the best so far, or the next larger one if that could be
        better. What one costs is an average over its parts in which the last ones count most:
        chains that have just left the flow are accepted more often than those in equilibrium. How
        long a chain waits is that of the part, at most the whole thermalisation.

        Args:
            force: what one costs, in energies.
        """
        part = math.ceil(self.thermalization / PARTS)
        best, untried, costs = 0, 0, dict[int, float]()
        for _ in range(math.ceil(self.thermalization / part)):
            n_forces = best
            if not costs or 1 + force * untried < costs[best]:  # were all of them accepted
                n_forces = untried
                untried += max(1, untried // 2)  # 0, 1, 2, 3, 4, 6, 9, ...
            acceptance = torch.zeros((), dtype=torch.float64)
            for _ in range(part):
                chains, _, probability = self._move(chains, n_forces, generator)
                acceptance = acceptance + probability / part
            waiting = (1 / acceptance.clamp(min=1 / self.thermalization)).mean().item()
            cost = (1 + force * n_forces) * (2 * waiting - 1)
            costs[n_forces] = (costs.get(n_forces, cost) + cost) / 2
            best = min(costs, key=lambda n: costs[n])
        return chains, best

    def initial_state(self) -> LatentState:
        zero, none = torch.tensor(0.0, dtype=torch.float64), torch.tensor(0)
        field, number = zero.expand(self.replicas, *self.lattice.shape), zero.expand(self.replicas)
        chains = Latent(field, field, number, number)
        return LatentState(*chains, none, none, none, zero, none, zero, zero)

    def advance(self, state: LatentState, generator: torch.Generator) -> tuple[LatentState, Tensor]:
        self.density.set_steps(int(state.steps), int(state.force_steps))
        moved = torch.zeros(self.replicas, dtype=torch.bool, device=generator.device)
        for _ in range(self.thin):
            chains = Latent(*state[: len(Latent._fields)])
            chains, accepted, probability = self._move(chains, int(state.n_forces), generator)
            moved |= accepted
            state = state._replace(
                **chains._asdict(),
                trajectories=state.trajectories + 1,
                accepted=state.accepted + probability.mean().item(),
            )
        return state, moved

    def info(self, state: LatentState) -> dict[str, float]:
        """What was tuned, and the mean acceptance since."""
        of_ode = {"flow_steps": int(state.steps), "force_steps": int(state.force_steps)}
        return {
            **(of_ode if state.steps else {}),
            "n_forces": int(state.n_forces),
            "acceptance": float(state.accepted) / max(1, int(state.trajectories)),
        }

    def _move(
        self, old: Latent, n_forces: int, generator: torch.Generator
    ) -> tuple[Latent, Tensor, Tensor]:
        """One trajectory and, perhaps, flips: (chains, accepted, acceptance probability)."""
        # a mode whose half period is the length would not move (Mackenzie, Phys. Lett. B 226 (1989)
        # 369); one number, drawn independently of all states, is exact
        u = torch.rand((), generator=generator, device=generator.device, dtype=torch.float64)
        length = self.trajectory_length * (1 + JITTER * (2 * u.item() - 1))
        old = Latent(*(batch_fastest(c) if c.dim() > 1 else c for c in old))
        p = self.momenta.draw(self.replicas, generator)
        new, _, change = self.density.integrate(old, p, length, n_forces)
        accepted, probability = metropolis_test(-change, generator)
        chains = Latent(*(select(accepted, n, o) for n, o in zip(new, old, strict=True)))
        if self.sign_flip and self.action.even:
            phi = chains.phi * random_signs(chains.phi, generator)
            chains = chains._replace(phi=phi)
        return chains, accepted, probability
