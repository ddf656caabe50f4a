"""A flow: prior + bijection, a density one can sample from and evaluate."""

import math
from abc import ABC, abstractmethod

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from flowlat.bijections import Bijection
from flowlat.lattice import Lattice
from flowlat.priors import Prior
from flowlat.utils.gradients import held_fixed

#: log of the factor by which a density is too small to matter in a gradient
NEGLIGIBLE = 20.0


class Flow(nn.Module, ABC):
    """The contract: noise -> (phi, log q(phi)), and log q of any field."""

    lattice: Lattice
    #: whether it draws both wells of a site as often as the theory; see ``Prior``
    crosses: bool = False

    @abstractmethod
    def noise(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Parameter-free noise of n configurations, ``(n, ...)``."""

    @abstractmethod
    def forward(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """noise -> (phi ``(n, *shape)``, log q(phi) ``(n,)``), differentiable."""

    @abstractmethod
    def log_prob(self, phi: Tensor | ArrayLike) -> Tensor:
        """log q(phi) by the inverse, ``(n, *shape) -> (n,)``.

        phi may be a tensor or an array of any real numbers: it is taken as :meth:`fields` has it,
        so that the answer is in the flow's own precision. ``flow.double()`` computes in double.

        -infinity where the inverse leaves the range of that precision: the scales exp(-s) of a
        coupling have no bound unless its network has one (``arch.final_tanh``), and in the tails
        they grow like iterated exponentials, log q beyond the least number that there is.

        Raises:
            ValueError: see :meth:`fields`.
        """

    def fields(self, phi: Tensor | ArrayLike) -> Tensor:
        """Configurations ``(n, *shape)`` in the flow's precision and on its device.

        Raises:
            ValueError: they are not on its lattice.
        """
        if not isinstance(phi, Tensor):
            # a copy: PyTorch takes no other byte order, and no array that is read-only
            phi = torch.from_numpy(np.array(phi, dtype=np.float64))
        if tuple(phi.shape[1:]) != self.lattice.shape or phi.dim() == 0:
            raise ValueError(
                f"phi={list(phi.shape)}: not the shape (n, *{list(self.lattice.shape)}) of "
                "configurations of this flow"
            )
        return phi.to(next(self.parameters()))

    def with_score(self, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """:meth:`forward`, and the score d log q / d phi at phi ``(n, *shape)``.

        The score has no gradients. Here it is that of :meth:`log_prob`, with the parameters held
        fixed: the log q of the forward depends on phi through the noise as well.
        """
        phi, log_q = self(noise)
        sample = phi.detach().requires_grad_()
        with held_fixed(self):
            (score,) = torch.autograd.grad(self.log_prob(sample).sum(), sample)
        return phi, log_q, score

    def rsample(self, n: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """n configurations with gradients: (phi, log_q)."""
        return self(self.noise(n, generator))

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """n configurations without gradients: (phi, log_q)."""
        return self.rsample(n, generator)


class PushforwardFlow(Flow):
    """phi = f(z), z ~ r:  log q(phi) = log r(z) - log|det df/dz|."""

    def __init__(self, prior: Prior, bijection: Bijection):
        super().__init__()
        self.prior = prior
        self.bijection = bijection
        self.lattice = prior.lattice
        self.crosses = prior.crosses

    def noise(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return self.prior.noise(n, generator)

    def forward(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        z, log_r = self.prior(noise)
        phi, log_det = self.bijection(z)
        return phi, log_r - log_det

    def with_score(self, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The score is that of the prior, carried along by the bijection."""
        z, log_r = self.prior(noise)
        point = z.detach().requires_grad_()
        with held_fixed(self.prior):
            (score,) = torch.autograd.grad(self.prior.log_prob(point).sum(), point)
        phi, log_det, score = self.bijection.with_score(z, score)
        return phi, log_r - log_det, score

    def log_prob(self, phi: Tensor | ArrayLike) -> Tensor:
        phi = self.fields(phi)
        z, log_det = self.bijection.inverse(phi)
        log_q = self.prior.log_prob(z) + log_det
        # of a field that is none, NaN stays
        beyond = log_q.isnan() & phi.flatten(1).isfinite().all(1)
        return log_q.masked_fill(beyond, -math.inf)


class SymmetrizedFlow(Flow):
    """q_s(phi) = (q(phi) + q(-phi)) / 2: a flow that may sit in one of two modes, exact in both.

    ``sample`` multiplies by a random global sign. ``forward`` leaves the sign out: for an even
    action neither q_s nor S feels it, and E_q[d log q_s / d theta] = 0 still holds, so that every
    objective may be used. Costs one inverse more than the flow itself.

    The inverse of a mirror image, far from all that the flow was trained on, may overflow: such a
    density is zero. Gradients are taken through the densities that are not negligible alone.
    """

    def __init__(self, flow: Flow):
        super().__init__()
        self.flow = flow
        self.lattice = flow.lattice

    def noise(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return self.flow.noise(n, generator)

    def forward(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        phi, log_q = self.flow(noise)
        return phi, self._with_mirror(phi, log_q, self._known(-phi))

    def log_prob(self, phi: Tensor | ArrayLike) -> Tensor:
        phi = self.fields(phi)
        log_q, mirror = self._known(phi), self._known(-phi)
        if not torch.is_grad_enabled():
            return mixture(log_q, mirror)
        flip = (mirror > log_q).reshape(-1, *[1] * self.lattice.d)
        phi = torch.where(flip, -phi, phi)
        return self._with_mirror(phi, self.flow.log_prob(phi), torch.minimum(log_q, mirror))

    @torch.no_grad()
    def _known(self, phi: Tensor) -> Tensor:
        """log q without gradients, -infinity where it overflows, and nothing learnt from it."""
        norms = [m for m in self.modules() if isinstance(m, nn.BatchNorm1d)]
        for norm in norms:
            norm.track_running_stats = False
        try:
            return self.flow.log_prob(phi).nan_to_num(-math.inf, -math.inf, -math.inf)
        finally:
            for norm in norms:
                norm.track_running_stats = True

    def _with_mirror(self, phi: Tensor, log_q: Tensor, mirror: Tensor) -> Tensor:
        """log q_s from log q(phi), with gradients, and log q(-phi), which has none."""
        negligible = mirror < log_q - NEGLIGIBLE
        # a GPU would have to wait for this answer, and a CUDA graph cannot
        on_cpu = phi.device.type == "cpu"
        if torch.is_grad_enabled() and not (on_cpu and bool(negligible.all())):
            safe = torch.where(negligible.reshape(-1, *[1] * self.lattice.d), phi, -phi)
            mirror = torch.where(negligible, mirror, self.flow.log_prob(safe))
        return mixture(log_q, mirror)

    def rsample(self, n: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        phi, log_q = super().rsample(n, generator)
        coins = torch.rand(n, *[1] * self.lattice.d, generator=generator, device=phi.device)
        return torch.where(coins < 0.5, phi, -phi), log_q


def mixture(log_a: Tensor, log_b: Tensor) -> Tensor:
    """log((a + b) / 2)."""
    return torch.logaddexp(log_a, log_b) - math.log(2)
