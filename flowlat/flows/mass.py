"""The mass of a theory from its couplings: an explicit interpolation."""

import math
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

#: of a polynomial in m2, from the constant up
Polynomial = Annotated[Sequence[float], Field(min_length=1, max_length=16)]


class MassCurve:
    """The mass m of (m2, lam): the positive root of lam = lam_c(m2) + a(m2) m + b(m2) m^2.

    lam_c, a and b are polynomials in m2, fitted to correlation lengths that HMC measures: 1/m is
    that of the infinite volume, to some per cent, and lam_c the critical line where there is one.
    The first power is that of d = 2, where nu = 1. With lam_c = b = 0 and a = 1 the mass is lam.

    Args:
        critical: the coefficients of lam_c, from the constant up.
        slope: of a.
        curvature: of b.
    """

    def __init__(self, critical: Polynomial, slope: Polynomial, curvature: Polynomial):
        self.polynomials = list(critical), list(slope), list(curvature)

    def at(self, m2: float) -> tuple[float, float, float]:
        """lam_c, a and b."""
        lam_c, a, b = (sum(c * m2**n for n, c in enumerate(p)) for p in self.polynomials)
        return lam_c, a, b

    def mass(self, m2: float, lam: float) -> float:
        """The mass of a theory; 0 beyond the critical line."""
        lam_c, a, b = self.at(m2)
        distance = max(lam - lam_c, 0.0)
        # the root without a difference of two large numbers
        return 2 * distance / (a + math.sqrt(a * a + 4 * b * distance)) if distance else 0.0

    def lam(self, m2: float, mass: float) -> float:
        """The lam at which a theory has this mass."""
        lam_c, a, b = self.at(m2)
        return lam_c + a * mass + b * mass * mass
