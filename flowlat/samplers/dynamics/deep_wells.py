"""Sites in deep double wells: what crosses the barrier where no trajectory does."""

import torch
from torch import Tensor

from flowlat.actions import Action, Phi4, as_phi4
from flowlat.kernels.phi4.cluster import cluster
from flowlat.kernels.phi4.theory import Steps, theory_of
from flowlat.lattice import Lattice, batch_fastest

#: barrier of a site from which on its signs have moves of their own: trajectories cross it with
#: a probability of about exp(-barrier)
DEEP = 2.0

#: an update of the clusters alone
CLUSTERS = Steps(metropolis=0, overrelaxation=0, width=0.0, reflection=0.0)


class SiteSigns:
    """The signs of phi, drawn anew for fixed abs(phi) by clusters; phi^4 alone.

    Neighbours are bound with probability 1 - exp(-4 beta phi(x) phi(y)) where that is positive, and
    every cluster is flipped by a coin: rejection-free, and exp(-S) is invariant, S with beta times
    its hopping term. Clusters and not single sites, for the signs may be those of an ordered Ising
    model as well. Swendsen and Wang, Phys. Rev. Lett. 58 (1987) 86; Brower and Tamayo, Phys. Rev.
    Lett. 62 (1989) 1087.
    """

    def __init__(self, lattice: Lattice, phi4: Phi4):
        self.phi4, self.theory = phi4, theory_of(phi4.m2, phi4.lam, lattice.shape)

    def __call__(self, phi: Tensor, generator: torch.Generator, beta: float = 1.0) -> Tensor:
        """``(batch, *shape)`` in float64 with new signs, of ``batch_fastest`` layout."""
        device = generator.device
        key = int(torch.randint(2**63 - 1, (), generator=generator, device=device))
        # scaled, for the kernel knows of no beta
        drawn = cluster(phi.cpu() * beta**0.5, self.theory, CLUSTERS, key).phi
        # at beta = 0 the zeros have the signs, too
        return batch_fastest(phi.abs().copysign(drawn.to(device)))


def site_signs(lattice: Lattice, action: Action) -> SiteSigns | None:
    """The move, where the action is that of phi^4 and its barrier at least ``DEEP``."""
    phi4 = as_phi4(action)
    if phi4 is None or phi4.barrier < DEEP:
        return None
    return SiteSigns(lattice, phi4)
