from types import SimpleNamespace

import pytest
import torch

from flowlat.actions import Phi4
from flowlat.training.data import PriorDataModule
from flowlat.utils.errors import ConfigError
from tests.support.helpers import moved_flow
from tests.support.tilted import Tilted


def data_module(batch_size, rank=0, world_size=1, **options):
    """As it is within a trainer."""
    flow = moved_flow("lattice.shape=[4,4]", "arch=combconv_k1")
    data = PriorDataModule(batch_size, seed=1, **options)
    module = SimpleNamespace(flow=flow, device=torch.device("cpu"), action=Phi4(-1.0, 2.0))
    data.trainer = SimpleNamespace(
        lightning_module=module,
        global_rank=rank,
        world_size=world_size,
    )
    return data


def batches(data, n):
    return [data.on_after_batch_transfer(0, 0) for _ in range(n)]


#: configurations that can be told apart, also by their sign
PHI = torch.arange(1.0, 6.0).reshape(5, 1, 1).expand(5, 4, 4)


@pytest.mark.parametrize("configurations", [None, PHI])
def test_ranks_share_out_the_batch_of_one(configurations):
    alone = batches(data_module(6, configurations=configurations), 2)
    shares = [batches(data_module(6, r, 3, configurations=configurations), 2) for r in range(3)]
    for i, whole in enumerate(alone):
        for part, expected in enumerate(whole):
            assert torch.equal(torch.cat([share[i][part] for share in shares]), expected)
    assert len(alone[0]) == (1 if configurations is None else 2)
    assert not any(map(torch.equal, *alone))


@pytest.mark.parametrize("options", [{}, {"configurations": PHI}])
def test_state_continues_the_stream(options):
    data = data_module(4, **options)
    first = batches(data, 2)
    data.load_state_dict(state := data.state_dict())
    rest = batches(data, 3)
    again = data_module(4, **options)
    again.load_state_dict(state)
    for expected, found in zip(rest, batches(again, 3), strict=True):
        assert all(map(torch.equal, expected, found))
    assert data.state_dict() == again.state_dict()
    assert not torch.equal(first[0][0], first[1][0])


def test_configurations_are_rows_of_the_ensemble_with_either_sign():
    """100 draws of ten: one of them is missing with a chance of 10 * 0.9^100 = 3e-4 at most."""
    data = data_module(100, configurations=PHI)
    ((noise, phi),) = batches(data, 1)
    assert phi.dtype == noise.dtype
    assert (phi == phi[:, :1, :1]).all()
    assert set(phi[:, 0, 0].tolist()) == {s * i for s in (1, -1) for i in range(1, 6)}


def test_an_action_that_is_not_even_keeps_the_signs():
    data = data_module(100, configurations=PHI)
    data.trainer.lightning_module.action = Tilted(-1.0, 2.0, 0.3)
    ((_, phi),) = batches(data, 1)
    assert (phi > 0).all()


def test_a_batch_that_cannot_be_shared_out_is_refused():
    with pytest.raises(ConfigError, match=r"data\.batch_size=7: not a multiple of 2 ranks"):
        batches(data_module(7, 0, 2), 1)
