"""A sampling run on the disk: blocks as they are drawn, then one ensemble.h5.

    parts/000000.npz, ...   a block each, whole: its rows, what was measured on them, and the state
                            of the sampler after it; removed once they are in ensemble.h5
    ensemble.h5             the first n rows of all blocks, and the last block as a part, from which
                            a longer run goes on

Each of them appears whole or not at all, so that a run which is killed at any moment goes on from
its last part. A block depends on nothing but the state before it and its number, so the result is
the same to the last bit.
"""

import io
import json
import logging
import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

import h5py
import numpy as np
import torch
from torch import Tensor

from flowlat.ensemble.hdf5 import create_dataset, creating, reading, set_attribute
from flowlat.ensemble.layout import columns_of, require_part
from flowlat.ensemble.reader import FORMAT, Ensemble, open_ensemble
from flowlat.utils.archive import require_whole
from flowlat.utils.errors import ConfigError, EnsembleError
from flowlat.utils.files import replacing

log = logging.getLogger(__name__)

#: arrays "rows/NAME" and "state/NAME"; "record" (JSON); in parts "seconds", of all blocks so far
Part = dict[str, np.ndarray]


class Store:
    """The blocks of a run that are on the disk.

    Args:
        folder: of the run.
        record: all that the blocks depend on, as plain data.
        kind: of the ensemble.
        rows: configurations a block.
        blank: what the state after a block has to look like.
    """

    def __init__(
        self, folder: Path, record: dict[str, Any], kind: str, rows: int, blank: dict[str, Tensor]
    ):
        self.folder, self.path, self.parts = folder, folder / "ensemble.h5", folder / "parts"
        self.rows = rows
        self.record = record
        self.columns = columns_of(kind, record)
        self.blank = {name: value.numpy() for name, value in blank.items()}
        #: blocks in all; blocks and rows in ensemble.h5; seconds it took to draw them
        self.n_blocks = self.n_merged = self.n_rows = 0
        self.seconds = 0.0
        self._last: Part = {}

    def require_empty(self) -> None:
        """Raise ConfigError if the folder has blocks of an earlier run."""
        if self.path.exists() or any(self.parts.glob("*.npz")):
            raise ConfigError(
                f"hydra.run.dir={self.folder}: has an ensemble already; resume=true goes on with "
                "it, another folder starts a new one"
            )

    def resume(self) -> None:
        """Find the blocks of an earlier run, if there are any.

        Raises:
            ConfigError: they are of another run.
            EnsembleError: ensemble.h5 is damaged.
        """
        if self.path.exists():
            with open_ensemble(self.path) as ensemble:
                last = self._last_block(ensemble)
                self._read_counts(ensemble)
                self._take(last)
        while (part := self._read(self.n_blocks)) is not None:
            self._take(part)
            self.seconds = float(part["seconds"])

    def _read_counts(self, ensemble: Ensemble) -> None:
        blocks, seconds = ensemble.attribute("blocks"), ensemble.attribute("seconds")
        with reading(ensemble.path):
            if type(blocks) is not int or -(-len(ensemble) // self.rows) != blocks:
                raise ValueError(f"blocks={blocks}: not those of {len(ensemble)} rows")
            if type(seconds) is not float or not 0 <= seconds < math.inf:
                raise ValueError(f"seconds={seconds}: out of range")
        self.n_rows, self.n_merged, self.n_blocks = len(ensemble), blocks, blocks - 1
        self.seconds = seconds

    def require_at_most(self, n: int) -> None:
        """Raise ConfigError if the run has more than n configurations already."""
        has = self.n_rows if self.n_blocks == self.n_merged else self.n_blocks * self.rows
        if n < self.n_rows or n <= (self.n_blocks - 1) * self.rows:
            raise ConfigError(f"n_samples={n}: the ensemble in {self.folder} has {has} already")

    def state(self, device: torch.device) -> dict[str, Tensor]:
        """The state after the last block; empty if there is none."""
        found = _under("state/", self._last)
        return {name: torch.from_numpy(value).to(device) for name, value in found.items()}

    def append(self, rows: dict[str, Tensor], state: dict[str, Tensor], seconds: float) -> None:
        """Write a block with the state after it; it took so long since the one before."""
        self.seconds += seconds
        part = {
            **{f"rows/{name}": value.cpu().numpy() for name, value in rows.items()},
            **{f"state/{name}": value.cpu().numpy() for name, value in state.items()},
            "record": np.frombuffer(json.dumps(self.record).encode(), np.uint8),
            "seconds": np.array(self.seconds),
        }
        with self.writing():
            self.parts.mkdir(exist_ok=True)
            # no sync, which takes longer than a block: parts have checksums, and can be drawn again
            path = self._name(self.n_blocks)
            with replacing(path, sync=False) as partial, partial.open("wb") as file:
                _save(file, part)
        self._take(part)

    def merge(self, n: int, header: dict[str, Any]) -> None:
        """Write the first n rows of all blocks into ensemble.h5, with more attributes."""
        attributes = {**header, "format": FORMAT, "blocks": self.n_blocks, "seconds": self.seconds}
        buffer = io.BytesIO()
        _save(buffer, {k: v for k, v in self._last.items() if k != "seconds"})
        last = np.frombuffer(buffer.getvalue(), np.uint8)
        with self.writing(), replacing(self.path) as partial, creating(partial) as file:
            for name, value in attributes.items():
                set_attribute(file, name, value)
            # kept open: a dataset that is opened again reads its last chunk again
            columns: dict[str, h5py.Dataset] = {}
            start = 0
            for block in self._blocks():
                stop = min(n, start + self.rows)
                for name, values in block.items():
                    if name not in columns:
                        shape = (n, *values.shape[1:])
                        columns[name] = create_dataset(file, name, shape, values.dtype)
                    if columns[name].shape[1:] != values.shape[1:]:
                        raise EnsembleError(f"{self.folder}: {name} has several shapes")
                    columns[name][start:stop] = values[: stop - start]
                start = stop
            create_dataset(file, "last_block", last.shape, last.dtype)[:] = last
            set_attribute(file, "complete", True)

    def remove_parts(self) -> None:
        """Remove the parts, once they are in ensemble.h5."""
        shutil.rmtree(self.parts, ignore_errors=True)

    def _name(self, block: int) -> Path:
        return self.parts / f"{block:06d}.npz"

    def _take(self, part: Part) -> None:
        """Count a block that is on the disk."""
        self._last = part
        self.n_blocks += 1

    def _require_ours(self, part: Part) -> None:
        """Raise ConfigError if a block is of another run, ValueError if it is none at all."""
        theirs = flatten(json.loads(part["record"].tobytes()))
        ours = flatten(self.record)
        for key in [*ours, *theirs]:
            if ours.get(key) != theirs.get(key):
                raise ConfigError(
                    f"{key}={ours.get(key)}: the ensemble in {self.folder} has "
                    f"{key}={theirs.get(key)}"
                )
        require_part(part, self.rows, self.columns, self.blank)

    def _read(self, block: int) -> Part | None:
        """A part, if there is one that can be read."""
        path = self._name(block)
        if not path.exists():
            return None
        try:
            with path.open("rb") as file:
                part = self._load(file)
            if not 0 <= part["seconds"] < math.inf:
                raise ValueError("seconds: out of range")
            return part
        except ConfigError:
            raise
        except Exception as error:  # a damaged file may fail in any way
            log.warning("%s: damaged (%s), drawn again", path, type(error).__name__)
            return None

    def _blocks(self) -> Iterator[dict[str, np.ndarray]]:
        """The rows of every block, whole."""
        if self.n_merged:
            with open_ensemble(self.path) as ensemble:
                last = _under("rows/", self._last_block(ensemble))
                for start in range(0, (self.n_merged - 1) * self.rows, self.rows):
                    yield {name: ensemble.read(name, start, start + self.rows) for name in last}
            yield last
        for block in range(self.n_merged, self.n_blocks):
            path = self._name(block)
            with reading(path), path.open("rb") as file:
                part = self._load(file)
            yield _under("rows/", part)

    def _last_block(self, ensemble: Ensemble) -> Part:
        packed = io.BytesIO(ensemble.read("last_block").tobytes())
        with reading(ensemble.path, ConfigError):
            return self._load(packed)

    def _load(self, file: BinaryIO) -> Part:
        """A block of this run; any error if it is none."""
        require_whole(file)
        with np.load(file, allow_pickle=False) as found:
            part = dict(found)
        self._require_ours(part)
        return part

    @contextmanager
    def writing(self) -> Iterator[None]:
        """An error of the disk becomes an EnsembleError in one line."""
        try:
            yield
        except OSError as error:
            raise EnsembleError(
                f"hydra.run.dir={self.folder}: {error.strerror}; the blocks that are written are "
                "kept, resume=true goes on from there"
            ) from error


def flatten(node: Any, path: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a.b": 1}, as one types it."""
    if not isinstance(node, dict):
        return {path: node}
    found: dict[str, Any] = {}
    for key, value in node.items():
        found |= flatten(value, f"{path}.{key}" if path else str(key))
    return found


def _save(file: IO[bytes], part: Part) -> None:
    arrays: Any = part
    np.savez(file, **arrays)


def _under(prefix: str, part: Part) -> Part:
    return {k.removeprefix(prefix): v for k, v in part.items() if k.startswith(prefix)}
