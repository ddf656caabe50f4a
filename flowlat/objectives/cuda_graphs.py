"""A training step as one CUDA graph: recorded once for each shape of a batch, then replayed.

On a small lattice a step is thousands of kernels of a few microseconds each, and launching them one
by one takes longer than running them. A replay launches all of them at once.
"""

import logging
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from flowlat.actions import Action
from flowlat.flows.flow import Flow
from flowlat.kernels.first_use import LONGEST, difference
from flowlat.objectives.base import Objective

log = logging.getLogger(__name__)

#: sites a batch from which on kernels run for longer than it takes to launch them
LARGE = 2**21
#: shapes that get a graph; each keeps the memory of a whole step
MOST_GRAPHS = 4

#: loss ``()``, log weights ``(batch,)``, the gradients in one vector
Outputs = tuple[Tensor, Tensor, Tensor]
#: takes a step without arguments; returns what does it again, writing the same tensors anew
Recorder = Callable[[Callable[[], Outputs]], Callable[[], Outputs]]


class CannotRecord(RuntimeError):
    """The step waits for the device, which a graph cannot."""


def with_cuda_graphs(objective: Objective, wanted: bool | None, sites: int) -> Objective:
    """The objective, by CUDA graphs if ``wanted``; None: if a batch has few ``sites``."""
    graphed = sites < LARGE if wanted is None else wanted
    return GraphedObjective(objective) if graphed else objective


class GraphedObjective:
    """An objective whose forward and backward are one CUDA graph.

    A call copies the batch to where the graph reads it and replays the graph; ``loss.backward()``
    hands out the gradients that it left. Without a CUDA device, and without gradients, this is the
    objective itself; so it is, after one line in the log, for a step that waits for the device,
    cannot be recorded for another reason, or whose first replay gives something else.
    What is no tensor is part of the graph: a coupling of the action changed later has no effect.

    Args:
        record: what records a step; None is :func:`cuda_graph` for a batch on a CUDA device.
    """

    def __init__(self, objective: Objective, record: Recorder | None = None):
        self.objective = objective
        self._record = record
        self._steps: dict[tuple[Any, ...], _Step] = {}
        self._recorded_for: tuple[list[int], list[Any]] = [], []
        self._most_graphs = MOST_GRAPHS

    def __call__(
        self, flow: Flow, action: Action, *batch: Tensor, **_: Any
    ) -> tuple[Tensor, Tensor]:
        step = self._step(flow, action, batch)
        return self.objective(flow, action, *batch) if step is None else step(batch)

    def _step(self, flow: Flow, action: Action, batch: tuple[Tensor, ...]) -> "_Step | None":
        """The recorded step for this batch; None where there is none to be had."""
        record = self._record or (cuda_graph if batch[0].is_cuda else None)
        if record is None or not torch.is_grad_enabled():
            return None
        addresses = [p.data_ptr() for p in flow.parameters() if p.requires_grad]
        # another flow, one that was moved or cast, or one of which the solver takes more steps
        recorded_for = addresses, [getattr(m, "n_steps", None) for m in flow.modules()]
        if recorded_for != self._recorded_for:
            self._steps.clear()
            self._recorded_for = recorded_for
        like = tuple((part.shape, part.dtype, part.device) for part in batch)
        key = (like, flow.training, id(flow), id(action))
        if addresses and key not in self._steps and len(self._steps) < self._most_graphs:
            try:
                self._steps[key] = _Step(record, self.objective, flow, action, batch)
            except Exception as error:  # of a driver: of any kind; the step itself has its own
                self._most_graphs = 0
                reason = " ".join(str(error).split())[:LONGEST] or type(error).__name__
                text = "no CUDA graph of this training step (cuda_graphs=false by hand): %s"
                log.warning(text, reason)
        return self._steps.get(key)


class _Step:
    """A recorded step with the batch it reads."""

    def __init__(
        self, record: Recorder, objective: Objective, flow: Flow, action: Action, batch: Any
    ):
        self.batch = [part.clone() for part in batch]
        self.n_runs = 0

        def run() -> Outputs:
            loss, log_w = objective(flow, action, *self.batch)
            parameters = [p for p in flow.parameters() if p.requires_grad]
            gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
            used = [(p, g) for p, g in zip(parameters, gradients, strict=True) if g is not None]
            self.parameters = [p for p, _ in used]
            return loss.detach(), log_w, torch.cat([g.flatten() for _, g in used])

        # recording runs the step, and a batch normalisation counts what it sees
        buffers = [(buffer, buffer.clone()) for buffer in flow.buffers()]
        try:
            with torch.cuda.device_of(batch[0]):
                self._replay = record(run)
                self._check(run)
        finally:
            for buffer, before in buffers:
                buffer.copy_(before)

    def _check(self, run: Callable[[], Outputs]) -> None:
        """Raise CannotRecord unless a replay is the step, for other numbers than were recorded."""
        for part in self.batch:
            part.mul_(0.5)
        expected = [part.clone() for part in run()]
        names = ("loss", "log weights", "gradients")
        for name, found, right in zip(names, self._replay(), expected, strict=True):
            if (off := difference(found, right)) > 1:
                raise CannotRecord(f"its {name} differ by {off:.2g} times the tolerance")

    def __call__(self, batch: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        for mine, part in zip(self.batch, batch, strict=True):
            mine.copy_(part)
        with torch.cuda.device_of(batch[0]):
            loss, log_w, self.gradients = self._replay()
        self.n_runs += 1
        # clones: the next replay writes to the same memory
        return _KnownGradients.apply(self, loss, *self.parameters), log_w.clone()


class _KnownGradients(torch.autograd.Function):
    """The loss of a step, the gradients of which are there before they are asked for."""

    @staticmethod
    def forward(ctx: Any, step: _Step, loss: Tensor, *parameters: Tensor) -> Tensor:
        ctx.step, ctx.run = step, step.n_runs
        return loss.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        step = ctx.step
        if ctx.run != step.n_runs:
            raise RuntimeError("cuda_graphs: the gradients of this loss are gone, a later step ran")
        parts = (step.gradients * scale).split([p.numel() for p in step.parameters])
        return None, None, *(g.view_as(p) for g, p in zip(parts, step.parameters, strict=True))


def cuda_graph(run: Callable[[], Outputs]) -> Callable[[], Outputs]:
    """Record ``run`` as a CUDA graph; the function returned replays it.

    https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs

    Raises:
        CannotRecord: it copies from or to the host, or waits for the device in another way.
    """
    main, side = torch.cuda.current_stream(), torch.cuda.Stream()
    side.wait_stream(main)
    with torch.cuda.stream(side), warnings.catch_warnings():
        for _ in range(2):  # compiles kernels, fills tables, plans transforms
            run()
        before = torch.cuda.get_sync_debug_mode()
        warnings.simplefilter("ignore")  # that this mode may miss some
        torch.cuda.set_sync_debug_mode("error")  # a recording would fail half way
        try:
            run()
        except RuntimeError as error:
            raise CannotRecord(str(error).splitlines()[0]) from error
        finally:
            torch.cuda.set_sync_debug_mode(before)
            main.wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    # thread_local: other threads, such as NCCL's, may do as they like meanwhile
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        outputs = run()

    def replay() -> Outputs:
        graph.replay()
        return outputs

    return replay
