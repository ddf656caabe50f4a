"""Whether a fast kernel does what plain PyTorch does, before it is used for the first time.

A compiler, a driver or a device may be one that the kernel never ran on. So once a process, and for
each kind of stack anew, a few configurations go both ways, forward and backward.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import torch
from torch import Tensor

from flowlat.utils.memory import out_of_memory

log = logging.getLogger("flowlat")

#: configurations that go both ways
N_COMPARED = 3
#: relative to the largest element: rounding stays a hundred times below, TF32 too
TOLERANCES = {torch.float32: 1e-2, torch.float64: 1e-8}

#: characters of what a compiler or a driver says
LONGEST = 300

#: takes the tensors of a comparison in their order
Function = Callable[..., Tensor | tuple[Tensor, ...]]

#: kernel, device and dtype -> what is wrong; and the kinds of each with which nothing is
_faults: dict[tuple[str, str, torch.dtype], str] = {}
_sound: set[Hashable] = set()
#: the faults that were warned of
_said: set[str] = set()


class Comparison(NamedTuple):
    """A kernel, and what it is held against, on the device and dtype of ``x``."""

    kernel: str
    kind: Hashable  # of what it is to compute: each is compared once
    x: Tensor
    fast: Function  # the kernel, of the values of ``inputs()``
    plain: Function  # the same by PyTorch alone
    inputs: Callable[[], Mapping[str, Tensor]]  # floating-point tensors by what they are called
    gradients: bool = True  # else the kernel has none, and forward is all that is compared
    rounding: float = 0.0  # what a result may be off by even where it is to be zero
    kinks: bool = False  # the derivative jumps: rounding may have a few sites on the other side


def fault(comparison: Comparison) -> str | None:
    """What is wrong with a kernel, in words; None: nothing.

    Looked for on the first call with a ``kind``; a kernel in which a fault was found has it for all
    kinds. Nothing is known, and nothing remembered, where a tensor is empty or not finite, or of a
    dtype without a tolerance, for which no kernel is made.
    """
    kernel, kind, x = comparison.kernel, comparison.kind, comparison.x
    where = kernel, x.device.type, x.dtype
    if where in _faults:
        return _faults[where]
    if (where, kind) in _sound:
        return None
    if x.dtype not in TOLERANCES:
        return None
    given = {name: tensor.detach() for name, tensor in comparison.inputs().items()}
    if not all(t.numel() and t.isfinite().all() for t in given.values()):
        return None
    # a thread of its own has none of the modes that the caller may be in, such as no_grad,
    # inference_mode, or the hooks with which a checkpoint counts what is saved
    with ThreadPoolExecutor(1) as thread:
        found = thread.submit(_compare, comparison, given).result()
    if found is None:
        _sound.add((where, kind))
    else:
        _faults[where] = f"{kernel} on {where[1]}, {str(x.dtype).removeprefix('torch.')}: {found}"
    return _faults.get(where)


def sound(comparison: Comparison, by_hand: str) -> bool:
    """Whether :func:`fault` finds none; else one warning, with the option that does without."""
    wrong = fault(comparison)
    if wrong and wrong not in _said:
        _said.add(wrong)
        log.warning("%s; plain PyTorch runs instead (%s by hand)", wrong, by_hand)
    return wrong is None


def _compare(comparison: Comparison, inputs: Mapping[str, Tensor]) -> str | None:
    """What differs between two functions, or how the first one fails."""
    expected = _outcome(comparison.plain, inputs, comparison.gradients)
    rounding = dict.fromkeys(expected, comparison.rounding)
    try:
        found = _outcome(comparison.fast, inputs, comparison.gradients)
        name, worst = _worst(found, expected, rounding)
        if worst > 1 and comparison.kinks:
            name, worst = _worst(found, expected, _across_kinks(comparison, inputs, expected))
    except Exception as error:  # of a compiler, a driver or a launch: of any kind
        if out_of_memory(error):
            raise
        return f"it fails ({type(error).__name__}: {' '.join(str(error).split())[:LONGEST]})"
    if worst <= 1:
        return None
    return f"{name} differs from PyTorch's by {worst:.2g} times the tolerance"


def _worst(
    found: Mapping[str, Tensor], expected: Mapping[str, Tensor], rounding: Mapping[str, float]
) -> tuple[str, float]:
    """Which one differs most, and by how much."""
    off = {name: difference(found[name], expected[name], rounding[name]) for name in expected}
    return max(off.items(), key=lambda item: item[1])


def _across_kinks(
    comparison: Comparison, inputs: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> dict[str, float]:
    """Twice what PyTorch's results change by when its inputs do by a hundredth of the tolerance.

    In float32 one of some 10^5 pre-activations is nearer to zero than its rounding.
    """
    most = dict.fromkeys(expected, 0.0)
    for sign in (1, -1):
        near = {k: t * (1 + sign * TOLERANCES[t.dtype] / 100) for k, t in inputs.items()}
        for name, result in _outcome(comparison.plain, near, comparison.gradients).items():
            most[name] = max(most[name], 2 * (result - expected[name]).abs().max().item())
    return most


def _outcome(
    function: Function, inputs: Mapping[str, Tensor], differentiate: bool
) -> dict[str, Tensor]:
    """The outputs, and the gradients of a projection of them on numbers without a pattern."""
    given = [tensor.clone().requires_grad_(differentiate) for tensor in inputs.values()]
    outputs = function(*given)
    outputs = (outputs,) if isinstance(outputs, Tensor) else outputs
    if not differentiate:
        return {f"output {i}": out for i, out in enumerate(outputs)}
    # of a scalar: PyTorch imports sympy where it is given the gradients of the outputs
    projection = torch.stack([(out * numbers(out)).sum() for out in outputs]).sum()
    gradients = torch.autograd.grad(projection, given)
    named = {f"output {i}": out.detach() for i, out in enumerate(outputs)}
    names = (f"the gradient in {name}" for name in inputs)
    return named | dict(zip(names, gradients, strict=True))


def numbers(like: Tensor) -> Tensor:
    """cos(n^2), n = 1, 2, ..., in the shape, strides, dtype and device of ``like``."""
    n = torch.arange(1, like.numel() + 1, dtype=torch.float64, device=like.device)
    return torch.empty_like(like).copy_(torch.cos(n * n).reshape(like.shape))


def difference(found: Tensor, expected: Tensor, rounding: float = 0.0) -> float:
    """max |found - expected| / max |expected|, over the tolerance of the dtype: at most 1 is well.

    The denominator is at least ``rounding``. Infinite for another shape, or NaN; 0 where what is
    expected is not finite itself, or empty.
    """
    if found.shape != expected.shape:
        return torch.inf
    if not expected.numel() or not expected.isfinite().all():
        return 0.0
    scale = expected.abs().max() * TOLERANCES[expected.dtype]
    least = max(rounding, torch.finfo(scale.dtype).tiny)
    ratio = (found - expected).abs().max() / scale.clamp_min(least)
    return ratio.nan_to_num(nan=torch.inf).item()
