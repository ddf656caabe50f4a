"""What a sampling run found, in tables: quality, observables, warnings, provenance, config."""

import json
import math
from typing import Any

import numpy as np

from flowlat.analysis.exact import Known
from flowlat.ensemble.summary import LOPSIDED
from flowlat.report.page.blocks import Block, Listing, Table, Text
from flowlat.runs.folders import Sampled
from flowlat.utils.formatting import with_error

#: a pull beyond this is worth a second look
SUSPICIOUS = 3.5

#: key of the summary -> its row
FIGURES = {
    "sampler": "sampler",
    "kind": "rows of the ensemble are",
    "n_samples": "configurations",
    "replicas": "replicas",
    "acceptance": "acceptance",
    "ess": "ESS",
    "log_z": "log Z",
    "free_energy_density": "free-energy density -log Z / V",
    "longest_rejection_run": "longest rejection run",
    "step_size": "step size",
    "n_leapfrog": "leapfrog steps",
    "sign_balance": "<sign M>",
    "seconds": "seconds",
}


def overview(run: Sampled) -> list[Block]:
    """The figures of quality, with the Schwinger-Dyson pull, and what is wrong with them."""
    summary = run.summary
    rows = [[label, shown(summary[key])] for key, label in FIGURES.items() if key in summary]
    identity = as_pair(summary.get("schwinger_dyson"))
    if identity:
        pull = (identity[0] - 1) / identity[1]
        rows.append(["<phi dS/dphi>, exactly 1", f"{with_error(*identity)}, pull {pull:+.2f}"])
    blocks: list[Block] = [Text(text, warning=True) for text in warnings(summary)]
    return [*blocks, Table(["", ""], rows)]


def warnings(summary: dict[str, Any]) -> list[str]:
    """What makes an ensemble unfit for publication, in sentences."""
    found = []
    balance = summary.get("sign_balance")
    if balance is not None and abs(balance) > LOPSIDED:
        found.append(
            f"<sign M> = {balance:.2f}, and the action is even: the ensemble sits in one of two "
            "modes. log Z is short by up to log 2 = 0.693, and <M> is not zero."
        )
    identity = as_pair(summary.get("schwinger_dyson"))
    if identity and abs(identity[0] - 1) > SUSPICIOUS * identity[1]:
        found.append(
            "<phi dS/dphi> is not 1 within its error: this ensemble is not one of exp(-S), or its "
            "errors are too small."
        )
    bare = [name for name, e in summary["observables"].items() if not has_error(e)]
    if bare:
        found.append(f"No error could be given for {', '.join(bare)}: too few or stuck.")
    return found


def observables(run: Sampled, exact: Known) -> list[Block]:
    """Every number with its error and tau_int; reweighted and exact values where there are any."""
    chain = run.summary["observables"]
    reweighted = run.summary.get("reweighted") or {}
    head = ["observable", "value", *(["reweighted"] if reweighted else []), "tau_int"]
    head += ["exact", "pull"] if len(exact) > 2 else []
    rows = []
    for name, entry in chain.items():
        if isinstance(entry, list):
            continue
        row = [name, number(entry), *([number(reweighted.get(name))] if reweighted else [])]
        row.append(tau(entry))
        if len(exact) > 2:
            row += exact_cells(entry, exact.get(name))
        rows.append(row)
    caption = (
        "Lattice units. tau_int = 1/2 + sum of rho(t), in steps of the chain: white noise has 0.5."
    )
    return [Table(head, rows, caption)]


def exact_cells(entry: dict[str, Any], value: float | np.ndarray | None) -> list[str]:
    pair = as_pair(entry)
    if value is None or not isinstance(value, float):
        return ["", ""]
    return [f"{value:.6g}", f"{(pair[0] - value) / pair[1]:+.2f}" if pair else ""]


def origin(run: Sampled) -> list[Block]:
    """Provenance and the whole config."""
    ensemble = run.ensemble
    rows = [
        [key, str(value)] for key, value in json.loads(ensemble.attribute("provenance")).items()
    ]
    rows += [["seed", str(ensemble.attribute("seed"))], ["folder", str(run.path)]]
    return [
        Table(["", ""], rows),
        Listing("config", json.dumps(ensemble.config, indent=2)),
    ]


def has_error(entry: Any) -> bool:
    entries = entry if isinstance(entry, list) else [entry]
    return any(e["error"] is not None for e in entries)


def as_pair(entry: Any) -> tuple[float, float] | None:
    """Value and error of a summary's entry, if it has both."""
    if not isinstance(entry, dict) or entry.get("value") is None or not entry.get("error"):
        return None
    return entry["value"], entry["error"]


def number(entry: dict[str, Any] | None) -> str:
    if not entry or entry["value"] is None:
        return "-"
    error = entry["error"]
    return with_error(entry["value"], math.nan if error is None else error)


def tau(entry: dict[str, Any]) -> str:
    if entry.get("tau_int") is None:
        return "-"
    error = entry.get("tau_int_error")
    return with_error(entry["tau_int"], error) if error else f"{entry['tau_int']:.2f}"


def shown(value: Any) -> str:
    """A figure of the summary as a cell."""
    if isinstance(value, dict):
        return number(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    return "-" if value is None else str(value)
