"""The pole mass of a two-point function: from a fit over many t, and from pairs of neighbours."""

import math

import torch
from torch import Tensor

from flowlat.observables import Observable
from flowlat.observables.base import Configurations
from flowlat.observables.effective_mass import periodic_mass

#: the masses among which the fit starts
LOWEST, HIGHEST, STARTS = 1e-3, 20.0, 600
NEWTON_STEPS = 12


class CoshFit(Observable):
    """(A, m) of C(t) = A (exp(-m t) + exp(-m (T - t))), by least squares over ``times``.

    The weights are 1 / sigma(t)^2; the correlation between times is left out of chi2, which makes
    the fit less than optimal but its error no less honest: that is propagated from C(t) like that
    of any function of averages. NaN where the least squares have no minimum.

    Args:
        two_point: the observable whose vector is C(t), t = 0, 1, ...
        sigma: errors of C at ``times``.
        period: T.
    """

    symbol = "A, m"

    def __init__(self, two_point: Observable, times: Tensor, sigma: Tensor, period: int):
        self.two_point = two_point
        self.times = times.long()
        self.weight = 1 / sigma.double() ** 2
        self.period = period

    def measure(self, configurations: Configurations) -> Tensor:
        return self.two_point.measure(configurations)

    def derive(self, means: Tensor) -> Tensor:
        c = self.two_point.derive(means)[self.times]
        fit = self._minimum(c.detach())
        # one Newton step more: no change of the value, and the gradient of the implicit function
        return fit - self._newton(fit, c)

    def chi2(self, fit: Tensor, c: Tensor) -> Tensor:
        """sum_t (C(t) - fit)^2 / sigma^2."""
        b = self.shape(fit[1])[0]
        return (self.weight * (c - fit[0] * b) ** 2).sum()

    def shape(self, mass: Tensor, times: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """exp(-m t) + exp(-m (T - t)) and its first two derivatives in m."""
        t = (self.times if times is None else times).double()
        near, far = torch.exp(-mass * t), torch.exp(-mass * (self.period - t))
        s = self.period - t
        return near + far, -t * near - s * far, t**2 * near + s**2 * far

    def _minimum(self, c: Tensor) -> Tensor:
        ends = math.log10(LOWEST), math.log10(HIGHEST)
        masses = torch.logspace(*ends, STARTS, dtype=c.dtype)
        b = self.shape(masses[:, None])[0]
        # the best amplitude for every mass, and the mass that is then the best
        amplitude = (self.weight * c * b).sum(1) / (self.weight * b * b).sum(1)
        chi2 = (self.weight * (c - amplitude[:, None] * b) ** 2).sum(1)
        best = torch.argmin(chi2)
        fit = torch.stack([amplitude[best], masses[best]])
        for _ in range(NEWTON_STEPS):
            fit = fit - self._newton(fit, c)
        inside = (fit[1] > LOWEST) & (fit[1] < HIGHEST) & (fit[0] > 0)
        return torch.where(inside, fit, torch.nan)

    def _newton(self, fit: Tensor, c: Tensor) -> Tensor:
        """The step, from half the gradient and half the Hessian of chi2 in (A, m)."""
        (a, m), w = fit, self.weight
        b, db, ddb = self.shape(m)
        residual = c - a * b
        gradient = -torch.stack([(w * residual * b).sum(), (w * residual * a * db).sum()])
        residual = residual.detach()
        mixed = (w * db * (a * b - residual)).sum()
        mass = (w * (a**2 * db**2 - residual * a * ddb)).sum()
        hessian = torch.stack([(w * b * b).sum(), mixed, mixed, mass]).reshape(2, 2)
        # solve_ex: NaN or infinity, and no exception, where the Hessian is singular
        return torch.linalg.solve_ex(hessian, gradient).result


class Plateau(Observable):
    """The effective mass, t = 0 .. T//2 - 1, of any two-point function C(t), t = 0 .. T//2.

    Args:
        two_point: the observable whose vector is C(t).
        period: T.
    """

    symbol = "m_eff(t)"

    def __init__(self, two_point: Observable, period: int):
        self.two_point = two_point
        self.period = period

    def measure(self, configurations: Configurations) -> Tensor:
        return self.two_point.measure(configurations)

    def derive(self, means: Tensor) -> Tensor:
        half = self.two_point.derive(means)
        other = half[1 : self.period - self.period // 2].flip(0)
        return periodic_mass(torch.cat([half, other]))
