"""Files of other programs as arrays in memory maps: .npy, .npz, HDF5 and text, told by content."""

import shutil
import zipfile
from pathlib import Path

import h5py
import numpy as np

from flowlat.exchange.table import Table
from flowlat.utils.errors import ConfigError
from flowlat.utils.files import BYTES

#: how files of numpy begin
NPY, NPZ = b"\x93NUMPY", b"PK\x03\x04"
#: more than any filter of HDF5 makes of a byte
DEFLATION = 1100
#: numbers that are copied at once
NUMBERS = 2**22


def open_source(path: Path, dataset: str | None, scratch: Path) -> np.ndarray:
    """The real numbers of a file, of which no more is read than what is looked at.

    A .npy is mapped where it lies; what others hold is copied into ``scratch`` first, piece by
    piece, and mapped there.

    Args:
        dataset: the name of an array within a .npz or an HDF5 file that has several.
        scratch: a folder, that is to live as long as the array.

    Raises:
        ConfigError: no such file, one that cannot be read, one of another kind, no such dataset, or
            numbers that are not real.
    """
    if not path.is_file():
        raise ConfigError(f"SOURCE={path}: no such file")
    copy = scratch / "source.npy"
    try:
        head = head_of(path)
        if head.startswith(NPY):
            _has_no_dataset(path, dataset, ".npy")
            values = np.load(path, mmap_mode="r", allow_pickle=False)
        elif head.startswith(NPZ):
            values = _from_npz(path, dataset, copy)
        elif h5py.is_hdf5(path):
            values = _from_hdf5(path, dataset, copy)
        elif not is_text(path):
            raise ConfigError(
                f"SOURCE={path}: neither .npy, .npz, HDF5 nor text; numpy.fromfile reads raw "
                "numbers, and numpy.save makes a .npy of them"
            )
        else:
            _has_no_dataset(path, dataset, "text")
            values = _from_text(path, copy)
    except ConfigError:
        raise
    except Exception as error:  # a damaged file may fail in any way
        text = " ".join(str(error).split()) or type(error).__name__
        raise ConfigError(f"SOURCE={path}: cannot be read: {text}") from error
    if values.dtype.kind not in "fiu":
        raise ConfigError(f"SOURCE={path}: {values.dtype}, not real numbers")
    if not values.size:
        raise ConfigError(f"SOURCE={path}: no numbers in it")
    return values


def head_of(path: Path) -> bytes:
    """The first bytes of a file, which tell its kind."""
    with path.open("rb") as file:
        return file.read(1024)


def is_text(path: Path) -> bool:
    """Whether a file is none of those with names, shapes and types of numbers, nor raw numbers."""
    head = head_of(path)
    return not (head.startswith((NPY, NPZ)) or b"\0" in head)


def _has_no_dataset(path: Path, dataset: str | None, kind: str) -> None:
    if dataset is not None:
        raise ConfigError(f"dataset={dataset}: SOURCE={path} is a {kind} file, which has no names")


def _choose(path: Path, dataset: str | None, names: list[str]) -> str:
    """The name of a dataset that is there; the only one, where none was typed."""
    if dataset is None and len(names) == 1:
        return names[0]
    if dataset not in names:
        listed = ", ".join(names) or "none"
        raise ConfigError(f"dataset={dataset}: SOURCE={path} has {listed}")
    return dataset


def _from_npz(path: Path, dataset: str | None, copy: Path) -> np.ndarray:
    with zipfile.ZipFile(path) as archive:
        arrays = {name.removesuffix(".npy"): name for name in archive.namelist()}
        member = arrays[_choose(path, dataset, list(arrays))]
        with archive.open(member) as source, copy.open("wb") as target:
            shutil.copyfileobj(source, target, BYTES)
    return np.load(copy, mmap_mode="r", allow_pickle=False)


def _from_hdf5(path: Path, dataset: str | None, copy: Path) -> np.ndarray:
    with h5py.File(path, "r", locking=False) as file:
        if file.attrs.get("format", b"") and "kind" in file.attrs:
            raise ConfigError(f"SOURCE={path}: an ensemble of flowlat, which needs no import")
        found: dict[str, h5py.Dataset] = {}

        def note(name: str, node: object) -> None:
            if isinstance(node, h5py.Dataset) and not node.is_scale:
                found[name] = node

        file.visititems(note)  # which follows no links to elsewhere
        name = _choose(path, dataset and dataset.strip("/"), list(found))
        node = found[name]
        if node.is_virtual or node.external:
            raise ConfigError(f"dataset={name}: SOURCE={path}: the data are in another file")
        if node.dtype.kind not in "fiu":
            raise ConfigError(f"dataset={name}: SOURCE={path}: {node.dtype}, not real numbers")
        if node.nbytes > DEFLATION * node.id.get_storage_size():
            raise ConfigError(f"dataset={name}: SOURCE={path}: the data are not there")
        if not node.shape:
            raise ConfigError(f"dataset={name}: SOURCE={path}: a single number")
        values = np.lib.format.open_memmap(copy, "w+", node.dtype.newbyteorder("="), node.shape)
        rows = max(1, NUMBERS // max(1, node.size // max(1, len(node))))
        for start in range(0, len(node), rows):
            values[start : start + rows] = node[start : start + rows]
    return values


def _from_text(path: Path, copy: Path) -> np.ndarray:
    table, rows = Table(path), 0
    with copy.open("wb") as file:
        for block in table.blocks():
            rows += len(block)
            block.tofile(file)
    return np.memmap(copy, float, "r", shape=(rows, table.columns))
