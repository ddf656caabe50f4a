"""Which gradients are computed."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def held_fixed(module: nn.Module) -> Iterator[None]:
    """No gradients for the parameters of the module meanwhile."""
    learnable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    try:
        for parameter in learnable:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in learnable:
            parameter.requires_grad_(True)
