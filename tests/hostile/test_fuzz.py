"""Files cut short or with bits flipped, at random: refused, or exactly the right data.

The seed is printed with a failure; FLOWLAT_FUZZ_SEED=N repeats it, FLOWLAT_FUZZ=N tries so many
files of each kind.
"""

import os
import random
import shutil

import pytest

from flowlat import load_flow
from flowlat.ensemble import open_ensemble
from flowlat.sampling.draw import draw
from flowlat.utils.errors import CheckpointError, EnsembleError
from tests.ensemble.test_reader import everything as everything_in
from tests.support.fakes import walk_config
from tests.support.hostile_files import contents, everything, nothing_happens, save

N = int(os.environ.get("FLOWLAT_FUZZ", "500"))
SEED = int(os.environ.get("FLOWLAT_FUZZ_SEED", random.randrange(2**32)))


def damaged(whole: bytes, rng: random.Random) -> bytes:
    """A few flipped bits, a cut, a piece of zeros, or a piece of the file itself elsewhere."""
    data, at = bytearray(whole), rng.randrange(len(whole))
    match rng.randrange(6):
        case 0:
            return bytes(data[:at])
        case 1:
            data[at : at + rng.randrange(1, 64)] = bytes(rng.randrange(1, 64))
        case 2:
            start = rng.randrange(len(whole))
            data[at : at + 32] = whole[start : start + 32]
        case _:
            for _ in range(rng.choice((1, 1, 1, 2, 8))):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def fuzz(whole, path, read, error):
    """How many of N damaged files are refused; the others have to read as the whole one."""
    print(f"FLOWLAT_FUZZ_SEED={SEED}")
    rng, refused = random.Random(SEED), 0
    path.write_bytes(whole)
    expected = read(path)
    for _ in range(N):
        path.write_bytes(damaged(whole, rng))
        try:
            with nothing_happens():
                assert read(path) == expected
        except error as refusal:
            refused += 1
            message = str(refusal)
            assert message.isprintable()
    return refused


def test_checkpoints(tmp_path):
    whole = save(contents(), tmp_path / "whole.ckpt").read_bytes()
    read = lambda path: everything(load_flow(path))  # noqa: E731
    assert fuzz(whole, tmp_path / "a.ckpt", read, CheckpointError) > N / 2


@pytest.mark.parametrize("kind", ["chain", "proposals", "weighted"])
def test_ensembles(kind, tmp_path):
    draw(walk_config(n_samples=20, sampler={"kind": kind}), tmp_path)
    path = shutil.move(tmp_path / "ensemble.h5", tmp_path / "whole.h5")

    def read(path):
        with open_ensemble(path) as ensemble:
            return everything_in(ensemble)

    assert fuzz(path.read_bytes(), tmp_path / "a.h5", read, EnsembleError) > N / 3
