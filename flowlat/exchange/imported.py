"""Configurations of another program as the blocks of a chain."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from flowlat.actions import Action
from flowlat.samplers.base import Block, Sampler
from flowlat.utils.errors import ConfigError

#: numbers of a block: 32 MB in double precision
NUMBERS = 2**22


class ImportedState(NamedTuple):
    """phi ``(replicas, *shape)`` of the last step; blocks so far."""

    phi: Tensor
    n_blocks: Tensor


class Imported(Sampler):
    """The rows of an array, one block after another; a step that changed nothing was a rejection.

    Args:
        values: ``(steps, replicas, *shape)``, of which a block is read at a time.
        scale: the factor by which its fields become flowlat's.
        name: of the source, for messages.

    The last block is made up with its last step, in rows that do not count. In double precision,
    unless the source is in single.
    """

    kind = "chain"

    def __init__(self, values: np.ndarray, action: Action, scale: float, name: str):
        self.values, self.action, self.scale, self.name = values, action, scale, name
        self.steps, self.replicas, *_ = values.shape
        a_step = values[0].size
        self.block = max(1, min(self.steps, NUMBERS // a_step))
        self.rows = self.block * self.replicas
        single = values.dtype.kind == "f" and values.dtype.itemsize == 4
        self.dtype = np.float32 if single else np.float64

    def initial_state(self) -> ImportedState:
        phi = np.zeros(self.values.shape[1:], self.dtype)
        return ImportedState(torch.from_numpy(phi), torch.tensor(0))

    def start(self, generator: torch.Generator) -> ImportedState:
        """Nothing is drawn."""
        return self.initial_state()

    def step(self, state: ImportedState, generator: torch.Generator) -> tuple[ImportedState, Block]:
        start = int(state.n_blocks) * self.block
        phi = torch.from_numpy(fields(self.values[start : start + self.block], self.dtype))
        if not (finite := phi.isfinite().flatten(2).all(2)).all():
            step, replica = (~finite).nonzero()[0].tolist()
            raise ConfigError(
                f"SOURCE={self.name}: step {start + step} of replica {replica}: NaN or infinity"
            )
        phi *= self.scale
        moved = (phi.diff(dim=0, prepend=state.phi[None]) != 0).flatten(2).any(2)
        if not state.n_blocks:
            moved[0] = True  # there is nothing before it
        missing = self.block - len(phi)
        phi = torch.cat([phi, phi[-1:].expand(missing, *phi.shape[1:])])
        moved = torch.cat([moved, moved.new_zeros(missing, self.replicas)])
        rows = phi.flatten(0, 1)
        block = Block(rows, self.action(rows.double()), accepted=moved.flatten())
        return ImportedState(phi[-1], state.n_blocks + 1), block


def fields(values: np.ndarray, dtype: type = np.float64) -> np.ndarray:
    """A copy in memory, in C order and the byte order of this machine."""
    return np.array(values, dtype=dtype, order="C")
