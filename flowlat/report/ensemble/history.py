"""The run in time: M and S/V with their running means, and the distribution of M."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from flowlat.report.page.blocks import Block, Picture, Text
from flowlat.report.page.plots import BLUE, GREY, ORANGE, subplots
from flowlat.runs.folders import Sampled

#: name of the observable -> its axis
SHOWN = {"magnetization": "M", "action_density": "S/V"}


def history(run: Sampled) -> list[Block]:
    """Pictures of M and S/V along the run, and the histogram of M, where they were measured."""
    names = [name for name in SHOWN if name in run.ensemble.measured]
    blocks: list[Block] = [_histories(run, names)] if names else []
    if "magnetization" in names:
        blocks.append(_histogram(run))
    if missing := ", ".join(name for name in SHOWN if name not in names):
        blocks.append(Text(f"Not measured in this run: {missing}."))
    return blocks


def _histories(run: Sampled, names: list[str]) -> Picture:
    chain = run.ensemble.kind != "weighted"
    figure, panels = subplots(10, 2.6 * len(names), len(names), 2, squeeze=False, sharex=True)
    for (left, right), name in zip(panels, names, strict=True):
        _plot_thinned(left, run.series(name)[0], ls="none", marker=".", ms=2, color=GREY)
        left.set_ylabel(f"{SHOWN[name]}, lattice units")
        _running_mean(right, run, name)
        right.set_ylabel(f"running mean of {SHOWN[name]}")
    for axes in panels[-1]:
        axes.set_xlabel("step of the chain" if chain else "configuration")
    which = "replica 0" if chain and run.ensemble.replicas > 1 else "the configurations"
    what = "all replicas" if chain else "the weighted configurations"
    caption = (
        f"Left: {which}. Right: the mean over {what} up to there; the band is the final value with "
        "its error."
    )
    return Picture("history", figure, caption)


def _running_mean(axes: Axes, run: Sampled, name: str) -> None:
    chains, weights = run.series(name), run.weights()
    steps = min(map(len, chains))
    weights = np.ones(steps) if weights is None else weights
    series = np.mean([chain[:steps] for chain in chains], axis=0)
    mean = (weights * series).cumsum() / weights.cumsum()
    _plot_thinned(axes, mean, color=BLUE, lw=1.2)
    final = run.summary["observables"].get(name)
    if final and final["error"] is not None:
        value, error = final["value"], final["error"]
        axes.axhspan(value - error, value + error, color=ORANGE, alpha=0.4, lw=0)
        # from the first tenth on: the start would flatten the rest
        reach = 1.2 * max(4 * error, np.abs(mean[len(mean) // 10 :] - value).max())
        axes.set_ylim(value - reach, value + reach)


def _plot_thinned(axes: Axes, values: np.ndarray, **options: Any) -> None:
    every = max(1, len(values) // 2000)  # as many points as a picture can show
    axes.plot(np.arange(1, len(values) + 1)[::every], values[::every], **options)


def _histogram(run: Sampled) -> Picture:
    ((density, edges),) = magnetization_histograms([run], bins=81)
    figure, axes = subplots(6.5, 3.6)
    axes.stairs(density, edges, fill=True, color=BLUE, alpha=0.6, label="M")
    axes.stairs(density[::-1], edges, color=ORANGE, ls="--", lw=1.2, label="-M")
    axes.set(xlabel="M, lattice units", ylabel="density")
    caption = (
        "Distribution of M, and its mirror image (dashed): the two agree where an even action "
        "is sampled in both of its modes."
    )
    return Picture("magnetization", figure, caption)


def magnetization_histograms(
    runs: Sequence[Sampled], bins: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Density of M in each of the runs, and the edges of its bins: the same, symmetric about 0."""
    series = [np.concatenate(run.series("magnetization")) for run in runs]
    reach = 1.05 * max(np.abs(m).max() for m in series) or 1.0
    return [
        np.histogram(m, bins, range=(-reach, reach), weights=run.weights(), density=True)
        for m, run in zip(series, runs, strict=True)
    ]
