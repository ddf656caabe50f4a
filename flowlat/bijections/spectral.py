"""A learnable filter in momentum space."""

import torch
from torch import Tensor

from flowlat.bijections.base import Bijection
from flowlat.lattice import Lattice
from flowlat.priors.spectrum import Spectrum
from flowlat.utils.gradients import cached_without_gradients


class Spectral(Bijection):
    """y = F^-1[ a(k) F x ], a(k) > 0 a learnable function of khat^2;  log_det = sum_k log a(k).

    Linear, odd, and equivariant under all translations. The identity at the start. See
    :class:`flowlat.priors.spectrum.Spectrum`.
    """

    def __init__(self, lattice: Lattice):
        super().__init__()
        self.spectrum = Spectrum(lattice)

    @cached_without_gradients
    def _amplitude(self, sign: int) -> tuple[Tensor, Tensor]:
        """Of the filter, or, for a sign of -1, of its inverse."""
        return self.spectrum.amplitude(sign * self.spectrum())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y, log_det = self.spectrum.filter(x, *self._amplitude(1))
        return y, log_det.to(y.dtype)

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        x, log_det = self.spectrum.filter(y, *self._amplitude(-1))
        return x, log_det.to(x.dtype)

    def with_score(self, x: Tensor, score: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The score of y is F^-1[ F score / a(k) ]: the map is linear and its own transpose."""
        y, log_det = self(x)
        with torch.no_grad():
            score, _ = self.spectrum.filter(score, *self._amplitude(-1))
        return y, log_det, score
