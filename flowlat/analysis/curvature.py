"""What the error of a function of averages misses when it is propagated by the gradient alone."""

import math
from collections.abc import Sequence

import numpy as np
import torch

from flowlat.analysis.gamma_method import estimate, settled
from flowlat.analysis.stretches.chains import Chains
from flowlat.observables import Observable

#: decorrelation times in a block, whose mean is then nearly independent of the next one's; blocks
#: that are the least, and the most that are needed
BLOCK, FEWEST_BLOCKS, MOST_BLOCKS = 6, 8, 200
#: pairs of displaced means: a variance from so many is known to 1/4, and it is a correction
PAIRS = 32
#: of a displacement: what is beyond quadratic, a pole at means of zero for instance, stays out
STEP = 1 / 4


def beyond_linear(
    observable: Observable,
    means: np.ndarray,
    value: np.ndarray,
    centred: Sequence[np.ndarray] | Chains,
) -> np.ndarray:
    """Variance and squared bias of the even part of f = derive(means), as ``value``.

    f is evaluated at means +- s d, d a Gaussian displacement with the covariance C of the means, as
    they scatter over blocks of the chains. ((f(+) + f(-)) / 2 - f(0)) / s^2 is 1/2 d^T H d for a
    small s: its mean is the bias tr(H C) / 2, its variance tr(H C H C) / 2. Both are of the order
    of the linear variance over the effective samples, and matter where these are few, as in a
    Binder cumulant. The displacements are the same in every call. Zero of fewer than eight blocks,
    and of an element that does not exist.

    Args:
        centred: replicas of measurements less their mean, ``(steps, n)``.
    """
    blocks = block_means(Chains.of(centred))
    if len(blocks) < FEWEST_BLOCKS:
        return np.zeros_like(value)
    numbers = np.random.default_rng(0).normal(size=(PAIRS, len(blocks)))
    spread = blocks - blocks.mean(0)
    d = (numbers @ spread / math.sqrt(len(blocks) * (len(blocks) - 1))).reshape(PAIRS, *means.shape)
    displacements = np.concatenate([STEP * d, -STEP * d])
    points = torch.as_tensor(means + displacements, dtype=torch.float64)
    with torch.no_grad():
        displaced = torch.stack([observable.derive(point) for point in points]).numpy()
    even = ((displaced[:PAIRS] + displaced[PAIRS:]) / 2 - value) / STEP**2
    exists = np.isfinite(even)
    n = np.maximum(exists.sum(0), 2)
    even = np.where(exists, even, 0.0)
    bias = even.sum(0) / n
    variance = (np.where(exists, even - bias, 0.0) ** 2).sum(0) / (n - 1)
    result: np.ndarray = variance + bias**2
    return result


def block_means(centred: Chains) -> np.ndarray:
    """Means ``(blocks, n)`` of stretches of the chains that are long beside their tau_int."""
    rows, shortest = centred.rows, int(centred.lengths.min())
    gamma = settled(centred, centred.mean())
    moving = gamma[:, 0] > 0 if gamma.shape[1] > 1 else np.zeros(len(gamma), bool)
    times = [estimate(0.0, column, rows).tau_int for column in gamma[moving]]
    size = math.ceil(max(BLOCK * max(times, default=1.0), rows / MOST_BLOCKS))
    return centred.block_means(min(size, shortest))
