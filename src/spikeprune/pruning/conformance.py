"""What pruning relies on in a criterion, checked on a small net: ours and a user's own."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from spikeprune import zoo
from spikeprune.errors import ConfigError, unknown_name
from spikeprune.execution.forward import forward
from spikeprune.pruning.option_types import Granularity
from spikeprune.pruning.options import CRITERIA, PruneOptions, measured_at_start
from spikeprune.pruning.pruner import Pruner
from spikeprune.training.losses import loss_by_name

_T, _STEPS, _SPARSITY = 3, 4, 0.5


def check_criterion(
    name: str,
    *,
    kind: Literal["saliency", "regrowth"] = "saliency",
    granularity: Granularity = "weight",
) -> None:
    """Prune a small spiking net by a criterion, twice, and check what pruning relies on.

    Every score is a finite, detached floating tensor that broadcasts to the weight (channels:
    one number a channel), the weights stay what they are, the target is met, and the second run
    gives the masks of the first.

    Args:
        name: of the criterion, as it was registered.
        kind: whether it says what to drop or what to bring back.
        granularity: whether it scores weights or channels.

    Raises:
        ConfigError: an unknown name, or a rule that the criterion breaks.
    """
    table: Any = CRITERIA[granularity][kind == "regrowth"]
    if name not in table:
        raise unknown_name(f"{kind} of {granularity}s", name, table)
    options = _options(name, kind, granularity)
    with _checked(table, name, granularity):
        first, second = _pruned(options), _pruned(options)
    differing = [layer for layer in first if not torch.equal(first[layer], second[layer])]
    if differing:
        raise ConfigError(
            f"{name!r} gave other masks in a second run with the same seed ({differing[0]}); draw "
            "random numbers from the inputs' generator"
        )


def _options(name: str, kind: str, granularity: Granularity) -> PruneOptions:
    chosen: dict[str, Any] = {"saliency": name} if kind == "saliency" else {"regrow": name}
    if kind == "saliency" and granularity == "weight" and measured_at_start(name):
        chosen["schedule"] = "at-start"
    if kind == "regrowth":
        chosen["regrow_fraction"] = 0.3
    return PruneOptions.of(sparsity=_SPARSITY, granularity=granularity, every=2, **chosen)


@contextmanager
def _checked(table: dict[str, Any], name: str, granularity: Granularity) -> Iterator[None]:
    """Check every score of a criterion while active."""
    row = table[name]

    def of_weights(layer: str, weight: Tensor, inputs: Any) -> Tensor:
        before = weight.clone()
        score = row.score(layer, weight, inputs)
        _check_score(name, layer, score, weight.shape)
        if not torch.equal(before, weight):
            raise ConfigError(f"{name!r} changed the weights of {layer!r}; scores must not")
        return score  # type: ignore[no-any-return]

    def of_channels(group: Any, inputs: Any) -> Tensor:
        score = row.score(group, inputs)
        shape = torch.Size([group.channels])
        _check_score(name, group.name, score, shape)
        if score.shape != shape:
            raise ConfigError(f"{name!r} gave {tuple(score.shape)}, expected one number a channel")
        return score  # type: ignore[no-any-return]

    score: Callable[..., Tensor] = of_weights if granularity == "weight" else of_channels
    table[name] = replace(row, score=score)
    try:
        yield
    finally:
        table[name] = row


def _check_score(name: str, where: str, score: Any, shape: torch.Size) -> None:
    if not isinstance(score, Tensor) or not score.is_floating_point():
        raise ConfigError(f"{name!r} gave no floating tensor for {where!r}, got {score!r}")
    try:
        broadcast = torch.broadcast_shapes(score.shape, shape)  # type: ignore[no-untyped-call]
    except RuntimeError:
        broadcast = torch.Size()
    if broadcast != shape:
        raise ConfigError(
            f"{name!r} gave a score of shape {tuple(score.shape)} for {where!r}, expected one that "
            f"broadcasts to {tuple(shape)}"
        )
    if not bool(score.isfinite().all()):
        raise ConfigError(f"{name!r} gave scores for {where!r} that are not finite numbers")
    if score.requires_grad:
        raise ConfigError(f"{name!r} gave a score for {where!r} with a graph; detach it")


def _net() -> nn.Module:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return zoo.build(
            "vgg-small",
            classes=3,
            in_channels=2,
            image_size=8,
            time_steps=_T,
            widths=(4, 6),
            strides=(2, 1),
        )


def _pruned(options: PruneOptions) -> Mapping[str, Tensor]:
    """Train and prune a small net and return its masks."""
    model, loss = _net().train(), loss_by_name("mean-logits")
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(6, 2, 8, 8, generator=generator)
    y = torch.randint(3, (6,), generator=generator)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with Pruner(
        model, optimizer, x[:1], time_steps=_T, total_steps=_STEPS, options=options
    ) as pruner:
        pruner.begin([(x, y)], loss)
        while not pruner.finished:
            optimizer.zero_grad()
            loss(forward(model, x, time_steps=_T), y).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            pruner.step()
        pruner.check()
    use, live = pruner.events[-1].budget, round((1 - _SPARSITY) * pruner.mask.total)
    if use is None and pruner.mask.live != live:
        raise ConfigError(f"expected {live} live weights, got {pruner.mask.live}")
    return pruner.mask
