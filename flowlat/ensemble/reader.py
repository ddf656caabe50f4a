"""The ensemble file, ensemble.h5, and its reader.

Datasets, one row a configuration, in the order in which they were drawn:

    phi            (n, *shape)    the configurations, if they were to be saved
    action         (n,) float64   S[phi]
    log_weight     (n,) float64   log w = -S - log q; kinds "proposals" and "weighted"
    accepted       (n,) bool      kinds "proposals" and "chain"
    measured/NAME  (n,) or (n, k) float64, what each observable measures

Row i belongs to replica i mod ``replicas``. What the rows are, their ``kind``:

    proposals   of an independence chain; a rejected one repeats the configuration before it in its
                replica, so step i of the chains is row ``chain_index()[i]``; the proposals with
                their weights serve for reweighting as well
    chain       the states of Markov chains; ``accepted`` says whether the step moved
    weighted    no chain: they count as their weights say, and those of one ``population``
                (consecutive rows) depend on each other

Attributes: ``format``, ``kind``, ``replicas``, ``population`` (1 unless weighted), ``config`` of
the run (JSON; with lattice, action and the flow, if any), ``convention`` of the action,
``provenance`` (JSON), ``seed``, ``checkpoint_sha256`` (if any), ``seconds`` it took to draw,
``blocks`` drawn, ``complete``. ``last_block`` is the last block as it was drawn, with the state
after it (a numpy .npz), from which a longer run goes on.
"""

import logging
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from pyerrors import Obs
from torch import Tensor
from torch.utils.data import TensorDataset

from flowlat.actions import Action
from flowlat.analysis.gamma_method import replicas
from flowlat.config.build import build_action, instantiate_all
from flowlat.config.schemas import SampleConfig
from flowlat.config.trust import check_node
from flowlat.config.validation import check
from flowlat.ensemble.hdf5 import attribute, dataset, group, reading
from flowlat.ensemble.layout import parse_config, require_columns
from flowlat.lattice import Lattice
from flowlat.observables import Observable
from flowlat.samplers import chain_index, longest_rejection_run
from flowlat.utils.errors import ConfigError, EnsembleError
from flowlat.utils.files import replacing
from flowlat.utils.limits import COUNT

log = logging.getLogger(__name__)

FORMAT = "flowlat ensemble 1"


def open_ensemble(path: str | Path) -> "Ensemble":
    """The ensemble of a file or of a run folder; close it, or use it in a ``with`` statement.

    >>> with open_ensemble("samples/DATE/TIME") as ensemble:
    ...     phi = ensemble.configurations()  # (n, *shape)

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
    return Ensemble(path)


class Ensemble:
    """An ensemble file, open for reading; see the top of this module for what is in it.

    ``phi``, ``log_weight`` and ``accepted`` are None where the file has none. Every method raises
    EnsembleError, in one line, on data that turn out to be damaged.
    """

    def __init__(self, path: Path):
        self.path = path
        with reading(path):
            self._file = h5py.File(path, "r", locking=False)  # nobody writes to it: see store.py
        try:
            with reading(path):
                self._read_header()
                require_columns(self._file, self.kind, self.n, self.shape)
        except EnsembleError:
            self.close()
            raise

    def _read_header(self) -> None:
        if "format" not in self._file.attrs or self.attribute("format") != FORMAT:
            raise EnsembleError(f"{self.path}: not an ensemble of flowlat ({FORMAT})")
        self.kind: str = self.attribute("kind")
        self.replicas = int(self.attribute("replicas"))
        self.population = int(self.attribute("population"))
        self.config: dict[str, Any] = parse_config(self.attribute("config"))
        self.convention: str = self.attribute("convention")
        self.shape = Lattice(self.config["lattice"]["shape"]).shape
        self.n: int = dataset(self._file, "action").shape[0]
        if not self.attribute("complete"):
            raise ValueError("not complete")
        sizes = (self.n, self.replicas, self.population)
        # rows are made up to whole steps of all replicas
        if min(sizes) < 1 or self.n % self.population or self.replicas > max(self.n, COUNT):
            raise ValueError(f"rows, replicas and population are {sizes}")

    def __len__(self) -> int:
        return self.n

    def __enter__(self) -> "Ensemble":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. What has been read stays."""
        self._file.close()

    def attribute(self, name: str) -> Any:
        """An attribute of the file: text or number."""
        with reading(self.path):
            return attribute(self._file, name)

    def read(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """A dataset by its name in the file, or some of its rows."""
        with reading(self.path):
            values = self._file[name][start:stop]
            if not np.isfinite(values).all():
                raise ValueError(f"{name}: NaN or infinity")
            return values

    @property
    def phi(self) -> np.ndarray | None:
        """The rows ``(n, *shape)``, read anew each time."""
        return self._optional("phi")

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
        return {name: self._measured(name) for name in self._names()}

    def chain_index(self) -> np.ndarray:
        """The row at which the chains stand after each step, ``(n,)`` int64."""
        return self._index

    @cached_property
    def _index(self) -> np.ndarray:
        if self.kind == "weighted":
            raise EnsembleError(f"{self.path}: a weighted ensemble is no chain")
        if self.kind == "chain":
            return np.arange(self.n)
        return chain_index(self._flags(), self.replicas)[: self.n].numpy()

    def longest_rejection_run(self) -> int | None:
        """The most steps in a row in which a replica stood still; None for a weighted ensemble."""
        if self.accepted is None:
            return None
        return longest_rejection_run(self._flags(), self.replicas)

    def _flags(self) -> Tensor:
        """``accepted``, made up to whole steps of all replicas by some that move."""
        assert self.accepted is not None
        return torch.from_numpy(
            np.pad(self.accepted, (0, -self.n % self.replicas), constant_values=True)
        )

    def chains(self, name: str) -> list[np.ndarray]:
        """The series of ``measured[name]`` along the chain, one array a replica.

        The last step may not be that of every replica: the arrays may differ by one in length.
        """
        series = self._measured(name)[self.chain_index()]
        return [series[r :: self.replicas] for r in range(min(self.replicas, self.n))]

    def configurations(self) -> np.ndarray:
        """The configurations of the chain, step by step; of a weighted ensemble, the rows."""
        phi = self.phi
        if phi is None:
            raise EnsembleError(f"{self.path}: has no configurations (save_configs=false)")
        return phi if self.kind == "weighted" else phi[self.chain_index()]

    def dataset(self) -> TensorDataset:
        """A torch Dataset of ``(phi,)``; of ``(phi, log_weight)`` for a weighted ensemble."""
        columns = [torch.from_numpy(self.configurations())]
        if self.kind == "weighted":
            columns.append(torch.from_numpy(self.log_weight))
        return TensorDataset(*columns)

    def save_npy(self, path: str | Path) -> None:
        """Write ``configurations()`` to a .npy file."""
        with replacing(Path(path)) as partial, partial.open("wb") as file:
            np.save(file, self.configurations(), allow_pickle=False)

    def obs(self, name: str) -> Obs | list[Obs]:
        """The average of ``measured[name]`` as a pyerrors Obs, of each component if it has several.

        Its replicas are "ensemble|r0", "ensemble|r1", ...
        """
        chains = self.chains(name)
        if chains[0].ndim == 1:
            return replicas(chains)
        return [replicas([chain[:, i] for chain in chains]) for i in range(chains[0].shape[1])]

    def theory(self) -> Action:
        """The action, if its class is flowlat's own."""
        with reading(self.path):
            check_node(self.config["action"], "flowlat.actions", Action, "action")
            check({"action": self.config["action"]}, SampleConfig)
            return build_action(self.config)

    def observables(self, trust: bool = False) -> dict[str, Observable]:
        """The observables that were measured, by name.

        Args:
            trust: run the classes that the file names even if they are not flowlat's own. Without
                it those are left out, with a warning.
        """
        nodes = {}
        with reading(self.path):
            for name in self._names():
                node = self.config["observables"][name]
                try:
                    if not trust:
                        check_node(node, "flowlat.observables", Observable, f"observables.{name}")
                    nodes[name] = node
                except ConfigError as error:
                    log.warning("%s: %s; left out unless trusted", self.path, error)
            check({"observables": nodes}, SampleConfig)
            return instantiate_all({"observables": nodes}, "observables")

    def _names(self) -> list[str]:
        """The observables in the order of the config."""
        with reading(self.path):
            measured = set(group(self._file, "measured"))
            if measured != set(self.config["observables"]):
                raise ValueError("measured: not the observables of the config")
            return list(self.config["observables"])

    def _measured(self, name: str) -> np.ndarray:
        if name not in self._names():
            known = ", ".join(self._names())
            raise EnsembleError(f"{self.path}: does not have {name} (measured: {known})")
        return self.read(f"measured/{name}")

    def _optional(self, name: str) -> np.ndarray | None:
        with reading(self.path):
            return self.read(name) if name in self._file.keys() else None  # noqa: SIM118
