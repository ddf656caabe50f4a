"""A learnable filter in momentum space."""

from torch import Tensor

from flowlat.bijections.base import Bijection
from flowlat.lattice import Lattice
from flowlat.priors.spectrum import Spectrum


class Spectral(Bijection):
    """y = F^-1[ a(k) F x ], a(k) > 0 a learnable function of khat^2;  log_det = sum_k log a(k).

    Linear, odd, and equivariant under all translations. The identity at the start. See
    :class:`flowlat.priors.spectrum.Spectrum`.
    """

    def __init__(self, lattice: Lattice):
        super().__init__()
        self.spectrum = Spectrum(lattice)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y, log_det = self.spectrum.filter(x, self.spectrum())
        return y, log_det.to(y.dtype)

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        x, log_det = self.spectrum.filter(y, -self.spectrum())
        return x, log_det.to(x.dtype)

    def with_score(self, x: Tensor, score: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The score of y is F^-1[ F score / a(k) ]: the map is linear and its own transpose."""
        log_a = self.spectrum()
        y, log_det = self.spectrum.filter(x, log_a)
        score, _ = self.spectrum.filter(score, -log_a.detach())
        return y, log_det.to(y.dtype), score
