"""The ensemble file, ensemble.h5.

Datasets, one row a proposal, in the order in which they were proposed:

    phi           (n, *shape)   the proposed configurations, if they were to be saved
    log_weight    (n,) float64  log w = -S - log q
    action        (n,) float64  S[phi]
    accepted      (n,) bool     whether the Metropolis-Hastings step took the proposal

A rejected proposal repeats the configuration before it: step i of the chain is proposal
``chain_index(accepted)[i]``. The proposals with their weights serve for reweighting as well.

Attributes: ``config`` (JSON), ``convention`` of the action, ``provenance`` (JSON), ``seed``,
``checkpoint_sha256``, ``complete``.
"""

import json
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor

from flowlat.evaluation import Proposals


class EnsembleWriter:
    """Appends batches of proposals to a new file; use it in a ``with`` statement.

    The file grows under a temporary name and gets its own when it is complete.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, ...],
        dtype: torch.dtype,
        save_configs: bool,
        **attrs: Any,
    ):
        self.path = path
        self._partial = path.with_name(f".{path.name}.partial")
        self._file = h5py.File(self._partial, "w")
        for key, value in attrs.items():
            self._file.attrs[key] = json.dumps(value) if isinstance(value, dict) else value
        for name in ("log_weight", "action"):
            self._create(name, (), np.float64)
        if save_configs:
            self._create("phi", shape, np.float64 if dtype == torch.float64 else np.float32)

    def append(self, batch: Proposals) -> None:
        """Add the proposals of a batch."""
        columns = {"log_weight": batch.log_weight, "action": batch.action}
        if "phi" in self._file:
            columns["phi"] = batch.phi
        for name, values in columns.items():
            data = self._file[name]
            n = len(data)
            data.resize(n + len(values), axis=0)
            data[n:] = values.cpu().numpy()

    def finish(self, accepted: Tensor) -> None:
        """Add the accept flags, and give the file its name."""
        self._file.create_dataset(
            "accepted", data=accepted.numpy(), chunks=True, compression="gzip"
        )
        self._file.close()
        self._partial.replace(self.path)

    def __enter__(self) -> "EnsembleWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        self._partial.unlink(missing_ok=True)

    def _create(self, name: str, shape: tuple[int, ...], dtype: Any) -> None:
        volume = int(np.prod(shape))
        # chunks of about a megabyte
        rows = max(1, 2**20 // (volume * np.dtype(dtype).itemsize))
        self._file.create_dataset(
            name, (0, *shape), dtype=dtype, maxshape=(None, *shape), chunks=(rows, *shape)
        )
