"""An ensemble as HDF5 whose axes have names, as xarray, netCDF and h5netcdf read them.

    phi         (replica, step, x0, x1, ...)    configurations, if they were saved
    action      (replica, step)                 S
    NAME        (replica, step[, NAME_element]) what each observable measures

Of a weighted ensemble (sample) stands for (replica, step), and log_weight is there. A last step
that not every replica has is NaN where it is missing. Each name is a dimension scale with
coordinates 0, 1, ... Attributes: convention, config (JSON), provenance (JSON).
"""

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from flowlat.ensemble import Ensemble
from flowlat.ensemble.file.hdf5 import CHUNK, creating, set_attribute
from flowlat.ensemble.file.layout import fields_column

#: numbers that are copied at once
NUMBERS = 2**22


def write_named(ensemble: Ensemble, path: Path) -> None:
    """Write it, in blocks."""
    weighted = ensemble.kind == "weighted"
    rows = len(ensemble) - ensemble.start_row
    replicas = min(ensemble.replicas, rows)
    steps = -(-rows // replicas)
    lead = {"sample": len(ensemble)} if weighted else {"replica": replicas, "step": steps}
    with creating(path) as file:
        for name in ("convention", "kind"):
            set_attribute(file, name, getattr(ensemble, name))
        set_attribute(file, "config", ensemble.config)
        set_attribute(file, "provenance", ensemble.attribute("provenance"))
        columns = {"action": "action"}
        if weighted:
            columns["log_weight"] = "log_weight"
        columns |= {name: f"measured/{name}" for name in ensemble.config["observables"]}
        for name, column in columns.items():
            row = ensemble.read(column, 0, 1).shape[1:]
            inner = {f"{name}_element": size for size in row}
            _write(file, ensemble, name, column, {**lead, **inner})
        if ensemble.config["save_configs"]:
            sides = {f"x{axis}": side for axis, side in enumerate(ensemble.shape)}
            _write(file, ensemble, "phi", fields_column(ensemble.kind), {**lead, **sides})


def _write(
    file: h5py.File, ensemble: Ensemble, name: str, column: str, sizes: dict[str, int]
) -> None:
    """A column along the chain, with its axes named."""
    shape, chained = tuple(sizes.values()), "step" in sizes
    row = shape[2:] if chained else shape[1:]
    replicas = shape[0] if chained else 1
    a_row = int(np.prod(row)) * 8
    long = min(shape[chained], max(1, CHUNK // a_row))
    node = file.create_dataset(
        name if name not in sizes else f"{name}_measured",
        shape,
        ensemble.read(column, 0, 1).dtype,
        chunks=((1,) if chained else ()) + (long, *row),
        fletcher32=True,
        fillvalue=np.nan,
    )
    for axis, (dimension, size) in enumerate(sizes.items()):
        if dimension not in file:
            file[dimension] = np.arange(size)
            file[dimension].make_scale(dimension)
        node.dims[axis].attach_scale(file[dimension])
    for start, values in blocks(ensemble, column, max(1, NUMBERS // a_row) * replicas):
        if not chained:
            node[start : start + len(values)] = values
            continue
        first = start // replicas
        for replica in range(replicas):
            series = values[replica::replicas]
            node[replica, first : first + len(series)] = series


def blocks(ensemble: Ensemble, column: str, rows: int) -> Iterator[tuple[int, np.ndarray]]:
    """The rows of a column, along the chain where there is one, from each so many on."""
    index = None if ensemble.kind == "weighted" else ensemble.chain_index()
    end = len(ensemble) - ensemble.start_row
    for start in range(0, end, rows):
        stop = min(start + rows, end)
        if index is None:
            yield start, ensemble.read(column, start, stop)
        else:
            here = index[start:stop]
            first = int(here.min())  # of a proposal that is held, some rows before
            yield start, ensemble.read(column, first, int(here.max()) + 1)[here - first]
