"""What the ensembles of a comparison cost: effective samples a second."""

import math
from collections.abc import Mapping
from typing import Any

from flowlat.report.compare.columns import label
from flowlat.report.page.blocks import Table
from flowlat.runs.folders import Sampled
from flowlat.utils.formatting import number

#: whose tau_int counts: that of the slowest mode, in either phase
SLOWEST = "chi2"


def cost(runs: Mapping[str, Sampled]) -> Table:
    """A row for each run, by letter: what it drew, in which time, and what that is worth."""
    head = ["", "configurations", "seconds", f"tau_int of {SLOWEST}"]
    head += ["effective", "a second", "of the weights", "a second"]
    rows = []
    for letter, run in runs.items():
        summary, seconds = run.summary, run.summary.get("seconds") or math.nan
        row = [label(letter, run), str(run.ensemble.n), number(seconds, ".1f")]
        row.append(number(tau_int(summary), ".2f"))
        for worth in (of_chain(summary, run.ensemble.n), of_weights(summary, run.ensemble.n)):
            row += [number(worth, ".0f"), number(worth / seconds, ".3g")]
        rows.append([cell or "-" for cell in row])
    caption = (
        f"Effective samples: n / (2 tau_int) of {SLOWEST} along a chain, n ESS of weights. Seconds "
        "of drawing on the machine that did, thermalisation included, the training of a flow not."
    )
    return Table(head, rows, caption)


def tau_int(summary: Mapping[str, Any]) -> float:
    """Of the slowest observable, in steps of the chain; NaN where there is none."""
    entry = summary["observables"].get(SLOWEST) or {}
    return entry.get("tau_int") or math.nan


def of_chain(summary: Mapping[str, Any], n: int) -> float:
    """n / (2 tau_int); NaN of what is no chain."""
    return math.nan if summary["kind"] == "weighted" else n / (2 * tau_int(summary))


def of_weights(summary: Mapping[str, Any], n: int) -> float:
    """n ESS; NaN of a Markov chain, which has no weights."""
    ess = summary.get("ess")
    return math.nan if ess is None else n * ess
