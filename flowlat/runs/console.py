"""What a training and a sampling print: at their end, and beside a bar."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from itertools import compress
from pathlib import Path
from typing import Any

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from flowlat.utils.formatting import (
    fraction,
    in_brief,
    measured,
    number,
    shorten,
    table,
    typed,
    with_error,
)

#: what a sampling run leaves in its folder
FILES = (".h5", ".png", ".json", ".html")
#: follows what is made of improved estimators
IMPROVED = " (improved)"


@contextmanager
def lines_above(bar: tqdm) -> Iterator[None]:
    """Within, what is logged to a terminal stands above the bar, and not in the middle of it."""
    with nullcontext() if bar.disable else logging_redirect_tqdm():
        yield


def fit_report(summary: dict[str, Any]) -> str:
    """What a training reached, where it is, and how to sample from it."""
    checkpoint = shorten(summary["checkpoint"])
    rows = [
        ("ESS", f"{summary['ess']:.4f}"),
        ("acceptance", f"{summary['acceptance']:.4f}"),
        ("phase", summary["phase"]),
        ("epochs, steps", f"{summary['epochs']}, {summary['steps']}"),
        ("seconds", f"{summary['seconds']:.0f}"),
        ("checkpoint", checkpoint),
    ]
    if "log_z" in summary:  # not of a family, which has many
        rows.insert(2, ("log Z", with_error(summary["log_z"], summary["log_z_err"])))
    if "forward_ess" in summary:  # there was an ensemble to measure it on
        forward = fraction(summary["forward_ess"], summary["forward_ess_err"])
        rows.insert(3, ("forward ESS", forward))
    if k := number(summary.get("pareto_k"), ".2f"):
        rows.insert(1, ("Pareto k", k))
    where, theory = "", ""
    if points := summary.get("map"):
        where = f" at each of {len(points)} points, nine of ten have more"
        rows.insert(1, ("least ESS", f"{summary['least_ess']:.4f}"))
        shape, m2, lam = (points[0][name] for name in ("shape", "m2", "lam"))
        sides = f"lattice={len(shape)}d lattice.shape={list(shape)}".replace(", ", ",")
        theory = f" {sides} action.m2={m2:g} action.lam={lam:.4g}"
    return (
        f"\nReached, on {summary['n_samples']} fresh samples{where}:\n{table(rows)}\n\n"
        f"{alarms(summary)}Sample from it:\n"
        f"  python sample.py {typed('ckpt_path', checkpoint)}{theory}"
    )


def sample_report(summary: dict[str, Any], folder: Path) -> str:
    """What a sampling run measured, and where it is."""
    improved = summary.get("improved") or {}
    vectors = {
        name: in_brief([measured(element) for element in entry]) + IMPROVED * (name in improved)
        for name, entry in {**summary["observables"], **improved}.items()
        if isinstance(entry, list)
    }
    mass = summary.get("pole_mass") or {}
    of = f" of {mass['of']}" if mass.get("of", "two_point") != "two_point" else ""
    of += IMPROVED * mass.get("improved", False)
    # of the function that decays, as the pole mass and the report are, however it was measured
    if found := mass.get("effective_mass"):
        vectors["effective_mass"] = in_brief([measured(element) for element in found]) + of
    if mass.get("fits"):
        vectors["pole_mass"] = f"{measured(mass) or '-'}{of}, {cosh_fit(mass['fits'])}"
    tables = quality(summary), scalars(summary), [*vectors.items()]
    body = "\n\n".join(table(rows) for rows in tables if rows)
    files = ", ".join(p.name for p in sorted(folder.iterdir()) if p.suffix in FILES)
    end = f"{alarms(summary)}In {shorten(str(folder))}: {files}"
    return f"\n{contents(summary)}:\n{body}\n\n{end}"


def cosh_fit(fits: Sequence[Mapping[str, Any]]) -> str:
    """Over which t the fits of a pole mass went, and the quality of the one of largest weight."""
    best = max(fits, key=lambda fit: number(fit["weight"], ".17f"))
    span = f"t = {best['t_min']} to {best['t_max']}"
    several = f"{len(fits)} windows, {span} of weight {number(best['weight'], '.2f')}"
    quality = f"chi2 = {number(best['chi2'], '.2f') or '-'}, dof = {best['dof']}"
    p_value = number(best["p_value"], ".2g")
    where = f"cosh fits over {several}" if len(fits) > 1 else f"cosh fit over {span}"
    return f"{where}: {quality}" + (f", p = {p_value}" if p_value else "")


def alarms(summary: dict[str, Any]) -> str:
    """A line for each thing that cannot be trusted, and a blank one."""
    lines = [f"WARNING: {warning['text']}\n" for warning in summary["warnings"]]
    return "".join([*lines, "\n"]) if lines else ""


def quality(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """The figures of quality that an ensemble has."""
    figures = [
        ("acceptance", number(summary["acceptance"], ".4f")),
        ("ESS", number(summary.get("ess"), ".4f")),
        ("Pareto k", number(summary.get("pareto_k"), ".2f")),
        ("log Z", with_systematic(summary.get("log_z"))),
        ("free energy / V", measured(summary.get("free_energy_density"))),
        ("longest rejection run", number(summary.get("longest_rejection_run"), "d")),
        ("forces a trajectory", number(summary.get("n_forces"), "d")),
        ("clusters an update", number(summary.get("clusters_an_update"), "d")),
        ("<sign M>", f"{summary['sign_balance']:.3f}"),
        ("Schwinger-Dyson", against(summary["schwinger_dyson"], 1)),
        ("samples per second", number(summary.get("samples_per_second"), ".0f")),
    ]
    return [figure for figure in figures if figure[1]]


def with_systematic(estimate: Mapping[str, Any] | None) -> str:
    """A value with its statistical error, and its systematic one where there is any."""
    systematic = (estimate or {}).get("systematic")
    return measured(estimate) + (f" [systematic {systematic:.1g}]" if systematic else "")


def scalars(summary: dict[str, Any]) -> list[tuple[str, ...]]:
    """A row for each observable that is a number, reweighted or improved too where it can be."""
    others = [summary.get(how) or {} for how in ("reweighted", "improved")]
    rows = [("observable", "value", "tau_int", "reweighted", "improved")]
    for name, entry in summary["observables"].items():
        if isinstance(entry, dict):
            tau_int = number(entry["tau_int"], ".2f")
            rows.append((name, measured(entry), tau_int, *(measured(o.get(name)) for o in others)))
    columns = True, True, summary["kind"] != "weighted", *map(bool, others)
    return [tuple(compress(row, columns)) for row in rows]


def contents(summary: dict[str, Any]) -> str:
    """What the rows of an ensemble are, and how many."""
    n, replicas = summary["n_samples"], summary["replicas"]
    if summary["kind"] == "weighted":
        return f"{n} weighted configurations"
    rows = "proposals" if summary["kind"] == "proposals" else "configurations"
    return f"{n} {rows} of {replicas} chains" if replicas > 1 else f"{n} {rows}"


def pull(estimate: Mapping[str, Any] | None, exact: float) -> float:
    """How many errors a value is from the exact one; NaN where there is no value or no error."""
    if not estimate or estimate["value"] is None:
        return math.nan
    return (estimate["value"] - exact) / (estimate["error"] or math.nan)


def against(estimate: Mapping[str, Any], exact: float) -> str:
    """A value with its error and how many errors it is from the exact one."""
    sigma = number(pull(estimate, exact), "+.1f")
    return f"{measured(estimate)}, exactly {exact}" + (f": {sigma} sigma" if sigma else "")
