"""What is known without a simulation: the free theory in any d, and every theory in d = 1.

The values go by the names that the observables have in conf/observables, so that an ensemble can
be held against them.
"""

import math
from contextlib import suppress

import numpy as np

from flowlat.actions import Action, Free, Phi4
from flowlat.actions.transfer_matrix import TransferMatrix
from flowlat.lattice import Lattice

Known = dict[str, float | np.ndarray]


def known(action: Action, lattice: Lattice) -> Known:
    """Exact values by name, numbers and ``two_point`` ``(T // 2 + 1,)``, as far as they are known.

    ``schwinger_dyson`` is 1 for every action of this project, and <M> is 0 for an even one.
    """
    values: Known = {"schwinger_dyson": 1.0}
    if action.even:
        values["magnetization"] = 0.0
    # no subclass of a user's: its potential is its own
    if not isinstance(action, Phi4) or type(action) not in (Phi4, Free):
        return values
    if action.lam == 0:
        return {**values, **free(action.m2, lattice)}
    if lattice.d == 1:
        with suppress(ValueError):  # too flat or too steep for a quadrature
            values |= transfer_matrix(action.m2, action.lam, lattice.volume)
    return values


def free(m2: float, lattice: Lattice) -> Known:
    """The Gaussian theory: modes of variance 1 / (2 (khat^2 + m2)); M has that of k = 0 over V.

    <S>/V is 1/2 by equipartition; C(t) decays as cosh(m (t - T/2)) with m = 2 asinh(sqrt(m2)/2).
    """
    action, volume = Free(m2), lattice.volume
    mass = 2 * math.asinh(math.sqrt(m2) / 2)
    propagator = action.propagator(lattice).numpy()
    phi2, period = float(propagator.flat[0]), lattice.shape[-1]
    # C(t) = (1/V_s) sum_x G(x, t), V_s the sites of a time slice
    two_point = propagator.reshape(-1, period).mean(0)[: period // 2 + 1]
    abs_magnetization = 1 / math.sqrt(math.pi * m2 * volume)
    return {
        "log_z": action.log_z(lattice),
        "phi2": phi2,
        "action_density": 0.5,
        "kinetic_density": 0.5 - m2 * phi2,
        "potential_density": m2 * phi2,
        "abs_magnetization": abs_magnetization,
        "chi2": 1 / (2 * m2),
        "connected_susceptibility": (1 - 2 / math.pi) / (2 * m2),
        "binder": 0.0,
        "correlation_length": 1 / math.sqrt(m2),
        "two_point": two_point,
        "two_point_connected": two_point - abs_magnetization**2,
        "effective_mass": np.full(period // 2, mass),
        "pole_mass": mass,
    }


def transfer_matrix(m2: float, lam: float, length: int, n: int | None = None) -> Known:
    """The periodic chain, from the eigenvalues of its transfer matrix T on n nodes, or on enough.

    Z = tr T^L and <phi(0) phi(t)> = tr(phi T^t phi T^(L-t)) / Z, see
    :class:`flowlat.actions.transfer_matrix.TransferMatrix`. By <phi dS/dphi> = 1 the kinetic
    density is 1/2 - m2 <phi^2> - 2 lam <phi^4>.
    """
    solved = TransferMatrix(m2, lam, n)
    phi, vectors, ratio = solved.nodes, solved.vectors, solved.values
    norm = (ratio**length).sum()

    def diagonal(power: int) -> float:
        elements = (vectors**2 * phi[:, None] ** power).sum(0)
        return float((ratio**length * elements).sum() / norm)

    squared = (vectors.T @ (phi[:, None] * vectors)) ** 2
    two_point = np.array([ratio**t @ squared @ ratio ** (length - t) / norm for t in range(length)])
    phi2, phi4 = diagonal(2), diagonal(4)
    return {
        "log_z": solved.log_z(length),
        "phi2": phi2,
        "action_density": 0.5 - lam * phi4,
        "kinetic_density": 0.5 - m2 * phi2 - 2 * lam * phi4,
        "potential_density": m2 * phi2 + lam * phi4,
        "chi2": float(two_point.sum()),
        "two_point": two_point[: length // 2 + 1],
    }
