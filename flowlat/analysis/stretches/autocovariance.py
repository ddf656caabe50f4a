"""Gamma(t) of chains, by FFT of a stretch and of what follows it."""

import numpy as np

from flowlat.analysis.stretches.chains import Chains, stacked


def autocovariance(chains: Chains, mean: np.ndarray, times: int) -> np.ndarray:
    """Gamma(t) of the columns of replicas ``(steps, n)``, t < times: ``(n, times)``.

    The average of (a_s - mean)(a_{s+t} - mean) over all s of all replicas, with the ``mean`` of all
    replicas, ``(n,)``: sum_s over a stretch, of which s + t may reach ``times`` beyond.
    """
    stretch = max(times, chains.stretch)
    total = np.zeros((len(mean), times))
    for start in range(0, chains.steps, stretch):
        read = chains.read(start, min(start + stretch + times - 1, chains.steps))
        # zeros between the end and the start
        size = 1 << int(min(stretch, max(map(len, read))) + times - 2).bit_length()
        power = np.zeros((size // 2 + 1, len(mean)), dtype=complex)
        for _, parts in stacked(read):
            centred = parts - mean
            after = np.fft.rfft(centred, size, axis=1)
            beyond = parts.shape[1] > stretch
            own = np.fft.rfft(centred[:, :stretch], size, axis=1) if beyond else after
            power += (own.conj() * after).sum(0)
        total += np.fft.irfft(power, size, axis=0)[:times].T
    pairs = np.maximum(chains.lengths[:, None] - np.arange(times), 0).sum(0)
    return total / np.maximum(pairs, 1)
