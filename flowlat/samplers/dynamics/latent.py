"""Dynamics in the noise that a flow maps to fields: its energy, its force, its integrator."""

import copy
import math
from typing import NamedTuple

import torch
from torch import Tensor

from flowlat.actions import Action
from flowlat.bijections.continuous import solvers_of
from flowlat.flows.calibration import set_steps
from flowlat.flows.flow import Flow, PushforwardFlow, SymmetrizedFlow
from flowlat.lattice import batch_fastest, sum_sites
from flowlat.priors import Prior
from flowlat.utils.errors import ConfigError


class Latent(NamedTuple):
    """Noise z ``(n, *shape)`` and what is known there, all in float64.

    phi = f(z) ``(n, *shape)``, its action and log weight ``(n,)``, and the force d log w / dz
    ``(n, *shape)``, of which an ODE in few steps makes an approximation.
    """

    z: Tensor
    phi: Tensor
    action: Tensor
    log_weight: Tensor
    force: Tensor


class LatentDensity:
    """exp(-U(z)), U(z) = S(f(z)) - log|det df/dz| = z^2 / 2 - log w(z) + a constant.

    f maps white noise to fields, prior and bijection together, and log w = -S - log q is the log
    weight of what a flow draws: a constant where the flow is perfect. Of a symmetrised flow f is
    the map of the flow within. S and z are in float64, f in the flow's precision. The force is by
    autograd, one backward. Where the flow solves ODEs, it is that of a solution in half as many
    steps: a function of z like any other, which leaves trajectories reversible and their volume as
    it is.

    Raises:
        ConfigError: a flow that is no map of Gaussian noise.
    """

    def __init__(self, flow: Flow, action: Action):
        if isinstance(flow, SymmetrizedFlow):
            flow = flow.flow
        if not isinstance(flow, PushforwardFlow):
            raise ConfigError(
                f"sampler=latent_hmc: {type(flow).__name__} is no map of noise to fields"
            )
        if type(flow.prior).noise is not Prior.noise:
            raise ConfigError(
                f"sampler=latent_hmc: the noise of {flow.prior.typed} is not Gaussian; "
                "that of prior=normal and prior=free_field is; sampler=metropolis takes any"
            )
        # a copy of its own: held fixed, so that no gradient of a weight is ever computed
        self.flow = copy.deepcopy(flow).eval().requires_grad_(False)
        self.dtype = next(self.flow.parameters()).dtype
        self.action = action
        # for the force
        self._guide = copy.deepcopy(self.flow) if solvers_of(self.flow) else self.flow

    def set_steps(self, steps: int) -> None:
        """Solve the flow's ODEs in so many steps, in half of them for a force; 0: it has none."""
        set_steps(self._guide, math.ceil(steps / 2))
        set_steps(self.flow, steps)

    def sample(self, n: int, generator: torch.Generator) -> Latent:
        """Where the flow itself draws."""
        return self(self.flow.noise(n, generator).double())

    def __call__(self, z: Tensor) -> Latent:
        if self._guide is self.flow:
            phi, action, log_weight, force = self._with_force(z)
        else:
            with torch.no_grad():
                phi, action, log_weight = self._weigh(self.flow, z.to(self.dtype))
            force = self.force(z)
        return Latent(z, batch_fastest(phi), action, log_weight, batch_fastest(force))

    def force(self, z: Tensor) -> Tensor:
        """d log w / dz ``(n, *shape)``, in float64."""
        return self._with_force(z)[3]

    def _with_force(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        with torch.enable_grad():
            noise = z.detach().to(self.dtype).requires_grad_()
            phi, action, log_weight = self._weigh(self._guide, noise)
            (force,) = torch.autograd.grad(log_weight.sum(), noise)
        return phi.detach(), action.detach(), log_weight.detach(), force.double()

    def _weigh(self, flow: Flow, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(phi, S, log w) of a flow."""
        phi, log_q = flow(noise)
        phi = phi.double()
        action = self.action(phi)
        return phi, action, -action - log_q.double()

    def integrate(
        self, start: Latent, p: Tensor, step_size: float, n_steps: int
    ) -> tuple[Latent, Tensor, Tensor]:
        """Hamilton's equations of H = p^2 / 2 + U: (their end, p there, change of H ``(n,)``).

        A step is half a kick p += h/2 d log w / dz, the exact solution of p^2 / 2 + z^2 / 2, which
        is a rotation of (z, p) by the angle h, and half a kick. It is reversible and keeps the
        volume, and without error where log w is a constant: a quarter of a turn then draws a new
        configuration. One force a step, one energy at the end. Shahbaba, Lan, Johnson, Neal,
        arXiv:1106.5941.
        """
        z, first = start.z, _harmonic(start.z, p)
        p = p + step_size / 2 * start.force
        cos, sin = math.cos(step_size), math.sin(step_size)
        for left in reversed(range(n_steps)):
            z, p = cos * z + sin * p, cos * p - sin * z
            if left:  # the last kick of a step and the first one of the next are one
                p = p + step_size * self.force(z)
        end = self(z)
        p = p + step_size / 2 * end.force
        return end, p, _harmonic(z, p) - first - (end.log_weight - start.log_weight)


def _harmonic(z: Tensor, p: Tensor) -> Tensor:
    """p^2 / 2 + z^2 / 2, ``(n,)``."""
    return sum_sites(p * p + z * z) / 2
