"""What the last digits of a computation depend on beside its input: by what it was computed."""

from collections.abc import Mapping
from typing import Any

import torch

from flowlat.kernels.select import choose


def arithmetic(device: torch.device, kernel: str = "auto") -> dict[str, Any]:
    """Device, kernel, instructions and number of threads, as plain data.

    Args:
        kernel: the one asked for, as of :func:`flowlat.kernels.stencil_stack`.
    """
    return {
        "device": device.type,
        "kernel": choose(device.type, torch.float32) if kernel == "auto" else kernel,
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
    }


def differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """In words what is not as it was before, empty if nothing is; what is not known is left out."""
    changed = {key: value for key, value in now.items() if before.get(key, value) != value}
    if not changed:
        return ""
    was = ", ".join(f"{key}={before[key]}" for key in changed)
    here = ", ".join(f"{key}={value}" for key, value in changed.items())
    return f"computed with {was} until now, from here on with {here}: the last digits will differ"
