"""Files of consecutive blocks become one, on a disk that has little room beside them.

A few of them at a time are copied to the end of the first, which has them all at once or not at
all, and removed then. So every block is in a file at each moment, and nearly all in one only: a
run that is killed goes on from what is there.
"""

from collections.abc import Mapping
from itertools import accumulate, groupby
from pathlib import Path
from typing import Any

import h5py

from flowlat.ensemble.file.changes import changing, discard
from flowlat.ensemble.file.columns import Columns, can_grow, describe
from flowlat.ensemble.file.hdf5 import creating, reading
from flowlat.ensemble.reader import open_ensemble
from flowlat.utils.files import replacing

#: bytes that are copied before they are removed: a part of all, but not fewer than so many
PART_OF_ALL, LEAST = 1 / 32, 2**23


def gather(files: list[Path], into: Path, header: Mapping[str, Any], rows: int, block: int) -> None:
    """Move all rows of ensembles into one file, with the state and the seconds of the last one.

    Args:
        files: of consecutive blocks; all but ``into`` are gone when they are in it.
        into: in the folder of the last of them, and perhaps the first of them.
        header: attributes, of an ensemble that is written anew.
        rows: of all files, those that do not count, too.
        block: rows that are in memory at a time.

    Raises:
        EnsembleError: one of the files is damaged.
        OSError: something could not be written; what is moved is moved.
    """
    first = files[0]
    with reading(first), h5py.File(first, "r", locking=False) as file:
        grows = can_grow(file, rows)
    groups = portions(files[1:] if grows else files)
    discard(into)
    if grows:
        first.replace(into)
    else:  # small, or of an earlier version
        group = groups.pop(0)
        with replacing(into) as partial, creating(partial) as file:
            copy(group, file, header, rows, block)
        remove(group, into)
    for group in groups:
        with changing(into) as file:
            copy(group, file, {}, rows, block)
        remove(group, into)


def portions(files: list[Path]) -> list[list[Path]]:
    """The files in groups of about as many bytes as may be on the disk twice."""
    sizes = [path.stat().st_size for path in files]
    portion = max(sum(sizes) * PART_OF_ALL, LEAST)
    numbers = [int((end - 1) // portion) for end in accumulate(sizes)]
    grouped = groupby(zip(numbers, files, strict=True), key=lambda pair: pair[0])
    return [[path for _, path in group] for _, group in grouped]


def copy(
    files: list[Path], file: h5py.File, attributes: Mapping[str, Any], rows: int, block: int
) -> None:
    """Append the rows of ensembles to an open file that is to come to so many rows."""
    columns = Columns(file, rows)
    for path in files:
        with open_ensemble(path) as ensemble:
            for values in ensemble.blocks(block):
                columns.append(values)
            state, seconds = ensemble.state(), ensemble.attribute("seconds")
    n_rows = len(file["action"])
    describe(file, {**attributes, "n_samples": n_rows, "seconds": seconds}, state)


def remove(files: list[Path], into: Path) -> None:
    """Remove all of the files but one."""
    for path in files:
        if path != into:
            path.unlink()
