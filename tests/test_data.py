from types import SimpleNamespace

import pytest
import torch

from flowlat.data import PriorDataModule
from flowlat.errors import ConfigError
from tests.helpers import moved_flow


def data_module(batch_size, rank=0, world_size=1):
    """As it is within a trainer."""
    flow = moved_flow("lattice.shape=[4,4]", "arch=combconv_k1")
    data = PriorDataModule(batch_size, seed=1)
    module = SimpleNamespace(flow=flow, device=torch.device("cpu"))
    data.trainer = SimpleNamespace(lightning_module=module, global_rank=rank, world_size=world_size)
    return data


def batches(data, n):
    return [data.on_after_batch_transfer(0, 0) for _ in range(n)]


def test_ranks_share_out_the_batch_of_one():
    alone = batches(data_module(6), 2)
    shares = [batches(data_module(6, rank, 3), 2) for rank in range(3)]
    for i in range(2):
        assert torch.equal(torch.cat([share[i] for share in shares]), alone[i])
    assert not torch.equal(*alone)


def test_state_continues_the_stream():
    first, second, third = batches(data_module(4), 3)
    data = data_module(4)
    data.load_state_dict({"n_drawn": 2})
    assert torch.equal(batches(data, 1)[0], third)
    assert data.state_dict() == {"n_drawn": 3}
    assert not torch.equal(first, second)


def test_a_batch_that_cannot_be_shared_out_is_refused():
    with pytest.raises(ConfigError, match=r"data\.batch_size=7: not a multiple of 2 ranks"):
        batches(data_module(7, 0, 2), 1)
