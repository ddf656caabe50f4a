"""Time series from anywhere: mean, error and autocorrelation time of arrays."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from flowlat.analysis.gamma_method import Estimate, gamma_methods


def time_series(
    series: ArrayLike | Sequence[ArrayLike], name: str = "series"
) -> Estimate | list[Estimate]:
    """Mean, error and tau_int of a series, by the Gamma method.

    >>> value, error, tau_int, tau_int_error = time_series(magnetization)
    >>> time_series([first_replica, second_replica])

    Args:
        series: an array ``(steps,)``, or ``(steps, n)`` of n quantities; or a list or tuple of
            such arrays, which are replicas, of any lengths.

    Returns:
        An estimate, or n of them. Error and tau_int are NaN where they would mean nothing, as
        :func:`flowlat.analysis.gamma_method.gamma_method` says.

    Raises:
        ValueError: no measurements, NaN or infinity, complex numbers, or arrays that do not fit.
    """
    nested = isinstance(series, list | tuple) and len(series) > 0 and np.ndim(series[0]) > 0
    chains = [_real(chain, name) for chain in (series if nested else [series])]  # type: ignore[union-attr]
    shapes = {chain.shape[1:] for chain in chains}
    if len(shapes) > 1 or max(map(len, shapes)) > 1:
        shown = ", ".join(str(chain.shape) for chain in chains[:3])
        raise ValueError(f"{name}: arrays of {shown}, not (steps,) or (steps, n) of one n")
    estimates = gamma_methods([chain.reshape(len(chain), -1) for chain in chains], name)
    return estimates if len(chains[0].shape) == 2 else estimates[0]


def _real(values: Any, name: str) -> np.ndarray:
    """An array of a series in float64."""
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name}: {array.dtype}, not real numbers")
    if array.ndim == 0 or not array.size:
        raise ValueError(f"{name}: no measurements")
    return array.astype(float)
