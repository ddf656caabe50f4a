"""How C(t) at several t go together, and the weights of a fit that this gives."""

import math
from collections.abc import Sequence

import numpy as np

from flowlat.analysis.curvature import block_means
from flowlat.analysis.estimates import evaluate, gradient
from flowlat.analysis.importance import normalised
from flowlat.analysis.jackknife import leave_one_out, ratio
from flowlat.analysis.stretches.chains import Chains
from flowlat.observables import Observable


def chain_blocks(observable: Observable, chains: Sequence[np.ndarray] | Chains) -> np.ndarray:
    """Scatter of f = derive(means), a vector, over blocks of replicas: ``(blocks, m)``.

    The mean of the linear part of f in stretches that are long beside tau_int, at most 200, of
    replicas ``(steps, n)``.
    """
    chains = Chains.of(chains)
    means = chains.mean()
    slope = gradient(observable, means)
    return block_means(chains.map(lambda part: (part - means) @ slope.T))


def weighted_blocks(
    observable: Observable, values: np.ndarray, log_weight: np.ndarray, population: int
) -> np.ndarray:
    """The same of weighted rows ``(rows, n)``: f without one block of about 100."""
    weight, _ = normalised(log_weight)
    columns = np.column_stack([weight, (weight * values.T).T])
    return np.stack(
        [evaluate(observable, ratio(sums)) for sums in leave_one_out(columns, population)]
    )


def inverse_covariance(blocks: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Inverse ``(m, m)`` of D rho D: rho the correlation in ``blocks (n, m)``, D the errors.

    A correlation matrix from n blocks has its small eigenvalues wrong, the smallest most, and they
    are what the inverse is made of. Only the sqrt(n) largest are kept; the others are raised to
    their own mean where they are below it, and all are scaled to the trace that they had: Michael
    and McKerrell, hep-lat/9412087. Up to sqrt(n) values of t the matrix stays as it is.
    """
    n, m = blocks.shape
    values, vectors = np.linalg.eigh(np.corrcoef(blocks.T))
    small = values[: max(0, m - math.isqrt(n))]
    if len(small):
        values = np.maximum(values, small.mean())
        values *= m / values.sum()
    scaled = vectors / errors[:, None]
    # rounding may leave an eigenvalue of zero, or below
    result: np.ndarray = scaled / np.maximum(values, m * np.finfo(float).eps) @ scaled.T
    return result
