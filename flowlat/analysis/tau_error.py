"""The error of tau_int, where chains are slow and not Gaussian."""

import numpy as np

from flowlat.analysis.stretches.chains import Chains, stacked

#: of a block, windows; fewest blocks whose scatter says something
BLOCK, FEWEST = 2, 8
#: of the relative error, which would have no upper end from 2 on
MOST = 1.4


def tau_error(tau_int: float, gaussian: float, scatter: float) -> float:
    """The error of tau_int, from the larger of two estimates at the tau_int that was found.

    Both grow as tau_int^(3/2), the window being some tau_int: a chain that happens to look fast has
    too small an error as well. So 1 / sqrt(tau_int) is what has a constant error, and that of
    tau_int is the distance to the upper end of its interval, with the relative error r

        error = tau_int ((1 - r / 2)^-2 - 1) = tau_int (r + 3 r^2 / 4 + ...).

    Args:
        gaussian: eq. (42) of Wolff, hep-lat/0306017, for Gaussian measurements.
        scatter: :func:`scatter_of_tau`.
    """
    r = min(max(gaussian, scatter) / tau_int, MOST)
    return tau_int * ((1 - r / 2) ** -2 - 1)


def scatter_of_tau(chains: Chains, mean: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """Errors of tau_int(W) from its scatter over blocks of 2 W, ``(n,)``; 0 of fewer than eight.

    tau_int(W) is <q> / <d^2>, q_s = d_s (d_s / 2 + d_{s+1} + ... + d_{s+W}): a ratio of averages,
    with the error of one, whatever the distribution of d. Chains of rejections, which stand still
    for long and rarely, have a larger one than Gaussian chains of the same autocorrelation.

    Args:
        chains: replicas ``(steps, n)``; one shorter than a block is a block.
        mean: of all replicas, ``(n,)``.
        windows: W of each column.
    """
    # of the sums over a block of q and of d^2: how many, the sums of both, and of their products
    moments = np.zeros((len(windows), 6))
    ahead = (BLOCK + 1) * int(windows.max())
    stretch = max(ahead, chains.stretch)
    for start in range(0, chains.steps, stretch):
        parts = chains.read(start, min(start + stretch + ahead, chains.steps))
        for which, part in stacked(parts):
            length = int(chains.lengths[which].min())
            for i, window in enumerate(windows):
                size = min(BLOCK * window, length)
                # the blocks that begin in the stretch
                first, last = -(-start // size), min(-(-(start + stretch) // size), length // size)
                if first < last:
                    d = part[:, first * size - start :, i] - mean[i]
                    q, d2 = blocks(d, window, last - first, size)
                    products = (q * q).sum(), (q * d2).sum(), (d2 * d2).sum()
                    moments[i] += [q.size, q.sum(), d2.sum(), *products]
    n, q, d2, qq, qd, dd = moments.T
    enough = n >= FEWEST
    n, d2 = np.where(enough, n, 2), np.where(enough & (d2 > 0), d2, 1)
    tau = q / d2
    squares = np.maximum(qq - 2 * tau * qd + tau * tau * dd, 0)
    return np.where(enough, np.sqrt(n / (n - 1) * squares) / d2, 0)


def blocks(d: np.ndarray, window: int, n: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Sums of q and of d^2 over n blocks of replicas ``(replicas, steps)`` less their mean."""
    total = np.pad(np.cumsum(d, 1), ((0, 0), (1, 0)))
    here = np.arange(n * size)
    ahead = total[:, np.minimum(here + window + 1, d.shape[1])] - total[:, here + 1]
    d = d[:, : n * size]
    q = d * (d / 2 + ahead)
    return q.reshape(-1, size).sum(1), (d * d).reshape(-1, size).sum(1)
