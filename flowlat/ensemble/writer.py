"""A sampling run on the disk: parts as they are drawn, then one ensemble.

    parts/000000.h5, ...    an ensemble of one block each, with the sampler's state after it;
                            removed once they are in ensemble.h5
    ensemble.h5             all parts, one after another, with the state of the last one

Each of them appears whole or not at all, so that a run which is killed at any moment goes on from
its last part. A block depends on nothing but the state before it and its number, so the result is
the same to the last bit.
"""

import logging
import math
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor

from flowlat.config.compare import differences
from flowlat.ensemble.hdf5 import create_dataset, creating, reading, set_attribute
from flowlat.ensemble.layout import FORMAT, FORMAT_0_1
from flowlat.ensemble.reader import open_ensemble
from flowlat.ensemble.state import state_from_arrays, state_to_arrays
from flowlat.samplers import chain_index
from flowlat.samplers.base import Sampler, State
from flowlat.utils.errors import ConfigError, EnsembleError
from flowlat.utils.files import replacing

log = logging.getLogger(__name__)

#: options that may change between the legs of a run; "flow" follows from the checkpoint
FREE = ("n_samples", "resume", "device", "devices", "threads", "ckpt_path", "flow")


class EnsembleWriter:
    """The blocks of a run that are on the disk.

    Args:
        folder: of the run.
        sampler: that draws the blocks.
        header: the attributes of the file that are known beforehand. The blocks depend on
            ``config``, but for ``FREE``, and on ``checkpoint_sha256``.
    """

    def __init__(self, folder: Path, sampler: Sampler, header: dict[str, Any]):
        self.folder, self.path, self.parts = folder, folder / "ensemble.h5", folder / "parts"
        self.sampler, self.header = sampler, header
        #: blocks in all; those in ensemble.h5, and the samples there; seconds it took to draw them
        self.n_blocks = self.n_merged = self.n_samples = 0
        self.seconds = 0.0
        self._state: dict[str, np.ndarray] = {}

    def require_empty(self) -> None:
        """Raise ConfigError if the folder has blocks of an earlier run."""
        if self.path.exists() or any(self.parts.glob("*")):
            raise ConfigError(
                f"hydra.run.dir={self.folder}: has an ensemble already; resume=true goes on with "
                "it, another folder starts a new one"
            )

    def resume(self, n: int) -> None:
        """Find the blocks of an earlier run, if there are any, to go on with to n configurations.

        Raises:
            ConfigError: they are of another run, of flowlat 0.1.0, or more than n.
            EnsembleError: ensemble.h5 is damaged.
        """
        if any(self.parts.glob("*.npz")):
            self._refuse_0_1()
        if self.path.exists():
            self.n_samples = self._count(self.path)
            self.n_merged = self.n_blocks
        while (part := self._part(self.n_blocks)).exists():
            try:
                self._count(part)
            except EnsembleError as error:
                log.warning("%s; drawn again", error)
                break
        rows = self.sampler.rows
        if n < self.n_samples or n <= (self.n_blocks - 1) * rows:
            has = self.n_samples if self.n_blocks == self.n_merged else self.n_blocks * rows
            raise ConfigError(f"n_samples={n}: the ensemble in {self.folder} has {has} already")

    def state(self, device: torch.device) -> State:
        """The state after the last block."""
        return state_from_arrays(self._state, self.sampler, device)

    def append(self, columns: dict[str, Tensor], state: State, seconds: float) -> None:
        """Write a block with the state after it; it took so long since the one before."""
        self.seconds += seconds
        self._state = state_to_arrays(state)
        block = {name: values.cpu().numpy() for name, values in columns.items()}
        with self.writing():
            self.parts.mkdir(exist_ok=True)
            # no sync, which takes longer than a block: parts have checksums, and can be drawn again
            with replacing(self._part(self.n_blocks), sync=False) as partial:
                self._write(partial, [block], 1, len(block["action"]))
        self.n_blocks += 1

    def merge(self, n: int) -> None:
        """Write all blocks into ensemble.h5, of which n rows count."""
        with self.writing(), replacing(self.path) as partial:
            self._write(partial, self._blocks(), self.n_blocks, n)

    def remove_parts(self) -> None:
        """Remove the parts, once they are in ensemble.h5."""
        shutil.rmtree(self.parts, ignore_errors=True)

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

    def _part(self, block: int) -> Path:
        return self.parts / f"{block:06d}.h5"

    def _blocks(self) -> Iterator[dict[str, np.ndarray]]:
        """The columns of every block."""
        merged = [self.path] if self.n_merged else []
        for path in [*merged, *map(self._part, range(self.n_merged, self.n_blocks))]:
            with open_ensemble(path) as ensemble:
                yield from ensemble.blocks(self.sampler.rows)

    def _write(
        self, path: Path, blocks: Iterable[dict[str, np.ndarray]], n_blocks: int, n_samples: int
    ) -> None:
        """An ensemble of so many blocks, with the state after the last one."""
        rows = self.sampler.rows
        attributes = {"format": FORMAT, "n_samples": n_samples, "seconds": self.seconds}
        with creating(path) as file:
            for name, value in (self.header | attributes).items():
                set_attribute(file, name, value)
            # kept open: a dataset that is opened again reads its last chunk again
            columns: dict[str, h5py.Dataset] = {}
            standing = np.arange(self.sampler.replicas)
            for start, block in zip(range(0, n_blocks * rows, rows), blocks, strict=True):
                if "accepted" in block:
                    block["chain_index"] = self._chain_index(block["accepted"], start, standing)
                    standing = block["chain_index"][-len(standing) :]
                for name, values in block.items():
                    shape = (n_blocks * rows, *values.shape[1:])
                    if name not in columns:
                        columns[name] = create_dataset(file, name, shape, values.dtype)
                    if columns[name].shape != shape:
                        raise EnsembleError(f"{self.folder}: {name} has several shapes")
                    columns[name][start : start + rows] = values
            for name, values in self._state.items():
                create_dataset(file, f"state/{name}", values.shape, values.dtype)[:] = values

    def _chain_index(self, accepted: np.ndarray, start: int, standing: np.ndarray) -> np.ndarray:
        """The rows at which the chains stand after each step of a block that begins at ``start``,
        where they have stood at the rows ``standing``."""
        if self.sampler.kind == "chain":
            return np.arange(start, start + len(accepted))
        index = chain_index(torch.from_numpy(accepted), self.sampler.replicas).numpy()
        return np.where(accepted[index], start + index, np.resize(standing, len(index)))

    def _count(self, path: Path) -> int:
        """Count the blocks of a file, the last so far; the samples in it.

        Raises:
            ConfigError: it is of another run, or of flowlat 0.1.0.
            EnsembleError: it is damaged.
        """
        rows = self.sampler.rows
        with open_ensemble(path) as ensemble:
            if ensemble.format == FORMAT_0_1:
                self._refuse_0_1()
            there = what_blocks_depend_on(ensemble.config, ensemble.checkpoint_sha256)
            here = what_blocks_depend_on(self.header["config"], self.header["checkpoint_sha256"])
            for key, (a, b) in differences(here, there).items():
                raise ConfigError(f"{key}={a}: the ensemble in {self.folder} has {key}={b}")
            state, seconds = ensemble.state(), ensemble.attribute("seconds")
            with reading(path):
                for key in ("kind", "replicas", "population"):
                    if getattr(ensemble, key) != self.header[key]:
                        raise ValueError(f"{key}={getattr(ensemble, key)}: not of its config")
                n_blocks = -(-len(ensemble) // rows)
                if n_blocks * rows != ensemble.n_rows or (path != self.path and n_blocks > 1):
                    raise ValueError(f"{len(ensemble)} samples, {ensemble.n_rows} rows: no blocks")
                if type(seconds) is not float or not 0 <= seconds < math.inf:
                    raise ValueError(f"seconds={seconds}: out of range")
                state_from_arrays(state, self.sampler, torch.device("cpu"))
            next(ensemble.blocks(rows, n_blocks - 1))  # is whole
        self._state, self.seconds = state, seconds
        self.n_blocks += n_blocks
        return len(ensemble)

    def _refuse_0_1(self) -> None:
        raise ConfigError(
            f"hydra.run.dir={self.folder}: has an ensemble of flowlat 0.1.0, which that version "
            "alone goes on with; another folder starts a new one"
        )


def what_blocks_depend_on(config: dict[str, Any], checkpoint_sha256: str | None) -> dict[str, Any]:
    """What has to be the same in every leg of a run."""
    fixed = {key: value for key, value in config.items() if key not in FREE}
    return {**fixed, "ckpt_path.sha256": checkpoint_sha256}
