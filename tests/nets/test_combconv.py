"""Combinational convolutions against independent transcriptions."""

import itertools
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from flowlat import build_flow, compose
from flowlat.kernels import available_kernels
from flowlat.lattice import Lattice
from flowlat.nets import CombConvNet
from tests.support.helpers import DIMENSIONS, SHAPES

CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
KERNELS_HERE = ["auto", *(name for name in available_kernels() if name != "triton")]
MODULE = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


def net_of(d, k, *, last=False, shape=None, **options):
    lattice = Lattice(shape or SHAPES[d])
    options = {"hidden": (4, 3), "identity_start": False, **options}
    return CombConvNet(lattice, n_params=2, k=k, activation_last=last, **options).double()


def field(net, batch=2):
    return torch.randn(batch, 1, *net.spec.shape, dtype=torch.float64)


def on_active_sites(net, value, active):
    return value * Lattice(net.spec.shape).parity_mask(active)


def published_branch(x, axes, weight, bias):
    """Chosen axes last, all others into the batch, circular padding, torch's k-d convolution."""
    k, side = len(axes), round(weight.shape[-1] ** (1 / len(axes)))
    rest = [a for a in range(x.dim() - 2) if a not in axes]
    order = [0, *(a + 2 for a in rest), 1, *(a + 2 for a in axes)]
    y = x.permute(order)
    leading = y.shape[: 1 + len(rest)]
    y = y.reshape(-1, *y.shape[1 + len(rest) :])
    y = F.pad(y, (side // 2,) * (2 * k), mode="circular")
    y = CONV[k](y, weight.reshape(*weight.shape[:2], *[side] * k), bias)
    y = y.reshape(*leading, *y.shape[1:])
    return y.permute([order.index(i) for i in range(x.dim())])


def published(net, x, k, last, activations):
    for weight, bias, act in zip(net.weights, net.biases, activations, strict=True):
        choices = itertools.combinations(range(x.dim() - 2), k)
        z = [published_branch(x, axes, weight[r], bias[r]) for r, axes in enumerate(choices)]
        z = torch.stack(z)
        x = act(z.mean(0)) if last else act(z).mean(0)
    return x


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(("d", "k"), [(d, k) for d in DIMENSIONS for k in (1, 2, 3) if k <= d])
@pytest.mark.parametrize("kernel_size", [3, 5])
def test_net_is_the_published_form(d, k, last, kernel_size):
    net = net_of(d, k, last=last, kernel_size=kernel_size, final_activation="tanh")
    x = field(net)
    expected = published(net, x, k, last, [F.leaky_relu, F.leaky_relu, torch.tanh])
    for active in ("even", "odd"):
        for net.kernel in KERNELS_HERE:
            torch.testing.assert_close(net(x, active), on_active_sites(net, expected, active))


def test_position_of_the_activation_matters():
    net, other = net_of(3, 1), net_of(3, 1, last=True)
    other.load_state_dict(net.state_dict())
    x = field(net)
    assert (net(x, "even") - other(x, "even")).abs().max() > 1e-3


@pytest.mark.parametrize("d", MODULE)
def test_all_axes_at_once_is_the_circular_convolution_of_torch(d):
    net = net_of(d, d)
    layers = []
    for (weight, bias), (c_in, c_out) in zip(
        zip(net.weights, net.biases, strict=True), pairwise((1, 4, 3, 2)), strict=True
    ):
        layer = MODULE[d](c_in, c_out, 3, padding=1, padding_mode="circular").double()
        layer.weight.data = weight.data.reshape(layer.weight.shape)
        layer.bias.data = bias.data[0]
        layers += [layer, nn.LeakyReLU()]
    x = field(net)
    expected = nn.Sequential(*layers[:-1])(x)
    torch.testing.assert_close(net(x, "odd"), on_active_sites(net, expected, "odd"))


@pytest.mark.parametrize("shape", [[2, 2, 2, 2], [2, 2, 2, 4]])
def test_convolution_in_four_dimensions_site_by_site(shape):
    net = net_of(4, 4, shape=shape, hidden=())
    (weight,), (bias,) = net.weights, net.biases
    kernel = weight[0].reshape(2, 1, 3, 3, 3, 3)
    x = field(net, batch=1)
    expected = torch.zeros(1, 2, *shape, dtype=torch.float64)
    for site in itertools.product(*map(range, shape)):
        total = bias[0].clone()
        for tap in itertools.product(range(3), repeat=4):
            there = tuple((s + t - 1) % side for s, t, side in zip(site, tap, shape, strict=True))
            total += kernel[(slice(None), 0, *tap)] * x[(0, 0, *there)]
        expected[(0, slice(None), *site)] = total
    torch.testing.assert_close(net(x, "even"), on_active_sites(net, expected, "even"))


@pytest.mark.parametrize(("d", "arch"), [(2, "conv"), (3, "combconv_k1"), (4, "combconv_k2")])
def test_weights_start_uniform_within_the_bound_of_torch(d, arch):
    """Published recipe: |w| <= 1/sqrt(fan_in), and the largest of hundreds comes close to it."""
    flow = build_flow(compose([f"lattice={d}d", f"arch={arch}", "recipe=published"]))
    layer = torch.stack([coupling.net.weights[1] for coupling in flow.bijection.bijections])
    bound = (layer.shape[-2] * layer.shape[-1]) ** -0.5
    # of n > 1000 uniform numbers all stay below 0.98 of the bound with p < 0.98^1000 = 2e-9
    assert layer.numel() > 1000
    assert 0.98 * bound < layer.abs().max() <= bound


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 3}, "k=3 exceeds the lattice dimension d=2"),
        ({"kernel_size": 4}, "kernel_size=4: must be odd"),
        ({"kernel": "abacus"}, "kernel=abacus: unknown"),
        ({"activation": "step"}, "unknown activation 'step'"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        CombConvNet(Lattice([4, 4]), 2, **{"k": 1, **options})
