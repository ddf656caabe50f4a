"""An ensemble file, open for reading: its header, checked, and the rows of its columns."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from flowlat.ensemble.file.hdf5 import attribute, datasets, reading
from flowlat.ensemble.file.layout import FORMAT, FORMAT_0_1, open_columns, parse_config
from flowlat.ensemble.foreign import IMPORT
from flowlat.lattice import Lattice
from flowlat.utils.errors import EnsembleError
from flowlat.utils.limits import COUNT


class EnsembleFile:
    """What an ensemble file says of itself, and its rows as they are.

    Raises:
        EnsembleError: the file is damaged, or not an ensemble of flowlat.
    """

    def __init__(self, path: Path):
        self.path = path
        with reading(path):
            # without a lock: nobody writes to a file with its name, a longer run renames it first
            self._file = h5py.File(path, "r", locking=False)
            try:
                self._read_header()
            except BaseException:
                self.close()
                raise

    def _read_header(self) -> None:
        self.format = self.attribute("format") if "format" in self._file.attrs else None
        if self.format not in (FORMAT, FORMAT_0_1):
            hint = "" if self.format else f"; {IMPORT}"
            raise EnsembleError(f"{self.path}: not an ensemble of flowlat ({FORMAT}){hint}")
        old = self.format == FORMAT_0_1
        self.kind: str = self.attribute("kind")
        self.replicas = int(self.attribute("replicas"))
        self.population = int(self.attribute("population"))
        self.config: dict[str, Any] = parse_config(self.attribute("config"))
        self.convention: str = self.attribute("convention")
        self.provenance: dict[str, Any] = json.loads(self.attribute("provenance", "{}"))
        if not (isinstance(self.convention, str) and isinstance(self.provenance, dict)):
            raise ValueError("convention or provenance: not a text or a mapping")
        has_checkpoint = "checkpoint_sha256" in self._file.attrs
        self.checkpoint_sha256 = self.attribute("checkpoint_sha256") if has_checkpoint else None
        self.shape = Lattice(self.config["lattice"]["shape"]).shape
        self._columns = open_columns(self._file, self.kind, self.config, self.shape, old)
        #: observables of which there are improved estimators, too
        names = self.config["observables"]
        self.improved = tuple(name for name in names if f"improved/{name}" in self._columns)
        #: rows of the file, and those that count
        self.n_rows = len(self._columns["action"])
        self.n = self.n_rows if old else int(self.attribute("n_samples"))
        sizes = (self.n, self.n_rows, self.replicas, self.population)
        too_many = self.n > self.n_rows or self.replicas > max(self.n_rows, COUNT)
        if min(sizes) < 1 or too_many or self.n % self.population:
            raise ValueError(f"n_samples, rows, replicas and population are {sizes}")
        #: from which on the chains count
        self.start_row = int(self.attribute("start_row", 0))
        if not 0 <= self.start_row < self.n or self.start_row % self.replicas:
            raise ValueError(f"start_row={self.start_row}: out of range")

    def __len__(self) -> int:
        return self.n

    def close(self) -> None:
        """Close the file. What has been read stays."""
        self._file.close()

    def attribute(self, name: str, *default: Any) -> Any:
        """An attribute of the file: text or number; the default, if there is one, for none."""
        with reading(self.path):
            if default and name not in self._file.attrs:
                return default[0]
            return attribute(self._file, name)

    def read(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """The rows of a column by its name: all that count, or those from ``start`` to ``stop``."""
        if name not in self._columns:
            known = ", ".join(self.config["observables"])
            raise EnsembleError(f"{self.path}: does not have {name} (measured: {known})")
        with reading(self.path):
            values: np.ndarray = self._columns[name][start : stop or self.n]
            if not np.isfinite(values).all():
                raise ValueError(f"{name}: NaN or infinity")
            return values

    def blocks(self, rows: int) -> Iterator[dict[str, np.ndarray]]:
        """The columns of every so many rows, those of the last block that do not count, too."""
        for start in range(0, self.n_rows, rows):
            yield {name: self.read(name, start, start + rows) for name in self._columns}

    def state(self) -> dict[str, np.ndarray]:
        """The sampler's state after the last row; a scalar has a shape of (1,)."""
        with reading(self.path):
            return {name: tensor[...] for name, tensor in datasets(self._file, "state").items()}
