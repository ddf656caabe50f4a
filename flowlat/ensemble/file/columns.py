"""What is written into an open ensemble file: rows of its columns, attributes, a state."""

from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

from flowlat.ensemble.file.hdf5 import chunks, create_dataset, set_attribute
from flowlat.utils.errors import EnsembleError


class Columns:
    """The columns of a file, to which rows are appended.

    Args:
        rows: that they are to come to.
    """

    def __init__(self, file: h5py.File, rows: int):
        self.file, self.rows = file, rows
        # kept open: a dataset that is opened again reads its last chunk again
        self._columns: dict[str, h5py.Dataset] = {}

    def append(self, values_of: Mapping[str, np.ndarray]) -> None:
        """Add rows to columns by name. EnsembleError if those before have another shape."""
        for name, values in values_of.items():
            column = self._column(name, values)
            start = len(column)
            if (shape := values.shape[1:]) != column.shape[1:]:
                raise EnsembleError(f"{name}: {shape} in a row, {column.shape[1:]} before")
            column.resize(start + len(values), axis=0)
            column[start:] = values

    def _column(self, name: str, values: np.ndarray) -> h5py.Dataset:
        if name not in self._columns:
            if name not in self.file:
                create_dataset(self.file, name, (0, *values.shape[1:]), values.dtype, self.rows)
            self._columns[name] = self.file[name]
        return self._columns[name]


def can_grow(file: h5py.File, rows: int) -> bool:
    """Whether the columns can have so many rows, in chunks that are not much too small."""
    fit = []

    def visit(name: str, node: h5py.Group | h5py.Dataset) -> None:
        if isinstance(node, h5py.Dataset) and not name.startswith("state/"):
            whole = (rows, *node.shape[1:])
            least = chunks(whole, node.dtype)[0] / 2
            fit.append(node.maxshape[0] is None and node.chunks[0] >= least)

    file.visititems(visit)
    return all(fit)


def describe(
    file: h5py.File, attributes: Mapping[str, Any], state: Mapping[str, np.ndarray]
) -> None:
    """Write attributes, and the sampler's state after the last row, over those that are there."""
    for name, value in attributes.items():
        set_attribute(file, name, value)
    for name, values in state.items():
        values = np.atleast_1d(values)
        if (name := f"state/{name}") not in file:
            create_dataset(file, name, values.shape, values.dtype)
        file[name][:] = values
