"""Small files to damage, what does harm in them, and a watch over what reading them does."""

import copy
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from os import O_RDWR, O_WRONLY
from pathlib import Path
from typing import Any

import torch

from flowlat import build_flow, compose
from flowlat.config.compose import validate
from flowlat.config.schemas import TrainConfig

#: what no reader does
FORBIDDEN = {
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "subprocess.Popen",
    "shutil.rmtree",
    "socket.connect",
    "pickle.find_class",
}
#: a config that would run a command if it were believed
TOUCH = {"_target_": "os.system", "command": "touch executed"}
_seen: list[str] | None = None


def _hook(event: str, arguments: Any) -> None:
    if _seen is None:
        return
    if event == "open":
        path, mode, flags = arguments
        writing = set(mode or "r") & set("wax+") or (flags or 0) & (O_WRONLY | O_RDWR)
        if writing and "__pycache__" not in str(path):
            _seen.append(f"open {path} for writing")
    elif event in FORBIDDEN:
        _seen.append(f"{event} {arguments}")


sys.addaudithook(_hook)  # there is no way to remove one


@contextmanager
def nothing_happens() -> Iterator[None]:
    """Within the block no program is started, nothing is written and nothing removed."""
    global _seen
    _seen = []
    try:
        yield
    finally:
        seen, _seen = _seen, None
    assert seen == []


def contents() -> dict[str, Any]:
    """Those of a checkpoint with two small couplings, as a training leaves them."""
    return copy.deepcopy(_contents())


@cache
def _contents() -> dict[str, Any]:
    torch.manual_seed(0)
    names = ["lattice.shape=[4,2]", "arch=combconv_k1", "arch.hidden=[2]", "arch.n_couplings=2"]
    config = validate(compose([*names, "arch.block=null", "prior=potential"]), TrainConfig)
    return {
        "epoch": 0,
        "state_dict": {f"flow.{k}": v for k, v in build_flow(config).state_dict().items()},
        "callbacks": {"ModelCheckpoint": {"best_model_path": "run/checkpoints/best.ckpt"}},
        "flowlat": {"config": config, "provenance": {}, "seconds": 1.0},
    }


def everything(flow: Any) -> list[Any]:
    """All that a loaded flow is, to compare."""
    names, weights = zip(*flow.state_dict().items(), strict=True)
    return [names, *(weight.numpy().tobytes() for weight in weights), flow.lattice.shape]


def save(content: Any, path: Path) -> Path:
    torch.save(content, path)
    return path


class Payload:
    """Calls a function when it is unpickled."""

    def __init__(self, function, *arguments):
        self.made = function, arguments

    def __reduce__(self):
        return self.made


PAYLOADS = {
    "a shell": Payload(os.system, "touch executed"),
    "eval": Payload(eval, "open('executed', 'w')"),
    "a file": Payload(open, "executed", "w"),
    "exec": Payload(exec, "import os; os.system('touch executed')"),
    "an attribute": Payload(getattr, "text", "upper"),
    "torch.load": Payload(torch.load, "bomb.pkl"),
}
