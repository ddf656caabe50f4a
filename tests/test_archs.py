import pytest

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
    config = compose(["arch=combconv_k1", "arch.equivariant=false"])
    first, second, other = build_flow(config), build_flow(config), build_flow(config, seed=1)
    weights = [flow.bijection.bijections[0].net.weights[0] for flow in (first, second, other)]
    assert (weights[0] == weights[1]).all()
    assert (weights[0] != weights[2]).any()


def test_identity_start_is_near_the_identity():
    flow = build_flow(compose([]))
    z, _ = flow.prior(flow.noise(8))
    assert (flow.bijection(z)[0] - z).abs().max() < 0.2


@pytest.mark.parametrize("option", ["activation_last", "final_tanh"])
def test_options_of_the_net_matter(option):
    names = ["arch=combconv_k1", "arch.identity_start=false"]
    built = [build_flow(compose([*names, f"arch.{option}={v}"])) for v in ("true", "false")]
    noise = built[0].noise(2)
    built[1].load_state_dict(built[0].state_dict())
    assert (built[0](noise)[1] - built[1](noise)[1]).abs().min() > 1e-4
