"""Sites that no trajectory carries from one well to the other, against what is known exactly."""

import math

import pytest
import torch

from flowlat.actions import Phi4
from flowlat.analysis.exact import transfer_matrix
from flowlat.analysis.importance import ess, log_z
from flowlat.lattice import Lattice
from flowlat.samplers import HMC, Annealed
from flowlat.samplers.dynamics.deep_wells import DEEP, SiteSigns, site_signs
from flowlat.samplers.single_sites import SingleSites
from tests.samplers.chains import assert_means, sample, seeded
from tests.support.tilted import Tilted

DEEP_WELLS = pytest.mark.parametrize(("m2", "lam"), [(-1111.0, 6173.0), (-392.0, 2000.0)])


def chi2(phi):
    """Of the last axis, a chain."""
    return phi.sum(-1) ** 2 / phi.shape[-1]


@DEEP_WELLS
def test_hmc_crosses(m2, lam):
    """<phi^2> and chi2 of 512 independent replicas, within five sigma (p = 6e-7 each).

    Trajectories alone keep the signs of the mean field, all alike: chi2 = 8 <phi^2>.
    """
    exact = transfer_matrix(m2, lam, 8)
    options = {"replicas": 512, "trajectory_length": 0.2, "thermalization": 60, "block": 20}
    phi, _ = sample(HMC(Lattice([8]), Phi4(m2, lam), **options), 1)
    assert_means((phi**2).mean(2), exact["phi2"])
    assert_means(chi2(phi), exact["chi2"])
    stuck, _ = sample(HMC(Lattice([8]), Phi4(m2, lam), sign_flip=False, **options), 1)
    assert chi2(stuck).mean() > 3 * exact["chi2"]


@DEEP_WELLS
def test_annealing_crosses(m2, lam):
    """log Z, within five sigma (p = 6e-7); by the mean field it was short by 3.5 and said nothing.

    <phi^2> and chi2 from <w (f - exact)> = 0, linearised, the same.
    """
    exact = transfer_matrix(m2, lam, 8)
    sampler = Annealed(Lattice([8]), Phi4(m2, lam), population=2000, n_steps=30)
    block = sampler.step(sampler.start(seeded(1)), seeded(2))[1]
    value, error = log_z(block.log_weight)
    assert error < 0.01
    assert abs(value - exact["log_z"]) < 5 * error
    assert ess(block.log_weight) > 0.9
    w = (block.log_weight - exact["log_z"]).exp()
    for name, f in (("phi2", (block.phi**2).mean(1)), ("chi2", chi2(block.phi))):
        excess = w * (f - exact[name])
        assert excess.mean().abs() < 5 * excess.std() / 2000**0.5, name
    torch.testing.assert_close(block.action, Phi4(m2, lam)(block.phi))


def test_hmc_clusters_and_annealing_agree_near_the_critical_ising_model():
    """4 x 4 at m2 = -400, lam = 1000: chi2 of all 2^16 signs at the most likely abs(phi), to the
    2 per cent that abs(phi) moves, and of HMC and annealing within five sigma (p = 6e-7)."""
    lattice, action = Lattice([4, 4]), Phi4(-400.0, 1000.0)
    options = {"replicas": 256, "trajectory_length": 0.2, "thermalization": 60, "block": 40}
    phi, _ = sample(HMC(lattice, action, **options), 1)
    means = (16 * phi.mean((2, 3)) ** 2).mean(0)
    by_hmc, its_error = means.mean().item(), means.std().item() / 16
    sampler = Annealed(lattice, action, population=2000, n_steps=30)
    block = sampler.step(sampler.start(seeded(1)), seeded(2))[1]
    w = (block.log_weight - block.log_weight.max()).exp()
    w /= w.mean()
    f = 16 * block.phi.mean((1, 2)) ** 2
    by_weights = (w * f).mean().item()
    error = (w * (f - by_weights)).std().item() / 2000**0.5
    assert max(error, its_error) < 0.06
    assert abs(by_hmc - by_weights) < 5 * math.hypot(error, its_error)
    bits = torch.arange(2**16).unsqueeze(1) >> torch.arange(16) & 1
    signs = (2 * bits - 1).double().reshape(-1, 4, 4)
    v2 = 400 / 2000
    hops = (signs * (signs.roll(1, 1) + signs.roll(1, 2))).sum((1, 2))
    p = torch.softmax(2 * v2 * hops, 0)
    ising = (p * 16 * v2 * signs.mean((1, 2)) ** 2).sum().item()
    assert by_hmc == pytest.approx(ising, rel=0.02, abs=5 * its_error)


@pytest.mark.parametrize("shape", [[4], [5], [1], [2, 3], [3, 1, 2]], ids=str)
@pytest.mark.parametrize("beta", [0.0, 0.4, 1.0])
def test_the_signs_are_those_of_an_ising_model(shape, beta):
    """All sign patterns of one field, by their weights: chi^2 of 20,000 draws in one step from a
    stationary start, below a p-value of 1e-6; abs(phi) stays."""
    lattice, action = Lattice(shape), Phi4(-4.0, 1.0)
    sites = lattice.volume
    size = 0.3 + 0.4 * torch.rand(shape, generator=seeded(1), dtype=torch.float64)
    patterns = 1 - 2 * (torch.arange(2**sites).unsqueeze(1) >> torch.arange(sites) & 1).double()
    fields = patterns.reshape(-1, *shape) * size
    hopping = action(fields) - action(size.unsqueeze(0))
    p = torch.softmax(-beta * hopping, 0)
    n = 20_000
    start = fields[torch.multinomial(p, n, replacement=True, generator=seeded(2))]
    drawn = SiteSigns(lattice, action)(start, seeded(3), beta)
    torch.testing.assert_close(drawn.abs(), size.expand_as(drawn), rtol=0, atol=0)
    found = ((drawn.reshape(n, -1) < 0).long() << torch.arange(sites)).sum(1)
    counts = torch.bincount(found, minlength=2**sites)
    statistic = ((counts - n * p) ** 2 / (n * p)).sum().item()
    # the cube root of chi^2 / k is normal (Wilson and Hilferty); 4.75 sigma
    k = 2**sites - 1
    limit = k * (1 - 2 / (9 * k) + 4.75 * math.sqrt(2 / (9 * k))) ** 3
    assert statistic < limit
    assert (drawn != start).any()


def test_sites_by_themselves_are_all_but_the_hopping_term():
    """-log q is S where a field has one site that is not 0, but for log N; and force its slope."""
    lattice, action = Lattice([4, 1, 3]), Phi4(-9.0, 2.0)
    density = SingleSites(lattice, action)
    phi = torch.zeros(5, 4, 1, 3, dtype=torch.float64)
    phi[:, 2, 0, 1] = torch.linspace(-2, 2, 5, dtype=torch.float64)
    torch.testing.assert_close(
        density(phi) - 12 * density.prior.log_norm, action(phi), rtol=1e-12, atol=1e-9
    )
    x = torch.randn(3, 4, 1, 3, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(density(x).sum(), x)
    torch.testing.assert_close(density.force(x), -slope)


def test_where_the_barrier_is_low_nothing_is_added():
    lattice = Lattice([4])
    lam = 16 / (4 * DEEP)
    assert site_signs(lattice, Phi4(-4.0, 1.01 * lam)) is None
    assert site_signs(lattice, Phi4(-4.0, 0.99 * lam)) is not None
    assert site_signs(lattice, Phi4(4.0, 0.1)) is None
    assert site_signs(lattice, Tilted(-40.0, 2.0, 0.5)) is None
    assert HMC(lattice, Phi4(-40.0, 2.0), sign_flip=False).site_signs is None
