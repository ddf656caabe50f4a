"""The Markov chain: acceptance along it, runs of rejections, autocorrelation functions."""

from itertools import groupby
from typing import Any

import numpy as np

from flowlat.report.ensemble.overview import tau
from flowlat.report.page.blocks import Picture
from flowlat.report.page.plots import BLUE, GREEN, GREY, ORANGE, subplots
from flowlat.runs.folders import Sampled

#: name of the observable -> how it is written
SHOWN = {"abs_magnetization": "|M|", "chi2": "$\\chi_2$"}


def chain(run: Sampled) -> list[Picture]:
    """Pictures of acceptance, if anything was rejected, and of autocorrelation; none of what a
    weighted ensemble has not."""
    pictures = []
    accepted, replicas = run.ensemble.accepted, run.ensemble.replicas
    if accepted is not None and not accepted.all():
        # the last step may not be that of every replica
        whole = max(len(accepted) // replicas, 1) * replicas
        pictures.append(_acceptance(accepted[:whole].reshape(-1, min(replicas, len(accepted)))))
    entries = run.summary["observables"]
    # a chain that is too short or stuck has no tau_int, and a weighted ensemble is no chain
    names = [name for name in SHOWN if name in entries and entries[name]["tau_int"] is not None]
    if names:
        pictures.append(_autocorrelation(run, names))
    return pictures


def _acceptance(steps: np.ndarray) -> Picture:
    """Of accept flags ``(steps, replicas)``."""
    windows = np.array_split(steps, min(100, len(steps)))
    rates = [window.mean() for window in windows]
    ends = np.cumsum([len(window) for window in windows])
    figure, (left, right) = subplots(9, 3.4, columns=2)
    left.stairs(rates, [0, *ends], baseline=None, color=BLUE)
    left.axhline(steps.mean(), color=ORANGE, ls="--", label=f"mean {steps.mean():.3f}")
    left.set(xlabel="step of the chain", ylabel="acceptance", ylim=(0, 1.02))
    lengths = np.bincount(rejection_runs(steps))[1:]
    right.bar(np.arange(1, len(lengths) + 1), lengths, color=GREEN)
    right.set(xlabel="rejections in a row", ylabel="how often", yscale="log")
    right.locator_params(axis="x", integer=True)
    caption = (
        f"Acceptance in {len(windows)} windows of the run, and the lengths of its rejection runs."
    )
    return Picture("acceptance", figure, caption)


def rejection_runs(steps: np.ndarray) -> list[int]:
    """The length of every unbroken run of rejections, flags ``(steps, replicas)``."""
    return [len([*run]) for flags in steps.T for taken, run in groupby(flags) if not taken]


def _autocorrelation(run: Sampled, names: list[str]) -> Picture:
    figure, panels = subplots(4.5 * len(names), 3.4, columns=len(names), squeeze=False)
    for axes, name in zip(panels[0], names, strict=True):
        obs: Any = run.ensemble.obs(name)
        obs.gamma_method()
        (chain,) = obs.e_names
        rho, window = obs.e_rho[chain], obs.e_windowsize[chain]
        shown, n = min(len(rho), max(2 * window + 1, 11)), sum(obs.shape.values())
        error = [0.0, *(rho_error(rho, t, n) for t in range(1, shown))]
        axes.errorbar(range(shown), rho[:shown], error, color=BLUE, marker="o", ms=3, capsize=2)
        tau_int = f"$\\tau_\\mathrm{{int}}$ = {tau(run.summary['observables'][name])}"
        axes.axvline(window, color=ORANGE, ls="--", label=f"window {window}\n{tau_int}")
        axes.axhline(0, color=GREY, lw=0.8)
        axes.set_title(SHOWN[name], fontsize=11)
        axes.set(xlabel="separation in the chain, steps", ylabel="autocorrelation $\\rho$")
        axes.legend(frameon=False, loc="center right")
    caption = (
        "Normalised autocorrelation function over all replicas; tau_int = 1/2 + its sum up to the "
        "window (dashed), where truncation and statistical error balance."
    )
    return Picture("autocorrelation", figure, caption)


def rho_error(rho: np.ndarray, t: int, n: int) -> float:
    """Error of rho(t) from n measurements: (1/n) sum_k (rho(k+t) + rho(k-t) - 2 rho(k) rho(t))^2,
    k = 1, 2, ... to where rho is noise. Luescher, hep-lat/0409106, eq. (E.11)."""
    k = np.arange(1, t + 100)
    padded = np.concatenate([rho, np.zeros(2 * t + 100)])
    terms = padded[k + t] + padded[np.abs(k - t)] - 2 * padded[k] * rho[t]
    return float(np.sqrt((terms**2).sum() / n))
