"""What every prior obeys, in every dimension."""

import pytest
import torch

from flowlat import build_flow, compose
from flowlat.utils.errors import ConfigError
from tests.support.helpers import DIMENSIONS, dimensions, moved_flow, options, overrides

PRIORS = options("prior")
SUPPORTED = [(d, name) for d in DIMENSIONS for name in PRIORS if d in dimensions(name)]
UNSUPPORTED = [(d, name) for d in DIMENSIONS for name in PRIORS if d not in dimensions(name)]
# a single-site potential that the quadratures below resolve well
THEORY = ("action.m2=1", "action.lam=2", "arch=combconv_k1")


def moved_prior(d, name, *more):
    return moved_flow(*overrides(d, f"prior={name}", *THEORY, *more)).prior


@pytest.fixture(params=SUPPORTED, ids=lambda p: f"{p[0]}d-{p[1]}")
def prior(request):
    return moved_prior(*request.param)


def test_the_registry_is_found():
    assert {"normal", "free_field", "potential", "transfer_matrix"} <= set(PRIORS)


@pytest.mark.parametrize(("d", "name"), UNSUPPORTED)
def test_another_dimension_is_one_line(d, name):
    (only,) = dimensions(name)
    with pytest.raises(ConfigError, match=rf"^prior: lattice\.shape=.*d={only}") as caught:
        build_flow(compose(overrides(d, f"prior={name}", *THEORY)))
    assert "\n" not in str(caught.value)


def test_it_is_called_what_one_types(prior, request):
    """And a class of somebody else's, derived or not, by its own name."""
    name = request.node.callspec.params["prior"][1]
    assert prior.typed == f"prior={name}"
    prior.__class__ = type("Mine", (type(prior),), {})
    assert prior.typed == "the prior Mine"


@pytest.mark.parametrize("n", [1, 6])
def test_density_of_a_draw_is_the_density(prior, n):
    z, log_r = prior(prior.noise(n))
    assert z.shape == (n, *prior.lattice.shape)
    assert log_r.shape == (n,)
    torch.testing.assert_close(prior.log_prob(z), log_r, rtol=1e-9, atol=1e-9)


def test_translations_and_the_sign_leave_the_density_alone(prior):
    z, log_r = prior(prior.noise(3))
    for axis in range(1, z.dim()):
        torch.testing.assert_close(prior.log_prob(z.roll(1, axis)), log_r, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(prior.log_prob(-z), log_r, rtol=1e-9, atol=1e-9)
    assert (prior.log_prob(z + 0.5) - log_r).abs().max() > 1e-2


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_is_kept(prior, dtype):
    z, log_r = prior.to(dtype)(prior.noise(2))
    assert z.dtype == log_r.dtype == prior.log_prob(z).dtype == dtype


def test_noise_is_a_function_of_the_generator(prior):
    first, second, other = (prior.noise(4, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", PRIORS)
def test_density_integrates_to_one(name):
    """Trapezoids on two sites, spectrally accurate for a smooth density that has died out."""
    prior = moved_prior(1, name, "lattice.shape=[2]")
    line = torch.linspace(-9, 9, 901, dtype=torch.float64)
    grid = torch.cartesian_prod(line, line)
    integral = prior.log_prob(grid).exp().sum() * (line[1] - line[0]) ** 2
    assert integral.item() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("name", PRIORS)
def test_draws_follow_the_density(name):
    """E_r[h / r] = 1 for a narrow Gaussian h, within five sigma (p = 6e-7), on four sites."""
    d, shape = (2, "[2,2]") if 2 in dimensions(name) else (1, "[4]")
    prior = moved_prior(d, name, f"lattice.shape={shape}")
    with torch.no_grad():
        z, log_r = prior(prior.noise(100_000, torch.Generator().manual_seed(1)))
    narrow = torch.distributions.Normal(0.05, 0.25)
    weights = (narrow.log_prob(z.double()).flatten(1).sum(1) - log_r).exp()
    error = weights.std() / len(weights) ** 0.5
    assert error < 0.05
    assert abs(weights.mean() - 1) < 5 * error
