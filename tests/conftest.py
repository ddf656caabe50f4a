"""Every test on one thread and in a folder of its own run."""

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread():
    """Small tensors: a second thread costs more than it brings."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)
