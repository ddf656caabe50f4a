"""How often errors of few, correlated measurements hold the exact value."""

import logging

import numpy as np
from matplotlib.figure import Figure

from flowlat.config.compose import compose, validate
from flowlat.config.schemas import SampleConfig
from flowlat.report.page.plots import finish, style, subplots
from flowlat.sampling.measure import build_observables
from flowlat.utils.rng import Stream, generator
from flowlat.validate.coverage import coverage

SHOWN = {
    "phi2": "$\\phi^2$",
    "chi2": "$\\chi_2$",
    "correlation_length": "$\\xi$",
    "effective_mass": "$m_\\mathrm{eff}$",
    "binder": "$U_4$",
}
#: tau_int of phi^2, measurements
RUNS = ((1, 1000), (10, 1000), (30, 1000), (10, 10_000))
CHAINS = 100


def derived() -> Figure:
    """The share of errors that hold it, by observable, tau_int and length."""
    logging.disable(logging.WARNING)
    known = build_observables(validate(compose([], "sample"), SampleConfig))
    observables = {name: known[name] for name in SHOWN}
    figure, axes = subplots(6.5, 3.4)
    for number, (tau_int, n) in enumerate(RUNS):
        found = coverage(observables, tau_int, n, CHAINS, generator(1, Stream.COVERAGE, number))
        share = [found[name].share for name in SHOWN]
        x = np.arange(len(SHOWN)) + 0.12 * (number - 1.5)
        error = np.sqrt(0.683 * 0.317 / CHAINS)
        label = f"tau_int = {tau_int}, {n} measurements"
        axes.errorbar(x, share, error, ls="none", capsize=2, label=label, **style(number))
    axes.axhline(0.683, color="black", lw=0.8)
    axes.set_xticks(range(len(SHOWN)), SHOWN.values())
    axes.set(ylabel="share that holds the exact value", ylim=(0.2, 0.9))
    return finish(figure)
