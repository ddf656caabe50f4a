"""Over which t a fit goes, and what several of them say together."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from flowlat.utils.errors import ConfigError

#: C(t) is used up to the first that is not so many errors above zero, and at most so many of them
SIGNAL, MOST = 2.0, 48
#: values of t that a fit of two parameters can be judged by
FEWEST = 3


class Fit(NamedTuple):
    """A correlated fit of m over t_min .. t_max, and its ``weight`` in the average.

    amplitude: A of A cosh(m (T/2 - t)) / cosh(m (T/2 - t_min)): the fit at t_min.

    p_value: of chi2 with a covariance from n blocks, ``p_value_of``. NaN where it has no meaning.
    """

    t_min: int
    t_max: int
    value: float
    error: float
    amplitude: float
    chi2: float
    dof: int
    p_value: float
    weight: float = math.nan


class PoleMass(NamedTuple):
    """An average over the windows of ``fits``; NaN if none has a mass with an error."""

    value: float
    error: float
    fits: list[Fit]

    @property
    def best(self) -> Fit:
        """The fit of largest weight."""
        return max(self.fits, key=lambda fit: -1.0 if math.isnan(fit.weight) else fit.weight)


def require_window(window: Sequence[int] | None, period: int, option: str) -> None:
    """Raise ConfigError, in the words of the option, unless a fit can go over this window."""
    if window is None:
        return
    t_min, t_max = window
    shown, last = f"{option}=[{t_min},{t_max}]", period // 2
    if not 0 <= t_min <= last or t_max > last:
        raise ConfigError(f"{shown}: t goes from 0 to {last}, half the period of {period}")
    if t_max <= t_min:
        raise ConfigError(f"{shown}: amplitude and mass need two values of t, t_min < t_max")


def windows(
    values: np.ndarray, errors: np.ndarray, chosen: Sequence[int] | None
) -> list[tuple[int, int]]:
    """The chosen window; else all from a t_min to the last t with a signal, of three values of t.

    Empty where there is no signal, or no error.
    """
    if chosen is not None:
        t_min, t_max = chosen
        return [(t_min, t_max)] if (errors[t_min : t_max + 1] > 0).all() else []
    signal = (errors > 0) & (values > SIGNAL * errors)
    last = int(np.append(signal[:MOST], False).argmin()) - 1
    if last == 1 == len(values) - 1:  # two time slices have no more
        return [(0, 1)]
    return [(first, last) for first in range(last + 2 - FEWEST)]


def averaged(fits: Sequence[Fit], last: int) -> PoleMass:
    """Average over windows by their Akaike weights, exp(-chi2 / 2 - (values of t left out)).

    With weights w_i that sum to 1 the error is that of Bayesian model averaging,

        error^2 = sum_i w_i error_i^2 + sum_i w_i m_i^2 - (sum_i w_i m_i)^2:

    what it is over a window, and what the windows differ by. Jay and Neil, arXiv:2008.01069; the
    two parameters are the same in every window.

    Args:
        last: the t that all windows could go to, from 0.
    """
    cuts = np.array([last - (fit.t_max - fit.t_min) for fit in fits])
    value = np.array([fit.value for fit in fits])
    error = np.array([fit.error for fit in fits])
    log_weight = -np.array([fit.chi2 for fit in fits]) / 2 - cuts
    known = np.isfinite(value) & np.isfinite(error)
    if not known.any():
        return PoleMass(math.nan, math.nan, list(fits))
    weight = np.where(known, np.exp(log_weight - log_weight[known].max()), 0.0)
    weight /= weight.sum()
    value, error = np.where(known, value, 0.0), np.where(known, error, 0.0)
    mean = float(weight @ value)
    variance = weight @ error**2 + weight @ (value - mean) ** 2
    weighted = [fit._replace(weight=float(w)) for fit, w in zip(fits, weight, strict=True)]
    return PoleMass(mean, math.sqrt(variance), weighted)


def p_value_of(chi2: float, dof: int, blocks: int) -> float:
    """The probability of a larger chi2, its covariance from so many blocks.

    chi2 is Hotelling's T^2: chi2 (n - dof) / (dof (n - 1)) is distributed as F with dof and n - dof
    degrees of freedom, n the blocks. Toussaint and Freeman, arXiv:0808.2211.
    """
    from scipy.special import fdtrc  # which nothing else here needs

    if dof < 1 or blocks <= dof or math.isnan(chi2):
        return math.nan
    return float(fdtrc(dof, blocks - dof, chi2 * (blocks - dof) / (dof * (blocks - 1))))
