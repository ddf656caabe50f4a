"""The threads of several runs in one process."""

import pytest
import torch

from flowlat.utils import threads as module
from flowlat.utils.threads import set_threads

SMALL, LARGE = ((8, 8), 64), ((64, 64), 1024)


@pytest.fixture(autouse=True)
def of_a_new_process(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setattr(module, "_own", 0)
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def after(threads, run):
    set_threads(threads, *run)
    return torch.get_num_threads()


def test_a_large_job_after_a_small_one_has_all_threads():
    assert [after(None, run) for run in (SMALL, LARGE, SMALL, LARGE)] == [1, 3, 1, 3]


def test_a_number_that_was_asked_for_is_that_of_its_job_alone():
    assert [after(2, SMALL), after(None, LARGE), after(1, LARGE), after(None, LARGE)] == [
        2,
        3,
        1,
        3,
    ]


def test_what_others_have_set_since_is_kept():
    assert after(None, SMALL) == 1
    torch.set_num_threads(2)
    assert after(None, LARGE) == 2
