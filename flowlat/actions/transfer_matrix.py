"""The transfer matrix of phi^4 in one dimension, by which every theory there is solved."""

import math

import numpy as np

from flowlat.actions.potential import Potential
from flowlat.utils.errors import ConfigError

#: exp(-REACH) is where the quadrature lets the field end
REACH = 50.0
#: spacing of the nodes in standard deviations of the narrowest Gaussian between them. The sums are
#: exact to rounding at 0.75, off by up to 1e-7 at 1
FINENESS = 0.5
#: how far V rises above its minimum where that is looked for: beyond, the density is below 4e-4
TYPICAL = 8.0
#: of the transfer matrix, which is one of 8 MB then
MOST_NODES = 1024
LEAST_NODES = 16


class TransferMatrix:
    """T(a, b) = exp(-(V(a) + V(b))/2 - (a - b)^2) of the periodic chain:  Z = tr T^L.

    On n equidistant nodes T times their spacing is a symmetric matrix. The trapezoid rule, which
    sums over them, converges exponentially, the integrand being analytic and zero at both ends;
    unless n is given :func:`number_of_nodes` has it.

    ``nodes`` ``(n,)`` and ``spacing``; ``values`` ``(n,)``, the eigenvalues from the largest down,
    in units of the largest; ``vectors`` ``(n, n)``, the eigenvectors in columns.

    Raises:
        ValueError: the potential does not confine, is beyond the range of floating-point numbers,
            or so flat or so steep that it takes too many nodes.
    """

    def __init__(self, m2: float, lam: float, n: int | None = None):
        self.potential = Potential(m2, lam)
        self.nodes, self.spacing = nodes_of(self.potential, n or number_of_nodes(self.potential))
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


def number_of_nodes(potential: Potential, fineness: float = FINENESS) -> int:
    """How many nodes resolve what a site does between its neighbours.

    S has the curvature 4 + V'' there, which is largest where the field is; a Gaussian of that
    width is sampled at ``fineness`` of its standard deviation.

    Raises:
        ConfigError: more than ``MOST_NODES``, or a number beyond the range of floating point.
    """
    _, typical = potential.support(TYPICAL)
    near, far = potential.support(REACH)
    curvature = 4 + 2 * potential.m2 + 12 * potential.lam * typical**2
    needed = 2 * (far - near) * math.sqrt(curvature) / fineness
    theory = f"m2={potential.m2}, lam={potential.lam}"
    if not math.isfinite(needed):
        raise ConfigError(f"{theory}: beyond the range of floating-point numbers")
    if needed > MOST_NODES:
        raise ConfigError(
            f"{theory}: the transfer matrix would need {needed:.3g} nodes, at most {MOST_NODES}"
        )
    return max(LEAST_NODES, 2 * math.ceil(needed / 2))


def nodes_of(potential: Potential, n: int) -> tuple[np.ndarray, float]:
    """Equidistant fields ``(n,)`` on which V is less than REACH above its minimum, and their
    spacing; half of them in either well, where these have nothing but a barrier between them."""
    near, far = potential.support(REACH)
    if not near:
        phi = np.linspace(-far, far, n)
        return phi, phi[1] - phi[0]
    well = np.linspace(near, far, n // 2)
    return np.concatenate([-well[::-1], well]), well[1] - well[0]
