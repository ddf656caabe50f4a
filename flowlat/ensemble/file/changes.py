"""Changes to a file that come all at once or not at all, at whatever moment the process is killed.

HDF5 writes what it changes in any order, and a file is damaged if only some of it is there. Here
what comes after the old end of the file goes there at once, as nothing counts yet that lies there;
what is to replace something is kept in memory until the end, and then written

    FILE.changes    whole, before any of it is written to its place

Whoever finds that file writes it to its place again, which makes no difference to what is there
already; without it, the file is as it was before.
"""

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from flowlat.ensemble.file.hdf5 import VERSIONS, CheckedFile
from flowlat.utils.files import replacing, to_disk

#: what is written, and where
Change = tuple[int, bytes]


class ChangedFile(CheckedFile):
    """A file of which nothing before its old end changes until ``commit``."""

    def __init__(self, path: Path):
        super().__init__(path, "r+")
        self.path, self.changes = path, list[Change]()
        #: what lies beyond was left there by a process that was killed
        self.old_end = _end(self.read(36), os.path.getsize(path))
        self.truncate(self.old_end)

    def write(self, data: Any) -> int:
        at, content = self.tell(), memoryview(data).cast("B")
        before = max(0, min(len(content), self.old_end - at))
        if before:
            self.changes.append((at, bytes(content[:before])))
            self.seek(at + before)
        return before + super().write(content[before:])

    def readinto(self, buffer: Any) -> int:
        start, content = self.tell(), memoryview(buffer).cast("B")
        n = super().readinto(content) or 0
        for at, changed in self.changes:
            first, last = max(start, at), min(start + n, at + len(changed))
            if first < last:
                content[first - start : last - start] = changed[first - at : last - at]
        return n

    def truncate(self, size: int | None = None) -> int:
        # HDF5 does not mind a file that is longer than it says
        return super().truncate(max(self.tell() if size is None else size, self.old_end))

    def commit(self) -> None:
        """Have the changes, from which on there is no way back."""
        os.fsync(self.fileno())
        with replacing(_beside(self.path)) as partial:
            partial.write_bytes(_packed(self.changes))
        settle(self.path)


@contextmanager
def changing(path: Path) -> Iterator[h5py.File]:
    """An HDF5 file to change: as a whole when the block ends, and not if it fails.

    Raises:
        OSError: something could not be written.
    """
    settle(path)
    with ChangedFile(path) as raw:
        try:
            try:
                with h5py.File(raw, "r+", libver=VERSIONS) as file:
                    yield file
            finally:
                if raw.error is not None:
                    raise raw.error
        except BaseException:
            raw.truncate(raw.old_end)
            raise
        raw.commit()


def settle(path: Path) -> None:
    """Make the changes to a file that are to be made, if there are any.

    Raises:
        ValueError: they are damaged, and gone now.
    """
    if not (waiting := _beside(path)).exists():
        return
    try:
        changes = _unpacked(waiting.read_bytes(), os.path.getsize(path))
    except ValueError:
        discard(path)
        raise
    with path.open("r+b") as file:
        for at, content in changes:
            file.seek(at)
            file.write(content)
    to_disk(path)
    waiting.unlink()


def discard(path: Path) -> None:
    """Forget changes that were to be made to another file of the same name."""
    _beside(path).unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.changes")


def _packed(changes: list[Change]) -> bytes:
    """A SHA-256 of the rest; then of each change where, how many bytes, and the bytes."""
    packed = io.BytesIO()
    for at, content in changes:
        packed.write(np.array([at, len(content)], "<i8").tobytes() + content)
    return hashlib.sha256(packed.getbuffer()).digest() + packed.getvalue()


def _unpacked(packed: bytes, size: int) -> list[Change]:
    """The changes to a file of so many bytes. ValueError if they are damaged."""
    if packed[:32] != hashlib.sha256(packed[32:]).digest():
        raise ValueError("changes that are to be made to it are damaged")
    start, changes = 32, []
    while start < len(packed):
        at, n = np.frombuffer(packed, "<i8", 2, start).tolist()
        if not 0 <= at <= at + n <= size:
            raise ValueError("changes that are to be made to it are those to another file")
        changes.append((at, packed[start + 16 : start + 16 + n]))
        start += 16 + n
    return changes


def _end(head: bytes, size: int) -> int:
    """Where an HDF5 file ends by its own superblock, of version 2 or 3 with addresses of 8 bytes.

    HDF5 File Format Specification, II.A.
    """
    if head[:8] != b"\x89HDF\r\n\x1a\n" or head[8] not in (2, 3) or head[9] != 8:
        return size
    return min(int.from_bytes(head[28:36], "little"), size)
