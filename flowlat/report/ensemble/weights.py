"""The importance weights: their distribution, and how few of them carry the ensemble."""

import numpy as np

from flowlat.analysis.importance import normalised
from flowlat.report.page.blocks import Picture
from flowlat.report.page.plots import BLUE, GREY, plot_log_weights, subplots
from flowlat.runs.folders import Sampled


def weights(run: Sampled) -> list[Picture]:
    """A picture of the log weights; nothing for a Markov chain, which has none."""
    log_weight = run.ensemble.log_weight
    if log_weight is None:
        return []
    figure, (left, right) = subplots(9, 3.4, columns=2)
    plot_log_weights(left, log_weight)
    weight = np.sort(normalised(log_weight)[0])[::-1]
    fraction = np.arange(1, len(weight) + 1) / len(weight)
    right.plot(fraction, weight.cumsum() / weight.sum(), color=BLUE, label="these weights")
    right.plot([0, 1], [0, 1], color=GREY, ls="--", label="all equal")
    right.set_xlabel("fraction of the configurations, heaviest first")
    right.set_ylabel("share of the total weight")
    caption = "Distribution of the log weights, and the share of the total that the heaviest hold."
    return [Picture("log_weight", figure, caption)]
