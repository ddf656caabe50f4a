"""Correlated fits of a cosh to a two-point function, over windows of t."""

import math

import torch
from torch import Tensor

from flowlat.observables import Observable
from flowlat.observables.base import Configurations

#: the masses among which the fit starts
LOWEST, HIGHEST, STARTS = 1e-3, 20.0, 200
NEWTON_STEPS = 5


class CoshFit(Observable):
    """m of C(t) = A cosh(m (T/2 - t)), one for each window t_min .. t_max ``(windows,)``.

    The minimum of chi2 = r^T W r, r(t) = C(t) - fit. For each m the best A is known, and put in
    (variable projection: Golub and Pereyra, SIAM J. Numer. Anal. 10 (1973) 413), which leaves
    F(m) = -(C W s)^2 / (s W s), s(t) = cosh(m (T/2 - t)) / cosh(m (T/2 - t_min)), to be least. W is
    a constant here; the error is propagated from C(t) like that of any function of averages, and
    holds for any W. NaN where there is no minimum in (LOWEST, HIGHEST).

    Args:
        two_point: the observable whose vector is C(t), t = 0 .. T//2.
        windows: t_min and t_max of each.
        weights: W of each, ``(t_max - t_min + 1,)`` squared.
        period: T.
    """

    symbol = "m"

    def __init__(
        self,
        two_point: Observable,
        windows: list[tuple[int, int]],
        weights: list[Tensor],
        period: int,
    ):
        self.two_point = two_point
        size = max(t_max for _, t_max in windows) + 1
        self.weight = torch.zeros(len(windows), size, size, dtype=torch.float64)
        for whole, (a, b), weight in zip(self.weight, windows, weights, strict=True):
            whole[a : b + 1, a : b + 1] = weight
        start = period / 2 - torch.tensor([[a] for a, _ in windows], dtype=torch.float64)
        t = torch.arange(size, dtype=torch.float64)
        # before a window nothing counts, nor must it overflow
        self.tau, self.start = torch.minimum(period / 2 - t, start), start
        ends = math.log10(LOWEST), math.log10(HIGHEST)
        self.masses = torch.logspace(*ends, STARTS, dtype=torch.float64)
        shapes = torch.stack([self.shape(m.expand(len(windows)))[0] for m in self.masses], 1)
        self._projected = shapes @ self.weight
        self._norm = (self._projected * shapes).sum(2)

    def measure(self, configurations: Configurations) -> Tensor:
        return self.two_point.measure(configurations)

    def derive(self, means: Tensor) -> Tensor:
        c = self.two_point.derive(means)[: self.weight.shape[-1]]
        mass = self._minimum(c.detach())
        # any mass where there is no minimum, or NaN would spoil the other gradients
        somewhere = torch.where(mass.isnan(), self.masses[0], mass)
        # one Newton step more: no change of the value, and the gradient of the implicit function
        slope, bend = self._slopes(c, somewhere)
        return torch.where(mass.isnan(), torch.nan, somewhere - slope / bend.detach())

    def shape(self, mass: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """s(t), 1 at t_min, and its first two derivatives in m ``(windows, times)``."""
        m = mass[:, None]
        now, start = log_cosh(m * self.tau), log_cosh(m * self.start)
        tanh, tanh_start = torch.tanh(m * self.tau), torch.tanh(m * self.start)
        s = torch.exp(now - start)
        g = self.tau * tanh - self.start * tanh_start
        dg = self.tau**2 * (1 - tanh**2) - self.start**2 * (1 - tanh_start**2)
        return s, s * g, s * (g**2 + dg)

    def chi2(self, mass: Tensor, c: Tensor) -> Tensor:
        """chi2 at the best A ``(windows,)``."""
        s = self.shape(mass)[0]
        residual = c[: s.shape[1]] - self.amplitude(mass, c)[:, None] * s
        return self._product(residual, residual)

    def amplitude(self, mass: Tensor, c: Tensor) -> Tensor:
        """The fit at t_min, A cosh(m (T/2 - t_min)) ``(windows,)``."""
        s = self.shape(mass)[0]
        return self._product(s, c[: s.shape[1]].expand_as(s)) / self._product(s, s)

    def _product(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.einsum("wi,wij,wj->w", a, self.weight, b)

    def _minimum(self, c: Tensor) -> Tensor:
        along = (self._projected * c).sum(2)
        # no decay with a negative amplitude
        best = (along.clamp(min=0) ** 2 / self._norm).argmax(1)
        inside = (best > 0) & (best < STARTS - 1)
        best = best.clamp(1, STARTS - 2)
        low, mass, high = (self.masses[best + step] for step in (-1, 0, 1))
        for _ in range(NEWTON_STEPS):
            slope, bend = self._slopes(c, mass)
            # where F is not convex: half-way to the end that lies downhill
            end = torch.where(slope > 0, low, high)
            step = torch.where(bend > 0, mass - slope / bend, (mass + end) / 2)
            mass = torch.minimum(torch.maximum(step, low), high)
        return torch.where(inside, mass, torch.nan)

    def _slopes(self, c: Tensor, mass: Tensor) -> tuple[Tensor, Tensor]:
        """F' and F'' ``(windows,)``."""
        s, ds, dds = self.shape(mass)
        ws, dws = ((self.weight @ one[:, :, None])[:, :, 0] for one in (s, ds))
        wc = self.weight @ c
        u, du, ddu = ((one * wc).sum(1) for one in (s, ds, dds))
        v, dv = (s * ws).sum(1), 2 * (ds * ws).sum(1)
        ddv = 2 * ((ds * dws).sum(1) + (dds * ws).sum(1))
        # of a^2 v, a = u / v the amplitude
        a = u / v
        da = (du - a * dv) / v
        dda = (ddu - 2 * da * dv - a * ddv) / v
        slope = -(2 * a * da * v + a**2 * dv)
        bend = -(2 * (da**2 + a * dda) * v + 4 * a * da * dv + a**2 * ddv)
        return slope, bend


def log_cosh(x: Tensor) -> Tensor:
    """log(2 cosh(x)), x >= 0, without overflow."""
    return x + torch.log1p(torch.exp(-2 * x))
