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

#: bytes a chunk; no more than HDF5's cache for a dataset, or every write would go to the disk
CHUNK = 2**20
#: the one filter that flowlat's datasets have
CHECKSUM = h5py.h5z.FILTER_FLETCHER32
#: bytes of an attribute
LARGEST_ATTRIBUTE = 2**16


class _Keeper(io.FileIO):
    """A file that keeps its first error and takes everything from then on.

    HDF5 itself writes late, when a dataset is closed, where h5py prints an error and goes on.
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
    """A new file, in the oldest format that has checksums everywhere.

    Raises:
        OSError: something could not be written, at the latest when the block ends.
    """
    with _Keeper(path, "w+") as raw:
        try:
            with h5py.File(raw, "w", libver=("v110", "v110")) as file:
                yield file
        finally:
            if raw.error is not None:
                raise raw.error


def create_dataset(
    file: h5py.File, name: str, shape: tuple[int, ...], dtype: np.dtype
) -> h5py.Dataset:
    """A dataset of known size to fill row by row, with checksums."""
    a_row = int(np.prod(shape[1:])) * dtype.itemsize
    rows = min(shape[0], max(1, CHUNK // a_row))
    return file.create_dataset(name, shape, dtype, chunks=(rows, *shape[1:]), fletcher32=True)


def set_attribute(file: h5py.File, name: str, value: Any) -> None:
    """A number, a truth value, a text, or a mapping as JSON; None is left out."""
    if isinstance(value, dict):
        value = json.dumps(value)
    if value is not None:
        file.attrs[name] = np.bytes_(value.encode()) if isinstance(value, str) else value


def attribute(file: h5py.File, name: str) -> Any:
    """A scalar attribute: text, number or truth value. KeyError if it is missing."""
    found = file.attrs.get_id(name)
    if found.shape != () or found.dtype.kind not in "Siufb":
        raise ValueError(f"attribute {name}: not a single text or number")
    if found.dtype.itemsize > LARGEST_ATTRIBUTE:
        raise ValueError(f"attribute {name}: too long")
    value = file.attrs[name].item()
    return value.decode() if isinstance(value, bytes) else value


def dataset(file: h5py.File, name: str) -> h5py.Dataset:
    """A dataset whose data lie in this file, all of them. ValueError or KeyError otherwise.

    So nothing is allocated that the file does not have, and no other file is read.
    """
    found = _linked(file, name)
    if not isinstance(found, h5py.Dataset):
        raise ValueError(f"{name}: not a dataset")
    if found.is_virtual or found.external:
        raise ValueError(f"{name}: data in another file")
    size = min(found.id.get_storage_size(), os.path.getsize(file.filename))
    # a chunk is read whole, however little of it there is
    largest = math.prod(found.chunks or ()) * found.dtype.itemsize
    if max(found.nbytes, largest) > size:
        raise ValueError(f"{name}: shape {found.shape}, but the data are not there")
    filters = found.id.get_create_plist()
    if any(filters.get_filter(i)[0] != CHECKSUM for i in range(filters.get_nfilters())):
        raise ValueError(f"{name}: compressed")
    return found


def group(file: h5py.File, name: str) -> h5py.Group:
    """A group that lies in this file. ValueError or KeyError otherwise."""
    found = _linked(file, name)
    if not isinstance(found, h5py.Group):
        raise ValueError(f"{name}: not a group")
    return found


def _linked(file: h5py.File, name: str) -> Any:
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"{name}: a link to elsewhere")
    return file[name]


@contextmanager
def reading(path: Path, known: type[Exception] = EnsembleError) -> Iterator[None]:
    """Any error in the block, but for ``known`` ones, becomes an EnsembleError in one line."""
    try:
        yield
    except (EnsembleError, known):
        raise
    except ConfigError as error:
        raise EnsembleError(f"{path}: {error}") from error
    except Exception as error:  # a damaged HDF5 file may fail in any way
        text = " ".join(str(error).split()) or type(error).__name__
        raise EnsembleError(
            f"{path}: no readable ensemble, truncated or damaged: {text}"
        ) from error
