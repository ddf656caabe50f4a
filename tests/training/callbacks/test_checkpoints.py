import math
from types import SimpleNamespace

import pytest
import torch

from flowlat.training.callbacks import AtomicCheckpointIO, Best


def test_a_failed_save_leaves_the_old_checkpoint(tmp_path):
    path = tmp_path / "below" / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"x": 1}, path)
    with pytest.raises(AttributeError):  # nothing that can be pickled
        AtomicCheckpointIO().save_checkpoint({"x": lambda: 2}, path)
    assert torch.load(path, weights_only=True) == {"x": 1}
    assert list(path.parent.iterdir()) == [path]


def test_the_best_epoch_is_kept_and_a_nan_never(tmp_path):
    saved = []
    best = Best(tmp_path, "ess")
    for value in (math.nan, 0.5, math.nan, 0.4, None, 0.6):
        metrics = {} if value is None else {"ess": torch.tensor(value)}
        trainer = SimpleNamespace(
            callback_metrics=metrics,
            save_checkpoint=lambda path, weights_only, value=value: saved.append(
                (path.name, value)
            ),
        )
        best.on_train_epoch_end(trainer, None)
        again = Best(tmp_path, "ess")
        again.load_state_dict(best.state_dict())
        best = again
    assert saved == [("best_ess.ckpt", 0.5), ("best_ess.ckpt", 0.6)]
