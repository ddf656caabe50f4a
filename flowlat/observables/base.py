"""The contract of an observable."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from flowlat.actions import Action
from flowlat.lattice import neighbour, sum_sites


class Configurations:
    """Configurations ``phi (batch, *shape)``, with what several observables need of them.

    Time is the last axis. Measure in float64: pass ``phi.double()``.
    """

    def __init__(self, phi: Tensor, theory: Action):
        self.phi = phi
        self.theory = theory
        self.shape = tuple(phi.shape[1:])
        self.volume = phi[0].numel()

    @cached_property
    def action(self) -> Tensor:
        """S[phi], ``(batch,)``."""
        return self.theory(self.phi)

    @cached_property
    def kinetic(self) -> Tensor:
        """sum_x sum_mu (phi(x+mu) - phi(x))^2, ``(batch,)``."""
        total = torch.zeros_like(self.phi)
        for axis in range(len(self.shape)):
            total += (neighbour(self.phi, axis) - self.phi) ** 2
        return sum_sites(total)

    @cached_property
    def mean_field(self) -> Tensor:
        """M = (1/V) sum_x phi(x), ``(batch,)``."""
        return sum_sites(self.phi) / self.volume

    @cached_property
    def squared_mean_field(self) -> Tensor:
        """M^2, ``(batch,)``."""
        return self.mean_field**2

    @cached_property
    def spectra(self) -> tuple[Tensor, ...]:
        """|(1/V) sum_x phi(x) e^{-i k x_mu}|^2 for every axis mu, ``(batch, L_mu // 2 + 1)`` each.

        k = 2 pi n / L_mu, n = 0, 1, ...: the Fourier coefficients of the time-slice correlator
        with time along mu.
        """
        axes = range(1, self.phi.dim())
        result = []
        for axis in axes:
            others = [a for a in axes if a != axis]
            slices = self.phi.mean(others) if others else self.phi  # mean([]) is over everything
            result.append(torch.fft.rfft(slices, norm="forward").abs().square())
        return tuple(result)


class SignAverages(Configurations):
    """Configurations whose M^2 and ``spectra`` are averages over the signs of clusters.

    For fixed abs(phi) and fixed clusters the signs of the clusters are independent coins. Of the
    products phi(x) phi(y) in M^2 and in the spectra those of one cluster stay: an improved
    estimator, which has the same mean and, of all clusters, no larger variance. Single ones, grown
    from sites at random, estimate the same average. U. Wolff, Nucl. Phys. B 334 (1990) 581. All
    else is that of phi.

    Args:
        correlators: along each axis in turn, the average of mean_s Phi(s) Phi(s+t), t = 0 .. L-1,
            Phi(s) the mean of phi over a slice, ``(batch, sum of sides)``.
    """

    def __init__(self, phi: Tensor, theory: Action, correlators: Tensor):
        super().__init__(phi, theory)
        along = correlators.split(self.shape, dim=1)
        self.spectra = tuple(torch.fft.rfft(c, norm="forward").real for c in along)
        self.squared_mean_field = self.spectra[0][:, 0]


class Observable(ABC):
    """A function of ensemble averages: derive(<measure(phi)>).

    Most are an average itself, and define only ``measure``. Others (a Binder cumulant, an effective
    mass) are functions of averages; their errors are propagated with the autograd gradient of
    ``derive``.
    """

    #: as it is written in a table; in files it goes by its key in the config
    symbol: str
    #: whether ``measure`` is linear in ``squared_mean_field`` and ``spectra``, and made of nothing
    #: else: then that of :class:`SignAverages` has the same mean
    quadratic: bool = False

    @abstractmethod
    def measure(self, configurations: Configurations) -> Tensor:
        """Numbers of each configuration, ``(batch,)`` or ``(batch, n)``."""

    def exists(self, shape: Sequence[int]) -> bool:
        """Whether it is anything at all on a lattice of these sides; else summaries lack it."""
        return True

    def derive(self, means: Tensor) -> Tensor:
        """Averages ``()`` or ``(n,)`` in float64 -> the observable, a number or a vector.

        Differentiable by autograd; NaN, and no exception, where it does not exist.
        """
        return means
