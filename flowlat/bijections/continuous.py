"""A continuous flow whose velocity has an exact divergence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from flowlat.bijections.base import Bijection
from flowlat.kernels import Tables, solve, solve_plainly, solves
from flowlat.kernels.continuous.runge_kutta import CLASSICAL, RungeKutta
from flowlat.kernels.continuous.verner import VERNER
from flowlat.kernels.first_use import N_COMPARED, Comparison, numbers, sound
from flowlat.kernels.library import WITHOUT
from flowlat.lattice import Fourier, Lattice, shell_of, shells
from flowlat.lattice.momentum_basis import chebyshev, momentum_basis
from flowlat.utils.limits import LAYERS

#: terms of f_j, and Chebyshev polynomials in t and in the momentum
TERMS, TIMES, MOMENTA = 8, 3, 8
#: an FFT with the sites first, as the nonlinearity wants them, is slower than matrices up to 96^2
#: and a third faster on 128^2 at most; on one processor it ended the process (PyTorch 2.13, MKL)
LONGEST_DENSE = 1024


class Kept(NamedTuple):
    """Tables, and of what they are: the method, its steps, the sign, the values of parameters."""

    how: tuple[RungeKutta, int, int]
    parameters: tuple[Tensor, ...]
    tables: Tables


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
    errors of y and log_det of order n_steps^-4. In evaluation mode it is solved by Verner's method
    in ``evaluation_steps`` steps, three quarters as many unless it is set, with errors of order
    evaluation_steps^-9: log_det is that of the map up to them, and so is the inverse its inverse.
    On trained flows of four steps the 30 velocities of two of its steps err as little as 48 of the
    classical method. ``n_steps`` may be raised while the flow is trained, and goes with the weights
    into a state dict.
    """

    _start: Tensor
    _basis: Tensor
    _modes: Tensor
    _shell: Tensor

    def __init__(self, lattice: Lattice, n_steps: int, channels: int, odd: bool):
        super().__init__()
        self.n_steps = n_steps
        self.evaluation_steps: int | None = None
        self._kept: dict[int, Kept] = {}  # of each sign the last
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
        tables = self._tables(1)
        if not self._is_fused(x, tables):
            return super().with_score(x, score)
        y, log_det, score = solve(x, tables, *self._method(), 1, self.odd, score)
        return y, log_det, score

    def _method(self) -> tuple[RungeKutta, int]:
        """How it is solved, and in how many steps."""
        if self.training:
            return CLASSICAL, self.n_steps
        return VERNER, self.evaluation_steps or math.ceil(3 / 4 * self.n_steps)

    def _tables(self, sign: int) -> Tables:
        """At the nodes of every step, of a solution forwards or, for a sign of -1, backwards.

        A flow that samples wants the same ones batch after batch: without gradients those before
        are given again while the parameters have the same values, however they were set.
        """
        how = *self._method(), sign
        parameters = self.linear, self.first, self.second, self.coefficients
        if not constant(parameters):
            return self._tables_of(how, parameters)
        kept = self._kept.get(sign)
        if kept is None or kept.how != how or not all(map(same, kept.parameters, parameters)):
            # for gradients in a field, too, which cannot have what is made in inference mode
            with torch.inference_mode(False), torch.no_grad():
                values = tuple(parameter.clone() for parameter in parameters)
                kept = self._kept[sign] = Kept(how, values, self._tables_of(how, values))
        return kept.tables

    def _tables_of(
        self, how: tuple[RungeKutta, int, int], parameters: tuple[Tensor, ...]
    ) -> Tables:
        times = in_time(*how, parameters[0].dtype, parameters[0].device)
        linear, first, second, coefficients = (
            (times @ p.flatten(1)).unflatten(1, p.shape[1:]) for p in parameters
        )
        linear = linear @ self._basis.T
        first = self._start + self._basis @ first
        second = self._start + self._basis @ second
        trace, weights = linear @ self._modes, self._modes @ (first * second) / self.volume
        return Tables(linear, first, second, coefficients, trace, weights)

    def _solve(self, phi: Tensor, sign: int) -> tuple[Tensor, Tensor]:
        tables = self._tables(sign)
        if self._is_fused(phi, tables):
            y, log_det = solve(phi, tables, *self._method(), sign, self.odd)
            return y, log_det
        return self._solve_plainly(phi, tables, sign)

    def _solve_plainly(self, phi: Tensor, tables: Tables, sign: int) -> tuple[Tensor, Tensor]:
        how = *self._method(), sign, self.odd
        return solve_plainly(phi, tables, *how, self.fourier, self._shell)

    def _is_fused(self, phi: Tensor, tables: Tables) -> bool:
        """Whether the fused solver takes this, and does what PyTorch does."""

        def fused(phi: Tensor, *tables: Tensor) -> tuple[Tensor, ...]:
            return solve(phi, Tables(*tables), *self._method(), 1, self.odd)

        def plain(phi: Tensor, *tables: Tensor) -> tuple[Tensor, Tensor]:
            return self._solve_plainly(phi, Tables(*tables), 1)

        def inputs() -> dict[str, Tensor]:
            # in a new flow the coefficients are zero, and with them log_det, but for rounding, and
            # the gradients of the filters
            moved = {name: table + 0.1 * numbers(table) for name, table in tables._asdict().items()}
            return {"phi": phi[:N_COMPARED], **moved}

        kind = phi.shape[1:], tables.coefficients.shape[1:], self.odd, self.training
        compared = Comparison("solver", kind, phi, fused, plain, inputs)
        return solves(phi, tables, self.odd) and sound(compared, WITHOUT)


@lru_cache(maxsize=64)
def in_time(
    method: RungeKutta, n_steps: int, sign: int, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """The polynomials in t at the nodes of every step, ``(N, TIMES)``."""
    with torch.inference_mode(False):  # they may be needed for gradients later
        return chebyshev(2 * method.times(n_steps, sign, device) - 1, TIMES).to(dtype)


def constant(parameters: Sequence[Tensor]) -> bool:
    """Whether these are parameters on the CPU, as they are, of which nobody wants gradients."""
    return (
        # no results of a hook, such as a mask makes, nor tensors of a transformation of PyTorch
        all(type(p) is nn.Parameter and p.device.type == "cpu" for p in parameters)
        and not (torch.is_grad_enabled() and any(p.requires_grad for p in parameters))
        and not torch.is_autocast_enabled("cpu")
    )


def same(a: Tensor, b: Tensor) -> bool:
    return a.dtype == b.dtype and torch.equal(a, b)


def solvers_of(flow: nn.Module) -> list[Continuous]:
    """The continuous layers of a flow."""
    return [module for module in flow.modules() if isinstance(module, Continuous)]
