"""The machine: its processor, its peak, the memory of this process."""

import platform
from pathlib import Path

import torch

from flowlat.kernels import available_kernels

PROC = Path("/proc/self")


def processor() -> str:
    """The processor's name, and the vector instructions PyTorch sees."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                name = line.split(":", 1)[1].strip()
                break
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"


def peak_gflops(dtype: torch.dtype) -> float | None:
    """Measured peak of one thread; None where there is no compiler to build the measurement."""
    if "cpu" not in available_kernels():
        return None
    from flowlat.kernels.library import peak_gflops as measured

    return measured(dtype)


def reset_peak_memory() -> None:
    """Start a new peak: of the GPU if there is one, else of this process (Linux)."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    elif (PROC / "clear_refs").exists():
        (PROC / "clear_refs").write_text("5")


def peak_memory_mb() -> float | None:
    """The most memory since the reset, in MB; None where the system does not tell."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e6
    status = PROC / "status"
    if not status.exists():
        return None
    fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
    peak_kb = int(fields["VmHWM"].split()[0])
    return peak_kb * 1024 / 1e6
