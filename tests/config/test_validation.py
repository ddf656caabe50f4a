"""Plain data against signatures: strict, in one line, and only what a yaml can hold."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import pytest
import torch

from flowlat.config.schemas import Name
from flowlat.config.validation import check_parameters
from flowlat.lattice import Lattice
from flowlat.utils.errors import ConfigError
from flowlat.utils.limits import Count, Positive, Probability, Shape


def build(
    lattice: Lattice,
    make: Callable[[], Any],
    tensors: list[torch.Tensor],
    flow: Lattice | None = None,
    n: Count = 1,
    mass: Positive | None = None,
    betas: tuple[float | torch.Tensor, float | torch.Tensor] = (0.9, 0.9),
    shape: Sequence[int] = (),
    either: list[int] | str | int = 1,
    mode: Literal["a", 2] = "a",
    p: Probability = 0.5,
    extent: Shape = (1,),
    nested: Sequence[Shape] = (),
    named: dict[Name, int] | None = None,
    anything=None,
) -> None: ...


def unresolved(lattice: "NoSuchThing", n: int = 3): ...  # noqa: F821


def open_ended(n: int, **options: Any): ...


@pytest.mark.parametrize(
    "node",
    [
        {"_target_": "any", "_partial_": True},
        {"n": 3, "mass": 2, "betas": [0.5, 1], "shape": [4, 4], "p": 0.1},
        {"mass": None, "either": "x", "mode": 2, "anything": {"a": [1]}},
        {"either": [1, 2]},
        {"make": {"_target_": "math.prod", "_partial_": True}},
    ],
)
def test_what_fits(node):
    check_parameters(node, build, "")


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"betas": [0.5]}, r"x.betas=\[0.5\]: must have at least 2 items, not 1$"),
        ({"betas": [0.5, 0.5, 0.5]}, r"x.betas=.*: must have at most 2 items, not 3$"),
        ({"betas": 0.5}, r"x.betas=0.5: must be a list$"),
        ({"extent": []}, r"x.extent=\[\]: must have at least 1 item, not 0$"),
        ({"extent": [1] * 8}, r"x.extent=.*: must have at most 7 items, not 8$"),
        ({"extent": [[2]]}, r"x.extent.0=\[2\]: must be a valid integer$"),
        ({"nested": [[1], []]}, r"x.nested.1=\[\]: must have at least 1 item, not 0$"),
        ({"named": {"a-b": 1}}, r"x.named.a-b: a name has letters, digits and _ alone$"),
        ({"n": True}, "x.n=True: must be a valid integer"),
        ({"n": 1.0}, "x.n=1.0: must be a valid integer"),
        ({"n": "3"}, "x.n='3': must be a valid integer"),
        ({"n": 0}, "x.n=0: must be greater than or equal to 1"),
        ({"n": 10**40}, "x.n=10*: must be less than or equal to 10000000"),
        ({"n": None}, "x.n=None: must be a valid integer"),
        ({"n": {"_target_": "math.prod"}}, "x.n={.*}: must be a valid integer"),
        ({"mass": 0.0}, "x.mass=0.0: must be greater than 0"),
        ({"mass": float("nan")}, "x.mass=nan: must be"),
        ({"mass": float("inf")}, "x.mass=inf: must be a finite number"),
        ({"p": 1}, "x.p=1: must be less than 1"),
        ({"betas": [0.5, True]}, "x.betas.1=True: must be a valid number"),
        ({"shape": [4, "4"]}, "x.shape.1='4': must be a valid integer"),
        ({"shape": "44"}, "x.shape='44': must be a valid list"),
        ({"shape": [0.5, "4"]}, "x.shape.0=0.5: must be a valid integer$"),
        ({"either": 1.5}, "x.either=1.5: must be a valid list or .*string or .*integer"),
        ({"mode": "b"}, "x.mode='b': must be 'a' or 2"),
        ({"lattice": 3}, "x.lattice=3: must be a mapping"),
        ({"lattice": {}}, "x.lattice._target_: missing"),
        ({"flow": 3}, "x.flow=3: must be a mapping"),
        ({"make": "os.system"}, "x.make='os.system': must be a mapping"),
        ({"tensors": []}, r"x.tensors=\[\]: must be a mapping"),
        ({"sides": 3}, "x.sides=3: no such option .known: lattice, make, .*, anything"),
    ],
)
def test_what_does_not(node, message):
    with pytest.raises(ConfigError, match=message) as caught:
        check_parameters(node, build, "x.")
    assert "\n" not in str(caught.value)


def test_annotations_of_other_packages_may_not_resolve():
    check_parameters({"n": "anything"}, unresolved, "")
    with pytest.raises(ConfigError, match=r"m=3: no such option .known: lattice, n"):
        check_parameters({"m": 3}, unresolved, "")


def test_further_options_where_the_signature_takes_them():
    check_parameters({"n": 1, "more": object}, open_ended, "")
    with pytest.raises(ConfigError, match="n='1'"):
        check_parameters({"n": "1"}, open_ended, "")


@pytest.mark.parametrize("name", ["Adam", "AdamW", "SGD"])
def test_optimizers_of_torch(name):
    target = getattr(torch.optim, name)
    check_parameters({"lr": 1e-2, "foreach": None}, target, "")
    with pytest.raises(ConfigError, match="lr='fast': must be a valid number"):
        check_parameters({"lr": "fast"}, target, "")


def test_what_has_no_signature_cannot_be_configured():
    with pytest.raises(ConfigError, match="cannot be configured"):
        check_parameters({}, 3, "")
