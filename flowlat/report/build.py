"""From run folders to the page of a report."""

from collections.abc import Sequence
from pathlib import Path

from flowlat.report.compare.columns import label, lettered
from flowlat.report.compare.comparison import comparison
from flowlat.report.ensemble.chain import chain
from flowlat.report.ensemble.correlator import correlator
from flowlat.report.ensemble.history import history
from flowlat.report.ensemble.overview import observables, origin, overview
from flowlat.report.ensemble.weights import weights
from flowlat.report.page.blocks import Page, Section
from flowlat.report.page.header import Run, convention, header
from flowlat.report.scan.sections import scan_sections
from flowlat.report.sweep.study import study
from flowlat.report.training.learning_curves import training
from flowlat.runs.folders import Sampled, Scanned, Trained, read_run
from flowlat.runs.jobs import read_jobs
from flowlat.utils.errors import ConfigError


def build(paths: Sequence[Path], window: Sequence[int] | None = None) -> Page:
    """The page of these run folders.

    Args:
        window: t_min and t_max of the fit of the pole mass; None: as the sampling has it.

    Raises:
        ConfigError: a folder with nothing to report, runs that have no page together, or a window
            that C(t) does not have.
        EnsembleError: an ensemble that cannot be read, or several of different theories.
    """
    runs = [read_run(path) for path in paths]
    sampled = [run for run in runs if isinstance(run, Sampled)]
    trained = [run for run in runs if isinstance(run, Trained)]
    scanned = [run for run in runs if isinstance(run, Scanned)]
    studies = [run for run in runs if isinstance(run, Path)]
    if window and not len(sampled) == len(runs) == 1:
        raise ConfigError(f"--window={window[0]},{window[1]}: is of one run of sample.py alone")
    if len(studies) > 1:
        raise ConfigError(f"RUN={studies[1]}: one multirun a report")
    sections = [section for folder in studies for section in study(folder)]
    columns: dict[str, Sequence[Run]] = {
        str(folder): [job.run for job in read_jobs(folder) if job.run] for folder in studies
    }
    made: list[Run] = [*trained, *scanned]
    columns |= {str(run.path): [run] for run in made}
    letters = lettered(sampled)
    columns |= {label(*pair) if len(sampled) > 1 else "": [pair[1]] for pair in letters.items()}
    if trained:
        sections += training(trained)
    if scanned:
        sections += scan_sections(scanned)
    if sampled:
        sections += ensemble(sampled[0], window) if len(sampled) == 1 else comparison(sampled)
    if len(columns) == 1:  # its name is the title
        columns = {"": next(iter(columns.values()))}
    formulas = convention([run for column in columns.values() for run in column])
    subtitle = formulas or "All values in lattice units."
    title = " and ".join(path.name or path.resolve().name for path in paths)
    return Page(f"flowlat: {title}", subtitle, [Section("Runs", [header(columns)]), *sections])


def ensemble(run: Sampled, window: Sequence[int] | None = None) -> list[Section]:
    """The sections of one ensemble; ``window`` as in :func:`build`."""
    sections = [
        Section("Ensemble", overview(run)),
        Section("Observables", observables(run)),
        Section("Magnetization and action", history(run)),
        Section("Two-point function", correlator(run, window)),
        Section("Weights", weights(run)),
        Section("Markov chain", chain(run)),
        Section("Where it comes from", origin(run)),
    ]
    return [section for section in sections if section.blocks]
