"""Several ensembles of one theory side by side, with pulls against a reference."""

from collections.abc import Sequence

from flowlat.config.compare import differences
from flowlat.ensemble.reference import theory_of
from flowlat.report.compare.columns import Column, Comparison, columns_of, flat, label, lettered
from flowlat.report.compare.cost import cost
from flowlat.report.compare.pictures import histograms, pulls, ratios
from flowlat.report.ensemble.overview import exact_values
from flowlat.report.page.alarms import alarms
from flowlat.report.page.blocks import Block, Section, Text
from flowlat.runs.folders import Sampled
from flowlat.utils.errors import EnsembleError


def comparison(runs: Sequence[Sampled]) -> list[Section]:
    """Tables and pictures of several ensembles.

    Raises:
        EnsembleError: they are of different theories or lattices.
    """
    theories = [theory_of(run.ensemble.config) for run in runs]
    for run, theory in zip(runs, theories, strict=True):
        for key, (value, other) in differences(theories[0], theory).items():
            raise EnsembleError(
                f"runs {runs[0].path} and {run.path} cannot be compared: "
                f"{key}={other} against {value}"
            )
    letters = lettered(runs)
    exact = Column("exact", flat(exact_values(runs[0])))
    columns = [column for pair in letters.items() for column in columns_of(*pair)]
    # HMC needs no flow to be right: it is what the others are held against
    first = next((key for key, run in letters.items() if run.ensemble.kind == "chain"), "A")
    reference = next(column for column in columns if column.label.startswith(first))
    compared = Comparison(exact, columns, reference)
    rule = (
        "A pull is the difference from the exact value, where there is one, else from "
        f"{reference.label} (or the first that has one), over the error of that difference. The "
        "numbers of one run are correlated, and so are its chain and its reweighted values."
    )
    tables: list[Block] = [Text(rule), compared.table(compared.numbers, "observable")]
    if compared.vectors:
        tables.append(compared.table(compared.vectors, "at t"))
    found = compared.pulls(compared.numbers)
    pictures = [pulls(found)] if found else []  # of short runs no value may have an error
    if any(name.startswith("two_point(") for name in compared.vectors):
        pictures.append(ratios(exact, columns, reference))
    pictures += histograms({label(*pair): pair[1] for pair in letters.items()})
    warned = [text for pair in letters.items() for text in alarms(pair[1].summary, label(*pair))]
    return [
        Section("Cost", [*warned, cost(letters)]),
        Section("Side by side", tables),
        Section("Pictures", pictures),
    ]
