"""The conversions of the README against the actions written out in each convention."""

import math

import pytest
import torch

from flowlat.actions import Phi4
from flowlat.exchange.convention import CONVENTIONS, kappa_of, theory_of
from flowlat.utils.errors import ConfigError

COUPLINGS = {
    "flowlat": {"m2": -1.3, "lam": 0.7},
    "hopping": {"kappa": 0.27, "l": 0.022},
    "g/24": {"m2": -1.3, "g": 0.7},
    "g/4": {"mu2": -1.3, "g": 0.7},
}


def action(convention, phi, a, b):
    """S as its formula has it, ``(n, *shape) -> (n,)``."""
    axes = range(1, phi.dim())
    hops = [phi * phi.roll(-1, axis) for axis in axes]
    kinetic = [(phi.roll(-1, axis) - phi) ** 2 for axis in axes]
    density = {
        "flowlat": lambda: sum(kinetic) + a * phi**2 + b * phi**4,
        "hopping": lambda: -2 * a * sum(hops) + (1 - 2 * b) * phi**2 + b * phi**4,
        "g/24": lambda: sum(kinetic) / 2 + a / 2 * phi**2 + b / math.factorial(4) * phi**4,
        "g/4": lambda: sum(kinetic) / 2 + a / 2 * phi**2 + b / 4 * phi**4,
    }
    return density[convention]().flatten(1).sum(1)


@pytest.mark.parametrize("shape", [(6,), (4, 6), (2, 4, 6)])
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_the_same_field_has_the_same_action(convention, shape):
    phi = torch.randn(5, *shape, dtype=torch.float64)
    theory = theory_of(convention, COUPLINGS[convention], len(shape))
    ours = Phi4(theory.m2, theory.lam)(theory.scale * phi)
    torch.testing.assert_close(ours, action(convention, phi, *COUPLINGS[convention].values()))


@pytest.mark.parametrize(("m2", "lam"), [(-4.0, 8.0), (1.0, 0.5), (-4.0, 4.0), (2.0, 0.0)])
def test_kappa_is_that_of_the_theory(m2, lam):
    kappa = kappa_of(m2, lam, 2)
    theory = theory_of("hopping", {"kappa": kappa, "l": lam * kappa**2}, 2)
    assert (theory.m2, theory.lam) == pytest.approx((m2, lam))


@pytest.mark.parametrize(
    ("convention", "couplings", "text"),
    [
        ("other", {}, "convention=other: one of flowlat, hopping"),
        ("hopping", {"m2": 1, "lam": 2}, "convention=hopping: needs kappa and l, not m2=1 lam=2"),
        ("flowlat", {"m2": 1}, "needs m2 and lam, not m2=1"),
        ("hopping", {"kappa": 0, "l": 1}, "kappa=0.0: must be above 0"),
        ("g/4", {"mu2": math.nan, "g": 1}, "must be finite"),
    ],
)
def test_couplings_that_are_none(convention, couplings, text):
    with pytest.raises(ConfigError, match=text):
        theory_of(convention, couplings, 2)
