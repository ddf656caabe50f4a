"""Several ensembles of one theory side by side, with pulls against a reference."""

from collections.abc import Sequence

from flowlat.report.compare.columns import Column, Comparison, columns_of, flat, label
from flowlat.report.compare.panels import modes, pulls, ratios
from flowlat.report.compare.theory import exact_values, require_same_theory
from flowlat.report.page.blocks import Block, Section, Table, Text
from flowlat.runs.folders import Sampled


def comparison(runs: Sequence[Sampled]) -> list[Section]:
    """Tables and pictures of several ensembles.

    Raises:
        EnsembleError: they are of different theories or lattices.
    """
    require_same_theory(runs)
    letters = [chr(ord("A") + i) for i in range(len(runs))]
    exact = Column("exact", flat(exact_values(runs[0])))
    columns = [c for pair in zip(letters, runs, strict=True) for c in columns_of(*pair)]
    # HMC needs no flow to be right: it is what the others are held against
    kinds = [run.ensemble.kind for letter, run in zip(letters, runs, strict=True)]
    first = letters[kinds.index("chain")] if "chain" in kinds else letters[0]
    reference = next(column for column in columns if column.label.startswith(first))
    table = Comparison(exact, columns, reference)
    legend = [
        [letter, run.summary.get("sampler", ""), str(run.ensemble.n), str(run.path)]
        for letter, run in zip(letters, runs, strict=True)
    ]
    rule = (
        "A pull is the difference from the exact value, where there is one, else from "
        f"{reference.label} (or the first that has one), over the error of that difference. The "
        "numbers of one run are correlated, and so are its chain and its reweighted values."
    )
    blocks: list[Block] = [Text(rule), table.render(table.numbers(), "observable")]
    vectors = table.vectors()
    if vectors:
        blocks.append(table.render(vectors, "at t"))
    figures: list[Block] = [pulls(table.pulls(table.numbers()))]
    if any(name.startswith("two_point(") for name in vectors):
        figures.append(ratios(exact.values, columns, reference))
    figures += modes([label(*pair) for pair in zip(letters, runs, strict=True)], runs)
    return [
        Section("Runs", [Table(["", "sampler", "configurations", "folder"], legend)]),
        Section("Side by side", blocks),
        Section("Pictures", figures),
    ]
