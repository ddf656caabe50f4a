"""A learnable filter in momentum space."""

from torch import Tensor

from flowlat.bijections.base import Bijection
from flowlat.lattice import Lattice
from flowlat.lattice.fourier import filter_modes
from flowlat.lattice.spectrum import Spectrum


class Spectral(Bijection):
    """y = F^-1[ a(k) F x ], a(k) > 0 a learnable function of khat^2;  log_det = sum_k log a(k).

    Linear, odd, and equivariant under all translations. The identity at the start. See
    :class:`flowlat.lattice.spectrum.Spectrum`.
    """

    def __init__(self, lattice: Lattice):
        super().__init__()
        self.spectrum = Spectrum(lattice)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self._filter(x, self.spectrum())

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        return self._filter(y, -self.spectrum())

    def _filter(self, x: Tensor, log_a: Tensor) -> tuple[Tensor, Tensor]:
        log_det = self.spectrum.sum_modes(log_a)
        return filter_modes(x, log_a.exp()), log_det.expand(x.shape[0])
