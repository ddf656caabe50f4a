"""The transfer matrix of phi^4 in one dimension, by which every theory there is solved."""

import math

import numpy as np

from flowlat.actions.potential import Potential

#: exp(-REACH) is where the quadrature lets the field end
REACH = 50.0


class TransferMatrix:
    """T(a, b) = exp(-(V(a) + V(b))/2 - (a - b)^2) of the periodic chain:  Z = tr T^L.

    On n equidistant nodes T times their spacing is a symmetric matrix. The trapezoid rule, which
    sums over them, converges exponentially, the integrand being analytic and zero at both ends.

    ``nodes`` ``(n,)`` and ``spacing``; ``values`` ``(n,)``, the eigenvalues from the largest down,
    in units of the largest; ``vectors`` ``(n, n)``, the eigenvectors in columns.

    Raises:
        ValueError: the potential does not confine, or is beyond the range of floating-point
            numbers.
    """

    def __init__(self, m2: float, lam: float, n: int = 256):
        self.potential = Potential(m2, lam)
        self.nodes, self.spacing = nodes_of(self.potential, n)
        # the minimum of V is taken off, or deep wells would overflow
        self.half = 0.5 * self.potential.rise(self.nodes)
        exponent = -self.half[:, None] - (self.nodes[:, None] - self.nodes) ** 2 - self.half
        matrix = np.exp(exponent) * self.spacing
        if not (np.isfinite(matrix).all() and matrix.max() > 0):
            raise ValueError(f"m2={m2}, lam={lam}: beyond the range of floating-point numbers")
        values, vectors = np.linalg.eigh(matrix)
        # rounding makes the smallest negative
        self.values = np.clip(values[::-1] / values[-1], 0, None)
        self.vectors = vectors[:, ::-1]
        self._log_largest = math.log(values[-1])

    def log_z(self, length: int) -> float:
        """log Z of the chain of so many sites."""
        return self.log_norm(length) + length * self.potential.depth

    def log_norm(self, length: int) -> float:
        """log Z with the minimum of V taken off at every site."""
        return length * self._log_largest + math.log((self.values**length).sum())


def nodes_of(potential: Potential, n: int) -> tuple[np.ndarray, float]:
    """Equidistant fields ``(n,)`` on which V is less than REACH above its minimum, and their
    spacing; half of them in either well, where these have nothing but a barrier between them."""
    near, far = potential.support(REACH)
    if not near:
        phi = np.linspace(-far, far, n)
        return phi, phi[1] - phi[0]
    well = np.linspace(near, far, n // 2)
    return np.concatenate([-well[::-1], well]), well[1] - well[0]
