#!/usr/bin/env bash
# The error that pyerrors gives an observable on every tenth configuration falls to 0.22 of the right one
# when zero times an observable on all configurations is added.
#
# Versions: pyerrors 2.17.0, numpy 2.4.6, scipy 1.17.1, CPython 3.11.7, Linux.
#
# Obs(samples, names, idl=[configurations]) is for observables that are not measured everywhere, such as
# an expensive one on every tenth configuration of a chain where a cheap one is on all. The manual has them
# combined freely, and promises that errors come out right by themselves.
#
# In a combination _expand_deltas_for_merge (pyerrors/obs.py) brings all of them to the union of their
# configurations, with zeros where one was not measured. The products of fluctuations at the distances 1 to 9 are
# then zero for the observable on every tenth, and so is its part of rho(t) there. Obs.gamma_method (same file)
# closes its window at the first t where tau / sqrt(N t) exceeds exp(-t / tau), with the tau of the sum so far: at
# rho(1) = 0 this is t = 1. The autocorrelation from t = 10 on is not looked at, and tau_int is 1/2, whatever it was.
# The combination need not be of factor zero: what counts is that the sparse observable makes most of the error, as
# in its ratio with a precise one. There is no warning at run time; the manual has one of odd patterns in the
# autocorrelation function, to be looked at in a plot. With both on the same every tenth all is well.
#
# An observable with irregular holes errs in the other direction. Of n numbers of which the fraction p(t) has a
# partner at the distance t the variance of the mean is Gamma(0) / n (1 + 2 sum_t p(t) rho(t)). gamma_method divides
# the products by the number of pairs (gamma_div), which makes rho(t) right, and leaves p(t) out of the sum:
# too large by nearly sqrt(2) for a half of the configurations. There the zeros mend it, since they carry p(t).
#
# Below: 100 pairs of chains x, y of 50,000 configurations, rho(t) = 0.99^t. "error" is the mean error by
# pyerrors over the exact one of the mean on these configurations, "spread" the standard deviation of the
# 100 values over the same, which is 1 up to 0.07: the statistical error of that number.
#
# Output seen:
#   y on all: error 1.01, spread 0.90
#   y on every tenth: error 1.01, spread 0.90
#   y on every tenth + 0 * (x on all): error 0.22, spread 0.90
#   y on every tenth + 0.1 * (x on all): error 0.22, spread 0.90
#   y on every tenth + 0 * (x on every tenth): error 1.01, spread 0.90
#   y on a half at random: error 1.44, spread 0.89
#   y on a half at random + 0 * (x on all): error 0.99, spread 0.89
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pyerrors==2.17.0 numpy==2.4.6 scipy==1.17.1
cd "$folder"

cat > program.py <<'PYTHON'
import numpy as np
import pyerrors as pe
from scipy.signal import lfilter

CHAINS, STEPS, A = 100, 50_000, 0.99
rng = np.random.default_rng(0)
every = np.arange(1, STEPS + 1)
tenth = every[every % 10 == 0]
half = every[rng.random(STEPS) < 0.5]


def chain():
    noise = rng.standard_normal(STEPS)
    noise[1:] *= np.sqrt(1 - A * A)  # stationary from the first step on, of variance 1
    return 5 + lfilter([1], [1, -A], noise)


def on(configurations, x):
    return pe.Obs([x[configurations - 1]], ["ensemble"], idl=[list(configurations)])


def exact(configurations):
    """The error of the mean: sqrt(sum_ij rho(|i - j|)) / n over the n configurations i, j, rho(t) = A^t."""
    there = np.isin(every, configurations).astype(float)
    pairs = np.array([there[: STEPS - t] @ there[t:] for t in range(3000)])
    return np.sqrt(2 * pairs @ A ** np.arange(3000.0) - pairs[0]) / len(configurations)


on_all, on_tenth, on_half = exact(every), exact(tenth), exact(half)
found = {}
for _ in range(CHAINS):
    x, y = chain(), chain()
    for name, obs, right in (
        ("y on all", on(every, y), on_all),
        ("y on every tenth", on(tenth, y), on_tenth),
        ("y on every tenth + 0 * (x on all)", on(tenth, y) + 0 * on(every, x), on_tenth),
        ("y on every tenth + 0.1 * (x on all)", on(tenth, y) + 0.1 * on(every, x), np.hypot(on_tenth, 0.1 * on_all)),
        ("y on every tenth + 0 * (x on every tenth)", on(tenth, y) + 0 * on(tenth, x), on_tenth),
        ("y on a half at random", on(half, y), on_half),
        ("y on a half at random + 0 * (x on all)", on(half, y) + 0 * on(every, x), on_half),
    ):
        obs.gamma_method()
        found.setdefault(name, []).append((obs.dvalue / right, obs.value / right))
for name, pairs in found.items():
    errors, values = np.array(pairs).T
    print(f"{name}: error {errors.mean():.2f}, spread {values.std():.2f}")
PYTHON

OMP_NUM_THREADS=1 "$folder/venv/bin/python" program.py > output
cat output
diff output - <<'EXPECTED'
y on all: error 1.01, spread 0.90
y on every tenth: error 1.01, spread 0.90
y on every tenth + 0 * (x on all): error 0.22, spread 0.90
y on every tenth + 0.1 * (x on all): error 0.22, spread 0.90
y on every tenth + 0 * (x on every tenth): error 1.01, spread 0.90
y on a half at random: error 1.44, spread 0.89
y on a half at random + 0 * (x on all): error 0.99, spread 0.89
EXPECTED
