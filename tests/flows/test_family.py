import copy

import pytest
import torch
from torch import nn

from flowlat import build_flow, compose
from flowlat.actions import Phi4
from flowlat.bijections.continuous import solvers_of
from flowlat.config.build import build_family
from flowlat.flows import Domain, Family, PushforwardFlow
from flowlat.lattice import Lattice
from flowlat.utils.errors import ConfigError
from tests.support.helpers import dimensions, options, required
from tests.support.transfer_matrix import chain

SMALL = ("family=phi4_2d", "family.shapes=[[4,4],[6,6]]", "lattice.shape=[4,4]")
CHAINS = ("family=phi4_1d", "family.shapes=[[4],[6]]", "lattice=1d", "lattice.shape=[4]")
COUPLINGS = [(-6.0, 9.0), (-4.0, 5.3), (1.0, 0.4)]


def family_of(*names, moved=True):
    """With random coefficients."""
    family = build_family(compose([*SMALL, *names]))
    stream = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in family.parameters():
            weight += moved * 0.05 * torch.randn(weight.shape, generator=stream)
    return family.eval()


@pytest.mark.parametrize("arch", ["continuous", "conv", "combconv_k1", "spline"])
def test_it_starts_as_the_flow_itself_at_all_couplings(arch):
    if arch == "spline":
        pytest.importorskip("zuko")
    names = [f"arch={arch}", "lattice.shape=[4,4]"]
    start = build_flow(compose(names))
    family = family_of(f"arch={arch}", moved=False)
    for couplings in COUPLINGS:
        flow = family.at(*couplings, Lattice([4, 4]))
        assert type(flow) is PushforwardFlow
        assert not flow.training
        for name, parameter in start.named_parameters():
            assert torch.equal(flow.get_parameter(name), parameter)
            assert flow.get_parameter(name).is_leaf


@pytest.mark.parametrize("prior", options("prior"))
@pytest.mark.parametrize("arch", ["continuous", "conv"])
def test_parameters_are_sums_over_the_basis(arch, prior):
    small = SMALL if 2 in dimensions(prior) else CHAINS
    family = family_of(*small, f"arch={arch}", f"prior={prior}", *required("prior", prior))
    for m2, lam in COUPLINGS:
        basis = family.domain.basis(m2, lam)
        flow = family.at(m2, lam, Lattice([6] * family.domain.d))
        assert len(list(flow.parameters())) == len(family.coefficients)
        for name, parameter in flow.named_parameters():
            weights = family.coefficients[name.replace(".", "/")].double()
            expected = sum(b * w for b, w in zip(basis, weights, strict=True))
            torch.testing.assert_close(parameter.double(), expected, rtol=1e-5, atol=1e-6)


def test_couplings_and_lattices_differ_and_the_density_is_that_of_the_samples():
    family = family_of().double()
    for side in (4, 5, 8):
        samples = []
        for couplings in COUPLINGS:
            flow = family.at(*couplings, Lattice([side, 6]))
            for solver in solvers_of(flow):
                solver.evaluation_steps = 12
            phi, log_q = flow.sample(8, torch.Generator().manual_seed(2))
            assert phi.shape == (8, side, 6)
            assert phi.dtype == torch.float64
            torch.testing.assert_close(flow.log_prob(phi), log_q, rtol=0, atol=1e-5)
            samples.append(phi)
        assert not torch.allclose(samples[0], samples[1], atol=1e-3)


def test_a_prior_that_is_one_theory_s_is_that_of_each():
    """At any point and in training: log r of a field is -S - log Z of the theory there."""
    family = family_of(*CHAINS, "prior=transfer_matrix").double()
    z = torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(3, 4)
    for m2, lam in COUPLINGS:
        expected = -Phi4(m2, lam)(z) - chain(m2, lam, 4)[0]
        for flow in (
            family.at(m2, lam, Lattice([4])),
            family.set(family.parameters_at(m2, lam), m2, lam, (4,)),
        ):
            torch.testing.assert_close(flow.prior.log_prob(z), expected, rtol=0, atol=1e-9)


def test_a_flow_of_the_family_is_its_own():
    family = family_of()
    flow = family.at(-4.0, 6.0, Lattice([4, 4]))
    before = copy.deepcopy(flow.state_dict())
    with torch.no_grad():
        for weight in family.parameters():
            weight.fill_(9.0)
    family.set(family.parameters_at(-5.0, 8.0), -5.0, 8.0, (4, 4))
    assert all(torch.equal(w, before[name]) for name, w in flow.state_dict().items())


def test_steps_of_the_solver_are_carried_everywhere():
    family = family_of()
    flow = family.set(family.parameters_at(-4.0, 6.0), -4.0, 6.0, (6, 6))
    solvers_of(flow)[0].n_steps += 3
    family.keep(flow)
    again = family_of()
    again.load_state_dict(family.state_dict())
    for known in (family, again, copy.deepcopy(family)):
        assert solvers_of(known.at(-5.0, 8.0, Lattice([4, 4])))[0].n_steps == 7
        working = known.set(known.parameters_at(-5.0, 8.0), -5.0, 8.0, (4, 4))
        assert solvers_of(working)[0].n_steps == 7


def test_the_working_flow_is_one_for_each_shape_in_the_family_s_mode_and_precision():
    family = family_of()
    flow = family.working((4, 4))
    assert family.working([4, 4]) is flow
    assert family.working((6, 6)) is not flow
    assert not flow.training
    assert family.train().working((4, 4)).training
    assert next(family.double().working((4, 4)).parameters()).dtype == torch.float64
    assert copy.deepcopy(family).working((4, 4)) is not flow


def test_ordered_phases_are_families_of_symmetrised_flows():
    flow = family_of("symmetrize=true", "prior.shift=0.3").at(-6.0, 4.0, Lattice([4, 4]))
    phi = torch.randn(3, 4, 4)
    torch.testing.assert_close(flow.log_prob(phi), flow.log_prob(-phi), rtol=1e-4, atol=1e-4)


def test_another_dimension_is_refused():
    with pytest.raises(ConfigError, match=r"lattice\.shape=\[4, 4, 4\]: the family is one of d=2"):
        family_of().at(-4.0, 6.0, Lattice([4, 4, 4]))


def test_averages_over_one_theory_are_refused():
    with pytest.raises(ConfigError, match=r"family: .*running_mean is an average"):
        family_of("arch=conv", "arch.batch_norm=true")


def test_an_architecture_with_weights_on_the_sites_is_refused():
    known: Domain = family_of().domain

    class OnSites(PushforwardFlow):
        def __init__(self, lattice):
            like = build_flow(compose(["lattice.shape=[4,4]"]))
            super().__init__(like.prior, like.bijection)
            self.sites = nn.Parameter(torch.zeros(lattice.shape))
            self.lattice = lattice

    with pytest.raises(ConfigError, match=r"family: sites depends on the lattice, \[4, 4\] on one"):
        Family(known, OnSites)


def test_a_lattice_of_another_dimension():
    with pytest.raises(ConfigError, match=r"lattice.shape=\[4, 4, 4\]: the family is one of d=2"):
        build_family(compose(["family=phi4_2d", "lattice.shape=[4,4,4]"]))
