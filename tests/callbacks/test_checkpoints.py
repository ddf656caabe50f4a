import pytest
import torch

from flowlat.callbacks import AtomicCheckpointIO


def test_a_failed_save_leaves_the_old_checkpoint(tmp_path):
    path = tmp_path / "below" / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"x": 1}, path)
    with pytest.raises(AttributeError):  # nothing that can be pickled
        AtomicCheckpointIO().save_checkpoint({"x": lambda: 2}, path)
    assert torch.load(path, weights_only=True) == {"x": 1}
    assert list(path.parent.iterdir()) == [path]
