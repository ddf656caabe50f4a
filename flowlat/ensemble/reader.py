"""The reader of ensemble.h5; what is in the file: ``flowlat.ensemble.file.layout``."""

import hashlib
import logging
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from flowlat.actions import Action
from flowlat.analysis.estimates import chain_obs
from flowlat.config.build import build_action, instantiate_all
from flowlat.config.trust import check_node
from flowlat.config.validation import check_nodes
from flowlat.ensemble.file.hdf5 import reading
from flowlat.ensemble.file.layout import FORMAT_0_1, fields_column
from flowlat.ensemble.file.opened import EnsembleFile
from flowlat.ensemble.foreign import require_own
from flowlat.observables import Observable
from flowlat.samplers import chain_index, longest_rejection_run
from flowlat.utils.errors import ConfigError, EnsembleError
from flowlat.utils.files import replacing

if TYPE_CHECKING:
    from pyerrors import Obs

log = logging.getLogger(__name__)


def open_ensemble(path: str | Path) -> "Ensemble":
    """The ensemble of a file or of a run folder; close it, or use it in a ``with`` statement.

    >>> with open_ensemble("samples/DATE/TIME") as ensemble:
    ...     phi = ensemble.configurations()  # (n, *shape), of all chains
    ...     chains = ensemble.configurations_by_replica()  # (steps, *shape) of each

    Raises:
        EnsembleError: no such file, truncated, damaged, or not an ensemble of flowlat.
    """
    path = Path(path)
    if (path / "parts").is_dir() and not (path / "ensemble.h5").exists():
        raise EnsembleError(f"{path}: not finished; sample.py goes on with it by resume=true")
    if path.is_dir():
        path = path / "ensemble.h5"
    if not path.is_file():
        raise EnsembleError(f"{path}: no such file")
    require_own(path)
    return Ensemble(path)


class Ensemble(EnsembleFile, AbstractContextManager["Ensemble"]):
    """An ensemble file, open for reading; see ``flowlat.ensemble.file.layout`` for what is in it.

    ``proposals``, ``log_weight`` and ``accepted`` are None where the file has none. Every method
    raises EnsembleError, in one line, on data that turn out to be damaged.
    """

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def proposals(self) -> np.ndarray | None:
        """All proposals of an independence chain ``(n, *shape)``, read anew each time."""
        return self._optional("proposals")

    @cached_property
    def action(self) -> np.ndarray:
        return self.read("action")

    @cached_property
    def log_weight(self) -> np.ndarray | None:
        return self._optional("log_weight")

    @cached_property
    def accepted(self) -> np.ndarray | None:
        return self._optional("accepted")

    @cached_property
    def measured(self) -> dict[str, np.ndarray]:
        """What every observable measures on each row, ``(n,)`` or ``(n, k)``."""
        return {name: self.read(f"measured/{name}") for name in self.config["observables"]}

    def chain_index(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """The row at which the chains stand after each step, int64 ``(n - start_row,)``; or of
        those from ``start`` to ``stop``."""
        return self._index[start:stop]

    @cached_property
    def _index(self) -> np.ndarray:
        if self.kind == "weighted":
            raise EnsembleError(f"{self.path}: a weighted ensemble is no chain")
        here = np.arange(self.start_row, self.n)
        if self.format == FORMAT_0_1:
            index = chain_index(self._flags(), self.replicas)[: self.n].numpy()
            return index if self.kind == "proposals" else here
        index = self.read("chain_index", self.start_row)
        if (index < 0).any() or (index > here).any():
            raise EnsembleError(f"{self.path}: chain_index: out of range")
        return index

    def longest_rejection_run(self) -> int | None:
        """The most steps in a row in which a replica stood still; None for a weighted ensemble."""
        weighted = self.kind == "weighted"
        return None if weighted else longest_rejection_run(self._flags(), self.replicas)

    def _flags(self) -> Tensor:
        """``accepted`` along the chains, made up to whole steps of all replicas by some that
        move."""
        missing, flags = -self.n % self.replicas, self.read("accepted", self.start_row)
        return torch.from_numpy(np.pad(flags, (0, missing), constant_values=True))

    def chains(self, name: str, improved: bool = False) -> list[np.ndarray]:
        """The series of ``measured[name]`` along the chain, one array a replica.

        The last step may not be that of every replica: the arrays may differ by one in length.
        ``improved``: of its improved estimator, which those in :attr:`improved` have.
        """
        column = f"{'improved' if improved else 'measured'}/{name}"
        series = self.read(column)[self.chain_index()]
        return [series[r :: self.replicas] for r in range(min(self.replicas, len(series)))]

    def configurations(self) -> np.ndarray:
        """All configurations, ``(n, *shape)``: a sample, and no time series.

        Of ``replicas`` chains the rows are step 0 of all of them, step 1 of all of them, and so on:
        row i belongs to chain i mod ``replicas``, and its neighbours are of other chains. What
        depends on the order, such as an autocorrelation, is that of
        :meth:`configurations_by_replica`. Those of a weighted ensemble have no order.
        """
        if not self.config["save_configs"]:
            raise EnsembleError(f"{self.path}: has no configurations (save_configs=false)")
        fields = self.read(fields_column(self.kind))
        return fields[self.chain_index()] if self.kind == "proposals" else fields

    def configurations_by_replica(self) -> list[np.ndarray]:
        """The configurations of each chain in the order of its steps, ``(steps, *shape)`` of each.

        Axis 0 is the time of the Markov chain. The last step may not be that of every replica: the
        arrays may differ by one in length.

        Raises:
            EnsembleError: a weighted ensemble, which is no chain.
        """
        self.chain_index()
        fields = self.configurations()
        return [fields[r :: self.replicas] for r in range(min(self.replicas, self.n))]

    def dataset(self) -> TensorDataset:
        """A torch Dataset of ``(phi,)``; of ``(phi, log_weight)`` for a weighted ensemble."""
        columns = [self.configurations()]
        if self.kind == "weighted":
            columns.append(self.read("log_weight"))
        return TensorDataset(*map(torch.from_numpy, columns))

    def save_npy(self, path: str | Path) -> None:
        """Write ``configurations()`` to a .npy file."""
        with replacing(Path(path)) as partial, partial.open("wb") as file:
            np.save(file, self.configurations(), allow_pickle=False)

    @cached_property
    def name(self) -> str:
        """A short hash of S in the first step of all chains, after "ensemble-".

        The same of a copy, of a run that went on, and of another of the same seed: one chain.
        """
        first = self.read("action", stop=self.replicas).astype("<f8")
        return f"ensemble-{hashlib.sha256(first.tobytes()).hexdigest()[:12]}"

    def obs(self, name: str, trust: bool = False, ensemble: str | None = None) -> "Obs | list[Obs]":
        """An observable of the chain, as its table has it, as a pyerrors Obs; of a vector, a list.

        Its replicas are "NAME|r0", "NAME|r1", ... What an observable is made of, such as M^2 and
        M^4 of a Binder cumulant, is in ``chains(name)``.

        Args:
            trust: see :meth:`observables`.
            ensemble: NAME, by which pyerrors tells what is correlated; None: :attr:`name`, so that
                two runs are independent.
        """
        chains = self.chains(name)
        if name not in (known := self.observables(trust)):
            raise EnsembleError(f"{self.path}: {name} is not flowlat's own: obs(..., trust=True)")
        return chain_obs(known[name], chains, self.name if ensemble is None else ensemble)

    def theory(self) -> Action:
        """The action, if its class is flowlat's own."""
        with reading(self.path):
            check_node(self.config["action"], "flowlat.actions", Action, "action")
            check_nodes(self.config["action"], "action.")
            return build_action(self.config)

    def observables(self, trust: bool = False) -> dict[str, Observable]:
        """The observables that were measured, by name.

        Args:
            trust: run the classes that the file names even if they are not flowlat's own. Without
                it those are left out, with a warning.
        """
        nodes = {}
        with reading(self.path):
            for name, node in self.config["observables"].items():
                try:
                    if not trust:
                        check_node(node, "flowlat.observables", Observable, f"observables.{name}")
                    nodes[name] = node
                except ConfigError as error:
                    log.warning("%s: %s; left out unless trusted", self.path, error)
            check_nodes(nodes, "observables.")
            return instantiate_all({"observables": nodes}, "observables")

    def _optional(self, name: str) -> np.ndarray | None:
        return self.read(name) if name in self._columns else None
