"""Time series of other programs: read from files, and analysed."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from flowlat.analysis.gamma_method import Estimate
from flowlat.analysis.time_series import time_series
from flowlat.exchange.source import is_text, open_source
from flowlat.exchange.table import Table
from flowlat.utils.errors import ConfigError
from flowlat.utils.formatting import number, table, with_error


def read_series(path: Path) -> tuple[list[str], np.ndarray]:
    """The names of the columns, and ``(steps, columns)``; of text, CSV, or a .npy.

    Columns without names are called 1, 2, ...

    Raises:
        ConfigError: see :func:`flowlat.exchange.source.open_source`; or more than two axes.
    """
    with tempfile.TemporaryDirectory() as scratch:
        values = np.array(open_source(path, None, Path(scratch)), dtype=float)
    if values.ndim > 2:
        raise ConfigError(f"SOURCE={path}: {list(values.shape)}, not (steps,) or (steps, columns)")
    values = values.reshape(len(values), -1)
    names = Table(path).names if is_text(path) else []
    return names or [str(i + 1) for i in range(values.shape[1])], values


def analyse(
    paths: Sequence[Path],
    columns: Sequence[str] = (),
    columns_are_replicas: bool = False,
    discard: int = 0,
) -> dict[str, Estimate]:
    """Mean, error and tau_int by column, over all files, which are replicas.

    Args:
        columns: these alone; by default all.
        columns_are_replicas: of one quantity, which is called "all columns".
        discard: steps at the beginning of every replica.

    Raises:
        ConfigError: a file that cannot be read, columns that are not there or not the same in all
            files, or nothing left.
    """
    chains: dict[str, list[np.ndarray]] = {}
    for path in paths:
        names, values = read_series(path)
        if missing := [name for name in columns if name not in names]:
            raise ConfigError(f"columns={missing[0]}: SOURCE={path} has {', '.join(names)}")
        chosen = list(columns) or names
        if chains and not columns_are_replicas and chosen != list(chains):
            raise ConfigError(
                f"SOURCE={path}: columns {', '.join(chosen)}, and not {', '.join(chains)}"
            )
        if not 0 <= discard < len(values):
            raise ConfigError(f"discard={discard}: SOURCE={path} has {len(values)} steps")
        for name in chosen:
            key = "all columns" if columns_are_replicas else name
            chains.setdefault(key, []).append(values[discard:, names.index(name)])
    try:
        return {name: time_series(series, name) for name, series in chains.items()}  # type: ignore[misc]
    except ValueError as error:
        raise ConfigError(f"SOURCE={paths[0]}: {error}") from error


def series_report(found: dict[str, Estimate]) -> str:
    """A table of them."""
    rows = [("series", "value", "tau_int")]
    for name, estimate in found.items():
        tau = with_error(estimate.tau_int, estimate.tau_int_error)
        shown = tau if number(estimate.tau_int, "g") else "-"
        rows.append((name, with_error(estimate.value, estimate.error), shown))
    return table(rows)
