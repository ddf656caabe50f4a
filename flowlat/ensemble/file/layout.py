"""The ensemble file, ensemble.h5, and what it has to look like before anything is read of it.

Datasets, one row a configuration, in the order in which they were drawn. The first ``n_samples``
rows count; the rest make up the last block.

    proposals       (n, *shape)    kind "proposals": every proposal, rejected ones included
    configurations  (n, *shape)    the other kinds
    action          (n,) float64   S of the row
    log_weight      (n,) float64   log w = -S - log q; kinds "proposals" and "weighted"
    accepted        (n,) bool      kinds "proposals" and "chain"
    chain_index     (n,) int64     the row at which the chains stand after each step; same kinds
    measured/NAME   (n,) or (n, k) float64, what each observable measures
    improved/NAME   the same of some, averaged over the signs of clusters; kind "chain", if the
                    sampler knows them and they are worth it

``proposals`` and ``configurations`` are there if they were to be saved (``save_configs``).

Row i belongs to replica i mod ``replicas``. What the rows are, their ``kind``:

    proposals   of an independence chain; a rejected one repeats the configuration before it in its
                replica, so step i of the chains is row ``chain_index[i]``; those before
                ``start_row`` thermalised them, and do not count along the chains; the proposals
                with their weights, all of them, serve for reweighting as well
    chain       the states of Markov chains; ``accepted`` says whether the step moved
    weighted    no chain: they count as their weights say, and those of one ``population``
                (consecutive rows) depend on each other

Attributes: ``format``, ``kind``, ``n_samples``, ``replicas``, ``population`` (1 unless weighted),
``start_row`` (a multiple of the replicas; 0 of earlier files, and if nothing is thermalised here),
``config`` of the run (JSON; with lattice, action and the flow, if any), ``convention`` of the
action, ``provenance`` (JSON), ``seed``, ``checkpoint_sha256`` (if any), ``seconds`` it took to
draw, ``arithmetic`` (JSON: device, kernel, threads), ``first_block`` (0, but in a part). The
datasets of the group ``state`` are the sampler's state after the last row, from which a longer run
goes on.
"""

import json
import re
from typing import Any

import h5py
import numpy as np

from flowlat.config.renamed import with_new_names
from flowlat.config.sizes import check_sizes
from flowlat.config.validation import check_parameters
from flowlat.ensemble.file.hdf5 import dataset, datasets
from flowlat.lattice import Lattice

FORMAT = "flowlat ensemble 2"
#: of flowlat 0.1.0: proposals and configurations are both called "phi", there is no chain_index,
#: every row counts, and the state is packed in a way that is read no more
FORMAT_0_1 = "flowlat ensemble 1"

#: the columns that an ensemble of each kind has
COLUMNS = {
    "proposals": ("action", "log_weight", "accepted", "chain_index"),
    "chain": ("action", "accepted", "chain_index"),
    "weighted": ("action", "log_weight"),
}
#: the types of numbers that a column may have, if others than float64
TYPES = {
    "accepted": (np.dtype(bool),),
    "chain_index": (np.dtype(np.int64),),
    "proposals": (np.dtype(np.float64), np.dtype(np.float32)),
    "configurations": (np.dtype(np.float64), np.dtype(np.float32)),
}


def fields_column(kind: str) -> str:
    """The name of the column of fields ``(n, *shape)``."""
    return "proposals" if kind == "proposals" else "configurations"


def parse_config(text: str) -> dict[str, Any]:
    """The config of the run. ValueError or KeyError unless it names a lattice and an action."""
    config = with_new_names(json.loads(text))
    shape, action = config["lattice"]["shape"], config["action"]
    check_parameters({"shape": shape}, Lattice, "config: lattice.")
    check_sizes({"lattice": {"shape": shape}})
    if not isinstance(action, dict) or not isinstance(action["_target_"], str):
        raise ValueError(f"config: action={action}: not a mapping with a _target_")
    for name in config["observables"]:
        if not re.fullmatch(r"\w+", name):
            raise ValueError(f"config: observables.{name}: a name of letters, digits and _ only")
    return config


def open_columns(
    file: h5py.File, kind: str, config: dict[str, Any], shape: tuple[int, ...], old: bool
) -> dict[str, h5py.Dataset]:
    """The columns that a run of this config writes; those of an old file by their new names.

    ValueError or KeyError unless each has its shape and its type of numbers.
    """
    names = [name for name in COLUMNS[kind] if not (old and name == "chain_index")]
    columns = {name: dataset(file, name) for name in names}
    measured = datasets(file, "measured")
    if measured.keys() != set(config["observables"]):
        raise ValueError("measured: not the observables of the config")
    columns |= {f"measured/{name}": measured[name] for name in config["observables"]}
    improved = datasets(file, "improved") if "improved" in file else {}
    for name, column in improved.items():
        if kind != "chain" or name not in measured or column.shape != measured[name].shape:
            raise ValueError(f"improved/{name}: not as measured/{name}")
        columns[f"improved/{name}"] = column
    fields = fields_column(kind)
    if config["save_configs"]:
        columns[fields] = dataset(file, "phi" if old else fields)
    n = len(columns["action"])
    for name, column in columns.items():
        row = column.shape[1:]
        fits = row == shape if name == fields else len(row) <= ("/" in name)
        if column.shape[:1] != (n,) or not fits or column.dtype not in TYPES.get(name, (float,)):
            raise ValueError(
                f"{name}: {column.dtype} {column.shape}: not {n} rows as they should be"
            )
    return columns
