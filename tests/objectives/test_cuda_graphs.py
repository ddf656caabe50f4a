"""A recorded step is the step: by a recorder without CUDA here, by CUDA graphs where there is one.

``plain`` stands in for a CUDA graph: it runs the step again, and like a graph writes the results to
the memory of the first ones.
"""

import logging

import pytest
import torch
from lightning.pytorch import Trainer
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from flowlat import compose
from flowlat.actions import Phi4
from flowlat.config.compose import validate
from flowlat.config.schemas import TrainConfig
from flowlat.kernels import available_kernels
from flowlat.objectives import Mixture, path_gradient, reverse_kl
from flowlat.objectives.cuda_graphs import LARGE, CannotRecord, GraphedObjective, with_cuda_graphs
from flowlat.training.build import build_module
from flowlat.training.data import PriorDataModule
from flowlat.training.module import LitFlow
from flowlat.training.schedulers import constant
from tests.support.helpers import (
    dimensions,
    least_dimension,
    moved_flow,
    options,
    overrides,
    required,
)

ACTION = Phi4(-1.0, 2.0)
OBJECTIVES = [reverse_kl, path_gradient]
KINDS = {
    "equivariant": (),
    "plain": ("arch.equivariant=false", "prior=normal"),
    "symmetrized": ("arch.equivariant=false", "prior.shift=0.3", "symmetrize=true"),
    "batch_norm": ("arch.batch_norm=true",),
    "recompute": ("arch.recompute=true",),
}

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def plain(run):
    first = run()

    def again():
        for old, new in zip(first, run(), strict=True):
            old.copy_(new)
        return first

    return again


class Counted:
    """A recorder that counts what it records."""

    def __init__(self):
        self.n = 0

    def __call__(self, run):
        self.n += 1
        return plain(run)


def small_flow(kind="equivariant", *more):
    return moved_flow("lattice.shape=[4,4]", "arch.hidden=[4]", *KINDS[kind], *more).train()


def results(objective, flow, noise, scale=1.0, *more):
    """Loss, log weights and gradients."""
    flow.zero_grad()
    loss, log_w = objective(flow, ACTION, noise, *more)
    (scale * loss).backward()
    return [loss.detach(), log_w, *[p.grad for p in flow.parameters()]]


def assert_same(found, expected):
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_loss_weights_and_gradients(objective, kind):
    flow, count = small_flow(kind), Counted()
    graphed = GraphedObjective(objective, count)
    for n, scale in [(5, 1.0), (3, 1.0), (5, -2.5), (3, 0.5)]:
        noise = flow.noise(n)
        before = [b.clone() for b in flow.buffers()]
        expected = results(objective, flow, noise, scale)
        after = [b.clone() for b in flow.buffers()]
        for buffer, value in zip(flow.buffers(), before, strict=True):
            buffer.copy_(value)
        assert_same(results(graphed, flow, noise, scale), expected)
        assert_same(list(flow.buffers()), after)  # a batch normalisation saw the noise once
    assert count.n == 2  # one for each shape


def test_configurations_belong_to_the_batch():
    flow, count = small_flow(), Counted()
    objective = Mixture("any")
    graphed = GraphedObjective(objective, count)
    for n in (5, 5, 3):
        noise, phi = flow.noise(n), torch.randn(n, 4, 4, dtype=torch.float64)
        expected = results(objective, flow, noise, 1.0, phi)
        assert_same(results(graphed, flow, noise, 1.0, phi), expected)
    assert count.n == 2


def test_new_weights_are_seen_and_moved_ones_are_recorded_again():
    flow, count = small_flow(), Counted()
    graphed = GraphedObjective(reverse_kl, count)
    noise = flow.noise(4)
    graphed(flow, ACTION, noise)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.mul_(1.1)
    assert_same(results(graphed, flow, noise), results(reverse_kl, flow, noise))
    assert count.n == 1
    flow.float().double()  # rounded, and elsewhere in memory
    assert_same(results(graphed, flow, noise), results(reverse_kl, flow, noise))
    assert count.n == 2
    graphed(flow, Phi4(1.0, 1.0), noise)
    graphed(flow.eval(), ACTION, noise)
    assert count.n == 4


def test_what_is_returned_is_the_callers_own():
    flow = small_flow()
    graphed = GraphedObjective(reverse_kl, plain)
    one, two = flow.noise(4), flow.noise(4)
    first = results(graphed, flow, one)
    second = results(graphed, flow, two)
    assert_same(first, results(reverse_kl, flow, one))
    assert_same(second, results(reverse_kl, flow, two))
    assert not first[1].requires_grad


def test_a_backward_that_comes_too_late_is_an_error():
    flow = small_flow()
    graphed = GraphedObjective(reverse_kl, plain)
    loss, _ = graphed(flow, ACTION, flow.noise(4))
    graphed(flow, ACTION, flow.noise(4))
    with pytest.raises(RuntimeError, match="a later step ran"):
        loss.backward()


def test_parameters_without_a_part_in_the_loss_stay_without_gradient():
    flow = small_flow()
    flow.unused = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
    flow.fixed = torch.nn.Parameter(torch.ones(3, dtype=torch.float64), requires_grad=False)
    GraphedObjective(reverse_kl, plain)(flow, ACTION, flow.noise(4))[0].backward()
    grads = {name: parameter.grad for name, parameter in flow.named_parameters()}
    assert {name for name, grad in grads.items() if grad is None} == {"unused", "fixed"}


def test_where_there_is_nothing_to_record_it_is_the_objective_itself():
    flow, count = small_flow(), Counted()
    noise = flow.noise(4)
    expected = results(reverse_kl, flow, noise)
    assert_same(results(GraphedObjective(reverse_kl), flow, noise), expected)  # no CUDA device
    with torch.no_grad():
        assert_same(GraphedObjective(reverse_kl, count)(flow, ACTION, noise), expected[:2])
    assert count.n == 0


def test_many_shapes_do_not_fill_the_memory():
    flow, count = small_flow(), Counted()
    graphed = GraphedObjective(reverse_kl, count)
    for n in range(1, 9):
        noise = flow.noise(n)
        assert_same(results(graphed, flow, noise), results(reverse_kl, flow, noise))
    assert count.n == 4


def test_a_step_that_cannot_be_recorded_runs_as_it_is(caplog):
    def refuse(run):
        run()
        raise CannotRecord("it waits")

    flow = small_flow("batch_norm")
    graphed = GraphedObjective(reverse_kl, refuse)
    noise = flow.noise(4)
    before = [b.clone() for b in flow.buffers()]
    with caplog.at_level(logging.WARNING, logger="flowlat"):
        found = [results(graphed, flow, noise), [b.clone() for b in flow.buffers()]]
        for buffer, value in zip(flow.buffers(), before, strict=True):
            buffer.copy_(value)
        assert_same(found[0], results(reverse_kl, flow, noise))
        assert_same(found[1], list(flow.buffers()))
        results(graphed, flow, noise)
    assert [record.message for record in caplog.records] == [
        "no CUDA graph of this training step (cuda_graphs=false by hand): it waits"
    ]


def stale(run):
    """A graph that does not read the batch."""
    first = run()
    return lambda: first


def spoilt(number):
    """A graph with another loss, other log weights or other gradients."""

    def record(run):
        again = plain(run)

        def replay():
            outputs = list(again())
            outputs[number] = outputs[number] + 0.1 * outputs[number].abs().max()
            return tuple(outputs)

        return replay

    return record


def no_recording(run):
    run()
    raise RuntimeError("CUDA error: operation not permitted\nwhen stream is capturing")


def no_replay(run):
    run()

    def replay():
        raise RuntimeError("CUDA error: invalid argument")

    return replay


GRAPHS_AT_FAULT = {
    "stale": (stale, "its loss differ"),
    "loss": (spoilt(0), "its loss differ"),
    "log_weights": (spoilt(1), "its log weights differ"),
    "gradients": (spoilt(2), "its gradients differ"),
    "no_recording": (no_recording, "operation not permitted when stream is capturing"),
    "no_replay": (no_replay, "invalid argument"),
}


@pytest.mark.parametrize("name", GRAPHS_AT_FAULT)
def test_a_graph_at_fault_is_not_used_and_one_line_says_so(name, caplog):
    record, text = GRAPHS_AT_FAULT[name]
    flow = small_flow("batch_norm")
    graphed = GraphedObjective(reverse_kl, record)
    with caplog.at_level(logging.WARNING, logger="flowlat"):
        for n in (4, 4, 3):
            noise = flow.noise(n)
            before = [b.clone() for b in flow.buffers()]
            found = results(graphed, flow, noise)
            for buffer, value in zip(flow.buffers(), before, strict=True):
                buffer.copy_(value)
            assert_same(found, results(reverse_kl, flow, noise))
    (record,) = caplog.records
    line = record.getMessage()
    assert line.startswith("no CUDA graph of this training step (cuda_graphs=false by hand): ")
    assert text in line
    assert "\n" not in line


def trained(objective, **trainer):
    """A few steps by Lightning, with clipping and averaged weights."""
    lit = LitFlow(
        small_flow(),
        ACTION,
        objective,
        lambda p: torch.optim.Adam(p, lr=1e-2, fused=True),
        constant,
        ema_decay=0.9,
    )
    quiet = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    fit = Trainer(
        max_epochs=2, limit_train_batches=4, gradient_clip_val=0.5, precision=64, **quiet, **trainer
    )
    fit.fit(lit, datamodule=PriorDataModule(6, seed=1))
    return [*lit.flow.state_dict().values(), *lit.best_flow.state_dict().values()]


@pytest.mark.filterwarnings("ignore")  # Lightning's, of loggers and workers
def test_lightning_trains_the_same_weights():
    cpu = {"accelerator": "cpu"}
    assert_same(
        trained(GraphedObjective(path_gradient, plain), **cpu), trained(path_gradient, **cpu)
    )


def test_by_default_for_small_lattices():
    assert isinstance(with_cuda_graphs(reverse_kl, None, LARGE - 1), GraphedObjective)
    assert with_cuda_graphs(reverse_kl, None, LARGE) is reverse_kl
    assert with_cuda_graphs(reverse_kl, False, 64) is reverse_kl
    assert isinstance(with_cuda_graphs(reverse_kl, True, LARGE), GraphedObjective)
    names = ["lattice.shape=[4,4]", "cuda_graphs=false"]
    assert not isinstance(build_module(config(names), {}).objective, GraphedObjective)
    assert isinstance(build_module(config(names[:1]), {}).objective, GraphedObjective)


def config(names):
    return validate(compose(names), TrainConfig)


class NoTensorOfNumbers(TorchFunctionMode):
    """Refuses torch.tensor and its like, which copy from the host."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        assert function not in (torch.tensor, torch.as_tensor, torch.from_numpy)
        return function(*args, **(kwargs or {}))


class NoTensorOfTheHost(TorchDispatchMode):
    """Refuses operations with tensors of the CPU."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        leaves = [t for t in tree_leaves((args, kwargs, result)) if isinstance(t, torch.Tensor)]
        assert all(t.device.type == "meta" for t in leaves), function
        return result


@pytest.mark.parametrize("objective", options("objective"))
@pytest.mark.parametrize(
    ("arch", "prior"),
    sorted(
        {(arch, "free_field") for arch in options("arch")}
        | {("conv", prior) for prior in options("prior")}
    ),
)
def test_no_option_makes_a_step_wait_for_the_host(arch, prior, objective):
    """On the device "meta", which has shapes and no values: none can be read there, nor copied."""
    d = 1 if 2 not in dimensions(prior) else max(2, least_dimension(arch))
    names = overrides(d, f"arch={arch}", f"prior={prior}", f"objective={objective}")
    size = "arch.n_steps=1" if arch == "continuous" else "arch.n_couplings=1"
    names += ["action.m2=1.0", size, "cuda_graphs=false"]
    names += required("objective", objective)
    module = build_module(config(names), {}).to("meta")
    flow, batch = module.flow, [module.flow.noise(3)]
    if hasattr(module.objective, "ensemble"):
        batch.append(torch.empty(3, *flow.lattice.shape, device="meta"))

    def step():
        loss, _ = module.objective(flow, module.action, *batch)
        torch.autograd.grad(loss, list(flow.parameters()), allow_unused=True)

    step()  # fills tables
    with NoTensorOfNumbers(), NoTensorOfTheHost():
        step()


# On a CUDA device -------------------------------------------------------------------------------


@needs_gpu
@pytest.mark.gpu
@pytest.mark.parametrize("kernel", [k for k in available_kernels() if k in ("torch", "triton")])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_cuda_graph(objective, kind, kernel):
    flow = small_flow(kind, f"arch.kernel={kernel}").cuda()
    graphed = GraphedObjective(objective)
    for n, scale in [(5, 1.0), (3, -2.5), (5, 1.0)]:
        noise = flow.noise(n)
        before = [b.clone() for b in flow.buffers()]
        expected = results(objective, flow, noise, scale)
        for buffer, value in zip(flow.buffers(), before, strict=True):
            buffer.copy_(value)
        assert_same(results(graphed, flow, noise, scale), expected)
        with torch.no_grad():
            for parameter in flow.parameters():
                parameter.mul_(1.01)
    assert len(graphed._steps) == 2


@needs_gpu
@pytest.mark.gpu
@pytest.mark.parametrize("prior", options("prior"))
@pytest.mark.parametrize("arch", options("arch"))
def test_every_option_has_a_cuda_graph(arch, prior):
    d = 1 if 2 not in dimensions(prior) else max(2, least_dimension(arch))
    if d < least_dimension(arch):
        pytest.skip(f"{prior} is for d={d} alone")
    flow = moved_flow(*overrides(d, f"arch={arch}", f"prior={prior}", "action.m2=1.0")).cuda()
    graphed, noise = GraphedObjective(path_gradient), flow.noise(3)
    assert_same(results(graphed, flow, noise), results(path_gradient, flow, noise))
    assert len(graphed._steps) == 1


@needs_gpu
@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore")
def test_lightning_trains_the_same_weights_by_cuda_graphs():
    gpu = {"accelerator": "gpu", "devices": 1}
    assert_same(trained(GraphedObjective(path_gradient), **gpu), trained(path_gradient, **gpu))


@needs_gpu
@pytest.mark.gpu
def test_a_step_that_waits_for_the_device_runs_without_a_graph(caplog):
    def waits(flow, action, noise):
        loss, log_w = reverse_kl(flow, action, noise)
        return loss * (1.0 if loss.item() > 0 else 2.0), log_w

    flow = small_flow().cuda()
    graphed = GraphedObjective(waits)
    for _ in range(2):
        noise = flow.noise(4)
        assert_same(results(graphed, flow, noise), results(waits, flow, noise))
    assert "synchronizing" in caplog.text
    assert not graphed._steps
