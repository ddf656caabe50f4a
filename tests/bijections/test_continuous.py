"""The ODE: velocity and divergence against autograd, the order of its solver, symmetries."""

import math

import pytest
import torch
from torch.autograd.functional import jacobian

from flowlat.bijections import Continuous
from flowlat.kernels.continuous.plain import velocities, velocity_of
from flowlat.lattice import Fourier, Lattice
from flowlat.lattice.momentum_basis import momentum_basis


def moved(shape=(3, 4), n_steps=4, odd=False, channels=2):
    flow = Continuous(Lattice(shape), n_steps, channels, odd).double()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in flow.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.add_(0.1 * noise)
    return flow


def field(flow, n=3):
    return torch.randn(n, flow.volume, dtype=torch.float64)


def times(flow):
    return velocities(flow._tables(1), flow.odd, flow._shell)


def velocity(flow, phi, now):
    """The velocity of sites ``(n, V)`` and its divergence."""
    v, divergence = velocity_of(flow.fourier.to_modes(phi.T), now, flow.fourier)
    return flow.fourier.to_sites(v).T, divergence


def test_it_starts_as_the_identity():
    x = torch.randn(3, 4, 4, dtype=torch.float64)
    y, log_det = Continuous(Lattice([4, 4]), 4, 4, odd=False).double()(x)
    torch.testing.assert_close(y, x)
    torch.testing.assert_close(log_det, torch.zeros(3, dtype=torch.float64))


def test_velocity_is_the_formula():
    """By FFT, at the first time, where every Chebyshev polynomial is (-1)^n."""
    flow = moved()
    phi = field(flow).reshape(3, 3, 4)
    fft = Fourier(Lattice([3, 4]), longest_dense=0)
    khat2 = fft.khat2
    basis = momentum_basis(khat2, 2, 8).float().double()
    signs = torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64)
    at_start = lambda parameter: torch.tensordot(signs, parameter, 1)  # noqa: E731
    expected = fft.filter(phi, basis @ at_start(flow.linear))
    for j in range(2):
        start = torch.exp(-2 * khat2 * j).float().double()
        first = start + basis @ at_start(flow.first)[:, j]
        second = start + basis @ at_start(flow.second)[:, j]
        u = fft.filter(phi, first)
        s = u / torch.sqrt(1 + u**2)
        f = sum(c * s**m for m, c in enumerate(at_start(flow.coefficients)[j]))
        expected = expected + fft.filter(f, second)
    found, _ = velocity(flow, phi.flatten(1), times(flow)[0])
    torch.testing.assert_close(found.reshape(phi.shape), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("odd", [True, False])
@pytest.mark.parametrize("shape", [(3, 4), (97,), (98,)])
def test_divergence_is_the_trace_of_the_jacobian(shape, odd):
    flow = moved(shape, odd=odd)
    phi = field(flow, 1)
    for now in times(flow)[::3]:
        matrix = jacobian(lambda x: velocity(flow, x, now)[0], phi)[0, :, 0]  # noqa: B023
        torch.testing.assert_close(velocity(flow, phi, now)[1][0], matrix.trace())


def test_log_det_is_that_of_the_jacobian_in_the_limit_of_small_steps():
    flow = moved(n_steps=40).eval()
    x = field(flow, 1).reshape(1, 3, 4)
    for direction in (flow.forward, flow.inverse):
        matrix = jacobian(lambda x: direction(x)[0], x).reshape(12, 12)  # noqa: B023
        expected = torch.linalg.slogdet(matrix).logabsdet
        assert expected.abs() > 0.1
        torch.testing.assert_close(direction(x)[1][0], expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(("training", "order"), [(True, 4), (False, 8)])
def test_the_order_of_the_error(training, order):
    """Of the field, of log_det and of the inverse: n_steps^-4 in training, else n_steps^-8."""
    x = field(moved()).reshape(3, 3, 4)
    y, log_det = moved(n_steps=64).eval()(x)
    errors = []
    for n_steps in (4, 16):
        flow = moved(n_steps=n_steps).train(training)
        found = flow(x)
        back, _ = flow.inverse(found[0])
        differences = found[0] - y, found[1] - log_det, back - x
        errors.append([difference.norm().item() for difference in differences])
    orders = [math.log(a / b, 4) for a, b in zip(*errors, strict=True)]
    assert orders[:2] == pytest.approx([order, order], abs=order / 5)
    # the round trip may have one order more: the leading errors of both ways cancel
    assert orders[2] > order * 7 / 8


def test_training_and_evaluation_solve_the_same_equation():
    flow, x = moved(n_steps=40), field(moved()).reshape(3, 3, 4)
    trained = flow(x)
    flow.eval().evaluation_steps = 4
    assert not torch.equal(flow(x)[0], trained[0])
    torch.testing.assert_close(flow(x), trained, rtol=0, atol=2e-6)


@pytest.mark.parametrize("odd", [True, False])
def test_symmetries(odd):
    """Translations by one site, reflections, a rotation; and phi -> -phi if it is odd."""
    flow = moved((4, 4), odd=odd)
    x = field(flow).reshape(3, 4, 4)
    y, log_det = flow(x)
    for transform in (lambda a: a.roll(1, 1), lambda a: a.flip(2), lambda a: a.transpose(1, 2)):
        torch.testing.assert_close(flow(transform(x))[0], transform(y), rtol=0, atol=1e-12)
        torch.testing.assert_close(flow(transform(x))[1], log_det, rtol=0, atol=1e-12)
    assert torch.allclose(flow(-x)[0], -y, rtol=0, atol=1e-12) == odd


def test_weights_transfer_between_volumes():
    """A field with the period of the small lattice stays one on the large lattice."""
    small, x = moved((4, 4)), torch.randn(3, 4, 4, dtype=torch.float64)
    for times in ((2, 1), (1, 25)):
        large = moved((4 * times[0], 4 * times[1]))
        large.load_state_dict(small.state_dict())
        found, _ = large(x.repeat(1, *times))
        torch.testing.assert_close(found, small(x)[0].repeat(1, *times), rtol=0, atol=1e-6)
