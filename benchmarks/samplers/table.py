"""The rows in Markdown: who wins, what a training changes, how tau_int grows."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from flowlat.utils.formatting import with_error

Rows = Sequence[dict[str, Any]]

#: effective samples whose time is given with the training counted
N_TOTAL = 100_000
#: points that a fit needs
FEWEST = 3


def markdown(rows: Rows) -> str:
    """The three tables, one after another, as far as there are rows for them."""
    return "\n\n".join(filter(None, [rates(rows), trainings(rows), exponents(rows)]))


def rates(rows: Rows) -> str:
    """A line for each row; the winners of a point in bold."""
    lines = [
        "| point | lam | sampler | tau_int of \\|M\\| | chi2 | phi2 | C(L/2) | ms a row "
        "| effective / CPU s | / evaluation | log Z: error sqrt(CPU s) | thermalisation, CPU s |",
        "| --- | --: | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for r in rows:
        start = f"| {r['point']} | {r['lam']:g} | {r['sampler']} |"
        if "per_second" not in r:
            lines.append(f"{start} {r['reason']} |{' |' * 8}")
            continue
        pairs = zip(r.get("tau_int", ()), r.get("tau_int_error", ()), strict=True)
        mark = ">= " if r.get("bound") else ""
        taus = [mark + with_error(tau, error) for tau, error in pairs]
        taus = taus or [f"ESS {'<= ' if mark else ''}{r['ess']:.2f}", *[""] * 3]
        cells = [
            *taus,
            f"{1e3 * r['seconds'] / r['rows']:.3g}",
            bold(rows, r, "per_second", max, f"{r['per_second']:.3g}"),
            f"{r['per_evaluation']:.2g}",
            bold(rows, r, "log_z_cost", min, log_z(r)),
            f"{r['start_seconds']:.1f}",
        ]
        lines.append(f"{start} {' | '.join(cells)} |")
    return "\n".join(lines)


def log_z(row: dict[str, Any]) -> str:
    """What its error costs, at least where the weights are worth too little."""
    if "log_z_cost" not in row:
        return ""
    mark = ">= " if row["bound"] and "tau_int" not in row else ""
    return f"{mark}{row['log_z_cost']:.2g}"


def bold(rows: Rows, row: dict[str, Any], key: str, best: Any, text: str) -> str:
    """The text of a figure, bold if it is the best of its point."""
    values = [r[key] for r in rows if r["point"] == row["point"] and key in r]
    return f"**{text}**" if key in row and row[key] == best(values) else text


def trainings(rows: Rows) -> str:
    """What the training of a flow changes."""
    lines = [
        f"| point | sampler | flow | training, s | s for {N_TOTAL:,} effective samples, training "
        "not counted | counted | best without a flow, s | break-even, effective samples |",
        "| --- | --- | --- | --: | --: | --: | --- | --: |",
    ]
    for r in rows:
        if "training_seconds" not in r or "per_second" not in r:
            continue
        rivals = [o for o in rows if o["point"] == r["point"] and "training_seconds" not in o]
        best = max(rivals, key=lambda o: o.get("per_second", 0.0))
        own, other = N_TOTAL / r["per_second"], N_TOTAL / best["per_second"]
        gain = (other - own) / N_TOTAL
        even = f"{r['training_seconds'] / gain:.2g}" if gain > 0 else "never"
        cells = [r["point"], r["sampler"], r["flow"], f"{r['training_seconds']:.0f}"]
        cells += [f"{own:.3g}", f"{own + r['training_seconds']:.3g}"]
        lines.append(f"| {' | '.join(cells)} | {best['sampler']}, {other:.3g} | {even} |")
    return "\n".join(lines)


def exponents(rows: Rows) -> str:
    """Fits of tau_int ~ xi^z on the line, of each sampler that is on it often enough.

    xi is the second-moment correlation length of the cluster sampler.
    """
    line = [r for r in rows if r["line"] and "tau_int" in r]
    lengths = {r["point"]: r["xi"] for r in line if r["sampler"] == "cluster"}
    lines = [
        "| sampler | xi | z of chi2, in rows | in evaluations | z of the slowest, in rows "
        "| CPU s of an effective sample ~ V to the |",
        "| --- | --- | --: | --: | --: | --: |",
    ]
    for name in dict.fromkeys(r["sampler"] for r in line):
        own = [r for r in line if r["sampler"] == name and lengths.get(r["point"])]
        if len(own) < FEWEST:
            continue
        xi = [lengths[r["point"]] for r in own]
        relative = [r["tau_int_error"][1] / r["tau_int"][1] for r in own]
        slow = [int(np.argmax(r["tau_int"])) for r in own]
        volumes = [math.prod(r["shape"]) for r in own]
        slowest = [r["tau_int"][i] for i, r in zip(slow, own, strict=True)]
        errors = [r["tau_int_error"][i] / r["tau_int"][i] for i, r in zip(slow, own, strict=True)]
        fits = [
            exponent(xi, [r["tau_int"][1] for r in own], relative),
            exponent(xi, [r["tau_int"][1] * r["evaluations"] for r in own], relative),
            exponent(xi, slowest, errors),
            exponent(volumes, [1 / r["per_second"] for r in own], errors),
        ]
        found = " | ".join(with_error(*fit) for fit in fits)
        lines.append(f"| {name} | {min(xi):.1f} to {max(xi):.1f} | {found} |")
    return "\n".join(lines) if len(lines) > 2 else ""


def exponent(
    xi: Iterable[float], tau: Iterable[float], relative: Iterable[float]
) -> tuple[float, float]:
    """z and its error, of a straight line through log tau over log xi.

    Errors ``relative`` of tau; where the line misses by more than these allow, they are scaled so
    that it does not.
    """
    x, y = np.log(np.array([*xi])), np.log(np.array([*tau]))
    weight = 1 / np.array([*relative])
    columns = np.column_stack([np.ones_like(x), x]) * weight[:, None]
    inverse = np.linalg.inv(columns.T @ columns)
    found = inverse @ columns.T @ (y * weight)
    freedom = len(x) - 2
    missed = float(((columns @ found - y * weight) ** 2).sum())
    scale = max(1.0, missed / freedom) if freedom else 1.0
    return float(found[1]), math.sqrt(inverse[1, 1] * scale)
