"""From run folders to the files of a report."""

import io
from collections.abc import Sequence
from pathlib import Path

from flowlat.report.compare.compare import comparison
from flowlat.report.compare.theory import exact_values
from flowlat.report.ensemble.chain import chain
from flowlat.report.ensemble.correlator import correlator
from flowlat.report.ensemble.history import history
from flowlat.report.ensemble.overview import observables, origin, overview
from flowlat.report.ensemble.weights import weights
from flowlat.report.page.blocks import Page, Section
from flowlat.report.page.html import pictures, render
from flowlat.report.sweep.study import study
from flowlat.report.training import training
from flowlat.runs.folders import Sampled, Study, Trained, read_run
from flowlat.utils.errors import ConfigError
from flowlat.utils.files import replacing


def build(paths: Sequence[Path]) -> Page:
    """The page of these run folders.

    Raises:
        ConfigError: a folder with nothing to report, or runs that have no page together.
        EnsembleError: an ensemble that cannot be read, or several of different theories.
    """
    runs = [read_run(path) for path in paths]
    sampled = [run for run in runs if isinstance(run, Sampled)]
    trained = [run for run in runs if isinstance(run, Trained)]
    studies = [run for run in runs if isinstance(run, Study)]
    if len(studies) > 1:
        raise ConfigError(f"RUN={studies[1].path}: one multirun a report")
    sections: list[Section] = [section for run in studies for section in study(run.path)]
    if trained:
        sections += training(trained)
    if len(sampled) == 1:
        sections += ensemble(sampled[0])
    elif sampled:
        sections += comparison(sampled)
    subtitle = sampled[0].ensemble.convention if sampled else "All values in lattice units."
    title = " and ".join(path.name or str(path.resolve().name) for path in paths)
    return Page(f"flowlat: {title}", subtitle, sections)


def ensemble(run: Sampled) -> list[Section]:
    """The sections of one ensemble."""
    sections = [
        Section("Ensemble", overview(run)),
        Section("Observables", observables(run, exact_values(run))),
        Section("Magnetization and action", history(run)),
        Section("Two-point function", correlator(run)),
        Section("Weights", weights(run)),
        Section("Markov chain", chain(run)),
        Section("Where it comes from", origin(run)),
    ]
    return [section for section in sections if section.blocks]


def write(page: Page, out: Path) -> Path:
    """Write report.html and the pictures, as PNG, into ``out``; the path of the former.

    Each is written whole or not at all, the page last.
    """
    out.mkdir(parents=True, exist_ok=True)
    images = {}
    for picture in pictures(page.sections):
        buffer = io.BytesIO()
        picture.figure.savefig(buffer, format="png", dpi=110)
        images[picture.name] = buffer.getvalue()
        with replacing(out / f"{picture.name}.png") as partial:
            partial.write_bytes(images[picture.name])
    path = out / "report.html"
    with replacing(path) as partial:
        partial.write_text(render(page, images), encoding="utf-8")
    return path
