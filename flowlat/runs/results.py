"""What a training and a sampling print at their end."""

import math
from pathlib import Path
from typing import Any

from flowlat.runs.console import in_brief, shorten, table
from flowlat.utils.formatting import fraction, measured, number, with_error

#: what a sampling run leaves in its folder
FILES = (".h5", ".png", ".json", ".html")


def fit_report(summary: dict[str, Any]) -> str:
    """What a training reached, where it is, and how to sample from it."""
    checkpoint = shorten(summary["checkpoint"])
    rows = [
        ("ESS", f"{summary['ess']:.4f}"),
        ("acceptance", f"{summary['acceptance']:.4f}"),
        ("log Z", with_error(summary["log_z"], summary["log_z_err"])),
        *forward_row(summary),
        ("epochs, steps", f"{summary['epochs']}, {summary['steps']}"),
        ("seconds", f"{summary['seconds']:.0f}"),
        ("checkpoint", checkpoint),
    ]
    return (
        f"\nReached, on {summary['n_samples']} fresh samples:\n{table(rows)}\n"
        f"Sample from it:\n  python sample.py ckpt_path={checkpoint}"
    )


def forward_row(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """The forward ESS, where a training was given an ensemble to measure it on."""
    if "forward_ess" not in summary:
        return []
    return [("forward ESS", fraction(summary["forward_ess"], summary["forward_ess_err"]))]


def sample_report(summary: dict[str, Any], folder: Path) -> str:
    """What a sampling run found, and where it is."""
    quality = [
        ("acceptance", number(summary["acceptance"], ".4f")),
        ("ESS", number(summary.get("ess"), ".4f")),
        ("log Z", measured(summary.get("log_z"))),
        ("free energy / V", measured(summary.get("free_energy_density"))),
        ("longest rejection run", number(summary.get("longest_rejection_run"), "d")),
        ("<sign M>", f"{summary['sign_balance']:.3f}"),
        ("Schwinger-Dyson", against(summary["schwinger_dyson"], 1)),
        ("samples per second", f"{summary['samples_per_second']:.0f}"),
    ]
    quality = [(name, text) for name, text in quality if text]
    tables: list[list[tuple[str, ...]]] = [[*quality], scalars(summary), vectors(summary)]
    files = ", ".join(p.name for p in sorted(folder.iterdir()) if p.suffix in FILES)
    body = "\n\n".join(table(rows) for rows in tables if rows)
    return f"\n{of_what(summary)}:\n{body}\n\nIn {shorten(str(folder))}: {files}"


def scalars(summary: dict[str, Any]) -> list[tuple[str, ...]]:
    """A row for each observable that is a number, reweighted too where it can be."""
    chain, reweighted = summary["kind"] != "weighted", summary.get("reweighted")
    rows = [("observable", "value", *["tau_int"] * chain, *["reweighted"] * bool(reweighted))]
    for name, found in summary["observables"].items():
        if isinstance(found, dict):
            row = [name, measured(found)]
            if chain:
                row.append(number(found["tau_int"], ".2f"))
            if reweighted:
                row.append(measured(reweighted[name]))
            rows.append(tuple(row))
    return rows


def vectors(summary: dict[str, Any]) -> list[tuple[str, ...]]:
    """A row for each observable that is a vector."""
    found = summary["observables"].items()
    return [
        (name, in_brief([measured(one) for one in values]))
        for name, values in found
        if isinstance(values, list)
    ]


def of_what(summary: dict[str, Any]) -> str:
    """What the rows of an ensemble are."""
    n, replicas = summary["n_samples"], summary["replicas"]
    if summary["kind"] == "weighted":
        return f"{n} weighted configurations"
    rows = "proposals" if summary["kind"] == "proposals" else "configurations"
    return f"{n} {rows} of {replicas} chains" if replicas > 1 else f"{n} {rows}"


def against(estimate: dict[str, float], exact: float) -> str:
    """A value with its error and how many errors it is from the exact one."""
    pull = (estimate["value"] - exact) / (estimate["error"] or math.nan)
    return f"{measured(estimate)}, exactly {exact}" + (
        f": {pull:+.1f} sigma" if math.isfinite(pull) else ""
    )
