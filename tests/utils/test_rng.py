import torch

from flowlat.utils.rng import Stream, generator


def numbers(*key):
    return tuple(torch.rand(2, generator=generator(*key)).tolist())


def test_streams_are_functions_of_their_key_and_differ():
    keys = [(s, stream, *step) for s in (0, 1) for stream in Stream for step in ((), (0,), (1, 0))]
    assert len({numbers(*key) for key in keys}) == len(keys)
    for key in keys:
        assert numbers(*key) == numbers(*key)


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
