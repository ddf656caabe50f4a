"""The theory without its hopping term: independent sites in the potential, drawn exactly."""

import math

import torch
from torch import Tensor

from flowlat.lattice import Lattice, sum_sites
from flowlat.priors.base import Prior
from flowlat.utils.limits import Count

# three-point Gauss-Legendre nodes and weights on [0, 1]
NODES = (0.5 - math.sqrt(0.15), 0.5, 0.5 + math.sqrt(0.15))
WEIGHTS = (5 / 18, 8 / 18, 5 / 18)

# the table ends where the density has fallen to exp(-REACH) of its maximum
REACH = 60.0


class SingleSitePotential(Prior):
    """r(z) = prod_x exp(-(m2 z^2 + lam z^4)) / N, drawn by inversion of the distribution function.

    The distribution function F is tabulated in float64 at the edges of bins and is a three-point
    Gauss-Legendre integral within one; F(z) = u is solved by Newton's method. The noise is
    uniform on [0, 1), in float64 whatever the flow's precision.

    Raises:
        ValueError: the potential does not confine (lam < 0, or lam = 0 and m2 <= 0), or is beyond
            the range of floating-point numbers.
    """

    def __init__(self, lattice: Lattice, m2: float, lam: float, n_bins: Count = 4096):
        super().__init__(lattice)
        if not (lam > 0 or (lam == 0 and m2 > 0)):
            raise ValueError(f"m2={m2}, lam={lam}: the single-site potential does not confine")
        self.m2, self.lam = float(m2), float(lam)
        try:
            reach = self._reach()
        except OverflowError:
            reach = math.inf
        edges = torch.linspace(-reach, reach, n_bins + 1, dtype=torch.float64)
        mass = self._integral(edges[:-1], edges.diff())
        norm = mass.sum().item()
        if not 0 < norm < math.inf:
            raise ValueError(f"m2={m2}, lam={lam}: beyond the range of floating-point numbers")
        self.log_norm = math.log(norm)
        # plain attributes and not buffers: the table stays in float64 when the module is cast
        self._edges = edges
        self._cdf = torch.cat([mass.new_zeros(1), mass.cumsum(0)]) / mass.sum()

    def noise(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Uniform noise ``(n, *shape)`` in float64."""
        noise = self.device_anchor.new_empty(n, *self.lattice.shape, dtype=torch.float64)
        return noise.uniform_(generator=generator)

    def forward(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        z = self._quantile(noise.double()).to(self.device_anchor.dtype)
        return z, self.log_prob(z)

    def log_prob(self, z: Tensor) -> Tensor:
        z2 = z * z
        return -sum_sites(z2 * (self.m2 + self.lam * z2)) - self.lattice.volume * self.log_norm

    def _quantile(self, u: Tensor) -> Tensor:
        if self._edges.device != u.device:  # once: a CUDA graph cannot wait for the host
            self._edges, self._cdf = self._edges.to(u.device), self._cdf.to(u.device)
        edges, cdf = self._edges, self._cdf
        index = (torch.searchsorted(cdf, u, right=True) - 1).clamp(0, edges.numel() - 2)
        left, right = edges[index], edges[index + 1]
        mass = cdf[index + 1] - cdf[index]
        target = u - cdf[index]
        norm = math.exp(self.log_norm)
        z = left + (right - left) * target / mass.clamp_min(torch.finfo(mass.dtype).tiny)
        for _ in range(3):
            excess = self._integral(left, z - left) / norm - target
            slope = self._weight(z) / norm
            z = torch.where(mass > 0, z - excess / slope, z).clamp(left, right)
        return z

    def _weight(self, z: Tensor) -> Tensor:
        z2 = z * z
        return torch.exp(-z2 * (self.m2 + self.lam * z2))

    def _integral(self, start: Tensor, width: Tensor) -> Tensor:
        """Integral of the weight over [start, start + width]."""
        points = [w * self._weight(start + width * x) for x, w in zip(NODES, WEIGHTS, strict=True)]
        return width * (points[0] + points[1] + points[2])

    def _reach(self) -> float:
        """The z > 0 at which the potential has risen by REACH above its minimum."""
        if self.lam == 0:
            return math.sqrt(REACH / self.m2)
        minimum = -(self.m2**2) / (4 * self.lam) if self.m2 < 0 else 0.0
        root = math.sqrt(self.m2**2 + 4 * self.lam * (REACH + minimum))
        return math.sqrt((root - self.m2) / (2 * self.lam))
