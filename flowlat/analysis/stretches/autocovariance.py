"""Gamma(t) of chains, by FFT of a stretch and of what follows it."""

import numpy as np

from flowlat.analysis.stretches.chains import Chains


def autocovariance(chains: Chains, mean: np.ndarray, times: int) -> np.ndarray:
    """Gamma(t) of the columns of replicas ``(steps, n)``, t < times: ``(n, times)``.

    The average of (a_s - mean)(a_{s+t} - mean) over all s of all replicas, with the ``mean`` of all
    replicas, ``(n,)``: sum_s over a stretch, of which s + t may reach ``times`` beyond.
    """
    stretch = max(times, chains.stretch)
    total = np.zeros((len(mean), times))
    for start in range(0, chains.steps, stretch):
        parts = chains.read(start, min(start + stretch + times - 1, chains.steps))
        # zeros between the end and the start
        size = 1 << int(min(stretch, max(map(len, parts))) + times - 2).bit_length()
        power = np.zeros((len(mean), size // 2 + 1), dtype=complex)
        for part in filter(len, parts):
            centred = (part - mean).T
            after = np.fft.rfft(centred, size)
            own = after if len(part) <= stretch else np.fft.rfft(centred[:, :stretch], size)
            power += own.conj() * after
        total += np.fft.irfft(power, size)[:, :times]
    pairs = np.maximum(chains.lengths[:, None] - np.arange(times), 0).sum(0)
    return total / np.maximum(pairs, 1)
