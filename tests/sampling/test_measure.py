import numpy as np
import pytest
import torch

from flowlat.actions import Phi4
from flowlat.lattice import Lattice
from flowlat.observables import Magnetization, Observable, TwoPoint
from flowlat.samplers.base import Block
from flowlat.sampling.measure import build_observables, check_derived, measure
from flowlat.utils.errors import ConfigError
from tests.support.fakes import Infinite, Wrong

ACTION = Phi4(1.0, 0.5)


def block(dtype=torch.float32, log_weight=None, accepted=None):
    phi = torch.randn(5, 2, 4, dtype=dtype)
    return Block(phi, ACTION(phi.double()), log_weight, accepted)


def test_the_columns_of_every_kind():
    flags, weights = torch.ones(5, dtype=torch.bool), torch.zeros(5, dtype=torch.float64)
    always = {"action", "proposals", "measured/m"}
    observables = {"m": Magnetization()}
    for given, names in (
        ({"accepted": flags}, {"accepted"}),
        ({"log_weight": weights}, {"log_weight"}),
        ({"accepted": flags, "log_weight": weights}, {"accepted", "log_weight"}),
    ):
        assert set(measure(observables, ACTION, "proposals", block(**given))) == always | names
    assert "proposals" not in measure(observables, ACTION, None, block())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_measurements_are_in_double_precision(dtype):
    drawn = block(dtype)
    rows = measure({"m": Magnetization(), "c": TwoPoint()}, ACTION, "proposals", drawn)
    assert rows["proposals"].dtype == dtype
    assert rows["measured/m"].dtype == rows["measured/c"].dtype == torch.float64
    assert torch.equal(rows["measured/m"], drawn.phi.double().flatten(1).mean(1))
    assert rows["measured/c"].shape == (5, 3)


def test_measurements_that_cannot_be_used():
    with pytest.raises(ValueError, match=r"observables.x: measures \[5, 2, 4\] on 5 config"):
        measure({"x": Wrong()}, ACTION, "proposals", block())
    with pytest.raises(ValueError, match="measured/x: NaN or infinity"):
        measure({"x": Infinite()}, ACTION, "proposals", block())
    weights = torch.tensor([0.0, 1.0, -torch.inf, 0.0, 0.0]).double()
    with pytest.raises(ValueError, match="log_weight: NaN or infinity"):
        measure({}, ACTION, "proposals", block(log_weight=weights))


def test_what_is_no_observable():
    node = {"_target_": "flowlat.lattice.Lattice", "shape": [2]}
    with pytest.raises(ConfigError, match=r"observables.x._target_=flowlat.lattice.Lattice: not"):
        build_observables({"observables": {"x": node}})


class Moments(Observable):
    """<M>, <M^2>, and what ``of`` makes of them."""

    symbol = "x"

    def __init__(self, of):
        self.of = of

    def measure(self, configurations):
        return torch.stack([configurations.mean_field, configurations.mean_field**2], 1)

    def derive(self, means):
        return self.of(means)


@pytest.mark.parametrize(
    ("of", "says"),
    [
        (lambda means: means.mul_(2), "RuntimeError: a leaf Variable"),
        (lambda means: torch.as_tensor(np.exp(means.numpy())), "RuntimeError: Can't call numpy"),
        (list, "AttributeError: 'list' object"),
        (lambda means: torch.exp(1j * means), "RuntimeError: grad can be"),
        (lambda means: means[7], "IndexError: index 7"),
    ],
)
def test_what_cannot_be_derived_is_said_before_anything_is_drawn(of, says):
    with pytest.raises(ConfigError, match=f"^observables.x: derive cannot be used: {says}"):
        check_derived({"x": Moments(of)}, ACTION, Lattice((2, 4)))
    check_derived({"x": Moments(lambda means: means[0] * torch.nan)}, ACTION, Lattice((2, 4)))
