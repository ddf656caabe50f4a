"""The pole mass of a two-point function, with its error and the quality of its fits."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch

from flowlat.analysis.curvature import FEWEST_BLOCKS
from flowlat.analysis.gamma_method import Estimate
from flowlat.analysis.mass.cosh_fit import CoshFit
from flowlat.analysis.mass.covariance import inverse_covariance
from flowlat.analysis.mass.windows import Fit, PoleMass, averaged, p_value_of, windows
from flowlat.observables import Observable

#: of an observable that is a vector, from what was measured for C(t)
Estimator = Callable[[Observable], list[Estimate]]


def pole_mass(
    two_point: Observable,
    known: np.ndarray,
    estimate: Estimator,
    scatter: Callable[[], np.ndarray],
    period: int,
    chosen: Sequence[int] | None = None,
) -> PoleMass:
    """m of C(t) = A cosh(m (T/2 - t)), over the chosen window or averaged over many.

    The covariance of C(t) is made of its errors and of the correlation in blocks. What the
    noise of this covariance adds to the variance of m, (1 + dof / n)^2 to leading order of dof / n
    with n blocks (Toussaint and Freeman, arXiv:0808.2211), is in the errors.

    Args:
        two_point: the observable whose vector is C(t), t = 0 .. T//2.
        known: C(t) and its errors ``(2, T//2 + 1)``.
        estimate: :func:`flowlat.analysis.estimates.chain_estimate`, or of weights, with its data.
        scatter: gives the blocks, of :mod:`flowlat.analysis.mass.covariance`.
        period: T.
        chosen: t_min and t_max; see :func:`flowlat.analysis.mass.windows.require_window`.
    """
    values, errors = known
    spans = windows(values, errors, chosen)
    if not spans or len(blocks := scatter()) < FEWEST_BLOCKS or not (blocks.std(0) > 0).all():
        return PoleMass(math.nan, math.nan, [])
    weights = [
        torch.from_numpy(inverse_covariance(blocks[:, a : b + 1], errors[a : b + 1]))
        for a, b in spans
    ]
    fit = CoshFit(two_point, spans, weights, period)
    masses = estimate(fit)
    best, c = torch.tensor([m.value for m in masses]).double(), torch.from_numpy(values)
    amplitudes, chi2 = fit.amplitude(best, c).tolist(), fit.chi2(best, c).tolist()
    fits = []
    for (a, b), mass, amplitude, total in zip(spans, masses, amplitudes, chi2, strict=True):
        dof = b - a - 1
        error = mass.error * (1 + dof / len(blocks))
        p_value = p_value_of(total, dof, len(blocks))
        fits.append(Fit(a, b, mass.value, error, amplitude, total, dof, p_value))
    return averaged(fits, spans[0][1])
