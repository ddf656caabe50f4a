"""Gaussian numbers: known answers of Philox, the two ways to compute them, their moments."""

import math

import pytest
import torch
from scipy import stats

from flowlat.kernels import available_kernels
from flowlat.kernels.noise import normal, normal_fused, normal_reference, philox

P_VALUE = 1e-5

#: of kat_vectors in Random123: (key, counter) -> four words
KNOWN = {(0, 0): (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)}

needs_compiler = pytest.mark.skipif(
    "cpu" not in available_kernels(), reason="no C++ compiler on this machine"
)


def by_hand(key, counter, stream=0):
    """Philox4x32-10 in Python's integers."""
    c, k = [counter % 2**32, counter >> 32, stream % 2**32, stream >> 32], [key % 2**32, key >> 32]
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k[0], b % 2**32, (a >> 32) ^ c[3] ^ k[1], a % 2**32]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return tuple(c)


def test_philox_gives_its_known_answer():
    assert {at: by_hand(*at) for at in KNOWN} == KNOWN
    for at in [(0, 0, 0), (2**63 - 2, 1, 7), (123456789012345678, 2**40 + 7, 2**33 + 1)]:
        words = philox(at[0], torch.tensor([at[1]]), at[2])
        assert tuple(int(half) for word in words for half in word) == by_hand(*at)


def test_the_transform_by_hand():
    """Number 16 b + l, l < 8: the cosine of counter 8 b + l; l >= 8: the sine of 8 b + l - 8."""
    key, n = 2**62 + 5, 37
    found = normal_reference(key, n)
    for i in range(n):
        w0, w1, w2, w3 = by_hand(key, 8 * (i // 16) + i % 8)
        u, v = 1 - ((w1 << 20) + (w0 >> 12)) / 2**52, ((w3 << 20) + (w2 >> 12)) / 2**52
        angle = (v - 0.5 + w2 % 4) * math.pi / 2
        part = math.cos(angle) if i % 16 < 8 else math.sin(angle)
        assert found[i].item() == pytest.approx(math.sqrt(-2 * math.log(u)) * part, abs=1e-14)


@needs_compiler
@pytest.mark.parametrize("n", [0, 1, 15, 16, 100_003])
def test_compiled_and_plain_are_the_same(n):
    for key in (0, 2**63 - 2, 2**40 + 3):
        found, expected = normal_fused(key, n), normal_reference(key, n)
        torch.testing.assert_close(found, expected, rtol=1e-14, atol=1e-14)


def test_they_are_normal_and_independent():
    """Kolmogorov and Smirnov, the tails, and pairs at the distances that are special, p > 1e-5."""
    n = 2**18
    x = normal((n,), torch.Generator().manual_seed(1))
    assert stats.kstest(x.numpy(), "norm").pvalue > P_VALUE
    far = int((x.abs() > 4).sum())
    assert stats.binomtest(far, n, 2 * stats.norm.sf(4)).pvalue > P_VALUE
    for distance in (1, 8, 16):
        for power in (1, 2):
            a, b = x[:-distance] ** power, x[distance:] ** power
            r = stats.pearsonr(a.numpy(), b.numpy())
            assert r.pvalue > P_VALUE


def test_the_generator_is_all_they_depend_on():
    first, second = torch.Generator().manual_seed(1), torch.Generator().manual_seed(1)
    torch.manual_seed(1)
    one = normal((3, 5), first)
    torch.manual_seed(2)
    assert torch.equal(one, normal((3, 5), second))
    assert not torch.equal(one, normal((3, 5), first))
    assert one.shape == (3, 5)
