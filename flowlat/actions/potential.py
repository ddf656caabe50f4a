"""The potential of phi^4 at one site: its minima, and where it confines the field."""

import math
from typing import TypeVar

import numpy as np
from torch import Tensor

#: fields as PyTorch or as NumPy has them
Array = TypeVar("Array", Tensor, np.ndarray)


class Potential:
    """V(phi) = m2 phi^2 + lam phi^4, above its minimum: lam (phi^2 - v^2)^2 in a double well.

    ``v2`` is v^2, 0 where phi = 0 is the only minimum; ``depth`` = lam v^4 by how much V(0) is
    above the minima.

    Raises:
        ValueError: it does not confine: lam < 0, or lam = 0 and m2 <= 0.
    """

    def __init__(self, m2: float, lam: float):
        if not (lam > 0 or (lam == 0 and m2 > 0)):
            raise ValueError(f"m2={m2}, lam={lam}: the potential does not confine")
        self.m2, self.lam = float(m2), float(lam)
        self.v2 = -self.m2 / (2 * self.lam) if self.m2 < 0 else 0.0
        self.depth = self.lam * self.v2 * self.v2

    def rise(self, phi: Array) -> Array:
        """V above its minimum; no difference of large numbers, however deep the wells are."""
        phi2 = phi * phi
        if self.v2:
            return self.lam * (phi2 - self.v2) ** 2
        return phi2 * (self.m2 + self.lam * phi2)

    def support(self, rise: float) -> tuple[float, float]:
        """|phi| between which V is less than ``rise`` above its minimum; the first is 0 where
        nothing that high is between the wells."""
        if self.v2:
            width = math.sqrt(rise / self.lam)
            return math.sqrt(max(0.0, self.v2 - width)), math.sqrt(self.v2 + width)
        root = math.sqrt(self.m2 * self.m2 + 4 * self.lam * rise)
        return 0.0, math.sqrt(2 * rise / (self.m2 + root))
