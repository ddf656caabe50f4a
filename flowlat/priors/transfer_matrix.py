"""The theory itself in one dimension, where the transfer matrix solves it."""

import torch
from torch import Tensor

from flowlat.actions.potential import Potential
from flowlat.actions.transfer_matrix import TransferMatrix, number_of_nodes
from flowlat.lattice import Lattice, neighbour, sum_sites
from flowlat.priors.base import UniformPrior
from flowlat.priors.node_quantile import SIDE, node_quantile

#: as in ``number_of_nodes``: sums over nodes need half as many, interpolation between them does not
FINENESS = 0.25
#: powers of eigenvalue ratios below this add nothing in float64
NEGLIGIBLE = 1e-16
#: numbers of a table of densities on the nodes, so that a processor's cache holds it
AT_ONCE = 2**17


class ExactChain(UniformPrior):
    """r(z) = exp(-S(z)) / Z with S = sum_x {(z(x+1) - z(x))^2 + m2 z^2 + lam z^4}, for d = 1 alone.

    The periodic chain is a Markov chain in x, given where it starts:

        p(z_0) = T^L(z_0, z_0) / Z,    p(z_i | z_{i-1}, z_0) = T(z_{i-1}, z_i) T^{L-i}(z_i, z_0) / N

    with T of :class:`flowlat.actions.transfer_matrix.TransferMatrix` and
    N = T^{L-i+1}(z_{i-1}, z_0): their product is exp(-S) / Z. The powers are sums over
    eigenvectors, continued from the nodes to any z_0 by T itself (Nystroem's method). Each site is
    drawn by inversion of its distribution function, see :func:`node_quantile`: the draws follow r
    to seven digits, and log r is the formula above, on any field. Proposals of it need no
    correction, for this action.

    Raises:
        ValueError: a lattice of another dimension; a potential that does not confine, is beyond
            the range of floating-point numbers, or is so flat or so steep that it would take more
            than 1,024 nodes.
    """

    option = "transfer_matrix"
    only_d = 1
    crosses = True

    def __init__(self, lattice: Lattice, m2: float, lam: float):
        super().__init__(lattice)
        self.set_couplings(m2, lam)

    def set_couplings(self, m2: float, lam: float) -> None:
        nodes = max(2 * SIDE + 2, number_of_nodes(Potential(m2, lam), FINENESS))
        solved = TransferMatrix(m2, lam, nodes)
        self.potential, self._ratios = solved.potential, solved.values
        self._log_norm = solved.log_norm(self.lattice.volume)
        first = (solved.vectors**2 * solved.values**self.lattice.volume).sum(1)
        # plain attributes and not buffers: the tables stay in float64 when the module is cast
        arrays = solved.nodes, solved.half, solved.values, solved.vectors, first
        self._tables = tuple(torch.from_numpy(array.copy()) for array in arrays)
        self._spacing = float(solved.spacing)

    def forward(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        if self._tables[0].device != noise.device:  # once: a CUDA graph cannot wait for the host
            self._tables = tuple(table.to(noise.device) for table in self._tables)
        rows = max(1, AT_ONCE // len(self._tables[0]))
        with torch.no_grad():  # there are no parameters
            z = torch.cat([self._drawn(part) for part in noise.double().split(rows)])
        z = z.to(self.device_anchor.dtype)
        return z, self.log_prob(z)

    def log_prob(self, z: Tensor) -> Tensor:
        z64 = z.double()  # S and log Z are large, and their difference is not
        rise = (neighbour(z64, 0) - z64) ** 2 + self.potential.rise(z64)
        return (-sum_sites(rise) - self._log_norm).to(z.dtype)

    def _drawn(self, u: Tensor) -> Tensor:
        """The fields ``(n, L)`` at which the distribution functions have the values u."""
        nodes, half, ratios, vectors, first = self._tables

        def hops(z: Tensor) -> Tensor:
            """T(z, nodes) but for a factor that depends on z alone."""
            away = z.unsqueeze(1) - nodes  # no squares of both, whose difference loses digits
            return torch.addcmul(-half, away, away, value=-1).exp_()

        sites = [node_quantile(first.expand(len(u), -1), nodes, self._spacing, u[:, 0])]
        step = hops(sites[0])
        end = step @ vectors  # of T(z_0, .), in the eigenvectors
        for i in range(1, u.shape[1]):
            power = u.shape[1] - i
            kept = int((self._ratios**power > NEGLIGIBLE).sum())
            back = (end[:, :kept] * ratios[:kept] ** (power - 1)) @ vectors[:, :kept].T
            sites.append(node_quantile(step.mul_(back), nodes, self._spacing, u[:, i]))
            step = hops(sites[-1])
        return torch.stack(sites, 1)
