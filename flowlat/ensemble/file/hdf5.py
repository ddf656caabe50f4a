"""HDF5 files whose damage is noticed, read without trust in what they say of themselves.

Every dataset is chunked and carries fletcher32 checksums; in the file format of HDF5 1.10 the
structures around them do too. Texts are attributes of fixed length, which lie within those (texts
of variable length lie in a heap that has no checksum).
"""

import io
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from flowlat.utils.errors import ConfigError, EnsembleError

#: bytes a chunk; no more than HDF5's cache for a dataset, or every write would go to the disk, and
#: few, as the last chunk of each column is written again when rows are appended
CHUNK = 2**18
#: the one filter that flowlat's datasets have
CHECKSUM = h5py.h5z.FILTER_FLETCHER32
#: the oldest format that has checksums everywhere
VERSIONS = ("v110", "v110")
#: bytes of an attribute
LARGEST_ATTRIBUTE = 2**16
#: what HDF5 says of a file that is open elsewhere
IN_USE = ("already open for write", "unable to lock file")


class CheckedFile(io.FileIO):
    """A file that keeps its first error and takes everything from then on.

    HDF5 writes late, when a dataset is closed: there h5py prints an error and goes on, and the
    process may crash when the file is closed.
    """

    error: OSError | None = None

    def write(self, data: Any) -> int:
        rest = memoryview(data).cast("B")
        n = len(rest)
        while len(rest) and self.error is None:
            try:
                rest = rest[super().write(rest) :]
            except OSError as error:
                self.error = error
        return n

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return self.tell()


@contextmanager
def creating(path: Path) -> Iterator[h5py.File]:
    """A new file.

    Raises:
        OSError: something could not be written, at the latest when the block ends.
    """
    with CheckedFile(path, "w+") as raw:
        try:
            with h5py.File(raw, "w", libver=VERSIONS) as file:
                yield file
        finally:
            if raw.error is not None:
                raise raw.error


def create_dataset(
    file: h5py.File, name: str, shape: tuple[int, ...], dtype: np.dtype, rows: int | None = None
) -> h5py.Dataset:
    """A dataset, not a scalar, to fill row by row, with checksums.

    ``rows``: that it is to grow to; None: its size stays.
    """
    whole = (shape[0] if rows is None else rows, *shape[1:])
    return file.create_dataset(
        name,
        shape,
        dtype,
        maxshape=None if rows is None else (None, *shape[1:]),
        chunks=chunks(whole, dtype),
        fletcher32=True,
    )


def chunks(shape: tuple[int, ...], dtype: np.dtype) -> tuple[int, ...]:
    """The chunks of a dataset: of whole rows, about CHUNK bytes, as full as they can be."""
    a_row = int(np.prod(shape[1:])) * dtype.itemsize
    n = -(-shape[0] // max(1, CHUNK // a_row))
    return (-(-shape[0] // n), *shape[1:])


def set_attribute(file: h5py.File, name: str, value: Any) -> None:
    """A number, a truth value, a text, or a mapping as JSON; None is left out."""
    if isinstance(value, dict):
        value = json.dumps(value)
    if value is not None:
        file.attrs[name] = np.bytes_(value.encode()) if isinstance(value, str) else value


def attribute(file: h5py.File, name: str) -> Any:
    """A scalar attribute: text, number or truth value. KeyError if it is missing."""
    stored = file.attrs.get_id(name)
    short = stored.dtype.itemsize <= LARGEST_ATTRIBUTE
    if stored.shape != () or stored.dtype.kind not in "Siufb" or not short:
        raise ValueError(f"attribute {name}: not a single text or number")
    value = file.attrs[name].item()
    return value.decode() if isinstance(value, bytes) else value


def dataset(file: h5py.File, name: str) -> h5py.Dataset:
    """A dataset whose data lie in this file, all of them. ValueError or KeyError otherwise.

    So nothing is allocated that the file does not have, and no other file is read.
    """
    node = _in_file(file, name, h5py.Dataset)
    if node.is_virtual or node.external:
        raise ValueError(f"{name}: data in another file")
    size = min(node.id.get_storage_size(), os.path.getsize(file.filename))
    # a chunk is read whole, however little of it there is
    largest = math.prod(node.chunks or ()) * node.dtype.itemsize
    if max(node.nbytes, largest) > size:
        raise ValueError(f"{name}: shape {node.shape}, but the data are not there")
    filters = node.id.get_create_plist()
    if any(filters.get_filter(i)[0] != CHECKSUM for i in range(filters.get_nfilters())):
        raise ValueError(f"{name}: compressed")
    return node


def datasets(file: h5py.File, name: str) -> dict[str, h5py.Dataset]:
    """Every dataset of a group, checked as by ``dataset``. ValueError or KeyError otherwise."""
    return {key: dataset(file, f"{name}/{key}") for key in _in_file(file, name, h5py.Group)}


def _in_file(file: h5py.File, name: str, kind: type) -> Any:
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"{name}: a link to elsewhere")
    if not isinstance(node := file[name], kind):
        raise ValueError(f"{name}: not a {kind.__name__.lower()}")
    return node


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Any error in the block becomes an EnsembleError in one line."""
    try:
        yield
    except EnsembleError:
        raise
    except ConfigError as error:
        raise EnsembleError(f"{path}: {error}") from error
    except Exception as error:  # a damaged HDF5 file may fail in any way
        text = " ".join(str(error).split()) or type(error).__name__
        if any(busy in text for busy in IN_USE):
            raise EnsembleError(
                f"{path}: in use, another process has it open for writing (h5clear -s frees a file "
                "whose writer was killed)"
            ) from error
        raise EnsembleError(
            f"{path}: no readable ensemble, truncated or damaged: {text}"
        ) from error
