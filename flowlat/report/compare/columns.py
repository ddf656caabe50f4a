"""Values with errors of several runs in columns, and the pulls between them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from flowlat.analysis.trust import SUSPICIOUS
from flowlat.report.page.blocks import Table
from flowlat.runs.folders import Sampled
from flowlat.utils.formatting import number, with_error

#: value and error by name; element t of a vector goes by ``name(t)``
Values = dict[str, tuple[float, float]]


class Column(NamedTuple):
    """Values with errors under a label; exact ones have error 0."""

    label: str
    values: Values


class Comparison:
    """The columns, and the pulls between them.

    ``numbers`` and ``vectors`` are the names, of elements t for the latter, that several have.
    """

    def __init__(self, exact: Column, columns: list[Column], reference: Column):
        self.exact, self.columns, self.reference = exact, columns, reference
        names = dict.fromkeys(name for column in columns for name in column.values)
        shared = [n for n in names if sum(n in c.values for c in (exact, *columns)) > 1]
        self.numbers = [name for name in shared if "(" not in name]
        self.vectors = [name for name in shared if "(" in name]

    def pull(self, column: Column, name: str) -> float:
        """The difference over its error; NaN where there is nothing to compare with."""
        # log Z is not to be had from HMC: then the first column that has a value is the reference
        order = [self.exact, self.reference, *self.columns]
        other = next((c for c in order if name in c.values), column)
        if other is column or name not in column.values:
            return math.nan
        (value, error), (reference, its_error) = column.values[name], other.values[name]
        return (value - reference) / (math.hypot(error, its_error) or math.nan)

    def pulls(self, names: Sequence[str]) -> dict[str, dict[str, float]]:
        """Label of the column -> name -> pull, of those that exist."""
        pulls = {
            c.label: {n: pull for n in names if math.isfinite(pull := self.pull(c, n))}
            for c in self.columns
        }
        return {label: values for label, values in pulls.items() if values}

    def table(self, names: Sequence[str], what: str) -> Table:
        """A row for each name, marked where a pull is suspicious; the exact values if any exist."""
        known = any(name in self.exact.values for name in names)
        head = [what, *["exact"] * known]
        for column in self.columns:
            head += [column.label, "pull"]
        rows, marked = [], set()
        for index, name in enumerate(names):
            exact = self.exact.values.get(name, (None,))[0]
            row = [name, *[number(exact, ".6g")] * known]
            for column in self.columns:
                pull = self.pull(column, name)
                row.append(with_error(*column.values[name]) if name in column.values else "")
                row.append(number(pull, "+.2f"))
                if abs(pull) > SUSPICIOUS:
                    marked.add(index)
            rows.append(row)
        return Table(head, rows, "Lattice units.", frozenset(marked))


def lettered(runs: Sequence[Sampled]) -> dict[str, Sampled]:
    """Runs by a letter, in their order."""
    return {chr(ord("A") + number): run for number, run in enumerate(runs)}


def label(letter: str, run: Sampled) -> str:
    """A letter and the sampler: A hmc."""
    return f"{letter} {run.summary.get('sampler') or run.ensemble.kind}"


def columns_of(letter: str, run: Sampled) -> list[Column]:
    """The values of a run: of its chain, by clusters and of its weights where it has these too."""
    columns = [Column(label(letter, run), with_errors(run.summary["observables"]))]
    if run.summary.get("improved"):
        columns.append(Column(f"{letter} improved", with_errors(run.summary["improved"])))
    if run.summary.get("pole_mass"):  # of the improved two-point function, if there is one
        columns[-1].values.update(with_errors({"pole_mass": run.summary["pole_mass"]}))
    if run.summary.get("reweighted"):
        columns.append(Column(f"{letter} reweighted", with_errors(run.summary["reweighted"])))
    if run.summary.get("log_z"):
        columns[-1].values.update(with_errors({"log_z": run.summary["log_z"]}))
    return columns


def with_errors(values: Mapping[str, Any]) -> Values:
    """Those summary entries that have a value and an error."""
    return {name: v for name, v in flat(values).items() if all(map(math.isfinite, v))}


def flat(values: Mapping[str, Any]) -> Values:
    """Entries of a summary as pairs, NaN for null; exact numbers and vectors, with error 0."""
    pairs: Values = {}
    for name, entry in values.items():
        if isinstance(entry, dict):
            value, error = (math.nan if v is None else v for v in (entry["value"], entry["error"]))
            pairs[name] = value, error
        elif isinstance(entry, float):
            pairs[name] = entry, 0.0
        else:
            pairs |= flat({f"{name}({t})": element for t, element in enumerate(entry)})
    return pairs
