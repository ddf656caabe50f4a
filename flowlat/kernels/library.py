"""Calls into the compiled kernels."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import torch
from torch import Tensor

from flowlat.kernels.compile import library


@cache
def why_unavailable() -> str | None:
    """Why the compiled kernels cannot run here, in one line; None when they can."""
    try:
        library()
    except RuntimeError as error:
        return str(error)
    return None


def call(function: str, dtype: torch.dtype, *arguments: Any, result: Any = None) -> Any:
    """Run ``flowlat_FUNCTION(arguments..., is_double)``; the interpreter's lock is free meanwhile.

    Integers go as int64_t, tensors, which have to be contiguous, and structures by their address.
    ``result`` is the C type of what comes back.
    """
    run = getattr(library(), f"flowlat_{function}")
    run.restype = result
    return run(*map(as_c, arguments), ctypes.c_int32(dtype == torch.float64))


def as_c(argument: int | Tensor | ctypes.Structure) -> Any:
    if isinstance(argument, Tensor):
        return ctypes.c_void_p(argument.data_ptr())
    return ctypes.c_int64(argument) if isinstance(argument, int) else ctypes.byref(argument)


def peak_gflops(dtype: torch.dtype) -> float:
    """Measured multiply-add peak of one thread, from registers, in GFLOP/s."""
    return float(call("peak_gflops", dtype, result=ctypes.c_double))
