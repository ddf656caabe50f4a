import itertools

import pytest
import torch

from flowlat import build_flow, compose


@pytest.mark.parametrize(
    ("lattice", "arch", "expected"),
    [
        ("2d", "conv", 12_960),
        ("3d", "conv", 38_304),
        ("4d", "conv", 114_336),
        ("3d", "combconv_k1", 13_536),
        ("4d", "combconv_k1", 18_048),
    ],
)
def test_parameters_of_the_reference_networks(lattice, arch, expected):
    flow = build_flow(compose([f"lattice={lattice}", f"arch={arch}", "recipe=published"]))
    assert sum(p.numel() for p in flow.parameters()) == expected


def test_weights_depend_on_the_seed_alone():
    config = compose(["arch=combconv_k1"])
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    seeds = (None, 0, 1, 2**32, 1 + 2**32, 2**63 - 1)
    flows = [build_flow(config, seed) for seed in seeds]
    assert torch.equal(torch.random.get_rng_state(), before)
    first, *others = (torch.nn.utils.parameters_to_vector(f.parameters()) for f in flows)
    assert torch.equal(first, others[0])
    for a, b in itertools.combinations(others, 2):
        assert (a != b).any()


def test_couplings_have_weights_of_their_own():
    flow = build_flow(compose(["arch=combconv_k1", "recipe=published"]))
    layers = [coupling.net.weights[0] for coupling in flow.bijection.bijections]
    assert len({layer.flatten()[0].item() for layer in layers}) == 16


def test_identity_start_is_near_the_identity():
    flags = ("true", "false")
    near, far = (
        build_flow(compose(["arch=conv", f"arch.identity_start={flag}"])) for flag in flags
    )
    z, _ = near.prior(near.noise(8))
    moved = (near.bijection(z)[0] - z).abs().max()
    assert 0 < moved < 0.05
    assert (far.bijection(z)[0] - z).abs().max() > 5 * moved


@pytest.mark.parametrize("option", ["activation_last", "final_tanh", "equivariant"])
def test_options_of_the_net_matter(option):
    names = ["arch=combconv_k1", "arch.identity_start=false", "prior=normal"]
    flows = [build_flow(compose([*names, f"arch.{option}={flag}"])) for flag in ("true", "false")]
    noise = flows[0].noise(2)
    assert (flows[0](noise)[1] - flows[1](noise)[1]).abs().min() > 1e-4  # from the same seed
