"""The run in time: M and S/V with their running means, and the distribution of M."""

import numpy as np
from matplotlib.axes import Axes

from flowlat.report.page.blocks import Block, Picture, Text
from flowlat.report.page.plots import BLUE, GREY, ORANGE, finish, new_figure
from flowlat.runs.folders import Sampled

#: name of the observable -> its axis
SHOWN = {"magnetization": "M", "action_density": "S/V"}

#: points of a history that a picture can show
POINTS = 2000


def history(run: Sampled) -> list[Block]:
    """Pictures of M and S/V along the run, and the histogram of M, where they were measured."""
    measured = run.ensemble.measured
    names = [name for name in SHOWN if name in measured]
    blocks: list[Block] = []
    if names:
        blocks.append(_courses(run, names))
    if "magnetization" in measured:
        blocks.append(_modes(run))
    if len(names) < len(SHOWN):
        missing = ", ".join(name for name in SHOWN if name not in measured)
        blocks.append(Text(f"Not measured in this run: {missing}."))
    return blocks


def _courses(run: Sampled, names: list[str]) -> Picture:
    chain = run.ensemble.kind != "weighted"
    figure = new_figure(10, 2.6 * len(names))
    panels = figure.subplots(len(names), 2, squeeze=False, sharex=True)
    for (left, right), name in zip(panels, names, strict=True):
        first = run.series(name)[0]
        shown = slice(None, None, max(1, len(first) // POINTS))
        steps = np.arange(1, len(first) + 1)
        left.plot(steps[shown], first[shown], ".", ms=2, color=GREY)
        left.set_ylabel(f"{SHOWN[name]}, lattice units")
        _running_mean(right, run, name)
        right.set_ylabel(f"running mean of {SHOWN[name]}")
        for axes in (left, right):
            finish(axes)
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
    weights, chains = run.weights(), run.series(name)
    if weights is None:
        length = min(map(len, chains))
        mean = np.mean([chain[:length] for chain in chains], axis=0).cumsum()
        mean /= np.arange(1, length + 1)
    else:
        mean = (weights * chains[0]).cumsum() / weights.cumsum()
    shown = slice(None, None, max(1, len(mean) // POINTS))
    axes.plot(np.arange(1, len(mean) + 1)[shown], mean[shown], color=BLUE, lw=1.2)
    final = run.summary["observables"].get(name)
    if final and final["error"] is not None:
        value, error = final["value"], final["error"]
        axes.axhspan(value - error, value + error, color=ORANGE, alpha=0.4, lw=0)
        # from the first tenth on: the start would flatten the rest
        reach = max(4 * error, np.abs(mean[len(mean) // 10 :] - value).max())
        axes.set_ylim(value - 1.2 * reach, value + 1.2 * reach)


def _modes(run: Sampled) -> Picture:
    values = np.concatenate(run.series("magnetization"))
    reach = 1.05 * np.abs(values).max() or 1.0
    density, edges = np.histogram(
        values, bins=81, range=(-reach, reach), weights=run.weights(), density=True
    )
    figure = new_figure(6.5, 3.6)
    axes = figure.subplots()
    axes.stairs(density, edges, fill=True, color=BLUE, alpha=0.6, label="M")
    axes.stairs(density[::-1], edges, color=ORANGE, ls="--", lw=1.2, label="-M")
    axes.set_xlabel("M, lattice units")
    axes.set_ylabel("density")
    finish(axes)
    caption = (
        "Distribution of M, and its mirror image (dashed): the two agree where an even action "
        "is sampled in both of its modes."
    )
    return Picture("magnetization", figure, caption)
