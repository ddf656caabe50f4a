"""A sampler's state on another device, and from the arrays of a file."""

import numpy as np
import torch

from flowlat.samplers.base import Sampler, State


def state_to(state: State, device: torch.device | str) -> State:
    """The same state on a device."""
    return type(state)(*(tensor.to(device) for tensor in state))


def state_from_arrays(arrays: dict[str, np.ndarray], sampler: Sampler) -> State:
    """The state of a sampler, on the CPU; a scalar has a shape of (1,) in a file.

    Raises:
        ValueError: these arrays are none.
    """
    least = sampler.initial_state()
    if arrays.keys() != set(least._fields):
        raise ValueError(f"state: has {sorted(arrays)}, not {sorted(least._fields)}")
    tensors = []
    for name, at_least in least._asdict().items():
        value, shape = torch.from_numpy(arrays[name]), torch.atleast_1d(at_least).shape
        if value.shape != shape or value.dtype != at_least.dtype:
            raise ValueError(f"state/{name}: not of shape {tuple(shape)}, or not of its type")
        if value.isnan().any() or (not value.is_floating_point() and (value < at_least).any()):
            raise ValueError(f"state/{name}: out of range")
        tensors.append(value.reshape(at_least.shape))
    return type(least)(*tensors)
