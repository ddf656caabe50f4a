"""Ensembles for other programs: .npy, .h5 with named dimensions, .csv, pyerrors' .json.gz."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowlat.analysis.gamma_method import Estimate
from flowlat.ensemble import Ensemble
from flowlat.ensemble.summary import summarize
from flowlat.exchange.named import write_named
from flowlat.utils.errors import ConfigError, WriteError
from flowlat.utils.files import replacing

if TYPE_CHECKING:
    from pyerrors import Obs

#: columns of the table
TABLE = ("observable", "element", *Estimate._fields)


def write_npy(ensemble: Ensemble, path: Path) -> None:
    """The configurations ``(n, *shape)``, row i of replica i mod ``replicas``."""
    ensemble.save_npy(path)


def write_csv(ensemble: Ensemble, path: Path) -> None:
    """A row for each observable, of a vector for each element: value, error, tau_int, its error."""
    observables = ensemble.observables()
    averages = summarize(ensemble, observables, even=False)["observables"]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(TABLE)
        for name, entry in averages.items():
            elements = entry if isinstance(entry, list) else [entry]
            for i, element in enumerate(elements):
                shown = i if isinstance(entry, list) else ""
                writer.writerow([name, shown, *(element[key] for key in Estimate._fields)])


def write_pyerrors(ensemble: Ensemble, path: Path) -> None:
    """The observables of a chain as ``pyerrors.input.json.load_json_dict`` reads them."""
    from pyerrors.input.json import dump_dict_to_json

    found: dict[str, Any] = {}
    for name in ensemble.observables():
        obs = ensemble.obs(name)
        found[name] = [in_one(o) for o in obs] if isinstance(obs, list) else in_one(obs)
    description = json.dumps({"action": ensemble.config["action"], "shape": list(ensemble.shape)})
    named = path.with_name(f"{path.name}.json.gz")  # it takes no other name
    dump_dict_to_json(found, str(named), description)
    named.replace(path)


def in_one(obs: "Obs") -> "Obs":
    """The same with its replicas one after another, in one series with gaps between them.

    What is read from a file, pyerrors takes around the mean of each replica, and the error of many
    short ones is too small; a series has one mean, and nothing is correlated across a gap.
    """
    from pyerrors import Obs

    steps = max(len(deltas) for deltas in obs.deltas.values())
    configurations: list[int] = []
    samples: list[float] = []
    ensemble = obs.names[0].partition("|")[0]
    for replica in range(len(obs.names)):
        deltas = obs.deltas[f"{ensemble}|r{replica}"]
        first = 2 * steps * replica + 1
        configurations += range(first, first + len(deltas))
        samples += list(deltas + obs.value)
    return Obs([samples], [ensemble], idl=[configurations])


#: end of a file's name -> what writes it
FORMATS: dict[str, Callable[[Ensemble, Path], None]] = {
    ".npy": write_npy,
    ".h5": write_named,
    ".nc": write_named,
    ".csv": write_csv,
    ".json.gz": write_pyerrors,
}


def export(ensemble: Ensemble, path: str | Path) -> None:
    """Write an ensemble to a file, in the format that its name asks for.

    Raises:
        ConfigError: another name, or a file that is there already.
        EnsembleError: what the ensemble does not have, such as a chain for pyerrors.
        WriteError: it cannot be written.
    """
    path = Path(path)
    found = [end for end in FORMATS if path.name.endswith(end)]
    if not found:
        raise ConfigError(f"OUT={path}: the name has to end in {', '.join(FORMATS)}")
    if path.exists():
        raise ConfigError(f"OUT={path}: is there already; nothing is written over")
    try:
        with replacing(path) as partial:
            FORMATS[found[0]](ensemble, partial)
    except OSError as error:
        raise WriteError(f"OUT={path}: cannot be written ({error.strerror})") from error
