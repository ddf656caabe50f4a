"""What asks for too much is refused before anything of it is allocated."""

import pytest

from flowlat import build_flow, compose
from flowlat.actions import Phi4
from flowlat.lattice import Lattice
from flowlat.samplers import HMC, Annealed, Metropolis
from flowlat.utils.errors import ConfigError
from flowlat.utils.limits import BATCH, COUNT, require_at_most


def test_the_limit_itself_is_allowed():
    require_at_most(3, "sites", 3, "shape=[3]")
    with pytest.raises(ConfigError, match=r"shape=\[4\]: more than 3 sites"):
        require_at_most(3, "sites", 4, "shape=[4]")


LATTICE, ACTION = Lattice([64, 64]), Phi4(1.0, 0.5)
TOO_MUCH = {
    "replicas=10000001: more than 10000000": lambda: HMC(LATTICE, ACTION, replicas=COUNT + 1),
    "thermalization=1000000000000: more": lambda: HMC(LATTICE, ACTION, thermalization=10**12),
    "replicas=1000000, block=16: more than 17179869184 numbers": (
        lambda: HMC(LATTICE, ACTION, replicas=10**6)
    ),
    "population=5000000: more than 17179869184 numbers": (
        lambda: Annealed(LATTICE, ACTION, population=5 * 10**6)
    ),
    "n_steps=1000000000000: more": lambda: Annealed(LATTICE, ACTION, n_steps=10**12),
    "batch_size=17179869184: more than 17179869184 numbers": (
        lambda: Metropolis(build_flow(compose(["lattice.shape=[4,4]"])), BATCH, ACTION)
    ),
}


@pytest.mark.parametrize("text", TOO_MUCH)
def test_samplers(text):
    with pytest.raises(ValueError, match=text):
        TOO_MUCH[text]()
