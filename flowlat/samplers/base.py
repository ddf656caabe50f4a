"""The contract of a sampler: blocks of configurations, one after another."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from flowlat.samplers.independence.chain import chain_index

#: what a sampler goes on from: a NamedTuple of tensors of its own, whose ``_asdict()`` can be
#: written to a file, and ``type(sampler.initial_state())(**tensors)`` made from it again
State: TypeAlias = Any

#: what the rows of an ensemble are:
#: "proposals" of an independence chain, with log weights and accept flags;
#: states of a Markov "chain"; configurations that count as their weights say ("weighted")
Kind = Literal["proposals", "chain", "weighted"]


class Block(NamedTuple):
    """``rows`` configurations. Row i of an ensemble belongs to replica i mod ``replicas``.

    phi ``(rows, *shape)``; action S[phi], log_weight ``(rows,)`` in float64; accepted
    ``(rows,)`` bool. log_weight is None for a "chain", accepted for a "weighted" ensemble.
    correlators: of a sampler that averages the two-point function over the signs of clusters,
    ``(rows, sum of sides)``, see :class:`flowlat.observables.SignAverages`.
    """

    phi: Tensor
    action: Tensor
    log_weight: Tensor | None = None
    accepted: Tensor | None = None
    correlators: Tensor | None = None


class Sampler(ABC):
    """A block is a function of the state before it and of its own random numbers alone.

    That makes a run that was stopped between two blocks go on bit for bit.
    """

    kind: ClassVar[Kind]
    #: configurations a block; a multiple of ``replicas``
    rows: int
    #: independent chains
    replicas: int = 1
    #: whether it draws the signs of single sites anew, and no barrier between two wells stops it
    crosses: bool = False

    @abstractmethod
    def start(self, generator: torch.Generator) -> State:
        """The state before the first block: thermalised, tuned."""

    @abstractmethod
    def step(self, state: State, generator: torch.Generator) -> tuple[State, Block]:
        """The next block, and the state after it."""

    @abstractmethod
    def initial_state(self) -> State:
        """A state before anything is computed: its names, shapes and types, its counts at their
        least."""

    def chains(self, state: State, accepted: Tensor, n: int) -> tuple[int, Tensor]:
        """The row from which on chains count, of n that do, and where they stand after each step.

        Args:
            state: after the last of the rows.
            accepted: of all rows, whole blocks of them; those from n on do not count.
        """
        if self.kind == "proposals":
            return 0, chain_index(accepted, self.replicas)
        return 0, torch.arange(len(accepted))

    def info(self, state: State) -> dict[str, float]:
        """What a summary says of the sampler beyond its config, such as a tuned step size."""
        return {}


class MarkovChain(Sampler):
    """A sampler whose block is ``block`` rows, one after another, of all replicas together.

    Its states have fields phi ``(replicas, *shape)`` and action ``(replicas,)``.
    """

    kind: ClassVar[Kind] = "chain"
    block: int

    @abstractmethod
    def advance(self, state: State, generator: torch.Generator) -> tuple[State, Tensor]:
        """From a row to the next: (state, moved ``(replicas,)``)."""

    def step(self, state: State, generator: torch.Generator) -> tuple[State, Block]:
        rows = []
        for _ in range(self.block):
            state, moved = self.advance(state, generator)
            rows.append(self.row(state, moved))
        columns = zip(*rows, strict=True)
        block = Block._make(None if c[0] is None else torch.cat(c) for c in columns)
        return state, block._replace(phi=block.phi.contiguous())

    def row(self, state: State, moved: Tensor) -> Block:
        """Where all replicas stand, as so many rows."""
        return Block(state.phi, state.action, accepted=moved)


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
    def join(
        self, state: State, log_weight: Tensor, auxiliary: Tensor
    ) -> tuple[State, Tensor | None]:
        """The state after the block that was drawn with these, and its ``accepted``."""

    def step(self, state: State, generator: torch.Generator) -> tuple[State, Block]:
        block, auxiliary = self.draw(state, generator)
        assert block.log_weight is not None
        state, accepted = self.join(state, block.log_weight, auxiliary)
        return state, block._replace(accepted=accepted)
