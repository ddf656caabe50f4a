"""The lattices, and the weights on them that every contender gets."""

from typing import NamedTuple

import torch

from benchmarks.report import FOLDER
from flowlat.config.checkpoint import flow_weights, read_checkpoint


class Case(NamedTuple):
    """A lattice, a coupling at m2 = -4, and the shipped checkpoint that starts it, if one does."""

    shape: tuple[int, ...]
    lam: float
    checkpoint: str | None
    shift: float | None = None  # of the prior; with one, the flow is not odd


CASES = {
    "2d_L8": Case((8, 8), 8.0, "tutorial"),
    "2d_L32": Case((32, 32), 4.572, "xi_32"),
    "2d_L64": Case((64, 64), 4.572, "xi_32"),
    "3d_L8": Case((8, 8, 8), 8.0, None),
    "4d_L4": Case((4, 4, 4, 4), 5.113, "4d_L4_ordered", 0.5),
    "4d_L8": Case((8, 8, 8, 8), 5.113, "4d_L4_ordered", 0.5),
}


def shipped_weights(case: Case) -> dict[str, torch.Tensor]:
    """Of the checkpoint of a case, which has one; of a symmetrised flow those of its one mode."""
    path = FOLDER.parent / "checkpoints" / f"{case.checkpoint}.ckpt"
    found = flow_weights(read_checkpoint(path))
    return {name.removeprefix("flow."): weight for name, weight in found.items()}
