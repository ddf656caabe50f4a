"""Which options of Lightning's Trainer make sense here; checked before it is made."""

from typing import Any

import torch

from flowlat.utils.errors import ConfigError
from flowlat.utils.limits import COUNT, WORKERS, require_at_most

#: what flowlat itself gives it, or what endless data have no use for
FORBIDDEN = (
    "callbacks",
    "default_root_dir",
    "fast_dev_run",
    "logger",
    "overfit_batches",
    "plugins",
    "val_check_interval",
)
#: endless data need a number for the first two
REQUIRED_COUNTS = ("max_epochs", "limit_train_batches")
OPTIONAL_COUNTS = ("accumulate_grad_batches", "log_every_n_steps")
PRECISIONS = (32, 64, "32", "64", "32-true", "64-true")


def accelerator_of(options: dict[str, Any]) -> Any:
    """The accelerator that the trainer is given: "auto" is a CUDA device if there is one, else the
    CPU, and never Apple's GPU, which has no float64."""
    accelerator = options.get("accelerator", "auto")
    if accelerator != "auto":
        return accelerator
    return "cuda" if torch.cuda.is_available() else "cpu"


def check_trainer(options: dict[str, Any]) -> None:
    """Raise ConfigError on an option of the trainer that it would take, but should not.

    So on devices that are not there, are too many, or start by themselves.
    """
    for key in FORBIDDEN:
        if key in options:
            raise ConfigError(f"trainer.{key}={options[key]!r}: is not an option here")
    for key in REQUIRED_COUNTS + OPTIONAL_COUNTS:
        value = options.get(key, 1 if key in OPTIONAL_COUNTS else None)
        if not isinstance(value, int) or value < 1:
            raise ConfigError(f"trainer.{key}={value}: must be an integer of at least 1")
        require_at_most(COUNT, "of them", value, f"trainer.{key}={value}")
    if (clip := options.get("gradient_clip_val") or 0) < 0:
        raise ConfigError(f"trainer.gradient_clip_val={clip}: must not be negative")
    if (precision := options.get("precision", 32)) not in PRECISIONS:
        raise ConfigError(f"trainer.precision={precision}: flows are trained in 32 or 64 bits")
    accelerator, strategy = options.get("accelerator"), str(options.get("strategy"))
    cuda, apple = torch.cuda.is_available(), torch.backends.mps.is_available()
    if accelerator == "mps" or (accelerator == "gpu" and apple and not cuda):
        raise ConfigError(
            f"trainer.accelerator={accelerator}: Apple's GPU has no float64, in which log weights "
            "are kept; trainer=cpu"
        )
    if accelerator in ("gpu", "cuda") and not cuda:
        raise ConfigError(
            f"trainer.accelerator={accelerator}: PyTorch finds no GPU; trainer=cpu needs none, nor "
            "does trainer=ddp_cpu, for several processes"
        )
    if any(how in strategy for how in ("spawn", "fork", "notebook")):
        raise ConfigError(f"trainer.strategy={strategy}: ddp starts the processes that are needed")
    for key in ("devices", "num_nodes"):
        text = str(options.get(key)).strip()  # which Lightning takes for the number
        if text.isdecimal():
            require_at_most(WORKERS, key, int(text), f"trainer.{key}={text}")
