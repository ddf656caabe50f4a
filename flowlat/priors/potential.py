"""The theory without its hopping term: independent sites in the potential, drawn exactly."""

import math

import torch
from torch import Tensor

from flowlat.actions.potential import Potential
from flowlat.lattice import Lattice, sum_sites
from flowlat.priors.base import UniformPrior
from flowlat.utils.limits import Count

# three-point Gauss-Legendre nodes and weights on [0, 1]
NODES = (0.5 - math.sqrt(0.15), 0.5, 0.5 + math.sqrt(0.15))
WEIGHTS = (5 / 18, 8 / 18, 5 / 18)

# the table ends where the density has fallen to exp(-REACH) of its maximum
REACH = 60.0


class SingleSitePotential(UniformPrior):
    """r(z) = prod_x exp(-(m2 z^2 + lam z^4)) / N, drawn by inversion of the distribution function.

    The distribution function F is tabulated in float64 at the edges of bins and is a three-point
    Gauss-Legendre integral within one; F(z) = u is solved by Newton's method. The noise is
    uniform on [0, 1), in float64 whatever the flow's precision.

    Raises:
        ValueError: the potential does not confine (lam < 0, or lam = 0 and m2 <= 0), or is beyond
            the range of floating-point numbers.
    """

    option = "potential"

    def __init__(self, lattice: Lattice, m2: float, lam: float, n_bins: Count = 4096):
        super().__init__(lattice)
        self.potential = Potential(m2, lam)
        edges = self._edges_of_bins(n_bins)
        mass = self._integral(edges[:-1], edges.diff())
        norm = mass.sum().item()
        if not 0 < norm < math.inf:
            raise ValueError(f"m2={m2}, lam={lam}: beyond the range of floating-point numbers")
        # of exp(-V) over its maximum; deep wells would make exp(-V) itself overflow
        self._norm = norm
        self.log_norm = math.log(norm) + self.potential.depth
        # plain attributes and not buffers: the table stays in float64 when the module is cast
        self._edges = edges
        self._cdf = torch.cat([mass.new_zeros(1), mass.cumsum(0)]) / mass.sum()

    def forward(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        z = self._quantile(noise.double()).to(self.device_anchor.dtype)
        return z, self.log_prob(z)

    def log_prob(self, z: Tensor) -> Tensor:
        total = sum_sites(self.potential.rise(z), torch.float64)
        return (-total - self.lattice.volume * math.log(self._norm)).to(z.dtype)

    def _quantile(self, u: Tensor) -> Tensor:
        if self._edges.device != u.device:  # once: a CUDA graph cannot wait for the host
            self._edges, self._cdf = self._edges.to(u.device), self._cdf.to(u.device)
        edges, cdf = self._edges, self._cdf
        index = (torch.searchsorted(cdf, u, right=True) - 1).clamp(0, edges.numel() - 2)
        left, right = edges[index], edges[index + 1]
        mass = cdf[index + 1] - cdf[index]
        target = u - cdf[index]
        norm = self._norm
        z = left + (right - left) * target / mass.clamp_min(torch.finfo(mass.dtype).tiny)
        for _ in range(3):
            excess = self._integral(left, z - left) / norm - target
            slope = self._weight(z) / norm
            z = torch.where(mass > 0, z - excess / slope, z).clamp(left, right)
        return z

    def _weight(self, z: Tensor) -> Tensor:
        """exp(-V) over its maximum."""
        return torch.exp(-self.potential.rise(z))

    def _integral(self, start: Tensor, width: Tensor) -> Tensor:
        """Integral of the weight over [start, start + width]."""
        points = [w * self._weight(start + width * x) for x, w in zip(NODES, WEIGHTS, strict=True)]
        return width * (points[0] + points[1] + points[2])

    def _edges_of_bins(self, n_bins: int) -> Tensor:
        """Up to where V has risen by REACH above its minimum; of wells that are deeper than that
        half of the bins in each, and one between them."""
        near, far = self.potential.support(REACH)
        if not near:
            return torch.linspace(-far, far, n_bins + 1, dtype=torch.float64)
        well = torch.linspace(near, far, n_bins // 2 + 1, dtype=torch.float64)
        return torch.cat([-well.flip(0), well])
