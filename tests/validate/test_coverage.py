"""The measure of how often errors hold the truth: of errors that do, and of some that are wrong."""

import math

import pytest
import torch

from flowlat.analysis.exact import free
from flowlat.analysis.gamma_method import autocovariance, estimate
from flowlat.lattice import Lattice
from flowlat.observables import Binder, Phi2
from flowlat.validate import coverage as module
from flowlat.validate.__main__ import main
from flowlat.validate.coverage import BinderMoments, Coverage, coverage, covered, free_chains


@pytest.mark.parametrize("tau_int", [1.0, 10.0])
def test_chains_are_of_the_free_theory_and_as_slow_as_they_say(tau_int):
    """100 chains of 1,000: phi^2 has 800,000 / 2 tau_int numbers of two sites or more, five sigma;
    and tau_int of all of them together is known to a tenth, of which this allows three."""
    phi = free_chains(tau_int, 1000, 100, torch.Generator())
    phi2 = (phi**2).mean(-1)
    exactly = free(module.M2, Lattice(module.SHAPE))["phi2"]
    error = phi2.std().item() * math.sqrt(2 * tau_int / phi2.numel())
    assert abs(phi2.mean().item() - exactly) < 5 * error < 0.1 * exactly
    gamma = autocovariance([chain[:, None].numpy() for chain in phi2])[0]
    assert estimate(0.0, gamma, phi2.numel()).tau_int == pytest.approx(tau_int, rel=0.3)


def test_errors_of_known_size():
    """Of normal values: errors of one sigma hold 0.683 of 4,000, five sigma of that; and half."""
    values = 2 + torch.randn((4000, 2), dtype=torch.float64)
    right = covered(values, torch.ones_like(values), torch.tensor(2.0))
    assert abs(right.share - 0.683) < 5 * 0.0074
    assert right.error == pytest.approx(1, abs=0.06)
    assert not right.failed
    assert covered(values, 0.2 * torch.ones_like(values), torch.tensor(2.0)).failed
    assert Coverage(0.45, 100, 0.0, 1.0).failed is False


def test_a_binder_cumulant_of_few_measurements():
    """At 1,000 measurements and tau_int = 10 errors by the gradient alone are 0.78 of the scatter,
    and hold the truth in 0.55 of the runs; with the curvature they are 1.0 of it: of 60 chains
    within a quarter, 2.7 sigma of the scatter, which 60 give to 0.09."""
    observables = {"phi2": Phi2(), "binder": Binder()}
    found = coverage(observables, 10, 1000, 60, torch.Generator())
    assert found["binder"].error == pytest.approx(1.0, abs=0.3)
    assert not found["binder"].failed
    assert not found["phi2"].failed


def test_the_moments_of_a_binder_cumulant_are_plain_means():
    """Of 2,000 measurements in 60 chains <M^2> and <M^4> are on average the exact ones: to 0.13
    standard deviations, of which four are allowed, and their scatter is known to 0.09."""
    found = coverage({"binder_moments": BinderMoments()}, 0.6, 2000, 60, torch.Generator())
    moments = found["binder_moments"]
    assert abs(moments.bias) < 0.5
    assert moments.error == pytest.approx(1.0, abs=0.35)


def test_errors_that_are_too_small_fail_the_validation(monkeypatch, capsys):
    monkeypatch.setattr(module, "RUNS", ((1, 200, 0, 30),))
    assert main(["--quick", "--group", "coverage"]) == 0
    assert "FAILED" not in capsys.readouterr().out
    right = module.chain_estimate

    def small(*arguments):
        found = right(*arguments)
        listed = found if isinstance(found, list) else [found]
        return [e._replace(error=0.02 * e.error) for e in listed]

    monkeypatch.setattr(module, "chain_estimate", small)
    assert main(["--quick", "--group", "coverage"]) == 1
    assert "phi2" in capsys.readouterr().out.splitlines()[-1]
