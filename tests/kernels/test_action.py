"""S of phi^4 and its force by the compiled kernel against plain PyTorch in float64."""

import pytest
import torch

from flowlat.actions import Phi4
from flowlat.kernels import available_kernels, first_use
from flowlat.kernels.phi4 import action as kernel
from flowlat.kernels.phi4.action import (
    action_fused,
    action_reference,
    force_fused,
    force_reference,
    phi4_action,
    phi4_force,
)
from flowlat.lattice import batch_fastest, sum_sites
from tests.support.helpers import SHAPES

pytestmark = pytest.mark.skipif("cpu" not in available_kernels(), reason="needs a C++ compiler")

#: an action of terms that are all of one order
COUPLINGS = -4.0, 5.113
DTYPES = [torch.float32, torch.float64]
LAYOUTS = {
    "rows": torch.Tensor.contiguous,
    "batch fastest": batch_fastest,
    "neither": lambda phi: phi.transpose(1, -1).contiguous().transpose(1, -1),
    "every other": lambda phi: torch.stack([phi, -3 * phi], -1)[..., 0],
}


def fields_of(shape, n, dtype):
    generator = torch.Generator().manual_seed(1)
    return (0.7 * torch.randn(n, *shape, generator=generator, dtype=torch.float64)).to(dtype)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 3, 65])
@pytest.mark.parametrize(
    "shape", [*SHAPES.values(), [1], [2], [5], [1, 3], [3, 1, 2], [7, 9], [2] * 5, [1] * 40]
)
def test_values(shape, n, dtype, layout):
    phi = LAYOUTS[layout](fields_of(shape, n, dtype))
    kept = phi.clone()
    exact = phi.double().contiguous()
    expected = action_reference(exact, *COUPLINGS), force_reference(exact, *COUPLINGS)
    found = action_fused(phi, *COUPLINGS), force_fused(phi, *COUPLINGS)
    # a rounding of the result, and in float64 those of the terms, which cancel
    terms = sum_sites(4 * len(shape) * (1 + exact.square() + exact**4)).max().item()
    for of, by in zip(expected, found, strict=True):
        assert by.dtype == dtype
        rounded = torch.finfo(dtype).eps * of.abs().max() + 4 * torch.finfo(exact.dtype).eps * terms
        torch.testing.assert_close(by.double(), of, rtol=0, atol=rounded.item())
    assert torch.equal(phi, kept)


@pytest.mark.parametrize("layout", ["rows", "batch fastest"])
def test_the_force_lies_as_the_field_does(layout):
    phi = LAYOUTS[layout](fields_of([4, 6], 9, torch.float32))
    assert force_fused(phi, *COUPLINGS).stride() == phi.stride()


@pytest.mark.parametrize("layout", ["rows", "batch fastest"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_configuration_is_computed_by_itself(dtype, layout):
    """In any batch, on any number of threads, bit for bit the same."""
    n, shape = 1000, [8, 8]
    phi = fields_of(shape, n, dtype)
    before = torch.get_num_threads()
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        try:
            field = LAYOUTS[layout](phi)
            found.append((action_fused(field, *COUPLINGS), force_fused(field, *COUPLINGS)))
        finally:
            torch.set_num_threads(before)
    assert all(map(torch.equal, *found))
    alone = [action_fused(phi[i : i + 1], *COUPLINGS) for i in (0, 500, n - 1)]
    assert torch.equal(torch.cat(alone), found[0][0][[0, 500, n - 1]])


def test_small_differences_of_large_sums():
    """S in float32 has the error of its last digit, not that of its terms."""
    phi = 1 + 1e-2 * fields_of([32, 32], 5, torch.float64)
    phi = phi.float()
    lam = 4.0  # S of the constant field is zero
    exact = action_reference(phi.double(), -lam, lam)
    assert exact.abs().max() < 1e-2 * 32 * 32 * lam
    torch.testing.assert_close(phi4_action(phi, -lam, lam).double(), exact, rtol=1e-6, atol=0)


@pytest.mark.parametrize("shape", [[5], [3, 4], [2, 3, 2]])
def test_gradients_of_any_order(shape):
    phi = fields_of(shape, 2, torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda phi: phi4_action(phi, *COUPLINGS), phi)
    assert torch.autograd.gradgradcheck(lambda phi: phi4_action(phi, *COUPLINGS), phi)
    assert torch.autograd.gradcheck(lambda phi: phi4_force(phi, *COUPLINGS), phi)


def test_no_configuration():
    phi = torch.empty(0, 4, 4)
    assert phi4_action(phi, *COUPLINGS).shape == (0,)
    assert phi4_force(phi, *COUPLINGS).shape == (0, 4, 4)


def test_what_is_not_finite_stays_so():
    phi = fields_of([4, 4], 3, torch.float32)
    phi[1, 2, 3] = torch.nan
    phi[2, 0, 0] = torch.inf
    found, expected = (run(phi, *COUPLINGS) for run in (phi4_action, action_reference))
    assert found[0].isfinite()
    assert found[1].isnan()
    assert not found[2].isfinite()
    torch.testing.assert_close(found[:2], expected[:2], equal_nan=True)


@pytest.mark.parametrize("name", ["action", "force"])
def test_a_wrong_kernel_is_found_and_not_used(name, monkeypatch, caplog):
    right = getattr(kernel, f"{name}_fused")
    monkeypatch.setattr(kernel, f"{name}_fused", lambda *given: 1.1 * right(*given))
    for known in ("_faults", "_sound", "_said"):
        monkeypatch.setattr(first_use, known, type(getattr(first_use, known))())
    phi, action = fields_of([4, 4], 8, torch.float64), Phi4(*COUPLINGS)
    torch.testing.assert_close(action(phi), action_reference(phi, *COUPLINGS))
    torch.testing.assert_close(action.force(phi), force_reference(phi, *COUPLINGS))
    assert f"phi4 {name} on cpu, float64: output 0 differs from PyTorch's" in caplog.text
