"""The periodic chain as a prior, against quadratures of other nodes and its own derivatives."""

import math

import pytest
import torch

from flowlat import build_flow, compose
from flowlat.actions import Free, Phi4
from flowlat.analysis.exact import transfer_matrix
from flowlat.lattice import Lattice
from flowlat.priors import ExactChain
from tests.support.transfer_matrix import chain, chain_two_point

#: flat, free, kinks, one well, steep
THEORIES = [(0.05, 0.02), (1.0, 0.0), (-4.0, 1.4), (-4.0, 0.1), (-1.0, 1.5), (4.0, 20.0)]
DEEP = [(-100.0, 1.0), (-1111.0, 6173.0), (-2e8, 1e6)]


def prior_of(m2, lam, length):
    return ExactChain(Lattice([length]), m2, lam).double()


@pytest.mark.parametrize(("m2", "lam"), [*THEORIES, *DEEP[:2]])
@pytest.mark.parametrize("length", [1, 2, 3, 6])
def test_the_draws_have_the_density_that_is_said(m2, lam, length):
    """log r = -log|det dz/du|, triangular in the order of the draws, by central differences.

    The steps are small beside the distance to the ends and to 1/2, where there may be a barrier.
    """
    prior = prior_of(m2, lam, length)
    u = prior.noise(64, torch.Generator().manual_seed(1))
    _, log_r = prior(u)
    log_det = torch.zeros_like(log_r)
    for i in range(length):
        step = 1e-4 * u[:, i] * (1 - u[:, i]) * (1 - 2 * u[:, i]).abs()
        up, down = u.clone(), u.clone()
        up[:, i] += step
        down[:, i] -= step
        log_det += ((prior(up)[0] - prior(down)[0])[:, i] / (2 * step)).log()
    error = (log_r + log_det).abs()
    assert error.median() < 1e-7
    assert error.max() < 1e-4


@pytest.mark.parametrize(
    ("m2", "lam"), [(1.0, 0.0), (1.0, 0.5), (-4.0, 1.4), (-4.0, 8.0), (4.0, 20.0)]
)
@pytest.mark.parametrize("length", [1, 2, 3, 12])
def test_the_density_is_the_boltzmann_weight(m2, lam, length):
    """With log Z on Gauss-Legendre nodes of the tests' own; any field, from the prior or not."""
    prior, action = prior_of(m2, lam, length), Phi4(m2, lam)
    z = torch.randn(5, length, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    z.requires_grad_()
    log_r, (log_z, _) = prior.log_prob(z), chain(m2, lam, length, n=400)
    torch.testing.assert_close(log_r, -action(z) - log_z, rtol=0, atol=1e-8)
    (score,) = torch.autograd.grad(log_r.sum(), z)
    torch.testing.assert_close(score, action.force(z.detach()), rtol=0, atol=1e-9)


@pytest.mark.parametrize("length", [1, 2, 64, 1000])
@pytest.mark.parametrize(("m2", "lam"), [(-4.0, 0.1), *DEEP])
def test_log_z_does_not_depend_on_the_nodes(m2, lam, length):
    found = prior_of(m2, lam, length)
    depth = length * found.potential.depth
    log_z = transfer_matrix(m2, lam, length, n=700)["log_z"] if length < 1000 else None
    z, log_r = found(found.noise(3, torch.Generator().manual_seed(1)))
    assert log_r.isfinite().all()
    if log_z is not None:
        expected = -Phi4(m2, lam)(z) - log_z
        torch.testing.assert_close(log_r, expected, rtol=0, atol=1e-9 + 1e-14 * depth)


@pytest.mark.parametrize("length", [1, 2, 3, 64, 1000])
def test_the_free_chain(length):
    prior, action = prior_of(0.5, 0.0, length), Free(0.5)
    z, log_r = prior(prior.noise(4, torch.Generator().manual_seed(1)))
    expected = -action(z) - action.log_z(prior.lattice)
    torch.testing.assert_close(log_r, expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize(("m2", "lam"), [(-4.0, 1.4), (1.0, 0.5), (-1.0, 1.5)])
def test_correlations_around_the_chain(m2, lam):
    """<z_i z_j> of every pair by the oracle, five errors each: p = 6e-7 for each of 21."""
    prior, n = prior_of(m2, lam, 6), 40_000
    z, _ = prior(prior.noise(n, torch.Generator().manual_seed(3)))
    expected = chain_two_point(m2, lam, 6)
    for i in range(6):
        for j in range(i, 6):
            products = z[:, i] * z[:, j]
            error = products.std() / math.sqrt(n)
            assert abs(products.mean() - expected[j - i]) < 5 * error, (i, j)


@pytest.mark.parametrize(("m2", "lam"), [(-4.0, 1.4), (-100.0, 1.0)])
def test_both_wells_are_drawn_and_kinks_between_them(m2, lam):
    """Of 10,000 chains half have either sign at any site, within five sigma (p = 6e-7); where the
    wells are deep no chain of 64 sites has a kink, exp(-4 v^2) each, and elsewhere some have."""
    prior = prior_of(m2, lam, 64)
    z, log_r = prior(prior.noise(10_000, torch.Generator().manual_seed(5)))
    assert z.sign().mean(0).abs().max() < 5 / 100
    kinks = (z.sign() != z.sign().roll(1, 1)).any(1)
    deep = m2 == -100.0
    assert kinks.any() == (not deep)
    assert log_r.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_ends_of_the_noise_are_fields(dtype):
    prior = ExactChain(Lattice([6]), -4.0, 1.4).to(dtype)
    noise = torch.tensor([[0.0] * 6, [1.0] * 6, [0.5] * 6, [0.0, 1.0] * 3], dtype=torch.float64)
    z, log_r = prior(noise)
    assert z.dtype == log_r.dtype == dtype
    assert z.isfinite().all()
    assert log_r.isfinite().all()


@pytest.mark.parametrize(
    ("m2", "lam", "line"),
    [
        (-1.0, 0.0, "m2=-1.0, lam=0.0: the potential does not confine"),
        (1.0, -1.0, "m2=1.0, lam=-1.0: the potential does not confine"),
        (1e-6, 0.0, "m2=1e-06, lam=0.0: .*nodes, at most 1024"),
        (0.0, 1e-9, "m2=0.0, lam=1e-09: .*nodes, at most 1024"),
        (-1e200, 1.0, r"m2=-1e\+200, lam=1.0: "),
        (math.nan, 1.0, "m2=nan, lam=1.0: "),
    ],
)
def test_a_theory_that_cannot_be_solved_is_one_line(m2, lam, line):
    with pytest.raises(ValueError, match=line) as caught:
        ExactChain(Lattice([4]), m2, lam)
    assert "\n" not in str(caught.value)


def test_no_barrier_stops_it():
    """So that nobody is warned of wells that it crosses; of another prior it is not known."""
    names = ["lattice=1d", "action.lam=0.1", "phase=symmetric"]
    assert build_flow(compose([*names, "prior=transfer_matrix"])).crosses
    assert not build_flow(compose(names)).crosses
