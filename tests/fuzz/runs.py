"""A random pruning run: a net, options, an optimiser, and the loop in which it is trained."""

from dataclasses import dataclass
from functools import partial

import torch
from hypothesis import strategies as st
from tests.fuzz.nets import NETS, Net, batch_for, build, example_for, logits, short
from torch.nn.functional import cross_entropy

from spikeprune import Pruner
from spikeprune.errors import BudgetError, ConfigError
from spikeprune.observing.criticality_options import CriticalityOptions
from spikeprune.pruning.criteria.of_weights import REGROWTH, SALIENCY
from spikeprune.pruning.option_types import ChannelOptions
from spikeprune.pruning.options import PruneOptions
from spikeprune.science.allocation import SHARES
from spikeprune.science.schedule import FRACTIONS, SCHEDULES
from spikeprune.science.surrogate import CURVES

OPTIMIZERS = {
    "sgd": partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=0.01),
    "adamw": partial(torch.optim.AdamW, lr=0.02, weight_decay=0.1),
    "adam": partial(torch.optim.Adam, lr=0.02, weight_decay=0.01),
    "rmsprop": partial(torch.optim.RMSprop, lr=0.01, momentum=0.9, weight_decay=0.01),
}
DIRECTIONS = {"momentum_buffer", "exp_avg"}  # state of the optimiser that dead weights have none of
AFTER = 1  # steps of training after the last event


@dataclass(frozen=True, repr=False)
class Case:
    """A run; its text can be pasted: `tests.fuzz.test_nets.check(Case(...))`."""

    net: Net
    options: PruneOptions
    optimizer: str = "sgd"
    steps: int = 4  # of the pruning phase
    again: int = -1  # step at which a second run is resumed; -1: it starts from nothing

    __repr__ = short


class Loop:
    """A training loop as users write it: batch `i` is the same whenever it is drawn.

    Raises:
        SpikePruneError: the options do not fit the net.
    """

    def __init__(self, case: Case, seed: int | None = None):
        self.case = case
        self.model = build(case.net)
        if seed is not None:  # other weights, which a resumed run must not keep
            torch.manual_seed(seed)
            with torch.no_grad():
                for parameter in self.model.parameters():
                    parameter.uniform_(-1, 1)
        self.optimizer = OPTIMIZERS[case.optimizer](self.model.parameters())
        net = case.net
        self.pruner = Pruner(
            self.model,
            self.optimizer,
            example_for(net),
            time_steps=net.time_steps,
            total_steps=case.steps,
            options=case.options,
            layout=net.layout,
            seed=net.seed,
        )

    def begin(self):
        """Make the net sparse before its first step, where it starts so."""
        return self.pruner.begin([self.batch(0)], self.loss)

    def batch(self, number):
        """Return a batch; the recordings of a start have time first, whatever the layout."""
        x, y = batch_for(self.case.net, number)
        return (x.transpose(0, 1) if self.case.net.layout == "batch" else x), y

    @staticmethod
    def loss(output, y):
        return cross_entropy(output.mean(0), y)

    def step(self):
        """Train by one batch; return the event, if there was one."""
        self.model.train()
        self.optimizer.zero_grad()
        x, y = batch_for(self.case.net, self.pruner.steps)
        cross_entropy(logits(self.model, x), y).backward()
        self.optimizer.step()
        return self.pruner.step()

    def run(self, upto):
        while self.pruner.steps < upto:
            self.step()
        return self

    @property
    def end(self):
        return self.case.steps + AFTER

    def state(self):
        """Return all that a resumed run needs."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "pruner": self.pruner.state_dict(),
        }

    def load_state(self, state):
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.pruner.load_state_dict(state["pruner"])
        return self


CRITICALITY = st.builds(
    CriticalityOptions,
    curve=st.sampled_from(["model", *CURVES]),
    space=st.sampled_from(["max", "mean"]),
    time=st.sampled_from(["mean", "max"]),
    value=st.sampled_from(["derivative", "derivative", "primitive"]),
    normalise=st.sampled_from(["none", "layer", "synops"]),
    weight=st.sampled_from(["post", "post*pre", "post*grad"]),
    batches=st.integers(1, 2),
)
LAYERS = st.sampled_from(["blocks.0.conv", "head", "blocks.*"])
WEIGHTS = {
    "sparsity": st.floats(0.1, 0.9),
    "saliency": st.sampled_from(["magnitude", *SALIENCY]),
    "regrow": st.sampled_from(["criticality", "none", *REGROWTH]),
    "regrow_fraction": st.sampled_from([0.0, 0.1, 0.3, 0.6]),
    "fraction_schedule": st.sampled_from([*FRACTIONS]),
    "fraction_of": st.sampled_from(["after", "before"]),
    "regrow_within": st.sampled_from(["network", "layer"]),
    "regrow_layers": st.sampled_from(["spiking", "all"]),
    "allocation": st.sampled_from(["global", "budget", *SHARES]),
    "schedule": st.sampled_from([*SCHEDULES]),
    "initial_density": st.sampled_from([1.0, 1.0, 0.9]),
    "budget": st.sampled_from(["weights", "weights", "weights", "synops"]),
    "every": st.integers(1, 2),
    "initial_value": st.sampled_from(["zero", "previous", "unchanged"]),
    "exclude": st.sampled_from([(), (), ("head",), ("blocks.0.conv",)]),
    "limits": st.one_of(
        st.just({}),
        st.dictionaries(
            LAYERS, st.tuples(st.floats(0, 0.3), st.floats(0.3, 1.0)), min_size=1, max_size=1
        ),
    ),
    "criticality": CRITICALITY,
}
CHANNELS = {
    "sparsity": st.floats(0.05, 0.7),
    "granularity": st.just("channel"),
    "saliency": st.sampled_from(["magnitude", "mean-potential", "firing-rate", "random"]),
    "regrow": st.sampled_from(["criticality", "criticality", "scale-gradient", "random", "none"]),
    "regrow_fraction": st.sampled_from([0.0, 0.1, 0.3, 0.6]),
    "exclude": st.sampled_from([(), (), ("blocks.0.conv",)]),
    "criticality": CRITICALITY,
    "channels": st.builds(
        ChannelOptions,
        budget=st.sampled_from(["channels", "parameters", "macs", "synops"]),
        floor=st.integers(1, 2),
        round_to=st.sampled_from([1, 1, 2]),
        l1=st.sampled_from([0.0, 1e-3]),
        reducer=st.sampled_from(["mean", "max"]),
    ),
}


def allowed(values):
    """Return options, or None where the combination is refused."""
    if values.get("granularity") != "channel" and SALIENCY[values["saliency"]].measure:
        values |= {"schedule": "at-start", "regrow": "none"}
    try:
        return PruneOptions.of(**values)
    except ConfigError:
        return None


def cases(options):
    """Return a strategy of runs with such options."""
    return st.builds(
        Case,
        net=NETS,
        options=st.fixed_dictionaries(options).map(allowed).filter(lambda made: made is not None),
        optimizer=st.sampled_from([*OPTIMIZERS]),
        steps=st.integers(2, 4),
        again=st.integers(-1, 4),
    ).filter(sensible)


def sensible(case):
    """Leave out what is refused for a reason that other tests are about."""
    options, net = case.options, case.net
    if options.criticality.batches > options.interval(case.steps):
        return False
    if set(options.exclude) & options.limits.keys():
        return False
    own = net.neuron == "own"
    of_known = {"mean-potential", "crisis", "synflow", "wanda", "sbc"}
    no_threshold = of_known & {options.saliency, options.regrow}
    no_primitive = options.criticality.value == "primitive" and options.criticality.curve == "model"
    return not (own and (no_threshold or no_primitive))


REFUSED = (
    "are scored by their BatchNorm",
    "no channel is left to prune",
    "patterns leave no layer to prune",
    "density limit 'blocks.*' matches none of",  # where the only block is excluded
    "joined with the input of the net",
)
"""What the net of a case may be refused for at construction."""


def refusable(error):
    """Whether a case may end in this error."""
    return isinstance(error, BudgetError) or any(text in str(error) for text in REFUSED)
