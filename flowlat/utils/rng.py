"""Random streams keyed by what they are for: the same numbers after a resume, on any rank."""

import hashlib
import struct
from enum import IntEnum

import numpy as np
import torch

#: of the Mersenne Twister, 32 bits each
STATE_WORDS = 624
#: where they are in the state of PyTorch's CPU generator, 8 bytes each: after its seed, how many
#: are left and the next one, before the second normal number of a pair, which a fresh one lacks
STATE_BYTES = slice(24, 24 + 8 * STATE_WORDS)
#: of the counter of Philox, which are a stream's own: 2^31 numbers for each thread of the GPU
COUNTER_BITS = 31


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
    MOVED_WEIGHTS = 9
    COUPLINGS = 10
    POINT = 11
    BOOTSTRAP = 12
    COVERAGE = 13


def generator(
    seed: int, stream: Stream, *step: int, device: torch.device | str = "cpu"
) -> torch.Generator:
    """A torch generator that is a function of (seed, stream, step) and of nothing else.

    The key is hashed (SHAKE128) into all that the generator starts from: on the CPU the 19,937 bits
    of the Mersenne Twister's state, where ``manual_seed`` would keep 32 of a seed (Matsumoto and
    Nishimura, ACM TOMACS 8 (1998) 3); on CUDA the 64 bits of the key of Philox (Salmon et al.,
    SC11) and the upper 32 of its counter, so that of n streams two are the same with a probability
    of n^2 / 2^97; elsewhere the 64 bits that ``manual_seed`` takes.

    Raises:
        ValueError: a number of the key that is negative, or not below 2^64.
    """
    key = digest(seed, stream, *step, n_bytes=4 * STATE_WORDS)
    made = torch.Generator(device=device)
    if made.device.type == "cpu":
        state = made.get_state()
        words = np.frombuffer(key, "<u4").astype(np.uint64)  # each in 8 bytes of the state
        state.numpy()[STATE_BYTES] = words.view(np.uint8)
        return made.set_state(state)
    philox, counter = struct.unpack_from("<QI", key)
    made.manual_seed(philox)
    if made.device.type == "cuda":
        made.set_offset(counter << COUNTER_BITS)
    return made


def digest(seed: int, stream: Stream, *step: int, n_bytes: int) -> bytes:
    """SHAKE128 of the key, each of its numbers in 64 bits: no two keys are the same text.

    FIPS 202, doi:10.6028/NIST.FIPS.202. A shorter digest is the beginning of a longer one.
    """
    key = (seed, int(stream), *step)
    try:
        text = struct.pack(f"<{len(key)}Q", *key)
    except struct.error as error:
        raise ValueError(f"seed, stream, step={key}: must be from 0 to 2^64 - 1") from error
    return hashlib.shake_128(text).digest(n_bytes)
