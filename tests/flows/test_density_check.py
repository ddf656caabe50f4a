"""Forward against inverse: what agrees passes, what does not is found."""

import math

import pytest
import torch

from flowlat.flows.density_check import MOST_OFF, DensityCheck, check_density
from tests.support.helpers import moved_flow, overrides


def seeded():
    return torch.Generator().manual_seed(1)


@pytest.mark.parametrize("symmetrize", [True, False])
@pytest.mark.parametrize("arch", ["conv", "continuous"])
def test_a_flow_that_is_right(arch, symmetrize):
    flow = moved_flow(*overrides(2, f"arch={arch}", f"symmetrize={symmetrize}"))
    found = check_density(flow.train(), seeded())
    assert 0 < found.value_error < 1e-5
    assert found.log_q_error < 1e-5
    assert found.passed
    assert not flow.training


@pytest.mark.parametrize("symmetrize", [True, False])
def test_what_is_wrong_is_found(symmetrize, monkeypatch):
    """Of the field, and of the density."""
    flow = moved_flow(*overrides(2, "arch=conv", f"symmetrize={symmetrize}"))
    bijection = (flow.flow if symmetrize else flow).bijection
    inverse = bijection.inverse
    monkeypatch.setattr(bijection, "inverse", lambda y: (inverse(y)[0], inverse(y)[1] + 0.1))
    found = check_density(flow, seeded())
    assert found.log_q_error == pytest.approx(0.1, abs=1e-6)
    assert found.value_error < 1e-6
    assert not found.passed
    monkeypatch.setattr(bijection, "inverse", lambda y: (inverse(y)[0] + 0.01, inverse(y)[1]))
    assert check_density(flow, seeded()).value_error == pytest.approx(0.01, abs=1e-6)


def test_where_it_passes():
    assert DensityCheck(0, MOST_OFF).passed
    assert not DensityCheck(0, MOST_OFF * 1.01).passed
    assert not DensityCheck(0, math.nan).passed
