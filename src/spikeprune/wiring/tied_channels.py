"""Groups of tied channels, which can only be pruned together, from Torch-Pruning's graph.

Its trace is exact only for one step of one slice that passes through the neurons.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from spikeprune.adapters.registry import adapter_for, owner, spiking_neurons
from spikeprune.errors import ModelError, one_line
from spikeprune.execution.precision import exact, like_parameters
from spikeprune.wiring.wiring import Wiring

# Nodes of the graph without tensors that do not mix channels, and operations that mix channels
# although the tracer takes them as element-wise.
# Concatenations are not among them: the tracer takes that of two neurons' spikes for an addition.
_PASSIVE = {"ELEMENTWISE", "RESHAPE", "OUTPUT"}
_MIXING = ("Mm", "Bmm", "Addmm", "Baddbmm", "Convolution", "Permute", "Transpose", "Softmax")
_QUIET_STEPS = 8


@dataclass(frozen=True, eq=False)
class Member:
    """One dimension of one module with positions of a group's channels."""

    module: str
    # 'out' (rows of a convolution or linear layer; of a depthwise convolution also its inputs),
    # 'in' (columns), 'norm' (a BatchNorm), 'state' (a neuron module), 'site' (a neuron that was
    # found by its spike function) or 'tensor' (a parameter or buffer of none of these, by name).
    role: str
    # int64 [n, k], the positions of each of the group's n channels along the dimension; k > 1
    # behind a flatten of k pixels.
    index: Tensor
    size: int  # of the dimension; above n k if channels of several groups are concatenated


@dataclass(frozen=True, eq=False)
class ChannelGroup:
    """Channels that can only be cut together, because additions or element-wise products join them.

    The name is that of the first producer, in the model's order.
    """

    name: str
    channels: int
    members: tuple[Member, ...]

    def of(self, *roles: str) -> tuple[Member, ...]:
        """Return the members of one role, or of several."""
        return tuple(member for member in self.members if member.role in roles)

    @property
    def producers(self) -> tuple[str, ...]:
        """Names of the layers whose outputs these channels are."""
        return tuple(member.module for member in self.of("out"))

    @property
    def consumers(self) -> tuple[str, ...]:
        """Names of the layers that read these channels."""
        return tuple(member.module for member in self.of("in"))

    @property
    def norms(self) -> tuple[str, ...]:
        """Names of the BatchNorms that these channels pass."""
        return tuple(member.module for member in self.of("norm"))

    @property
    def neurons(self) -> tuple[str, ...]:
        """Names of the neurons that these channels drive."""
        return tuple(member.module for member in self.of("state", "site"))


def channel_groups(model: nn.Module, example: Tensor, wiring: Wiring) -> tuple[ChannelGroup, ...]:
    """Return the groups of tied channels, in the model's order of layers.

    Channels that reach the output of the model (the classes) are in no group. The model does not
    change; `example` is one slice `[B, C, H, W]` or `[B, F]`, whose values do not matter.

    Raises:
        ModelError: the trace does not reach a layer; a grouped convolution is not depthwise; the
            channels of an operation or parameter cannot be followed; a norm has no scale; or a
            neuron fires without input or has a state per channel that cannot be cut.
    """
    if wiring.sites:
        raise ModelError(
            f"the channels of neurons that were found by their spike function cannot be cut "
            f"({', '.join(wiring.sites)}), because it is not known what else the neuron keeps by "
            "channel; prune weights"
        )
    adapter = adapter_for(model)
    neurons = spiking_neurons(model)
    lost = [name for name in neurons if name not in wiring.neurons]
    if lost:
        raise ModelError(
            f"the channels of {', '.join(lost)} are not mapped, so no channel can be cut; prune "
            "weights instead"
        )
    for name, module in neurons.items():
        _check(module, name, wiring.neurons[name])
    with exact(example.device), adapter.tracing(model):
        try:
            # An input that needs a gradient completes the graph even if parameters are frozen.
            x = like_parameters(model, example.detach()).clone().requires_grad_()
            graph = _graph(model, x, neurons)
        except Exception as error:  # the net takes no single slice, or the tracer cannot follow it
            raise ModelError(
                f"channels are followed through one time slice, on which {type(model).__name__} "
                f"does not run ({one_line(error)}); prune weights instead"
            ) from error
        names = {module: name for name, module in model.named_modules()}
        _check_layers(graph, names, wiring)
        _check_input(graph, names, wiring, x)
        return tuple(_groups(graph, names, wiring))


def _graph(model: nn.Module, x: Tensor, neurons: dict[str, nn.Module]) -> Any:
    import torch_pruning

    # Neurons become nodes of the graph and members of groups if registered by exact class.
    pruners = {type(module): torch_pruning.ops.CustomizedPruner() for module in neurons.values()}
    graph = torch_pruning.DependencyGraph()
    return graph.build_dependency(
        model, x, lambda net, inputs: net(inputs), customized_pruners=pruners, verbose=False
    )


def _groups(graph: Any, names: dict[nn.Module, str], wiring: Wiring) -> Iterator[ChannelGroup]:
    modules = {name: module for module, name in names.items()}
    taken: set[str] = set()
    for root in wiring.layers:
        if root in taken:
            continue
        layer = modules[root]
        pruner = graph.get_pruner_of_module(layer)
        channels = pruner.get_out_channels(layer)
        tied = graph.get_pruning_group(layer, pruner.prune_out_channels, list(range(channels)))
        members, is_output = [], False
        for item in tied:
            member = _member(graph, item, names=names, channels=channels, wiring=wiring)
            if member is not None:
                members.append(member)
            if member is None or member.role != "in":
                # A member without reader is the model's output, and its channels are the classes.
                is_output |= not item.dep.target.outputs
        group = ChannelGroup(root, channels, tuple(members))
        taken.update(group.producers)
        if not is_output:
            yield group


def _member(
    graph: Any, item: Any, *, names: dict[nn.Module, str], channels: int, wiring: Wiring
) -> Member | None:
    """Convert an item of a Torch-Pruning group; None for operations without tensors."""
    node, module = item.dep.target, item.dep.target.module
    kind, name = node.type.name, names.get(module)
    if name is None:
        _check_operation(module, kind)
        return None
    if name in wiring.neurons:
        role, size = "state", wiring.neurons[name]
    elif isinstance(module, _BatchNorm):
        _check(module, name)
        role, size = "norm", module.num_features
    elif isinstance(module, _ConvNd | nn.Linear):
        _check(module, name)
        pruner = graph.get_pruner_of_module(module)
        out = item.dep.handler == pruner.prune_out_channels or kind == "DEPTHWISE_CONV"
        role = "out" if out else "in"
        size = pruner.get_out_channels(module) if out else pruner.get_in_channels(module)
    else:
        raise ModelError(
            f"expected channels to pass convolution, linear, BatchNorm and neuron layers, got "
            f"{name!r} ({type(module).__name__}), which cannot be cut; prune weights instead"
        )
    return Member(name, role, _index(item, channels, name), size)


def _index(item: Any, channels: int, name: str) -> Tensor:
    rows: list[list[int]] = [[] for _ in range(channels)]
    for position, root in zip(item.idxs, item.root_idxs, strict=True):
        rows[root].append(position)
    if not rows[0] or len({len(row) for row in rows}) != 1:
        raise ModelError(
            f"expected every channel to own the same number of positions of {name!r}, got "
            f"{len(item.idxs)} positions for {channels} channels; prune weights instead"
        )
    return torch.tensor([sorted(row) for row in rows])


def _check_layers(graph: Any, names: dict[nn.Module, str], wiring: Wiring) -> None:
    layers = {n for m, n in names.items() if isinstance(m, _ConvNd | nn.Linear)}
    traced = {names[m] for m in graph.module2node if names.get(m) in layers}
    if layers != traced or layers != set(wiring.layers):
        missing = sorted((layers - traced) | (layers ^ set(wiring.layers)))
        raise ModelError(
            "expected every convolution and linear layer in the trace of one time slice, but "
            f"these are missing: {', '.join(missing)}; a layer outside the forward pass must be "
            "removed, an operation that breaks the graph rewritten; or prune weights instead"
        )


def _check_input(graph: Any, names: dict[nn.Module, str], wiring: Wiring, x: Tensor) -> None:
    """Refuse channels that are joined with those of the input, which the tracer does not follow."""
    layers = {n.grad_fn for m, n in graph.module2node.items() if names.get(m) in wiring.layers}
    for module, node in graph.module2node.items():
        parts = [part for part, _ in node.grad_fn.next_functions if part is not None]
        sides = [_is_input(p, x, layers) for p in parts if getattr(p, "variable", x) is x]
        if module not in names and any(sides) and not all(sides):
            raise ModelError(
                "expected channels of layers alone, got some that are joined with those of the "
                "input of the net; prune weights instead"
            )


def _is_input(node: Any, x: Tensor, layers: set[Any]) -> bool:
    """Return whether a node of the autograd graph comes from the input, through no layer."""
    waiting, seen = [node], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in layers or node in seen:
            continue
        if getattr(node, "variable", None) is x:
            return True
        seen.add(node)
        waiting.extend(part for part, _ in node.next_functions)
    return False


def _check_operation(operation: object, kind: str) -> None:
    name = str(getattr(operation, "_grad_fn", kind.lower()))
    if kind not in _PASSIVE or name.startswith(_MIXING):
        raise ModelError(
            f"expected channels to be mixed by layers only, got the operation {name!r}, whose "
            "channels cannot be followed (attention, concatenations, functional layers, slices and "
            "parameters outside of layers); prune weights instead"
        )


def fault(module: nn.Module, name: str, channels: int) -> str | None:
    """Return why channels of a layer, norm or neuron module cannot be cut; None if they can."""
    if isinstance(module, _BatchNorm):
        return None if module.affine else _NO_SCALE.format(name)
    if isinstance(module, _ConvNd | nn.Linear):
        return _layer_fault(module, name)
    return _neuron_fault(module, name, channels)


_NO_SCALE = (
    "expected BatchNorms with scale and shift, got {!r} without (affine=False): a dead channel "
    "could not be silenced; build it with affine=True"
)


def _layer_fault(module: nn.Module, name: str) -> str | None:
    if "weight" not in module._parameters or hasattr(module, "get_weight"):
        return (
            f"expected layers with a plain weight, got {name!r} ({type(module).__name__}), which "
            "computes its weight in every forward; replace it by a plain layer"
        )
    groups = getattr(module, "groups", 1)
    if isinstance(module, _ConvNd) and groups > 1:
        depthwise = groups == module.in_channels == module.out_channels and not module.transposed
        if not depthwise:
            return (
                f"expected plain or depthwise convolutions, got {name!r} with {groups} groups for "
                f"{module.in_channels} -> {module.out_channels} channels: its channels cannot be "
                "cut one by one"
            )
    return None


def _neuron_fault(module: nn.Module, name: str, channels: int) -> str | None:
    adapter = owner(module)
    try:
        adapter.channel_state(module)
        reference = next(module.parameters(), torch.zeros(()))
        fires = adapter.simulate(module, reference.new_zeros(channels), _QUIET_STEPS).any()
    except ModelError as error:
        return str(error)
    if not fires:
        return None
    return (
        f"expected neurons that are silent without input, got {name!r}, which fires: "
        "removing one of its channels would change the net; raise its threshold"
    )


def _check(module: nn.Module, name: str, channels: int = 0) -> None:
    why = fault(module, name, channels)
    if why is not None:
        raise ModelError(why)
