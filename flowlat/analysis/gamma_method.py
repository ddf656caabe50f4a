"""Errors of Monte Carlo averages, by the Gamma method (U. Wolff, hep-lat/0306017).

Written out here because pyerrors, the oracle of the tests, takes the deviations of each replica
from its own mean: for many short replicas that makes the error too small (by 40 % for 64 replicas
of 10 tau_int), and blind to replicas that sit in different modes. Wolff's are from the mean over
all replicas. Nor does pyerrors know a tau_int below 0.5, which makes the errors of anticorrelated
chains too large. It also treats all columns of a vector at once.
"""

import logging
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from flowlat.analysis.stretches.autocovariance import autocovariance as autocovariance_to
from flowlat.analysis.stretches.chains import Chains, stacked
from flowlat.analysis.tau_error import scatter_of_tau, tau_error

if TYPE_CHECKING:
    import pyerrors

log = logging.getLogger(__name__)

#: below this many measurements, in all replicas together, an error means nothing
FEWEST = 50
#: below this many in the longest replica there is no autocorrelation to be seen
SHORTEST = 5
#: with fewer tau_int than this in all, or in the longest replica, tau_int is not well known
LONG, LONG_REPLICA = 50, 10
#: times of all replicas together to which Gamma(t) is computed at first
LAGS = 2**11
#: a series that varies by less than this, relatively, is constant up to rounding
ROUNDING = 1e-12


class Estimate(NamedTuple):
    """A mean, its error, and the integrated autocorrelation time (white noise has 0.5, a chain
    whose steps are anticorrelated less).

    Error and tau_int are NaN where they would mean nothing; tau_int also where there is no chain.
    """

    value: float
    error: float
    tau_int: float
    tau_int_error: float = math.nan


def gamma_method(chains: Sequence[np.ndarray], name: str) -> Estimate:
    """Mean of a quantity over replicas ``(steps,)``, with the error of the Gamma method.

    error^2 = 2 tau_int Gamma(0) / N, tau_int = 1/2 + sum_t rho(t), N the steps of all replicas;
    the error of tau_int: :mod:`flowlat.analysis.tau_error`.
    Error and tau_int are NaN, and a warning says why, where they would mean nothing: too few
    measurements, or a replica that never moved. A warning too where N < 50 tau_int, or where no
    replica has 10 tau_int.

    Raises:
        ValueError: a chain holds NaN or infinity.
    """
    return gamma_methods([chain[:, None] for chain in chains], name)[0]


def gamma_methods(chains: Sequence[np.ndarray] | Chains, name: str) -> list[Estimate]:
    """``gamma_method`` of every column of replicas ``(steps, n)``, with one warning at most."""
    chains = Chains.of(chains)
    values, rows, steps = finite_mean(chains, name), chains.rows, chains.steps
    unknown = [Estimate(float(value), math.nan, math.nan) for value in values]
    if rows < FEWEST or steps < SHORTEST:
        log.warning("%s: %d measurements are too few for an error", name, rows)
        return unknown
    moves, replicas = moving(chains), len(chains.lengths)
    if not moves.all():
        replica = int(moves.all(1).argmin())
        which = f"replica {replica} of {replicas}" if replicas > 1 else "the chain"
        log.warning("%s: %s never moved, it has no error", name, which)
    estimates, moved = unknown, np.flatnonzero(np.all(moves, axis=0))
    gammas = settled(chains, values)
    windows = np.ones(len(values), int)
    for i in moved:
        windows[i], tau_int = summed(gammas[i], rows)
        estimates[i] = estimate_at(values[i], gammas[i][0], rows, windows[i], tau_int)
    scatters = scatter_of_tau(chains, values, windows)
    for i in moved:
        error = tau_error(estimates[i].tau_int, estimates[i].tau_int_error, scatters[i])
        estimates[i] = estimates[i]._replace(tau_int_error=error)
    slowest = max((e.tau_int for e in estimates if not math.isnan(e.tau_int)), default=0.0)
    if rows < LONG * slowest or steps < LONG_REPLICA * slowest:
        few = "%s: %d steps in %d replicas are few for tau_int = %.3g, the error may be too small"
        log.warning(few, name, rows, replicas, slowest)
    return estimates


def finite_mean(chains: Chains, name: str) -> np.ndarray:
    """The mean over all replicas; ValueError where something is NaN or infinity."""
    with np.errstate(invalid="ignore"):
        mean = chains.mean()
    if not np.isfinite(mean).all():
        raise ValueError(f"{name}: the chain holds NaN or infinity")
    return mean


def moving(chains: Chains) -> np.ndarray:
    """Whether each column of a replica varies by more than rounding, ``(replicas, n)``, of those of
    more than one step."""
    low = np.full((len(chains.lengths), *chains.shape), math.inf)
    high = -low
    for _, stretch in chains.stretches():
        for which, parts in stacked(stretch):
            low[which] = np.minimum(low[which], parts.min(1))
            high[which] = np.maximum(high[which], parts.max(1))
    longer = chains.lengths > 1
    low, high = low[longer], high[longer]
    return high - low > ROUNDING * np.maximum(np.abs(low), np.abs(high))


def autocovariance(chains: Sequence[np.ndarray] | Chains) -> np.ndarray:
    """Gamma(t) of the columns of replicas ``(steps, n)``, t < steps / 2: ``(n, times)``.

    The average of (a_s - mean)(a_{s+t} - mean) over all s of all replicas; the mean is that of all
    replicas.
    """
    chains = Chains.of(chains)
    return autocovariance_to(chains, chains.mean(), chains.steps // 2)


def settled(chains: Chains, mean: np.ndarray) -> np.ndarray:
    """The start of :func:`autocovariance`, as far as the windows of all columns need it."""
    times, most = max(FEWEST, LAGS // len(chains.lengths)), chains.steps // 2
    while True:
        gamma = autocovariance_to(chains, mean, min(times, most))
        moving = (column for column in gamma if len(column) and column[0] > 0)
        if times >= most or all(tau_int_of(g, chains.rows)[1].any() for g in moving):
            return gamma
        times *= 8


def estimate(value: float, gamma: np.ndarray, n: int) -> Estimate:
    """Error and tau_int from Gamma(t) ``(times,)`` of n measurements; see :func:`summed`."""
    return estimate_at(value, gamma[0], n, *summed(gamma, n))


def estimate_at(value: float, variance: float, n: int, window: int, found: float) -> Estimate:
    """With tau_int summed up to a window; the bias of the subtracted mean is taken out (eq. 49).

    The error of tau_int is eq. (42), which holds for Gaussian measurements and many tau_int.
    """
    unbiased = found * (1 + (2 * window + 1) / n)
    error = math.sqrt(2 * unbiased * variance / n)
    spread = 2 * found * math.sqrt(abs(window + 0.5 - found) / n)
    return Estimate(float(value), error, float(unbiased / (1 + 1 / n)), float(spread))


def summed(gamma: np.ndarray, n: int) -> tuple[int, float]:
    """Window and tau_int from Gamma(t) ``(times,)`` of n measurements.

    The window W is the first where exp(-W / tau) < tau / sqrt(W n), tau the S-fold decay time that
    belongs to tau_int(W), S = 2. As in pyerrors, digit by digit, unless rho(1) < 0.

    Then successive measurements are anticorrelated, tau_int may be anything above 0, and says
    nothing of how fast rho falls: (1 + a) / (2 (1 - a)) for rho(t) = a^t with a < 0. What does is
    the same sum over abs(rho), (1 + abs(a)) / (2 (1 - abs(a))), and the window is made from that.
    The sum is then the mean of those up to W - 1 and up to W: the last term, and its noise, which
    has the sign that alternates, would be all of a small tau_int.
    tau_int is at least 1 / (2 n): of a spread sigma no mean is better known than to sigma / n.
    """
    tau_int, stop = tau_int_of(gamma, n)
    stop[-1] = True
    window = 1 + int(stop.argmax())
    return window, max(float(tau_int[window]), 1 / (2 * n))


def tau_int_of(gamma: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """tau_int(W), W = 0, 1, ..., and of W = 1, 2, ... whether the window may end there.

    See :func:`summed`.
    """
    rho = gamma / gamma[0]
    tau_int = np.cumsum(rho) - 0.5
    falling = tau_int
    if rho[1] < 0:
        falling = np.cumsum(np.abs(rho)) - 0.5
        tau_int[1:] = (tau_int[1:] + tau_int[:-1]) / 2
    falling = np.maximum(falling[1:], 0.5 + np.finfo(float).eps)
    windows = np.arange(1, len(gamma))
    tau = 2 / np.log((2 * falling + 1) / (2 * falling - 1))
    return tau_int, np.exp(-windows / tau) < tau / np.sqrt(windows * n)


def replicas(chains: Sequence[np.ndarray], ensemble: str = "ensemble") -> "pyerrors.Obs":
    """The chains ``(steps,)`` of a quantity as a pyerrors Obs with replicas "ensemble|r0", ...

    Its deviations are from the mean over all replicas, so that its ``gamma_method`` gives the
    error that ours gives; a larger one where a chain is anticorrelated, since its tau_int is at
    least 0.5.
    """
    import pyerrors  # and pandas with it, which nothing else here needs

    mean = float(np.concatenate(chains).mean())
    names = [f"{ensemble}|r{r}" for r in range(len(chains))]
    return pyerrors.Obs([c - mean for c in chains], names, means=[0.0] * len(chains)) + mean
