"""A sampling run on the disk: parts as they are drawn, in the end one ensemble.

    parts/000000.h5, ...    an ensemble of the blocks from this one on that were drawn within about
                            a second, with the sampler's state after them; in the end the first
                            takes all the others, a few at a time
    ensemble.h5             all blocks, one after another, with the state after the last one: the
                            first part when it is complete, and again while a longer run ends

Each of them appears, or changes, as a whole or not at all, so that a run which is killed at any
moment goes on from its last part. A block depends on nothing but the state before it and its
number, so the result is the same to the last bit.
"""

import json
import logging
import math
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor

from flowlat.config.compare import differences
from flowlat.ensemble.file.changes import changing, settle
from flowlat.ensemble.file.columns import Columns, describe
from flowlat.ensemble.file.hdf5 import creating, reading, set_attribute
from flowlat.ensemble.file.layout import FORMAT, FORMAT_0_1
from flowlat.ensemble.gathering import gather
from flowlat.ensemble.reader import open_ensemble
from flowlat.ensemble.state import state_from_arrays, state_to
from flowlat.kernels.arithmetic import differing
from flowlat.samplers.base import Sampler, State
from flowlat.utils.errors import ConfigError, EnsembleError
from flowlat.utils.files import replacing, to_disk

log = logging.getLogger(__name__)

#: options that may change between the legs of a run; "flow" follows from the checkpoint
FREE = ("n_samples", "resume", "device", "devices", "threads", "flow", "family", "mass_window")
#: a part is written when the one before is so many seconds old
PART_SECONDS = 1.0
#: to which the others are moved in the end
FIRST_PART = "000000.h5"


class EnsembleWriter:
    """The blocks of a run: those of its earlier legs, and those that are appended.

    Args:
        folder: of the run.
        sampler: that draws the blocks.
        header: further attributes of the file. The blocks depend on ``config``, but for ``FREE``,
            and on ``checkpoint_sha256``.
        n: configurations that the ensemble is to have.
        resume: go on with the blocks that are there.

    Raises:
        ConfigError: there are blocks, but not to go on with; or they are of another run, of flowlat
            0.1.0, or more than n.
        EnsembleError: ensemble.h5 is damaged.
    """

    def __init__(
        self, folder: Path, sampler: Sampler, header: dict[str, Any], n: int, resume: bool
    ):
        self.folder, self.path, self.parts = folder, folder / "ensemble.h5", folder / "parts"
        self.sampler, self.n = sampler, n
        self.header = header | {
            "format": FORMAT,
            "kind": sampler.kind,
            "replicas": sampler.replicas,
            "population": sampler.rows if sampler.kind == "weighted" else 1,
            "seed": header["config"]["seed"],
        }
        #: blocks so far; samples in ensemble.h5; seconds it took to draw them
        self.n_blocks = self.n_samples = 0
        self.seconds = 0.0
        #: after the last block
        self.state: State | None = None
        self._changed = ""
        self._files: list[Path] = []
        self._pending: list[dict[str, np.ndarray]] = []
        if resume:
            self._resume()
        elif self.path.exists() or any(self.parts.glob("*")):
            raise ConfigError(f"{folder}: has an ensemble already, resume=true goes on with it")
        self._appended = self._written = time.monotonic()

    def append(self, columns: dict[str, Tensor], state: State) -> None:
        """Add a block, with the state after it; it is on the disk when a second has passed."""
        now = time.monotonic()
        self.seconds += now - self._appended
        self._appended = now
        self.state = state
        self._pending.append({name: values.cpu().numpy() for name, values in columns.items()})
        self.n_blocks += 1
        if now - self._written >= PART_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Have all blocks on the disk, to go on after them."""
        if self._pending:
            part = self._next_part()
            with self.writing():
                self.parts.mkdir(exist_ok=True)
                # no sync, which takes longer: parts have checksums, and can be drawn again
                with replacing(part, sync=False) as partial, creating(partial) as file:
                    self._write(file)
            self._files.append(part)
            self._pending = []
        self._written = time.monotonic()

    def finish(self) -> None:
        """Move all blocks into ensemble.h5, unless they are there; remove the parts."""
        if self.n > self.n_samples:
            self.flush()
            with self.writing():
                self.parts.mkdir(exist_ok=True)
                whole, block = self.parts / FIRST_PART, self.sampler.rows
                header = self.header | {"first_block": 0}
                gather(self._files, whole, header, self.n_blocks * block, block)
                with changing(whole) as file:
                    self._complete(file)
                whole.replace(self.path)
                to_disk(self.folder)
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

    def _next_part(self) -> Path:
        """Named by the first block that is in no file."""
        return self.parts / f"{self._first_block():06d}.h5"

    def _first_block(self) -> int:
        """The number of the first block that is in no file."""
        return self.n_blocks - len(self._pending)

    def _write(self, file: h5py.File) -> None:
        """A part of the blocks that are in no file."""
        rows = len(self._pending) * self.sampler.rows
        columns = Columns(file, rows)
        for block in self._pending:
            columns.append(block)
        if "accepted" in file:
            accepted = torch.from_numpy(file["accepted"][:])
            # what the state says of rows is of those of all blocks, not of a part's
            _, index = self.sampler.chains(self.sampler.initial_state(), accepted, rows)
            columns.append({"chain_index": index.numpy()})
        self._describe(file, n_samples=rows, first_block=self._first_block())

    def _complete(self, file: h5py.File) -> None:
        """What is said of all blocks together."""
        self._describe(file, n_samples=self.n, first_block=0)
        if "accepted" in file:
            accepted = torch.from_numpy(file["accepted"][:])
            start_row, index = self.sampler.chains(self.state, accepted, self.n)
            set_attribute(file, "start_row", start_row)
            file["chain_index"][:] = index.numpy()

    def _describe(self, file: h5py.File, **attributes: int) -> None:
        """The header, and the state after the last block."""
        state = {
            name: values.numpy() for name, values in state_to(self.state, "cpu")._asdict().items()
        }
        describe(file, self.header | {"seconds": self.seconds} | attributes, state)

    def _resume(self) -> None:
        """Find the blocks of an earlier run, if there are any."""
        if any(self.parts.glob("*.npz")):
            self._refuse_0_1()
        if self.path.exists():
            self.n_samples = self._add(self.path)
        while (part := self._next_part()).exists():
            try:
                self._add(part)
            except EnsembleError as error:
                log.warning("%s; drawn again", error)
                break
        least = max(self.n_samples, (self.n_blocks - 1) * self.sampler.rows + 1)
        if self.n < least:
            raise ConfigError(
                f"n_samples={self.n}: must be at least {least}, {self.folder} has them already"
            )

    def _add(self, path: Path) -> int:
        """Take the blocks of a file for the next ones; how many samples it has.

        Raises:
            ConfigError: it is of another run, or of flowlat 0.1.0.
            EnsembleError: it is damaged.
        """
        rows = self.sampler.rows
        with reading(path):
            settle(path)
        with open_ensemble(path) as ensemble:
            if ensemble.format == FORMAT_0_1:
                self._refuse_0_1()
            sha256 = self.header["checkpoint_sha256"]
            here = self.header["config"] | {"ckpt_path": {"sha256": sha256}}
            there = ensemble.config | {"ckpt_path": {"sha256": ensemble.checkpoint_sha256}}
            for key, (a, b) in differences(here, there).items():
                if key.split(".")[0] not in FREE:
                    raise ConfigError(f"{key}={a}: the ensemble in {self.folder} has {key}={b}")
            with reading(path):
                n_blocks, keys = -(-len(ensemble) // rows), ("kind", "replicas", "population")
                if any(getattr(ensemble, key) != self.header[key] for key in keys):
                    raise ValueError(f"{', '.join(keys)}: not of its config")
                if n_blocks * rows != ensemble.n_rows:
                    raise ValueError(f"{len(ensemble)} samples, {ensemble.n_rows} rows: no blocks")
                # a copy of another part would be taken for the blocks after those it is a copy of
                first = ensemble.attribute("first_block", self.n_blocks)  # until 0.2 there was none
                if first != self.n_blocks:
                    raise ValueError(f"its blocks are those from {first} on: a copy of another")
                if not 0 <= (seconds := ensemble.attribute("seconds")) < math.inf:
                    raise ValueError(f"seconds={seconds}: out of range")
                state = state_from_arrays(ensemble.state(), self.sampler)
                before = json.loads(ensemble.attribute("arithmetic", "{}"))
                if not isinstance(before, dict):
                    raise ValueError("arithmetic: not a mapping")
            for _ in ensemble.blocks(rows):  # all of them can be read
                pass
        changed = differing(before, self.header.get("arithmetic", {}))
        if changed and changed != self._changed:
            log.warning("hydra.run.dir=%s: %s", self.folder, changed)
        self._changed = changed
        self.state, self.seconds = state, seconds
        self.n_blocks += n_blocks
        self._files.append(path)
        return len(ensemble)

    def _refuse_0_1(self) -> None:
        raise ConfigError(
            f"hydra.run.dir={self.folder}: has an ensemble of flowlat 0.1.0, which that version "
            "alone goes on with; another folder starts a new one"
        )
