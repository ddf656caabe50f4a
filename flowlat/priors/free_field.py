"""A free field with a learnable spectrum: the long-range part of the theory, solved at once."""

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from flowlat.lattice import Lattice
from flowlat.priors.base import Prior, log_standard_normal
from flowlat.priors.spectrum import Spectrum
from flowlat.utils.limits import Positive


class FreeField(Prior):
    """z = F^-1[ a(k) F eps ] + shift, with eps white and a(k) > 0 a function of khat^2 alone.

    log a(k) = -1/2 log(2 (khat^2 + M^2)) + a learnable smooth function, zero at the start
    (:class:`flowlat.priors.spectrum.Spectrum`): the free propagator of a learnable mass, and its
    corrections. log r(z) = log N(eps; 0, 1) - sum_k log a(k). Nothing refers to the volume, so the
    parameters transfer between lattices of the same d. ``shift`` is where a learnable constant
    field starts; None leaves it out (and the prior even).
    """

    option = "free_field"

    def __init__(
        self,
        lattice: Lattice,
        mass2: Positive = 1.0,
        shift: float | None = None,
        n_coefficients: Annotated[int, Field(ge=0)] = 12,
    ):
        super().__init__(lattice)
        self.log_mass2 = nn.Parameter(torch.tensor(math.log(mass2)))
        self.spectrum = Spectrum(lattice, n_coefficients)
        self.shift = None if shift is None else nn.Parameter(torch.tensor(float(shift)))

    def log_amplitude(self) -> Tensor:
        """log a(k), ``(S,)`` on the shells of :func:`flowlat.lattice.shells`."""
        return self.spectrum() - 0.5 * torch.log(2 * (self.spectrum.khat2 + self.log_mass2.exp()))

    def forward(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        z, log_det = self.spectrum.filter(noise, self.log_amplitude())
        if self.shift is not None:
            z = z + self.shift
        return z, (log_standard_normal(noise) - log_det).to(z.dtype)

    def log_prob(self, z: Tensor) -> Tensor:
        if self.shift is not None:
            z = z - self.shift
        noise, log_det = self.spectrum.filter(z, -self.log_amplitude())
        return (log_standard_normal(noise) + log_det).to(z.dtype)
