"""Trainings of a second that are cut short, and everything that they leave, to compare."""

import copy
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch

from flowlat import compose
from flowlat.config.compose import validate
from flowlat.config.schemas import TrainConfig
from flowlat.runs.metrics import read_metrics
from flowlat.training.fit import fit

#: two epochs of four steps, a checkpoint after each
TINY = (
    "lattice.shape=[4,4]",
    "arch=combconv_k1",
    "arch.n_couplings=2",
    "phase=symmetric",
    "trainer=cpu",
    "threads=1",
    "data.batch_size=16",
    "trainer.max_epochs=2",
    "trainer.limit_train_batches=4",
    "evaluation.n_samples=32",
    "checkpoint_minutes=0",
)
#: one that diverges in its second epoch, is taken back twice, and ends well
ROLLBACKS = (
    "scheduler=step",
    "scheduler.milestones=[1]",
    "scheduler.gamma=1e24",
    "divergence.max_rollbacks=2",
    "divergence.lr_factor=1e-12",
    "trainer.gradient_clip_val=null",
)


def config(*names: str) -> dict[str, Any]:
    return copy.deepcopy(_config(names))


@cache
def _config(names: tuple[str, ...]) -> dict[str, Any]:
    """Composed once: Hydra takes as long as the training."""
    return validate(compose([*TINY, *names]), TrainConfig)


def everything(folder: Path) -> dict[str, Any]:
    """All that a training leaves, but for its seconds."""
    rows = read_metrics(folder / "metrics.csv")
    found: dict[str, Any] = {"rows": [{k: v for k, v in r.items() if k != "seconds"} for r in rows]}
    for path in (folder / "checkpoints").iterdir():
        content = torch.load(path, weights_only=True)
        parts = ("state_dict", "optimizer_states", "lr_schedulers", "callbacks", "PriorDataModule")
        found[path.name] = {part: content[part] for part in parts}
        found[path.name]["losses"] = content["flowlat"]["losses"]
    return found


def assert_same(a: Any, b: Any, path: str = "") -> None:
    """To the last bit."""
    assert type(a) is type(b), path
    if isinstance(a, dict):
        assert a.keys() == b.keys(), path
        for key in a:
            assert_same(a[key], b[key], f"{path}/{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), path
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{path}/{i}")
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a, b), path
    else:
        assert a == b, path


class PowerCut(BaseException):
    """Nothing catches it."""


def without_power(
    monkeypatch, n: int, names: list[str], folder: Path, make: Callable[..., Any] = config
) -> bool:
    """Train until the file number n has got its name; whether there are so many."""
    replace, count = Path.replace, [0]

    def counted(self, target):
        replace(self, target)
        count[0] += 1
        if count[0] == n:
            raise PowerCut

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", counted)
        try:
            fit(make(*names), folder)
        except PowerCut:
            return True
    return False
