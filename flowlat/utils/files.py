"""Files that are written whole or not at all, and their checksums."""

import hashlib
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: that are read at once
BYTES = 2**24


@contextmanager
def replacing(path: Path, sync: bool = True) -> Iterator[Path]:
    """A name beside ``path`` to write to, renamed to it when the block ends without an error.

    ``sync``: the bytes are on the disk before the name is, so that not even a power cut leaves a
    file in part.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        if sync:
            to_disk(partial)
        partial.replace(path)
        if sync:
            to_disk(path.parent)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON; NaN and infinity become null, as JSON has neither."""
    with replacing(path) as partial:
        partial.write_text(json.dumps(finite(content), indent=2) + "\n")


def finite(value: Any) -> Any:
    """The same data with None for every float that is not finite."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file of any size, in hexadecimal."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while piece := file.read(BYTES):
            digest.update(piece)
    return digest.hexdigest()


def to_disk(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk.

    Windows, which opens no folder, does the latter by itself, and the former with leave to write.
    """
    windows = os.name == "nt"
    if windows and path.is_dir():
        return
    handle = os.open(path, os.O_RDWR if windows else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
