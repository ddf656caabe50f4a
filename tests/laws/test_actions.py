"""What every action obeys, in every dimension."""

import inspect
import itertools
import re
from functools import cache

import pytest
import torch

from flowlat import compose
from flowlat.actions import Action, Phi4
from flowlat.config.build import build_action
from tests.support.helpers import DIMENSIONS, SHAPES, options

ACTIONS = options("action")


@cache
def action_of(name):
    """As conf/ has it."""
    return build_action(compose([f"action={name}"]))


@pytest.fixture(params=itertools.product(DIMENSIONS, ACTIONS), ids=lambda p: f"{p[0]}d-{p[1]}")
def case(request):
    """An action, and a few configurations of order one."""
    d, name = request.param
    generator = torch.Generator().manual_seed(d)
    phi = torch.randn(3, *SHAPES[d], dtype=torch.float64, generator=generator)
    return action_of(name), phi


def test_the_registry_is_found():
    assert {"phi4", "free"} <= set(ACTIONS)


def test_the_force_is_minus_the_gradient(case):
    action, phi = case
    phi.requires_grad_()
    (gradient,) = torch.autograd.grad(action(phi).sum(), phi)
    assert gradient.abs().max() > 0.1
    torch.testing.assert_close(action.force(phi.detach()), -gradient, rtol=1e-10, atol=1e-10)


def test_translations_leave_it_alone(case):
    action, phi = case
    for axis in range(1, phi.dim()):
        torch.testing.assert_close(action(phi.roll(1, axis)), action(phi), rtol=1e-12, atol=1e-10)


def test_it_is_even_where_it_says_so(case):
    action, phi = case
    difference = (action(-phi) - action(phi)).abs().max()
    assert difference < 1e-10 if action.even else difference > 1e-6


def test_a_number_for_each_configuration_alone(case):
    action, phi = case
    assert action(phi).shape == (3,)
    assert action.force(phi).shape == phi.shape
    for i in range(3):
        torch.testing.assert_close(action(phi[i : i + 1])[0], action(phi)[i], rtol=1e-12, atol=0)
        alone = action.force(phi[i : i + 1])[0]
        torch.testing.assert_close(alone, action.force(phi)[i], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_is_kept(case, dtype):
    action, phi = case
    assert action(phi.to(dtype)).dtype == action.force(phi.to(dtype)).dtype == dtype


@pytest.mark.parametrize("name", ACTIONS)
def test_the_convention_has_every_coupling_and_no_other(name):
    """The other actions' couplings are not in it: it is no formula that was inherited."""
    couplings = {n: set(compose([f"action={n}"]).action) - {"_target_"} for n in ACTIONS}
    words = set(re.findall(r"\w+", action_of(name).convention))
    assert words & set.union(*couplings.values()) == couplings[name]


def test_a_formula_without_a_convention_is_refused():
    with pytest.raises(TypeError, match="Silent: states no convention"):

        class Silent(Phi4):
            def __call__(self, phi):
                return super().__call__(phi)

    assert not inspect.isabstract(Phi4)
    assert not hasattr(Action, "convention")
