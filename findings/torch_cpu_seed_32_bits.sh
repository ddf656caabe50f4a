#!/usr/bin/env bash
# Seeds that PyTorch takes for different ones give the same numbers on the CPU.
#
# Versions: torch 2.13.0, numpy 2.4.6, CPython 3.11.7, Linux.
#
# torch.Generator().manual_seed takes seeds of 64 bits, and initial_seed() gives back all of them. The CPU's
# generator, a Mersenne Twister of 19,937 bits, starts from the lower 32 alone: seeds that differ by a multiple
# of 2^32 have the same stream from the first number to the last, while their states, which hold the seed too,
# compare as different. NumPy's SeedSequence is the usual way to independent streams; 64 bits of it, handed
# on to PyTorch, keep half of themselves, so that of n streams n^2 / 2^33 pairs are expected to be the same where
# one would count on n^2 / 2^65. The third line counts such pairs among the hashed keys (20, 4, 1, n) of a program
# that draws block n of its run 20. A stream of one's own for every key needs Generator.set_state with a whole state.
#
# Output seen:
#   seeds 1 and 4294967297: initial_seed 1 and 4294967297, states differ: True
#   the same million numbers: True
#   20000 hashed keys: 20000 seeds of 63 bits, 1 starts a stream that another one has
#   keys 14862 and 19440 draw the same: True
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6
cd "$folder"

cat > program.py <<'PYTHON'
import numpy as np
import torch


def start(seed):
    return torch.Generator().manual_seed(seed)


low, high = 1, 1 + 2**32
a, b = start(low), start(high)
differ = not torch.equal(a.get_state(), b.get_state())
print(f"seeds {low} and {high}: initial_seed {a.initial_seed()} and {b.initial_seed()}, states differ: {differ}")
print("the same million numbers:", torch.equal(torch.rand(10**6, generator=a), torch.rand(10**6, generator=b)))

seeds = [int(np.random.SeedSequence([20, 4, 1, n]).generate_state(1, np.uint64)[0]) >> 1 for n in range(20_000)]
first, doubles = {}, []
for number, seed in enumerate(seeds):
    other = first.setdefault(seed % 2**32, number)
    if other != number:
        doubles.append((other, number))
print(f"{len(seeds)} hashed keys: {len(set(seeds))} seeds of 63 bits, {len(doubles)} starts a stream that another one has")
i, j = doubles[0]
same = torch.equal(torch.randn(100, generator=start(seeds[i])), torch.randn(100, generator=start(seeds[j])))
print(f"keys {i} and {j} draw the same: {same}")
PYTHON

"$folder/venv/bin/python" program.py > output
cat output
diff output - <<'EXPECTED'
seeds 1 and 4294967297: initial_seed 1 and 4294967297, states differ: True
the same million numbers: True
20000 hashed keys: 20000 seeds of 63 bits, 1 starts a stream that another one has
keys 14862 and 19440 draw the same: True
EXPECTED
