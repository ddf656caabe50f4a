"""Dynamics in the noise that a flow maps to fields: its energy, its force, its integrator."""

import copy
import math
from typing import NamedTuple

import torch
from torch import Tensor

from flowlat.actions import Action
from flowlat.flows.flow import Flow, PushforwardFlow, SymmetrizedFlow
from flowlat.lattice import batch_fastest, sum_sites
from flowlat.priors import Prior
from flowlat.utils.errors import ConfigError


class Latent(NamedTuple):
    """Noise z ``(n, *shape)`` and what is known there, all in float64.

    phi = f(z) ``(n, *shape)``, its action and log weight ``(n,)``, and the force d log w / dz
    ``(n, *shape)``.
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
    autograd, one backward.

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
                f"sampler=latent_hmc: the noise of {type(flow.prior).__name__} is not Gaussian; "
                "that of prior=normal and prior=free_field is"
            )
        # a copy of its own: held fixed, so that no gradient of a weight is ever computed
        self.flow = copy.deepcopy(flow).eval().requires_grad_(False)
        self.dtype = next(self.flow.parameters()).dtype
        self.action = action

    def sample(self, n: int, generator: torch.Generator) -> Latent:
        """Where the flow itself draws."""
        return self(self.flow.noise(n, generator).double())

    def __call__(self, z: Tensor) -> Latent:
        with torch.enable_grad():
            noise = z.detach().to(self.dtype).requires_grad_()
            phi, log_q = self.flow(noise)
            phi = phi.double()
            action = self.action(phi)
            log_weight = -action - log_q.double()
            (force,) = torch.autograd.grad(log_weight.sum(), noise)
        phi, force = batch_fastest(phi.detach()), batch_fastest(force.double())
        return Latent(z, phi, action.detach(), log_weight.detach(), force)

    def integrate(
        self, start: Latent, p: Tensor, step_size: float, n_steps: int
    ) -> tuple[Latent, Tensor, Tensor]:
        """Hamilton's equations of H = p^2 / 2 + U: (their end, p there, change of H ``(n,)``).

        A step is half a kick p += h/2 d log w / dz, the exact solution of p^2 / 2 + z^2 / 2, which
        is a rotation of (z, p) by the angle h, and half a kick. It is reversible and keeps the
        volume, and without error where log w is a constant: a quarter of a turn then draws a new
        configuration. One force a step. Shahbaba, Lan, Johnson, Neal, arXiv:1106.5941.
        """
        at, first = start, _harmonic(start.z, p)
        p = p + step_size / 2 * at.force
        cos, sin = math.cos(step_size), math.sin(step_size)
        for step in range(n_steps):
            z, p = cos * at.z + sin * p, cos * p - sin * at.z
            at = self(z)
            # the last kick of a step and the first one of the next are one
            p = p + (step_size if step < n_steps - 1 else step_size / 2) * at.force
        return at, p, _harmonic(at.z, p) - first - (at.log_weight - start.log_weight)


def _harmonic(z: Tensor, p: Tensor) -> Tensor:
    """p^2 / 2 + z^2 / 2, ``(n,)``."""
    return sum_sites(p * p + z * z) / 2
