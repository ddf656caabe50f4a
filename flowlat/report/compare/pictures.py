"""The pictures of a comparison: pulls, two-point functions, distributions of M."""

from collections.abc import Mapping, Sequence

import numpy as np

from flowlat.analysis.trust import SUSPICIOUS
from flowlat.report.compare.columns import Column
from flowlat.report.ensemble.history import magnetization_histograms
from flowlat.report.page.blocks import Picture
from flowlat.report.page.plots import GREY, plot_points, style, subplots
from flowlat.runs.folders import Sampled


def pulls(columns: Mapping[str, Mapping[str, float]]) -> Picture:
    """One row an observable, one marker a column; ``columns``: label -> name -> pull."""
    names = list(dict.fromkeys(name for values in columns.values() for name in values))
    figure, axes = subplots(7.5, 1.2 + 0.3 * max(len(names), 3))
    axes.axvspan(-1, 1, color=GREY, alpha=0.25, lw=0)
    axes.axvspan(-2, 2, color=GREY, alpha=0.15, lw=0)
    height = 0.5 / max(len(columns) - 1, 1)
    for number, (label, values) in enumerate(columns.items()):
        # beside each other, so that equal pulls can be told apart
        shift = (number - (len(columns) - 1) / 2) * height
        rows = [names.index(name) + shift for name in values]
        axes.plot(list(values.values()), rows, **style(number), ls="none", ms=5, label=label)
    reach = 1.1 * max(SUSPICIOUS, *(abs(p) for values in columns.values() for p in values.values()))
    axes.set(xlim=(-reach, reach), xlabel="pull, standard errors of the difference")
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    caption = "Differences in units of their error; the bands are one and two of it."
    return Picture("pulls", figure, caption)


def ratios(exact: Column, columns: Sequence[Column], reference: Column) -> Picture:
    """C(t) of every column over that of the reference, or over the exact one."""
    known = "two_point(0)" in exact.values
    base, label = (exact, "the exact one") if known else (reference, reference.label)
    figure, axes = subplots(7.5, 3.6)
    for number, column in enumerate(columns):
        if column is base:
            continue
        names = {t: f"two_point({t})" for t in range(len(base.values))}
        rows = [
            (t, *column.values[name], *base.values[name])
            for t, name in names.items()
            if name in column.values and name in base.values
        ]
        t, c, c_error, b, b_error = np.array([r for r in rows if r[1] and r[3]]).reshape(-1, 5).T
        error = np.abs(c / b) * np.hypot(c_error / c, b_error / b)
        shift = 0.08 * (number - len(columns) / 2)
        plot_points(axes, t + shift, c / b, error, column.label, **style(number))
    axes.axhline(1, color=GREY, lw=0.8)
    axes.set(xlabel="t, lattice units", ylabel=f"C(t) / C(t) of {label}")
    axes.locator_params(axis="x", integer=True)
    return Picture("two_point_ratio", figure, f"Two-point functions relative to {label}.")


def histograms(runs: Mapping[str, Sampled]) -> list[Picture]:
    """The distributions of M over each other, by label, of those runs that measured it."""
    runs = {label: run for label, run in runs.items() if "magnetization" in run.ensemble.measured}
    if not runs:
        return []
    figure, axes = subplots(7.5, 3.6)
    densities = magnetization_histograms(list(runs.values()), bins=61)
    for number, (label, (density, edges)) in enumerate(zip(runs, densities, strict=True)):
        axes.stairs(density, edges, color=style(number)["color"], lw=1.4, label=label)
    axes.set(xlabel="M, lattice units", ylabel="density")
    return [Picture("magnetization", figure, "Distribution of M in each of the runs.")]
