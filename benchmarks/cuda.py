"""A CUDA device: its measured peaks, and the time of a call on it."""

from collections.abc import Callable
from functools import cache

import torch

GIBIBYTE = 2**30


def seconds(call: Callable[[], object], repeats: int = 5) -> float:
    """Time of one of several calls in a row, between two events of the device."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    for _ in range(repeats):
        call()
    end.record()
    torch.cuda.synchronize()
    return 1e-3 * start.elapsed_time(end) / repeats


@cache
def peak_gbytes() -> float:
    """Measured memory bandwidth in GB/s: a large copy, which reads and writes."""
    source = torch.zeros(GIBIBYTE, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return 1e-9 * 2 * GIBIBYTE / best(lambda: target.copy_(source))


@cache
def peak_gflops(dtype: torch.dtype) -> float:
    """Measured arithmetic peak in GFLOP/s: a large matrix product in the dtype itself, no TF32."""
    n = 8192 if dtype == torch.float32 else 4096
    a, b = torch.randn(2, n, n, dtype=dtype, device="cuda")
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        return 1e-9 * 2 * n**3 / best(lambda: a @ b)
    finally:
        torch.set_float32_matmul_precision(before)


def best(call: Callable[[], object]) -> float:
    """Seconds of the fastest round, after a warm one."""
    return min(seconds(call) for _ in range(4))
