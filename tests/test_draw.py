import logging

import pytest
import torch

from flowlat.actions import Phi4
from flowlat.draw import pick_device, sign_balance
from flowlat.errors import ConfigError


def test_an_ensemble_of_one_sign_is_pointed_out(caplog):
    action = Phi4(-4.0, 5.0)
    with caplog.at_level(logging.WARNING):
        assert sign_balance(torch.tensor([0.1, -0.2, 0.3, -0.4]), action) == 0
        assert not caplog.records
        assert sign_balance(torch.tensor([0.1, 0.2, 0.3, -0.4]) * -1, action) == -0.5
        assert not caplog.records
        assert sign_balance(torch.tensor([0.1, 0.2, 0.3, 0.4]), action) == 1
    assert "log Z is short" in caplog.text


def test_devices():
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device("auto").type in ("cpu", "cuda")
    for name in ("abacus", "cuda:99"):
        with pytest.raises(ConfigError, match=f"device={name}: ") as caught:
            pick_device(name)
        assert "\n" not in str(caught.value)
