"""The coefficients: of their order by the conditions, and by an equation with a known solution."""

import math

import pytest
import torch

from flowlat.kernels.continuous.runge_kutta import CLASSICAL, combination
from flowlat.kernels.continuous.verner import VERNER

METHODS = pytest.mark.parametrize(("method", "order"), [(CLASSICAL, 4), (VERNER, 9)])


@METHODS
def test_the_conditions_of_quadrature(method, order):
    """sum_j a_ij = c_i, and sum_i b_i c_i^(p-1) = 1 / p up to the order."""
    assert [sum(row) for _, row in method.stages] == pytest.approx(
        [method.nodes[node] for node, _ in method.stages], abs=1e-14
    )
    for p in range(1, order + 1):
        terms = (
            b * method.nodes[node] ** (p - 1)
            for b, (node, _) in zip(method.weights, method.stages, strict=True)
        )
        assert sum(terms) == pytest.approx(1 / p, abs=1e-14)


@METHODS
def test_the_times_of_both_directions(method, order):
    """Ascending; from the end backwards the steps have the nodes that they have forwards."""
    stride = len(method.nodes) - 1
    forwards, backwards = (method.times(3, sign).tolist() for sign in (1, -1))
    for times in (forwards, backwards):
        assert times == sorted(times)
        assert len(times) == 3 * stride + 1
    for step in range(3):
        nodes = [(step + c) / 3 for c in method.nodes]
        assert forwards[stride * step :][: stride + 1] == pytest.approx(nodes, abs=1e-15)
        back = [1 - t for t in reversed(backwards)]
        assert back[stride * step :][: stride + 1] == pytest.approx(nodes, abs=1e-15)


@METHODS
@pytest.mark.parametrize(
    ("velocity", "solution", "slack"),
    [
        # x' = (1 + 2 t) x: x(1) = e^2
        (lambda t, x: (1 + 2 * t) * x, math.exp(2), 0.6),
        # x' = (1 + 2 t) x^2 / 4: x = 1 / (1 - (t + t^2) / 4); of Verner's method the order is
        # approached slowly: 8.4 from 8 to 16 steps in 45 digits, 8.9 from 64 to 128
        (lambda t, x: (1 + 2 * t) * x**2 / 4, 2, 1.1),
    ],
)
def test_the_order(method, order, velocity, solution, slack):
    errors = []
    for n_steps in (4, 8):
        times, x = method.times(n_steps, 1).tolist(), torch.ones(1, dtype=torch.float64)
        for step in range(n_steps):
            k = []
            for node, row in method.stages:
                t = times[step * (len(method.nodes) - 1) + node]
                k.append(velocity(t, combination(x, 1 / n_steps, row, k)))
            x = combination(x, 1 / n_steps, method.weights, k)
        errors.append(abs(x.item() - solution))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=slack)
