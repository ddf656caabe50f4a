"""Sizes beyond which an option is a mistake or an attack: refused before anything is allocated.

The types say so in the signature of what is configured, and are checked where a config is: no
constructor checks them again. Products of several options: ``flowlat.config.sizes``.
"""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from flowlat.utils.errors import ConfigError

#: sites of a lattice: 64^4
SITES = 2**24
#: axes of a lattice: what PyTorch's Fourier transforms do on the CPU
AXES = 7
#: numbers that a layer keeps, or all the layers of a flow: 0.5 GB in single precision
NUMBERS = 2**27
#: layers of a flow, or steps of an ODE: each takes time and memory whatever its size
LAYERS = 10_000
#: numbers of the configurations that are computed at once: 64 GB in single precision
BATCH = 2**34
#: configurations of an ensemble
ROWS = 2**40
#: epochs, steps of one, chains, trajectories of a block, ...
COUNT = 10**7
#: threads, processes or devices of one machine; machines
WORKERS = 1024


def require_at_most(limit: int, what: str, found: int, options: str) -> None:
    """Raise ConfigError in the words of the options if what they ask for is beyond a limit."""
    if found > limit:
        raise ConfigError(f"{options}: more than {limit} {what}")


#: a number of things: chains, steps, channels, ...
Count = Annotated[int, Field(ge=1, le=COUNT)]
#: layers of a flow, steps of an ODE
Layers = Annotated[int, Field(ge=1, le=LAYERS)]
#: threads, processes, devices
Workers = Annotated[int, Field(ge=1, le=WORKERS)]
#: configurations of an ensemble
Rows = Annotated[int, Field(ge=1, le=ROWS)]
#: the sides of a lattice
Shape = Annotated[
    Sequence[Annotated[int, Field(ge=1, le=SITES)]], Field(min_length=1, max_length=AXES)
]
#: what random numbers follow from
Seed = Annotated[int, Field(ge=0, lt=2**63)]
#: a length, a mass, a rate
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
#: a probability or a fraction, without 0 and 1
Probability = Annotated[float, Field(gt=0, lt=1)]
