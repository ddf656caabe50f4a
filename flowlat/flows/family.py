"""A flow as a function of the couplings: one set of weights for a whole theory."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from flowlat.flows.domain import Domain
from flowlat.flows.flow import Flow
from flowlat.lattice import Lattice
from flowlat.priors import Prior
from flowlat.utils.errors import ConfigError

#: how PyTorch names what a module keeps beside parameters and buffers
EXTRA = "_extra_state"


class Family(nn.Module):
    """theta(m2, lam) = sum_n W_n B_n(m2, lam) for every parameter theta of a flow.

    B_n are products of Chebyshev polynomials in the coordinates of :class:`Domain`, B_0 = 1. W_0
    starts where the flow itself does, the others at zero. Any architecture and prior can be made a
    family: beside the parameters only a prior that is one theory's depends on the couplings
    (``set_couplings``); and nothing at all on the volume, so that one family is for all lattices of
    its dimension. What a layer keeps beside its weights, such as the steps of an ODE, is the same
    for all.

    ``coefficients`` has W ``(n, *theta.shape)`` by the names of the parameters, with "/" for ".".

    Args:
        domain: the couplings, their coordinates and polynomials, the lattices.
        build: a flow with fresh weights on any lattice.

    Raises:
        ConfigError: parameters that depend on the lattice, or running averages (batch
            normalisation), which belong to one theory.
    """

    def __init__(self, domain: Domain, build: Callable[[Lattice], Flow]):
        super().__init__()
        self.domain = domain
        self._build = build
        self._working: dict[tuple[int, ...], Flow] = {}  # no submodules: their weights are W's
        n = len(domain.basis(domain.m2[0], domain.lam[1]))
        first, *others = (build(Lattice(shape)) for shape in domain.lattices)
        starts = dict(first.named_parameters())
        for other in others:
            _require_same(starts, dict(other.named_parameters()), other.lattice)
        self.coefficients = nn.ParameterDict()
        for name, start in starts.items():
            rest = start.new_zeros(n - 1, *start.shape)
            self.coefficients[key(name)] = nn.Parameter(torch.cat([start.detach()[None], rest]))
        self._kept = []
        for name, state in first.state_dict().items():
            if name in starts:
                continue
            if not name.endswith(EXTRA):
                raise ConfigError(f"family: {name} is an average over one theory, not a function")
            self._kept.append(name)
            self.register_buffer(key(name), state.clone())

    @property
    def smallest(self) -> Lattice:
        """The smallest lattice of its domain."""
        return Lattice(self.domain.lattices[0])

    def parameters_at(self, m2: float, lam: float) -> dict[str, Tensor]:
        """theta by name, differentiable in W."""
        weights = list(self.coefficients.values())
        basis = self.domain.basis(m2, lam).to(weights[0])
        values = (torch.tensordot(basis, weight, 1) for weight in weights)
        return dict(zip(map(name_of, self.coefficients), values, strict=True))

    @torch.no_grad()
    def at(self, m2: float, lam: float, lattice: Lattice) -> Flow:
        """The flow at a point, an ordinary one, in evaluation mode; in the domain or not.

        Raises:
            ConfigError: a lattice of another dimension, or one that the architecture cannot take.
        """
        self.domain.require_dimension(lattice.shape)
        flow = self._like_own(self._build(lattice))
        self._fill(flow, self.parameters_at(m2, lam), m2, lam)
        return flow.eval()

    def working(self, shape: Sequence[int]) -> Flow:
        """The flow that is trained on lattices of this shape, always the same one; see ``set``."""
        shape = tuple(shape)
        if shape not in self._working:
            self._working[shape] = self._build(Lattice(shape))
        return self._like_own(self._working[shape]).train(self.training)

    def set(self, theta: dict[str, Tensor], m2: float, lam: float, shape: Sequence[int]) -> Flow:
        """The working flow at a point, with ``theta = parameters_at(m2, lam)`` as its leaves."""
        flow = self.working(shape)
        self._fill(flow, theta, m2, lam)
        return flow

    @torch.no_grad()
    def keep(self, flow: Flow) -> None:
        """Take over what a flow has beside its weights, such as steps that were added."""
        state = flow.state_dict()
        for name in self._kept:
            getattr(self, key(name)).copy_(state[name])

    def _like_own(self, flow: Flow) -> Flow:
        """On the family's device, in its precision."""
        own, other = next(self.parameters()), next(flow.parameters())
        same = own.device == other.device and own.dtype == other.dtype
        return flow if same else flow.to(own.device, own.dtype)

    @torch.no_grad()
    def _fill(self, flow: Flow, theta: dict[str, Tensor], m2: float, lam: float) -> None:
        for name, parameter in flow.named_parameters():
            parameter.copy_(theta[name])
        if self._kept:
            extra = {name: getattr(self, key(name)).cpu() for name in self._kept}
            flow.load_state_dict(extra, strict=False)
        for part in flow.modules():
            if isinstance(part, Prior):
                part.set_couplings(m2, lam)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Family":
        """A copy builds working flows of its own."""
        made = self.__class__.__new__(self.__class__)
        memo[id(self)] = made
        state = {k: v for k, v in self.__dict__.items() if k not in ("_working", "_build")}
        made.__dict__ = {**copy.deepcopy(state, memo), "_working": {}, "_build": self._build}
        return made


def key(name: str) -> str:
    """A parameter's name without dots, which PyTorch keeps for submodules."""
    return name.replace(".", "/")


def name_of(key: str) -> str:
    """The parameter of a key."""
    return key.replace("/", ".")


def _require_same(starts: dict[str, Any], other: dict[str, Any], lattice: Lattice) -> None:
    """Raise ConfigError if parameters depend on the lattice."""
    for name in starts | other:
        a, b = (list(p[name].shape) if name in p else None for p in (starts, other))
        if a != b:
            raise ConfigError(
                f"family: {name} depends on the lattice, {a} on one and {b} on {lattice}: no "
                "family of this architecture covers several volumes"
            )
