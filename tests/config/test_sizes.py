"""What asks for too much is refused before anything of it is allocated."""

import pytest
import torch

from flowlat import compose
from flowlat.config.compose import validate
from flowlat.config.schemas import SampleConfig
from flowlat.config.sizes import check_sizes
from flowlat.sampling.setup import build_setup
from flowlat.utils.errors import ConfigError

#: what is typed: the pattern of the line that answers it
TRAININGS = {
    "lattice.shape=[100000,100000]": r"lattice.shape=\[100000, 100000\]: more than 16777216 sites",
    "lattice.shape=[2,2,2,2,2,2,2,2]": r"lattice.shape=\[2.*\]: .* at most 7 items",
    "arch.n_steps=10001": "arch.n_steps=10001: must be less than or equal to 10000",
    "arch.channels=10000000": r"arch.channels=10000000, lattice.shape=\[8, 8\]: more than",
    "prior.n_coefficients=10000000": "prior.n_coefficients=10000000, .*: more than 134217728",
    "~prior.n_coefficients lattice.shape=[4000,4000]": "prior.n_coefficients=12, .*: more than",
    "arch=conv arch.hidden=[50000,50000]": r"arch.hidden=\[50000, 50000\].*: more than 134217728",
    "arch=conv arch.n_couplings=10000": "arch.n_couplings=10000.*: more than 10000 layers",
    "arch=conv arch.kernel_size=9999999": "arch.kernel_size=9999999.*: more than 134217728",
    "arch=spline arch.spline_bins=9999999": "arch.spline_bins=9999999.*: more than 134217728",
    "arch=conv ~arch.hidden arch.n_couplings=5000": r"arch.hidden=\(8, 8\).*: more than 10000",
}
SAMPLINGS = {
    "sampler.replicas=10000001": "replicas=10000001.*: more than|replicas=10000001: must be less",
    "sampler.thermalization=1000000000000": "thermalization=1000000000000: m",
    "sampler.replicas=1000000": r"replicas=1000000, .*block=16.*: more than 17179869184 numbers",
    "sampler=annealed sampler.population=5000000": "population=5000000.*: more than 17179869184",
    "sampler=annealed sampler.n_steps=1000000000000": "n_steps=1000000000000: m",
    "batch_size=17179869184": "batch_size=17179869184.*: more than 17179869184 numbers",
}


@pytest.mark.parametrize("typed", TRAININGS)
def test_trainings(typed):
    with pytest.raises(ConfigError, match=TRAININGS[typed]):
        compose(typed.split())


def build(names):
    cfg = compose(["sampler=hmc", "lattice.shape=[64,64]", *names], "sample")
    return build_setup(validate(cfg, SampleConfig), torch.device("cpu"))


@pytest.mark.parametrize("typed", SAMPLINGS)
def test_samplings(typed):
    with pytest.raises(ConfigError, match=SAMPLINGS[typed]):
        build(typed.split())


def test_the_limit_itself_is_allowed():
    lattice = {"shape": [2**12, 2**12]}
    check_sizes({"lattice": lattice})
    check_sizes({"lattice": lattice, "batch_size": 2**10})
    with pytest.raises(ConfigError, match=f"batch_size={2**10 + 1}, "):
        check_sizes({"lattice": lattice, "batch_size": 2**10 + 1})
