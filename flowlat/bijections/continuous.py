"""A continuous flow whose velocity has an exact divergence."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from flowlat.bijections.base import Bijection
from flowlat.bijections.runge_kutta import CLASSICAL, COOPER_VERNER, RungeKutta, combination
from flowlat.kernels import Tables, nonlinear, solve, solves
from flowlat.kernels.first_use import N_COMPARED, sound
from flowlat.kernels.library import WITHOUT
from flowlat.lattice import Fourier, Lattice, shell_of, shells
from flowlat.lattice.spectrum import chebyshev, momentum_basis
from flowlat.utils.limits import LAYERS

#: terms of f_j, and Chebyshev polynomials in t and in the momentum
TERMS, TIMES, MOMENTA = 8, 3, 8
#: an FFT with the sites first, as the nonlinearity wants them, is slower than one of rows: with 32
#: fields a training step takes 1.3 times as long as by matrices at 64^2, the same at 96^2 and 128^2
LONGEST_DENSE = 96


class Velocity(NamedTuple):
    """What defines the velocity at one time."""

    linear: Tensor  # A, (M,)
    first: Tensor  # V_j, (M, channels, 1)
    second: Tensor  # W_j, (M, channels, 1)
    coefficients: Tensor  # c, (channels, terms)
    trace: Tensor  # sum_k A(k)
    weights: Tensor  # sum_k V_j(k) W_j(k) / V, (channels,)


class Continuous(Bijection):
    """d phi/dt = A phi + sum_j W_j * f_j(V_j * phi) for 0 < t < 1, phi(0) = x, phi(1) = y.

    ``*`` is a convolution over the whole lattice: A, V_j and W_j are functions of khat^2 and of t,
    f_j(u) = sum_m c_jm(t) s^m with s = u / sqrt(1 + u^2). The divergence is a sum over sites,

        div = sum_k A(k) + sum_j [sum_k V_j(k) W_j(k) / V] sum_x f_j'((V_j * phi)(x)),

    and log_det is its integral over t (Chen et al., arXiv:1806.07366). W f(V phi) with V = W is the
    gradient of sum_x F(V phi): the form that the trivializing map of phi^4 has to first order
    (Luescher, arXiv:0907.5491), and with V = 1 the velocity of Gerdes et al., arXiv:2207.00283.

    Starts at the identity, c = 0, with V_j = W_j = exp(-2 s_j khat^2), s_j from 0 to 1. Commutes
    with all symmetries of the lattice, and, if ``odd``, with phi -> -phi. Nothing refers to the
    volume.

    In training the ODE is solved by the classical Runge-Kutta method in ``n_steps`` steps, with
    errors of y and log_det of order n_steps^-4. In evaluation mode it is solved by the method of
    Cooper and Verner in ``evaluation_steps`` steps, as many unless it is set, with errors of order
    evaluation_steps^-8: log_det is that of the map up to them, and so is the inverse its inverse.
    On trained flows of four steps it takes 44 velocities to errors for which the classical method
    needs more than a hundred. ``n_steps`` may be raised while the flow is trained, and goes with
    the weights into a state dict.
    """

    _start: Tensor
    _basis: Tensor
    _modes: Tensor
    _shell: Tensor

    def __init__(self, lattice: Lattice, n_steps: int, channels: int, odd: bool):
        super().__init__()
        self.n_steps = n_steps
        self.evaluation_steps: int | None = None
        self.volume = lattice.volume
        self.fourier = Fourier(lattice, LONGEST_DENSE)
        self.linear = nn.Parameter(torch.zeros(TIMES, MOMENTA))
        self.first = nn.Parameter(torch.zeros(TIMES, MOMENTA, channels))
        self.second = nn.Parameter(torch.zeros(TIMES, MOMENTA, channels))
        self.coefficients = nn.Parameter(torch.zeros(TIMES, channels, TERMS // (1 + odd)))
        self.odd = odd
        khat2, modes = shells(lattice.shape)
        widths = torch.linspace(0, 1, channels, dtype=torch.float64)
        start = torch.exp(-2 * khat2.unsqueeze(1) * widths)
        tables = {
            "_start": start.float(),
            "_basis": momentum_basis(khat2, lattice.d, MOMENTA).float(),
            "_modes": modes.float(),  # of a shell
            "_shell": shell_of(self.fourier.khat2, lattice.shape),  # of a mode
        }
        for name, table in tables.items():
            self.register_buffer(name, table, persistent=False)

    def get_extra_state(self) -> Tensor:
        return torch.tensor(self.n_steps)

    def set_extra_state(self, state: Tensor) -> None:
        if state.dtype != torch.int64 or state.shape != () or not 1 <= state <= LAYERS:
            raise RuntimeError(f"n_steps: {state} is no number of steps")
        self.n_steps = max(self.n_steps, int(state))  # of a config that asks for more

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        # files of 0.1 have none: theirs were those of the config
        state_dict.setdefault(f"{prefix}_extra_state", self.get_extra_state())
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self._solve(x, 1)

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        return self._solve(y, -1)

    def with_score(self, x: Tensor, score: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One solution of the field and the score together, where the fused solver runs."""
        tables = self._tables()
        if not self._is_fused(x, tables):
            return super().with_score(x, score)
        y, log_det, score = solve(x, tables, *self._method(), 1, self.odd, score)
        return y, log_det, score

    def _method(self) -> tuple[RungeKutta, int]:
        """How it is solved, and in how many steps."""
        if self.training:
            return CLASSICAL, self.n_steps
        return COOPER_VERNER, self.evaluation_steps or self.n_steps

    def _tables(self) -> Tables:
        """At the nodes of every step, for every shell."""
        linear, first, second, coefficients = self._at_nodes(self._start, self._basis)
        trace, weights = linear @ self._modes, self._modes @ (first * second) / self.volume
        return Tables(linear, first, second, coefficients, trace, weights)

    def _velocities(self) -> list[Velocity]:
        """At the nodes of every step, for every mode of ``fourier``."""
        # not the tables of the shells, gathered: the gradient of that is slow
        start, basis = self._start[self._shell], self._basis[self._shell]
        linear, first, second, _ = self._at_nodes(start, basis)
        return self._listed(self._tables()._replace(linear=linear, first=first, second=second))

    def _listed(self, tables: Tables) -> list[Velocity]:
        """Tables for every mode, in place of every shell, node by node."""
        linear, first, second, c, trace, weights = tables
        if self.odd:  # the odd powers alone
            c = torch.stack([torch.zeros_like(c), c], -1).flatten(2)
        parts = linear, first.unsqueeze(-1), second.unsqueeze(-1), c, trace, weights
        return [Velocity(*now) for now in zip(*parts, strict=True)]

    def _at_nodes(self, start: Tensor, basis: Tensor) -> tuple[Tensor, ...]:
        """A, V and W at the nodes and the momenta of this basis, and c."""
        method, n_steps = self._method()
        t = method.times(n_steps, self.linear.device)
        times = chebyshev(2 * t - 1, TIMES).to(self.linear.dtype)
        parameters = (self.linear, self.first, self.second, self.coefficients)
        linear, first, second, coefficients = (torch.tensordot(times, p, 1) for p in parameters)
        return linear @ basis.T, start + basis @ first, start + basis @ second, coefficients

    def _solve(self, phi: Tensor, sign: int) -> tuple[Tensor, Tensor]:
        tables = self._tables()
        if self._is_fused(phi, tables):
            y, log_det = solve(phi, tables, *self._method(), sign, self.odd)
            return y, log_det
        return self._solve_plainly(phi, sign)

    def _is_fused(self, phi: Tensor, tables: Tables) -> bool:
        """Whether the fused solver takes this, and does what PyTorch does."""

        def fused(phi: Tensor, *tables: Tensor) -> tuple[Tensor, ...]:
            return solve(phi, Tables(*tables), *self._method(), 1, self.odd)

        def plain(phi: Tensor, *tables: Tensor) -> tuple[Tensor, Tensor]:
            of_modes = [table[:, self._shell] for table in tables[:3]]
            velocities = self._listed(Tables(*of_modes, *tables[3:]))
            return self._integrate(phi, velocities, 1)

        def inputs() -> dict[str, Tensor]:
            return {"phi": phi[:N_COMPARED], **tables._asdict()}

        kind = phi.shape[1:], tables.coefficients.shape[1:], self.odd, self.training
        return solves(phi, tables, self.odd) and sound(
            "solver", kind, phi, fused, plain, inputs, WITHOUT
        )

    def _solve_plainly(self, phi: Tensor, sign: int) -> tuple[Tensor, Tensor]:
        """In plain PyTorch, on any device."""
        return self._integrate(phi, self._velocities(), sign)

    def _integrate(
        self, phi: Tensor, velocities: list[Velocity], sign: int
    ) -> tuple[Tensor, Tensor]:
        method, n_steps = self._method()
        velocities = velocities[::sign]
        h, stride = sign / n_steps, len(method.nodes) - 1
        x = self.fourier.to_modes(phi.flatten(1).T)
        log_det = phi.new_zeros(len(phi))
        for step in range(n_steps):
            now = velocities[stride * step : stride * (step + 1) + 1]
            k: list[Tensor] = []
            divergences: list[Tensor] = []
            for node, row in method.stages:
                velocity, divergence = self._velocity(combination(x, h, row, k), now[node])
                k.append(velocity)
                divergences.append(divergence)
            x = combination(x, h, method.weights, k)
            log_det = combination(log_det, h, method.weights, divergences)
        return self.fourier.to_sites(x).T.reshape(phi.shape), log_det

    def _velocity(self, x: Tensor, now: Velocity) -> tuple[Tensor, Tensor]:
        """Of the modes x ``(M, batch)``, and its divergence ``(batch,)``."""
        u = self.fourier.to_sites(now.first * x.unsqueeze(1))
        f, slopes = nonlinear(u, now.coefficients)
        v = (now.second * self.fourier.to_modes(f)).sum(1)
        return v.addcmul(now.linear.unsqueeze(1), x), now.trace + now.weights @ slopes


def solvers_of(flow: nn.Module) -> list[Continuous]:
    """The continuous layers of a flow."""
    return [module for module in flow.modules() if isinstance(module, Continuous)]
