"""Dynamics in the noise that a flow maps to fields: its energy, its force, its integrator."""

import copy
import math
from typing import NamedTuple

import torch
from torch import Tensor

from flowlat.actions import Action
from flowlat.flows.calibration import set_steps
from flowlat.flows.flow import Flow, PushforwardFlow, SymmetrizedFlow
from flowlat.lattice import batch_fastest, sum_sites
from flowlat.priors import Prior
from flowlat.utils.errors import ConfigError

#: variance of the log weights of a coarser solution over those of the flow, for a force
NEAR = 0.1


class Latent(NamedTuple):
    """Noise z and phi = f(z), ``(n, *shape)``, its action and log weight, ``(n,)``, in float64."""

    z: Tensor
    phi: Tensor
    action: Tensor
    log_weight: Tensor


class LatentDensity:
    """exp(-U(z)), U(z) = S(f(z)) - log|det df/dz| = z^2 / 2 - log w(z) + a constant.

    f maps white noise to fields, prior and bijection together, and log w = -S - log q is the log
    weight of what a flow draws: a constant where the flow is perfect. Of a symmetrised flow f is
    the map of the flow within; with ``symmetric`` its log w is that of both signs, and +-f(z), the
    sign by a coin, are distributed as exp(-S). S and z are in float64, f in the flow's precision.
    The force d log w / dz is by autograd, one backward. Where the flow solves ODEs, it may be that
    of a solution in fewer steps: a function of z like any other, which leaves trajectories
    reversible and their volume as it is.

    Raises:
        ConfigError: a flow that is no map of Gaussian noise.
    """

    def __init__(self, flow: Flow, action: Action, symmetric: bool):
        within = flow.flow if isinstance(flow, SymmetrizedFlow) else flow
        if not isinstance(within, PushforwardFlow):
            raise ConfigError(
                f"sampler=latent_hmc: {type(within).__name__} is no map of noise to fields"
            )
        if type(within.prior).noise is not Prior.noise:
            raise ConfigError(
                f"sampler=latent_hmc: the noise of {within.prior.typed} is not Gaussian; "
                "that of prior=normal and prior=free_field is; sampler=metropolis takes any"
            )
        if not symmetric:
            flow = within
        # copies, for energies and forces; held fixed, so that no gradient of a weight is computed
        self.flow, self.guide = (copy.deepcopy(flow).eval().requires_grad_(False) for _ in range(2))
        self.dtype = next(self.flow.parameters()).dtype
        self.action = action

    def set_steps(self, steps: int, of_force: int) -> None:
        """Solve the flow's ODEs in so many steps, and for a force in so many; 0: it has none."""
        set_steps(self.flow, steps)
        set_steps(self.guide, of_force)

    @torch.no_grad()
    def fewest_steps(self, at: Latent, steps: int) -> int:
        """Steps of a solution that is good enough for a force, at most ``steps``.

        The fewest whose log w follows that of ``at``, which is in ``steps``, up to a constant and a
        variance of ``NEAR``: so much of it a trajectory gets wrong however many forces it takes.
        """
        for fewer in range(1, steps):
            set_steps(self.guide, fewer)
            log_weight = self._weigh(self.guide, at.z.to(self.dtype))[2]
            if (log_weight - at.log_weight).var() < NEAR:  # False for NaN
                return fewer
        return steps

    def sample(self, n: int, generator: torch.Generator) -> Latent:
        """Where the flow itself draws."""
        return self(self.flow.noise(n, generator).double())

    @torch.no_grad()
    def __call__(self, z: Tensor) -> Latent:
        phi, action, log_weight = self._weigh(self.flow, z.to(self.dtype))
        return Latent(z, batch_fastest(phi), action, log_weight)

    def force(self, z: Tensor) -> Tensor:
        """d log w / dz ``(n, *shape)``, in float64."""
        with torch.enable_grad():
            noise = z.detach().to(self.dtype).requires_grad_()
            log_weight = self._weigh(self.guide, noise)[2]
            (force,) = torch.autograd.grad(log_weight.sum(), noise)
        return batch_fastest(force.double())

    def _weigh(self, flow: Flow, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(phi, S, log w) of a flow."""
        phi, log_q = flow(noise)
        phi = phi.double()
        action = self.action(phi)
        return phi, action, -action - log_q.double()

    def integrate(
        self, start: Latent, p: Tensor, length: float, n_forces: int
    ) -> tuple[Latent, Tensor, Tensor]:
        """Hamilton's equations of H = p^2 / 2 + U: (their end, p there, change of H ``(n,)``).

        A step of length h is half the exact solution of p^2 / 2 + z^2 / 2, which is a rotation of
        (z, p) by the angle h / 2, a kick p += sin(h) d log w / dz, and the other half. It is
        reversible and keeps the volume, and without error where log w is a constant: a quarter of a
        turn then draws a new configuration, without any force. With sin(h) in place of h the
        change of H has no error of first order in log w where that is quadratic, in steps of any
        length. One force a step, one energy at the end. Shahbaba, Lan, Johnson, Neal,
        arXiv:1106.5941, whose steps begin and end with half a kick of h.
        """
        z, first = start.z, _harmonic(start.z, p)
        step = length / max(1, n_forces)
        for i in range(n_forces):
            z, p = _rotated(z, p, step if i else step / 2)
            p = p + math.sin(step) * self.force(z)
        z, p = _rotated(z, p, step / 2 if n_forces else step)
        end = self(z)
        return end, p, _harmonic(z, p) - first - (end.log_weight - start.log_weight)


def _rotated(z: Tensor, p: Tensor, angle: float) -> tuple[Tensor, Tensor]:
    cos, sin = math.cos(angle), math.sin(angle)
    return cos * z + sin * p, cos * p - sin * z


def _harmonic(z: Tensor, p: Tensor) -> Tensor:
    """p^2 / 2 + z^2 / 2, ``(n,)``."""
    return sum_sites(p * p + z * z) / 2
