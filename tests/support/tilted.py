"""An action that is not even."""

from flowlat.actions import Phi4
from flowlat.lattice import sum_sites


class Tilted(Phi4):
    """The phi^4 action and h sum_x phi(x)."""

    convention = "phi^4, and h sum_x phi(x)"
    even = False

    def __init__(self, m2, lam, h):
        super().__init__(m2, lam)
        self.h = h

    def __call__(self, phi):
        return super().__call__(phi) + self.h * sum_sites(phi)

    def force(self, phi):
        return super().force(phi) - self.h
