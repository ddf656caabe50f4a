#!/usr/bin/env bash
# emcee gives a chain whose neighbours are anticorrelated a negative integrated autocorrelation time.
#
# Versions: emcee 3.1.6, numpy 2.4.6, CPython 3.11.7, Linux.
#
# emcee.autocorr.integrated_time estimates tau, of which N / tau is the effective number of samples, of any time
# series. It takes the sum 1 + 2 sum_(0 < t <= M) rho(t) at the first M that is not below five times that sum
# (auto_window and integrated_time in emcee/autocorr.py). At M = 1 this is so from rho(1) = -0.4 downwards: the window
# closes there, at 1 + 2 rho(1), which is too small, and negative below -1/2. The one check of the estimate, that
# the chain is longer than 50 tau, is always passed by a negative one: no error, no warning, and an effective
# number of samples below zero. tau itself is positive, as n times the variance of a mean is. Chains of this kind are
# those of good samplers: HMC whose trajectories are longer than a quarter of a period, or overrelaxation.
#
# Below: HMC of a normal variable, solved exactly: x' = x cos T + p sin T with a fresh normal p, of which
# rho(t) = (cos T)^t and tau = (1 + cos T) / (1 - cos T). "spread" is tau as it is: n times the variance of the means
# of 1000 chains of n = 2000 steps, with a standard error of 4.5%. emcee: of one chain of a million steps.
#
# Output seen:
#   T = 1.0: exact 3.351, spread 3.249, emcee 3.329
#   T = 1.5: exact 1.152, spread 1.144, emcee 1.153
#   T = 1.8: exact 0.630, spread 0.614, emcee 0.630
#   T = 2.0: exact 0.412, spread 0.427, emcee 0.169
#   T = 2.2: exact 0.259, spread 0.276, emcee -0.176
#   T = 2.5: exact 0.110, spread 0.107, emcee -0.603
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q emcee==3.1.6 numpy==2.4.6
cd "$folder"

cat > program.py <<'PYTHON'
import emcee
import numpy as np

rng = np.random.default_rng(0)


def hmc(length, steps, chains):
    """x (steps, chains) of trajectories of that length in the action x^2 / 2, from equilibrium on."""
    x = np.empty((steps, chains))
    x[0] = rng.standard_normal(chains)
    for step in range(1, steps):
        x[step] = x[step - 1] * np.cos(length) + rng.standard_normal(chains) * np.sin(length)
    return x


for length in (1.0, 1.5, 1.8, 2.0, 2.2, 2.5):
    exact = (1 + np.cos(length)) / (1 - np.cos(length))
    spread = 2000 * hmc(length, 2000, 1000).mean(0).var()
    found = emcee.autocorr.integrated_time(hmc(length, 1_000_000, 1)[:, 0])[0]
    print(f"T = {length}: exact {exact:.3f}, spread {spread:.3f}, emcee {found:.3f}")
PYTHON

"$folder/venv/bin/python" program.py > output
cat output
diff output - <<'EXPECTED'
T = 1.0: exact 3.351, spread 3.249, emcee 3.329
T = 1.5: exact 1.152, spread 1.144, emcee 1.153
T = 1.8: exact 0.630, spread 0.614, emcee 0.630
T = 2.0: exact 0.412, spread 0.427, emcee 0.169
T = 2.2: exact 0.259, spread 0.276, emcee -0.176
T = 2.5: exact 0.110, spread 0.107, emcee -0.603
EXPECTED
