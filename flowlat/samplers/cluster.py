"""Clusters of the sign of phi and local updates, many chains at once."""

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from flowlat.actions import Action, as_phi4
from flowlat.kernels.phi4.cluster import Updated, cluster
from flowlat.kernels.phi4.theory import Steps, theory_of
from flowlat.lattice import Lattice
from flowlat.samplers.base import MarkovChain
from flowlat.samplers.dynamics.tuning import adapted
from flowlat.samplers.mean_field import MeanField
from flowlat.utils.errors import ConfigError
from flowlat.utils.limits import COUNT, Count, Probability

#: where the tuning of Metropolis' width starts: a field of order one
FIRST_WIDTH = 0.5


class ClusterState(NamedTuple):
    """Where the chains stand, and the steps that were tuned for them.

    phi ``(replicas, *shape)`` and action S[phi] ``(replicas,)`` in float64; width of Metropolis'
    proposals and reflection of overrelaxation; updates since the start, and accepted, the sum of
    the mean acceptances of Metropolis.
    """

    phi: Tensor
    action: Tensor
    width: Tensor
    reflection: Tensor
    updates: Tensor
    accepted: Tensor


@dataclass(eq=False)
class Cluster(MarkovChain):
    """Swendsen-Wang clusters of the sign of phi, then local sweeps: an update.

    For fixed abs(phi) the signs are an Ising model. Its clusters, all of them, are flipped by a
    coin each, which moves the long waves, and both phases, where local steps crawl; the sweeps move
    abs(phi). Brower and Tamayo, Phys. Rev. Lett. 62 (1989) 1087; Swendsen and Wang, Phys. Rev.
    Lett. 58 (1987) 86.

    A site with neighbours b / 2 in sum has S = (2 d + m2) phi^2 + lam phi^4 - b phi. Metropolis
    proposes phi + u, u uniform in (-width, width); overrelaxation r b - phi, which is its own
    inverse: r b / 2 is the best linear guess of phi, r = 2 <phi b> / <b^2>. Both with a Metropolis
    test. Every chain starts from the Gaussian around the mean field and runs ``thermalization``
    updates; meanwhile width and r are tuned, and kept from then on.

    Args:
        replicas: independent chains.
        metropolis: sweeps of Metropolis an update; without them abs(phi) cannot be any number.
        overrelaxation: sweeps of overrelaxation an update.
        thermalization: updates before the first configuration.
        target_acceptance: of Metropolis, what its width is tuned to.
        block: configurations of every replica in a block.
        thin: updates between two configurations.

    Raises:
        ConfigError: an action that is not that of phi^4.
    """

    lattice: Lattice
    action: Action
    replicas: Count = 64
    metropolis: Count = 1
    overrelaxation: Annotated[int, Field(ge=0, le=COUNT)] = 1
    thermalization: Count = 200
    target_acceptance: Probability = 0.5
    block: Count = 16
    thin: Count = 1

    def __post_init__(self) -> None:
        self.crosses = True
        phi4 = as_phi4(self.action)
        if phi4 is None:
            raise ConfigError(
                f"sampler=cluster: its clusters are those of phi^4 (action=phi4 or action=free), "
                f"not of {type(self.action).__name__}; sampler=hmc takes any action"
            )
        self.rows = self.replicas * self.block
        self.theory = theory_of(phi4.m2, phi4.lam, self.lattice.shape)

    def start(self, generator: torch.Generator) -> ClusterState:
        phi, _ = MeanField(self.lattice, self.action).sample(self.replicas, generator)
        action, width = self.action(phi), FIRST_WIDTH
        sums = torch.zeros(2, dtype=torch.float64)
        for i in range(self.thermalization):
            if i == self.thermalization // 2:
                sums.zero_()
            sums += self._products(phi)
            steps = self._steps(width, slope(sums))
            phi, action, acceptance = self._update(phi, steps, generator)
            width = adapted(width, acceptance.mean().item(), self.target_acceptance)
        return self.initial_state()._replace(
            phi=phi,
            action=action,
            width=torch.tensor(width, dtype=torch.float64),
            reflection=torch.tensor(slope(sums), dtype=torch.float64),
        )

    def initial_state(self) -> ClusterState:
        zero = torch.tensor(0.0, dtype=torch.float64)
        return ClusterState(
            phi=zero.expand(self.replicas, *self.lattice.shape),
            action=zero.expand(self.replicas),
            width=zero,
            reflection=zero,
            updates=torch.tensor(0),
            accepted=zero,
        )

    def advance(
        self, state: ClusterState, generator: torch.Generator
    ) -> tuple[ClusterState, Tensor]:
        steps = self._steps(float(state.width), float(state.reflection))
        for _ in range(self.thin):
            phi, action, acceptance = self._update(state.phi, steps, generator)
            state = state._replace(
                phi=phi,
                action=action,
                updates=state.updates + 1,
                accepted=state.accepted + acceptance.mean().item(),
            )
        return state, torch.ones(self.replicas, dtype=torch.bool, device=state.phi.device)

    def info(self, state: ClusterState) -> dict[str, float]:
        """What was tuned, and the mean acceptance of Metropolis since."""
        return {
            "width": float(state.width),
            "reflection": float(state.reflection),
            "acceptance": float(state.accepted) / max(1, int(state.updates)),
        }

    def _steps(self, width: float, reflection: float) -> Steps:
        return Steps(self.metropolis, self.overrelaxation, width, reflection)

    def _update(self, phi: Tensor, steps: Steps, generator: torch.Generator) -> Updated:
        """On the CPU, wherever the chains are: one site after another is nothing for a GPU."""
        device = generator.device
        key = int(torch.randint(2**63 - 1, (), generator=generator, device=device))
        return Updated(*(t.to(device) for t in cluster(phi.cpu(), self.theory, steps, key)))

    def _products(self, phi: Tensor) -> Tensor:
        """Sums of phi b and of b^2 over all sites, ``(2,)``."""
        field = phi.flatten(1).cpu()
        b = 2 * field[:, self.theory.neighbours].sum((2, 3))
        return torch.stack([(field * b).sum(), (b * b).sum()])


def slope(sums: Tensor) -> float:
    """2 <phi b> / <b^2>; 0 for a site without neighbours."""
    product, square = sums.tolist()
    return 2 * product / square if square else 0.0
