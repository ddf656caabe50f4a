"""A sampler's state as arrays, for a file or another process, and back."""

import numpy as np
import torch

from flowlat.samplers.base import Sampler, State


def state_to_arrays(state: State) -> dict[str, np.ndarray]:
    """The arrays of a state by name; a scalar has a shape of (1,)."""
    return {name: np.atleast_1d(tensor.cpu().numpy()) for name, tensor in state._asdict().items()}


def state_from_arrays(
    arrays: dict[str, np.ndarray], sampler: Sampler, device: torch.device
) -> State:
    """The state of a sampler on a device. ValueError if these arrays are none."""
    initial = sampler.initial_state()
    least = state_to_arrays(initial)
    if arrays.keys() != least.keys():
        raise ValueError(f"state: has {sorted(arrays)}, not {sorted(least)}")
    for name, value in arrays.items():
        if value.shape != least[name].shape or value.dtype != least[name].dtype:
            raise ValueError(f"state/{name}: not of shape {least[name].shape}, or not of its type")
        if np.isnan(value).any() or (value.dtype.kind == "i" and (value < least[name]).any()):
            raise ValueError(f"state/{name}: out of range")
    tensors = {
        name: torch.from_numpy(arrays[name].reshape(tensor.shape)).to(device)
        for name, tensor in initial._asdict().items()
    }
    return type(initial)(**tensors)
