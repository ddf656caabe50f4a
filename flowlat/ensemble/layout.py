"""What the parts of an ensemble file have to look like; checked before anything is read of them."""

import json
import re
from typing import Any

import h5py
import numpy as np

from flowlat.config.renamed import with_new_names
from flowlat.ensemble.hdf5 import dataset, group

#: the columns that an ensemble of each kind has
COLUMNS = {
    "proposals": ("action", "log_weight", "accepted"),
    "chain": ("action", "accepted"),
    "weighted": ("action", "log_weight"),
}


def parse_config(text: str) -> dict[str, Any]:
    """The config of the run. ValueError or KeyError unless it names a lattice and an action."""
    config = with_new_names(json.loads(text))
    shape, action = config["lattice"]["shape"], config["action"]
    if not isinstance(shape, list) or not all(type(side) is int for side in shape):
        raise ValueError(f"config: lattice.shape={shape}: not a list of integers")
    if not isinstance(action, dict) or not isinstance(action["_target_"], str):
        raise ValueError(f"config: action={action}: not a mapping with a _target_")
    for name in config["observables"]:
        if not re.fullmatch(r"\w+", name):
            raise ValueError(f"config: observables.{name}: a name of letters, digits and _ only")
    return config


def require_columns(file: h5py.File, kind: str, n: int, shape: tuple[int, ...]) -> None:
    """ValueError or KeyError unless every dataset has its shape and its type of numbers."""
    expected: dict[str, tuple[int, ...]] = dict.fromkeys(COLUMNS[kind], (n,))
    if "phi" in file.keys():  # noqa: SIM118  (`in file` follows links, into other files as well)
        expected["phi"] = (n, *shape)
    for name, its_shape in expected.items():
        column = dataset(file, name)
        if column.shape != its_shape or column.dtype not in types_of(name):
            raise ValueError(f"{name}: not of shape {its_shape}, or not of its type")
    dataset(file, "last_block")
    for name in group(file, "measured"):
        column = dataset(file, f"measured/{name}")
        if column.shape[:1] != (n,) or column.ndim > 2 or column.dtype != np.float64:
            raise ValueError(f"measured/{name}: not {n} rows of numbers")


def columns_of(kind: str, record: dict[str, Any]) -> set[str]:
    """The columns that a run of this config writes."""
    measured = {f"measured/{name}" for name in record["observables"]}
    return {*COLUMNS[kind], *measured, *(["phi"] if record["save_configs"] else [])}


def require_part(
    part: dict[str, np.ndarray], n: int, columns: set[str], state: dict[str, np.ndarray]
) -> None:
    """ValueError unless a block has n rows in its columns, and a state like this one after it."""
    names = {f"rows/{name}" for name in columns} | {f"state/{name}" for name in state}
    if part.keys() - {"seconds"} != names | {"record"}:
        raise ValueError("not the columns of a block")
    if not isinstance(json.loads(part["record"].tobytes()), dict):
        raise ValueError("record: not a mapping")
    for name in columns:
        column = part[f"rows/{name}"]
        if column.shape[:1] != (n,) or column.dtype not in types_of(name):
            raise ValueError(f"rows/{name}: not {n} rows, or not of its type")
        if not np.isfinite(column).all():
            raise ValueError(f"rows/{name}: NaN or infinity")
    for name, like in state.items():
        value = part[f"state/{name}"]
        if value.shape != like.shape or value.dtype != like.dtype:
            raise ValueError(f"state/{name}: not of shape {like.shape}, or not of its type")
        if np.isnan(value).any() or (value.dtype.kind == "i" and (value < like).any()):
            raise ValueError(f"state/{name}: out of range")


def types_of(name: str) -> tuple[Any, ...]:
    """The types of numbers that a column may have."""
    if name == "accepted":
        return (np.dtype(bool),)
    return (np.float64, np.float32) if name == "phi" else (np.float64,)
