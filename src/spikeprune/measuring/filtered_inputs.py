"""Mean square of what each weight reads, as the membrane that it feeds filters it over time."""

import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import Any, Self, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from spikeprune.adapters.neuron import neurons_of
from spikeprune.adapters.speedups import computed
from spikeprune.adapters.toolkit import Watching, first_input
from spikeprune.distributed.collectives import sum_over_ranks
from spikeprune.errors import ModelError, ObservationError
from spikeprune.execution.recomputing import recomputing
from spikeprune.limits import GIB
from spikeprune.measuring.synops import LayerCount, position_sums
from spikeprune.science.low_pass import LowPass, filtered, gain_of_constant
from spikeprune.wiring.wiring import Layer, Wiring

PRODUCTS_BYTES = 4 * GIB
"""Most memory that the second moments of all layers may take, in float64."""
_UNFOLDED = 2**23  # elements of unfolded inputs at a time

Take = Callable[[Tensor, tuple[int, ...]], None]
"""Takes filtered inputs `[N, C_in, *space]`, N samples times steps, and the size of the output."""


def low_passes(model: nn.Module, wiring: Wiring, layer: str) -> tuple[LowPass, ...]:
    """Return the filters of the neurons that a layer feeds, as of now; one if they are all equal.

    A layer with no neuron behind it, such as a classifier, has none.

    Raises:
        ModelError: what the layer reads cannot be filtered.
    """
    row, found, why = wiring.layers[layer], list[LowPass](), ""
    if row.kind == "transposed":
        why = "it is a transposed convolution"
    elif row.reads is None:
        why = "its axes of time and samples cannot be told, or it runs another number of steps"
    elif not row.feeds and not row.last:
        why = "the neurons that it feeds are not mapped to its channels"
    names = {name: wiring.neurons[name] for name in row.feeds}
    for name, neuron in neurons_of(model, wiring.sites, names).items():
        one = neuron.low_pass()
        if one is None:
            why = f"how the potential of neuron {name!r} decays is not known"
        else:
            found.append(one)
    if why:
        raise ModelError(
            f"what layer {layer!r} reads cannot be filtered as the membrane does it: {why}; "
            "exclude the layer, or use another saliency, such as firing-rate"
        )
    return tuple(found[:1] if len(set(found)) == 1 else found)


@final
class InputFilter:
    """A forward hook of a layer that filters what it reads, over all steps of a forward.

    The layer's input is filtered once for each neuron that it feeds. Behind a layer without neurons
    the logits are averaged over time, so its input is, too. A layer that runs once for all steps
    reads the same in every step; it gives one slice whose square is the mean over the steps.
    """

    def __init__(
        self, row: Layer, kernels: Callable[[], tuple[LowPass, ...]], time_steps: int, take: Take
    ) -> None:
        assert row.reads is not None
        self._row, self._axes = row, row.reads.axes
        self._once = row.reads.once
        self._kernels, self._time_steps, self._take = kernels, time_steps, take
        self._now: tuple[LowPass, ...] = ()  # of the forward under way
        self._before: list[Tensor] = []  # one for each of them, or the sum over the steps
        self._done = 0  # steps of the forward under way

    @torch.no_grad()
    def __call__(self, module: nn.Module, args: Any, kwargs: Any, output: Tensor) -> None:
        """Take one call of the layer."""
        whole = first_input(args, kwargs).detach()
        x, size = computed(module, whole), tuple(output.shape[output.ndim - self._space :])
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        if len(x) < len(whole) or self._once:
            self._take_constant(x.reshape(-1, *x.shape[x.ndim - self._axes.sample :]), size)
        else:
            self._take_steps(self._split(x), size)

    @property
    def _space(self) -> int:
        return self._axes.sample - 1

    def _split(self, x: Tensor) -> Tensor:
        """Return an input as `[T', B, C, *space]`."""
        lead = x.shape[: x.ndim - self._axes.sample]
        form, steps = self._axes.form, self._axes.steps
        if len(lead) != (2 if form in ("T B", "B T") else 1) or (
            math.prod(lead) % steps or (form == "T B" and lead[0] != steps)
        ):
            raise ObservationError(
                f"expected layer {self._row.name!r} to read the axes {form} with {steps} steps, as "
                f"in the trace, got shape {tuple(x.shape)}; run the net as it was traced"
            )
        return self._axes.split(x)

    def _take_constant(self, x: Tensor, size: tuple[int, ...]) -> None:
        for kernel in self._kernels():
            self._take(x * gain_of_constant(kernel, self._time_steps), size)
        if self._row.last:
            self._take(x, size)

    def _take_steps(self, x: Tensor, size: tuple[int, ...]) -> None:
        if not self._done:
            self._now, self._before = self._kernels(), []
        if self._before and self._before[0].shape != x.shape[1:]:
            raise ObservationError(
                f"expected layer {self._row.name!r} to read {tuple(self._before[0].shape)} in "
                f"every step of a forward, got {tuple(x.shape[1:])} after {self._done} of "
                f"{self._time_steps} steps; set time_steps to what the model runs"
            )
        before, self._before = self._before, []
        for number, kernel in enumerate(self._now):
            steps = filtered(x, kernel, before[number] if before else None)
            self._take(steps.flatten(0, 1), size)
            self._before.append(steps[-1])
        if self._row.last:
            self._before.append(x.sum(0) + (before[0] if before else 0))
        self._done += len(x)
        if self._done == self._time_steps:
            if self._row.last:
                self._take(self._before[0] / self._time_steps, size)
            self._before, self._done = [], 0


@final
class _Squares:
    """Sums squares of filtered inputs by kernel position of one layer."""

    def __init__(self, module: Any) -> None:
        self._sums, self.entries = LayerCount(module), 0

    def take(self, x: Tensor, size: tuple[int, ...]) -> None:
        squares = position_sums(x, x.ndim - 1, torch.square).double()
        self._sums.add(squares, None, size)
        self.entries += len(x) * math.prod(size)

    def reads(self) -> Tensor:
        return self._sums.reads().double()

    def state_dict(self) -> dict[str, Any]:
        return self._sums.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._sums.load_state_dict(state)


def unfolded(module: Any, x: Tensor) -> Tensor:
    """Return what each row of a layer reads at each output, `[rows, groups, d]`.

    `d` counts the weights of a row in the order of `weight.flatten(1)`; `x` is `[N, C_in, *space]`.
    """
    if isinstance(module, nn.Linear):
        return x.unsqueeze(1)
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    x = functional.pad(x, module._reversed_padding_repeated_twice, mode=mode)
    axes = len(module.kernel_size)
    for axis in range(axes):
        stride, gap = module.stride[axis], module.dilation[axis]
        reach = (module.kernel_size[axis] - 1) * gap + 1
        x = x.unfold(2 + axis, reach, stride)[..., ::gap]
    x = x.movedim(1, 1 + axes)  # [N, *out, C_in, *kernel]
    return x.reshape(x.shape[: 1 + axes].numel(), module.groups, -1)


@final
class _Products:
    """Sums products of the filtered inputs of every two weights of a row, of one layer."""

    def __init__(self, module: Any) -> None:
        self.module, self.entries = module, 0
        size = module.weight[0].numel()
        shape = (getattr(module, "groups", 1), size, size)
        self.sums = torch.zeros(shape, dtype=torch.float64, device=module.weight.device)

    def take(self, x: Tensor, size: tuple[int, ...]) -> None:
        each = max(1, math.prod(size) * self.module.weight[0].numel())
        for part in torch.split(x, max(1, _UNFOLDED // each)):
            rows = unfolded(self.module, part).transpose(0, 1).double()  # autocast leaves doubles
            self.sums += rows.transpose(1, 2) @ rows
        self.entries += len(x) * math.prod(size)

    def reads(self) -> Tensor:
        return self.sums

    def state_dict(self) -> dict[str, Any]:
        return {"sums": self.sums}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.sums = state["sums"].to(self.sums.device)


def _require_memory(model: nn.Module, layers: Iterable[str]) -> None:
    """Refuse products that would take more than `PRODUCTS_BYTES`."""
    sizes = {}
    for name in layers:
        module: Any = model.get_submodule(name)
        sizes[name] = 8 * getattr(module, "groups", 1) * module.weight[0].numel() ** 2
    if sum(sizes.values()) > PRODUCTS_BYTES:
        largest = max(sizes, key=lambda name: sizes[name])
        total, most, one = sum(sizes.values()), PRODUCTS_BYTES, sizes[largest]
        raise ModelError(
            f"the second moments of what every weight reads would take {total / GIB:.1f} GiB, and "
            f"{most / GIB:.1f} are the most; {largest!r} has {one / GIB:.1f} of them: exclude it, "
            "or use saliency wanda, which needs their diagonal alone"
        )


@final
class FilteredInputs:
    """Measures `E[(K x)^2]` of every weight between `arm` and `disarm`, or in a `with`.

    `x` is what a weight reads, `K` the low-pass of the neuron that its layer feeds, and E the mean
    over samples, time steps and output positions: a position at which the weight reads padding
    counts as 0, as in the costs of weights. Several neurons behind a layer give their mean. A layer
    with no neuron behind it has the mean over time for K. Forwards count in training mode or,
    without `train`, in eval mode.

    Args:
        model: the net.
        wiring: of the net.
        layers: names of the layers to measure.
        time_steps: T of every forward.
        train: see above.
        products: whether to measure `E[(K x)(K x)^T]` of all weights of a row, whose diagonal that
            is.

    Raises:
        ModelError: what a layer reads cannot be filtered.
        ObservationError: (while armed) a layer reads other axes than in the trace, or another
            number of time steps.
    """

    def __init__(
        self,
        model: nn.Module,
        wiring: Wiring,
        layers: Iterable[str],
        *,
        time_steps: int,
        train: bool,
        products: bool = False,
    ) -> None:
        self._model, self._wiring, self._layers = model, wiring, tuple(layers)
        self._time_steps, self._train = time_steps, train
        self.products = products
        self._kind = _Products if products else _Squares
        self._stack, self._sums = ExitStack(), dict[str, _Products | _Squares]()
        self._armed = False
        for name in self._layers:
            low_passes(model, wiring, name)
        if products:
            _require_memory(model, self._layers)

    def arm(self) -> None:
        """Start measuring from zero."""
        self.disarm()
        for name in self._layers:
            module = self._model.get_submodule(name)
            self._sums[name] = self._kind(module)
            hook = Watching(self._hook(name, self._sums[name].take))
            self._stack.callback(module.register_forward_hook(hook, with_kwargs=True).remove)
        self._armed = True

    def _hook(self, name: str, take: Take) -> Callable[..., None]:
        row = self._wiring.layers[name]

        def kernels() -> tuple[LowPass, ...]:
            return low_passes(self._model, self._wiring, name)

        run = InputFilter(row, kernels, self._time_steps, take)

        def hook(*call: Any) -> None:
            if not recomputing() and self._model.training is self._train:
                run(*call)

        return hook

    def disarm(self) -> None:
        """Stop measuring and remove all hooks; the sums stay for `compute`."""
        self._stack.close()
        self._armed = False

    def compute(self) -> dict[str, Tensor]:
        """Return the mean by layer over all ranks, float64. Collective.

        It is `[C_in, *kernel]`, of products `[groups, d, d]` with the d weights of a row in memory
        order.

        Raises:
            ObservationError: a layer did not run.
        """
        for name in self._layers:
            if name not in self._sums or not self._sums[name].entries:
                raise ObservationError(
                    f"expected layer {name!r} to run while it is observed, it did not; run the net "
                    f"in {'training' if self._train else 'eval'} mode for all time steps"
                )
        found = {name: self._sums[name].reads() for name in self._layers}
        flat = [one.flatten().to(found[self._layers[0]]) for one in found.values()]
        entries = flat[0].new_tensor([self._sums[name].entries for name in found])
        total = sum_over_ranks(torch.cat([*flat, entries]))
        sizes = [one.numel() for one in found.values()]
        *parts, entries = torch.split(total, [*sizes, len(sizes)])
        return {
            name: part.view_as(found[name]) / count
            for name, part, count in zip(found, parts, entries, strict=True)
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the state that a resumed run needs, between forwards, as tensors and numbers."""
        sums = self._sums if self._armed else {}
        layers = {n: s.state_dict() | {"entries": s.entries} for n, s in sums.items()}
        return {"armed": self._armed, "layers": layers}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state_dict`: armed or not, with its sums."""
        self.disarm()
        if state["armed"]:
            self.arm()
            for name, sums in self._sums.items():
                sums.load_state_dict(state["layers"][name])
                sums.entries = int(state["layers"][name]["entries"])

    def __enter__(self) -> Self:
        self.arm()
        return self

    def __exit__(self, *error: object) -> None:
        self.disarm()
