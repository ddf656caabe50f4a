import itertools
import math
import random

import numpy as np
import pytest
import torch

from flowlat.utils.rng import STATE_WORDS, Stream, digest, generator

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def numbers(*key, device="cpu"):
    return tuple(torch.rand(2, generator=generator(*key, device=device), device=device).tolist())


#: seeds and steps that are neighbours, differ in their upper 32 bits only, or are of another length
SEEDS = (0, 1, 2**32, 1 + 2**32, 2**63 - 1, 2**63 - 2, 2**63 - 1 - 2**32)
STEPS = ((), (0,), (1,), (0, 0), (1, 0), (0, 1), (0, 2**32), (2**32,), (0, 0, 0))
KEYS = list(itertools.product(SEEDS, Stream, STEPS))


def test_streams_are_functions_of_their_key_and_differ():
    found = {numbers(seed, stream, *step) for seed, stream, step in KEYS}
    assert len(found) == len(KEYS)
    for seed, stream, step in KEYS:
        assert numbers(seed, stream, *step) in found


def test_two_blocks_that_were_the_same():
    """Of seed 20, when a stream had the 32 bits that ``manual_seed`` takes on the CPU."""
    old = [
        torch.randn(4, generator=torch.Generator().manual_seed(former_seed(20, 4, block)))
        for block in (14862, 19440)
    ]
    assert torch.equal(*old)
    a, b = (numbers(20, Stream.SAMPLER, block) for block in (14862, 19440))
    assert a != b


def former_seed(*key):
    seed, stream, *step = key
    entropy = [seed, stream, len(step), *step]
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0]) >> 1


def test_numbers_do_not_run_into_each_other():
    """Each has 64 bits, whatever its size: these were the same words of 32."""
    assert former_seed(1 + 2**34, 1) == former_seed(1, 4, 0)
    assert numbers(1 + 2**34, Stream.TRAINING) != numbers(1, Stream.SAMPLER, 0)


def test_a_million_streams():
    """The 96 bits of a stream on a GPU, the beginning of the 19,968 of the CPU's, are all others.

    By chance two would be the same with p = 10^12 / 2^97 = 6e-18.
    """
    blocks = ((seed, stream, n) for seed in (0, 20) for stream in Stream for n in range(50_000))
    seeds = ((seed, Stream.WEIGHTS) for n in range(50_000) for seed in (n, n + 2**32))
    digests = [digest(*key, n_bytes=12) for key in itertools.chain(blocks, seeds)]
    assert len(set(digests)) == len(digests) >= 1_000_000


def test_a_shorter_digest_begins_a_longer_one():
    assert digest(3, Stream.START, 7, n_bytes=2496)[:12] == digest(3, Stream.START, 7, n_bytes=12)


def mersenne_twister(*key):
    """NumPy's, with the digest as its state."""
    made = np.random.MT19937()
    words = np.frombuffer(digest(*key, n_bytes=4 * STATE_WORDS), "<u4")
    made.state = {"bit_generator": "MT19937", "state": {"key": words, "pos": STATE_WORDS}}
    return made


@pytest.mark.parametrize("key", [(0, Stream.SAMPLER, 0), (2**63 - 1, Stream.ACCEPT, 5, 2**40)])
def test_every_word_of_the_state_is_set(key):
    """Beyond the first 624 numbers, which are those of the state; uniform ones have 24 bits."""
    words = mersenne_twister(*key).random_raw(2000)
    found = torch.rand(2000, generator=generator(*key)) * 2**24
    assert found.tolist() == (words % 2**24).tolist()


def test_the_first_normal_number_is_not_left_from_a_pair():
    """Box and Muller's has a second one, that the state keeps."""
    key = (0, Stream.START)
    one = torch.randn((), generator=generator(*key), dtype=torch.float64).item()
    high, low, *rest = (int(word) for word in mersenne_twister(*key).random_raw(4))
    u, v = ((((a << 32) | b) % 2**53) / 2**53 for a, b in ((high, low), rest))
    assert one == pytest.approx(math.sqrt(-2 * math.log1p(-v)) * math.cos(2 * math.pi * u))


def test_bits_are_even_and_seeds_and_steps_far_apart():
    """Of neighbours half of the bits differ, within five sigma (p = 6e-7)."""
    first = random.getrandbits(62)
    for a, b in [((first,), (first + 1,)), ((0, first), (0, first + 1)), ((0, 1), (1, 0))]:
        seeds = [(key[0], Stream.TRAINING, *key[1:]) for key in (a, b)]
        x, y = (int.from_bytes(digest(*key, n_bytes=2496), "little") for key in seeds)
        n = 8 * 2496
        assert abs((x ^ y).bit_count() - n / 2) < 5 * math.sqrt(n) / 2
        assert abs(x.bit_count() - n / 2) < 5 * math.sqrt(n) / 2


@pytest.mark.parametrize("key", [(-1,), (2**64,), (0, -1)])
def test_what_is_no_number_of_64_bits(key):
    seed, *step = key
    with pytest.raises(ValueError, match=r"seed, stream, step=\(.*\): must be from 0 to 2\^64 - 1"):
        generator(seed, Stream.START, *step)


def test_nothing_global_is_read_or_changed():
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = numbers(0, Stream.TRAINING, 7)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    assert numbers(0, Stream.TRAINING, 7) == first


def test_streams_are_uncorrelated():
    """Of 10,000 pairs, within five sigma (p = 6e-7)."""
    a, b = (torch.randn(10_000, generator=generator(0, Stream.TRAINING, i)) for i in (0, 1))
    assert abs((a * b).mean()) < 5 / 100


@needs_gpu
@pytest.mark.gpu
def test_streams_of_a_gpu():
    found = {numbers(seed, stream, *step, device="cuda") for seed, stream, step in KEYS}
    assert len(found) == len(KEYS)
    for seed, stream, step in KEYS[::10]:
        made = generator(seed, stream, *step, device="cuda")
        words = np.frombuffer(digest(seed, stream, *step, n_bytes=12), "<u4")
        assert made.initial_seed() % 2**64 == int(words[0]) | int(words[1]) << 32
        assert made.get_offset() == int(words[2]) << 31
        # below the counter of another stream, even after a large draw
        torch.randn(10**6, generator=made, device="cuda")
        assert made.get_offset() - (int(words[2]) << 31) < 2**31
