"""Random streams keyed by what they are for: the same numbers after a resume, on any rank."""

from enum import IntEnum

import numpy as np
import torch


class Stream(IntEnum):
    """Uses of randomness that must not share numbers."""

    WEIGHTS = 0
    TRAINING = 1
    EVALUATION = 2
    FINAL = 3
    SAMPLER = 4
    ACCEPT = 5
    START = 6
    CONFIGURATIONS = 7
    PHASE = 8


def generator(
    seed: int, stream: Stream, *step: int, device: torch.device | str = "cpu"
) -> torch.Generator:
    """A torch generator that is a function of (seed, stream, step) and of nothing else."""
    # with its length: SeedSequence takes (0,) and (0, 0) for the same
    entropy = [seed, int(stream), len(step), *step]
    key = np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0]
    # torch takes seeds of 63 bits
    return torch.Generator(device=device).manual_seed(int(key) >> 1)
