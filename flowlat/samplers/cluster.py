"""Clusters of the sign of phi and local updates, many chains at once."""

from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from flowlat.actions import Action, as_phi4
from flowlat.kernels.phi4.cluster import Updated, cluster
from flowlat.kernels.phi4.theory import Steps, theory_of
from flowlat.lattice import Lattice
from flowlat.samplers.base import Block, MarkovChain
from flowlat.samplers.dynamics.tuning import adapted
from flowlat.samplers.mean_field import MeanField, random_signs
from flowlat.utils.errors import ConfigError
from flowlat.utils.limits import COUNT, Count, Probability

#: where the tuning of Metropolis' width starts: a field of order one
FIRST_WIDTH = 0.5
#: single clusters an update from which on their two-point function is the better estimator: of
#: fewer, as in an ordered phase, its errors were 1 to 7 times those of the field's own
FEWEST = 5
#: mean sites of a single cluster from which on single ones decorrelate more in equal time than all:
#: 1.2 times where they have 80 to 4,000 sites, as much at 50, half as much at 4
LARGE = 50


class ClusterState(NamedTuple):
    """Where the chains stand, and the steps that were tuned for them.

    phi ``(replicas, *shape)``, action S[phi] ``(replicas,)`` and correlators
    ``(replicas, sum of sides)``, averaged over the signs of the clusters that were flipped last
    (zeros, where that is no good estimator), in float64; width of Metropolis' proposals, reflection
    of overrelaxation, and how many single clusters an update has (0: it has all); updates since the
    start, and accepted, the sum of the mean acceptances of Metropolis.
    """

    phi: Tensor
    action: Tensor
    correlators: Tensor
    width: Tensor
    reflection: Tensor
    single: Tensor
    updates: Tensor
    accepted: Tensor


@dataclass(eq=False)
class Cluster(MarkovChain):
    """Local sweeps, then clusters of the sign of phi: an update.

    For fixed abs(phi) the signs are an Ising model, whose clusters move the long waves, and both
    phases, where local steps crawl; the sweeps move abs(phi). Brower and Tamayo, Phys. Rev. Lett.
    62 (1989) 1087. ``swendsen_wang`` flips all clusters by a coin each (Phys. Rev. Lett. 58 (1987)
    86). ``wolff`` grows the cluster of a site at random, which is larger than most, and flips it
    always (Phys. Rev. Lett. 62 (1989) 361), so many times an update that as many sites are flipped
    as there are, as in the sweeps. While thermalising that number follows the mean size; it is
    fixed from then on, for one that depends on the state would not leave exp(-S) invariant. A coin
    then gives phi a sign, for where the lattice is one cluster that would alternate.
    ``auto`` takes single ones where they have 50 sites or more on average, else all.

    With ``improved`` rows have an improved estimator of the two-point function: its average over
    the signs of the clusters, of single ones weighted by how likely they were, where an update has
    five or more; all clusters then cost 1.5 times as much, single ones 1.2 times.

    A site with neighbours b / 2 in sum has S = (2 d + m2) phi^2 + lam phi^4 - b phi. Metropolis
    proposes phi + u, u uniform in (-width, width); overrelaxation r b - phi, which is its own
    inverse: r b / 2 is the best linear guess of phi, r = 2 <phi b> / <b^2>. Both with a Metropolis
    test. Every chain starts from the Gaussian around the mean field and runs ``thermalization``
    updates; meanwhile width and r are tuned, and kept from then on.

    Args:
        replicas: independent chains.
        metropolis: sweeps of Metropolis an update; without them abs(phi) cannot be any number.
        overrelaxation: sweeps of overrelaxation an update.
        clusters: ``wolff``, ``swendsen_wang`` or ``auto``.
        improved: estimate the two-point function by clusters, too.
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
    clusters: Literal["auto", "wolff", "swendsen_wang"] = "auto"
    improved: bool = True
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
        width, single = FIRST_WIDTH, int(self.clusters != "swendsen_wang")
        products, sizes = torch.zeros(2, 2, dtype=torch.float64)
        for i in range(self.thermalization):
            if i == self.thermalization // 2:
                products.zero_()
                sizes.zero_()
            products += self._products(phi)
            steps = self._steps(width, slope(products), single)
            updated = self._update(phi, steps, generator)
            phi = updated.phi
            width = adapted(width, updated.acceptance.mean().item(), self.target_acceptance)
            if single:
                sizes += torch.tensor([single * self.replicas, updated.flipped.sum()])
                single = max(1, round(self.lattice.volume * (sizes[0] / sizes[1]).item()))
        if self.clusters == "auto" and self.lattice.volume < LARGE * single:
            single = 0
        return self.initial_state()._replace(
            phi=phi,
            action=updated.action,
            width=torch.tensor(width, dtype=torch.float64),
            reflection=torch.tensor(slope(products), dtype=torch.float64),
            single=torch.tensor(single),
        )

    def initial_state(self) -> ClusterState:
        zero = torch.tensor(0.0, dtype=torch.float64)
        return ClusterState(
            phi=zero.expand(self.replicas, *self.lattice.shape),
            action=zero.expand(self.replicas),
            correlators=zero.expand(self.replicas, sum(self.lattice.shape)),
            width=zero,
            reflection=zero,
            single=torch.tensor(0),
            updates=torch.tensor(0),
            accepted=zero,
        )

    def advance(
        self, state: ClusterState, generator: torch.Generator
    ) -> tuple[ClusterState, Tensor]:
        steps = self._steps(float(state.width), float(state.reflection), int(state.single))
        improved = self._improves(state)
        for left in reversed(range(self.thin)):
            wanted = steps._replace(correlators=improved and not left)
            updated = self._update(state.phi, wanted, generator)
            state = state._replace(
                phi=updated.phi,
                action=updated.action,
                correlators=updated.correlators if improved else state.correlators,
                updates=state.updates + 1,
                accepted=state.accepted + updated.acceptance.mean().item(),
            )
        return state, torch.ones(self.replicas, dtype=torch.bool, device=state.phi.device)

    def row(self, state: ClusterState, moved: Tensor) -> Block:
        row = super().row(state, moved)
        return row._replace(correlators=state.correlators) if self._improves(state) else row

    def info(self, state: ClusterState) -> dict[str, float]:
        """What was tuned, and the mean acceptance of Metropolis since."""
        single = {"clusters_an_update": int(state.single)} if int(state.single) else {}
        return {
            "width": float(state.width),
            "reflection": float(state.reflection),
            **single,
            "acceptance": float(state.accepted) / max(1, int(state.updates)),
        }

    def _improves(self, state: ClusterState) -> bool:
        """Whether rows have an estimator by clusters, and a good one."""
        return self.improved and (state.single.item() == 0 or state.single.item() >= FEWEST)

    def _steps(self, width: float, reflection: float, single: int) -> Steps:
        return Steps(self.metropolis, self.overrelaxation, width, reflection, single)

    def _update(self, phi: Tensor, steps: Steps, generator: torch.Generator) -> Updated:
        """On the CPU, wherever the chains are: one site after another is nothing for a GPU."""
        device = generator.device
        key = int(torch.randint(2**63 - 1, (), generator=generator, device=device))
        updated = Updated(*(t.to(device) for t in cluster(phi.cpu(), self.theory, steps, key)))
        if not steps.single:
            return updated
        return updated._replace(phi=updated.phi * random_signs(updated.phi, generator))

    def _products(self, phi: Tensor) -> Tensor:
        """Sums of phi b and of b^2 over all sites, ``(2,)``."""
        field = phi.flatten(1).cpu()
        b = 2 * field[:, self.theory.neighbours].sum((2, 3))
        return torch.stack([(field * b).sum(), (b * b).sum()])


def slope(sums: Tensor) -> float:
    """2 <phi b> / <b^2>; 0 for a site without neighbours."""
    product, square = sums.tolist()
    return 2 * product / square if square else 0.0
