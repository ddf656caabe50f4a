"""Memory of a training step, in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.flow.cases import CASES
from benchmarks.flow.contender import contender
from benchmarks.machine import peak_memory_mb, reset_peak_memory


def memory(case: str, name: str, before: Path | None) -> float | None:
    """Peak MB of a training step above what its process held before, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.flow", "--memory", case, name]
    command += ["--before", str(before)] if before else []
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result: float | None = json.loads(done.stdout)
    return result


def own_memory(case: str, name: str, before: Path | None) -> float | None:
    train = contender(name, CASES[case], {}, before).train
    tiny = CASES[case]._replace(shape=(2,) * len(CASES[case].shape))
    small = contender(name, tiny, {}, before).train
    small()  # what is loaded at a first step
    reset_peak_memory()
    held = peak_memory_mb()
    train()
    peak = peak_memory_mb()
    return None if held is None or peak is None else peak - held
