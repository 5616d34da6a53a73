"""Kernels that inductor compiles from the equations in `lif`, one for each kind of pass.

A kind holds everything that changes the code of a kernel. Threshold, reset, leak and the number of
columns are inputs, so the neurons of a net share their kernels. Tracing and compiling bypass
Dynamo, so that a call checks no guards and there is no limit of recompilations.
"""

import functools
import threading
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from spikeprune.neurons import lif
from spikeprune.neurons.lif import Dynamics
from spikeprune.neurons.surrogate_slopes import CLOSED_FORMS

Kernel = Callable[..., tuple[Tensor, ...]]

_COLUMNS = 2**16  # of the examples for tracing; enough that inductor uses all threads
_OPTIONS = {
    "compile_threads": 1,  # in this process, since the kernels are small
    "cpp.dynamic_threads": True,  # take the number of threads at each call
    # Compute every value that is used twice only once; otherwise compile time grows exponentially
    # with T if few inputs are read.
    "realize_reads_threshold": 0,
}
_lock = threading.Lock()


class Form(NamedTuple):
    """Properties that a forward kernel shares with its backward kernel."""

    steps: int
    dtype: torch.dtype  # of input, spikes and their gradients; potentials are float32
    static: bool  # whether all steps have the same input, given as `[1, N]`
    carried: bool  # whether V_0 is `[N]`; otherwise it is `[1]`
    dynamics: Dynamics  # form of the equations, from `without_constants`

    def examples(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return input, V_0 and constants for tracing."""
        x = torch.empty(1 if self.static else self.steps, _COLUMNS, dtype=self.dtype)
        return x, torch.empty(_COLUMNS if self.carried else 1), torch.ones(3)

    def run(self, x: Tensor, state: Tensor, numbers: Tensor) -> tuple[list[Tensor], ...]:
        """Return V before each step and after the last, H, and spikes, each as a list of rows."""
        dynamics = self.bound(numbers)
        inputs = x.unbind(0) * (self.steps if self.static else 1)
        potentials = [torch.empty_like(inputs[0], dtype=torch.float32).copy_(state)]
        charged, spikes = [], []
        for current in inputs:
            # Spikes stay float32 until they are stored: casts of masks to half precision are slow.
            h, spike, v = (torch.empty_like(potentials[0]) for _ in range(3))
            v.copy_(potentials[-1])
            lif.charge_and_fire((current,), v, dynamics, spikes=(spike,), charged=(h,))
            potentials.append(v)
            charged.append(h)
            spikes.append(spike.to(self.dtype))
        return potentials, charged, spikes

    def bound(self, numbers: Tensor) -> Dynamics:
        """Return the equations with one neuron's constants as 0-dimensional tensors."""
        threshold, reset, leak = numbers.unbind(0)
        d = self.dynamics
        return d._replace(
            threshold=threshold,
            reset=d.reset if d.rest is None else reset,
            leak=None if d.leak is None else leak,
        )


class Forward(NamedTuple):
    """Kernel from input, V_0 and constants to spikes `[T, N]`, V_T, and observations."""

    form: Form
    observed: bool  # whether to return the potentials x = H - V_th, `[T, N]`
    # `TimeFold.curve` and `TimeFold.time`, to return instead the sum or maximum over time of g(x)
    # and the number of spikes, `[N]` each in float32.
    folded: tuple[Callable[[Tensor], Tensor], str] | None = None

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Compute it with one operation at a time."""
        potentials, charged, spikes = self.form.run(*inputs)
        outputs: tuple[Tensor, ...] = torch.stack(spikes), potentials[-1]
        threshold = self.form.bound(inputs[2]).threshold
        if self.observed:
            outputs = *outputs, torch.stack([h - threshold for h in charged])
        if self.folded is not None:
            curve, time = self.folded
            combine = torch.add if time == "mean" else torch.maximum
            total = functools.reduce(combine, [curve(h - threshold) for h in charged])
            fired = functools.reduce(torch.add, [spike.float() for spike in spikes])
            outputs = *outputs, total, fired
        return outputs

    def examples(self) -> tuple[Tensor, ...]:
        """Return inputs to trace with."""
        return self.form.examples()


class Backward(NamedTuple):
    """Kernel from input, V_0, constants and gradients at spikes and V_T to those at the inputs.

    It recomputes H. The gradient at w comes as `[N]`; the caller sums and scales it.
    """

    form: Form
    last: bool  # whether there is a gradient at V_T, `[N]`
    state: bool  # whether to return the gradient at V_0
    weight: bool  # whether to return the gradient at w

    def __call__(
        self,
        x: Tensor,
        state: Tensor,
        numbers: Tensor,
        at_spikes: Tensor,
        at_last: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """Compute it with one operation at a time."""
        potentials, charged, _ = self.form.run(x, state, numbers)
        dynamics, rows, factors = self.form.bound(numbers), [], []
        for h, gradient in zip(charged, at_spikes.unbind(0), strict=True):
            out, *scratch = (torch.empty_like(h) for _ in range(3))
            factors.append(lif.spike_gradient(h, gradient, dynamics, out=out, scratch=scratch))
            rows.append(out)
        known = [factor for factor in factors if factor is not None]
        lif.accumulate(rows, known or None, at_last, dynamics)
        outputs = []
        if self.state:
            outputs.append(rows[0] * (1 - dynamics.rate))
        if self.weight:
            parts = zip(rows, charged, potentials, strict=False)
            terms = (lif.leak_term(g, h, v.clone(), dynamics) for g, h, v in parts)
            outputs.append(functools.reduce(torch.add, terms))
        at_input = [torch.empty_like(gradient) for gradient in at_spikes.unbind(0)]
        for g, out in zip(rows, at_input, strict=True):
            lif.input_gradient(g, dynamics, out=out)
        return torch.stack(at_input), *outputs

    def examples(self) -> tuple[Tensor, ...]:
        """Return inputs to trace with."""
        form = self.form
        x, state, numbers = form.examples()
        gradient = torch.empty(form.steps, _COLUMNS, dtype=form.dtype)
        last = (torch.empty(_COLUMNS),) if self.last else ()
        return x, state, numbers, gradient, *last


def without_constants(dynamics: Dynamics) -> Dynamics:
    """Return the equations' form, equal for all neurons whose kernels have the same code."""
    return dynamics._replace(
        threshold=1.0,
        reset=dynamics.reset if dynamics.rest is None else 1.0,
        leak=None if dynamics.leak is None else 2.0,
    )


def constants(dynamics: Dynamics) -> Tensor:
    """Return threshold, reset and leak, `[3]`, as kernels take them."""
    return vector(dynamics.threshold, dynamics.reset or 0.0, dynamics.leak or 0.0)


@functools.lru_cache(maxsize=256)
def vector(*numbers: float) -> Tensor:
    """Return a cached float32 vector, which is no inference tensor."""
    with torch.inference_mode(False):
        return torch.tensor(numbers, dtype=torch.float32)


@functools.cache
def obstacle() -> str | None:
    """Return why kernels cannot be compiled, or None; the first call compiles a small one."""
    slope = CLOSED_FORMS["super-spike"](1.0)
    neuron = Dynamics(0.75, None, None, False, False, True, slope)
    form = Form(1, torch.float32, False, False, without_constants(neuron))
    probe = Forward(form, observed=False)
    inputs = torch.linspace(0, 1, 40).unsqueeze(0), torch.zeros(1), constants(neuron)
    try:
        compiled = _compiled(probe)(*inputs)
    except Exception as error:
        return _reason(error)
    if not all(map(torch.equal, compiled, probe(*inputs))):
        return "the compiled kernel computes something else"
    return None


def kernel(kind: Forward | Backward) -> Kernel:
    """Return a kernel, compiled at the first call in a process or read from disk.

    If it cannot be compiled although others could, one warning is given and its operations run
    one at a time.
    """
    made = _kernels.get(kind)
    if made is None:
        with _lock:
            made = _kernels.get(kind) or _kernels.setdefault(kind, _made(kind))
    return made


_kernels: dict[Forward | Backward, Kernel] = {}


def _made(kind: Forward | Backward) -> Kernel:
    try:
        return _compiled(kind)
    except Exception as error:
        warnings.warn(
            f"a kernel of the fused neurons could not be compiled ({_reason(error)}) and is run "
            "step by step, with the same results; fuse(model) without compiled=True is faster then",
            stacklevel=2,
        )
        return kind.__call__


def _compiled(kind: Forward | Backward) -> Kernel:
    # Imported here because they take seconds to load.
    from torch._inductor import compile as inductor_compile
    from torch.fx.experimental.proxy_tensor import make_fx

    def traced(*inputs: Tensor) -> tuple[Tensor, ...]:
        return kind(*inputs)

    with torch.inference_mode(False), torch.no_grad(), torch.autocast("cpu", enabled=False):
        graph: Any = make_fx(traced, tracing_mode="symbolic")(*kind.examples())
        inputs = [node.meta["val"] for node in graph.graph.nodes if node.op == "placeholder"]
        compiled: Kernel = inductor_compile(graph, inputs, options=_OPTIONS)
        _refuse_guards(inputs[0])
    return compiled


def _refuse_guards(traced: Any) -> None:
    """Refuse a kernel that tracing has specialized to some numbers of columns.

    Calls check no guards, so for other numbers it could be silently wrong.
    """
    columns = traced.shape[1].node.expr
    guards = [guard.expr for guard in traced.fake_mode.shape_env.guards]
    assumed = [str(guard) for guard in guards if columns in guard.free_symbols]
    if assumed:
        raise RuntimeError(f"the kernel would hold for some sizes only: {assumed}")


def _reason(error: Exception) -> str:
    """Return the most telling line of a compiler's error."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    by_compiler = [line for line in lines if "error:" in line]
    reason = [*by_compiler, *lines, type(error).__name__][0]
    return f"{reason}; kernels need a C++ compiler such as g++, and the headers of Python"
