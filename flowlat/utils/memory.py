"""Whether an error says that there is too little memory."""

import torch


def out_of_memory(error: BaseException) -> bool:
    """Whether a device, or the machine, had too little memory for what failed with this error."""
    known = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return known or "DefaultCPUAllocator: " in str(error)
