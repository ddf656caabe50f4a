"""The coefficients: of their order by the conditions, and by an equation with a known solution."""

import math

import pytest
import torch

from flowlat.kernels.continuous.runge_kutta import CLASSICAL, COOPER_VERNER, combination

METHODS = pytest.mark.parametrize(("method", "order"), [(CLASSICAL, 4), (COOPER_VERNER, 8)])


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
def test_the_nodes_serve_both_directions(method, order):
    assert [1 - c for c in reversed(method.nodes)] == pytest.approx(list(method.nodes), abs=1e-15)
    times = method.times(3).tolist()
    assert times == sorted(times)
    assert len(times) == 3 * (len(method.nodes) - 1) + 1
    assert [1 - t for t in reversed(times)] == pytest.approx(times, abs=1e-15)


@METHODS
def test_the_order(method, order):
    """x' = (1 + 2 t) x^2 / 4 with x(0) = 1: x = 1 / (1 - (t + t^2) / 4), x(1) = 2."""
    errors = []
    for n_steps in (4, 8):
        h, times, x = (
            1 / n_steps,
            method.times(n_steps).tolist(),
            torch.ones(1, dtype=torch.float64),
        )
        for step in range(n_steps):
            k = []
            for node, row in method.stages:
                t = times[step * (len(method.nodes) - 1) + node]
                k.append((1 + 2 * t) * combination(x, h, row, k) ** 2 / 4)
            x = combination(x, h, method.weights, k)
        errors.append(abs(x.item() - 2))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.6)
