"""The Gaussian around the mean field: where chains start, and annealing without a flow."""

import math

import numpy as np
import torch
from torch import Tensor

from flowlat.actions import Action, Free
from flowlat.lattice import Fourier, Lattice, sum_sites
from flowlat.samplers.density import Density

#: nodes of the quadrature of <V(v + sigma x)>: exact for polynomials up to degree 39
NODES = 20

#: a field at which any action has grown
FARTHEST = 1e100

#: points an axis of the grid on which the minimum is sought, and how often it is refined
GRID, ZOOMS = 21, 12


class MeanField(Density):
    """phi = s v + F^-1[a(k) F eps], a(k)^2 = 1 / (2 (khat^2 + mass2)), the sign s = +-1 by a coin.

    -log q = sum_x { sum_mu (phi(x+mu) - phi(x))^2 + mass2 phi^2 } + mass2 v^2 V
             - log cosh(2 mass2 v sum_x phi) + log Z_free(mass2):

    both modes of an ordered phase in one density. For an action that is not even s = 1, and the
    log cosh is its argument. v and mass2 make log Z >= <-S> + entropy of the Gaussian as large as
    it can be (the inequality of Gibbs, Bogoliubov and Feynman).
    """

    convention = "S = -log q(phi), weight q(phi)"

    def __init__(self, lattice: Lattice, action: Action):
        self.lattice = lattice
        self.even = action.even
        self.v, self.mass2 = minimise_free_energy(lattice, action)
        self.free = Free(self.mass2)
        self.constant = self.mass2 * self.v**2 * lattice.volume + self.free.log_z(lattice)

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        device = generator.device
        shape = (n, *self.lattice.shape)
        noise = torch.randn(shape, generator=generator, device=device, dtype=torch.float64)
        fourier = Fourier(self.lattice)
        amplitude = (0.5 / (fourier.khat2 + self.mass2)).sqrt()
        phi = fourier.filter(noise, amplitude.to(device)) + self.v
        if self.even:
            phi *= random_signs(phi, generator)
        return phi, -self(phi)

    def __call__(self, phi: Tensor) -> Tensor:
        source = 2 * self.mass2 * self.v * sum_sites(phi)
        if self.even:
            source = torch.logaddexp(source, -source) - math.log(2)
        return self.free(phi) + self.constant - source

    def force(self, phi: Tensor) -> Tensor:
        slope = 2 * self.mass2 * self.v
        source = slope * sum_sites(phi)
        pull = slope * (torch.tanh(source) if self.even else torch.ones_like(source))
        return self.free.force(phi).add_(pull.reshape(-1, *[1] * self.lattice.d))


def random_signs(phi: Tensor, generator: torch.Generator) -> Tensor:
    """+-1 of each configuration, ``(batch, 1, ..., 1)``."""
    shape = (len(phi), *[1] * (phi.dim() - 1))
    heads = torch.randint(0, 2, shape, generator=generator, device=phi.device)
    return (2 * heads - 1).to(phi.dtype)


def minimise_free_energy(lattice: Lattice, action: Action) -> tuple[float, float]:
    """The v and mass2 of the Gaussian that minimise <S> - entropy; v >= 0 if the action is even.

    Per site, with s_k = 1 / (2 (khat^2 + mass2)) and sigma^2 the mean of s_k over the modes:
    mean_k { khat^2 s_k - log(2 pi e s_k) / 2 } + < V(v + sigma x) > over a normal x.
    """

    def potential(field: Tensor) -> Tensor:
        # a lattice of one site has no gradients: its action is V
        return action(field.reshape(-1, *[1] * lattice.d)).reshape(field.shape)

    reach = 1.0
    ends = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
    while not (potential(ends * reach)[::2] > potential(ends)[1] + 50).all():
        reach *= 2
        if reach > FARTHEST:
            raise ValueError("the action does not grow: its couplings are lost in rounding")
    khat2 = lattice.khat2().flatten()
    nodes, weights = map(torch.from_numpy, np.polynomial.hermite_e.hermegauss(NODES))
    weights = weights / weights.sum()
    low, high = (0.0 if action.even else -reach), reach
    v_low, v_high, log_low, log_high = low, high, math.log(1e-4), math.log(1e4)
    for _ in range(ZOOMS):
        v = torch.linspace(v_low, v_high, GRID, dtype=torch.float64)
        log_mass2 = torch.linspace(log_low, log_high, GRID, dtype=torch.float64)
        s = 0.5 / (khat2 + log_mass2.exp().unsqueeze(1))
        gaussian = (khat2 * s - 0.5 * torch.log(2 * math.pi * math.e * s)).mean(1)
        sigma = s.mean(1).sqrt()
        field = v.reshape(-1, 1, 1) + sigma.reshape(-1, 1) * nodes
        free_energy = gaussian + potential(field) @ weights
        i, j = divmod(int(free_energy.argmin()), GRID)
        # two spacings either side of the best point
        v_low, v_high = (v[i] + 2 * (v[1] - v[0]) * ends[::2]).clamp(low, high).tolist()
        margin = 2 * (log_mass2[1] - log_mass2[0])
        log_low, log_high = (log_mass2[j] + margin * ends[::2]).tolist()
    return float(v[i]), float(log_mass2[j].exp())
