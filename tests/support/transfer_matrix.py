"""The one-dimensional theory solved by its transfer matrix: an oracle for any coupling."""

import numpy as np


def chain(m2: float, lam: float, length: int, n: int = 200) -> tuple[float, float]:
    """log Z and <phi^2> of the periodic chain, by Gauss-Legendre quadrature on n nodes.

    T(a, b) = exp(-V(a)/2 - (a - b)^2 - V(b)/2), V = m2 phi^2 + lam phi^4;  Z = tr T^L.
    """
    phi, values, vectors = spectrum(m2, lam, n)
    scale = (values / values[-1]) ** length
    expectation = np.einsum("ik,i,ik->k", vectors, phi**2, vectors)
    log_z = length * np.log(values[-1]) + np.log(scale.sum())
    return float(log_z), float((scale * expectation).sum() / scale.sum())


def chain_two_point(m2: float, lam: float, length: int, n: int = 200) -> np.ndarray:
    """<phi(s) phi(s+t)>, t = 0 .. L-1, of the same chain: tr(phi T^t phi T^(L-t)) / tr T^L."""
    phi, values, vectors = spectrum(m2, lam, n)
    values = np.abs(values) / values[-1]
    squares = np.einsum("ik,i,il->kl", vectors, phi, vectors) ** 2
    times = np.arange(length)[:, None]
    traces = np.einsum("tk,kl,tl->t", values**times, squares, values ** (length - times))
    return traces / (values**length).sum()


def spectrum(m2: float, lam: float, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The nodes, and the eigenvalues and eigenvectors of T on them."""
    reach = 4.0 if lam else 7.0
    nodes, weights = np.polynomial.legendre.leggauss(n)
    phi, w = reach * nodes, reach * weights
    half = 0.5 * (m2 * phi**2 + lam * phi**4)
    transfer = np.exp(-half[:, None] - (phi[:, None] - phi) ** 2 - half) * np.sqrt(w[:, None] * w)
    return phi, *np.linalg.eigh(transfer)
