"""What a sampling run measured, in tables: quality, observables, warnings, provenance, config."""

import json
import math
from itertools import compress
from typing import Any

from flowlat.analysis.exact import Known, known
from flowlat.lattice import Lattice
from flowlat.report.page.alarms import alarms
from flowlat.report.page.blocks import Block, Table, Text
from flowlat.runs.console import contents, pull, quality
from flowlat.runs.folders import Sampled
from flowlat.utils.formatting import measured, number, with_error

#: key of the summary -> its row, below the figures of quality
SETTINGS = {"step_size": "step size", "n_leapfrog": "leapfrog steps", "seconds": "seconds"}


def exact_values(run: Sampled) -> Known:
    """What is known exactly of the run's theory; nothing of an action of a user's own."""
    if not run.ensemble.config["action"]["_target_"].startswith("flowlat.actions."):
        return {}
    return known(run.ensemble.theory(), Lattice(run.ensemble.shape))


def overview(run: Sampled) -> list[Block]:
    """The figures of quality, and what is wrong with them."""
    summary = run.summary
    settings = [(label, number(summary.get(key), ".4g")) for key, label in SETTINGS.items()]
    rows = [
        ("sampler", summary.get("sampler") or "-"),
        ("ensemble", contents(summary)),
        *quality(summary),
        *(setting for setting in settings if setting[1]),
    ]
    return [*alarms(summary), Table(["", ""], rows)]


def observables(run: Sampled) -> list[Block]:
    """Every number with its error and tau_int; reweighted, improved and exact values where there
    are any."""
    exact = exact_values(run)
    others = [run.summary.get(how) or {} for how in ("reweighted", "improved")]
    columns = True, True, *map(bool, others), True, len(exact) > 2, len(exact) > 2
    head = "observable", "value", "reweighted", "improved", "tau_int", "exact", "pull"
    rows = []
    for name, entry in run.summary["observables"].items():
        if isinstance(entry, dict):
            truth = float(exact.get(name, math.nan))
            values = [measured(e) or "-" for e in (entry, *(o.get(name) for o in others))]
            held = number(truth, ".6g"), number(pull(entry, truth), "+.2f")
            rows.append(tuple(compress((name, *values, tau(entry), *held), columns)))
    caption = (
        "Lattice units. tau_int = 1/2 + sum of rho(t), in steps of the chain: white noise has 0.5."
    )
    return [Table(tuple(compress(head, columns)), rows, caption)]


def origin(run: Sampled) -> list[Block]:
    """Provenance and the whole config."""
    ensemble = run.ensemble
    values = ensemble.provenance | {"seed": ensemble.attribute("seed", "-"), "folder": run.path}
    return [
        Table(["", ""], [[key, str(value)] for key, value in values.items()]),
        Text(json.dumps(ensemble.config, indent=2), title="config"),
    ]


def tau(entry: dict[str, Any]) -> str:
    """tau_int with its error, a dash where there is none."""
    if error := entry.get("tau_int_error"):
        return with_error(entry["tau_int"], error)
    return number(entry.get("tau_int"), ".2f") or "-"
