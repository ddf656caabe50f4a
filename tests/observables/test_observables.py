import pytest
import torch

from flowlat import compose
from flowlat.build import instantiate_all
from flowlat.config import SampleConfig, validate
from flowlat.observables import AbsMagnetization, ActionDensity, Magnetization, Phi2, Susceptibility


def test_observables_by_hand():
    phi = torch.tensor([[[1.0, -3.0], [0.0, 0.0]]], dtype=torch.float64)
    action = torch.tensor([6.0], dtype=torch.float64)
    expected = {
        Magnetization: -0.5,
        AbsMagnetization: 0.5,
        Phi2: 2.5,
        Susceptibility: 1.0,
        ActionDensity: 1.5,
    }
    for observable, value in expected.items():
        assert observable()(phi, action).tolist() == [value]


@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_every_observable_of_the_registry_is_a_number_per_configuration(d):
    config = validate(compose(["ckpt_path=any"], "sample"), SampleConfig)
    for observable in instantiate_all(config, "observables").values():
        phi = torch.randn(5, *[2] * d, dtype=torch.float64)
        values = observable(phi, torch.randn(5, dtype=torch.float64))
        assert values.shape == (5,)
        assert values.unique().numel() == 5
        assert observable.symbol
