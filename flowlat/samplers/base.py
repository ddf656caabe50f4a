"""The contract of a sampler: blocks of configurations, one after another."""

from abc import ABC, abstractmethod
from typing import Literal, NamedTuple

import torch
from torch import Tensor

#: what a sampler goes on from; plain tensors, so that it can be written to a file
State = dict[str, Tensor]

#: what the rows of an ensemble are:
#: "proposals" of an independence chain, with log weights and accept flags;
#: states of a Markov "chain"; configurations that count as their weights say ("weighted")
Kind = Literal["proposals", "chain", "weighted"]


class Block(NamedTuple):
    """``rows`` configurations. Row i of an ensemble belongs to replica i mod ``replicas``.

    phi ``(rows, *shape)``; action S[phi], log_weight ``(rows,)`` in float64; accepted
    ``(rows,)`` bool. log_weight is None for a "chain", accepted for a "weighted" ensemble.
    """

    phi: Tensor
    action: Tensor
    log_weight: Tensor | None = None
    accepted: Tensor | None = None


class Sampler(ABC):
    """A block is a function of the state before it and of its own random numbers alone.

    That makes a run that was stopped between two blocks go on bit for bit.
    """

    kind: Kind
    #: configurations a block; a multiple of ``replicas``
    rows: int
    #: independent chains
    replicas: int = 1

    @abstractmethod
    def start(self, generator: torch.Generator) -> State:
        """The state before the first block: thermalised, tuned."""

    @abstractmethod
    def step(self, state: State, generator: torch.Generator) -> tuple[State, Block]:
        """The next block, and the state after it."""

    @abstractmethod
    def blank(self) -> State:
        """The names, shapes and types of a state, and the least values of its integers."""

    def info(self, state: State) -> dict[str, float]:
        """What a summary says of the sampler beyond its config, such as a tuned step size."""
        return {}


class IndependentSampler(Sampler):
    """A sampler whose blocks can be drawn in any order, by any process.

    ``draw`` does the work. ``join`` puts the blocks together, in order, at next to no cost.
    """

    @abstractmethod
    def draw(self, state: State, generator: torch.Generator) -> tuple[Block, Tensor]:
        """A block without ``accepted``, and what ``join`` needs beside its weights.

        Of the state it may read what no step changes.
        """

    @abstractmethod
    def join(self, state: State, log_weight: Tensor, notes: Tensor) -> tuple[State, Tensor | None]:
        """The state after the block with these weights and notes, and its ``accepted``."""

    def step(self, state: State, generator: torch.Generator) -> tuple[State, Block]:
        block, notes = self.draw(state, generator)
        assert block.log_weight is not None
        state, accepted = self.join(state, block.log_weight, notes)
        return state, block._replace(accepted=accepted)
