"""Latent weights under the user's optimiser: it trains them, the net computes with what follows."""

from collections.abc import Mapping
from typing import Any, Protocol, final

import torch
from torch import Tensor, nn

from spikeprune.errors import RunError
from spikeprune.pruning.options import PruneOptions
from spikeprune.science.latent_weights import gate_gradient, opening, soft_threshold, temperature
from spikeprune.wiring.wiring import Wiring

Tensors = Mapping[str, Tensor]
"""Tensors by layer."""


class Rule(Protocol):
    """How the weights of a net follow from latent ones, a layer at a time."""

    def shown(self, name: str, latent: Tensor) -> Tensor:
        """Return the weights that the net computes with, before dead ones are set to 0."""

    def score(self, name: str, latent: Tensor) -> Tensor:
        """Return what an event ranks weights by, the highest are kept."""

    def pass_on(self, name: str, latent: Tensor, gradient: Tensor | None) -> None:
        """Turn the gradient for the net's weights into that for the latent ones, in place."""

    def step(self) -> None:
        """Take a step with what the rule itself trains; called once in each optimiser step."""

    def charge(self, costs: Tensors) -> None:
        """Take the costs of weights that were measured for an event."""

    def decided(self, latent: Tensors, live: Tensors, *, last: bool) -> None:
        """Adapt to the choice of an event; `last`: the net goes on with what `shown` returns."""

    def state_dict(self) -> dict[str, Any]:
        """Return all that `load_state_dict` needs."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken."""


@final
class LatentWeights:
    """Latent weights of layers, until the last event.

    Between two steps a parameter holds the weight that the net computes with. In the optimiser's
    step it holds the latent one, so that momentum and weight decay are those of latent weights.

    Raises:
        RunError: (in a step) a closure, or weights that something else wrote to.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer | None,
        weights: Mapping[str, nn.Parameter],
        rule: Rule,
    ) -> None:
        self._weights, self._rule = dict(weights), rule
        self.trained = {n: w.detach().clone() for n, w in self._weights.items()}
        self._live = {n: torch.ones_like(w, dtype=torch.bool) for n, w in self._weights.items()}
        self._versions: dict[str, int] = {}
        self._handles: list[Any] = []
        if optimizer is not None:
            self._handles.append(optimizer.register_step_pre_hook(self._before_step))
            self._handles.append(optimizer.register_step_post_hook(self._after_step))
        self._show()

    @property
    def active(self) -> bool:
        """Whether latent weights are trained: from the start to the last event, or to `close`."""
        return bool(self._handles)

    @property
    def scores(self) -> dict[str, Tensor]:
        """What an event ranks the weights by, dead ones included."""
        return {n: self._rule.score(n, latent) for n, latent in self.trained.items()}

    def charge(self, costs: Tensors) -> None:
        """Take measured costs of the weights, broadcastable to them."""
        self._rule.charge(costs)

    def decided(self, live: Tensors, *, last: bool) -> None:
        """Go on with the live weights of an event; after the last one only the net's are left."""
        if not self.active:
            return
        self._live = dict(live)
        self._rule.decided(self.trained, live, last=last)
        self._show()
        if last:
            self.close()

    def close(self) -> None:
        """Leave the net with the weights that it has."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def state_dict(self) -> dict[str, Any]:
        """Return all that a resumed run needs beside the model and the masks; empty at the end."""
        if not self.active:
            return {}
        return {"trained": dict(self.trained), "rule": self._rule.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any], live: Tensors) -> None:
        """Go on where `state_dict` was taken, with these live weights."""
        if not state:
            self.close()
            return
        self._live = dict(live)
        self._rule.load_state_dict(state["rule"])
        for name, saved in state["trained"].items():
            self.trained[name].copy_(saved)
        self._show()

    def _shown(self, name: str) -> Tensor:
        return self._rule.shown(name, self.trained[name]) * self._live[name]

    @torch.no_grad()
    def _show(self) -> None:
        """Put the weights that the net computes with into its parameters."""
        for name, weight in self._weights.items():
            weight.copy_(self._shown(name))
            self._versions[name] = weight._version

    @torch.no_grad()
    def _before_step(self, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if (args[1] if len(args) > 1 else kwargs.get("closure")) is not None:
            raise RunError(
                "the optimiser trains latent weights, which a closure cannot see; call "
                "optimizer.step() without one, or use a method without latent weights"
            )
        for name, weight in self._weights.items():
            moved = weight._version != self._versions[name]
            if moved and not torch.equal(weight, self._shown(name)):
                raise RunError(
                    f"something wrote to the weight of {name!r}, which follows from latent ones "
                    "until the last event; change it before the Pruner is made, or after that"
                )
            self._rule.pass_on(name, self.trained[name], weight.grad)
            weight.copy_(self.trained[name])

    @torch.no_grad()
    def _after_step(self, *_: Any) -> None:
        self._rule.step()
        for name, weight in self._weights.items():
            self.trained[name].copy_(weight)
        self._show()


class _SoftThreshold:
    """STDS: `w = sign(v) max(|v| - d, 0)`; an event raises `d` to the largest `|v|` it drops."""

    def __init__(self, weights: Tensors) -> None:
        self._thresholds = {n: w.new_zeros(()) for n, w in weights.items()}

    def shown(self, name: str, latent: Tensor) -> Tensor:
        return soft_threshold(latent, self._thresholds[name])

    def score(self, name: str, latent: Tensor) -> Tensor:
        return latent.abs()

    def pass_on(self, name: str, latent: Tensor, gradient: Tensor | None) -> None:
        """Do nothing: the gradient is passed on as it is."""

    def step(self) -> None:
        """Do nothing: nothing else is trained."""

    def charge(self, costs: Tensors) -> None:
        """Do nothing: costs do not change thresholds."""

    def decided(self, latent: Tensors, live: Tensors, *, last: bool) -> None:
        for name, values in latent.items():
            dropped = values.abs() * ~live[name]
            self._thresholds[name] = dropped.amax() if dropped.numel() else values.new_zeros(())

    def state_dict(self) -> dict[str, Any]:
        return dict(self._thresholds)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name, threshold in self._thresholds.items():
            self._thresholds[name] = state[name].to(threshold)


class _Gates:
    """UPR: `w = sigmoid(t m) v` with gates `m` that Adam trains, and a penalty on open ones.

    The penalty is `weight x sum of price x sigmoid(t m) / sum of prices`.
    """

    def __init__(
        self, weights: Tensors, prices: Tensors, *, penalty: float, lr: float, steps: int
    ) -> None:
        self._gates = {n: torch.zeros_like(w.detach()) for n, w in weights.items()}
        self._adam = torch.optim.Adam(self._gates.values(), lr=lr)
        self._penalty, self._steps, self._done, self._hard = penalty, steps, 0, False
        self._prices: dict[str, Tensor] = {}
        self.charge(prices)

    @property
    def _temperature(self) -> float:
        return temperature(min(1.0, self._done / self._steps))

    def shown(self, name: str, latent: Tensor) -> Tensor:
        return latent if self._hard else latent * opening(self._gates[name], self._temperature)

    def score(self, name: str, latent: Tensor) -> Tensor:
        return self._gates[name]

    def pass_on(self, name: str, latent: Tensor, gradient: Tensor | None) -> None:
        gate, t = self._gates[name], self._temperature
        opened = opening(gate, t)
        drive = None if gradient is None else gradient * latent
        gate.grad = gate_gradient(opened, t, self._prices[name], drive=drive)
        if gradient is not None:
            gradient.mul_(opened)

    def step(self) -> None:
        self._adam.step()
        self._done += 1

    def charge(self, costs: Tensors) -> None:
        total = sum(float(costs[n].double().expand_as(m).sum()) for n, m in self._gates.items())
        if total:  # a net without spikes has no operands: keep the prices that there were
            self._prices = {
                n: (costs[n].double() * (self._penalty / total)).to(m)
                for n, m in self._gates.items()
            }

    def decided(self, latent: Tensors, live: Tensors, *, last: bool) -> None:
        self._hard = last

    def state_dict(self) -> dict[str, Any]:
        return {
            "gates": dict(self._gates),
            "prices": dict(self._prices),
            "adam": self._adam.state_dict(),
            "done": self._done,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name, gate in self._gates.items():
            gate.copy_(state["gates"][name])
            self._prices[name] = state["prices"][name].to(gate)
        self._adam.load_state_dict(state["adam"])
        self._done = int(state["done"])


NO_LATENT_WEIGHTS = LatentWeights(None, {}, _SoftThreshold({}))
"""Those of a pruner that trains the net's own weights; never active."""


def latent_weights(
    options: PruneOptions,
    optimizer: torch.optim.Optimizer,
    weights: Mapping[str, nn.Parameter],
    *,
    wiring: Wiring,
    steps: int,
) -> LatentWeights:
    """Return the latent weights that a saliency needs; `NO_LATENT_WEIGHTS` if it needs none.

    `weights` are the pruned ones by layer, `steps` the optimiser steps up to the last event.
    """
    match options.latent:
        case "threshold":
            return LatentWeights(optimizer, weights, _SoftThreshold(weights))
        case "gates":
            # A weight is computed at every position of the layer's output: its connections.
            positions = {
                n: torch.tensor(wiring.layers[n].macs / w.numel()) for n, w in weights.items()
            }
            penalty, lr = options.gate_penalty, options.gate_lr
            gates = _Gates(weights, positions, penalty=penalty, lr=lr, steps=steps)
            return LatentWeights(optimizer, weights, gates)
        case _:
            return NO_LATENT_WEIGHTS
