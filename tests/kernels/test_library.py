"""The memory of the compiled kernels."""

import gc

from flowlat.kernels.library import Buffer


def test_memory_is_used_again_and_goes_back_at_the_end_of_a_run(monkeypatch):
    monkeypatch.setattr(Buffer, "pool", {})
    first = Buffer.tensor(1000)
    address = first.data_ptr()
    del first
    gc.collect()
    assert [len(free) for free in Buffer.pool.values()] == [1]
    again = Buffer.tensor(1000)
    assert again.data_ptr() == address
    del again
    gc.collect()
    Buffer.release()
    assert not Buffer.pool
